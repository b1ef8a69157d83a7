// The counters of keys with a spend limit: one row per window that counts.
import type { Database } from 'better-sqlite3'
import { idFloor } from '../../core/ids.ts'
import { invariant } from '../../core/invariant.ts'
import type { Micro } from '../../core/money.ts'
import type { KeyLimitReached, Window } from '../store.ts'
import { ROLLUP_MS } from '../store.ts'

type WindowCells = readonly [sinceMs: number, untilMs: number]
type UseCells = readonly [limitMicro: number | null, spentMicro: number, heldMicro: number]

/** What a hold is counted as: in the window that began then, in none, or not at all, for want of room. */
export type Counted =
  | { readonly kind: 'counted'; readonly sinceMs: number }
  | { readonly kind: 'unlimited' }
  | KeyLimitReached

/** How long before its hold a request's id may have been made, by two looks at a clock that was set back. */
const BEFORE_HOLD_MS = 2 * 3_600_000
const NONE: readonly WindowCells[] = []

/** Keeps `key_spending`. Call everything inside a write transaction. */
export function keySpending(db: Database) {
  const readWindows = db
    .prepare<[string], WindowCells>('SELECT since_ms, until_ms FROM key_spending WHERE key_id = ?')
    .raw()
  const readUse = db
    .prepare<[string, number], UseCells>(
      `SELECT k.spend_limit_micro, s.spent_micro, s.held_micro FROM keys k
       JOIN key_spending s ON s.key_id = k.id WHERE k.id = ? AND s.since_ms = ?`,
    )
    .raw()
  const readLimit = db
    .prepare<[string], number | null>('SELECT spend_limit_micro FROM keys WHERE id = ?')
    .pluck()
  // CAST, because the driver binds numbers as floats and money is added as integers only.
  const reserve = db.prepare<[number, string, number, number, string]>(
    `UPDATE key_spending SET held_micro = held_micro + CAST(? AS INTEGER)
     WHERE key_id = ? AND since_ms = ? AND spent_micro + held_micro + CAST(? AS INTEGER)
       <= (SELECT spend_limit_micro FROM keys WHERE id = ?)`,
  )
  const move = db.prepare<[number, number, string, number]>(
    `UPDATE key_spending SET held_micro = held_micro + CAST(? AS INTEGER),
       spent_micro = spent_micro + CAST(? AS INTEGER) WHERE key_id = ? AND since_ms = ?`,
  )
  const endAll = db.prepare<[string]>('DELETE FROM key_spending WHERE key_id = ?')
  // What no open hold is counted in any more, and what the new window overlaps.
  const endOthers = db.prepare<{ keyId: string; sinceMs: number; untilMs: number }>(
    `DELETE FROM key_spending WHERE key_id = @keyId AND (since_ms < @untilMs AND until_ms > @sinceMs
       OR NOT EXISTS (SELECT 1 FROM holds h INDEXED BY holds_open WHERE h.state = 'open'
         AND h.key_id = @keyId AND h.limit_since_ms = key_spending.since_ms))`,
  )
  const stamp = db.prepare<{ keyId: string; sinceMs: number; untilMs: number }>(
    `UPDATE holds INDEXED BY holds_open SET limit_since_ms = CASE
         WHEN opened_at_ms >= @sinceMs AND opened_at_ms < @untilMs THEN CAST(@sinceMs AS INTEGER)
         ELSE (SELECT since_ms FROM key_spending WHERE key_id = @keyId AND since_ms = limit_since_ms) END
     WHERE state = 'open' AND key_id = @keyId`,
  )
  const unstamp = db.prepare<[string]>(
    `UPDATE holds INDEXED BY holds_open SET limit_since_ms = NULL WHERE state = 'open' AND key_id = ?`,
  )
  const begin = db.prepare<[string, number, number, number, string, number]>(
    `INSERT INTO key_spending (key_id, since_ms, until_ms, spent_micro, held_micro) VALUES (?, ?, ?, ?,
       (SELECT coalesce(sum(amount_micro), 0) FROM holds INDEXED BY holds_open
        WHERE state = 'open' AND key_id = ? AND limit_since_ms = ?))`,
  )
  const sumSpent = db
    .prepare<[string, string, number, number], number>(
      `SELECT coalesce(sum(u.cost_micro), 0) FROM usage u
       CROSS JOIN holds h ON h.request_id = u.request_id
       WHERE u.request_id >= ? AND u.key_id = ? AND h.opened_at_ms >= ? AND h.opened_at_ms < ?`,
    )
    .pluck()
  const hasSpent = db
    .prepare<[number, string], number>(
      `SELECT EXISTS (SELECT 1 FROM usage_rollups WHERE quarter >= ? AND key_id = ? AND cost_micro > 0)`,
    )
    .pluck()
  // Windows as this transaction has left them. Most keys have none, and then this is all that limits cost.
  const known = new Map<string, readonly WindowCells[]>()

  function windowsOf(keyId: string): readonly WindowCells[] {
    let windows = known.get(keyId)
    if (windows === undefined) {
      const found = readWindows.all(keyId)
      windows = found.length === 0 ? NONE : found
      known.set(keyId, windows)
    }
    return windows
  }

  function spentIn(keyId: string, { sinceMs, untilMs }: Window): Micro {
    const floor = idFloor('request', Math.max(0, sinceMs - BEFORE_HOLD_MS))
    return sumSpent.get(floor, keyId, sinceMs, untilMs) ?? 0
  }

  function start(keyId: string, window: Window, spentMicro: Micro): void {
    const { sinceMs, untilMs } = window
    endOthers.run({ keyId, sinceMs, untilMs })
    stamp.run({ keyId, sinceMs, untilMs })
    begin.run(keyId, sinceMs, untilMs, spentMicro, keyId, sinceMs)
    known.delete(keyId)
  }

  /** The next window of a key: nearly always nothing was spent in it, which the few newest roll-ups show. */
  function startNext(keyId: string, window: Window): void {
    const isNext = windowsOf(keyId).some(([, untilMs]) => untilMs <= window.sinceMs)
    const isNew = isNext && hasSpent.get(Math.floor(window.sinceMs / ROLLUP_MS), keyId) === 0
    start(keyId, window, isNew ? 0 : spentIn(keyId, window))
  }

  /** Reserves in the window that began at `sinceMs`; null when there was room. */
  function more(keyId: string, sinceMs: number, amountMicro: Micro): KeyLimitReached | null {
    if (reserve.run(amountMicro, keyId, sinceMs, amountMicro, keyId).changes === 1) return null
    const use = readUse.get(keyId, sinceMs)
    invariant(use && use[0] !== null, 'only keys with a limit have a window')
    return { kind: 'key_limit', limitMicro: use[0], spentMicro: use[1], heldMicro: use[2] }
  }

  return {
    /** Call when a transaction begins, and when anything else may have changed limits within it. */
    forget(): void {
      if (known.size > 0) known.clear()
    },

    /** Reserves room for a new hold. `window` is what the caller takes for the current one. */
    count(
      keyId: string,
      opening: { amountMicro: Micro; openedAtMs: number; window: Window | null },
    ): Counted {
      const { amountMicro, openedAtMs, window } = opening
      const current = windowsOf(keyId).find(
        ([sinceMs, untilMs]) => sinceMs <= openedAtMs && openedAtMs < untilMs,
      )
      if (current === undefined) {
        // A limit that was just taken away; or one that the caller does not know yet: then no window is
        // missing, because whoever sets a limit starts the current one.
        if (window === null || (readLimit.get(keyId) ?? null) === null) return { kind: 'unlimited' }
        const isInside = window.sinceMs <= openedAtMs && openedAtMs < window.untilMs
        invariant(isInside, 'the window of a hold is that of its opening')
        startNext(keyId, window)
      }
      const sinceMs = current?.[0] ?? window?.sinceMs ?? 0
      return more(keyId, sinceMs, amountMicro) ?? { kind: 'counted', sinceMs }
    },

    /** True when holds of the key may be counted somewhere. */
    isLimited(keyId: string): boolean {
      return windowsOf(keyId).length > 0
    },

    more,

    /** Takes a hold, or a part of it, out of its window, and adds what it cost. */
    release(keyId: string, sinceMs: number, amounts: { heldMicro: Micro; costMicro: Micro }): void {
      const { changes } = move.run(0 - amounts.heldMicro, amounts.costMicro, keyId, sinceMs)
      invariant(changes === 1, 'a window lasts as long as the open holds that count in it')
    },

    /** After a change of the limit: counts again in its current window, or no more when there is none. */
    restart(keyId: string, window: Window | null): void {
      endAll.run(keyId)
      known.delete(keyId)
      if (window === null) unstamp.run(keyId)
      else start(keyId, window, spentIn(keyId, window))
    },
  }
}
