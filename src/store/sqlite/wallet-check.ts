import type { Wallet } from '../../core/model.ts'
import type { By, WalletRepair, WalletReport } from '../store.ts'
import { limitChecks } from './check-limits.ts'
import { type Context, snapshot } from './context.ts'
import { differenceOf } from './keys.ts'
import { toWallet, type WalletRow } from './ledger-rows.ts'

const MOST_PER_RULE = 20

// What `check.ts` asks of the whole file, asked of one user: each query finds rows that break a rule.
const RULES: readonly string[] = [
  `SELECT 'Entry ' || l.id || ': balance after it is ' || l.balance_after_micro || ' micro, but '
     || coalesce(p.balance_after_micro, 0) || ' before it and its ' || l.amount_micro || ' make another.'
   FROM ledger l LEFT JOIN ledger p ON p.id = l.previous_id
   WHERE l.user_id = @userId AND (l.balance_after_micro <> coalesce(p.balance_after_micro, 0) + l.amount_micro
     OR p.user_id <> l.user_id OR (l.previous_id IS NOT NULL AND p.id IS NULL))`,
  `SELECT 'Charge ' || l.id || ' has no settled hold.' FROM ledger l
   LEFT JOIN holds h ON h.request_id = l.request_id
   WHERE l.user_id = @userId AND l.type = 'charge' AND coalesce(h.state, '') <> 'settled'`,
  `SELECT 'Hold ' || h.request_id || ' is settled and has no charge.' FROM holds h
   LEFT JOIN ledger l ON l.id = 'led_' || substr(h.request_id, 5)
   WHERE h.user_id = @userId AND h.state = 'settled'
     AND (l.id IS NULL OR l.type <> 'charge' OR l.user_id <> h.user_id)`,
  `SELECT 'Request ' || u.request_id || ' cost ' || u.cost_micro || ' micro, but its charge is '
     || coalesce(l.amount_micro, 'missing') || '.'
   FROM usage u LEFT JOIN ledger l ON l.id = 'led_' || substr(u.request_id, 5)
   WHERE u.user_id = @userId
     AND (u.cost_micro <> 0 - coalesce(l.amount_micro, 0) OR l.user_id <> u.user_id)`,
  `SELECT 'Hold ' || h.request_id || ' is ' || h.state || ' and has no usage row.' FROM holds h
   WHERE h.user_id = @userId AND h.state <> 'open'
     AND NOT EXISTS (SELECT 1 FROM usage u WHERE u.request_id = h.request_id)`,
  `SELECT 'Refunds of ' || r.request_id || ' sum to ' || sum(r.amount_micro) || ' micro, its charge is '
     || coalesce(l.amount_micro, 'missing') || '.'
   FROM ledger r LEFT JOIN ledger l ON l.id = 'led_' || substr(r.request_id, 5)
   WHERE r.user_id = @userId AND r.type = 'refund' GROUP BY r.request_id
   HAVING l.id IS NULL OR l.user_id <> @userId OR sum(r.amount_micro) > 0 - l.amount_micro`,
]

// From the newest entry that the wallet names back to the first.
const CHAIN = `
  WITH RECURSIVE chain AS (
    SELECT l.id, l.previous_id, l.amount_micro, l.balance_after_micro FROM ledger l WHERE l.id = @headId
    UNION ALL
    SELECT l.id, l.previous_id, l.amount_micro, l.balance_after_micro
    FROM chain c JOIN ledger l ON l.id = c.previous_id
  )`

interface Facts {
  readonly row: WalletRow
  readonly ledgerMicro: number
  readonly entries: number
  readonly openHoldsMicro: number
  /** The one entry that no other follows; null: there is none, or more than one. */
  readonly headId: string | null
}

