import type { MemoryName, ObjectRef, ThreadTotal, UpstreamObject } from '../store.ts'
import type { Context } from './context.ts'
import type { Tuple } from './usage-rows.ts'

interface ThreadRow {
  readonly message_id: string
  readonly user_id: string
  readonly account_id: string
  readonly total_tokens: number
  readonly at_ms: number
}

interface ObjectRow {
  readonly kind: ObjectRef['kind']
  readonly id: string
  readonly user_id: string
  readonly account_id: string
  readonly workspace: string | null
  readonly expires_at_ms: number
}

/** Upstream keeps what a thread continues for 30 days; a little longer does no harm. */
const THREAD_MS = 35 * 86_400_000
/** Every so many notes the oldest are forgotten, a few more than were added. */
const NOTES_PER_PURGE = 100
const PURGED = 120

/** A thread's note, ready to bind. */
export function threadTuple(note: ThreadTotal): Tuple {
  return [note.messageId, note.userId, note.accountId, note.totalTokens, note.atMs]
}

/** An object's note, ready to bind. */
export function objectTuple(object: UpstreamObject): Tuple {
  const { kind, id, userId, accountId, workspace, expiresAtMs } = object
  return [kind, id, userId, accountId, workspace, expiresAtMs]
}

/** What the gateway remembers between requests and over restarts. */
export function memoryOperations({ sql, nowMs }: Context) {
  let notes = 0
  let objectNotes = 0

  return {
    noteThread(note: Tuple): void {
      sql(
        `INSERT OR REPLACE INTO threads (message_id, user_id, account_id, total_tokens, at_ms)
         VALUES (?, ?, ?, ?, ?)`,
      ).run(...note)
      notes += 1
      if (notes % NOTES_PER_PURGE !== 0) return
      sql(
        `DELETE FROM threads WHERE message_id IN
           (SELECT message_id FROM threads WHERE at_ms < ? ORDER BY at_ms LIMIT ${PURGED})`,
      ).run(nowMs() - THREAD_MS)
    },

    getThread(messageId: string): ThreadTotal | null {
      const row = sql('SELECT * FROM threads WHERE message_id = ? AND at_ms >= ?').get(
        messageId,
        nowMs() - THREAD_MS,
      ) as ThreadRow | undefined
      if (!row) return null
      return {
        messageId: row.message_id,
        userId: row.user_id,
        accountId: row.account_id,
        totalTokens: row.total_tokens,
        atMs: row.at_ms,
      }
    },

    noteObject(object: Tuple): void {
      // Nobody takes over what is another's by making an answer name it.
      sql(
        `INSERT INTO upstream_objects (kind, id, user_id, account_id, workspace, expires_at_ms)
         VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (kind, id) DO UPDATE SET
           account_id = excluded.account_id, workspace = excluded.workspace,
           expires_at_ms = max(expires_at_ms, excluded.expires_at_ms)
         WHERE user_id = excluded.user_id`,
      ).run(...object)
      objectNotes += 1
      if (objectNotes % NOTES_PER_PURGE !== 0) return
      sql(
        `DELETE FROM upstream_objects WHERE (kind, id) IN
           (SELECT kind, id FROM upstream_objects WHERE expires_at_ms <= ?
            ORDER BY expires_at_ms LIMIT ${PURGED})`,
      ).run(nowMs())
    },

    getObjects(refs: readonly ObjectRef[]): readonly UpstreamObject[] {
      const find = sql(
        'SELECT * FROM upstream_objects WHERE kind = ? AND id = ? AND expires_at_ms > ?',
      )
      const now = nowMs()
      return refs.flatMap(({ kind, id }) => {
        const row = find.get(kind, id, now) as ObjectRow | undefined
        return row === undefined ? [] : [objectOf(row)]
      })
    },

    saveMemory(name: MemoryName, value: Uint8Array): void {
      sql('INSERT OR REPLACE INTO memory (name, value) VALUES (?, ?)').run(name, value)
    },

    loadMemory(name: MemoryName): Uint8Array | null {
      const row = sql('SELECT value FROM memory WHERE name = ?').get(name)
      return row ? new Uint8Array((row as { value: Uint8Array }).value) : null
    },
  }
}

function objectOf(row: ObjectRow): UpstreamObject {
  return {
    kind: row.kind,
    id: row.id,
    userId: row.user_id,
    accountId: row.account_id,
    workspace: row.workspace,
    expiresAtMs: row.expires_at_ms,
  }
}
