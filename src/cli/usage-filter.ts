import { aliasTarget, findPrice } from '../billing/price-table.ts'
import { parseMoney } from '../core/amount.ts'
import type { Parsed } from '../core/quantity.ts'
import type { Found, UsageFilter } from '../store/store.ts'
import { type Context, expectFound } from './context.ts'
import { usageError } from './errors.ts'
import type { Calendar } from './format.ts'
import { accept, type Invocation } from './invocation.ts'
import { modelFacts } from './model-table.ts'
import { parseTime } from './parse/time.ts'

/** Which requests a command is about: everything but the page. */
export type UsageQuestion = Omit<UsageFilter, 'limit' | 'afterId'>

/** Filters that only single requests can answer; sums know nothing of them. */
export const DETAIL_FILTERS = ['status', 'stream', 'min-cost', 'rerouted'] as const

/** Reads the filter options; names become ids, and one that does not exist ends with exit 3. */
export async function readUsageFilter(
  context: Context,
  call: Invocation,
  calendar: Calendar = context.calendar(),
): Promise<UsageQuestion> {
  const httpStatus = call.text('status') ?? undefined
  if (httpStatus !== undefined && !/^[1-5](\d\d|xx)$/.test(httpStatus)) {
    throw usageError(
      `--status: "${httpStatus}" is not possible.`,
      'Example: 429 or 2xx',
      'bad_value',
    )
  }
  const minCost = call.text('min-cost')
  const times = readWindow(context, call, calendar)
  return {
    ...times,
    ...(await readOwners(context, call)),
    httpStatus,
    stream: call.flag('stream') || undefined,
    minCostMicro: minCost === null ? undefined : accept(parseMoney(minCost), '--min-cost'),
    rerouted: call.flag('rerouted') || undefined,
  }
}

/** `--user`, `--key`, `--account` as ids, and `--model` as records have it. */
export async function readOwners(
  context: Context,
  call: Invocation,
): Promise<Pick<UsageQuestion, 'userId' | 'keyId' | 'accountId' | 'model'>> {
  const store = await context.store('read')
  const id = async <T extends { readonly id: string }>(
    what: 'user' | 'key' | 'account',
    find: (ref: string) => Promise<Found<T>>,
  ) => {
    const ref = call.text(what)
    return ref === null ? undefined : expectFound(await find(ref), what, ref).id
  }
  return {
    userId: await id('user', (ref) => store.findUser(ref)),
    keyId: await id('key', (ref) => store.findKey(ref)),
    accountId: await id('account', (ref) => store.findAccount(ref)),
    model: await readModel(context, call),
  }
}

/** Records name the model that an alias stood for when they were made; that of today is looked for. */
async function readModel(context: Context, call: Invocation): Promise<string | undefined> {
  const model = call.text('model')
  if (model === null) return undefined
  const { table, nowMs } = await modelFacts(context)
  const meant = findPrice(table, model, nowMs) === null ? aliasTarget(table, model, nowMs) : null
  if (meant === null) return model
  context.print.note(`${model} is an alias: requests are recorded as ${meant}.`)
  return meant
}

/** `--since` and `--until` in ms, read in the calendar's time zone; absent ones are undefined. */
export function readWindow(
  context: Context,
  call: Invocation,
  calendar: Calendar,
): { readonly sinceMs: number | undefined; readonly untilMs: number | undefined } {
  const time = (text: string): Parsed<number> =>
    parseTime(text, { nowMs: context.nowMs, calendar, direction: 'past' })
  const sinceMs = call.read('since', time) ?? undefined
  const untilMs = call.read('until', time) ?? undefined
  if (sinceMs !== undefined && untilMs !== undefined && untilMs <= sinceMs) {
    throw usageError(
      '--until is not after --since.',
      'Example: --since 2026-11-01 --until 2026-12-01',
      'bad_value',
    )
  }
  return { sinceMs, untilMs }
}

/** `No requests since 2026-11-15 match. Widen with --since 30d, or check filters: user=alice.` */
export function noMatchText(
  context: Context,
  call: Invocation,
  window: { readonly sinceMs?: number; readonly untilMs?: number },
): string {
  const filters = [
    ...['user', 'key', 'account', 'model', 'status', 'min-cost'].flatMap((name) => {
      const value = call.text(name)
      return value === null ? [] : [`${name}=${value}`]
    }),
    ...['stream', 'rerouted'].filter((name) => call.flag(name)),
  ]
  const { sinceMs, untilMs } = window
  const since = sinceMs === undefined ? '' : ` since ${timeText(context, sinceMs)}`
  const until = untilMs === undefined ? '' : ` before ${timeText(context, untilMs)}`
  const ways = [
    ...(sinceMs === undefined ? [] : [`widen with --since ${wider(context.nowMs - sinceMs)}`]),
    ...(untilMs === undefined ? [] : ['leave out --until']),
    ...(filters.length === 0 ? [] : [`check filters: ${filters.join(' ')}`]),
  ]
  if (ways.length === 0) return 'No requests yet.'
  const advice = ways.join(', or ')
  return `No requests${since}${until} match. ${advice.charAt(0).toUpperCase()}${advice.slice(1)}.`
}

/** The day, with the time when it is not midnight. */
function timeText(context: Context, atMs: number): string {
  const calendar = context.calendar()
  return calendar.startOfDay(atMs) === atMs
    ? calendar.day(atMs)
    : calendar.stamp(atMs, context.nowMs)
}

const DAY_MS = 86_400_000

/** The next span that people think in. */
function wider(spanMs: number): string {
  const days = [1, 7, 30, 365].find((span) => span * DAY_MS > spanMs * 1.01)
  return days === undefined ? '2000-01-01' : `${days}d`
}
