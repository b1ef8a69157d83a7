import { compareWithModel } from '../store/ledger-commands.ts'
import { createStoreRuns } from '../store/ledger-runs.ts'
import { type Campaign, newSeed } from './campaign.ts'

/** Random lives of wallets, holds, limits and refunds, compared with plain lists after every step. */
export const ledger: Campaign = {
  name: 'ledger',
  what: 'random lives of wallets and keys against plain lists, the money check after every step',
  options: { runs: 400, steps: 200, seed: newSeed() },
  async run({ runs, steps, seed }, report) {
    const stores = createStoreRuns()
    try {
      await compareWithModel({ runs, steps, seed, ...stores.each })
    } catch (error) {
      return [error instanceof Error ? error.message : String(error)]
    } finally {
      stores.remove()
      report(`${stores.steps()} steps, each followed by the money check`)
    }
    return []
  },
}
