import { runSystemFaults } from '../support/system-faults.ts'
import { type Campaign, newSeed } from './campaign.ts'

/** What the machine may do to the gateway: a failing disk, a full one, a held lock, a clock that jumps. */
export const faults: Campaign = {
  name: 'faults',
  what: 'fsync errors (strace), a full disk (tmpfs), a held lock, clock jumps (faketime)',
  options: { positions: 6, seed: newSeed() },
  async run({ positions, seed }, report) {
    return runSystemFaults({ positions, seed, report })
  },
}
