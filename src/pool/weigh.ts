import type { TrailCandidate } from '../core/decision-trail.ts'
import { type Candidate, carriesOne, waitOf } from './candidate.ts'

/** What one second of a client's waiting may cost in rewritten cache: a cent, the wage of who waits. */
const WAIT_MICRO_PER_SECOND = 10_000
/** A warm account is left beyond this load, and beyond its share of the mean ... */
const LOAD_FLOOR = 8
const LOAD_FACTOR = 1.25
/** ... and one that is warm for the shared beginning only, at this already. */
const SHARED_LOAD_FLOOR = 3
/** A match of at least this share of the prompt is the conversation's own, not a shared beginning. */
const OWN_SHARE = 0.5

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

/**
 * The bond that thinking in the history makes: where the model binds it, it is left only when nothing else
 * can serve; a preference where the model does not, or where it is not sure whose it is.
 */
export function thinkingBond(
  thinking: { readonly organization: string; readonly isAmbiguous: boolean } | null,
  bindsThinking: boolean,
): Bound | null {
  if (thinking === null) return null
  const isSure = bindsThinking && !thinking.isAmbiguous
  const strength = isSure ? 'until_nothing_left' : 'soft'
  return { scope: 'organization', id: thinking.organization, strength }
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

/** An account as the choice weighs it. */
export interface Option {
  readonly candidate: Candidate
  readonly state: TrailCandidate['state']
  readonly waitMs: number | null
  readonly warmTokens: number
  /** Where its warm prefix ends; -1: it has none. */
  readonly warmAt: number
  readonly loadLimit: number
  /** Its usual time until an answer begins, by that of all: 1 is as usual, at least 0.1. */
  readonly slowness: number
  readonly score: number
}

/** Every candidate with all that the choice goes by. */
export function weigh(candidates: readonly Candidate[], demand: Demand): readonly Option[] {
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
    const slowness = Math.max(0.1, (candidate.firstTokenMs ?? usualMs) / usualMs)
    const workspace = scopeIdOf(candidate, 'workspace')
    const warm = demand.warm.find((one) => one.workspace === workspace)
    return {
      candidate,
      state: stateOf(candidate, demand),
      waitMs: waitOf(candidate),
      warmTokens: warm?.tokens ?? 0,
      warmAt: warm?.at ?? -1,
      loadLimit: Math.ceil((LOAD_FACTOR * inFlight * candidate.weight) / Math.max(1, weight)),
      slowness,
      score: (candidate.inFlight / candidate.weight) * slowness,
    }
  })
}

function stateOf(candidate: Candidate, demand: Demand): TrailCandidate['state'] {
  if (!candidate.servesModel) return 'other_model'
  if (!carriesOne(candidate, demand.tags)) return 'other_tags'
  if (demand.tried.has(candidate.id) && candidate.id !== demand.again) return 'tried'
  if (waitOf(candidate) === 0) return 'ready'
  return candidate.rest === null ? 'full' : 'resting'
}

/** It cannot serve now and may soon. */
export function isWaiting(state: TrailCandidate['state']): boolean {
  return state === 'full' || state === 'resting'
}

/** In flight from which on a warm account is left. */
export function limitOf(option: Option, isOwn: boolean): number {
  return Math.max(isOwn ? LOAD_FLOOR : SHARED_LOAD_FLOOR, option.loadLimit)
}

/** Too much runs there, and less elsewhere. */
export function isOverloaded(option: Option, ready: readonly Option[], isOwn: boolean): boolean {
  if (option.candidate.inFlight < limitOf(option, isOwn)) return false
  return ready.some((one) => one.score < option.score)
}

/** Whether so long a prefix is the conversation's own, and not a beginning that many share. */
export function isOwnPrefix(tokens: number, { promptTokens }: Demand): boolean {
  return tokens >= promptTokens * OWN_SHARE
}

/** How long it pays to wait rather than write so many tokens anew. */
export function worthMs(demand: Demand, tokens = demand.warm[0]?.tokens ?? 0): number {
  const rewriteMicro = (tokens * demand.rewriteMicroPerMTok) / 1_000_000
  return Math.min(demand.longestWaitMs, (rewriteMicro / WAIT_MICRO_PER_SECOND) * 1_000)
}

/** The one that can serve first, of those whose rest has an end. */
export function soonestOf(
  options: readonly Option[],
): (Option & { readonly waitMs: number }) | null {
  let soonest: (Option & { readonly waitMs: number }) | null = null
  for (const one of options) {
    const { waitMs } = one
    if (waitMs === null || (soonest !== null && soonest.waitMs <= waitMs)) continue
    soonest = { ...one, waitMs }
  }
  return soonest
}

/** The id of a candidate's scope: its own stands in for what upstream has not yet told. */
export function scopeIdOf(candidate: Candidate, scope: Bound['scope']): string {
  if (scope === 'credential') return candidate.id
  const id = scope === 'workspace' ? candidate.workspace : candidate.organization
  return id ?? candidate.id
}
