import type { AttemptOutcome, OutcomeKind } from '../core/attempt-outcome.ts'
import { GatewayError } from '../core/errors.ts'
import type { Account } from '../core/model.ts'
import { matchesModel } from '../core/model-glob.ts'
import { secondsUp } from '../core/quantity.ts'
import type { Choice } from '../pool/candidate.ts'
import type { Bound } from '../pool/weigh.ts'
import { upstreamWords } from './upstream-words.ts'

/** How a try failed, as far as the client's answer depends on it. */
export interface FailedTry {
  readonly accountId: string
  readonly outcome: AttemptOutcome
  readonly timedOut: boolean
}

/** Failures of upstream itself; `client_fault` here is a stream that began with such an error. */
const UPSTREAMS: ReadonlySet<OutcomeKind> = new Set(['server_error', 'overloaded', 'client_fault'])

/** Clients are told to wait at most this long; see `server/reply.ts`. */
const SHORT_WAIT_MS = 60_000

/** Where another account could serve: the least that clients are told to wait. */
const AT_ONCE_MS = 1_000

/** Upstream's limits, or the operator's: on requests, on tokens, on what runs at a time. */
const NO_ROOM = 'each is busy or at a limit'

/** What of an account says whether it may ever serve. */
type AccountUse = Pick<Account, 'tags' | 'models' | 'disabledAtMs'>

/** What an account was looked for with, as far as the client's answer depends on it. */
interface Sought {
  readonly want: { readonly model: string; readonly tags: readonly string[] | null }
  readonly route: { readonly state: Bound | null }
}

/**
 * What the client is told where nothing was tried: none of `accounts`, disabled ones too, may serve now, or none
 * where its state is bound to.
 */
export function nothingTried(
  choice: Extract<Choice, { kind: 'none' }>,
  accounts: readonly AccountUse[],
  { want, route }: Sought,
): GatewayError {
  if (accounts.length === 0) return new GatewayError('no_accounts_configured')
  if (route.state !== null && choice.because !== 'limited')
    return boundUnavailable(choice.retryAfterMs)
  const missing = choice.because === 'no_accounts' ? whatIsMissing(accounts, want) : null
  if (missing !== null) return noneServes(missing)
  if (choice.because === 'limited') return noRoom(NO_ROOM, choice.retryAfterMs)
  if (choice.because === 'capped') return allCapped(choice.retryAfterMs)
  if (choice.because === 'closed') return allClosed(choice.retryAfterMs)
  return noHealthyAccount(choice.retryAfterMs)
}

/**
 * What the client is told after tries that all failed; `choice` says who could serve next, `isSpent` that the
 * retry budget allowed no further one.
 */
export function allFailed(
  choice: Choice,
  seen: readonly FailedTry[],
  { waitedMs, isSpent }: { readonly waitedMs: number; readonly isSpent: boolean },
): GatewayError {
  const returnsMs = choice.kind === 'none' ? choice.retryAfterMs : AT_ONCE_MS
  if (seen.length === 0) return timedOut(waitedMs)
  const accounts = new Set(seen.map(({ accountId }) => accountId)).size
  if (seen.every(({ outcome }) => outcome.kind === 'rate_limited'))
    return noRoom(triedText(accounts), returnsMs)
  const bad = seen.filter(({ outcome, timedOut: isLate }) => isLate || UPSTREAMS.has(outcome.kind))
  if (bad.length > 0 && bad.every(({ timedOut: isLate }) => isLate)) return timedOut(waitedMs)
  if (bad.length > 0) {
    return new GatewayError('upstream_error', {
      facts: { upstream: upstreamText(bad, accounts) },
      retryAfterMs: 2_000,
      // Where the gateway itself may not try again, its clients would only add to the trouble.
      shouldRetry: !isSpent,
    })
  }
  if (choice.kind === 'none') return noHealthyAccount(choice.retryAfterMs)
  // Another could serve, or the same again, but this request has had its tries.
  return new GatewayError('no_healthy_account', {
    facts: { returns: ` among the ${accounts} tried. Please retry shortly` },
    retryAfterMs: AT_ONCE_MS,
  })
}

/** `Anthropic answered 529 (overloaded_error), on 2 accounts`: what went wrong last, and how far that holds. */
function upstreamText(bad: readonly FailedTry[], accounts: number): string {
  const words = bad.map(({ outcome, timedOut: isLate }) => upstreamWords(outcome.reason, isLate))
  const last = words[words.length - 1]
  if (accounts === 1) return last
  const alike = new Set(bad.filter((_, k) => words[k] === last).map(({ accountId }) => accountId))
  const where =
    alike.size === accounts ? `on ${accounts} accounts` : `after ${accounts} accounts were tried`
  return `${last}, ${where}`
}

