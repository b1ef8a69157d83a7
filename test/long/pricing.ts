import { runPricing } from '../support/pricing-campaign.ts'
import { type Campaign, newSeed } from './campaign.ts'

/** Costs against an independent rational oracle: any answer, mark-up, and table with changes of prices. */
export const pricing: Campaign = {
  name: 'pricing',
  what: 'costs against an independent rational oracle, with random prices and mark-ups',
  options: { cases: 150_000, seed: newSeed() },
  async run({ cases, seed }, report) {
    const found = runPricing({ cases, seed })
    report(`${cases} answers priced, ${found.length} differ`)
    return found
  },
}
