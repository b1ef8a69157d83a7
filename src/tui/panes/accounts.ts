import { accountNote, formatLeft } from '../../core/account-state.ts'
import { sparkline } from '../../core/spark.ts'
import type { AccountView } from '../facts.ts'
import { formatMs, formatShare, formatTime, formatTokens } from '../format.ts'
import {
  BLANK,
  cell,
  chart,
  fitLine,
  type Line,
  line,
  rule,
  span,
  tableHead,
  visibleGroups,
} from '../lines.ts'
import { selectedIndex } from '../state.ts'
import type { View } from '../view.ts'
import { type AccountColumn, accountRow, stateCounts } from './accounts-table.ts'
import { downText, noAccounts } from './advice.ts'

/** The accounts screen between the frame's first three and last three rows: exactly `height` lines. */
export function accountsScreen(view: View, height: number): Line[] {
  const { model, columns, ui, nowMs } = view
  if (model.accounts.length === 0) {
    const body = model.daemon.kind === 'loading' ? [line(span(' –', 'dim'))] : noAccounts()
    return Array.from({ length: height }, (_, i) => body[i] ?? BLANK)
  }
  const isWide = columns >= 120
  const tableColumns = columnsFor(view)
  const selected = selectedIndex(ui, model.accounts)
  const detail = isWide
    ? wideDetail(view, model.accounts[selected])
    : usualDetail(view, model.accounts[selected])
  const listHeight = height - 3 - detail.length - 1
  const groups = model.accounts.map((account, i) => {
    const row = accountRow(tableColumns, account, {
      daemon: model.daemon.kind,
      nowMs,
      isSelected: i === selected,
    })
    const why = explain(account, view)
    return why === null ? [row] : [row, line(span(`       ${cell(why, columns - 8)}`, 'dim'))]
  })
  const { lines, first, count } = visibleGroups(groups, listHeight, selected)
  const part = count < groups.length ? `   (${first + 1} to ${first + count} shown)` : ''
  const noun = groups.length === 1 ? 'account' : 'accounts'
  const head = [
    line(span(` ${groups.length} ${noun}`, 'bold'), `   ${stateCounts(model)}`, span(part, 'dim')),
    model.daemon.kind === 'down' ? line(span(` ${downText(view)}`, 'bad')) : BLANK,
    tableHead(tableColumns, 3),
  ]
  const gap = Array.from({ length: listHeight - lines.length }, () => BLANK)
  return [...head, ...lines, ...gap, ...detail, BLANK]
}

function columnsFor({ model, columns }: View): readonly AccountColumn[] {
  if (model.daemon.kind === 'down') return storedColumns(columns)
  return columns >= 120 ? wideColumns(columns) : usualColumns(columns)
}

/** What is still true without a daemon. */
function storedColumns(columns: number): AccountColumn[] {
  return [
    { key: 'state', title: 'STATE', width: 11, gap: 0 },
    { key: 'name', title: 'NAME', width: 12 + Math.min(columns - 80, 30), gap: 2 },
    { key: 'priority', title: 'PRI', width: 3, gap: 1, align: 'right' },
    { key: 'weight', title: 'W', width: 2, gap: 1, align: 'right' },
    { key: 'cooldown', title: 'COOLDOWN', width: 21, gap: 2 },
    { key: 'today', title: 'TODAY', width: 9, gap: 1, align: 'right' },
    { key: 'lastUsed', title: 'LAST USED', width: 9, gap: 2 },
  ]
}

function usualColumns(columns: number): AccountColumn[] {
  return [
    { key: 'state', title: 'STATE', width: 11, gap: 0 },
    { key: 'name', title: 'NAME', width: 12 + Math.min(columns - 80, 30), gap: 2 },
    { key: 'priority', title: 'PRI', width: 3, gap: 1, align: 'right' },
    { key: 'weight', title: 'W', width: 2, gap: 1, align: 'right' },
    { key: 'rpm', title: 'RPM', width: 7, gap: 1, align: 'right' },
    { key: 'inFlight', title: 'IN-FL', width: 5, gap: 2, align: 'right' },
    { key: 'errors', title: 'ERR 5m', width: 6, gap: 3, align: 'right' },
    { key: 'today', title: 'TODAY', width: 9, gap: 1, align: 'right' },
    { key: 'lastUsed', title: 'LAST USED', width: 9, gap: 2 },
  ]
}

function wideColumns(columns: number): AccountColumn[] {
  const extra = columns - 120
  const forName = Math.min(extra, 20)
  return [
    { key: 'state', title: 'STATE', width: 11, gap: 0 },
    { key: 'name', title: 'NAME', width: 12 + forName, gap: 2 },
    { key: 'id', title: 'ID', width: 11, gap: 1 },
    { key: 'key', title: 'KEY', width: 12, gap: 2 },
    { key: 'priority', title: 'PRI', width: 3, gap: 2, align: 'right' },
    { key: 'weight', title: 'W', width: 2, gap: 1, align: 'right' },
    { key: 'rpm', title: 'RPM', width: 7, gap: 1, align: 'right' },
    { key: 'load', title: 'LOAD', width: 10 + Math.min(extra - forName, 10), gap: 3 },
    { key: 'inFlight', title: 'IN-FL', width: 5, gap: 2, align: 'right' },
    { key: 'errors', title: 'ERR 5m', width: 6, gap: 2, align: 'right' },
    { key: 'today', title: 'TODAY', width: 9, gap: 1, align: 'right' },
    { key: 'lastUsed', title: 'LAST USED', width: 9, gap: 2 },
  ]
}

