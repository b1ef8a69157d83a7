import { accessSync, constants, statSync } from 'node:fs'
import { dirname } from 'node:path'
import Sqlite, { type Database, type Statement } from 'better-sqlite3'
import { sqliteCode } from './errors.ts'
import { SCHEMA_VERSION, schemaVersionOf } from './migrations.ts'
import { APPLICATION_ID } from './schema.ts'

/** Why a database cannot be opened. */
export type OpenFailure =
  /** No file: `ccgate init` makes one, nothing else does. */
  | { readonly kind: 'missing'; readonly path: string }
  | { readonly kind: 'permission'; readonly path: string }
  /** Not SQLite, or not ccgate's. */
  | { readonly kind: 'not_a_database'; readonly path: string }
  | { readonly kind: 'corrupt'; readonly path: string; readonly problem: string }
  | {
      readonly kind: 'schema_newer'
      readonly path: string
      readonly found: number
      readonly known: number
    }
  | {
      readonly kind: 'schema_older'
      readonly path: string
      readonly found: number
      readonly known: number
    }
  | {
      readonly kind: 'sqlite_too_old'
      readonly path: string
      readonly found: string
      readonly needed: string
    }
  | { readonly kind: 'busy'; readonly path: string }
  | { readonly kind: 'io'; readonly path: string; readonly problem: string }

export type Connected = { readonly kind: 'connected'; readonly db: Database } | OpenFailure

/** Older versions can damage a WAL that two processes write (fixed in 3.51.3). */
export const NEEDED_SQLITE = '3.51.3'

/** How a connection is set up. */
export interface ConnectionOptions {
  readonly path: string
  readonly access: 'read' | 'write'
  /** How long a statement waits for a lock; 0 answers at once. */
  readonly busyTimeoutMs: number
  /** Off where every reference is proven by the statement before it: the daemon's writer. */
  readonly foreignKeys: boolean
  /** Accept a schema that is older than ours, to migrate it. */
  readonly allowOlder?: boolean
}

/** Opens an existing database of ours and checks that this program may use it. */
export function connect(options: ConnectionOptions): Connected {
  const { path } = options
  const unreachable = checkFile(path, options.access)
  if (unreachable) return unreachable
  let db: Database | null = null
  try {
    db = new Sqlite(path, {
      fileMustExist: true,
      readonly: options.access === 'read',
      timeout: options.busyTimeoutMs,
    })
    const failure = checkSqlite(db, path) ?? checkSchema(db, path, options.allowOlder ?? false)
    if (failure) {
      db.close()
      return failure
    }
    configure(db, options)
    return { kind: 'connected', db }
  } catch (error) {
    db?.close()
    return failureOf(error, path)
  }
}

/** Sets what SQLite keeps per connection. */
function configure(db: Database, options: ConnectionOptions): void {
  db.pragma(`foreign_keys = ${options.foreignKeys ? 'ON' : 'OFF'}`)
  // Makes INSERT OR REPLACE fire the triggers that keep the ledger append-only.
  db.pragma('recursive_triggers = ON')
  if (options.access === 'read') return
  // A file that came out of a backup is not in this mode; elsewhere this changes nothing.
  db.pragma('journal_mode = WAL')
  db.pragma('synchronous = FULL')
  // The keeper thread copies pages back all the time, but under constant writing it never catches the last
  // ones, and a log that only grows costs block allocation and a metadata commit per fsync. At 16 MiB the
  // writer copies what is left itself, and the log begins again in place: half the time per commit.
  db.pragma('wal_autocheckpoint = 4000')
}

function checkFile(path: string, access: 'read' | 'write'): OpenFailure | null {
  try {
    if (!statSync(path).isFile()) return { kind: 'not_a_database', path }
    const mode = access === 'read' ? constants.R_OK : constants.R_OK | constants.W_OK
    accessSync(path, mode)
    // Readers too need the folder: SQLite keeps its log and its index beside the file.
    accessSync(dirname(path), constants.X_OK)
    return null
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ENOTDIR') return { kind: 'missing', path }
    if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS')
      return { kind: 'permission', path }
    return { kind: 'io', path, problem: String(code) }
  }
}

/** Refuses a SQLite library that can corrupt what two processes write. */
export function checkSqlite(db: Database, path: string): OpenFailure | null {
  const found = db.prepare('SELECT sqlite_version()').pluck().get() as string
  return isOlder(found, NEEDED_SQLITE)
    ? { kind: 'sqlite_too_old', path, found, needed: NEEDED_SQLITE }
    : null
}

function checkSchema(db: Database, path: string, allowOlder: boolean): OpenFailure | null {
  if (db.pragma('application_id', { simple: true }) !== APPLICATION_ID) {
    return { kind: 'not_a_database', path }
  }
  const found = schemaVersionOf(db)
  if (found > SCHEMA_VERSION) return { kind: 'schema_newer', path, found, known: SCHEMA_VERSION }
  if (found < SCHEMA_VERSION && !allowOlder) {
    return { kind: 'schema_older', path, found, known: SCHEMA_VERSION }
  }
  return null
}

/** True when version `a` came before `b`; both are dotted numbers. */
export function isOlder(a: string, b: string): boolean {
  const [left, right] = [a, b].map((version) => version.split('.').map(Number))
  for (let i = 0; i < right.length; i++) {
    const difference = (left[i] ?? 0) - right[i]
    if (difference !== 0) return difference < 0
  }
  return false
}

/** Tells in which way opening failed. */
export function failureOf(error: unknown, path: string): OpenFailure {
  const code = sqliteCode(error)
  const problem = error instanceof Error ? error.message : String(error)
  if (/^SQLITE_(BUSY|LOCKED)/.test(code)) return { kind: 'busy', path }
  if (code === 'SQLITE_NOTADB') return { kind: 'not_a_database', path }
  if (code.startsWith('SQLITE_CORRUPT')) return { kind: 'corrupt', path, problem }
  if (/^SQLITE_(PERM|READONLY|AUTH|CANTOPEN)/.test(code)) return { kind: 'permission', path }
  return { kind: 'io', path, problem }
}

/** Statements prepared once per connection and text: preparing costs ten times running. */
export function statements(db: Database) {
  const prepared = new Map<string, Statement<unknown[]>>()
  return function sql(text: string): Statement<unknown[]> {
    let statement = prepared.get(text)
    if (!statement) {
      statement = db.prepare<unknown[]>(text)
      prepared.set(text, statement)
    }
    return statement
  }
}

export type Sql = ReturnType<typeof statements>
