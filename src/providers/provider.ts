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

/** What an attempt's end says about the account; which part of it rests is `scopeOf` in the pool. */
export type Outcome = {
  readonly kind: OutcomeKind
  /** One short phrase for people, logs and health rows; upstream's own words only as its error type. */
  readonly reason: string
  readonly httpStatus: number | null
  readonly upstreamRequestId: string | null
  /** For `rate_limited` and `out_of_credit`: how long upstream wants us to wait, in ms; null when it did not say. */
  readonly restMs: number | null
}

export type OutcomeKind =
  /** An answer the client should get: 2xx. */
  | 'ok'
  /** An answer the client should get, and its own doing: 400, 413, 422 and their like. */
  | 'client_fault'
  /** 429 of an ordinary rate limit. */
  | 'rate_limited'
  /** 529. */
  | 'overloaded'
  /** 5xx, time-out, reset or garbage after sending: upstream may have billed it. */
  | 'server_error'
  /** No connection: nothing was sent. */
  | 'unreachable'
  | 'unauthorized'
  | 'out_of_credit'
  /** This account may not use this model. */
  | 'forbidden'
  /** The organisation is on hold or disabled. */
  | 'disabled_upstream'
  /** The client went away, or we stopped on purpose; says nothing about the account. */
  | 'abandoned'

/** An attempt as the usage record keeps it; `listCostMicro`: what it may have cost us, where that is known yet. */
export function attemptOf(facts: {
  accountId: string
  outcome: Outcome
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