/** Why an account rests, and what ends that; null for accounts at work and disabled ones. */
function explain({ name, state }: AccountView, { nowMs, zone, model }: View): string | null {
  if (state.reason === null || state.word === 'full') return null
  if (state.word === 'disabled') return null
  const scope = state.modelClass === null ? '' : `${state.modelClass} · `
  if (state.exact === 'closed') return `${state.reason} · ${accountNote(state, nowMs)}`
  if (state.untilMs !== null) {
    if (model.daemon.kind === 'down') return null
    const length =
      state.sinceMs === null ? null : Math.round((state.untilMs - state.sinceMs) / 1000)
    const step =
      state.step > 0
        ? ` · backoff step ${state.step}${length === null ? '' : ` (${length} s)`}`
        : ''
    return `${scope}${state.reason} · retry in ${formatLeft(state.untilMs - nowMs)}${step}`
  }
  const since = state.sinceMs === null ? '' : ` · since ${formatTime(state.sinceMs, zone)}`
  if (state.exact === 'half_open') {
    return model.daemon.kind === 'down'
      ? null
      : `${scope}${state.reason}${since} · next request tries it`
  }
  const remedy = state.word === 'invalid' ? ` · ccgate accounts rotate ${name}` : ''
  return `${scope}${state.reason}${since}${remedy}`
}

function usualDetail(view: View, account: AccountView): Line[] {
  const [p50, , p99] = account.firstByteMs ?? []
  return [
    BLANK,
    line(
      span(` ${cell(account.name, Math.min(20, account.name.length))}`, 'bold'),
      `   ${account.id.slice(0, 10)}…${account.id.slice(-2)}   ${account.credential}   added ${day(account)}`,
    ),
    line(
      ' RPM    ',
      chart(sparkline(account.requests.slice(-30)), 'accent'),
      `   ${account.rpmLimit === null ? 'no limit' : `limit ${account.rpmLimit}`}`,
    ),
    line(
      ` p50 first token ${time(p50)}   p99 ${time(p99)}   success 1 h ${formatShare(account.successShare)}   rerouted away ${account.rerouted}`,
    ),
    ...placeLines(view, account),
  ]
}

/** When and for whom it works, and by which way; nothing of an account that has none of it. */
function placeLines({ columns }: View, { tags, hours, proxy }: AccountView): Line[] {
  const parts = [
    ...(tags.length === 0 ? [] : [`tags ${tags.join(', ')}`]),
    ...(hours === null ? [] : [`hours ${hours}`]),
    ...(proxy === null ? [] : [`via ${proxy}`]),
  ]
  return parts.length === 0 ? [] : [fitLine(line(` ${parts.join(' · ')}`), columns - 1)]
}

function wideDetail(view: View, account: AccountView): Line[] {
  const { columns, nowMs } = view
  const [p50, p95, p99] = account.firstByteMs ?? []
  return [
    rule(columns),
    line(
      span(` ${cell(account.name, Math.min(24, account.name.length))}`, 'bold'),
      `   ${account.id}   ${account.credential}   ${cell(account.baseUrl, Math.min(36, account.baseUrl.length))}   added ${day(account)}`,
    ),
    line(
      ' requests/min  ',
      chart(sparkline(account.requests), 'accent'),
      `   ${account.rpmLimit === null ? 'no limit' : `limit ${account.rpmLimit}/min`}`,
    ),
    line(
      ` first token   p50 ${cell(time(p50), 6)}   p95 ${cell(time(p95), 6)}   p99 ${cell(time(p99), 6)}     success 1 h ${formatShare(account.successShare)}   rerouted away ${account.rerouted}`,
    ),
    line(` upstream says ${headroomText(account, nowMs)}`),
    ...placeLines(view, account),
  ]
}

function headroomText({ headroom }: AccountView, nowMs: number): string {
  if (headroom === null) return 'nothing yet'
  const parts: string[] = []
  const add = (label: string, remaining: number | null, limit: number | null) => {
    if (remaining !== null && limit !== null) {
      parts.push(`${label} ${formatTokens(remaining)}/${formatTokens(limit)} left`)
    }
  }
  add('requests', headroom.requestsRemaining, headroom.requestsLimit)
  add('input tokens', headroom.inputTokensRemaining, headroom.inputTokensLimit)
  add('output', headroom.outputTokensRemaining, headroom.outputTokensLimit)
  if (headroom.resetAtMs !== null && headroom.resetAtMs > nowMs) {
    parts.push(`resets in ${formatLeft(headroom.resetAtMs - nowMs)}`)
  }
  return parts.length === 0 ? 'nothing yet' : parts.join(' · ')
}

function time(ms: number | undefined): string {
  return ms === undefined ? '–' : formatMs(ms)
}

function day({ createdAtMs }: AccountView): string {
  return new Date(createdAtMs).toISOString().slice(0, 10)
}
