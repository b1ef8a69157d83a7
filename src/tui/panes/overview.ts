import { formatUsd, formatUsdExact } from '../../core/money.ts'
import { sparkline } from '../../core/spark.ts'
import {
  formatAgo,
  formatCount,
  formatMs,
  formatShare,
  formatTime,
  formatTokens,
} from '../format.ts'
import {
  BLANK,
  beside,
  cell,
  chart,
  type Line,
  line,
  type Part,
  rule,
  span,
  tableHead,
  visibleGroups,
} from '../lines.ts'
import { LOW_BALANCE_MICRO, type Model } from '../model.ts'
import { selectedIndex } from '../state.ts'
import type { View } from '../view.ts'
import { type AccountColumn, accountRow, stateCounts } from './accounts-table.ts'

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

/** What to do where no account was added yet. */
export function noAccounts(): Line[] {
  return [
    line(' No upstream accounts yet.'),
    line(
      ' Add one: ',
      span('ccgate accounts add main', 'bold'),
      '   ·   or look around: ',
      span('ccgate demo', 'bold'),
    ),
  ]
}

function fill(lines: readonly Line[], height: number): Line[] {
  return Array.from({ length: height }, (_, i) => lines[i] ?? BLANK)
}

function figures({ model, columns }: View): Line[] {
  const { rates, today } = model
  const minutes = columns >= 110 ? 60 : 30
  const ms = (values: readonly number[] | null | undefined, i: number, unit: number) =>
    cell(values ? formatMs(values[i] / unit) : '–', 6)
  return [
    line(
      ...figure('Requests/min', rates ? formatCount(rates.requestsPerMinute) : '–', 7),
      spark(rates?.requests, minutes),
      `  peak ${rates ? formatCount(Math.max(...rates.requests.slice(-minutes))) : '–'}   (${minutes} min)`,
    ),
    line(
      ...figure('Errors', formatShare(rates?.errorShare ?? null), 7),
      spark(rates?.errors, minutes),
      '  ',
      span(statusCounts(model, 4), 'warn'),
    ),
    line(
      ...figure('Overhead', '', 0),
      `p50 ${ms(rates?.gatewayUs, 0, 1000)}  p99 ${ms(rates?.gatewayUs, 2, 1000)}   `,
      span('First token', 'bold'),
      ` p50 ${ms(rates?.firstByteMs, 0, 1)}    `,
      span('In flight', 'bold'),
      ` ${rates?.inFlight ?? '–'}`,
    ),
    line(
      ...figure('Today', '', 0),
      today === null
        ? '–'
        : `${formatUsd(today.costMicro)}   ${formatCount(today.requests)} req   in ${formatTokens(inputOf(model))}  out ${formatTokens(today.tokens.output)}   cache hit ${wholeShare(today.cacheHit)}`,
    ),
    BLANK,
  ]
}

function wideFigures({ model }: View): Line[] {
  const { rates, today } = model
  const ms = (values: readonly number[] | null | undefined, i: number, unit: number) =>
    cell(values ? formatMs(values[i] / unit) : '–', 6)
  const peak = rates ? formatCount(rates.peak) : '–'
  return [
    line(
      ...figure('Requests/min', rates ? formatCount(rates.requestsPerMinute) : '–', 7),
      ' ',
      spark(rates?.requests, 60),
      `   peak ${peak}   last 60 min`,
    ),
    line(
      ...figure('Errors', formatShare(rates?.errorShare ?? null), 7),
      ' ',
      spark(rates?.errors, 60),
      '   ',
      span(statusCounts(model, 5), 'warn'),
    ),
    line(
      ...figure('Spend/hour', rates ? formatUsd(rates.spendLastHourMicro) : '–', 9),
      ' ',
      spark(rates?.spendMicro, 60),
      `   today ${today === null ? '–' : formatUsd(today.costMicro)}`,
    ),
    BLANK,
    line(
      span(' Overhead', 'bold'),
      `  p50 ${ms(rates?.gatewayUs, 0, 1000)}  p95 ${ms(rates?.gatewayUs, 1, 1000)}  p99 ${ms(rates?.gatewayUs, 2, 1000)} │ `,
      span('First token', 'bold'),
      `  p50 ${ms(rates?.firstByteMs, 0, 1)}  p99 ${ms(rates?.firstByteMs, 2, 1)} │ `,
      span('In flight', 'bold'),
      ` ${rates?.inFlight ?? '–'}   streams ${rates?.streaming ?? '–'}`,
    ),
    line(
      span(' Today', 'bold'),
      today === null
        ? '     –'
        : `     ${formatCount(today.requests)} requests · in ${formatTokens(today.tokens.input)} · out ${formatTokens(today.tokens.output)} · cache write ${formatTokens(today.tokens.cacheWrite5m + today.tokens.cacheWrite1h)} · cache read ${formatTokens(today.tokens.cacheRead)} (hit ${wholeShare(today.cacheHit)})`,
    ),
  ]
}

