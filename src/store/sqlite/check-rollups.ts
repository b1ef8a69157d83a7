import type { Database } from 'better-sqlite3'
import { ROLLUP_MS } from '../store.ts'
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
export function rollupViolations(db: Database, most: number): readonly string[] {
  const oldest = db.prepare<[], string>('SELECT min(request_id) FROM usage').pluck().get()
  if (!oldest) return []
  const storedOf = db
    .prepare<[number], RollupCells>(
      `SELECT ${ROLLUP_COLUMNS.join(', ')} FROM usage_rollups WHERE quarter = ?`,
    )
    .raw()
  const quarters = db
    .prepare<[number, number], number>(
      'SELECT DISTINCT quarter FROM usage_rollups WHERE quarter >= ? AND quarter < ?',
    )
    .pluck()
  const found: string[] = []
  /** Quarters before this one are compared. */
  let done = quarterOf(oldest)

  /** Roll-ups of quarters in which there is no detail at all. */
  function withoutDetails(until: number): void {
    for (const quarter of quarters.all(done, until)) differences(storedOf.all(quarter), [], found)
  }

  for (const made of rollupsOfDetails(db)) {
    if (made.length === 0) continue
    const [[quarter]] = made
    withoutDetails(quarter)
    differences(storedOf.all(quarter), made, found)
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
