// The two hot records as flat tuples in the order of their columns: what is bound to the statements is
// also what crosses the thread border, so nothing is taken apart and put together again on the way.
import { cacheValueOf } from '../../billing/cache-value.ts'
import { type PackedTrail, packTrail, unpackTrail } from '../../core/decision-trail.ts'
import type { Hold, HoldProgress, UsageRecord } from '../../core/model.ts'
import type { Micro } from '../../core/money.ts'
import type { NewHold } from '../store.ts'

/** What a statement is given for one column. */
export type Cell = string | number | null
export type Tuple = readonly Cell[]

export const HOLD_COLUMNS = `request_id, user_id, key_id, boot_id, account_id, model, stream,
  amount_micro, opened_at_ms, markup_n, markup_d`

/** How many cells of `holdTuple` are columns; the rest is for the key's spend limit. */
export const HOLD_COLUMN_COUNT = HOLD_COLUMNS.split(',').length

/** A new hold in the order of `HOLD_COLUMNS`, then the window of the key's spend limit. */
export function holdTuple(hold: NewHold): Tuple {
  return [
    hold.requestId,
    hold.userId,
    hold.keyId,
    hold.bootId,
    hold.accountId,
    hold.model,
    hold.stream ? 1 : 0,
    hold.amountMicro,
    hold.openedAtMs,
    hold.markup[0],
    hold.markup[1],
    hold.limitWindow?.sinceMs ?? null,
    hold.limitWindow?.untilMs ?? null,
  ]
}

/** Where `holdTuple` keeps what the operations need. */
export const HOLD_AT = {
  requestId: 0,
  userId: 1,
  keyId: 2,
  amountMicro: 7,
  limitSinceMs: 11,
  limitUntilMs: 12,
} as const

export const USAGE_COLUMNS = `request_id, user_id, key_id, account_id, model, http_status, stream,
  attempt_count, cost_micro, input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens,
  cache_write_1h_tokens, details`

/** How many cells of `usageTuple` are columns; the rest is for closing the hold. */
export const USAGE_COLUMN_COUNT = USAGE_COLUMNS.split(',').length

/**
 * The fields without a column, in the order of the JSON array `details`. An array, because the names would
 * be a quarter of every row; new fields go to the end, and old rows have `undefined` there.
 */
const DETAILS = [
  'dialect',
  'responseModel',
  'status',
  'errorCode',
  'webSearchRequests',
  'receipt',
  'holdMicro',
  'source',
  'anomalies',
  'upstreamRequestId',
  'attempts',
  'createdAtMs',
  'firstByteMs',
  'durationMs',
  'gatewayUs',
  'clientIp',
  'clientAgent',
  'holdSteps',
  'onDisconnect',
  'joinedRequestId',
  'trail',
] as const satisfies readonly (keyof UsageRecord)[]

/** What rows have that were written before a field was. */
const BEFORE = { holdSteps: [], onDisconnect: null, joinedRequestId: null, trail: [] }

type Details = Pick<UsageRecord, (typeof DETAILS)[number]>

/** Index in `details`, for the few statements that look inside. */
export function detailAt(name: keyof Details): number {
  return DETAILS.indexOf(name)
}

/** A usage record in the order of `USAGE_COLUMNS`, then what closing a hold needs besides. */
export function usageTuple(record: UsageRecord): Tuple {
  const { tokens } = record
  const cache = cacheValueOf(record)
  return [
    record.requestId,
    record.userId,
    record.keyId,
    record.accountId,
    record.model,
    record.httpStatus,
    record.stream ? 1 : 0,
    record.attempts.length,
    record.costMicro,
    tokens.input,
    tokens.output,
    tokens.cacheRead,
    tokens.cacheWrite5m,
    tokens.cacheWrite1h,
    JSON.stringify([
      record.dialect,
      record.responseModel,
      record.status,
      record.errorCode,
      record.webSearchRequests,
      record.receipt,
      record.holdMicro,
      record.source,
      record.anomalies,
      record.upstreamRequestId,
      record.attempts,
      record.createdAtMs,
      record.firstByteMs,
      record.durationMs,
      record.gatewayUs,
      record.clientIp,
      record.clientAgent,
      record.holdSteps,
      record.onDisconnect,
      record.joinedRequestId,
      record.trail.map(packTrail),
    ]),
    record.createdAtMs,
    record.durationMs,
    record.holdMicro,
    record.clientIp,
    record.status === 'interrupted' ? 1 : 0,
    listCostCell(record),
    cache.readSavedMicro,
    cache.writeExtraMicro,
    cache.lostMicro,
  ]
}

