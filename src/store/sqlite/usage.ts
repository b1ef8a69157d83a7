import { ID_PREFIX, idFloor } from '../../core/ids.ts'
import type { Page, PendingUsage, UsageFilter, UsageRow, UsageTotals } from '../store.ts'
import { type Context, prefixEnd, snapshot } from './context.ts'
import { detailAt, type HoldRow, toHold, toUsageRecord, type UsageDetails } from './usage-rows.ts'

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
export function usageOperations({ db, sql }: Context) {
  function named(rows: readonly NamedDetails[]): readonly UsageRow[] {
    const names = accountNames()
    return rows.map((row) => {
      const record = toUsageRecord(row)
      const tried = record.attempts.map((attempt) => attempt.accountId)
      return {
        kind: 'usage',
        ...record,
        userName: row.user_name,
        keyName: row.key_name,
        keyLast4: row.key_last4,
        accountName: row.account_id === null ? null : (names.get(row.account_id) ?? null),
        accountNames: Object.fromEntries(tried.map((id) => [id, names.get(id) ?? id])),
        balanceAfterMicro: row.balance_after_micro,
      }
    })
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
        const { total } = sql(`SELECT count(*) AS total FROM usage u WHERE ${where}`).get(
          params,
        ) as {
          total: number
        }
        const hasMore = rows.length > filter.limit
        return { rows: named(rows.slice(0, filter.limit)), hasMore, total }
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

    sumUsage(window: { sinceMs: number; untilMs: number }): UsageTotals {
      const row = sql(
        `SELECT count(*) AS requests, count(*) FILTER (WHERE http_status >= 400) AS errors,
           coalesce(sum(input_tokens), 0) AS input, coalesce(sum(output_tokens), 0) AS output,
           coalesce(sum(cache_read_tokens), 0) AS cacheRead,
           coalesce(sum(cache_write_5m_tokens), 0) AS cacheWrite5m,
           coalesce(sum(cache_write_1h_tokens), 0) AS cacheWrite1h,
           coalesce(sum(cost_micro), 0) AS costMicro
         FROM usage WHERE request_id >= ? AND request_id < ?`,
      ).get(idFloor('request', window.sinceMs), idFloor('request', window.untilMs)) as {
        requests: number
        errors: number
        costMicro: number
      } & UsageTotals['tokens']
      const { requests, errors, costMicro, ...tokens } = row
      return { requests, errors, tokens, costMicro }
    },
  }
}

/** The WHERE clause of a filter; all values are bound. */
function conditionsOf(filter: UsageFilter) {
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
  add('u.model = @model', 'model', filter.model)
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
