import { type Candidate, carriesOne, roomWaitMs } from './candidate.ts'

/** The last accounts of a model get at most one request in so long. */
const PACE_MS = 1_000

/**
 * The panic rule: when every account that could serve rests, and some only by a guess of ours, the one
 * whose rest ends first gets a request a second. What upstream stated is never overridden. `tags`: those of
 * which an account must carry one; null: any account.
 */
export function paced(
  candidates: readonly Candidate[],
  tags: readonly string[] | null,
): readonly Candidate[] {
  let soonest: Candidate | null = null
  let idleMs = Number.POSITIVE_INFINITY
  for (const one of candidates) {
    if (!one.servesModel || !carriesOne(one, tags)) continue
    if (one.rest === null) return candidates
    if (one.rest.isSoft !== true) continue
    // One request a second is meant for all of them together; what the accounts do for other models says nothing.
    idleMs = Math.min(idleMs, one.classIdleMs ?? one.idleMs)
    // One without a slot is no help.
    if (roomWaitMs(one) > 0) continue
    if (soonest === null || endOf(one) < endOf(soonest)) soonest = one
  }
  if (soonest === null) return candidates
  const chosen = soonest
  const paceWaitMs = Math.max(0, Math.ceil(PACE_MS - idleMs))
  // Waiting for the end of the rest may be the shorter way.
  const waitMs = Math.min(paceWaitMs, endOf(chosen))
  const { kind } = chosen.rest ?? { kind: 'unhealthy' as const }
  const rest = waitMs === 0 ? null : { kind, forMs: waitMs, isSoft: true }
  return candidates.map((one) => (one === chosen ? { ...one, rest } : one))
}

function endOf({ rest }: Candidate): number {
  return rest?.forMs ?? Number.POSITIVE_INFINITY
}
