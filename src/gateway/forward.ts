import { GatewayError } from '../core/errors.ts'
import type { Attempt } from '../core/model.ts'
import type { LiveAccount } from '../pool/pool.ts'
import { select } from '../pool/select.ts'
import { upstreamHeaders } from '../providers/anthropic/request.ts'
import type { Outcome } from '../providers/provider.ts'
import { attemptOf } from '../providers/provider.ts'
import type { BodyFacts } from '../wire/body-facts.ts'
import type { AttemptEnd, RunningAttempt } from './attempt.ts'
import { startAttempt } from './attempt.ts'
import type { Gateway } from './gateway.ts'
import { targetOf } from './target.ts'

/** What is sent, and what the choice of accounts needs to know of it. */
export interface Forwarding {
  readonly requestId: string
  readonly method: 'POST' | 'GET'
  /** Raw path and query of the client, verbatim. */
  readonly target: string
  readonly rawHeaders: readonly string[]
  readonly body: Uint8Array | null
  readonly stream: boolean
  readonly model: string
  readonly modelClass: string
  readonly resend: ResendRule
  /** The client's own time-out, in ms; null when it stated none. */
  readonly clientTimeoutMs: number | null
  readonly arrivedMs: number
  /** Filled in as tries end. */
  readonly attempts: Attempt[]
  /** Called before each try; the first is told before anything leaves. */
  readonly onAttempt: (accountId: string) => void
}

/** What may be sent again after a failure, before one byte has reached the client (reliability R5). */
export type ResendRule =
  /** Refusals and one failure that upstream may have billed. */
  | 'free'
  /** Refusals only: the request does things on a server. */
  | 'refusals_only'
  /** Nothing: only the account that got it can answer it. */
  | 'never'

/** How sending ended when something can be given to the client. A stream's slot is still taken. */
export type Forwarded =
  | {
      readonly kind: 'answer'
      readonly answer: Extract<AttemptEnd, { kind: 'answer' }>
      readonly account: LiveAccount
    }
  | {
      readonly kind: 'stream'
      readonly stream: Extract<AttemptEnd, { kind: 'stream' }>['stream']
      readonly account: LiveAccount
      readonly sentAtMs: number
      readonly startedMs: number
    }

/** Lets the caller call off whatever try is running. */
export interface CallOff {
  /** Ends the running try. */
  abort: () => void
  /** Nothing may be sent any more; a running try ends at once. */
  aborted: boolean
  /** The running try may finish, but no other may begin. */
  noMore: boolean
}

/** What the body asks of resending. */
export function resendRule(facts: BodyFacts): ResendRule {
  const threadContinues =
    facts.thread.type.type === 'string' && facts.thread.type.value === 'continue'
  if (threadContinues || facts.hasFallbackCreditToken) return 'never'
  const runsCode = facts.serverTools.some((tool) => tool.family === 'code_execution')
  if (
    facts.mcpServers > 0 ||
    runsCode ||
    (facts.container.is !== 'absent' && facts.container.is !== 'null')
  ) {
    return 'refusals_only'
  }
  return 'free'
}

/**
 * Chooses the account for a first try and takes its slot; throws the right 429 or 503 when none can serve.
 */
export function takeAccount(
  gateway: Gateway,
  want: { model: string; modelClass: string },
  tried: ReadonlySet<string> = new Set(),
): LiveAccount {
  const choice = select(gateway.pool.candidates(want.model, want.modelClass), tried)
  if (choice.kind === 'none') throw nothingTried(choice, gateway.pool.size)
  const live = gateway.pool.account(choice.id)
  if (live === null)
    throw nothingTried({ because: 'no_accounts', retryAfterMs: null }, gateway.pool.size)
  gateway.pool.attemptStarted(choice.id)
  return live
}

/**
 * Sends a request to `first` and, while nothing has reached the client, to further accounts. Health learns
 * from every end. Throws `GatewayError` when no account could serve; the slots are then free again.
 */
