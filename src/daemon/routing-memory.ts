import type { Affinity } from '../pool/affinity.ts'
import type { Pool } from '../pool/pool.ts'
import type { Store } from '../store/store.ts'

/** What earlier runs knew of warm prompts and bound conversations; nothing where there is nothing yet. */
export async function restoreAffinity(store: Store, affinity: Affinity): Promise<void> {
  const stored = await store.loadMemory('affinity')
  if (stored !== null) affinity.import(stored, Date.now())
}

/** Keeps it for later runs: hashes, and no text. */
export function saveAffinity(store: Store, affinity: Affinity): Promise<void> {
  return store.saveMemory('affinity', affinity.export(Date.now()))
}

/** To which organisation and workspace accounts belong: what is warm there is kept under these names. */
export async function restoreHeadroom(store: Store, pool: Pool): Promise<void> {
  for (const { headroom } of await store.listAccounts(Date.now()))
    if (headroom !== null) pool.restoreHeadroom(headroom)
}