/** A number where all was paid to the record's own account, else JSON. */
function listCostCell(record: UsageRecord): Cell {
  const costs = listCostsOf(record)
  if (costs.length === 0) return 0
  const isPlain = costs.length === 1 && costs[0][0] === (record.accountId ?? '')
  return isPlain ? costs[0][1] : JSON.stringify(costs)
}

/** What was paid to an account (`''`: to none) at list price. */
export type ListCost = readonly [accountId: string, listCostMicro: Micro]

/** The list costs of a record by account: what each attempt cost us, or else what was billed. */
export function listCostsOf(
  record: Pick<UsageRecord, 'attempts' | 'accountId' | 'receipt' | 'costMicro'>,
): readonly ListCost[] {
  const { attempts, receipt } = record
  // Attempts of the first schema do not know their cost, and a recovered request not its attempts.
  const isKnown =
    attempts.length > 0 && attempts.every((one) => Number.isInteger(one.listCostMicro))
  if (isKnown) return attempts.map((one) => [one.accountId, one.listCostMicro])
  const listCostMicro = receipt?.listCostMicro ?? receipt?.costMicro ?? record.costMicro
  return [[record.accountId ?? '', listCostMicro]]
}

/** Where `usageTuple` keeps what the operations need. */
export const USAGE_AT = {
  requestId: 0,
  userId: 1,
  keyId: 2,
  accountId: 3,
  model: 4,
  httpStatus: 5,
  attemptCount: 7,
  costMicro: 8,
  tokens: 9,
  createdAtMs: 15,
  durationMs: 16,
  holdMicro: 17,
  clientIp: 18,
  isInterrupted: 19,
  listCosts: 20,
  /** Three cells: what reading saved, what writing cost above input, what was lost to routing. */
  cacheValue: 21,
} as const

/** A row of `usage`. */
export interface UsageDetails {
  readonly seq: number
  readonly request_id: string
  readonly user_id: string
  readonly key_id: string
  readonly account_id: string | null
  readonly model: string
  readonly http_status: number
  readonly stream: number
  readonly attempt_count: number
  readonly cost_micro: number
  readonly input_tokens: number
  readonly output_tokens: number
  readonly cache_read_tokens: number
  readonly cache_write_5m_tokens: number
  readonly cache_write_1h_tokens: number
  readonly details: string
}

/** The record that `usageTuple` was made from. */
export function toUsageRecord(row: UsageDetails): UsageRecord {
  const cells = JSON.parse(row.details) as readonly unknown[]
  // What `usageTuple` put there: the names are checked against the record, the cells are its own.
  const details = Object.fromEntries(
    DETAILS.slice(0, cells.length).map((name, index) => [name, cells[index]]),
  ) as unknown as Details
  return {
    ...BEFORE,
    ...details,
    trail: trailOf(cells),
    requestId: row.request_id,
    userId: row.user_id,
    keyId: row.key_id,
    accountId: row.account_id,
    model: row.model,
    httpStatus: row.http_status,
    stream: row.stream === 1,
    costMicro: row.cost_micro,
    tokens: {
      input: row.input_tokens,
      output: row.output_tokens,
      cacheRead: row.cache_read_tokens,
      cacheWrite5m: row.cache_write_5m_tokens,
      cacheWrite1h: row.cache_write_1h_tokens,
    },
  }
}

/** Why it went where it went; rows of the first two schemas do not know. */
export function trailOf(cells: readonly unknown[]): UsageRecord['trail'] {
  const packed = cells[detailAt('trail')]
  // What `usageTuple` put there.
  return Array.isArray(packed) ? (packed as readonly PackedTrail[]).map(unpackTrail) : []
}

/** A row of `holds`. */
export interface HoldRow {
  readonly request_id: string
  readonly user_id: string
  readonly key_id: string
  readonly boot_id: string
  readonly account_id: string | null
  readonly model: string
  readonly stream: number
  readonly amount_micro: number
  readonly opened_at_ms: number
  readonly markup_n: number
  readonly markup_d: number
  readonly limit_since_ms: number | null
  readonly state: Hold['state']
  readonly phase: Hold['phase']
  readonly progress: string | null
}

export function toHold(row: HoldRow): Hold {
  return {
    requestId: row.request_id,
    userId: row.user_id,
    keyId: row.key_id,
    bootId: row.boot_id,
    accountId: row.account_id,
    model: row.model,
    stream: row.stream === 1,
    amountMicro: row.amount_micro,
    markup: [row.markup_n, row.markup_d],
    state: row.state,
    openedAtMs: row.opened_at_ms,
    phase: row.phase,
    progress: row.progress === null ? null : (JSON.parse(row.progress) as HoldProgress),
  }
}
