import { chargeIdOf, credit, refund } from '../../billing/ledger.ts'
import { dayLabel, windowOf } from '../../core/calendar.ts'
import { ID_PREFIX } from '../../core/ids.ts'
import type { LedgerEntry, LedgerEntryType, Wallet } from '../../core/model.ts'
import type { Micro } from '../../core/money.ts'
import type {
  By,
  Charge,
  CreditResult,
  CreditStore,
  LedgerDay,
  NewCredit,
  NewRefund,
  Page,
  RefundResult,
} from '../store.ts'
import { type Context, snapshot } from './context.ts'
import {
  appendEntry,
  ENTRY_COLUMNS,
  type EntryRow,
  toEntry,
  toWallet,
  type WalletRow,
} from './ledger-rows.ts'

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

/** Grants, adjustments, refunds and the history of wallets. */
export function creditOperations(context: Context) {
  const { db, sql } = context

  function walletRow(userId: string): WalletRow | undefined {
    return sql('SELECT * FROM wallets WHERE user_id = ?').get(userId) as WalletRow | undefined
  }

  function isDeleted(userId: string): boolean {
    const row = sql('SELECT 1 FROM users WHERE id = ? AND deleted_at_ms IS NOT NULL').get(userId)
    return row !== undefined
  }

  function entryWithRef(ref: string | null): EntryRow | undefined {
    if (ref === null) return undefined
    return sql(`SELECT ${ENTRY_COLUMNS} FROM ledger WHERE ref = ?`).get(ref) as EntryRow | undefined
  }

  function chargeOf(requestId: string): Charge | null {
    if (!requestId.startsWith(ID_PREFIX.request)) return null
    const row = sql(
      `SELECT l.user_id, u.name, -l.amount_micro AS charge_micro,
         (SELECT coalesce(sum(r.amount_micro), 0) FROM ledger r
          WHERE r.request_id = @requestId AND r.type = 'refund') AS refunded_micro
       FROM ledger l JOIN users u ON u.id = l.user_id WHERE l.id = @chargeId AND l.type = 'charge'`,
    ).get({ requestId, chargeId: chargeIdOf(requestId) }) as ChargeRow | undefined
    if (!row) return null
    return {
      requestId,
      userId: row.user_id,
      userName: row.name,
      chargeMicro: row.charge_micro,
      refundedMicro: row.refunded_micro,
    }
  }

  return {
    addCredit(entry: NewCredit, by: By): CreditResult {
      const first = entryWithRef(entry.ref)
      if (first) {
        return { kind: isSame(first, entry) ? 'duplicate' : 'conflict', entry: toEntry(first) }
      }
      const wallet = walletRow(entry.userId)
      if (!wallet || isDeleted(entry.userId)) return { kind: 'no_user' }
      const effect = credit(toWallet(wallet), {
        ...entry,
        allowNegative: entry.allowNegative ?? false,
      })
      if (effect.kind === 'out_of_range') return effect
      if (effect.kind === 'insufficient') return { kind: 'insufficient', wallet: toWallet(wallet) }
      const { id, type, amountMicro, ref, note } = entry
      const balanceAfterMicro = effect.after.balanceMicro
      const facts = { id, type, amountMicro, balanceAfterMicro, requestId: null, ref, note }
      return { kind: 'added', entry: appendEntry(context, wallet, facts, by) }
    },

    refundCharge(wanted: NewRefund, by: By): RefundResult {
      const { id, requestId, ref, note } = wanted
      const charge = chargeOf(requestId)
      const leftMicro = charge === null ? 0 : charge.chargeMicro - charge.refundedMicro
      const first = entryWithRef(ref)
      if (first) {
        const entry = toEntry(first)
        return isSameRefund(first, wanted)
          ? { kind: 'duplicate', entry, leftMicro }
          : { kind: 'conflict', entry }
      }
      if (charge === null) return { kind: 'no_charge' }
      if (isDeleted(charge.userId)) return { kind: 'no_user' }
      const wallet = walletRow(charge.userId) as WalletRow // every user is born with one
      const amountMicro = wanted.amountMicro ?? leftMicro
      const { chargeMicro, refundedMicro } = charge
      const effect = refund(toWallet(wallet), { chargeMicro, refundedMicro, amountMicro })
      if (effect.kind === 'too_much') return { kind: 'too_much', chargeMicro, leftMicro }
      if (effect.kind === 'out_of_range') return effect
      const balanceAfterMicro = effect.after.balanceMicro
      const facts = {
        id,
        type: 'refund',
        amountMicro,
        balanceAfterMicro,
        requestId,
        ref,
        note,
      } as const
      const entry = appendEntry(context, wallet, facts, by)
      return { kind: 'added', entry, leftMicro: leftMicro - amountMicro }
    },

    getCharge: (requestId: string): Charge | null => chargeOf(requestId),

    findEntry(ref: string): { entry: LedgerEntry; userName: string } | null {
      const row = sql(
        `SELECT l.*, u.name AS user_name FROM ledger l JOIN users u ON u.id = l.user_id
         WHERE l.id = @ref OR l.ref = @ref`,
      ).get({ ref }) as (EntryRow & { readonly user_name: string }) | undefined
      return row ? { entry: toEntry(row), userName: row.user_name } : null
    },

    getWallet(userId: string): Wallet | null {
      const row = walletRow(userId)
      return row ? toWallet(row) : null
    },

    listLedger(filter: Parameters<CreditStore['listLedger']>[0]): Page<LedgerEntry> {
      const rows = sql(
        `${CHAIN} SELECT ${ENTRY_COLUMNS} FROM chain
         WHERE created_at_ms >= @sinceMs AND created_at_ms < @untilMs AND (@type IS NULL OR type = @type)
         LIMIT @limit`,
      ).all({
        ...spanOf(filter),
        afterId: filter.afterId ?? null,
        type: filter.type ?? null,
        limit: filter.limit + 1,
      }) as EntryRow[]
      return { rows: rows.slice(0, filter.limit).map(toEntry), hasMore: rows.length > filter.limit }
    },

    sumLedgerByDay(filter: Parameters<CreditStore['sumLedgerByDay']>[0]): readonly LedgerDay[] {
      const days = new Map<number, DaySums>()
      snapshot(db, () => {
        const rows = sql(
          `${CHAIN} SELECT created_at_ms, type, amount_micro, balance_after_micro
           FROM chain WHERE created_at_ms >= @sinceMs AND created_at_ms < @untilMs`,
        ).iterate({ ...spanOf(filter), afterId: null })
        for (const row of rows as Iterable<SumRow>) {
          const { sinceMs } = windowOf('day', row.created_at_ms, filter.timeZone)
          // In a chain read from the newest entry, the first of a day has the balance that the day ended with.
          const day = days.get(sinceMs) ?? {
            balanceMicro: row.balance_after_micro,
            sums: new Map(),
          }
          days.set(sinceMs, day)
          day.sums.set(row.type, (day.sums.get(row.type) ?? 0) + row.amount_micro)
        }
      })
      return [...days].map(([sinceMs, { balanceMicro, sums }]) => {
        const sumOf = (type: LedgerEntryType) => sums.get(type) ?? 0
        return {
          day: dayLabel(sinceMs, filter.timeZone),
          grantedMicro: sumOf('grant'),
          spentMicro: 0 - sumOf('charge'),
          adjustedMicro: sumOf('adjust') + sumOf('forfeit'),
          refundedMicro: sumOf('refund'),
          balanceMicro,
        }
      })
    },
  }
}

type SumRow = Pick<EntryRow, 'created_at_ms' | 'type' | 'amount_micro' | 'balance_after_micro'>

interface DaySums {
  readonly balanceMicro: Micro
  readonly sums: Map<LedgerEntryType, Micro>
}

interface ChargeRow {
  readonly user_id: string
  readonly name: string
  readonly charge_micro: number
  readonly refunded_micro: number
}

function spanOf(filter: { userId: string; sinceMs?: number; untilMs?: number }) {
  return {
    userId: filter.userId,
    sinceMs: filter.sinceMs ?? 0,
    untilMs: filter.untilMs ?? Number.MAX_SAFE_INTEGER,
  }
}

function isSame(first: EntryRow, entry: NewCredit): boolean {
  return (
    first.user_id === entry.userId &&
    first.type === entry.type &&
    first.amount_micro === entry.amountMicro
  )
}

/** "All that is left" is whatever it was when it was given back. */
function isSameRefund(first: EntryRow, refund: NewRefund): boolean {
  const { requestId, amountMicro } = refund
  return (
    first.type === 'refund' &&
    first.request_id === requestId &&
    (amountMicro === null || amountMicro === first.amount_micro)
  )
}
