import type { Account } from '../core/model.ts'
import type { Rest } from './candidate.ts'
import { type Health, isHalfOpen, isSoft, rests } from './cooldown.ts'

/** While one request finds out whether an account is well again, others look again after so long. */
const TRIAL_MS = 1_000

/**
 * The longest rest among these parts of an account that keeps requests away now; soft when all of them are. `trials`
 * are the attempts that find out whether a part is well again.
 */
export function restOfParts(
  parts: ReadonlyMap<string, Health>,
  trials: ReadonlyMap<string, number>,
  wanted: readonly string[],
  nowMs: number,
): Rest | null {
  let longest: Rest | null = null
  for (const part of wanted) {
    const health = parts.get(part)
    if (health === undefined) continue
    const kind = health.state === 'rate_limited' ? 'limited' : 'unhealthy'
    if (rests(health, nowMs)) {
      const forMs = health.untilMs === null ? null : health.untilMs - nowMs
      longest = longerOf(longest, { kind, forMs, isSoft: isSoft(health) })
    } else if (isHalfOpen(health, nowMs) && (trials.get(part) ?? 0) > 0) {
      longest = longerOf(longest, { kind, forMs: TRIAL_MS, isSoft: true })
    }
  }
  return longest
}

/** A person lets it rest. */
export function restByPerson({ cooldownUntilMs }: Account, nowMs: number): Rest | null {
  if (cooldownUntilMs === null || cooldownUntilMs <= nowMs) return null
  return { kind: 'unhealthy', forMs: cooldownUntilMs - nowMs, isSoft: false }
}

/** Our own sum of what is left may be wrong: so it is soft, and the last account is still asked now and then. */
export function restByLimits(forMs: number): Rest | null {
  return forMs === 0 ? null : { kind: 'limited', forMs, isSoft: true }
}

/** The model is overloaded everywhere. */
export function restOfModel(forMs: number): Rest | null {
  return forMs === 0 ? null : { kind: 'unhealthy', forMs, isSoft: true }
}

/** Outside its working hours. */
export function restUntilOpen(forMs: number): Rest | null {
  return forMs === 0 ? null : { kind: 'closed', forMs, isSoft: false }
}

/** The one that ends later; soft only when both are. */
export function longerOf(a: Rest | null, b: Rest | null): Rest | null {
  if (a === null || b === null) return a ?? b
  const isSoft = a.isSoft === true && b.isSoft === true
  const isLonger = a.forMs !== null && (b.forMs === null || b.forMs > a.forMs)
  return { ...(isLonger ? b : a), isSoft }
}
