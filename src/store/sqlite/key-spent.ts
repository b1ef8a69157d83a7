import type { Database } from 'better-sqlite3'
import { idFloor } from '../../core/ids.ts'
import type { Micro } from '../../core/money.ts'
import { ROLLUP_MS, type Window } from '../store.ts'

/**
 * Sums what a key's requests made in a window have cost: whole quarters of an hour from the roll-ups, which
 * must be written by then, and details only where a window begins or ends within a quarter. A request is made
 * when its id was, as in all reports.
 */
export function keySpent(db: Database): (keyId: string, window: Window) => Micro {
  const sumQuarters = db
    .prepare<[string, number, number], number>(
      `SELECT coalesce(sum(cost_micro), 0) FROM usage_rollups INDEXED BY usage_rollups_by_key
       WHERE key_id = ? AND quarter >= ? AND quarter < ?`,
    )
    .pluck()
  const sumDetails = db
    .prepare<[string, string, string], number>(
      `SELECT coalesce(sum(cost_micro), 0) FROM usage INDEXED BY usage_by_request
       WHERE request_id >= ? AND request_id < ? AND key_id = ?`,
    )
    .pluck()

  function detailsIn(keyId: string, sinceMs: number, untilMs: number): Micro {
    if (sinceMs >= untilMs) return 0
    return sumDetails.get(idFloor('request', sinceMs), idFloor('request', untilMs), keyId) ?? 0
  }

  return function spentIn(keyId, { sinceMs, untilMs }) {
    const from = Math.ceil(sinceMs / ROLLUP_MS)
    const to = Math.floor(untilMs / ROLLUP_MS)
    if (from > to) return detailsIn(keyId, sinceMs, untilMs)
    return (
      (sumQuarters.get(keyId, from, to) ?? 0) +
      detailsIn(keyId, sinceMs, from * ROLLUP_MS) +
      detailsIn(keyId, to * ROLLUP_MS, untilMs)
    )
  }
}
