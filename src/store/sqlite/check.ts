import { LONGEST_REQUEST_MS } from '../../billing/ledger.ts'
import type { LedgerReport } from '../store.ts'
import { limitChecks } from './check-limits.ts'
import { rollupViolations } from './check-rollups.ts'
import { type Context, snapshot } from './context.ts'

/** No more sentences than this per rule: one cause can break a million rows. */
const MOST_PER_RULE = 20

/** A rule of the money check: a query that finds rows which break it and says so in one sentence. */
interface Rule {
  readonly query: string
  /** Where a rule looks at one row after another: the table and its key, between `@after` and `@last`. */
  readonly pages?: readonly [table: string, key: string]
}

// They stream in the order of the primary keys and look the other tables up by theirs, so memory stays flat
// on any size.
const RULES: readonly Rule[] = [
  // (a)
  {
    query: `
    SELECT 'Wallet of ' || w.user_id || ': balance is ' || w.balance_micro || ' micro, its ledger sums to '
      || coalesce(s.sum, 0) || '.'
    FROM wallets w LEFT JOIN (SELECT user_id, sum(amount_micro) AS sum FROM ledger GROUP BY user_id) s
      ON s.user_id = w.user_id
    WHERE w.balance_micro <> coalesce(s.sum, 0)`,
  },
  {
    query: `
    SELECT CASE WHEN w.user_id IS NULL THEN 'Entry ' || l.id || ' is of ' || l.user_id || ', who has no wallet.'
      ELSE 'Entry ' || l.id || ': balance after it is ' || l.balance_after_micro || ' micro, but '
        || coalesce(p.balance_after_micro, 0) || ' before it and its ' || l.amount_micro || ' make another.' END
    FROM ledger l LEFT JOIN ledger p ON p.id = l.previous_id LEFT JOIN wallets w ON w.user_id = l.user_id
    WHERE l.id > @after AND l.id <= @last
      AND (l.balance_after_micro <> coalesce(p.balance_after_micro, 0) + l.amount_micro
        OR p.user_id <> l.user_id OR (l.previous_id IS NOT NULL AND p.id IS NULL) OR w.user_id IS NULL)`,
    pages: ['ledger', 'id'],
  },
  {
    query: `
    SELECT 'Wallet of ' || w.user_id || ': the last ledger entry it names is not the one with its balance.'
    FROM wallets w LEFT JOIN ledger l ON l.id = w.last_entry_id
    WHERE coalesce(l.balance_after_micro, 0) <> w.balance_micro OR coalesce(l.user_id, w.user_id) <> w.user_id`,
  },
  // (b)
  {
    query: `
    SELECT 'Wallet of ' || w.user_id || ': ' || w.held_micro || ' micro held, its open holds sum to '
      || coalesce(s.sum, 0) || '.'
    FROM wallets w LEFT JOIN (SELECT user_id, sum(amount_micro) AS sum FROM holds INDEXED BY holds_open
      WHERE state = 'open' GROUP BY user_id) s ON s.user_id = w.user_id
    WHERE w.held_micro <> coalesce(s.sum, 0)`,
  },
  // (c) and (d)
  {
    query: `
    SELECT 'Hold ' || h.request_id || ' is ' || h.state || ' and has '
      || CASE WHEN u.request_id IS NULL THEN 'no usage row.' ELSE 'no charge.' END
    FROM holds h LEFT JOIN usage u ON u.request_id = h.request_id
      LEFT JOIN ledger l ON h.state = 'settled' AND l.id = 'led_' || substr(h.request_id, 5)
    WHERE h.request_id > @after AND h.request_id <= @last AND h.state <> 'open' AND (u.request_id IS NULL
      OR (h.state = 'settled' AND (l.id IS NULL OR l.type <> 'charge' OR l.user_id <> h.user_id)))`,
    pages: ['holds', 'request_id'],
  },
  {
    query: `
    SELECT 'Hold ' || h.request_id || ' is open and has a usage row.' FROM holds h INDEXED BY holds_open
    WHERE h.state = 'open' AND EXISTS (SELECT 1 FROM usage u WHERE u.request_id = h.request_id)`,
  },
  {
    query: `
    SELECT 'Request ' || u.request_id || ' has ' || count(*) || ' usage rows.' FROM usage u
    WHERE u.request_id > @after AND u.request_id <= @last GROUP BY u.request_id HAVING count(*) > 1`,
    pages: ['usage', 'request_id'],
  },
  {
    query: `
    SELECT CASE WHEN h.key_id <> u.key_id OR h.user_id <> u.user_id
      THEN 'Request ' || u.request_id || ' is of ' || u.key_id || ' of ' || u.user_id || ', its hold was of '
        || h.key_id || ' of ' || h.user_id || '.'
      ELSE 'Request ' || u.request_id || ' cost ' || u.cost_micro || ' micro, but its charge is '
        || coalesce(l.amount_micro, 'missing') || '.' END
    FROM usage u LEFT JOIN ledger l ON l.id = 'led_' || substr(u.request_id, 5)
      LEFT JOIN holds h ON h.request_id = u.request_id
    WHERE u.request_id > @after AND u.request_id <= @last
      AND (u.cost_micro <> 0 - coalesce(l.amount_micro, 0) OR l.user_id <> u.user_id
        OR h.key_id <> u.key_id OR h.user_id <> u.user_id)`,
    pages: ['usage', 'request_id'],
  },
  // (e)
  {
    query: `
    SELECT 'Charge ' || l.id || ' has no settled hold.' FROM ledger l
    LEFT JOIN holds h ON h.request_id = l.request_id
    WHERE l.id > @after AND l.id <= @last AND l.type = 'charge' AND coalesce(h.state, '') <> 'settled'`,
    pages: ['ledger', 'id'],
  },
  // Refunds
  {
    query: `
    SELECT 'Refunds of ' || r.request_id || ' sum to ' || sum(r.amount_micro) || ' micro, its charge is '
      || coalesce(l.amount_micro, 'missing') || '.'
    FROM ledger r INDEXED BY ledger_refunds LEFT JOIN ledger l ON l.id = 'led_' || substr(r.request_id, 5)
    WHERE r.type = 'refund' GROUP BY r.request_id
    HAVING coalesce(l.type, '') <> 'charge' OR sum(r.amount_micro) > 0 - l.amount_micro`,
  },
  {
    query: `
    SELECT 'Refund ' || r.id || ' goes to ' || r.user_id || ', its charge was of ' || l.user_id || '.'
    FROM ledger r INDEXED BY ledger_refunds JOIN ledger l ON l.id = 'led_' || substr(r.request_id, 5)
    WHERE r.type = 'refund' AND l.user_id <> r.user_id`,
  },
  {
    query: `
    SELECT 'Refund ' || r.id || ' names no charge, or takes money.'
    FROM ledger r INDEXED BY ledger_refunds
    WHERE r.type = 'refund' AND (r.request_id IS NULL OR r.amount_micro <= 0)`,
  },
]

