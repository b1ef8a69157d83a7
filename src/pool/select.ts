import type { DecisionTrail } from '../core/decision-trail.ts'
import { becauseOf, type Candidate, type Choice } from './candidate.ts'
import { leftOf, type Reasons, trailOf } from './trail.ts'
import {
  type Demand,
  isOverloaded,
  isOwnPrefix,
  isWaiting,
  type Option,
  scopeIdOf,
  soonestOf,
  weigh,
  worthMs,
} from './weigh.ts'

/** Accounts with less of an upstream limit left get no new conversations while others have more. */
const SHORT_HEADROOM = 0.1

/** Where the next attempt goes, or how long to wait before choosing again; always with the reasons. */
export type Decision =
  | { readonly kind: 'account'; readonly id: string; readonly trail: DecisionTrail }
  /** Worth waiting for: it is bound or warm there. Choose again after `forMs`, or when a slot gets free. */
  | {
      readonly kind: 'wait'
      readonly id: string
      readonly forMs: number
      readonly trail: DecisionTrail
    }
  | (Extract<Choice, { kind: 'none' }> & { readonly trail: DecisionTrail })

/**
 * Chooses the account for the next attempt: where the request is bound, else where its prompt is warm, else
 * the freer of two drawn at random. `random` gives numbers in [0, 1).
 */
export function select(
  candidates: readonly Candidate[],
  demand: Demand,
  random: () => number,
): Decision {
  const options = weigh(candidates, demand)
  const open = options.filter(({ state }) => state === 'ready' || isWaiting(state))
  const { bound } = demand
  if (bound === null) return chooseAmong(options, open, demand, random, false)

  const inside = open.filter(({ candidate }) => scopeIdOf(candidate, bound.scope) === bound.id)
  if (inside.some(({ state }) => state === 'ready')) {
    return chooseAmong(options, inside, demand, random, false)
  }
  const soonest = soonestOf(inside)
  const mayWaitMs = bound.strength === 'soft' ? worthMs(demand) : demand.longestWaitMs
  if (soonest !== null && soonest.waitMs <= mayWaitMs - demand.waitedMs) {
    return waitFor(options, soonest, demand)
  }
  if (bound.strength !== 'hard') return chooseAmong(options, open, demand, random, true)
  const shown = options.map((one) =>
    inside.includes(one) || one.state === 'tried'
      ? one
      : { ...one, state: 'out_of_scope' as const },
  )
  return none(shown, inside, demand)
}

function chooseAmong(
  options: readonly Option[],
  open: readonly Option[],
  demand: Demand,
  random: () => number,
  isBoundLeft: boolean,
): Decision {
  const ready = open.filter(({ state }) => state === 'ready')
  const tier = Math.min(...ready.map(({ candidate }) => candidate.priority))
  const because = demand.bound !== null && !isBoundLeft ? 'bound' : 'warm'
  const groups = warmGroups(open)
  let left: DecisionTrail['left'] = null
  for (const [k, group] of groups.entries()) {
    const tokens = tokensOf(group)
    const isOwn = isOwnPrefix(tokens, demand)
    const able = group.filter(({ state }) => state === 'ready')
    const fit = able.filter(
      (one) => !isOverloaded(one, ready, isOwn) && (isOwn || one.candidate.priority === tier),
    )
    const chosen = freest(fit)
    if (chosen !== null) return account(chosen, { because, left, options, demand, isBoundLeft })
    // What waiting saves is the part that would have to be written where the prompt is less warm.
    const soonest = soonestOf(group)
    const savedTokens = tokens - tokensOf(groups[k + 1] ?? [])
    if (able.length === 0 && soonest !== null) {
      if (soonest.waitMs <= worthMs(demand, savedTokens) - demand.waitedMs) {
        return waitFor(options, soonest, demand)
      }
    }
    left ??= leftOf(group, isOwn, ready)
  }
  const chosen = balanced(ready, tier, random)
  if (chosen === null) return none(options, open, demand)
  const reason = because === 'bound' ? 'bound' : 'balanced'
  return account(chosen, { because: reason, left, options, demand, isBoundLeft })
}

/** The accounts where the prompt is warm, those of the longest prefix first, equally long ones together. */
function warmGroups(open: readonly Option[]): readonly (readonly Option[])[] {
  const ends = new Set(open.filter(({ warmAt }) => warmAt >= 0).map(({ warmAt }) => warmAt))
  return [...ends]
    .toSorted((a, b) => b - a)
    .map((end) => open.filter(({ warmAt }) => warmAt === end))
}

function tokensOf(group: readonly Option[]): number {
  return group.reduce((most, { warmTokens }) => Math.max(most, warmTokens), 0)
}

/**
 * Power of two choices among the first priority, away from accounts whose limits are nearly used up. The draw goes by
 * weight, for who is drawn seldom can never have a large share.
 */
function balanced(ready: readonly Option[], tier: number, random: () => number): Option | null {
  const first = ready.filter(({ candidate }) => candidate.priority === tier)
  const roomy = first.filter(({ candidate }) => (candidate.headroom ?? 1) >= SHORT_HEADROOM)
  const pool = roomy.length > 0 ? roomy : first
  if (pool.length < 3) return freest(pool)
  const one = drawn(pool, random)
  return freest([one, drawn(pool.toSpliced(pool.indexOf(one), 1), random)])
}

function drawn(pool: readonly Option[], random: () => number): Option {
  let at = random() * pool.reduce((sum, { candidate }) => sum + candidate.weight, 0)
  for (const one of pool) {
    at -= one.candidate.weight
    if (at < 0) return one
  }
  return pool[pool.length - 1]
}

/** The lowest score; among equals the one that idled longest, by weight and speed. */
function freest(options: readonly Option[]): Option | null {
  let best: Option | null = null
  for (const one of options) {
    if (best === null || one.score < best.score) best = one
    else if (one.score === best.score && restedOf(one) > restedOf(best)) best = one
  }
  return best
}

function restedOf({ candidate, slowness }: Option): number {
  return (candidate.idleMs * candidate.weight) / slowness
}

function account(chosen: Option, reasons: Reasons): Decision {
  const { id } = chosen.candidate
  return { kind: 'account', id, trail: trailOf(id, reasons) }
}

function waitFor(
  options: readonly Option[],
  soonest: Option & { readonly waitMs: number },
  demand: Demand,
): Decision {
  const { id } = soonest.candidate
  const reasons = { because: 'wait', left: null, options, demand, isBoundLeft: false } as const
  return { kind: 'wait', id, forMs: soonest.waitMs, trail: trailOf(id, reasons) }
}

function none(options: readonly Option[], open: readonly Option[], demand: Demand): Decision {
  const reasons = { because: 'none', left: null, options, demand, isBoundLeft: false } as const
  const trail = trailOf(null, reasons)
  const because = becauseOf(open.map(({ candidate }) => candidate))
  return { kind: 'none', because, retryAfterMs: soonestOf(open)?.waitMs ?? null, trail }
}
