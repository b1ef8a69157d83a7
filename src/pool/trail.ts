import type { DecisionTrail } from '../core/decision-trail.ts'
import { type Demand, isOverloaded, isOwnPrefix, limitOf, type Option } from './weigh.ts'

/** So many accounts are told of one by one. */
const MOST_TOLD = 16

/** What a trail is made of. */
export interface Reasons {
  readonly because: DecisionTrail['because']
  readonly left: DecisionTrail['left']
  readonly options: readonly Option[]
  readonly demand: Demand
  readonly isBoundLeft: boolean
}

/** Why the warm accounts of this group were not taken. */
export function leftOf(
  group: readonly Option[],
  isOwn: boolean,
  ready: readonly Option[],
): DecisionTrail['left'] {
  const [one] = group
  if (one === undefined) return null
  const { candidate, warmTokens, state } = one
  const because =
    state !== 'ready'
      ? state === 'full'
        ? 'full'
        : 'resting'
      : isOverloaded(one, ready, isOwn)
        ? 'load'
        : 'priority'
  return { accountId: candidate.id, warmTokens, because }
}

/** The trail of a choice that fell on `accountId`, or on none. */
export function trailOf(accountId: string | null, reasons: Reasons): DecisionTrail {
  const { because, left, options, demand, isBoundLeft } = reasons
  const rank = ({ candidate, warmTokens, state }: Option) =>
    candidate.id === accountId ? -1e12 : -warmTokens - (state === 'ready' ? 0.5 : 0)
  const told = options.toSorted((a, b) => rank(a) - rank(b)).slice(0, MOST_TOLD)
  const { bound } = demand
  return {
    because,
    accountId,
    bound: bound === null ? null : { scope: bound.scope, id: bound.id, isLeft: isBoundLeft },
    left: left?.accountId === accountId ? null : (left ?? triedOf(accountId, options)),
    candidates: told.map((option) => ({
      accountId: option.candidate.id,
      state: toldStateOf(option),
      waitMs: option.waitMs,
      inFlight: option.candidate.inFlight,
      loadLimit: limitOf(option, isOwnPrefix(option.warmTokens, demand)),
      warmTokens: option.warmTokens,
      headroom: option.candidate.headroom ?? null,
      score: option.score,
    })),
    others: options.length - told.length,
    waitedMs: 0,
  }
}

/** To the choice it only rests; people are told of an operator's own hours and caps. */
function toldStateOf({ state, candidate: { rest } }: Option): Option['state'] {
  const isOwn = rest?.kind === 'closed' || rest?.kind === 'capped'
  return state === 'resting' && isOwn ? rest.kind : state
}

/** The warmest account that failed this request, where it is warmer than the one chosen in its place. */
function triedOf(accountId: string | null, options: readonly Option[]): DecisionTrail['left'] {
  if (accountId === null) return null
  const chosen = options.find(({ candidate }) => candidate.id === accountId)
  const [warmest] = options
    .filter(({ state, warmTokens }) => state === 'tried' && warmTokens > (chosen?.warmTokens ?? 0))
    .toSorted((a, b) => b.warmTokens - a.warmTokens)
  if (warmest === undefined) return null
  const { candidate, warmTokens } = warmest
  return { accountId: candidate.id, warmTokens, because: 'tried' }
}
