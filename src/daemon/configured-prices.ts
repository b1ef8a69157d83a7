import { changesOfConfig } from '../billing/config-changes.ts'
import type { Config } from '../config/config.ts'
import { modelProblems } from '../config/model-problems.ts'
import type { Log } from '../observe/log.ts'
import type { By, Store } from '../store/store.ts'

/**
 * Writes the config's prices and mark-ups down where they are new, in force from now on: so recovery, which
 * knows no config, prices as the gateway did, and requests of before keep their prices.
 */
export async function writeConfiguredPrices(
  store: Store,
  models: Config['models'],
  parts: { readonly by: By; readonly log: Log },
): Promise<void> {
  const stored = await store.loadPriceChanges()
  for (const { path, message } of modelProblems(models, stored, parts.by.nowMs)) {
    parts.log.warn({ setting: path, problem: message }, 'config.names_no_model')
  }
  const changes = changesOfConfig(models.changes, stored, parts.by.nowMs)
  if (changes.length === 0) return
  await store.addPriceChanges(changes, parts.by)
  const subjects = changes.map(({ kind, subject }) => `${kind} ${subject}`)
  parts.log.info({ changes: subjects }, 'prices.configured')
}
