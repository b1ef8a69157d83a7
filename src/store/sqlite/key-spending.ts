// The counters of keys with a spend limit: one row per key, for the window that it is in.
import type { Database } from 'better-sqlite3'
import { idFloor } from '../../core/ids.ts'
import { invariant } from '../../core/invariant.ts'
import type { Micro } from '../../core/money.ts'
import type { KeyLimitReached, Window } from '../store.ts'
import { ROLLUP_MS } from '../store.ts'

type WindowCells = readonly [sinceMs: number, untilMs: number]
type LimitCells = readonly [limitMicro: number | null, spentMicro: number, heldMicro: number]

/** What a hold is counted as: in the window that began then, in none, or not at all, for want of room. */
export type Counted =
  | { readonly kind: 'counted'; readonly sinceMs: number }
  | { readonly kind: 'unlimited' }
  | KeyLimitReached

/** How long before its hold a request's id may have been made. */
const BEFORE_HOLD_MS = 2 * 3_600_000

/** What a key's requests opened in a window have cost, by the details. */
const SPENT_IN_WINDOW = `
  SELECT coalesce(sum(u.cost_micro), 0) FROM usage u CROSS JOIN holds h ON h.request_id = u.request_id
  WHERE u.request_id >= ? AND u.key_id = ? AND h.opened_at_ms >= ? AND h.opened_at_ms < ?`

