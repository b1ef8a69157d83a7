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

/** An attempt as the usage record keeps it; `listCostMicro`: what it may have cost us, where that is known yet. */
export function attemptOf(facts: {
  accountId: string
  outcome: AttemptOutcome
  durationMs: number
  listCostMicro?: number
}): Attempt {
  return {
    accountId: facts.accountId,
    outcome: facts.outcome.kind,
    httpStatus: facts.outcome.httpStatus,
    durationMs: Math.round(facts.durationMs),
    upstreamRequestId: facts.outcome.upstreamRequestId,
    listCostMicro: facts.listCostMicro ?? 0,
  }
}
