import type { AttemptOutcome, OutcomeKind } from '../core/attempt-outcome.ts'
import type { AccountHealthState, ModelHealthState } from '../core/model.ts'

/**
 * Health of one (account, model class), or of an account as a whole. A rest that has ended is half open: one
 * request at a time, until one succeeds. `step` remembers how often it came in a row.
 */
export interface Health {
  readonly state: ModelHealthState | AccountHealthState
  readonly reason: string
  readonly httpStatus: number | null
  readonly upstreamRequestId: string | null
  readonly sinceMs: number
  /** null: no end by itself. */
  readonly untilMs: number | null
  readonly step: number
  /** Failures in a row that have not yet led to a rest. */
  readonly failures: number
  /** The last ten ends of attempts as bits, 1 for a failure: five failures of ten rest the account too. */
  readonly recent: number
  /** Whose requests these failures were, two keys at most; a probe counts as one. */
  readonly seenBy: readonly (string | null)[]
}

export const HEALTHY: Health = {
  state: 'healthy',
  reason: '',
  httpStatus: null,
  upstreamRequestId: null,
  sinceMs: 0,
  untilMs: null,
  step: 0,
  failures: 0,
  recent: 0,
  seenBy: [],
}

/** Base rests, doubling up to `maxMs`. */
export interface CooldownPolicy {
  readonly overloaded: { readonly firstMs: number; readonly maxMs: number }
  readonly rateLimited: { readonly firstMs: number; readonly maxMs: number }
  readonly serverError: {
    readonly firstMs: number
    readonly maxMs: number
    readonly tripAfter: number
  }
}

/** An attempt's end as evidence about its account. */
export interface Evidence extends AttemptOutcome {
  /** When the attempt left: evidence from before the present state began changes nothing. */
  readonly sentAtMs: number
  /** Whose request it was; null: a probe of our own. */
  readonly keyId: string | null
}

/** A rate limit that names a reset is believed up to an hour; longer ones come back by trying. */
const RESET_CAP_MS = 3_600_000
const FORBIDDEN_MS = 3_600_000
/** Spend limits end with the month: a date beyond that is a mistake. */
const CREDIT_CAP_MS = 31 * 86_400_000
const SHORTEST_TOLD_MS = 1_000
/** How many recent ends are remembered, and how many failures among them rest the account. */
const RECENT_MASK = 0b11_1111_1111
const RECENT_TRIP = 5
/** Failures in a row are counted up to here; more say nothing more. */
const MOST_FAILURES = 1_000
/** So long without a new rest after a success takes one step back. */
const STEP_DOWN_MS = 60_000

/** Which state says more, where two answers to requests of one burst disagree. */
const WEIGHT: Readonly<Record<Health['state'], number>> = {
  healthy: 0,
  cooling: 1,
  rate_limited: 1,
  forbidden: 2,
  out_of_credit: 3,
  unauthorized: 4,
  disabled_upstream: 5,
}

/** Which part of an account an outcome concerns. */
export function scopeOf(kind: OutcomeKind): 'account' | 'model' | 'none' {
  switch (kind) {
    case 'unauthorized':
    case 'out_of_credit':
    case 'disabled_upstream':
    case 'unreachable':
      return 'account'
    case 'rate_limited':
    case 'overloaded':
    case 'server_error':
    case 'forbidden':
    case 'ok':
      return 'model'
    default:
      return 'none'
  }
}

/** True while the state keeps requests away at `nowMs`. */
export function rests(health: Health, nowMs: number): boolean {
  return health.state !== 'healthy' && (health.untilMs === null || health.untilMs > nowMs)
}

/** True once a rest has ended and nothing has succeeded since: one request at a time may find out. */
export function isHalfOpen(health: Health, nowMs: number): boolean {
  return health.state !== 'healthy' && health.untilMs !== null && health.untilMs <= nowMs
}

/** True for rests that are a guess of ours (5xx, time-outs, 529, a bare 429), not a fact that upstream stated. */
export function isSoft({ state }: Health): boolean {
  return state === 'cooling'
}

/**
 * Health after an attempt ended. `jitter` is a random number in [0, 1): half of a doubling
 * rest is fixed and half random, so that accounts do not all come back at once. `isDoubted`: a key whose failures alone may not rest
 * this account, because they have rested another.
 */
