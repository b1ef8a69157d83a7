import { ID_PREFIX, idFloor } from '../../core/ids.ts'
import type { UsageRefund } from '../../core/model.ts'
import type { Page, PendingUsage, UsageFilter, UsageRow } from '../store.ts'
import { type Context, prefixEnd, snapshot } from './context.ts'
import { detailAt, type HoldRow, toHold, toUsageRecord, type UsageDetails } from './usage-rows.ts'
import { globOf, type RollupFilter, usageSumOperations } from './usage-sums.ts'

interface NamedDetails extends UsageDetails {
  readonly user_name: string
  readonly key_name: string
  readonly key_last4: string
  readonly balance_after_micro: number | null
}

const SELECT = `
  SELECT u.*, s.name AS user_name, k.name AS key_name, k.last4 AS key_last4, l.balance_after_micro
  FROM usage u JOIN users s ON s.id = u.user_id JOIN keys k ON k.id = u.key_id
  LEFT JOIN ledger l ON l.id = '${ID_PREFIX.entry}' || substr(u.request_id, ${ID_PREFIX.request.length + 1})`

/** Reads of finished requests. */
export function usageOperations(context: Context) {
  const { db, sql } = context
  const { countUsage, sumUsage, summarizeUsage } = usageSumOperations(context)

  function named(rows: readonly NamedDetails[]): readonly UsageRow[] {
    const names = accountNames()
    const refunds = refundsOf(rows)
    return rows.map((row) => {
      const record = toUsageRecord(row)
      const told = new Set(record.attempts.map((attempt) => attempt.accountId))
      for (const { candidates } of record.trail)
        for (const { accountId } of candidates) told.add(accountId)
      return {
        kind: 'usage',
        ...record,
        userName: row.user_name,
        keyName: row.key_name,
        keyLast4: row.key_last4,
        accountName: row.account_id === null ? null : (names.get(row.account_id) ?? null),
        accountNames: Object.fromEntries([...told].map((id) => [id, names.get(id) ?? id])),
        balanceAfterMicro: row.balance_after_micro,
        refunds: refunds.get(record.requestId) ?? [],
      }
    })
  }

  /** Refunds are few: all between the first and the last request of a page cost one look. */
  function refundsOf(
    rows: readonly NamedDetails[],
  ): ReadonlyMap<string | null, readonly UsageRefund[]> {
    let [first, last] = [rows[0]?.request_id ?? '', '']
    for (const { request_id } of rows) {
      if (request_id < first) first = request_id
      if (request_id > last) last = request_id
    }
    const found = sql(
      `SELECT id, request_id AS requestId, amount_micro AS amountMicro, note, created_at_ms AS createdAtMs
       FROM ledger WHERE type = 'refund' AND request_id >= ? AND request_id <= ? ORDER BY id`,
    ).all(first, last) as (UsageRefund & { requestId: string })[]
    const byRequest = Map.groupBy(found, (row) => row.requestId)
    return new Map(
      [...byRequest].map(([id, list]) => [id, list.map(({ requestId: _, ...refund }) => refund)]),
    )
  }

  function accountNames(): ReadonlyMap<string, string> {
    const rows = sql('SELECT id, name FROM accounts').all() as { id: string; name: string }[]
    return new Map(rows.map((row) => [row.id, row.name]))
  }

  function finished(requestId: string, userId: string | null): UsageRow | null {
    const rows = sql(
      `${SELECT} WHERE u.request_id = @requestId AND (@userId IS NULL OR u.user_id = @userId)`,
    ).all({ requestId, userId }) as NamedDetails[]
    return named(rows)[0] ?? null
  }

  function pending(requestId: string, userId: string | null): PendingUsage | null {
    const row = sql(
      `SELECT h.*, k.name AS key_name FROM holds h JOIN keys k ON k.id = h.key_id
       WHERE h.request_id = @requestId AND h.state = 'open' AND (@userId IS NULL OR h.user_id = @userId)`,
    ).get({ requestId, userId }) as (HoldRow & { key_name: string }) | undefined
    return row ? { kind: 'pending', hold: toHold(row), keyName: row.key_name } : null
  }

  function countOf(filter: Omit<UsageFilter, 'limit'>): number {
    const summed = rollupFilter(filter)
    if (summed !== null) return countUsage(summed)
    const { where, params } = conditionsOf(filter)
    const counted = sql(`SELECT count(*) AS total FROM usage u WHERE ${where}`).get(params)
    return (counted as { total: number }).total
  }

  return {
    getUsage(requestId: string, userId?: string): UsageRow | PendingUsage | null {
      // One state of the file: between two reads a request could turn from pending to finished.
      return snapshot(
        db,
        () => finished(requestId, userId ?? null) ?? pending(requestId, userId ?? null),
      )
    },

    findUsageByUpstreamId(upstreamRequestId: string): UsageRow | null {
      // Newest first and without an index: people look up what just happened, and every index is paid
      // for by every request. The text search leaves few candidates; the fields themselves decide.
      const quoted = JSON.stringify(upstreamRequestId)
      const rows = snapshot(db, () =>
        sql(
          `${SELECT} WHERE u.seq = (SELECT seq FROM usage WHERE instr(details, @quoted) > 0 AND
             (details ->> ${detailAt('upstreamRequestId')} = @id OR EXISTS (SELECT 1
               FROM json_each(details, '$[${detailAt('attempts')}]') a
               WHERE a.value ->> 'upstreamRequestId' = @id)) ORDER BY seq DESC LIMIT 1)`,
        ).all({ id: upstreamRequestId, quoted }),
      ) as NamedDetails[]
      return named(rows)[0] ?? null
    },

    findUsageIds(prefix: string): readonly string[] {
      const rows = sql(
        `SELECT request_id FROM usage WHERE request_id >= @prefix AND request_id < @end
         UNION SELECT request_id FROM holds WHERE state = 'open' AND request_id >= @prefix
           AND request_id < @end LIMIT 20`,
      ).all({ prefix, end: prefixEnd(prefix) }) as { request_id: string }[]
      return rows.map((row) => row.request_id)
    },

    listUsage(filter: UsageFilter): Page<UsageRow> & { readonly total: number } {
      const { where, params } = conditionsOf(filter)
      const page = filter.afterId === undefined ? where : `${where} AND u.request_id < @afterId`
      return snapshot(db, () => {
        const rows = sql(`${SELECT} WHERE ${page} ORDER BY u.request_id DESC LIMIT @limit`).all({
          ...params,
          ...(filter.afterId === undefined ? {} : { afterId: filter.afterId }),
          limit: filter.limit + 1,
        }) as NamedDetails[]
        const hasMore = rows.length > filter.limit
        const shown = named(hasMore ? rows.slice(0, filter.limit) : rows)
        if (!hasMore && filter.afterId === undefined)
          return { rows: shown, hasMore, total: shown.length }
        return { rows: shown, hasMore, total: countOf(filter) }
      })
    },

    exportUsage(
      filter: Omit<UsageFilter, 'limit' | 'afterId'>,
      page: { readonly limit: number; readonly afterId: string | null },
    ): Page<UsageRow> {
      const { where, params } = conditionsOf(filter)
      return snapshot(db, () => {
        const rows = sql(
          `${SELECT} WHERE ${where} AND u.request_id > @afterId ORDER BY u.request_id LIMIT @limit`,
        ).all({ ...params, afterId: page.afterId ?? '', limit: page.limit + 1 }) as NamedDetails[]
        const hasMore = rows.length > page.limit
        return { rows: named(hasMore ? rows.slice(0, page.limit) : rows), hasMore }
      })
    },

    usageAfter(requestId: string, limit: number): readonly UsageRow[] {
      return snapshot(db, () => {
        // In the order of writing: a long request is written after younger ones, and must not be missed.
        const last = sql('SELECT seq FROM usage WHERE request_id = ?').get(requestId) as
          | { seq: number }
          | undefined
        const rows = last
          ? sql(`${SELECT} WHERE u.seq > ? ORDER BY u.seq LIMIT ?`).all(last.seq, limit)
          : sql(`${SELECT} WHERE u.request_id > ? ORDER BY u.seq LIMIT ?`).all(requestId, limit)
        return named(rows as NamedDetails[])
      })
    },

    sumUsage: (window: { sinceMs: number; untilMs: number }) =>
      snapshot(db, () => sumUsage(window)),
    summarizeUsage,
  }
}

