import { dayLabel, hourLabel, isTimeZone, monthLabel } from '../../core/calendar.ts'
import { formatUsdSmall, usdColumn } from '../../core/money.ts'
import { nearest } from '../../core/nearest.ts'
import { parseCount } from '../../core/quantity.ts'
import { bar } from '../../core/spark.ts'
import {
  ROLLUP_MS,
  type UsageDimension,
  type UsageSummaryQuery,
  type UsageSummaryRow,
} from '../../store/store.ts'
import { formatTokens } from '../../tui/format.ts'
import type { Context } from '../context.ts'
import { usageError } from '../errors.ts'
import { type Calendar, createCalendar, formatCount, isoTime } from '../format.ts'
import type { Invocation } from '../invocation.ts'
import type { Column } from '../print.ts'
import { noMatchText, readOwners, readWindow } from '../usage-filter.ts'
import { totalsJson } from '../usage-json.ts'
import {
  fillGaps,
  foldRows,
  isTime,
  OTHERS,
  orderRows,
  sumOf,
  type TimeDimension,
  wholePeriodsSince,
} from '../usage-report.ts'

const DIMENSIONS: readonly UsageDimension[] = [
  'day',
  'hour',
  'month',
  'user',
  'key',
  'model',
  'account',
  'status',
]
const LABELS = { hour: hourLabel, day: dayLabel, month: monthLabel } as const
const HEADERS = { day: 'DATE' } as const
const DAY_MS = 86_400_000
const BAR_WIDTH = 24

/** `ccgate usage summary`: sums over a span of time, from the roll-ups. */
export async function summarizeUsage(context: Context, call: Invocation): Promise<void> {
  const { print } = context
  const query = await readQuery(context, call)
  const store = await context.store('read')
  const found = await store.summarizeUsage(query)
  const top = call.read('top', parseCount)
  if (top === 0) throw usageError('--top: 0 would show nothing.', 'Example: --top 10', 'bad_value')
  const folded = top === null ? found : foldRows(found, query.by, top)
  const rows = orderRows(folded, query.by)
  const total = sumOf(rows)
  if (print.json) return print.document(summaryJson(context, query, { rows, total }))
  if (print.quiet) return print.out(String(total.costMicro))
  if (rows.length === 0) return print.note(noMatchText(context, call, query))
  const hasChart = call.flag('chart')
  const [first] = query.by
  const isGapless = hasChart && query.by.length === 1 && isTime(first)
  const shown = isGapless ? withoutGaps(context, query, first, rows) : rows
  print.table(columnsOf(context, query, { rows: shown, hasChart }), [...shown, total])
  const cache = cacheLine(total)
  if (cache !== null) print.wrapped(cache, 2)
}

/** What caches were worth; null where nothing was cached. */
function cacheLine(total: UsageSummaryRow): string | null {
  const { readSavedMicro, writeExtraMicro, lostMicro } = total.cache
  if (readSavedMicro + writeExtraMicro + lostMicro === 0) return null
  const saved = readSavedMicro - writeExtraMicro
  const parts = [
    saved >= 0
      ? `saved ${formatUsdSmall(saved)} (reads ${formatUsdSmall(readSavedMicro)} less, writes ${formatUsdSmall(writeExtraMicro)} more)`
      : `cost ${formatUsdSmall(-saved)} more than it saved so far`,
    ...(lostMicro === 0 ? [] : [`lost to routing ${formatUsdSmall(lostMicro)}`]),
  ]
  return `Cache at list price: ${parts.join(' · ')}`
}

/** What was asked for: one or two dimensions, a span in a time zone, and whose requests. */
async function readQuery(
  context: Context,
  call: Invocation,
): Promise<UsageSummaryQuery & { readonly sinceMs: number }> {
  const by = readDimensions(call)
  const calendar = readCalendar(context, call)
  const timeZone = calendar.zone
  const time = by.find(isTime)
  const given = readWindow(context, call, calendar)
  const spanMs = (time === 'month' ? 365 : time === 'hour' ? 1 : 30) * DAY_MS
  const endMs = given.untilMs ?? context.nowMs
  const sinceMs = given.sinceMs ?? endMs - spanMs
  // `7d` counts back from now; a date says where to begin.
  const isSpan = given.sinceMs === undefined || /^[+-]?\d.*[a-z]$/i.test(call.text('since') ?? '')
  const beginMs =
    isSpan && time !== undefined ? wholePeriodsSince(time, sinceMs, { endMs, timeZone }) : sinceMs
  return {
    by,
    timeZone,
    sinceMs: Math.floor(beginMs / ROLLUP_MS) * ROLLUP_MS,
    ...(given.untilMs === undefined
      ? {}
      : { untilMs: Math.ceil(given.untilMs / ROLLUP_MS) * ROLLUP_MS }),
    ...(await readOwners(context, call)),
  }
}

