import { chmodSync, closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Database } from 'better-sqlite3'
import { SCHEMA_VERSION, schemaVersionOf } from './migrations.ts'

/**
 * Copies a file with an older schema beside itself before it is migrated, as `ccgate.db.schema-1`. The copy
 * is complete and on the disk when this returns; one that is there already is kept, for it is the older.
 * Answers its path; null when there is nothing to migrate.
 */
export function copyBeforeMigration(db: Database, path: string): string | null {
  const version = schemaVersionOf(db)
  if (version === SCHEMA_VERSION) return null
  const copy = `${path}.schema-${version}`
  if (existsSync(copy)) return copy
  const draft = `${copy}.new`
  rmSync(draft, { force: true })
  // VACUUM INTO takes an empty file as it is: so nobody else can ever read this one.
  closeSync(openSync(draft, 'wx', 0o600))
  chmodSync(draft, 0o600)
  try {
    db.prepare('VACUUM INTO ?').run(draft)
    syncPath(draft)
    renameSync(draft, copy)
    syncPath(dirname(copy))
  } catch (error) {
    rmSync(draft, { force: true })
    throw error
  }
  return copy
}

function syncPath(path: string): void {
  const handle = openSync(path, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}
