import type { AuditEvent } from '../../core/model.ts'
import type { Changes, MetaName } from '../store.ts'
import type { Context } from './context.ts'
import { schemaVersionOf } from './migrations.ts'

interface AuditRow {
  readonly id: string
  readonly at_ms: number
  readonly actor: string
  readonly action: string
  readonly target: string
  readonly before: string | null
  readonly after: string | null
}

/** Facts about the file itself, the audit log, and what other processes changed. */
export function metaOperations({ db, sql }: Context) {
  return {
    getMeta(name: MetaName): Uint8Array | null {
      const row = sql('SELECT value FROM meta WHERE name = ?').get(name)
      return row ? new Uint8Array((row as { value: Uint8Array }).value) : null
    },

    putMeta(name: MetaName, value: Uint8Array): void {
      sql('INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)').run(name, value)
    },

    changes(): Changes {
      return sql('SELECT keys, accounts, prices FROM change_counters').get() as Changes
    },

    dataVersion(): number {
      return db.pragma('data_version', { simple: true }) as number
    },

    schemaVersion(): number {
      return schemaVersionOf(db)
    },

    listAudit(filter: { sinceMs?: number; limit: number }): readonly AuditEvent[] {
      const rows = sql('SELECT * FROM audit WHERE at_ms >= ? ORDER BY id DESC LIMIT ?').all(
        filter.sinceMs ?? 0,
        filter.limit,
      ) as AuditRow[]
      return rows.map((row) => ({
        id: row.id,
        atMs: row.at_ms,
        actor: row.actor,
        action: row.action,
        target: row.target,
        before: row.before === null ? null : (JSON.parse(row.before) as Record<string, unknown>),
        after: row.after === null ? null : (JSON.parse(row.after) as Record<string, unknown>),
      }))
    },
  }
}
