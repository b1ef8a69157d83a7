import type { DecisionTrail, TrailCandidate } from '../core/decision-trail.ts'
import { type Candidate, type Choice, waitOf } from './select.ts'

/** What one second of a client's waiting may cost in rewritten cache: a cent, the wage of who waits. */
const WAIT_MICRO_PER_SECOND = 10_000
/** A warm account is left beyond this load, and beyond its share of the mean ... */
const LOAD_FLOOR = 8
const LOAD_FACTOR = 1.25
/** ... and one that is warm for the shared beginning only, at this already. */
const SHARED_LOAD_FLOOR = 3
/** A match of at least this share of the prompt is the conversation's own, not a shared beginning. */
const OWN_SHARE = 0.5
/** Accounts with less of an upstream limit left get no new conversations while others have more. */
const SHORT_HEADROOM = 0.1
const MOST_TOLD = 16

/** What ties a request to a part of the pool. */
export interface Bound {
  readonly scope: 'credential' | 'workspace' | 'organization'
  /** The account's id for `credential`; else the id that upstream gave, or an account's while unknown. */
  readonly id: string
  /**
   * `hard`: it fails anywhere else. `until_nothing_left`: it works elsewhere with a loss (thinking that is
   * bound). `soft`: a preference.
   */
  readonly strength: 'hard' | 'until_nothing_left' | 'soft'
}

/** What is known of a request when an account is chosen for its next attempt. */
export interface Demand {
  /** Accounts that this exchange has tried: not again, but for `again`. */
  readonly tried: ReadonlySet<string>
  /** The account whose 529 for a warm prompt may be tried once more, within its cooling. */
  readonly again: string | null
  /** Tags of which an account must carry one; null: any account. */
  readonly tags: readonly string[] | null
  readonly bound: Bound | null
  /** The longest live prefix of each workspace; `at` is the position in the prompt where it ends. */
  readonly warm: readonly {
    readonly workspace: string
    readonly tokens: number
    readonly at: number
  }[]
  /** About how many tokens the prompt has; 0: not known. */
  readonly promptTokens: number
  /** By how much a million tokens written are dearer than read, in micro-dollars. */
  readonly rewriteMicroPerMTok: number
  /** How long this exchange has waited for accounts, and may wait in all. */
  readonly waitedMs: number
  readonly longestWaitMs: number
}

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

/** An account as the choice weighs it. */
interface Option {
  readonly candidate: Candidate
  readonly state: TrailCandidate['state']
  readonly waitMs: number | null
  readonly warmTokens: number
  /** Where its warm prefix ends; -1: it has none. */
  readonly warmAt: number
  readonly loadLimit: number
  readonly score: number
}

/**
 * Chooses the account for the next attempt: where the request is bound, else where its prompt is warm, else
 * the freer of two drawn at random. `random` gives numbers in [0, 1).
 */
