import type { LedgerEntry, LedgerEntryType, Wallet } from '../../core/model.ts'
import type { Micro } from '../../core/money.ts'
import type { By } from '../store.ts'
import type { Context } from './context.ts'

/** A row of the ledger. */
export interface EntryRow {
  readonly id: string
  readonly user_id: string
  readonly type: LedgerEntryType
  readonly amount_micro: number
  readonly balance_after_micro: number
  readonly request_id: string | null
  readonly ref: string | null
  readonly note: string | null
  readonly actor: string
  readonly created_at_ms: number
}

export interface WalletRow {
  readonly user_id: string
  readonly balance_micro: number
  readonly held_micro: number
  readonly last_entry_id: string | null
}

/** An entry that a person makes; charges are written where holds close. */
export interface EntryFacts {
  readonly id: string
  readonly type: Exclude<LedgerEntryType, 'charge'>
  readonly amountMicro: Micro
  readonly balanceAfterMicro: Micro
  readonly requestId: string | null
  readonly ref: string | null
  readonly note: string | null
}

/** The columns of `EntryRow`, of a table or chain without an alias. */
export const ENTRY_COLUMNS =
  'id, user_id, type, amount_micro, balance_after_micro, request_id, ref, note, actor, created_at_ms'

/** Appends an entry to the chain of a wallet, moves the wallet, and writes the audit row. */
export function appendEntry(
  { sql, audit }: Context,
  wallet: WalletRow,
  facts: EntryFacts,
  by: By,
): LedgerEntry {
  const userId = wallet.user_id
  sql(
    `INSERT INTO ledger (id, user_id, type, amount_micro, balance_after_micro, previous_id, request_id, ref,
       note, actor, created_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  ).run(
    facts.id,
    userId,
    facts.type,
    facts.amountMicro,
    facts.balanceAfterMicro,
    wallet.last_entry_id,
    facts.requestId,
    facts.ref,
    facts.note,
    by.actor,
    by.nowMs,
  )
  sql('UPDATE wallets SET balance_micro = ?, last_entry_id = ? WHERE user_id = ?').run(
    facts.balanceAfterMicro,
    facts.id,
    userId,
  )
  const entry: LedgerEntry = { ...facts, userId, actor: by.actor, createdAtMs: by.nowMs }
  const user = sql('SELECT name FROM users WHERE id = ?').get(userId) as { name: string }
  audit(by, { action: `credit.${facts.type}`, target: user.name, after: entry })
  return entry
}

export function toWallet(row: WalletRow): Wallet {
  return { userId: row.user_id, balanceMicro: row.balance_micro, heldMicro: row.held_micro }
}

export function toEntry(row: EntryRow): LedgerEntry {
  return {
    id: row.id,
    userId: row.user_id,
    type: row.type,
    amountMicro: row.amount_micro,
    balanceAfterMicro: row.balance_after_micro,
    requestId: row.request_id,
    ref: row.ref,
    note: row.note,
    actor: row.actor,
    createdAtMs: row.created_at_ms,
  }
}
