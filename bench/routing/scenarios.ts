// The runs that docs/routing.md speaks of.

import { findPrice } from '../../src/billing/price-table.ts'
import { BUILT_IN_PRICES } from '../../src/billing/prices.ts'
import { LONGEST_WAIT_MS, type RunFigures, simulate, type Trouble } from './simulate.ts'
import { leastBusy, ours, roundRobin, type Strategy, stickyByKey } from './strategies.ts'
import { type Conversation, MODEL, makeWorkload } from './workload.ts'

const NO_TROUBLE: Trouble = { overloaded: 0, failsForThirdOfMs: null }
const THINK_MS = 30_000
const START_WITHIN_MS = 60_000
/** Of each of the four accounts. */
const CONCURRENCY_LIMIT = 10

/** One line-up: the same conversations for every strategy. */
export interface Scenario {
  readonly name: string
  readonly conversations: number
  readonly turns: readonly [least: number, most: number]
  readonly trouble: 'none' | 'one account fails' | '5 % overloaded'
  /** The most that ours may cost, by the cost of one account with unlimited room. */
  readonly goal: number
}

export const SCENARIOS: readonly Scenario[] = [
  { name: '50 conversations', conversations: 50, turns: [10, 40], trouble: 'none', goal: 1.2 },
  { name: '5 conversations', conversations: 5, turns: [10, 40], trouble: 'none', goal: 1.2 },
  {
    name: '50 conversations, one account fails for a third of the run',
    conversations: 50,
    turns: [10, 40],
    trouble: 'one account fails',
    goal: 1.2,
  },
  {
    name: '50 conversations, 5 % of answers are a 529',
    conversations: 50,
    turns: [10, 40],
    trouble: '5 % overloaded',
    goal: 1.25,
  },
]

/** The yardstick and every strategy, for one scenario. */
export interface ScenarioFigures {
  readonly scenario: Scenario
  readonly promptTokens: number
  readonly seed: number
  readonly yardstick: RunFigures
  readonly runs: readonly RunFigures[]
}

/** Plays one scenario with every strategy. */
export function playScenario(
  scenario: Scenario,
  options: { readonly promptTokens: number; readonly seed: number },
): ScenarioFigures {
  const { seed, promptTokens } = options
  const workload = makeWorkload({
    seed,
    promptTokens,
    conversations: scenario.conversations,
    turns: scenario.turns,
    startWithinMs: START_WITHIN_MS,
    thinkMs: THINK_MS,
  })
  const yardstick = simulate({
    workload,
    strategy: { ...leastBusy(), name: 'one unlimited account' },
    accounts: 1,
    concurrencyLimit: null,
    trouble: NO_TROUBLE,
    seed,
  })
  const trouble = troubleOf(scenario, yardstick)
  const strategies: readonly Strategy[] = [
    roundRobin(),
    leastBusy(),
    stickyByKey(),
    ourStrategy(seed),
  ]
  const runs = strategies.map((strategy) =>
    simulate({
      workload,
      strategy,
      accounts: 4,
      concurrencyLimit: CONCURRENCY_LIMIT,
      trouble,
      seed,
    }),
  )
  return { scenario, promptTokens, seed, yardstick, runs }
}

/** Only ours and the yardstick: for the test. */
export function playOurs(
  scenario: Scenario,
  options: { readonly promptTokens: number; readonly seed: number },
): { readonly ratio: number; readonly ours: RunFigures } {
  const { seed, promptTokens } = options
  const { conversations, turns } = scenario
  const frame = { startWithinMs: START_WITHIN_MS, thinkMs: THINK_MS }
  const workload: readonly Conversation[] = makeWorkload({
    ...frame,
    seed,
    promptTokens,
    conversations,
    turns,
  })
  const alone = simulate({
    workload,
    strategy: leastBusy(),
    accounts: 1,
    concurrencyLimit: null,
    trouble: NO_TROUBLE,
    seed,
  })
  const run = simulate({
    workload,
    strategy: ourStrategy(seed),
    accounts: 4,
    concurrencyLimit: CONCURRENCY_LIMIT,
    trouble: troubleOf(scenario, alone),
    seed,
  })
  return { ratio: run.costMicro / alone.costMicro, ours: run }
}

function troubleOf({ trouble }: Scenario, { lastedMs }: RunFigures): Trouble {
  return {
    overloaded: trouble === '5 % overloaded' ? 0.05 : 0,
    failsForThirdOfMs: trouble === 'one account fails' ? lastedMs : null,
  }
}

function ourStrategy(seed: number): Strategy {
  const price = findPrice(BUILT_IN_PRICES, MODEL, Date.UTC(2026, 10, 22))
  if (price === null) throw new Error(`no price for ${MODEL}`)
  return ours({
    seed,
    rewriteMicroPerMTok: price.rates.cacheWrite5m - price.rates.cacheRead,
    minimumTokens: price.minimumCacheTokens,
    longestWaitMs: LONGEST_WAIT_MS,
  })
}