export function choose(
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

/** Power of two choices among the first priority, away from accounts whose limits are nearly used up. */
function balanced(ready: readonly Option[], tier: number, random: () => number): Option | null {
  const first = ready.filter(({ candidate }) => candidate.priority === tier)
  const roomy = first.filter(({ candidate }) => (candidate.headroom ?? 1) >= SHORT_HEADROOM)
  const pool = roomy.length > 0 ? roomy : first
  if (pool.length < 3) return freest(pool)
  const a = Math.floor(random() * pool.length)
  const b = (a + 1 + Math.floor(random() * (pool.length - 1))) % pool.length
  return freest([pool[a], pool[b]])
}

/** The lowest score; among equals the one that idled longest, by weight and speed. */
function freest(options: readonly Option[]): Option | null {
  let best: Option | null = null
  for (const one of options) {
    if (best === null || one.score < best.score) best = one
    else if (one.score === best.score && restedOf(one.candidate) > restedOf(best.candidate))
      best = one
  }
  return best
}

function restedOf({ idleMs, weight }: Candidate): number {
  return idleMs * weight
}

function weigh(candidates: readonly Candidate[], demand: Demand): readonly Option[] {
  const usable = candidates.filter((one) => stateOf(one, demand) === 'ready')
  let inFlight = 0
  let weight = 0
  let firstTokenMs = 0
  let timed = 0
  for (const one of usable) {
    inFlight += one.inFlight
    weight += one.weight
    if (one.firstTokenMs == null) continue
    firstTokenMs += one.firstTokenMs
    timed++
  }
  const usualMs = timed === 0 ? 1 : Math.max(1, firstTokenMs / timed)
  return candidates.map((candidate) => {
    const speed = (candidate.firstTokenMs ?? usualMs) / usualMs
    const workspace = scopeIdOf(candidate, 'workspace')
    const warm = demand.warm.find((one) => one.workspace === workspace)
    return {
      candidate,
      state: stateOf(candidate, demand),
      waitMs: waitOf(candidate),
      warmTokens: warm?.tokens ?? 0,
      warmAt: warm?.at ?? -1,
      loadLimit: Math.ceil((LOAD_FACTOR * inFlight * candidate.weight) / Math.max(1, weight)),
      score: (candidate.inFlight / candidate.weight) * Math.max(0.1, speed),
    }
  })
}

function stateOf(candidate: Candidate, demand: Demand): TrailCandidate['state'] {
  if (!candidate.servesModel) return 'other_model'
  if (demand.tags !== null && !demand.tags.some((tag) => candidate.tags?.includes(tag))) {
    return 'other_tags'
  }
  if (demand.tried.has(candidate.id) && candidate.id !== demand.again) return 'tried'
  if (waitOf(candidate) === 0) return 'ready'
  return candidate.rest === null ? 'full' : 'resting'
}

function isWaiting(state: TrailCandidate['state']): boolean {
  return state === 'full' || state === 'resting'
}

function limitOf(option: Option, isOwn: boolean): number {
  return Math.max(isOwn ? LOAD_FLOOR : SHARED_LOAD_FLOOR, option.loadLimit)
}

/** Too much runs there, and less elsewhere. */
function isOverloaded(option: Option, ready: readonly Option[], isOwn: boolean): boolean {
  if (option.candidate.inFlight < limitOf(option, isOwn)) return false
  return ready.some((one) => one.score < option.score)
}

function isOwnPrefix(tokens: number, { promptTokens }: Demand): boolean {
  return tokens >= promptTokens * OWN_SHARE
}

/** How long it pays to wait rather than write so many tokens anew. */
function worthMs(demand: Demand, tokens = demand.warm[0]?.tokens ?? 0): number {
  const rewriteMicro = (tokens * demand.rewriteMicroPerMTok) / 1_000_000
  return Math.min(demand.longestWaitMs, (rewriteMicro / WAIT_MICRO_PER_SECOND) * 1_000)
}

function soonestOf(options: readonly Option[]): (Option & { readonly waitMs: number }) | null {
  let soonest: (Option & { readonly waitMs: number }) | null = null
  for (const one of options) {
    const { waitMs } = one
    if (waitMs === null || (soonest !== null && soonest.waitMs <= waitMs)) continue
    soonest = { ...one, waitMs }
  }
  return soonest
}

function leftOf(
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

/** The id of a candidate's scope: its own stands in for what upstream has not yet told. */
export function scopeIdOf(candidate: Candidate, scope: Bound['scope']): string {
  if (scope === 'credential') return candidate.id
  const id = scope === 'workspace' ? candidate.workspace : candidate.organization
  return id ?? candidate.id
}

interface Reasons {
  readonly because: DecisionTrail['because']
  readonly left: DecisionTrail['left']
  readonly options: readonly Option[]
  readonly demand: Demand
  readonly isBoundLeft: boolean
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
  if (open.length === 0) return { kind: 'none', because: 'no_accounts', retryAfterMs: null, trail }
  const isLimited = open.every(
    ({ candidate: { rest } }) => rest === null || rest.kind === 'limited',
  )
  const retryAfterMs = soonestOf(open)?.waitMs ?? null
  return { kind: 'none', because: isLimited ? 'limited' : 'unhealthy', retryAfterMs, trail }
}

function trailOf(accountId: string | null, reasons: Reasons): DecisionTrail {
  const { because, left, options, demand, isBoundLeft } = reasons
  const rank = ({ candidate, warmTokens, state }: Option) =>
    candidate.id === accountId ? -1e12 : -warmTokens - (state === 'ready' ? 0.5 : 0)
  const told = options.toSorted((a, b) => rank(a) - rank(b)).slice(0, MOST_TOLD)
  const { bound } = demand
  return {
    because,
    accountId,
    bound: bound === null ? null : { scope: bound.scope, id: bound.id, isLeft: isBoundLeft },
    left: left?.accountId === accountId ? null : left,
    candidates: told.map((option) => ({
      accountId: option.candidate.id,
      state: option.state,
      waitMs: option.waitMs,
      inFlight: option.candidate.inFlight,
      loadLimit: limitOf(option, isOwnPrefix(option.warmTokens, demand)),
      warmTokens: option.warmTokens,
      headroom: option.candidate.headroom ?? null,
      score: option.score,
    })),
    others: options.length - told.length,
  }
}
