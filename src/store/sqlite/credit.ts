import { credit } from '../../billing/ledger.ts'
import type { LedgerEntry, LedgerEntryType, Wallet } from '../../core/model.ts'
import type { By, CreditResult, CreditStore, LedgerDay, NewCredit, Page } from '../store.ts'
import { type Context, snapshot } from './context.ts'

interface EntryRow {
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

interface WalletRow {
  readonly user_id: string
  readonly balance_micro: number
  readonly held_micro: number
  readonly last_entry_id: string | null
}

const COLUMNS =
  'id, user_id, type, amount_micro, balance_after_micro, request_id, ref, note, actor, created_at_ms'
/** How far a clock set back may have put the times of neighbouring entries out of order. */
const CLOCK_SLACK_MS = 2 * 3_600_000
// A user's entries, newest first: each names the one before it, so no index has to be kept for this.
const CHAIN = `
  WITH RECURSIVE chain AS (
    SELECT l.* FROM ledger l WHERE l.id = coalesce(
      (SELECT previous_id FROM ledger WHERE id = @afterId AND user_id = @userId),
      (SELECT last_entry_id FROM wallets WHERE user_id = @userId AND @afterId IS NULL))
    UNION ALL
    SELECT l.* FROM chain c JOIN ledger l ON l.id = c.previous_id WHERE c.created_at_ms >= @sinceMs - ${CLOCK_SLACK_MS}
  )`

/** Grants, adjustments and the history of wallets. */
export function creditOperations({ db, sql, audit }: Context) {
  function walletRow(userId: string): WalletRow | undefined {
    return sql('SELECT * FROM wallets WHERE user_id = ?').get(userId) as WalletRow | undefined
  }

  return {
    addCredit(entry: NewCredit, by: By): CreditResult {
      if (entry.ref !== null) {
        const first = sql(`SELECT ${COLUMNS} FROM ledger WHERE ref = ?`).get(entry.ref) as
          | EntryRow
          | undefined
        if (first)
          return { kind: isSame(first, entry) ? 'duplicate' : 'conflict', entry: toEntry(first) }
      }
      const wallet = walletRow(entry.userId)
      if (!wallet) return { kind: 'no_user' }
      const effect = credit(toWallet(wallet), {
        ...entry,
        allowNegative: entry.allowNegative ?? false,
      })
      if (effect.kind === 'out_of_range') return effect
      if (effect.kind === 'insufficient') return { kind: 'insufficient', wallet: toWallet(wallet) }
      const { after } = effect
      sql(
        `INSERT INTO ledger (id, user_id, type, amount_micro, balance_after_micro, previous_id, ref, note,
           actor, created_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      ).run(
        entry.id,
        entry.userId,
        entry.type,
        entry.amountMicro,
        after.balanceMicro,
        wallet.last_entry_id,
        entry.ref,
        entry.note,
        by.actor,
        by.nowMs,
      )
      sql('UPDATE wallets SET balance_micro = ?, last_entry_id = ? WHERE user_id = ?').run(
        after.balanceMicro,
        entry.id,
        entry.userId,
      )
      const added: LedgerEntry = {
        id: entry.id,
        userId: entry.userId,
        type: entry.type,
        amountMicro: entry.amountMicro,
        balanceAfterMicro: after.balanceMicro,
        requestId: null,
        ref: entry.ref,
        note: entry.note,
        actor: by.actor,
        createdAtMs: by.nowMs,
      }
      const user = sql('SELECT name FROM users WHERE id = ?').get(entry.userId) as { name: string }
      audit(by, { action: `credit.${entry.type}`, target: user.name, after: added })
      return { kind: 'added', entry: added }
    },

    getWallet(userId: string): Wallet | null {
      const row = walletRow(userId)
      return row ? toWallet(row) : null
    },

    listLedger(filter: Parameters<CreditStore['listLedger']>[0]): Page<LedgerEntry> {
      const rows = sql(
        `${CHAIN} SELECT ${COLUMNS} FROM chain
         WHERE created_at_ms >= @sinceMs AND created_at_ms < @untilMs AND (@type IS NULL OR type = @type)
         LIMIT @limit`,
      ).all({
        userId: filter.userId,
        afterId: filter.afterId ?? null,
        sinceMs: filter.sinceMs ?? 0,
        untilMs: filter.untilMs ?? Number.MAX_SAFE_INTEGER,
        type: filter.type ?? null,
        limit: filter.limit + 1,
      }) as EntryRow[]
      return { rows: rows.slice(0, filter.limit).map(toEntry), hasMore: rows.length > filter.limit }
    },

    sumLedgerByDay(filter: Parameters<CreditStore['sumLedgerByDay']>[0]): readonly LedgerDay[] {
      // In a chain read from the newest entry, the first of a day has the balance that the day ended with.
      const rows = snapshot(db, () =>
        sql(
          `${CHAIN} SELECT date(created_at_ms / 1000, 'unixepoch') AS day, type,
             amount_micro, balance_after_micro
           FROM chain WHERE created_at_ms >= @sinceMs AND created_at_ms < @untilMs`,
        ).all({
          userId: filter.userId,
          afterId: null,
          sinceMs: filter.sinceMs ?? 0,
          untilMs: filter.untilMs ?? Number.MAX_SAFE_INTEGER,
        }),
      ) as (Pick<EntryRow, 'type' | 'amount_micro' | 'balance_after_micro'> & { day: string })[]
      const days = Map.groupBy(rows, (row) => row.day)
      return [...days].map(([day, entries]) => ({
        day,
        grantedMicro: sumOf(entries, ['grant']),
        spentMicro: 0 - sumOf(entries, ['charge', 'refund']),
        adjustedMicro: sumOf(entries, ['adjust', 'forfeit']),
        balanceMicro: entries[0].balance_after_micro,
      }))
    },
  }
}

function sumOf(
  entries: readonly Pick<EntryRow, 'type' | 'amount_micro'>[],
  types: readonly LedgerEntryType[],
): number {
  let sumMicro = 0
  for (const entry of entries) if (types.includes(entry.type)) sumMicro += entry.amount_micro
  return sumMicro
}

function isSame(first: EntryRow, entry: NewCredit): boolean {
  return (
    first.user_id === entry.userId &&
    first.type === entry.type &&
    first.amount_micro === entry.amountMicro
  )
}

function toWallet(row: WalletRow): Wallet {
  return { userId: row.user_id, balanceMicro: row.balance_micro, heldMicro: row.held_micro }
}

function toEntry(row: EntryRow): LedgerEntry {
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
