import { LONGEST_REQUEST_MS } from '../../billing/ledger.ts'
import type { LedgerReport } from '../store.ts'
import { rollupViolations } from './check-rollups.ts'
import { type Context, snapshot } from './context.ts'

/** No more sentences than this per rule: one cause can break a million rows. */
const MOST_PER_RULE = 20

// Each query finds rows that break one rule of M22 and says so in one sentence. They stream in the order
// of the primary keys and look the other tables up by theirs, so memory stays flat on any size.
const RULES: readonly string[] = [
  // (a)
  `SELECT 'Wallet of ' || w.user_id || ': balance is ' || w.balance_micro || ' micro, its ledger sums to '
     || coalesce(s.sum, 0) || '.'
   FROM wallets w LEFT JOIN (SELECT user_id, sum(amount_micro) AS sum FROM ledger GROUP BY user_id) s
     ON s.user_id = w.user_id
   WHERE w.balance_micro <> coalesce(s.sum, 0)`,
  `SELECT 'Ledger has entries of ' || l.user_id || ', who has no wallet.' FROM ledger l
   LEFT JOIN wallets w ON w.user_id = l.user_id WHERE w.user_id IS NULL GROUP BY l.user_id`,
  `SELECT 'Entry ' || l.id || ': balance after it is ' || l.balance_after_micro || ' micro, but '
     || coalesce(p.balance_after_micro, 0) || ' before it and its ' || l.amount_micro || ' make another.'
   FROM ledger l LEFT JOIN ledger p ON p.id = l.previous_id
   WHERE l.balance_after_micro <> coalesce(p.balance_after_micro, 0) + l.amount_micro
     OR p.user_id <> l.user_id OR (l.previous_id IS NOT NULL AND p.id IS NULL)`,
  `SELECT 'Wallet of ' || w.user_id || ': the last ledger entry it names is not the one with its balance.'
   FROM wallets w LEFT JOIN ledger l ON l.id = w.last_entry_id
   WHERE coalesce(l.balance_after_micro, 0) <> w.balance_micro OR coalesce(l.user_id, w.user_id) <> w.user_id`,
  // (b)
  `SELECT 'Wallet of ' || w.user_id || ': ' || w.held_micro || ' micro held, its open holds sum to '
     || coalesce(s.sum, 0) || '.'
   FROM wallets w LEFT JOIN (SELECT user_id, sum(amount_micro) AS sum FROM holds INDEXED BY holds_open
     WHERE state = 'open' GROUP BY user_id) s ON s.user_id = w.user_id
   WHERE w.held_micro <> coalesce(s.sum, 0)`,
  // (c)
  `SELECT 'Request ' || u.request_id || ' has ' || count(*) || ' usage rows.' FROM usage u
   GROUP BY u.request_id HAVING count(*) > 1`,
  `SELECT 'Hold ' || h.request_id || ' is ' || h.state || ' and has no usage row.' FROM holds h
   WHERE h.state <> 'open' AND NOT EXISTS (SELECT 1 FROM usage u WHERE u.request_id = h.request_id)`,
  `SELECT 'Hold ' || h.request_id || ' is open and has a usage row.' FROM holds h INDEXED BY holds_open
   WHERE h.state = 'open' AND EXISTS (SELECT 1 FROM usage u WHERE u.request_id = h.request_id)`,
  // (d)
  `SELECT 'Hold ' || h.request_id || ' is settled and has no charge.' FROM holds h
   LEFT JOIN ledger l ON l.id = 'led_' || substr(h.request_id, 5)
   WHERE h.state = 'settled' AND (l.id IS NULL OR l.type <> 'charge' OR l.user_id <> h.user_id)`,
  `SELECT 'Request ' || u.request_id || ' cost ' || u.cost_micro || ' micro, but its charge is '
     || coalesce(l.amount_micro, 'missing') || '.'
   FROM usage u LEFT JOIN ledger l ON l.id = 'led_' || substr(u.request_id, 5)
   WHERE u.cost_micro <> 0 - coalesce(l.amount_micro, 0) OR l.user_id <> u.user_id`,
  // (e)
  `SELECT 'Charge ' || l.id || ' has no settled hold.' FROM ledger l
   LEFT JOIN holds h ON h.request_id = l.request_id
   WHERE l.type = 'charge' AND coalesce(h.state, '') <> 'settled'`,
  // Refunds
  `SELECT 'Refunds of ' || r.request_id || ' sum to ' || sum(r.amount_micro) || ' micro, its charge is '
     || coalesce(l.amount_micro, 'missing') || '.'
   FROM ledger r INDEXED BY ledger_refunds LEFT JOIN ledger l ON l.id = 'led_' || substr(r.request_id, 5)
   WHERE r.type = 'refund' GROUP BY r.request_id
   HAVING coalesce(l.type, '') <> 'charge' OR sum(r.amount_micro) > 0 - l.amount_micro`,
  `SELECT 'Refund ' || r.id || ' goes to ' || r.user_id || ', its charge was of ' || l.user_id || '.'
   FROM ledger r INDEXED BY ledger_refunds JOIN ledger l ON l.id = 'led_' || substr(r.request_id, 5)
   WHERE r.type = 'refund' AND l.user_id <> r.user_id`,
  `SELECT 'Refund ' || r.id || ' names no charge, or takes money.' FROM ledger r
   WHERE r.type = 'refund' AND (r.request_id IS NULL OR r.amount_micro <= 0)`,
  // (h)
  `SELECT 'Key ' || s.key_id || ': ' || s.spent_micro || ' micro counted in its window, its requests in it '
     || 'cost ' || coalesce(d.sum, 0) || '.'
   FROM key_spending s LEFT JOIN (
     SELECT u.key_id, w.since_ms, sum(u.cost_micro) AS sum FROM usage u
     CROSS JOIN key_spending w ON w.key_id = u.key_id
     CROSS JOIN holds h ON h.request_id = u.request_id AND h.opened_at_ms >= w.since_ms
       AND h.opened_at_ms < w.until_ms
     GROUP BY u.key_id, w.since_ms) d ON d.key_id = s.key_id AND d.since_ms = s.since_ms
   WHERE s.spent_micro <> coalesce(d.sum, 0)`,
  `SELECT 'Key ' || s.key_id || ': ' || s.held_micro || ' micro held in its window, its open holds in it '
     || 'sum to ' || coalesce(d.sum, 0) || '.'
   FROM key_spending s LEFT JOIN (SELECT key_id, limit_since_ms, sum(amount_micro) AS sum
     FROM holds INDEXED BY holds_open WHERE state = 'open' GROUP BY key_id, limit_since_ms) d
     ON d.key_id = s.key_id AND d.limit_since_ms = s.since_ms
   WHERE s.held_micro <> coalesce(d.sum, 0)`,
  `SELECT 'Key ' || s.key_id || ' is counted and has no spend limit.' FROM key_spending s
   JOIN keys k ON k.id = s.key_id WHERE k.spend_limit_micro IS NULL`,
]

