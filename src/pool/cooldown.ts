import type { AccountHealthState, ModelHealthState } from '../core/model.ts'

/**
 * Health of one (account, model class), or of an account as a whole. A rest that has ended counts as
 * healthy, but its `step` remembers how often it came in a row.
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

/** What an attempt's end means for health: the parts of a provider's outcome that count here. */
export interface Evidence {
  readonly kind:
    | 'ok'
    | 'client_fault'
    | 'rate_limited'
    | 'overloaded'
    | 'server_error'
    | 'unreachable'
    | 'unauthorized'
    | 'out_of_credit'
    | 'forbidden'
    | 'disabled_upstream'
    | 'abandoned'
  readonly reason: string
  readonly httpStatus: number | null
  readonly upstreamRequestId: string | null
  readonly restMs: number | null
  /** When the attempt left: evidence from before the present state began changes nothing. */
  readonly sentAtMs: number
}

/** A rate limit that names a reset is believed up to an hour; longer ones come back by trying. */
const RESET_CAP_MS = 3_600_000
const FORBIDDEN_MS = 3_600_000
/** How many recent ends are remembered, and how many failures among them rest the account. */
const RECENT_MASK = 0b11_1111_1111
const RECENT_TRIP = 5
/** A success this long after the rest began takes one step back. */
const STEP_DOWN_MS = 60_000

/** Which part of an account an outcome concerns. */
export function scopeOf(kind: Evidence['kind']): 'account' | 'model' | 'none' {
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

/**
 * The rule R1: health after an attempt ended. `jitter` is a random number in [0, 1): half of a doubling
 * rest is fixed and half random, so that accounts do not all come back at once.
 */
export function afterAttempt(
  health: Health,
  evidence: Evidence,
  context: { readonly nowMs: number; readonly jitter: number; readonly policy: CooldownPolicy },
): Health {
  const { nowMs, jitter, policy } = context
  // A burst that fails together is one episode: what was sent before the rest began does not lengthen it.
  const stale = health.state !== 'healthy' && evidence.sentAtMs < health.sinceMs

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
  })
  const doubling = (base: { firstMs: number; maxMs: number }): number => {
    const full = Math.min(base.firstMs * 2 ** Math.min(health.step, 30), base.maxMs)
    return Math.max(1, Math.round(full / 2 + (full / 2) * jitter))
  }

  switch (evidence.kind) {
    case 'ok': {
      const recent = (health.recent << 1) & RECENT_MASK
      if (health.state === 'healthy')
        return health.failures === 0 && health.recent === recent
          ? health
          : { ...health, failures: 0, recent }
      if (stale) return health
      const step =
        nowMs - health.sinceMs >= STEP_DOWN_MS ? Math.max(0, health.step - 1) : health.step
      return { ...HEALTHY, step, sinceMs: nowMs }
    }
    case 'client_fault':
    case 'abandoned':
      return health
    case 'rate_limited':
      if (stale && evidence.restMs === null) return health
      if (evidence.restMs !== null) {
        const untilMs = nowMs + Math.min(Math.max(evidence.restMs, 1_000), RESET_CAP_MS)
        // Two answers of one burst may name two ends: the later one holds.
        const later = health.state === 'rate_limited' && (health.untilMs ?? 0) > untilMs
        return later ? health : rest('rate_limited', untilMs, health.step)
      }
      return rest('cooling', nowMs + doubling(policy.rateLimited), health.step + 1)
    case 'overloaded':
      if (stale) return health
      return rest('cooling', nowMs + doubling(policy.overloaded), health.step + 1)
    case 'server_error':
    case 'unreachable': {
      if (stale) return health
      const failures = health.failures + 1
      const recent = ((health.recent << 1) | 1) & RECENT_MASK
      if (failures < policy.serverError.tripAfter && bitCount(recent) < RECENT_TRIP) {
        const past = rests(health, nowMs)
          ? health
          : { ...HEALTHY, step: health.step, sinceMs: health.sinceMs }
        return { ...past, failures, recent }
      }
      return rest('cooling', nowMs + doubling(policy.serverError), health.step + 1)
    }
    case 'unauthorized':
    case 'disabled_upstream':
      return rest(evidence.kind, null, health.step)
    case 'out_of_credit':
      return rest(
        'out_of_credit',
        evidence.restMs === null ? null : nowMs + evidence.restMs,
        health.step,
      )
    case 'forbidden':
      return rest('forbidden', nowMs + FORBIDDEN_MS, health.step)
  }
}

function bitCount(bits: number): number {
  let count = 0
  for (let rest = bits; rest !== 0; rest &= rest - 1) count++
  return count
}
