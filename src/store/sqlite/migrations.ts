import type { Database } from 'better-sqlite3'
import { fillRollups } from './rollups.ts'
import { APPLICATION_ID, SCHEMA_1 } from './schema.ts'
import { SCHEMA_2 } from './schema-2.ts'
import { SCHEMA_3 } from './schema-3.ts'

/** One step of the schema; `version` is what `PRAGMA user_version` says after it. */
export interface Migration {
  readonly version: number
  readonly sql: string
  /** What SQL alone cannot do; runs after it, in the same transaction. */
  readonly fill?: (db: Database) => void
}

/** All steps in order. A released step never changes. */
export const MIGRATIONS: readonly Migration[] = [
  { version: 1, sql: `PRAGMA application_id = ${APPLICATION_ID};${SCHEMA_1}` },
  { version: 2, sql: SCHEMA_2 },
  // The roll-ups of both: no file was ever left at the second schema without them.
  { version: 3, sql: SCHEMA_3, fill: fillRollups },
]

/** The schema that this program reads and writes. */
export const SCHEMA_VERSION = MIGRATIONS[MIGRATIONS.length - 1].version

/** What `PRAGMA user_version` says. */
export function schemaVersionOf(db: Database): number {
  return db.pragma('user_version', { simple: true }) as number
}

/**
 * Brings the schema up to date, each step in one transaction with its version: killed at any point, the
 * file has the old schema or the new one. Answers how many steps were taken.
 */
export function migrate(db: Database, migrations: readonly Migration[] = MIGRATIONS): number {
  let steps = 0
  for (const { version, sql, fill } of migrations) {
    // Asked inside the write lock: another process may have taken the step meanwhile.
    const step = db.transaction(() => {
      if (schemaVersionOf(db) >= version) return 0
      db.exec(sql)
      fill?.(db)
      db.pragma(`user_version = ${version}`)
      return 1
    })
    steps += step.immediate()
  }
  return steps
}