/** Keeps `key_spending`. Call everything inside a write transaction. */
export function keySpending(db: Database) {
  const readWindow = db
    .prepare<[string], WindowCells>('SELECT since_ms, until_ms FROM key_spending WHERE key_id = ?')
    .raw()
  const readUse = db
    .prepare<[string], LimitCells>(
      `SELECT k.spend_limit_micro, s.spent_micro, s.held_micro FROM keys k
       JOIN key_spending s ON s.key_id = k.id WHERE k.id = ?`,
    )
    .raw()
  const readLimit = db
    .prepare<[string], number | null>('SELECT spend_limit_micro FROM keys WHERE id = ?')
    .pluck()
  // CAST, because the driver binds numbers as floats and money is added as integers only.
  const hold = db.prepare<[number, string, number, string]>(
    `UPDATE key_spending SET held_micro = held_micro + CAST(? AS INTEGER)
     WHERE key_id = ? AND spent_micro + held_micro + CAST(? AS INTEGER)
       <= (SELECT spend_limit_micro FROM keys WHERE id = ?)`,
  )
  const move = db.prepare<[number, number, string, number]>(
    `UPDATE key_spending SET held_micro = held_micro + CAST(? AS INTEGER),
       spent_micro = spent_micro + CAST(? AS INTEGER) WHERE key_id = ? AND since_ms = ?`,
  )
  const end = db.prepare<[string]>('DELETE FROM key_spending WHERE key_id = ?')
  const unstamp = db.prepare<[string]>(
    `UPDATE holds INDEXED BY holds_open SET limit_since_ms = NULL WHERE state = 'open' AND key_id = ?`,
  )
  const stamp = db.prepare<[number, string, number, number]>(
    `UPDATE holds INDEXED BY holds_open SET limit_since_ms = ?
     WHERE state = 'open' AND key_id = ? AND opened_at_ms >= ? AND opened_at_ms < ?`,
  )
  const begin = db.prepare<[string, number, number, number, string, number]>(
    `INSERT INTO key_spending (key_id, since_ms, until_ms, spent_micro, held_micro) VALUES (?, ?, ?, ?,
       (SELECT coalesce(sum(amount_micro), 0) FROM holds INDEXED BY holds_open
        WHERE state = 'open' AND key_id = ? AND limit_since_ms = ?))`,
  )
  const sumSpent = db.prepare<[string, string, number, number], number>(SPENT_IN_WINDOW).pluck()
  const rolledUp = db
    .prepare<[number, string], number>(
      `SELECT EXISTS (SELECT 1 FROM usage_rollups WHERE quarter >= ? AND key_id = ? AND cost_micro > 0)`,
    )
    .pluck()
  // Windows as this transaction has left them, null for keys that have none: most have none, and then this
  // is all that a limit costs them.
  const known = new Map<string, WindowCells | null>()

  function windowOf(keyId: string): WindowCells | null {
    let window = known.get(keyId)
    if (window === undefined) {
      window = readWindow.get(keyId) ?? null
      known.set(keyId, window)
    }
    return window
  }

  function spentIn(keyId: string, { sinceMs, untilMs }: Window): Micro {
    const floor = idFloor('request', Math.max(0, sinceMs - BEFORE_HOLD_MS))
    return sumSpent.get(floor, keyId, sinceMs, untilMs) ?? 0
  }

  /** Starts a window over: the key has no other one, and its open holds count in this one or in none. */
  function start(keyId: string, window: Window, spentMicro: Micro): void {
    const { sinceMs, untilMs } = window
    end.run(keyId)
    unstamp.run(keyId)
    stamp.run(sinceMs, keyId, sinceMs, untilMs)
    begin.run(keyId, sinceMs, untilMs, spentMicro, keyId, sinceMs)
    known.set(keyId, [sinceMs, untilMs])
  }

  /** The next window of a key: nearly always nothing was spent in it, which the few newest roll-ups show. */
  function startNext(keyId: string, before: WindowCells | null, window: Window): void {
    const isNext = before !== null && before[1] <= window.sinceMs
    const isNew = isNext && rolledUp.get(Math.floor(window.sinceMs / ROLLUP_MS), keyId) === 0
    start(keyId, window, isNew ? 0 : spentIn(keyId, window))
  }

  /** Reserves room for a new hold. `window` is what the caller takes for the current one. */
  function count(
    keyId: string,
    opening: { amountMicro: Micro; openedAtMs: number; window: Window | null },
  ): Counted {
    const { amountMicro, openedAtMs, window } = opening
    let current = windowOf(keyId)
    if (current === null || openedAtMs < current[0] || openedAtMs >= current[1]) {
      // A limit that was just taken away; or one that the caller does not know yet: then none of its windows
      // holds this instant, because whoever sets a limit starts the window that does.
      if (window === null || (readLimit.get(keyId) ?? null) === null) return { kind: 'unlimited' }
      const isInside = window.sinceMs <= openedAtMs && openedAtMs < window.untilMs
      invariant(isInside, 'the window of a hold is that of its opening')
      startNext(keyId, current, window)
      current = [window.sinceMs, window.untilMs]
    }
    return more(keyId, amountMicro) ?? { kind: 'counted', sinceMs: current[0] }
  }

  /** Reserves more in the current window; null when there was room. */
  function more(keyId: string, amountMicro: Micro): KeyLimitReached | null {
    if (hold.run(amountMicro, keyId, amountMicro, keyId).changes === 1) return null
    const use = readUse.get(keyId)
    invariant(use && use[0] !== null, 'only keys with a limit have a window')
    return { kind: 'key_limit', limitMicro: use[0], spentMicro: use[1], heldMicro: use[2] }
  }

  return {
    forget(): void {
      if (known.size > 0) known.clear()
    },

    count,

    /** True when a closing or resized hold of the key may be counted somewhere. */
    isLimited(keyId: string): boolean {
      return windowOf(keyId) !== null
    },

    /** True when holds stamped with `sinceMs` are counted in the key's current window. */
    isCurrent(keyId: string, sinceMs: number | null): sinceMs is number {
      return sinceMs !== null && windowOf(keyId)?.[0] === sinceMs
    },

    more,

    /** Takes a part of an open hold out of the current window. */
    giveBack(keyId: string, amountMicro: Micro): void {
      const current = windowOf(keyId)
      if (current) move.run(0 - amountMicro, 0, keyId, current[0])
    },

    /** Takes a closed hold out of its window, and counts what it cost. */
    release(keyId: string, sinceMs: number, amounts: { heldMicro: Micro; costMicro: Micro }): void {
      move.run(0 - amounts.heldMicro, amounts.costMicro, keyId, sinceMs)
    },

    /** After a change of limit or period: counts again in its current window, or no more when there is none. */
    restart(keyId: string, window: Window | null): void {
      if (window !== null) {
        start(keyId, window, spentIn(keyId, window))
        return
      }
      end.run(keyId)
      unstamp.run(keyId)
      known.set(keyId, null)
    },
  }
}

export type KeySpending = ReturnType<typeof keySpending>
