import {
  availableMicro,
  type Balance,
  chargeIdOf,
  isStorable,
  resize,
  settle,
} from '../../billing/ledger.ts'
import { invariant } from '../../core/invariant.ts'
import type { Hold } from '../../core/model.ts'
import type { HoldResult, ResizeResult, SettleResult, Window } from '../store.ts'
import type { Context } from './context.ts'
import { keySpending } from './key-spending.ts'
import { createRollupSums, factsOfTuple, madeAtMs, rollupWriter } from './rollups.ts'
import {
  type Cell,
  HOLD_AT,
  HOLD_COLUMN_COUNT,
  HOLD_COLUMNS,
  type HoldRow,
  type Tuple,
  toHold,
  USAGE_AT,
  USAGE_COLUMN_COUNT,
  USAGE_COLUMNS,
} from './usage-rows.ts'

type WalletCells = readonly [balanceMicro: number, heldMicro: number, lastEntryId: string | null]
type HoldCells = readonly [
  userId: string,
  amountMicro: number,
  keyId: string,
  limitSinceMs: number | null,
]

interface WalletState extends Balance {
  readonly lastEntryId: string | null
}

/** A key's last use is written at most this often; the usage rows know it exactly. */
const KEY_ACTIVITY_MS = 60_000

/**
 * The hot path: what every request writes. Call each inside a write transaction. When one throws, the
 * transaction must be rolled back, or back to a savepoint: it may have stopped halfway.
 */