export async function forward(
  gateway: Gateway,
  want: Forwarding,
  first: LiveAccount,
  callOff: CallOff,
): Promise<Forwarded> {
  const tried = new Set<string>()
  const refused: {
    account: LiveAccount
    answer: Extract<AttemptEnd, { kind: 'answer' }>
    sentAtMs: number
  }[] = []
  const seen: { outcome: Outcome; timedOut: boolean }[] = []
  const deadlineMs =
    want.arrivedMs +
    Math.min(want.clientTimeoutMs ?? Number.POSITIVE_INFINITY, gateway.policy.answerBeginsMs)
  let ambiguous = 0
  let account: LiveAccount | null = first

  while (account !== null) {
    const { id } = account.account
    if (callOff.noMore) {
      gateway.pool.attemptCancelled(id)
      throw new CalledOff()
    }
    const remainingMs = deadlineMs - gateway.clock.monotonicMs()
    if (remainingMs <= 0) {
      gateway.pool.attemptCancelled(id)
      break
    }
    tried.add(id)
    want.onAttempt(id)
    const sentAtMs = gateway.clock.nowMs()
    const startedMs = gateway.clock.monotonicMs()
    const beginMs = want.stream ? gateway.policy.firstByteMs : gateway.policy.firstByteUnaryMs
    let running: RunningAttempt
    try {
      running = send(gateway, want, account, Math.max(1, Math.min(beginMs, remainingMs)))
    } catch (error) {
      gateway.pool.attemptCancelled(id)
      throw error
    }
    callOff.abort = running.abort
    if (callOff.aborted) running.abort()
    const end = await running.end

    if (end.kind === 'stream') {
      settleForbidden(gateway, want, refused)
      return { kind: 'stream', stream: end.stream, account, sentAtMs, startedMs }
    }
    const { outcome } = end
    want.attempts.push(
      attemptOf({ accountId: id, outcome, durationMs: gateway.clock.monotonicMs() - startedMs }),
    )
    if (end.kind === 'answer') noteHeadroom(gateway, account, end.headers)

    gateway.pool.attemptReleased(id)
    if (end.kind === 'answer' && (outcome.kind === 'ok' || outcome.kind === 'client_fault')) {
      observe(gateway, want, account, outcome, sentAtMs)
      if (outcome.kind === 'ok') settleForbidden(gateway, want, refused)
      return { kind: 'answer', answer: end, account }
    }
    if (outcome.kind === 'abandoned') throw new CalledOff()
    seen.push({ outcome, timedOut: end.kind === 'failed' && end.timedOut })
    if (end.kind === 'answer' && outcome.kind === 'forbidden') {
      // Whether the account or the request is at fault shows only when another account answers otherwise.
      refused.push({ account, answer: end, sentAtMs })
    } else {
      observe(gateway, want, account, outcome, sentAtMs)
    }
    gateway.log.debug(
      { requestId: want.requestId, accountId: id, outcome: outcome.kind, reason: outcome.reason },
      'attempt.failed',
    )

    if (outcome.kind === 'server_error') ambiguous++
    if (
      callOff.noMore ||
      !mayResend(want.resend, outcome, ambiguous) ||
      tried.size >= gateway.policy.maxAttempts
    )
      break
    const choice = select(gateway.pool.candidates(want.model, want.modelClass), tried)
    account = choice.kind === 'account' ? gateway.pool.account(choice.id) : null
    if (account !== null) gateway.pool.attemptStarted(account.account.id)
  }

  const last = refused.at(-1)
  if (last !== undefined && refused.length === seen.length)
    return { kind: 'answer', answer: last.answer, account: last.account }
  throw allFailed(gateway, want, seen)
}

/** The try was called off: the client is gone, or the daemon stops. */
export class CalledOff extends Error {
  override readonly name = 'CalledOff'
}

/** Health and headroom after a stream ended; called by whoever relayed it. */
export function observe(
  gateway: Gateway,
  want: Pick<Forwarding, 'requestId' | 'model' | 'modelClass'>,
  live: LiveAccount,
  outcome: Outcome,
  sentAtMs: number,
): void {
  gateway.pool.observe(
    live.account.id,
    want.modelClass,
    { ...outcome, sentAtMs },
    {
      credentialVersion: live.account.credentialVersion,
      requestId: want.requestId,
      model: want.model,
    },
  )
}

/** Keeps what the answer's headers say of rate limits, organisation and workspace. */
export function noteHeadroom(
  gateway: Gateway,
  live: LiveAccount,
  headers: Readonly<Record<string, string | string[] | undefined>>,
): void {
  const text = (name: string): string | null => {
    const value = headers[name]
    return typeof value === 'string' ? value.slice(0, 128) : null
  }
  const count = (name: string): number | null => {
    const value = text(name)
    return value !== null && /^\d{1,15}$/.test(value) ? Number(value) : null
  }
  const organizationId = text('anthropic-organization-id')
  const requestsLimit = count('anthropic-ratelimit-requests-limit')
  if (organizationId === null && requestsLimit === null) return
  const before = gateway.pool.headroom(live.account.id)
  const resetAtMs = Date.parse(text('anthropic-ratelimit-requests-reset') ?? '')
  gateway.pool.noteHeadroom({
    accountId: live.account.id,
    requestsLimit: requestsLimit ?? before?.requestsLimit ?? null,
    requestsRemaining:
      count('anthropic-ratelimit-requests-remaining') ?? before?.requestsRemaining ?? null,
    inputTokensLimit:
      count('anthropic-ratelimit-input-tokens-limit') ?? before?.inputTokensLimit ?? null,
    inputTokensRemaining:
      count('anthropic-ratelimit-input-tokens-remaining') ?? before?.inputTokensRemaining ?? null,
    outputTokensLimit:
      count('anthropic-ratelimit-output-tokens-limit') ?? before?.outputTokensLimit ?? null,
    outputTokensRemaining:
      count('anthropic-ratelimit-output-tokens-remaining') ?? before?.outputTokensRemaining ?? null,
    resetAtMs: Number.isFinite(resetAtMs) ? resetAtMs : (before?.resetAtMs ?? null),
    organizationId: organizationId ?? before?.organizationId ?? null,
    workspaceId: text('anthropic-workspace-id') ?? before?.workspaceId ?? null,
    updatedAtMs: gateway.clock.nowMs(),
  })
}

