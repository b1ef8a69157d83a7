// The same conversations, once per way to choose an account.

import { findPrice, type PriceTable } from '../billing/price-table.ts'
import type { AccountPlan } from './account.ts'
import { START_MS } from './agenda.ts'
import { type Pace, simulate, type Trouble } from './run.ts'
import { leastBusy, ours, roundRobin, type Strategy, stickyByKey } from './strategies.ts'
import type { RunFigures } from './tally.ts'
import type { Conversation } from './workload.ts'

/** Who asks for what, and who serves it. */
export interface LineUp {
  readonly model: string
  readonly prices: PriceTable
  readonly workload: readonly Conversation[]
  readonly accounts: readonly AccountPlan[]
  readonly pace: Pace
  readonly trouble: Trouble
  readonly seed: number
}

/** Answers of the length that people wait for. */
export const USUAL_PACE: Pace = { firstTokenMs: 1_000, answerMs: 10_000 }

const NO_TROUBLE: Trouble = { overloaded: 0, outage: null }
const UNLIMITED: AccountPlan = {
  name: 'unlimited',
  weight: 1,
  priority: 1,
  concurrencyLimit: null,
  rpmLimit: null,
}

/** Ours comes last. */
export const STRATEGY_NAMES = ['round robin', 'least busy', 'sticky by key', 'ccgate'] as const
export type StrategyName = (typeof STRATEGY_NAMES)[number]

/** The yardstick: one account with unlimited room and no trouble. */
export function playYardstick(lineUp: Omit<LineUp, 'accounts' | 'trouble'>): Promise<RunFigures> {
  const strategy = { ...leastBusy(), name: 'one account' }
  const alone = { ...lineUp, accounts: [UNLIMITED], trouble: NO_TROUBLE }
  return simulate({ ...alone, minimumTokens: ratesOf(lineUp).minimumTokens, strategy })
}

/** One way to choose, played to the end. */
export function playStrategy(lineUp: LineUp, name: StrategyName): Promise<RunFigures> {
  const { minimumTokens } = ratesOf(lineUp)
  return simulate({ ...lineUp, minimumTokens, strategy: strategyOf(lineUp, name) })
}

function strategyOf(lineUp: LineUp, name: StrategyName): Strategy {
  switch (name) {
    case 'round robin':
      return roundRobin()
    case 'least busy':
      return leastBusy()
    case 'sticky by key':
      return stickyByKey()
    case 'ccgate':
      return ours({ seed: lineUp.seed, ...ratesOf(lineUp) })
  }
}

function ratesOf({ model, prices }: Pick<LineUp, 'model' | 'prices'>): {
  readonly rewriteMicroPerMTok: number
  readonly minimumTokens: number
} {
  const price = findPrice(prices, model, START_MS)
  if (price === null) throw new Error(`no price for ${model}`)
  const { rates, minimumCacheTokens } = price
  const rewriteMicroPerMTok = rates.cacheWrite5m - rates.cacheRead
  return { rewriteMicroPerMTok, minimumTokens: minimumCacheTokens }
}
