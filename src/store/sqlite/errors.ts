import Sqlite from 'better-sqlite3'
import { InvariantError } from '../../core/invariant.ts'
import { StoreError } from '../store.ts'

/** SQLite's extended result code, such as `SQLITE_BUSY`; '' for other errors. */
export function sqliteCode(error: unknown): string {
  return error instanceof Sqlite.SqliteError ? error.code : ''
}

export function isBusy(error: unknown): boolean {
  return /^SQLITE_(BUSY|LOCKED)/.test(sqliteCode(error))
}

/** What the port throws for an error of the driver; errors of ours pass as they are. */
export function toStoreError(error: unknown): Error {
  const code = sqliteCode(error)
  if (code === '') return error instanceof Error ? error : new Error(String(error))
  const reason = reasonOf(code)
  const message = error instanceof Error ? error.message : String(error)
  // Every "no" that can be expected is answered before a constraint sees it: this one is our bug.
  if (reason === null) return new InvariantError(`${code}: ${message}`, { cause: error })
  return new StoreError(reason, `${code}: ${message}`, { cause: error })
}

function reasonOf(code: string): StoreError['reason'] | null {
  if (/^SQLITE_(BUSY|LOCKED)/.test(code)) return 'busy'
  if (code === 'SQLITE_FULL') return 'full'
  if (/^SQLITE_(CORRUPT|NOTADB)/.test(code)) return 'corrupt'
  if (/^SQLITE_(IOERR|CANTOPEN|READONLY|PERM|NOMEM|NOLFS)/.test(code)) return 'io'
  return null
}