export function afterAttempt(
  health: Health,
  evidence: Evidence,
  context: {
    readonly nowMs: number
    readonly jitter: number
    readonly policy: CooldownPolicy
    readonly isDoubted?: (keyId: string) => boolean
  },
): Health {
  const { nowMs, jitter, policy } = context
  // Evidence counts only when it was sent after the present state began: a burst that fails together is one
  // episode, and what comes late from before a recovery is no relapse. Dates and graver states still tell.
  if (evidence.sentAtMs <= health.sinceMs && !tellsMore(evidence, health)) return health

  // The last account of a model gets a request now and then while it rests: its failure is no news.
  if (isGuess(evidence) && rests(health, nowMs)) return health

  const stepNow = stepAt(health, nowMs)
  const rest = (state: Health['state'], untilMs: number | null, step: number): Health => ({
    state,
    reason: evidence.reason,
    httpStatus: evidence.httpStatus,
    upstreamRequestId: evidence.upstreamRequestId,
    sinceMs: nowMs,
    untilMs,
    step,
    failures: 0,
    recent: 0,
    seenBy: [],
  })
  const doubling = (base: { firstMs: number; maxMs: number }): number => {
    const full = Math.min(base.firstMs * 2 ** Math.min(stepNow, 30), base.maxMs)
    return Math.max(1, Math.round(full / 2 + (full / 2) * jitter))
  }

  switch (evidence.kind) {
    case 'ok': {
      const recent = (health.recent << 1) & RECENT_MASK
      if (health.state === 'healthy') {
        const isSame = health.failures === 0 && health.recent === recent
        const seenBy = recent === 0 ? [] : health.seenBy
        return isSame ? health : { ...health, failures: 0, recent, seenBy }
      }
      // Overload strikes request by request, not account by account: the success that ends such a rest takes
      // back the step it cost, or a model that refuses one request in five would bench the whole pool.
      const isPassing = health.httpStatus === 529 || health.httpStatus === 429
      return { ...HEALTHY, step: Math.max(0, health.step - (isPassing ? 1 : 0)), sinceMs: nowMs }
    }
    case 'client_fault':
    case 'abandoned':
      return health
    case 'rate_limited': {
      const toldMs = boundedRest(evidence.restMs, RESET_CAP_MS)
      if (toldMs === null) return rest('cooling', nowMs + doubling(policy.rateLimited), stepNow + 1)
      const untilMs = nowMs + toldMs
      // Two answers of one burst may name two ends: the later one holds.
      const lastsLonger =
        rests(health, nowMs) && (health.untilMs === null || health.untilMs >= untilMs)
      return lastsLonger ? health : rest('rate_limited', untilMs, stepNow)
    }
    case 'overloaded':
      return rest('cooling', nowMs + doubling(policy.overloaded), stepNow + 1)
    case 'server_error':
    case 'unreachable': {
      const counted = withFailure(health, evidence.keyId)
      const trips =
        isHalfOpen(health, nowMs) ||
        counted.failures >= policy.serverError.tripAfter ||
        bitCount(counted.recent) >= RECENT_TRIP
      if (!trips || lacksWitness(counted, evidence, context.isDoubted)) return counted
      return rest('cooling', nowMs + doubling(policy.serverError), stepNow + 1)
    }
    case 'unauthorized':
    case 'disabled_upstream':
      return rest(evidence.kind, null, stepNow)
    case 'out_of_credit': {
      const toldMs = boundedRest(evidence.restMs, CREDIT_CAP_MS)
      return rest('out_of_credit', toldMs === null ? null : nowMs + toldMs, stepNow)
    }
    case 'forbidden':
      return rest('forbidden', nowMs + FORBIDDEN_MS, stepNow)
  }
}

/** One more failure in a row, and who saw it. */
function withFailure(health: Health, keyId: string | null): Health {
  const isKnown = health.seenBy.length > 1 || health.seenBy.includes(keyId)
  return {
    ...health,
    failures: Math.min(health.failures + 1, MOST_FAILURES),
    recent: ((health.recent << 1) | 1) & RECENT_MASK,
    seenBy: isKnown ? health.seenBy : [...health.seenBy, keyId],
  }
}

/** Only one key saw these failures, and its word alone is not enough here. */
function lacksWitness(
  { seenBy }: Health,
  { kind }: Evidence,
  isDoubted: ((keyId: string) => boolean) | undefined,
): boolean {
  // No request can make a connection fail.
  if (kind !== 'server_error' || seenBy.length !== 1 || isDoubted === undefined) return false
  const [keyId] = seenBy
  return keyId !== null && isDoubted(keyId)
}

/** Failures that make an account rest by a rule of ours, for a time of our choosing. */
function isGuess({ kind, restMs }: Evidence): boolean {
  switch (kind) {
    case 'overloaded':
    case 'server_error':
    case 'unreachable':
      return true
    case 'rate_limited':
      return boundedRest(restMs, RESET_CAP_MS) === null
    default:
      return false
  }
}

/** Whether evidence from before the present state began changes it all the same. */
function tellsMore(evidence: Evidence, health: Health): boolean {
  switch (evidence.kind) {
    case 'rate_limited':
      return boundedRest(evidence.restMs, RESET_CAP_MS) !== null
    case 'forbidden':
    case 'out_of_credit':
    case 'unauthorized':
    case 'disabled_upstream':
      // What answered well since then is newer, and right.
      return health.state !== 'healthy' && WEIGHT[evidence.kind] > WEIGHT[health.state]
    default:
      return false
  }
}

/** The exponent of the next rest: a healthy time since the last one takes steps back. */
function stepAt(health: Health, nowMs: number): number {
  if (health.state !== 'healthy') return health.step
  const calm = Math.floor(Math.max(0, nowMs - health.sinceMs) / STEP_DOWN_MS)
  return Math.max(0, health.step - calm)
}

/** A told rest in whole ms, at least a second and at most `capMs`; null when there is no usable figure. */
function boundedRest(restMs: number | null, capMs: number): number | null {
  if (restMs === null || Number.isNaN(restMs)) return null
  return Math.ceil(Math.min(Math.max(restMs, SHORTEST_TOLD_MS), capMs))
}

function bitCount(bits: number): number {
  let count = 0
  for (let rest = bits; rest !== 0; rest &= rest - 1) count++
  return count
}
