// The runs that docs/routing.md speaks of.

import { BUILT_IN_PRICES } from '../../src/billing/prices.ts'
import type { AccountPlan } from '../../src/simulate/account.ts'
import {
  type LineUp,
  playStrategy,
  playYardstick,
  STRATEGY_NAMES,
  USUAL_PACE,
} from '../../src/simulate/compare.ts'
import type { Trouble } from '../../src/simulate/run.ts'
import type { RunFigures } from '../../src/simulate/tally.ts'
import { makeWorkload } from '../../src/simulate/workload.ts'

/** The model that all ask for: opus, whose cache reads cost a twentieth of its input. */
export const MODEL = 'claude-opus-5-5'
const THINK_MS = 30_000
const START_WITHIN_MS = 60_000
/** Four accounts of four workspaces. */
export const ACCOUNTS: readonly AccountPlan[] = [1, 2, 3, 4].map((k) => ({
  name: `account-${k}`,
  weight: 1,
  priority: 1,
  concurrencyLimit: 10,
  rpmLimit: null,
}))

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

/** How a scenario is played. */
export interface Play {
  readonly promptTokens: number
  readonly seed: number
}

/** Plays one scenario with every strategy. */
export async function playScenario(scenario: Scenario, play: Play): Promise<ScenarioFigures> {
  const { lineUp, yardstick } = await prepare(scenario, play)
  const runs: RunFigures[] = []
  for (const name of STRATEGY_NAMES) runs.push(await playStrategy(lineUp, name))
  return { scenario, ...play, yardstick, runs }
}

/** Ours and the yardstick only. */
export async function playOurs(
  scenario: Scenario,
  play: Play,
): Promise<{ readonly ratio: number; readonly ours: RunFigures; readonly yardstick: RunFigures }> {
  const { lineUp, yardstick } = await prepare(scenario, play)
  const ours = await playStrategy(lineUp, 'ccgate')
  return { ratio: ours.costMicro / yardstick.costMicro, ours, yardstick }
}

/** The conversations of a scenario, answered at the usual pace. */
export function lineUpOf(
  { conversations, turns }: Scenario,
  { promptTokens, seed }: Play,
): Omit<LineUp, 'trouble'> {
  const workload = makeWorkload({
    seed,
    model: MODEL,
    promptTokens: [promptTokens],
    conversations,
    turns,
    startMs: (writer) => writer.between(0, START_WITHIN_MS),
    thinkMs: () => THINK_MS,
    bursts: [],
  })
  const prices = BUILT_IN_PRICES
  return { model: MODEL, prices, workload, accounts: ACCOUNTS, pace: USUAL_PACE, seed }
}

async function prepare(
  scenario: Scenario,
  play: Play,
): Promise<{ readonly lineUp: LineUp; readonly yardstick: RunFigures }> {
  const lineUp = lineUpOf(scenario, play)
  const yardstick = await playYardstick(lineUp)
  return { lineUp: { ...lineUp, trouble: troubleOf(scenario, yardstick) }, yardstick }
}

function troubleOf({ trouble }: Scenario, { lastedMs }: RunFigures): Trouble {
  const third = { fromMs: lastedMs / 3, forMs: lastedMs / 3 }
  return {
    overloaded: trouble === '5 % overloaded' ? 0.05 : 0,
    outage: trouble === 'one account fails' ? third : null,
  }
}
