import { type DayFigures, playPoolDay } from '../support/pool-day.ts'
import { type Campaign, newSeed } from './campaign.ts'

/** Days of bad luck for pool, choice and line: nobody stays out for good, nothing is used beyond its limits. */
export const pool: Campaign = {
  name: 'pool',
  what: 'a day of bursts and failing accounts through the real pool, choice and line, clock and chance simulated',
  options: { seeds: 60, accounts: 4, seed: newSeed() },
  async run({ seeds, accounts, seed }, report) {
    const days: DayFigures[] = []
    for (let k = 0; k < seeds; k++) {
      try {
        days.push(await playPoolDay(seed + k, accounts))
      } catch (error) {
        report(`replay with: npm run test:long -- pool --seeds 1 --seed ${seed + k}`)
        return [`seed ${seed + k}: ${(error as Error).message}`]
      }
    }
    const sum = (figure: (day: DayFigures) => number) =>
      days.reduce((total, day) => total + figure(day), 0)
    const longestMs = days.reduce((most, day) => Math.max(most, day.longestWaitMs), 0)
    report(
      `${seeds} days from seed ${seed}: ${sum((day) => day.sent)} requests sent, ${sum((day) => day.warm)} to a warm account, ` +
        `${sum((day) => day.failed)} failed, ${sum((day) => day.turnedAway)} found nobody; the longest wait was ${longestMs.toFixed(0)} ms`,
    )
    return []
  },
}
