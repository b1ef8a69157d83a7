// What gateways often do: the account with the least in flight.

import { becauseOf, type Candidate, type Choice, waitOf } from '../pool/candidate.ts'

/**
 * Chooses the account for the next attempt: the lowest priority number first, within it the smallest
 * share of running requests by weight, then the one that idled longest, by weight too. `tried` accounts of this exchange are out.
 */
export function leastBusyOf(candidates: readonly Candidate[], tried: ReadonlySet<string>): Choice {
  let best: Candidate | null = null
  let soonestMs: number | null = null
  const waiting: Candidate[] = []
  for (const candidate of candidates) {
    if (!candidate.servesModel || tried.has(candidate.id)) continue
    const waitMs = waitOf(candidate)
    if (waitMs === 0) {
      if (best === null || isBetter(candidate, best)) best = candidate
      continue
    }
    waiting.push(candidate)
    if (waitMs !== null && (soonestMs === null || waitMs < soonestMs)) soonestMs = waitMs
  }
  if (best !== null) return { kind: 'account', id: best.id }
  return { kind: 'none', because: becauseOf(waiting), retryAfterMs: soonestMs }
}

function isBetter(a: Candidate, b: Candidate): boolean {
  if (a.priority !== b.priority) return a.priority < b.priority
  const loadA = a.inFlight / a.weight
  const loadB = b.inFlight / b.weight
  if (loadA !== loadB) return loadA < loadB
  // Requests that come one at a time find everybody free: thrice the weight is then used thrice as often.
  return a.idleMs * a.weight > b.idleMs * b.weight
}
