import { idFloor } from '../../core/ids.ts'
import { ROLLUP_MS, type Window } from '../store.ts'
import type { Context } from './context.ts'

/** What a key has spent lately. */
export interface Spent {
  /** Its last request of this month or the last 24 hours; null when its details are gone. */
  readonly last_request_id: string | null
  readonly day_micro: number
  readonly month_micro: number
}

interface SumRow {
  readonly key_id: string
  readonly last_quarter: number
  readonly day_micro: number
  readonly month_micro: number
}

const DAY_MS = 86_400_000

/** What keys have done lately. */
export function keyActivity({ sql }: Pick<Context, 'sql'>) {
  /**
   * This month's and the last 24 hours' sums from the roll-ups. Of the details are read the quarter of an hour
   * that 24 hours begin in, and those in which keys were last used.
   */
  function spentBy(keyId: string | null, now: number): ReadonlyMap<string, Spent> {
    const date = new Date(now)
    const month = Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1) / ROLLUP_MS
    const beginMs = now - DAY_MS
    const day = Math.ceil(beginMs / ROLLUP_MS)
    const sums = sql(
      `SELECT key_id, max(quarter) AS last_quarter,
         coalesce(sum(cost_micro) FILTER (WHERE quarter >= @day), 0) AS day_micro,
         coalesce(sum(cost_micro) FILTER (WHERE quarter >= @month), 0) AS month_micro
       FROM usage_rollups WHERE quarter >= @since AND requests > 0 AND (@keyId IS NULL OR key_id = @keyId)
       GROUP BY key_id`,
    ).all({ day, month, since: Math.min(day - 1, month), keyId }) as SumRow[]
    const begun = detailsBy(keyId, { sinceMs: beginMs, untilMs: day * ROLLUP_MS })
    const lastIn = new Map<number, ReturnType<typeof detailsBy>>()
    return new Map(
      sums.map((row) => {
        const sinceMs = row.last_quarter * ROLLUP_MS
        const last =
          lastIn.get(row.last_quarter) ??
          detailsBy(keyId, { sinceMs, untilMs: sinceMs + ROLLUP_MS })
        lastIn.set(row.last_quarter, last)
        const spent = {
          last_request_id: last.get(row.key_id)?.last_request_id ?? null,
          day_micro: row.day_micro + (begun.get(row.key_id)?.micro ?? 0),
          month_micro: row.month_micro,
        }
        return [row.key_id, spent]
      }),
    )
  }

  /** Sums of a short time, from the narrow index. */
  function detailsBy(keyId: string | null, { sinceMs, untilMs }: Window) {
    const rows = sql(
      `SELECT key_id, max(request_id) AS last_request_id, sum(cost_micro) AS micro FROM usage
       WHERE request_id >= @since AND request_id < @until AND (@keyId IS NULL OR key_id = @keyId)
       GROUP BY key_id`,
    ).all({ since: idFloor('request', sinceMs), until: idFloor('request', untilMs), keyId }) as {
      key_id: string
      last_request_id: string
      micro: number
    }[]
    return new Map(rows.map((row) => [row.key_id, row]))
  }

  return { spentBy }
}
