// Sums of usage by quarter of an hour, kept as rows are written: no report has to scan the details.
import type { Database, Statement } from 'better-sqlite3'
import { type CacheValue, cacheValueOf } from '../../billing/cache-value.ts'
import { idFloor } from '../../core/ids.ts'
import { invariant } from '../../core/invariant.ts'
import type { UsageRecord } from '../../core/model.ts'
import type { Micro } from '../../core/money.ts'
import { type Outcome, outcomeOf } from '../../core/outcome.ts'
import type { TokenCounts } from '../../core/usage.ts'
import { ROLLUP_MS } from '../store.ts'
import {
  detailAt,
  type ListCost,
  listCostsOf,
  type Tuple,
  toUsageRecord,
  trailOf,
  USAGE_AT,
  USAGE_COLUMN_COUNT,
  type UsageDetails,
} from './usage-rows.ts'

/** What one request adds to the sums. */
export interface RollupFacts {
  readonly requestId: string
  readonly keyId: string
  readonly model: string
  readonly accountId: string
  readonly httpStatus: number
  readonly attemptCount: number
  readonly outcome: Outcome
  readonly tokens: TokenCounts
  readonly costMicro: Micro
  readonly listCosts: readonly ListCost[]
  readonly cache: CacheValue
}

/** One row of `usage_rollups`: its five dimensions, then its sums, in the order of the columns. */
export type RollupCells = [
  quarter: number,
  keyId: string,
  model: string,
  accountId: string,
  statusClass: number,
  ...sums: number[],
]

/** What rows of `usage_rollups` are grouped by. */
export const ROLLUP_DIMENSIONS = [
  'quarter',
  'key_id',
  'model',
  'account_id',
  'status_class',
] as const
const SUMS = [
  'requests',
  'errors',
  'refused',
  'input_tokens',
  'output_tokens',
  'cache_read_tokens',
  'cache_write_5m_tokens',
  'cache_write_1h_tokens',
  'cost_micro',
  'list_cost_micro',
  'cache_read_saved_micro',
  'cache_write_extra_micro',
  'routing_lost_micro',
] as const
/** The columns of `usage_rollups`, in the order of `RollupCells`. */
export const ROLLUP_COLUMNS = [...ROLLUP_DIMENSIONS, ...SUMS]

/** When a request's id was made; any text has such a time, so that nothing is left out. */
export function madeAtMs(requestId: string): number {
  // As `idTimeMs`, which is made for people's input and ten times slower.
  let timeMs = 0
  for (let i = 4; i < 14; i++) timeMs = timeMs * 32 + (DIGITS[requestId.charCodeAt(i)] ?? 0)
  return timeMs
}

/** The quarter of an hour in which an id was made. */
export function quarterOf(requestId: string): number {
  return Math.floor(madeAtMs(requestId) / ROLLUP_MS)
}

const DIGITS = new Uint8Array(128)
for (const [value, letter] of [...'0123456789abcdefghjkmnpqrstvwxyz'].entries()) {
  DIGITS[letter.charCodeAt(0)] = value
}

/** The facts of a stored record. */
export function factsOf(record: UsageRecord): RollupFacts {
  return {
    requestId: record.requestId,
    keyId: record.keyId,
    model: record.model,
    accountId: record.accountId ?? '',
    httpStatus: record.httpStatus,
    attemptCount: record.attempts.length,
    outcome: outcomeOf(record),
    tokens: record.tokens,
    costMicro: record.costMicro,
    listCosts: listCostsOf(record),
    cache: cacheValueOf(record),
  }
}

/** The facts of a record on its way into the table. */
export function factsOfTuple(usage: Tuple): RollupFacts {
  const accountId = (usage[USAGE_AT.accountId] as string | null) ?? ''
  const listCosts = usage[USAGE_AT.listCosts] as number | string
  const httpStatus = usage[USAGE_AT.httpStatus] as number
  const count = (index: number) => usage[USAGE_AT.tokens + index] as number
  return {
    requestId: usage[USAGE_AT.requestId] as string,
    keyId: usage[USAGE_AT.keyId] as string,
    model: usage[USAGE_AT.model] as string,
    accountId,
    httpStatus,
    attemptCount: usage[USAGE_AT.attemptCount] as number,
    outcome: outcomeOfTuple(usage, httpStatus),
    tokens: {
      input: count(0),
      output: count(1),
      cacheRead: count(2),
      cacheWrite5m: count(3),
      cacheWrite1h: count(4),
    },
    costMicro: usage[USAGE_AT.costMicro] as number,
    listCosts:
      typeof listCosts === 'number'
        ? [[accountId, listCosts]]
        : (JSON.parse(listCosts) as readonly ListCost[]),
    cache: cacheValueOfTuple(usage, accountId),
  }
}

function cacheValueOfTuple(usage: Tuple, accountId: string): CacheValue {
  const count = (index: number) => usage[USAGE_AT.cacheValue + index] as number
  // What an older program left in the spool has no such cells.
  if (usage.length > USAGE_AT.cacheValue)
    return { readSavedMicro: count(0), writeExtraMicro: count(1), lostMicro: count(2) }
  const details = JSON.parse(usage[USAGE_COLUMN_COUNT - 1] as string) as readonly unknown[]
  const receipt = details[detailAt('receipt')] as UsageRecord['receipt']
  return cacheValueOf({ receipt, trail: trailOf(details), accountId })
}

