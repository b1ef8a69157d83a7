import { connect, type OpenFailure } from './sqlite/connection.ts'
import { createDatabase } from './sqlite/create.ts'
import { createLocalStore } from './sqlite/local-store.ts'
import type { Store } from './store.ts'

export type { OpenFailure } from './sqlite/connection.ts'
export { type CreateResult, createDatabase } from './sqlite/create.ts'
export { type DaemonStoreOptions, openDaemonStore } from './sqlite/daemon-store.ts'
export { SCHEMA_VERSION } from './sqlite/migrations.ts'

/** A store ready to use, or why there is none. */
export type OpenResult<S = Store> = { readonly kind: 'opened'; readonly store: S } | OpenFailure

/** How commands and the monitor open the store. */
export interface OpenOptions {
  readonly path: string
  /** How long a write waits for another process's lock; default 5,000. */
  readonly busyTimeoutMs?: number
  /** `create` makes the file when it is missing; the others never do. */
  readonly mode: 'read' | 'write' | 'create'
  /** Wall clock; default `Date.now`. */
  readonly nowMs?: () => number
  /** Nothing that is written stays: closing takes it all back. From the first write on others wait to write. */
  readonly isRehearsal?: boolean
}

/**
 * Opens the store in this thread: every call blocks until it is done, so this is for commands, the monitor
 * and tests; the daemon uses `openDaemonStore`. Never migrates: an older schema is answered as such.
 */
export async function openStore(options: OpenOptions): Promise<OpenResult> {
  if (options.mode === 'create') {
    const created = await createDatabase(options.path)
    if (created.kind !== 'created' && created.kind !== 'exists') return created
  }
  const connected = connect({
    path: options.path,
    access: options.mode === 'read' ? 'read' : 'write',
    busyTimeoutMs: options.busyTimeoutMs ?? 5_000,
    foreignKeys: true,
  })
  if (connected.kind !== 'connected') return connected
  return {
    kind: 'opened',
    store: createLocalStore(connected.db, options.nowMs, options.isRehearsal),
  }
}