export function exchangeOperations({ db, sql }: Context) {
  // CAST, because the driver binds numbers as floats and money is added as integers only.
  const reserve = db.prepare<[number, string, number]>(
    `UPDATE wallets SET held_micro = held_micro + CAST(? AS INTEGER)
     WHERE user_id = ? AND balance_micro - held_micro >= CAST(? AS INTEGER)`,
  )
  const readWallet = db
    .prepare<[string], WalletCells>(
      'SELECT balance_micro, held_micro, last_entry_id FROM wallets WHERE user_id = ?',
    )
    .raw()
  // Writes what `billing/ledger.ts` made of the balance that was read, and only if it is still that one.
  const writeWallet = db.prepare<[number, number, string | null, string, number]>(
    `UPDATE wallets SET balance_micro = CAST(? AS INTEGER), held_micro = held_micro - CAST(? AS INTEGER),
       last_entry_id = ? WHERE user_id = ? AND balance_micro = CAST(? AS INTEGER)`,
  )
  const moveHeld = db.prepare<[number, string]>(
    'UPDATE wallets SET held_micro = held_micro + CAST(? AS INTEGER) WHERE user_id = ?',
  )
  const insertHold = db.prepare<Cell[]>(
    `INSERT INTO holds (${HOLD_COLUMNS}, limit_since_ms, state, phase)
     VALUES (${marks(HOLD_COLUMNS)}, ?, 'open', 'sent')`,
  )
  const resizeOpen = db.prepare<[number, string]>(
    `UPDATE holds SET amount_micro = amount_micro + CAST(? AS INTEGER)
     WHERE request_id = ? AND state = 'open'`,
  )
  const closeHold = db.prepare<[string, string, string, number]>(
    `UPDATE holds SET state = ?
     WHERE request_id = ? AND state = 'open' AND user_id = ? AND amount_micro = CAST(? AS INTEGER)`,
  )
  const readHold = db
    .prepare<[string], HoldCells>(
      `SELECT user_id, amount_micro, key_id, limit_since_ms FROM holds
       WHERE request_id = ? AND state = 'open'`,
    )
    .raw()
  const readStamp = db
    .prepare<[string], number | null>('SELECT limit_since_ms FROM holds WHERE request_id = ?')
    .pluck()
  const insertCharge = db.prepare<[string, string, number, number, string | null, string, number]>(
    `INSERT INTO ledger (id, user_id, type, amount_micro, balance_after_micro, previous_id, request_id,
       actor, created_at_ms) VALUES (?, ?, 'charge', ?, ?, ?, ?, 'system', ?)`,
  )
  const insertUsage = db.prepare<Cell[]>(
    `INSERT INTO usage (${USAGE_COLUMNS}) VALUES (${marks(USAGE_COLUMNS)})`,
  )
  const moveHold = db.prepare<[string, string]>(
    `UPDATE holds SET account_id = ? WHERE request_id = ? AND state = 'open'`,
  )
  const advanceHold = db.prepare<[string, string, string]>(
    `UPDATE holds SET account_id = ?, phase = 'started', progress = ?
     WHERE request_id = ? AND state = 'open'`,
  )
  const touchKey = db.prepare<[string, number, string | null]>(
    'INSERT OR REPLACE INTO key_activity (key_id, last_used_at_ms, last_ip) VALUES (?, ?, ?)',
  )
  const touchedAtMs = new Map<string, number>()
  // One write per group and transaction, however many of its requests end in it.
  const rollups = createRollupSums()
  const writeRollups = rollupWriter(db)
  const spending = keySpending(db, writeCollected)
  // Wallets as this transaction has left them: nobody else can change them while it holds the lock. What
  // they say decides no admission; it saves reading back what was just written.
  const wallets = new Map<string, WalletState>()

  function writeCollected(): void {
    writeRollups(rollups.take())
  }

  function walletOf(userId: string): WalletState {
    const known = wallets.get(userId)
    if (known) return known
    const cells = readWallet.get(userId)
    invariant(cells, `user ${userId} has a wallet`)
    const wallet = { balanceMicro: cells[0], heldMicro: cells[1], lastEntryId: cells[2] }
    wallets.set(userId, wallet)
    return wallet
  }

  function writeUsage(usage: Tuple): void {
    insertUsage.run(...usage.slice(0, USAGE_COLUMN_COUNT))
    rollups.add(factsOfTuple(usage))
    const keyId = usage[USAGE_AT.keyId] as string
    const createdAtMs = usage[USAGE_AT.createdAtMs] as number
    if (createdAtMs - (touchedAtMs.get(keyId) ?? 0) < KEY_ACTIVITY_MS) return
    touchKey.run(keyId, createdAtMs, usage[USAGE_AT.clientIp] as string | null)
    touchedAtMs.set(keyId, createdAtMs)
  }

  /** Closes the open hold of a request; answers what it held, or null when it is closed already. */
  function close(usage: Tuple, state: 'settled' | 'voided'): number | null {
    const requestId = usage[USAGE_AT.requestId] as string
    const userId = usage[USAGE_AT.userId] as string
    const expectedMicro = usage[USAGE_AT.holdMicro] as number
    if (closeHold.run(state, requestId, userId, expectedMicro).changes === 1) return expectedMicro
    const hold = readHold.get(requestId)
    if (!hold) return null
    // Open, but not as the caller remembers it: the row's amount is what the wallet holds.
    const [holder, holdMicro] = hold
    invariant(holder === userId, 'a request is charged to the user who holds for it')
    closeHold.run(state, requestId, userId, holdMicro)
    return holdMicro
  }

  /** Counts what a closed hold cost where the hold was counted. */
  function releaseLimit(usage: Tuple, heldMicro: number): void {
    const keyId = usage[USAGE_AT.keyId] as string
    if (!spending.isLimited(keyId)) return
    const sinceMs = readStamp.get(usage[USAGE_AT.requestId] as string) ?? null
    if (sinceMs === null) return
    spending.release(keyId, sinceMs, { heldMicro, costMicro: usage[USAGE_AT.costMicro] as number })
  }

  /** Takes a closed hold and a cost off the wallet; `chargeId` null leaves no trace in the ledger. */
  function release(usage: Tuple, holdMicro: number, chargeId: string | null): number {
    const userId = usage[USAGE_AT.userId] as string
    const costMicro = usage[USAGE_AT.costMicro] as number
    const before = walletOf(userId)
    const after = settle(before, { holdMicro, costMicro })
    if (chargeId !== null) {
      insertCharge.run(
        chargeId,
        userId,
        0 - costMicro,
        after.balanceMicro,
        before.lastEntryId,
        usage[USAGE_AT.requestId] as string,
        // An entry is made when the request ends: only so are a wallet's entries in the order of time.
        (usage[USAGE_AT.createdAtMs] as number) + (usage[USAGE_AT.durationMs] as number),
      )
    }
    const lastEntryId = chargeId ?? before.lastEntryId
    const { changes } = writeWallet.run(
      after.balanceMicro,
      holdMicro,
      lastEntryId,
      userId,
      before.balanceMicro,
    )
    invariant(changes === 1, 'a wallet changes only inside the transaction that read it')
    wallets.set(userId, { ...after, lastEntryId })
    releaseLimit(usage, holdMicro)
    return after.balanceMicro
  }

  /** A wallet as it is after `heldMicro` more were reserved by a statement. */
  function reserved(userId: string, heldMicro: number): WalletState {
    const known = wallets.get(userId)
    const after = known ? { ...known, heldMicro: known.heldMicro + heldMicro } : walletOf(userId)
    wallets.set(userId, after)
    return after
  }

  return {
    /** Call when a transaction begins, and after one or an operation of it was rolled back. */
    beginTransaction(): void {
      wallets.clear()
      spending.forget()
      rollups.forget()
    },

    /**
     * Writes what was collected for a transaction. Call before it or a savepoint is committed, and before
     * anything else reads or writes in it.
     */
    endTransaction: writeCollected,

    /** Call when anything else may have changed wallets or limits within a transaction. */
    forgetRead(): void {
      wallets.clear()
      spending.forget()
    },

    openHold(hold: Tuple): HoldResult {
      const userId = hold[HOLD_AT.userId] as string
      const amountMicro = hold[HOLD_AT.amountMicro] as number
      invariant(isStorable(amountMicro) && amountMicro >= 0, 'a hold is an integer of at least 0')
      if (reserve.run(amountMicro, userId, amountMicro).changes === 0) {
        const wallet = walletOf(userId)
        const { balanceMicro } = wallet
        return { kind: 'insufficient_credit', availableMicro: availableMicro(wallet), balanceMicro }
      }
      const counted = spending.count(hold[HOLD_AT.keyId] as string, {
        amountMicro,
        atMs: madeAtMs(hold[HOLD_AT.requestId] as string),
        window: windowOf(hold),
      })
      if (counted.kind === 'key_limit') {
        moveHeld.run(0 - amountMicro, userId)
        return counted
      }
      const limitSinceMs = counted.kind === 'counted' ? counted.sinceMs : null
      insertHold.run(...hold.slice(0, HOLD_COLUMN_COUNT), limitSinceMs)
      const after = reserved(userId, amountMicro)
      return { kind: 'held', balanceMicro: after.balanceMicro, heldMicro: after.heldMicro }
    },

    /** All or nothing: what one statement reserved is given back where the next finds no room. */
    resizeHold(change: readonly [requestId: string, deltaMicro: number]): ResizeResult {
      const [requestId, deltaMicro] = change
      const hold = readHold.get(requestId)
      if (!hold) return { kind: 'closed' }
      const [userId, holdMicro, keyId, limitSinceMs] = hold
      const effect = resize(walletOf(userId), { holdMicro, deltaMicro })
      if (effect.kind === 'insufficient_credit') return effect
      if (deltaMicro > 0) {
        const isHeld = reserve.run(deltaMicro, userId, deltaMicro).changes === 1
        invariant(isHeld, 'a wallet changes only inside the transaction that read it')
      } else {
        moveHeld.run(deltaMicro, userId)
      }
      if (limitSinceMs !== null) {
        const reached = deltaMicro > 0 ? spending.more(keyId, limitSinceMs, deltaMicro) : null
        if (reached) {
          moveHeld.run(0 - deltaMicro, userId)
          return reached
        }
        if (deltaMicro < 0) {
          spending.release(keyId, limitSinceMs, { heldMicro: 0 - deltaMicro, costMicro: 0 })
        }
      }
      resizeOpen.run(deltaMicro, requestId)
      const after = reserved(userId, deltaMicro)
      return {
        kind: 'resized',
        amountMicro: effect.holdMicro,
        availableMicro: availableMicro(after),
      }
    },

    settleHold(usage: Tuple): SettleResult {
      const holdMicro = close(usage, 'settled')
      if (holdMicro === null) return { kind: 'already_closed' }
      const chargeId = chargeIdOf(usage[USAGE_AT.requestId] as string)
      const balanceMicro = release(usage, holdMicro, chargeId)
      writeUsage(usage)
      return { kind: 'closed', balanceMicro }
    },

    voidHold(usage: Tuple): SettleResult {
      const holdMicro = close(usage, 'voided')
      if (holdMicro === null) return { kind: 'already_closed' }
      invariant(usage[USAGE_AT.costMicro] === 0, 'a voided request costs nothing')
      const balanceMicro = release(usage, holdMicro, null)
      writeUsage(usage)
      return { kind: 'closed', balanceMicro }
    },

    /** `progress` is JSON; null when only the account changed. */
    noteProgress(
      note: readonly [requestId: string, accountId: string, progress: string | null],
    ): void {
      const [requestId, accountId, progress] = note
      if (progress === null) moveHold.run(accountId, requestId)
      else advanceHold.run(accountId, progress, requestId)
    },

    noteRefusal(usage: Tuple): void {
      invariant(usage[USAGE_AT.costMicro] === 0, 'a refused request costs nothing')
      writeUsage(usage)
    },

    listOpenHolds(): readonly Hold[] {
      const rows = sql(
        `SELECT * FROM holds INDEXED BY holds_open WHERE state = 'open' ORDER BY request_id`,
      ).all() as HoldRow[]
      return rows.map(toHold)
    },
  }
}

function windowOf(hold: Tuple): Window | null {
  const sinceMs = hold[HOLD_AT.limitSinceMs] as number | null
  return sinceMs === null ? null : { sinceMs, untilMs: hold[HOLD_AT.limitUntilMs] as number }
}

function marks(columns: string): string {
  return columns
    .split(',')
    .map(() => '?')
    .join(', ')
}
