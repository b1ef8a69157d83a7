import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  rmSync,
} from 'node:fs'
import { dirname } from 'node:path'
import Sqlite from 'better-sqlite3'
import { checkSqlite, failureOf, type OpenFailure } from './connection.ts'
import { migrate } from './migrations.ts'

export type CreateResult =
  | { readonly kind: 'created'; readonly path: string }
  /** Something is there already; it was not touched. */
  | { readonly kind: 'exists'; readonly path: string }
  | OpenFailure

/**
 * Makes an empty database with today's schema: file 0600, its folder 0700 where it had to be made. The
 * file appears complete or not at all, and never replaces another.
 */
export async function createDatabase(path: string): Promise<CreateResult> {
  if (existsSync(path)) return { kind: 'exists', path }
  const folder = dirname(path)
  const draft = `${path}.new-${process.pid}`
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    closeSync(openSync(draft, 'wx', 0o600))
    chmodSync(draft, 0o600)
    const failure = fill(draft, path)
    if (failure) return failure
    linkSync(draft, path)
    syncFolder(folder)
    return { kind: 'created', path }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'EEXIST') return { kind: 'exists', path }
    if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS')
      return { kind: 'permission', path }
    return failureOf(error, path)
  } finally {
    for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(draft + suffix, { force: true })
  }
}

function fill(draft: string, path: string): OpenFailure | null {
  const db = new Sqlite(draft, { fileMustExist: true })
  try {
    const failure = checkSqlite(db, path)
    if (failure) return failure
    db.pragma('synchronous = FULL')
    db.pragma('journal_mode = WAL')
    migrate(db)
    return null
  } finally {
    // The last close writes the log into the file, so that the file alone is complete.
    db.close()
  }
}

function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}