/** The money check for one wallet, and its repair from the entries. */
export function walletCheckOperations({ db, sql, audit }: Context) {
  const { limitViolations, repairLimits } = limitChecks({ db, sql })

  function factsOf(userId: string): Facts | null {
    const row = sql('SELECT * FROM wallets WHERE user_id = ?').get(userId) as WalletRow | undefined
    if (!row) return null
    const sum = sql(
      'SELECT coalesce(sum(amount_micro), 0) AS sum, count(*) AS entries FROM ledger WHERE user_id = ?',
    ).get(userId) as { sum: number; entries: number }
    const openHoldsMicro = sql(
      `SELECT coalesce(sum(amount_micro), 0) FROM holds INDEXED BY holds_open
       WHERE state = 'open' AND user_id = ?`,
    )
      .pluck()
      .get(userId) as number
    const heads = sql(
      `SELECT id FROM ledger WHERE user_id = @userId AND id NOT IN
         (SELECT previous_id FROM ledger WHERE user_id = @userId AND previous_id IS NOT NULL) LIMIT 2`,
    )
      .pluck()
      .all({ userId }) as string[]
    return {
      row,
      ledgerMicro: sum.sum,
      entries: sum.entries,
      openHoldsMicro,
      headId: heads.length === 1 ? heads[0] : null,
    }
  }

  function violationsOf({ row, ledgerMicro, openHoldsMicro, headId, entries }: Facts) {
    const userId = row.user_id
    const found: string[] = []
    if (row.balance_micro !== ledgerMicro) {
      found.push(
        `Wallet of ${userId}: balance is ${row.balance_micro} micro, its ledger sums to ${ledgerMicro}.`,
      )
    }
    if (row.held_micro !== openHoldsMicro) {
      found.push(
        `Wallet of ${userId}: ${row.held_micro} micro held, its open holds sum to ${openHoldsMicro}.`,
      )
    }
    if (row.last_entry_id !== headId || (headId === null && entries > 0)) {
      found.push(`Wallet of ${userId}: the last ledger entry it names is not the last one.`)
    }
    for (const rule of RULES) {
      found.push(...(sql(`${rule} LIMIT ${MOST_PER_RULE}`).pluck().all({ userId }) as string[]))
    }
    return [...found, ...limitViolations(userId, MOST_PER_RULE)]
  }

  return {
    checkWallet(userId: string, _nowMs: number): WalletReport | null {
      return snapshot(db, () => {
        const facts = factsOf(userId)
        if (facts === null) return null
        return {
          userId,
          balanceMicro: facts.row.balance_micro,
          heldMicro: facts.row.held_micro,
          ledgerMicro: facts.ledgerMicro,
          openHoldsMicro: facts.openHoldsMicro,
          entries: facts.entries,
          violations: violationsOf(facts),
        }
      })
    },

    repairWallet(userId: string, by: By): WalletRepair {
      const facts = factsOf(userId)
      if (facts === null) return { kind: 'no_user' }
      const before = toWallet(facts.row)
      const isSound = sql(
        `${CHAIN} SELECT count(*) = @entries AND coalesce(sum(amount_micro), 0) = @sum
           AND coalesce(max(CASE WHEN id = @headId THEN balance_after_micro END), 0) = @sum
         FROM chain`,
      ).pluck()
      const { headId, entries, ledgerMicro: sum } = facts
      const isBroken = sql(`${RULES[0]} LIMIT 1`).get({ userId }) !== undefined
      if (isBroken || isSound.get({ headId, entries, sum }) !== 1) return { kind: 'broken_ledger' }
      const after: Wallet = { userId, balanceMicro: sum, heldMicro: facts.openHoldsMicro }
      const { changes } = sql(
        `UPDATE wallets SET balance_micro = @balance, held_micro = @held, last_entry_id = @headId
         WHERE user_id = @userId
           AND (balance_micro <> @balance OR held_micro <> @held OR last_entry_id IS NOT @headId)`,
      ).run({ userId, balance: after.balanceMicro, held: after.heldMicro, headId })
      const limits = repairLimits(userId)
      if (changes === 0 && limits === 0) return { kind: 'unchanged', before, after, limits }
      const name = sql('SELECT name FROM users WHERE id = ?').pluck().get(userId) as string
      const difference = differenceOf(before, after)
      audit(by, {
        action: 'credit.fix',
        target: name,
        before: difference.before,
        after: { ...difference.after, limits },
      })
      return { kind: 'repaired', before, after, limits }
    },
  }
}
