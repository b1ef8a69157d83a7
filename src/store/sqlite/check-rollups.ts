import { ROLLUP_MS } from '../store.ts'
import type { Sql } from './connection.ts'
import {
  quarterOf,
  ROLLUP_COLUMNS,
  ROLLUP_DIMENSIONS,
  type RollupCells,
  rollupsOfDetails,
} from './rollups.ts'

/**
 * Compares the roll-ups with the sums of the details, both ways, and says in a sentence each where they
 * differ. Older roll-ups than the oldest detail are kept for good and prove nothing. Memory stays flat.
 */
export function rollupViolations(sql: Sql, most: number): readonly string[] {
  const oldest = sql('SELECT min(request_id) AS id FROM usage').get() as { id: string | null }
  if (oldest.id === null) return []
  const stored = sql(
    `SELECT ${ROLLUP_COLUMNS.join(', ')} FROM usage_rollups WHERE quarter = ?`,
  ).raw()
  const storedOf = (quarter: number) => stored.all(quarter) as RollupCells[]
  const quarters = sql(
    'SELECT DISTINCT quarter FROM usage_rollups WHERE quarter >= ? AND quarter < ?',
  )
  const found: string[] = []
  /** Quarters before this one are compared. */
  let done = quarterOf(oldest.id)

  /** Roll-ups of quarters in which there is no detail at all. */
  function withoutDetails(until: number): void {
    const rows = quarters.all(done, until) as { quarter: number }[]
    for (const { quarter } of rows) differences(storedOf(quarter), [], found)
  }

  for (const made of rollupsOfDetails(sql)) {
    if (made.length === 0) continue
    const [[quarter]] = made
    withoutDetails(quarter)
    differences(storedOf(quarter), made, found)
    done = quarter + 1
    if (found.length >= most) return found.slice(0, most)
  }
  withoutDetails(Number.MAX_SAFE_INTEGER)
  return found.slice(0, most)
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
