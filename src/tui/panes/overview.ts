import { BLANK, type Line, line, rule, span, tableHead, visibleGroups } from '../lines.ts'
import { selectedIndex } from '../state.ts'
import type { View } from '../view.ts'
import { type AccountColumn, accountRow, stateCounts } from './accounts-table.ts'
import { downBanner, noAccounts, STORED_COLUMNS } from './advice.ts'
import { figures, wideFigures } from './figures.ts'
import {
  hasNoRequests,
  keysAndModels,
  keysAndProblems,
  latest,
  latestHead,
  noRequests,
} from './requests.ts'

/** The overview between the frame's first three and last three rows: exactly `height` lines. */
export function overview(view: View, height: number): Line[] {
  const { model, columns } = view
  if (model.daemon.kind === 'down') return fill(whenDown(view, height), height)
  const isWide = columns >= 120 && height >= 26
  const top = isWide ? wideFigures(view) : figures(view)
  const rest = height - top.length
  if (model.daemon.kind !== 'loading' && model.accounts.length === 0) {
    return fill([...top, BLANK, ...noAccounts()], height)
  }
  return fill([...top, ...(isWide ? widePanels(view, rest) : panels(view, rest))], height)
}

function fill(lines: readonly Line[], height: number): Line[] {
  return Array.from({ length: height }, (_, i) => lines[i] ?? BLANK)
}

// ── panels of the usual screen ───────────────────────────────────────────────────────────────────

function panels(view: View, height: number): Line[] {
  const { model, columns } = view
  const wanted = Math.max(model.keys.length, model.problems.length, 1)
  const room = height - 5
  const accountRows = Math.min(
    Math.max(model.accounts.length, 1),
    Math.max(room - Math.min(wanted, 3), 3),
  )
  const keyRows = Math.min(wanted, room - accountRows)
  return [
    ...accountsPanel(view, accountColumns(columns), accountRows),
    BLANK,
    ...keysAndProblems(view, keyRows),
  ]
}

function accountColumns(columns: number): AccountColumn[] {
  const extra = columns - 80
  const forName = Math.min(extra, 14)
  const forLoad = Math.min(extra - forName, 10)
  return [
    { key: 'state', title: 'STATE', width: 11, gap: 0 },
    { key: 'name', title: 'NAME', width: 10 + forName, gap: 2 },
    { key: 'rpm', title: 'RPM', width: 7, gap: 1, align: 'right' },
    { key: 'load', title: 'LOAD', width: 10 + forLoad, gap: 3 },
    { key: 'errors', title: 'ERR 5m', width: 6, gap: 2, align: 'right' },
    { key: 'today', title: 'TODAY', width: 9, gap: 0, align: 'right' },
    { key: 'note', title: 'NOTE', width: 14 + extra - forName - forLoad, gap: 2 },
  ]
}

/** Heading, column titles and `rows` rows of accounts. */
function accountsPanel(view: View, columns: readonly AccountColumn[], rows: number): Line[] {
  const { model, ui, nowMs } = view
  const selected = selectedIndex(ui, model.accounts)
  const groups = model.accounts.map((account, i) => [
    accountRow(columns, account, { daemon: model.daemon.kind, nowMs, isSelected: i === selected }),
  ])
  const { lines, first, count } = visibleGroups(groups, rows, selected)
  const part =
    count < groups.length ? `   (${first + 1} to ${first + count} of ${groups.length})` : ''
  return [
    line(span(' ACCOUNTS', 'bold'), `   ${stateCounts(model)}`, span(part, 'dim')),
    tableHead(columns, 3),
    ...lines,
    ...Array.from({ length: rows - lines.length }, () => BLANK),
  ]
}

// ── panels of a big screen ───────────────────────────────────────────────────────────────────────

function widePanels(view: View, height: number): Line[] {
  const { model, columns } = view
  const room = height - 8
  const accountRows = Math.min(Math.max(model.accounts.length, 1), Math.max(room - 8, 3))
  const wanted = Math.max(model.keys.length, model.models.length, 1)
  const keyRows = Math.min(wanted, Math.max(4, Math.floor((room - accountRows) / 3)))
  const top = [
    rule(columns),
    ...accountsPanel(view, wideAccountColumns(columns), accountRows),
    rule(columns),
  ]
  if (hasNoRequests(model)) return [...top, ...noRequests(model)]
  return [
    ...top,
    ...keysAndModels(view, keyRows),
    rule(columns),
    line(span(' LATEST', 'bold')),
    latestHead(view),
    ...latest(view, room - accountRows - keyRows - 1),
  ]
}

function wideAccountColumns(columns: number): AccountColumn[] {
  const extra = columns - 120
  const forName = Math.min(extra, 14)
  const forLoad = Math.min(extra - forName, 20)
  return [
    { key: 'state', title: 'STATE', width: 11, gap: 0 },
    { key: 'name', title: 'NAME', width: 11 + forName, gap: 2 },
    { key: 'priority', title: 'PRI', width: 3, gap: 2, align: 'right' },
    { key: 'weight', title: 'W', width: 3, gap: 1, align: 'right' },
    { key: 'rpm', title: 'RPM', width: 7, gap: 1, align: 'right' },
    { key: 'load', title: 'LOAD', width: 20 + forLoad, gap: 3 },
    { key: 'inFlight', title: 'IN-FL', width: 5, gap: 2, align: 'right' },
    { key: 'errors', title: 'ERR 5m', width: 6, gap: 3, align: 'right' },
    { key: 'ttft', title: 'p50 TTFT', width: 8, gap: 2, align: 'right' },
    { key: 'today', title: 'TODAY', width: 9, gap: 1, align: 'right' },
    { key: 'note', title: 'NOTE', width: 14 + extra - forName - forLoad, gap: 3 },
  ]
}

function whenDown(view: View, height: number): Line[] {
  const banner = downBanner(view)
  const { accounts } = view.model
  if (accounts.length === 0) return [...banner, ...noAccounts()]
  const rows = Math.min(accounts.length, height - banner.length - 2)
  return [...banner, ...accountsPanel(view, STORED_COLUMNS, rows)]
}
