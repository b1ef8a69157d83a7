import type { Boot } from '../../core/model.ts'
import type { Context } from './context.ts'

interface BootRow {
  readonly id: string
  readonly pid: number
  readonly pid_started_at: string | null
  readonly pid_space: string | null
  readonly version: string
  readonly listen: string
  readonly public_url: string
  readonly demo: number
  readonly started_at_ms: number
  readonly heartbeat_at_ms: number
  readonly state: Boot['state']
}

/** Runs of the daemon: a row with a fresh heartbeat says that it lives. */
export function bootOperations({ sql }: Context) {
  return {
    addBoot(boot: Boot): void {
      sql(
        `INSERT INTO boots (id, pid, pid_started_at, pid_space, version, listen, public_url, demo,
           started_at_ms, heartbeat_at_ms, state)
         VALUES (@id, @pid, @pidStartedAt, @pidSpace, @version, @listen, @publicUrl, @demo, @startedAtMs,
           @heartbeatAtMs, @state)`,
      ).run({ ...boot, demo: boot.demo ? 1 : 0 })
    },

    heartbeat(bootId: string, state: Boot['state'], nowMs: number): void {
      sql('UPDATE boots SET state = ?, heartbeat_at_ms = ? WHERE id = ?').run(state, nowMs, bootId)
    },

    listBoots(): readonly Boot[] {
      const rows = sql('SELECT * FROM boots ORDER BY id DESC').all() as BootRow[]
      return rows.map((row) => ({
        id: row.id,
        pid: row.pid,
        pidStartedAt: row.pid_started_at,
        pidSpace: row.pid_space,
        version: row.version,
        listen: row.listen,
        publicUrl: row.public_url,
        demo: row.demo === 1,
        startedAtMs: row.started_at_ms,
        heartbeatAtMs: row.heartbeat_at_ms,
        state: row.state,
      }))
    },
  }
}