function readDimensions(call: Invocation): readonly UsageDimension[] {
  const names = call.list('by') ?? ['day']
  const by = names.map((name) => {
    const known = DIMENSIONS.find((dimension) => dimension === name)
    if (known !== undefined) return known
    const close = nearest(name, DIMENSIONS)
    throw usageError(
      `--by: "${name}" is not possible.`,
      close === null ? `Use one or two of ${DIMENSIONS.join(', ')}.` : `Did you mean ${close}?`,
      'bad_value',
    )
  })
  if (by.length > 2 || by.length === 0 || by[0] === by[1]) {
    throw usageError(
      '--by takes one or two different dimensions.',
      'Example: --by user,model',
      'bad_value',
    )
  }
  if (by.filter(isTime).length > 1) {
    throw usageError(
      `--by: ${by.join(' and ')} are both time.`,
      'Example: --by day,model',
      'bad_value',
    )
  }
  return by
}

/** The calendar of `--tz`, else the one that all times are shown in. */
export function readCalendar(context: Context, call: Invocation): Calendar {
  const zone = call.text('tz')
  if (zone === null) return context.calendar()
  if (!isTimeZone(zone)) {
    throw usageError(
      `--tz: "${zone}" is not a time zone.`,
      'Example: Europe/Berlin or UTC',
      'bad_value',
    )
  }
  return createCalendar(zone)
}

function withoutGaps(
  context: Context,
  query: UsageSummaryQuery & { readonly sinceMs: number },
  period: TimeDimension,
  rows: readonly UsageSummaryRow[],
): readonly UsageSummaryRow[] {
  return fillGaps(rows, period, {
    sinceMs: query.sinceMs,
    untilMs: Math.min(query.untilMs ?? Number.POSITIVE_INFINITY, context.nowMs + 1),
    timeZone: query.timeZone,
    labelOf: (atMs) => LABELS[period](atMs, query.timeZone),
  })
}

function columnsOf(
  context: Context,
  query: UsageSummaryQuery,
  { rows, hasChart }: { readonly rows: readonly UsageSummaryRow[]; readonly hasChart: boolean },
): readonly Column<UsageSummaryRow>[] {
  const isTotal = (row: UsageSummaryRow) => row.group.length === 0
  const names = query.by.map(
    (dimension, i): Column<UsageSummaryRow> => ({
      header: dimension === 'day' ? HEADERS.day : dimension.toUpperCase(),
      cell: (row) => (isTotal(row) ? (i === 0 ? 'total' : '') : row.group[i]),
      mayCut: !isTime(dimension),
    }),
  )
  const cost = usdColumn(rows.map((row) => row.costMicro))
  const figure = (header: string, cell: Column<UsageSummaryRow>['cell'], dropOrder: number) =>
    ({ header, cell, align: 'right', dropOrder }) as const
  const columns = [
    ...names,
    figure('REQ', (row) => formatCount(row.requests), 0),
    figure('ERR', (row) => formatCount(row.errors), 4),
    figure('REFUSED', (row) => formatCount(row.refused), 5),
    figure('IN', (row) => formatTokens(promptTokens(row)), 3),
    figure('OUT', (row) => formatTokens(row.tokens.output), 3),
    figure('CACHE', cacheShare, 2),
    figure('COST', (row) => cost(row.costMicro), 0),
  ]
  if (!hasChart) return columns
  const running = runningLabel(context, query)
  const { stdout } = context.terminal
  const isNarrow = stdout.isTTY && (stdout.columns ?? 80) < 80
  const barWidth = isNarrow ? BAR_WIDTH / 3 : BAR_WIDTH
  const most = rows.reduce((max, row) => Math.max(max, row.costMicro), 0)
  return [
    ...columns,
    {
      header: '',
      cell: (row) => {
        if (isTotal(row)) return ''
        const soFar = query.by.some((_, i) => row.group[i] === running) ? '  (so far)' : ''
        return `${bar(row.costMicro, most, barWidth)}${soFar}`
      },
    },
  ]
}

/** The name of the hour, day or month that is not over yet; null where none is shown. */
function runningLabel(context: Context, query: UsageSummaryQuery): string | null {
  const time = query.by.find(isTime)
  if (time === undefined || (query.untilMs ?? Number.POSITIVE_INFINITY) <= context.nowMs)
    return null
  return LABELS[time](context.nowMs, query.timeZone)
}

function promptTokens({ tokens }: UsageSummaryRow): number {
  return tokens.input + tokens.cacheRead + tokens.cacheWrite5m + tokens.cacheWrite1h
}

/** Tokens read from the cache, of all of the prompts'. */
function cacheShare(row: UsageSummaryRow): string {
  const all = promptTokens(row)
  return all === 0 ? '–' : `${Math.round((100 * row.tokens.cacheRead) / all)}%`
}

function summaryJson(
  context: Context,
  query: UsageSummaryQuery & { readonly sinceMs: number },
  { rows, total }: { readonly rows: readonly UsageSummaryRow[]; readonly total: UsageSummaryRow },
) {
  const nameOf = (name: string) => (name === '–' ? null : name)
  return {
    object: 'usage_summary',
    by: query.by,
    since: isoTime(query.sinceMs),
    until: isoTime(query.untilMs ?? context.nowMs),
    timezone: query.timeZone,
    others: rows.some((row) => row.group.includes(OTHERS)) ? OTHERS : null,
    rows: rows.map((row) => ({
      ...Object.fromEntries(query.by.map((dimension, i) => [dimension, nameOf(row.group[i])])),
      ...totalsJson(row),
    })),
    total: totalsJson(total),
  }
}