function triedText(accounts: number): string {
  return accounts === 1
    ? 'the one that was tried is at its rate limit'
    : `the ${accounts} that were tried are at their rate limits`
}

/** The answer did not begin in the time there was. */
export function timedOut(waitedMs: number): GatewayError {
  // Below a second only a client's own limit ends the wait: then it reads its own figure.
  const seconds = waitedMs < 1_000 ? Math.round(waitedMs) / 1_000 : secondsUp(waitedMs)
  return new GatewayError('upstream_timeout', { facts: { seconds }, retryAfterMs: 2_000 })
}

/** `limited` says whose limits keep the request away. */
function noRoom(limited: string, retryAfterMs: number | null): GatewayError {
  const waitMs = retryAfterMs ?? AT_ONCE_MS
  return new GatewayError('account_rpm_exceeded', {
    facts: { limited, seconds: secondsUp(waitMs) },
    retryAfterMs: waitMs,
  })
}

/** The day or month of a cap always ends: `retryAfterMs` is never null then. */
function allCapped(retryAfterMs: number | null): GatewayError {
  const waitMs = retryAfterMs ?? SHORT_WAIT_MS
  return new GatewayError('account_cap_reached', {
    facts: { returns: `; there is room again in about ${spanText(waitMs)}` },
    retryAfterMs: waitMs,
  })
}

/** Hours always begin again: `retryAfterMs` is never null then. */
function allClosed(retryAfterMs: number | null): GatewayError {
  const waitMs = retryAfterMs ?? SHORT_WAIT_MS
  const opens = `the next one opens in about ${spanText(waitMs)}`
  return new GatewayError('no_healthy_account', {
    facts: { returns: `: all are outside their working hours; ${opens}` },
    retryAfterMs: waitMs,
  })
}

/** Why no account could ever serve it as things are; null where one may, or might have just now. */
function whatIsMissing(
  accounts: readonly AccountUse[],
  { model, tags }: Sought['want'],
): string | null {
  const own =
    tags === null ? accounts : accounts.filter((one) => tags.some((tag) => one.tags.includes(tag)))
  if (own.length === 0) return 'there is none that this key may use'
  const whose = tags === null ? '' : ' that this key may use'
  if (!own.some(isEnabled)) return `all accounts${whose} are disabled`
  const serving = own.filter(({ models }) => matchesModel(models, model))
  if (serving.some(isEnabled)) return null
  if (serving.length > 0)
    return `all accounts${whose === '' ? '' : `${whose} and`} that serve this model are disabled`
  return tags === null ? 'none serves this model' : `none of the accounts${whose} serves this model`
}

function isEnabled({ disabledAtMs }: AccountUse): boolean {
  return disabledAtMs === null
}

/** What is missing: an account, a tag or a model of one. */
function noneServes(missing: string): GatewayError {
  return new GatewayError('no_healthy_account', {
    facts: { returns: `: ${missing}` },
    // Only a person changes that.
    retryAfterMs: Number.POSITIVE_INFINITY,
  })
}

function boundUnavailable(retryAfterMs: number | null): GatewayError {
  return new GatewayError('bound_account_unavailable', {
    facts: { returns: returnsIn(retryAfterMs) },
    retryAfterMs: retryAfterMs ?? Number.POSITIVE_INFINITY,
  })
}

function noHealthyAccount(retryAfterMs: number | null): GatewayError {
  return new GatewayError('no_healthy_account', {
    facts: { returns: returnsIn(retryAfterMs) },
    // No end by itself: the caller is told to come later, but not to wait for it.
    retryAfterMs: retryAfterMs ?? Number.POSITIVE_INFINITY,
  })
}

function returnsIn(ms: number | null): string {
  if (ms === null) return ''
  const shortly = ms <= SHORT_WAIT_MS ? '. Please retry shortly' : ''
  return `; the next one returns in about ${spanText(ms)}${shortly}`
}

function spanText(ms: number): string {
  if (ms <= SHORT_WAIT_MS) return `${secondsUp(ms)} s`
  const minutes = Math.ceil(ms / 60_000)
  const hours = Math.ceil(minutes / 60)
  if (minutes < 120) return `${minutes} minutes`
  return hours < 48 ? `${hours} hours` : `${Math.ceil(hours / 24)} days`
}
