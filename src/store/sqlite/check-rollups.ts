import type { Database } from 'better-sqlite3'
import { idFloor } from '../../core/ids.ts'
import { ROLLUP_MS } from '../store.ts'
import type { Sql } from './connection.ts'
import { snapshot } from './context.ts'
import {
  quarterOf,
  ROLLUP_COLUMNS,
  ROLLUP_DIMENSIONS,
  type RollupCells,
  rollupsOfQuarter,
} from './rollups.ts'

/**
 * Compares the roll-ups with the sums of the details, both ways, and says in a sentence each where they
 * differ. What is older than the oldest detail is compared with the charges. Each quarter of an hour is a read
 * of its own; memory stays flat.
 */
export function rollupViolations(
  { db, sql }: { readonly db: Database; readonly sql: Sql },
  most: number,
): readonly string[] {
  const stored = sql(
    `SELECT ${ROLLUP_COLUMNS.join(', ')} FROM usage_rollups WHERE quarter = ?`,
  ).raw()
  const nextDetail = sql('SELECT min(request_id) FROM usage WHERE request_id >= ?').pluck()
  const nextStored = sql('SELECT min(quarter) FROM usage_rollups WHERE quarter >= ?').pluck()

  const first = snapshot(db, () => {
    const oldestId = nextDetail.get('') as string | null
    const quarter = oldestId === null ? Number.MAX_SAFE_INTEGER : quarterOf(oldestId)
    return { quarter, violations: olderViolations(sql, quarter, most) }
  })
  const found = [...first.violations]

  /** The next quarter of which there is anything; null when there is none. */
  function quarterFrom(quarter: number): number | null {
    const id = nextDetail.get(idFloor('request', quarter * ROLLUP_MS)) as string | null
    const next = nextStored.get(quarter) as number | null
    if (id === null) return next
    if (quarterOf(id) < quarter) {
      found.push(`Request ${id} has an id that no clock makes.`)
      return next
    }
    return next === null ? quarterOf(id) : Math.min(next, quarterOf(id))
  }

  let quarter = first.quarter === Number.MAX_SAFE_INTEGER ? null : first.quarter
  while (quarter !== null && found.length < most) {
    const now = quarter
    snapshot(db, () =>
      differences(stored.all(now) as RollupCells[], rollupsOfQuarter(sql, now), found),
    )
    quarter = quarterFrom(now + 1)
  }
  return found.slice(0, most)
}

/** Before the oldest detail: what each user's keys cost is what the user was charged. */
function olderViolations(sql: Sql, quarter: number, most: number): readonly string[] {
  const end = idFloor('entry', Math.min(quarter * ROLLUP_MS, Number.MAX_SAFE_INTEGER))
  return sql(
    `SELECT 'Roll-ups of ' || w.user_id || ' before the oldest details sum to ' || coalesce(r.sum, 0)
       || ' micro, its charges of that time to ' || coalesce(c.sum, 0) || '.'
     FROM wallets w
     LEFT JOIN (SELECT k.user_id, sum(cost_micro) AS sum FROM usage_rollups JOIN keys k ON k.id = key_id
       WHERE quarter < @quarter GROUP BY k.user_id) r ON r.user_id = w.user_id
     LEFT JOIN (SELECT user_id, 0 - sum(amount_micro) AS sum FROM ledger
       WHERE id < @end AND type = 'charge' GROUP BY user_id) c ON c.user_id = w.user_id
     WHERE coalesce(r.sum, 0) <> coalesce(c.sum, 0) LIMIT @most`,
  )
    .pluck()
    .all({ quarter, end, most }) as string[]
}

function differences(
  stored: readonly RollupCells[],
  made: readonly RollupCells[],
  found: string[],
): void {
  const left = new Map(stored.map((row) => [nameOf(row), row]))
  for (const row of made) {
    const name = nameOf(row)
    const other = left.get(name)
    left.delete(name)
    if (other === undefined) found.push(`${name} is missing.`)
    else found.push(...columnsThatDiffer(name, other, row))
  }
  for (const name of left.keys()) found.push(`${name} has no details.`)
}

function columnsThatDiffer(name: string, stored: RollupCells, made: RollupCells): string[] {
  const problems = []
  for (let i = ROLLUP_DIMENSIONS.length; i < ROLLUP_COLUMNS.length; i++) {
    if (stored[i] === made[i]) continue
    problems.push(`${name}: ${ROLLUP_COLUMNS[i]} is ${stored[i]}, its details make ${made[i]}.`)
  }
  return problems
}

function nameOf([quarter, keyId, model, accountId, statusClass]: RollupCells): string {
  const from = new Date(quarter * ROLLUP_MS).toISOString().slice(0, 16)
  return `Roll-up of ${from}Z, ${keyId}, ${model || 'no model'}, ${accountId || 'no account'}, ${statusClass}xx`
}
