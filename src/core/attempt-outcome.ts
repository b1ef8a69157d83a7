/** How one attempt ended, as far as it says something about the account that served it. */
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

/** An attempt's end; which part of the account rests for it is `scopeOf` in the pool. */
export interface AttemptOutcome {
  readonly kind: OutcomeKind
  /** One short phrase for people, logs and health rows; upstream's own words only as its error type. */
  readonly reason: string
  readonly httpStatus: number | null
  readonly upstreamRequestId: string | null
  /** For `rate_limited` and `out_of_credit`: how long upstream wants us to wait, in ms; null when it did not say. */
  readonly restMs: number | null
}

/** True where the end of an attempt counts as an error of its account in lists and shares. */
export function isAccountError(outcome: string): boolean {
  return !NO_ACCOUNT_ERRORS.has(outcome)
}

// `forbidden` rests the account for that model, and is as often a model or a beta that nobody has.
const NO_ACCOUNT_ERRORS: ReadonlySet<string> = new Set<OutcomeKind>([
  'ok',
  'client_fault',
  'forbidden',
  'abandoned',
])
