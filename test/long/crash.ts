import { runCrashCampaign } from '../support/crash-campaign.ts'
import { type Campaign, newSeed } from './campaign.ts'

/** Kills the real gateway at random instants under load and audits what is left. */
export const crash: Campaign = {
  name: 'crash',
  what: 'ends the gateway with kill -9 under load, then audits the ledger',
  options: { kills: 100, clients: 200, seed: newSeed() },
  async run({ kills, clients, seed }, report) {
    const result = await runCrashCampaign({ kills, seed, clients, report })
    return result.violations
  },
}
