import { simulate } from '../simulation/campaign.ts'
import { type Campaign, newSeed } from './campaign.ts'

/** The gateway in one thread, with clock, chance, upstream and disk simulated: thousands of bad days. */
export const simulation: Campaign = {
  name: 'simulation',
  what: 'real gateway code over simulated clock, chance, upstream and disk; any seed replays',
  options: { seeds: 1_000_000, steps: 500, minutes: 5, seed: newSeed() * 1_000 },
  async run({ seeds, steps, minutes, seed }, report) {
    const untilMs = Date.now() + minutes * 60_000
    const sums = { requests: 0, charged: 0, extended: 0, ranOut: 0, thin: 0, cold: 0, crashes: 0 }
    let done = 0
    for (; done < seeds && Date.now() < untilMs; done++) {
      const result = await simulate(seed + done, steps)
      sums.requests += result.requests
      sums.charged += result.charged
      sums.extended += result.extended
      sums.ranOut += result.ranOut
      sums.thin += result.thin
      sums.cold += result.cold
      sums.crashes += result.crashes
      if (result.violations.length === 0) continue
      report(
        `replay with: npm run test:long -- simulation --seeds 1 --steps ${steps} --seed ${result.seed}`,
      )
      return result.violations.map((line) => `seed ${result.seed}: ${line}`)
    }
    report(
      `${done} seeds from ${seed} x ${steps} steps: ${sums.requests} requests, ${sums.charged} charged, ${sums.extended} holds grew, ${sums.ranOut} ran out of money, ${sums.thin} held thinly (${sums.cold} were cold), ${sums.crashes} crashes`,
    )
    return []
  },
}
