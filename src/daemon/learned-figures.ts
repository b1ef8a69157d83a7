import { Learned } from '../billing/learned.ts'
import type { Store } from '../store/store.ts'

/** What earlier runs have learned from receipts; nothing where there is nothing yet. */
export async function restoreLearned(store: Store): Promise<Learned> {
  const learned = new Learned()
  const stored = await store.loadMemory('learned')
  if (stored !== null) learned.restore(Buffer.from(stored).toString('utf8'))
  return learned
}

/** Keeps it for later runs. */
export function saveLearned(store: Store, learned: Learned): Promise<void> {
  return store.saveMemory('learned', Buffer.from(learned.serialize()))
}
