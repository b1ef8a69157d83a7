import { randomBytes } from 'node:crypto'
import type { Database } from 'better-sqlite3'
import { createIdMaker, ID_PREFIX, type IdKind } from '../../core/ids.ts'
import { editDistance } from '../../core/nearest.ts'
import type { By } from '../store.ts'
import { type Sql, statements } from './connection.ts'

/** What every operation is given: one connection, its statements, the wall clock. */
export interface Context {
  readonly db: Database
  readonly sql: Sql
  readonly nowMs: () => number
  /** Writes an audit row; call it inside the transaction of the change. */
  readonly audit: (by: By, change: AuditChange) => void
}

export interface AuditChange {
  readonly action: string
  readonly target: string
  readonly before?: object | null
  readonly after?: object | null
}

/** Wraps a connection for the operations of this folder. */
export function createContext(db: Database, nowMs: () => number = Date.now): Context {
  const sql = statements(db)
  let auditMs = 0
  const makeId = createIdMaker(
    (bytes) => randomBytes(bytes),
    () => auditMs,
  )
  return {
    db,
    sql,
    nowMs,
    audit(by, change) {
      auditMs = by.nowMs
      sql(
        'INSERT INTO audit (id, at_ms, actor, action, target, before, after) VALUES (?, ?, ?, ?, ?, ?, ?)',
      ).run(
        makeId('event'),
        by.nowMs,
        by.actor,
        change.action,
        change.target,
        change.before ? JSON.stringify(change.before) : null,
        change.after ? JSON.stringify(change.after) : null,
      )
    },
  }
}

/** Runs `read` on one state of the file, however many statements it takes. */
export function snapshot<T>(db: Database, read: () => T): T {
  return db.inTransaction ? read() : db.transaction(read).deferred()
}

/** True for text that may be the start of an id: its prefix and at least 8 more characters. */
export function isIdPrefix(kind: IdKind, text: string): boolean {
  const prefix = ID_PREFIX[kind]
  return text.startsWith(prefix) && text.length >= prefix.length + 8
}

/** The end of the range of texts that start with `prefix`; ids are ASCII, so this is above them all. */
export function prefixEnd(prefix: string): string {
  return `${prefix}\u{10ffff}`
}

/** `%text%` for LIKE ... ESCAPE '\\', with the text's own wildcards disarmed. */
export function likeContains(text: string): string {
  return `%${text.replace(/[\\%_]/g, '\\$&')}%`
}

/** Up to three of `names` that `ref` may have meant, nearest first. */
export function nearestNames(ref: string, names: readonly string[]): readonly string[] {
  const wanted = ref.toLowerCase()
  return names
    .map((name) => ({ name, distance: editDistance(wanted, name.toLowerCase()) }))
    .filter(({ name, distance }) => distance <= Math.max(2, Math.ceil(name.length / 3)))
    .sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1))
    .slice(0, 3)
    .map(({ name }) => name)
}