function figure(label: string, value: string, width: number): Part[] {
  const pad = width === 0 ? 11 : 19 - width
  return [
    span(` ${cell(label, pad)}`, 'bold'),
    width === 0 ? '' : cell(value, width, 'right'),
    width === 0 ? '' : '  ',
  ]
}

function spark(values: readonly number[] | undefined, minutes: number) {
  return chart(
    values === undefined ? ' '.repeat(minutes) : sparkline(values.slice(-minutes)),
    'accent',
  )
}

function statusCounts({ rates }: Model, limit: number): string {
  if (rates === null) return ''
  return rates.statuses
    .slice(0, limit)
    .map(([label, count]) => `${label}×${count}`)
    .join('  ')
}

function inputOf({ today }: Model): number {
  if (today === null) return 0
  const { input, cacheWrite5m, cacheWrite1h, cacheRead } = today.tokens
  return input + cacheWrite5m + cacheWrite1h + cacheRead
}

function wholeShare(share: number | null): string {
  return share === null ? '–' : `${Math.floor(share * 100)}%`
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

function keysAndProblems(view: View, rows: number): Line[] {
  const { model, columns, zone } = view
  if (hasNoRequests(model)) return noRequests(model)
  const label = 18 + Math.min(12, columns - 80)
  const at = label + 30
  const head = beside(
    line(
      span(
        ` ${cell('TOP KEYS (1 h)', label)}${cell('REQ', 5, 'right')}${cell('SPEND', 9, 'right')}${cell('BALANCE', 10, 'right')}`,
        'bold',
      ),
    ),
    line(span(model.problems.length > 0 ? 'RECENT PROBLEMS' : '', 'bold')),
    at,
  )
  const body = Array.from({ length: rows }, (_, i) => {
    const problem = model.problems[i]
    const right =
      problem === undefined
        ? BLANK
        : line(
            span(`${formatTime(problem.atMs, zone)} `, 'dim'),
            span(cell(problem.status, 3), problem.recovered ? 'warn' : 'bad'),
            ` ${cell(problem.what, columns - at - 13)}`,
          )
    return beside(keyLine(model, i, { label, requests: 5, spend: 9, balance: 10 }), right, at)
  })
  return [head, ...body]
}

function keyLine(
  { keys }: Model,
  index: number,
  widths: { label: number; requests: number; spend: number; balance: number },
): Line {
  const key = keys[index]
  if (key === undefined) return BLANK
  const isLow = key.balanceMicro !== null && key.balanceMicro < LOW_BALANCE_MICRO
  const balance = key.balanceMicro === null ? '–' : formatUsd(key.balanceMicro)
  return line(
    ` ${cell(key.label, widths.label)}`,
    cell(formatCount(key.requests), widths.requests, 'right'),
    cell(formatUsd(key.costMicro), widths.spend, 'right'),
    span(
      cell(balance, widths.balance, 'right') + (isLow ? ' !' : '  '),
      isLow ? 'warn' : undefined,
    ),
  )
}

function hasNoRequests({ keys, problems, latest, daemon }: Model): boolean {
  return daemon.kind !== 'loading' && keys.length + problems.length + latest.length === 0
}

function noRequests({ daemon, today }: Model): Line[] {
  const url = daemon.boot?.publicUrl ?? ''
  const since = today !== null && today.requests > 0 ? 'in the last hour' : 'yet'
  return [
    line(` No requests ${since}. Try one (the key is made by: ccgate keys create USER):`),
    line(` curl ${url}/v1/messages -H "x-api-key: cc_user_…" \\`),
    line(
      `   -d '{"model":"claude-haiku-4-5","max_tokens":64,"messages":[{"role":"user","content":"Hi"}]}'`,
    ),
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
    ...latest(view, room - accountRows - keyRows),
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

function keysAndModels({ model, columns }: View, rows: number): Line[] {
  const at = 58
  const nameWidth = Math.min(columns - at - 38, 32)
  const head = beside(
    line(
      span(
        ` ${cell('TOP KEYS (1 h)', 23)}${cell('REQ', 5, 'right')}${cell('SPEND', 10, 'right')}${cell('BALANCE', 11, 'right')}`,
        'bold',
      ),
    ),
    line(
      span('│', 'dim'),
      span(
        ` ${cell('MODELS (1 h)', nameWidth)}${cell('REQ', 7, 'right')}${cell('IN→OUT', 15, 'right')}${cell('SPEND', 11, 'right')}`,
        'bold',
      ),
    ),
    at,
  )
  const body = Array.from({ length: rows }, (_, i) => {
    const each = model.models[i]
    const right =
      each === undefined
        ? line(span('│', 'dim'))
        : line(
            span('│', 'dim'),
            ` ${cell(each.name, nameWidth)}${cell(formatCount(each.requests), 7, 'right')}${cell(`${formatTokens(each.tokensIn)}→${formatTokens(each.tokensOut)}`, 15, 'right')}${cell(formatUsd(each.costMicro), 11, 'right')}`,
          )
    return beside(keyLine(model, i, { label: 23, requests: 5, spend: 10, balance: 11 }), right, at)
  })
  return [head, ...body]
}

function latest({ model, zone, columns }: View, rows: number): Line[] {
  const extra = Math.min(20, columns - 120)
  return model.latest.slice(0, Math.max(0, rows)).map((row) => {
    const tokens =
      row.tokensIn === null
        ? ''
        : `${formatTokens(row.tokensIn)}→${formatTokens(row.tokensOut ?? 0)}${row.costMicro === null ? '…' : ''}${row.cacheRead ? ' c' : ''}`
    const first = row.firstByteMs === null ? '' : `${(row.firstByteMs / 1000).toFixed(2)} s`
    const middle =
      row.errorCode === null
        ? `${cell(tokens, 14)} ${cell(first, 7, 'right')}`
        : cell(row.errorCode, 22)
    const cost = row.costMicro === null ? '…' : formatUsdExact(row.costMicro)
    return line(
      span(` ${formatTime(row.atMs, zone)}  `, 'dim'),
      span(cell(row.status, 5), row.isError ? 'bad' : row.reroutedFrom === null ? 'ok' : 'warn'),
      ` ${cell(row.key, 18 + extra)}${cell(row.model, 20)} ${cell(row.account ?? '–', 9)}${middle}   ${cell(cost, 10)}  `,
      span(cell(`${row.requestId.slice(0, 12)}…`, 13), 'dim'),
      row.reroutedFrom === null ? '' : ` ↻${cell(row.reroutedFrom, 8)}`,
    )
  })
}

// ── without a daemon ─────────────────────────────────────────────────────────────────────────────

const STORED_COLUMNS: readonly AccountColumn[] = [
  { key: 'state', title: 'STATE', width: 11, gap: 0 },
  { key: 'name', title: 'NAME', width: 16, gap: 2 },
  { key: 'cooldown', title: 'COOLDOWN', width: 26, gap: 2 },
  { key: 'today', title: 'TODAY', width: 10, gap: 1, align: 'right' },
]

/** The sentence that stands where live numbers would. */
export function downText({ model, nowMs, zone }: View): string {
  const { boot } = model.daemon
  if (boot === null) return 'The daemon has never run on this database.'
  const ago = formatAgo(nowMs - boot.heartbeatAtMs)
  const time = formatTime(boot.heartbeatAtMs, zone)
  return `The daemon is not running.  Last seen ${ago === 'now' ? 'just now' : `${ago} ago`} (${time}, pid ${boot.pid}).`
}

function whenDown(view: View, height: number): Line[] {
  const { model } = view
  const banner = [
    BLANK,
    line(span(` ${downText(view)}`, 'bad')),
    BLANK,
    line('   start it        ', span('ccgate serve', 'bold')),
    line('   check the file  ', span('ccgate db check', 'bold')),
    BLANK,
    line(' Live numbers are hidden. Stored data below is read from the database.'),
    BLANK,
  ]
  if (model.accounts.length === 0) return [...banner, ...noAccounts()]
  const rows = Math.min(model.accounts.length, height - banner.length - 2)
  return [...banner, ...accountsPanel(view, STORED_COLUMNS, rows)]
}