/** Rows that one statement looks at. */
const PAGE = 100_000
/** Above every id. */
const LAST_ID = '~'

/**
 * The money check: read-only. Each rule holds on every state of the file, so each has a short read of its own:
 * one long read would keep the log from beginning again.
 */
export function checkOperations({ db, sql }: Context) {
  const { limitViolations } = limitChecks({ db, sql })

  function countOf(text: string, ...params: readonly number[]): number {
    return sql(text)
      .pluck()
      .get(...params) as number
  }

  function broken({ query, pages }: Rule): readonly string[] {
    const statement = sql(`${query} LIMIT ${MOST_PER_RULE}`).pluck()
    if (pages === undefined) return statement.all() as string[]
    const [table, key] = pages
    const found: string[] = []
    const end = sql(
      `SELECT ${key} FROM ${table} WHERE ${key} > ? ORDER BY ${key} LIMIT 1 OFFSET ${PAGE - 1}`,
    ).pluck()
    for (let after = ''; after !== LAST_ID && found.length < MOST_PER_RULE; ) {
      const last = (end.get(after) as string | undefined) ?? LAST_ID
      found.push(...(statement.all({ after, last }) as string[]))
      after = last
    }
    return found.slice(0, MOST_PER_RULE)
  }

  /** Each table and its indexes by itself, as one check of a large file would read for too long. */
  function quickCheck(tables: readonly string[]): string {
    for (const table of tables) {
      const result = quickCheckOf(sql(`PRAGMA quick_check('${table}')`).all())
      if (result !== 'ok') return result
    }
    return 'ok'
  }

  return {
    checkLedger(nowMs: number): LedgerReport {
      const tables = sql(`SELECT name FROM sqlite_schema WHERE type = 'table'`)
        .pluck()
        .all() as string[]
      const damage = quickCheck(tables)
      const violations = damage === 'ok' ? [] : [`The file is damaged: ${damage}.`]
      for (const rule of RULES) violations.push(...broken(rule))
      // (f)
      violations.push(...rollupViolations({ db, sql }, MOST_PER_RULE))
      // (h)
      violations.push(...snapshot(db, () => limitViolations(null, MOST_PER_RULE)))
      // (g)
      const staleIds = sql(
        `SELECT request_id FROM holds INDEXED BY holds_open WHERE state = 'open' AND opened_at_ms < ?`,
      )
        .pluck()
        .all(nowMs - LONGEST_REQUEST_MS) as string[]
      const stale = staleIds
        .slice(0, MOST_PER_RULE)
        .map((requestId) => `Hold ${requestId} is open for longer than any request may run.`)
      const pages = countOf('PRAGMA page_count')
      const free = countOf('PRAGMA freelist_count')
      return {
        quickCheck: damage,
        foreignKeyViolations: tables.reduce(
          (sum, table) => sum + sql(`PRAGMA foreign_key_check('${table}')`).all().length,
          0,
        ),
        wallets: countOf('SELECT count(*) FROM wallets'),
        openHolds: countOf(`SELECT count(*) FROM holds INDEXED BY holds_open WHERE state = 'open'`),
        settledHolds: countOf(`SELECT count(*) FROM holds WHERE state = 'settled'`),
        staleHolds: staleIds.length,
        bytes: pages * countOf('PRAGMA page_size'),
        freeRatio: pages === 0 ? 0 : free / pages,
        violations: [...violations, ...stale],
        stale,
      }
    },
  }
}

/** `ok`, or what is damaged: what the rows of `PRAGMA quick_check` say. */
export function quickCheckOf(rows: unknown): string {
  return (rows as { quick_check: string }[]).map((row) => row.quick_check).join('; ')
}
