import type { OpenResult } from '../open.ts'
import type { Store } from '../store.ts'

export interface DaemonStoreOptions {
  readonly path: string
  readonly busyTimeoutMs?: number
}

export async function openDaemonStore(options: DaemonStoreOptions): Promise<OpenResult<Store>> {
  const { openStore } = await import('../open.ts')
  return openStore({ ...options, mode: 'write' })
}
