import type { AttemptOutcome } from '../core/attempt-outcome.ts'
import type { Attempt } from '../core/model.ts'

/** Where one attempt goes, with the credential already opened. */
export interface Target {
  readonly accountId: string
  /** '' or a path prefix such as `/anthropic`. */
  readonly pathPrefix: string
  /** Goes into one header of the attempt and nowhere else. */
  readonly credential: string
  /** The workspace that the account belongs to, once its answers have told. */
  readonly workspaceId: string | null
}

/** Records keep no more of a reason than this. */
const MOST_REASON = 120

/** An attempt as the usage record keeps it; `listCostMicro`: what it may have cost us, where that is known yet. */
export function attemptOf(facts: {
  accountId: string
  outcome: AttemptOutcome
  durationMs: number
  listCostMicro?: number
}): Attempt {
  const { reason } = facts.outcome
  return {
    accountId: facts.accountId,
    outcome: facts.outcome.kind,
    httpStatus: facts.outcome.httpStatus,
    durationMs: Math.round(facts.durationMs),
    upstreamRequestId: facts.outcome.upstreamRequestId,
    ...(reason === '' ? {} : { reason: reason.slice(0, MOST_REASON) }),
    listCostMicro: facts.listCostMicro ?? 0,
  }
}