/** The money check: read-only, on one state of the file. */
export function checkOperations({ db, sql }: Context) {
  function countOf(text: string, ...params: readonly number[]): number {
    return sql(text)
      .pluck()
      .get(...params) as number
  }

  return {
    checkLedger(nowMs: number): LedgerReport {
      return snapshot(db, () => {
        const quickCheck = quickCheckOf(sql('PRAGMA quick_check(5)').all())
        const staleMs = nowMs - LONGEST_REQUEST_MS
        const violations = RULES.flatMap(
          (rule) => sql(`${rule} LIMIT ${MOST_PER_RULE}`).pluck().all() as string[],
        )
        // (f)
        violations.push(...rollupViolations(sql, MOST_PER_RULE))
        // (g)
        const stale = sql(
          `SELECT request_id FROM holds INDEXED BY holds_open WHERE state = 'open' AND opened_at_ms < ?`,
        )
          .pluck()
          .all(staleMs) as string[]
        for (const requestId of stale.slice(0, MOST_PER_RULE)) {
          violations.push(`Hold ${requestId} is open for longer than any request may run.`)
        }
        if (quickCheck !== 'ok') violations.unshift(`The file is damaged: ${quickCheck}.`)
        const pages = countOf('PRAGMA page_count')
        const free = countOf('PRAGMA freelist_count')
        return {
          quickCheck,
          foreignKeyViolations: sql('PRAGMA foreign_key_check').all().length,
          wallets: countOf('SELECT count(*) FROM wallets'),
          openHolds: countOf(
            `SELECT count(*) FROM holds INDEXED BY holds_open WHERE state = 'open'`,
          ),
          settledHolds: countOf(`SELECT count(*) FROM holds WHERE state = 'settled'`),
          staleHolds: stale.length,
          bytes: pages * countOf('PRAGMA page_size'),
          freeRatio: pages === 0 ? 0 : free / pages,
          violations,
        }
      })
    },
  }
}

/** `ok`, or what is damaged: what the rows of `PRAGMA quick_check` say. */
export function quickCheckOf(rows: unknown): string {
  return (rows as { quick_check: string }[]).map((row) => row.quick_check).join('; ')
}