function send(
  gateway: Gateway,
  want: Forwarding,
  live: LiveAccount,
  beginWithinMs: number,
): RunningAttempt {
  const { account } = live
  const target = targetOf(live, gateway.pool.headroom(account.id)?.workspaceId ?? null)
  return startAttempt({
    dispatcher: gateway.connections.for(account),
    method: want.method,
    path: target.pathPrefix + want.target,
    headers: upstreamHeaders(want.rawHeaders, target, gateway.policy.defaults),
    body: want.body,
    stream: want.stream,
    model: want.model,
    beginWithinMs,
    idleMs: gateway.policy.idleMs,
    nowMs: gateway.clock.monotonicMs,
  })
}

function mayResend(rule: ResendRule, outcome: Outcome, ambiguous: number): boolean {
  if (rule === 'never') return outcome.kind === 'unreachable'
  if (outcome.kind !== 'server_error') return true
  return rule === 'free' && ambiguous <= 1
}

/** Another account answered the same request: so the refusals were about their accounts. */
function settleForbidden(
  gateway: Gateway,
  want: Forwarding,
  refused: readonly { account: LiveAccount; answer: { outcome: Outcome }; sentAtMs: number }[],
): void {
  for (const { account, answer, sentAtMs } of refused)
    observe(gateway, want, account, answer.outcome, sentAtMs)
}

/** design.md "Status after attempts", where nothing was tried because all rest. */
function nothingTried(
  choice: { because: 'no_accounts' | 'limited' | 'unhealthy'; retryAfterMs: number | null },
  accounts: number,
): GatewayError {
  if (accounts === 0) return new GatewayError('no_accounts_configured')
  if (choice.because === 'limited') {
    return new GatewayError('account_rpm_exceeded', {
      facts: { seconds: secondsOf(choice.retryAfterMs ?? 1_000) },
      retryAfterMs: choice.retryAfterMs ?? 1_000,
    })
  }
  return noHealthyAccount(choice.retryAfterMs)
}

function noHealthyAccount(retryAfterMs: number | null): GatewayError {
  const returns =
    retryAfterMs === null ? '' : `The next one returns in about ${secondsOf(retryAfterMs)} s. `
  return new GatewayError('no_healthy_account', {
    facts: { returns },
    // No end by itself: the caller is told to come later, but not to wait for it.
    retryAfterMs: retryAfterMs ?? Number.POSITIVE_INFINITY,
  })
}

/** The same, where tries were made and none is left. */
function allFailed(
  gateway: Gateway,
  want: Forwarding,
  seen: readonly { outcome: Outcome; timedOut: boolean }[],
): GatewayError {
  const choice = select(gateway.pool.candidates(want.model, want.modelClass), new Set())
  const returnsMs = choice.kind === 'none' ? choice.retryAfterMs : 2_000
  if (seen.length > 0 && seen.every(({ outcome }) => outcome.kind === 'rate_limited')) {
    const waitMs = returnsMs ?? 1_000
    return new GatewayError('account_rpm_exceeded', {
      facts: { seconds: secondsOf(waitMs) },
      retryAfterMs: waitMs,
    })
  }
  const bad = seen.filter(
    ({ outcome }) => outcome.kind === 'server_error' || outcome.kind === 'overloaded',
  )
  if (bad.length > 0 && bad.every(({ timedOut }) => timedOut)) {
    const seconds = secondsOf(gateway.clock.monotonicMs() - want.arrivedMs)
    return new GatewayError('upstream_timeout', { facts: { seconds }, retryAfterMs: 2_000 })
  }
  if (bad.length > 0) {
    const upstream = bad[bad.length - 1].outcome.reason
    const accounts = seen.length === 1 ? '1 account' : `${seen.length} accounts`
    return new GatewayError('upstream_error', {
      facts: { upstream, accounts },
      retryAfterMs: 2_000,
    })
  }
  if (seen.length === 0)
    return new GatewayError('upstream_timeout', {
      facts: { seconds: secondsOf(gateway.clock.monotonicMs() - want.arrivedMs) },
      retryAfterMs: 2_000,
    })
  return noHealthyAccount(choice.kind === 'none' ? choice.retryAfterMs : 1_000)
}

function secondsOf(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1_000))
}