/** The filter as roll-ups know it; null where only the details can tell. */
function rollupFilter(filter: Omit<UsageFilter, 'limit'>): RollupFilter | null {
  const { httpStatus, model, stream, minCostMicro, rerouted, ...known } = filter
  // Roll-ups leave out the models of refused requests.
  if ([model, stream, minCostMicro, rerouted].some((value) => value !== undefined)) return null
  if (httpStatus === undefined) return known
  const statusClass = /^([2-5])xx$/.exec(httpStatus)
  return statusClass === null ? null : { ...known, statusClass: Number(statusClass[1]) }
}

/** The WHERE clause of a filter; all values are bound. */
function conditionsOf(filter: Omit<UsageFilter, 'limit'>) {
  const conditions: string[] = []
  const params: Record<string, string | number> = {}
  const add = (condition: string, name: string, value: string | number | undefined) => {
    if (value === undefined) return
    conditions.push(condition)
    params[name] = value
  }
  add('u.request_id >= @since', 'since', floorOf(filter.sinceMs))
  add('u.request_id < @until', 'until', floorOf(filter.untilMs))
  add('u.user_id = @userId', 'userId', filter.userId)
  add('u.key_id = @keyId', 'keyId', filter.keyId)
  add('u.account_id = @accountId', 'accountId', filter.accountId)
  if (filter.model?.includes('*')) add('u.model GLOB @model', 'model', globOf(filter.model))
  else add('u.model = @model', 'model', filter.model)
  add(
    'u.stream = @stream',
    'stream',
    filter.stream === undefined ? undefined : Number(filter.stream),
  )
  add('u.cost_micro >= @minCost', 'minCost', filter.minCostMicro)
  const statusClass = /^([1-5])xx$/.exec(filter.httpStatus ?? '')
  if (statusClass) add('u.http_status / 100 = @status', 'status', Number(statusClass[1]))
  else if (filter.httpStatus !== undefined) {
    add('u.http_status = @status', 'status', Number(filter.httpStatus))
  }
  if (filter.rerouted !== undefined) {
    conditions.push(filter.rerouted ? 'u.attempt_count > 1' : 'u.attempt_count <= 1')
  }
  return { where: conditions.length === 0 ? 'TRUE' : conditions.join(' AND '), params }
}

function floorOf(timeMs: number | undefined): string | undefined {
  return timeMs === undefined ? undefined : idFloor('request', timeMs)
}
