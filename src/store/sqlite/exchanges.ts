import { availableMicro, type Balance, chargeIdOf, settle } from '../../billing/ledger.ts'
import { invariant } from '../../core/invariant.ts'
import type { Hold } from '../../core/model.ts'
import type { HoldResult, SettleResult } from '../store.ts'
import type { Context } from './context.ts'
import {
  HOLD_AT,
  HOLD_COLUMNS,
  type HoldRow,
  type Tuple,
  toHold,
  USAGE_AT,
  USAGE_COLUMNS,
} from './usage-rows.ts'

type WalletCells = readonly [balanceMicro: number, heldMicro: number, lastEntryId: string | null]
type HoldCells = readonly [userId: string, amountMicro: number]

/** A key's last use is written at most this often; the usage rows know it exactly. */
const KEY_ACTIVITY_MS = 60_000

/**
 * The hot path: what every request writes. Call each inside a write transaction. When one throws, the
 * transaction must be rolled back, or back to a savepoint: it may have stopped halfway.
 */
export function exchangeOperations({ db }: Context) {
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
  const writeWallet = db.prepare<[number, number, string | null, string]>(
    'UPDATE wallets SET balance_micro = ?, held_micro = ?, last_entry_id = ? WHERE user_id = ?',
  )
  const insertHold = db.prepare<[Tuple]>(
    `INSERT INTO holds (${HOLD_COLUMNS}, state, phase) VALUES (${marks(HOLD_COLUMNS)}, 'open', 'sent')`,
  )
  const readHold = db
    .prepare<[string], HoldCells>('SELECT user_id, amount_micro FROM holds WHERE request_id = ?')
    .raw()
  const closeHold = db.prepare<[string, string]>(
    `UPDATE holds SET state = ? WHERE request_id = ? AND state = 'open'`,
  )
  const insertCharge = db.prepare<[string, string, number, number, string | null, string, number]>(
    `INSERT INTO ledger (id, user_id, type, amount_micro, balance_after_micro, previous_id, request_id,
       actor, created_at_ms) VALUES (?, ?, 'charge', ?, ?, ?, ?, 'system', ?)`,
  )
  const insertUsage = db.prepare<[Tuple]>(
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

  function writeUsage(usage: Tuple): void {
    insertUsage.run(usage)
    const keyId = usage[USAGE_AT.keyId] as string
    const createdAtMs = usage[USAGE_AT.createdAtMs] as number
    if (createdAtMs - (touchedAtMs.get(keyId) ?? 0) < KEY_ACTIVITY_MS) return
    touchKey.run(keyId, createdAtMs, usage[USAGE_AT.clientIp] as string | null)
    touchedAtMs.set(keyId, createdAtMs)
  }

  function balanceOf(userId: string): Balance & { readonly lastEntryId: string | null } {
    const wallet = readWallet.get(userId)
    invariant(wallet, `user ${userId} has a wallet`)
    return { balanceMicro: wallet[0], heldMicro: wallet[1], lastEntryId: wallet[2] }
  }

  return {
    openHold(hold: Tuple): HoldResult {
      const userId = hold[HOLD_AT.userId] as string
      const amountMicro = hold[HOLD_AT.amountMicro] as number
      invariant(
        Number.isSafeInteger(amountMicro) && amountMicro >= 0,
        'a hold is an integer of at least 0',
      )
      if (reserve.run(amountMicro, userId, amountMicro).changes === 0) {
        const balance = balanceOf(userId)
        return {
          kind: 'insufficient_credit',
          availableMicro: availableMicro(balance),
          balanceMicro: balance.balanceMicro,
        }
      }
      insertHold.run(hold)
      const after = balanceOf(userId)
      return { kind: 'held', balanceMicro: after.balanceMicro, heldMicro: after.heldMicro }
    },

    settleHold(usage: Tuple): SettleResult {
      const requestId = usage[USAGE_AT.requestId] as string
      const hold = readHold.get(requestId)
      if (!hold || closeHold.run('settled', requestId).changes === 0)
        return { kind: 'already_closed' }
      const [userId, holdMicro] = hold
      invariant(
        userId === usage[USAGE_AT.userId],
        'a request is charged to the user who holds for it',
      )
      const costMicro = usage[USAGE_AT.costMicro] as number
      const before = balanceOf(userId)
      const after = settle(before, { holdMicro, costMicro })
      const chargeId = chargeIdOf(requestId)
      insertCharge.run(
        chargeId,
        userId,
        0 - costMicro,
        after.balanceMicro,
        before.lastEntryId,
        requestId,
        // An entry is made when the request ends: only so are a wallet's entries in the order of time.
        (usage[USAGE_AT.createdAtMs] as number) + (usage[USAGE_AT.durationMs] as number),
      )
      writeWallet.run(after.balanceMicro, after.heldMicro, chargeId, userId)
      writeUsage(usage)
      return { kind: 'closed', balanceMicro: after.balanceMicro }
    },

    voidHold(usage: Tuple): SettleResult {
      const requestId = usage[USAGE_AT.requestId] as string
      const hold = readHold.get(requestId)
      if (!hold || closeHold.run('voided', requestId).changes === 0)
        return { kind: 'already_closed' }
      const [userId, holdMicro] = hold
      invariant(usage[USAGE_AT.costMicro] === 0, 'a voided request costs nothing')
      const before = balanceOf(userId)
      const after = settle(before, { holdMicro, costMicro: 0 })
      writeWallet.run(after.balanceMicro, after.heldMicro, before.lastEntryId, userId)
      writeUsage(usage)
      return { kind: 'closed', balanceMicro: after.balanceMicro }
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
      const rows = db
        .prepare(
          `SELECT * FROM holds INDEXED BY holds_open WHERE state = 'open' ORDER BY request_id`,
        )
        .all() as HoldRow[]
      return rows.map(toHold)
    },
  }
}

function marks(columns: string): string {
  return columns
    .split(',')
    .map(() => '?')
    .join(', ')
}
