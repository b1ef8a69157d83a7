import { runEstimates } from '../support/estimates-campaign.ts'
import { type Campaign, newSeed } from './campaign.ts'

/** How far estimates are from the truth: cut streams' bills, bounds, and how much money holds keep from use. */
export const estimates: Campaign = {
  name: 'estimates',
  what: 'bills of cut streams against the truth; bound against cost; held money against spent',
  options: { streams: 10_000, turns: 10_000, seed: newSeed() },
  async run({ streams, turns, seed }, report) {
    return runEstimates({ streams, turns, seed, report })
  },
}
