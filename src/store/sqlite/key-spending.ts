// The counters of keys with a spend limit: one row per window that counts.
import type { Database } from 'better-sqlite3'
import { idFloor } from '../../core/ids.ts'
import { invariant } from '../../core/invariant.ts'
import type { Micro } from '../../core/money.ts'
import type { KeyLimitReached, Window } from '../store.ts'
import { keySpent } from './key-spent.ts'

type WindowCells = readonly [sinceMs: number, untilMs: number]
type UseCells = readonly [limitMicro: number | null, spentMicro: number, heldMicro: number]

/** What a hold is counted as: in the window that began then, in none, or not at all, for want of room. */
export type Counted =
  | { readonly kind: 'counted'; readonly sinceMs: number }
  | { readonly kind: 'unlimited' }
  | KeyLimitReached

const NONE: readonly WindowCells[] = []

/**
 * Keeps `key_spending`. Call everything inside a write transaction. `beforeSums` writes the roll-ups that the
 * caller has collected and not written yet: sums are made from them.
 */
export function keySpending(db: Database, beforeSums: () => void = () => {}) {
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
  // What the new window overlaps, and what came before it and has no open hold any more. A later window stays:
  // the new one may be that of a straggler.
  const endOthers = db.prepare<{ keyId: string; sinceMs: number; untilMs: number }>(
    `DELETE FROM key_spending WHERE key_id = @keyId AND since_ms < @untilMs AND (until_ms > @sinceMs
       OR NOT EXISTS (SELECT 1 FROM holds h INDEXED BY holds_open WHERE h.state = 'open'
         AND h.key_id = @keyId AND h.limit_since_ms = key_spending.since_ms))`,
  )
  const stamp = db.prepare<{ keyId: string; sinceMs: number; first: string; end: string }>(
    `UPDATE holds INDEXED BY holds_open SET limit_since_ms = CASE
         WHEN request_id >= @first AND request_id < @end THEN CAST(@sinceMs AS INTEGER)
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
  const spentIn = keySpent(db)
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

  function start(keyId: string, window: Window): void {
    const { sinceMs, untilMs } = window
    endOthers.run({ keyId, sinceMs, untilMs })
    const [first, end] = [idFloor('request', sinceMs), idFloor('request', untilMs)]
    stamp.run({ keyId, sinceMs, first, end })
    beforeSums()
    begin.run(keyId, sinceMs, untilMs, spentIn(keyId, window), keyId, sinceMs)
    known.delete(keyId)
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

    /** Reserves room for a new hold of a request made at `atMs`; `window` is what the caller takes for its. */
    count(
      keyId: string,
      opening: { amountMicro: Micro; atMs: number; window: Window | null },
    ): Counted {
      const { amountMicro, atMs, window } = opening
      const current = windowsOf(keyId).find(
        ([sinceMs, untilMs]) => sinceMs <= atMs && atMs < untilMs,
      )
      if (current === undefined) {
        // A limit that was just taken away; or one that the caller does not know yet: then no window is
        // missing, because whoever sets a limit starts the current one.
        if (window === null || (readLimit.get(keyId) ?? null) === null) return { kind: 'unlimited' }
        const isInside = window.sinceMs <= atMs && atMs < window.untilMs
        invariant(isInside, 'the window of a hold is the one that its request was made in')
        start(keyId, window)
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
      else start(keyId, window)
    },
  }
}