/** Only an answer that broke off is taken apart for its reason: there are few. */
function outcomeOfTuple(usage: Tuple, httpStatus: number): Outcome {
  const isInterrupted = usage[USAGE_AT.isInterrupted] === 1
  const status = isInterrupted ? 'interrupted' : 'complete'
  return outcomeOf({ httpStatus, status, errorCode: isInterrupted ? errorCodeOf(usage) : null })
}

function errorCodeOf(usage: Tuple): string | null {
  const details = JSON.parse(usage[USAGE_COLUMN_COUNT - 1] as string) as readonly unknown[]
  return details[detailAt('errorCode')] as string | null
}

/** Sums in memory, by their dimensions; `take` empties them. */
export function createRollupSums() {
  const rows = new Map<string, RollupCells>()

  function rowOf(quarter: number, facts: RollupFacts, accountId: string): RollupCells {
    const { keyId } = facts
    const model = modelOf(facts)
    const statusClass = Math.min(5, Math.max(2, Math.floor(facts.httpStatus / 100)))
    const name = `${quarter} ${keyId} ${accountId} ${statusClass} ${model}`
    let row = rows.get(name)
    if (!row) {
      row = [quarter, keyId, model, accountId, statusClass, ...NO_SUMS]
      rows.set(name, row)
    }
    return row
  }

  return {
    add(facts: RollupFacts): void {
      const quarter = quarterOf(facts.requestId)
      const row = rowOf(quarter, facts, facts.accountId)
      const { tokens, cache } = facts
      row[5] += 1
      if (facts.outcome === 'failed') row[6] += 1
      else if (facts.outcome === 'refused') row[7] += 1
      row[8] += tokens.input
      row[9] += tokens.output
      row[10] += tokens.cacheRead
      row[11] += tokens.cacheWrite5m
      row[12] += tokens.cacheWrite1h
      row[13] += facts.costMicro
      row[15] += cache.readSavedMicro
      row[16] += cache.writeExtraMicro
      row[17] += cache.lostMicro
      for (const [accountId, listCostMicro] of facts.listCosts) {
        if (accountId === facts.accountId) row[14] += listCostMicro
        else if (listCostMicro > 0) rowOf(quarter, facts, accountId)[14] += listCostMicro
      }
    },

    forget(): void {
      if (rows.size > 0) rows.clear()
    },

    take(): readonly RollupCells[] {
      if (rows.size === 0) return NONE
      const taken = [...rows.values()]
      rows.clear()
      return taken
    },
  }
}

const NONE: readonly RollupCells[] = []
const NO_SUMS: readonly number[] = SUMS.map(() => 0)

// Sums are kept for good, so nobody may fill them with names of his own: what was refused, by us or upstream,
// has no model here. Where unknown models have a price, any name comes as far as upstream.
function modelOf({ httpStatus, attemptCount, costMicro, model }: RollupFacts): string {
  const isRefused = httpStatus >= 400 && (httpStatus < 500 || attemptCount === 0)
  return isRefused && costMicro === 0 ? '' : model
}

/** Adds sums to the stored ones. */
export function rollupWriter(db: Database) {
  const upsert = db.prepare<RollupCells>(
    `INSERT INTO usage_rollups (${ROLLUP_COLUMNS.join(', ')}) VALUES (${ROLLUP_COLUMNS.map(() => '?').join(', ')})
     ON CONFLICT DO UPDATE SET ${SUMS.map((name) => `${name} = ${name} + excluded.${name}`).join(', ')}`,
  )
  return function write(rows: readonly RollupCells[]): void {
    for (const row of rows) upsert.run(...row)
  }
}

/** Makes the sums of all details that there are, anew; sums of older times stay. */
export function fillRollups(db: Database): void {
  const write = rollupWriter(db)
  const sql = (text: string) => db.prepare<unknown[]>(text)
  const next = sql('SELECT min(request_id) FROM usage WHERE request_id >= ?').pluck()
  for (let floor = ''; ; ) {
    const id = next.get(floor) as string | null
    if (id === null) return
    const quarter = quarterOf(id)
    db.prepare('DELETE FROM usage_rollups WHERE quarter = ?').run(quarter)
    write(rollupsOfQuarter(sql, quarter))
    floor = floorOf(quarter + 1)
    invariant(floor > id, 'the ids of requests are made of times')
  }
}

/** The sums that the details of a quarter make. */
export function rollupsOfQuarter(
  sql: (text: string) => Statement<unknown[]>,
  quarter: number,
): readonly RollupCells[] {
  const sums = createRollupSums()
  const rows = sql(
    'SELECT * FROM usage WHERE request_id >= ? AND request_id < ? ORDER BY request_id',
  ).iterate(floorOf(quarter), floorOf(quarter + 1)) as IterableIterator<UsageDetails>
  for (const row of rows) sums.add(factsOf(toUsageRecord(row)))
  return sums.take()
}

function floorOf(quarter: number): string {
  return idFloor('request', quarter * ROLLUP_MS)
}
