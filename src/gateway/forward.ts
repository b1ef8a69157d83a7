import type { AttemptOutcome } from '../core/attempt-outcome.ts'
import type { Attempt } from '../core/model.ts'
import type { Micro } from '../core/money.ts'
import { NO_TOKENS, type TokenCounts } from '../core/usage.ts'
import type { CacheFigures } from '../pool/affinity.ts'
import type { LiveAccount, Slot } from '../pool/pool.ts'
import { upstreamHeaders } from '../providers/anthropic/request.ts'
import { readUsage } from '../providers/anthropic/usage.ts'
import { attemptOf } from '../providers/provider.ts'
import { allFailed, type FailedTry, nothingTried, timedOut } from './all-failed.ts'
import type { AttemptEnd, LiveStream, RunningAttempt } from './attempt.ts'
import { startAttempt } from './attempt.ts'
import type { WantedAccount } from './candidates.ts'
import type { Gateway } from './gateway.ts'
import { noteHeadroom } from './headroom.ts'
import { isOurLoss, mayBeBilled, mayResend, ON_BUDGET, type ResendRule } from './resend.ts'
import { noteBegan, type Route } from './route.ts'
import { type Seeker, seek, seekNow, whoCouldServe } from './seek.ts'
import { targetOf } from './target.ts'

/** What is sent, and what the choice of accounts needs to know of it. */
export interface Forwarding extends WantedAccount {
  /** The free count has upstream limits of its own: what they say is no headroom of the account. */
  readonly isCount: boolean
  /** Raw path and query of the client, verbatim. */
  readonly target: string
  readonly rawHeaders: readonly string[]
  readonly body: Uint8Array
  readonly stream: boolean
  readonly resend: ResendRule
  /** The client's own time-out, in ms; null when it stated none. */
  readonly clientTimeoutMs: number | null
  readonly arrivedMs: number
  /** Filled in as tries end. */
  readonly attempts: Attempt[]
  /** What reading the prompt costs us at list price, for tries that may have come that far and gave nothing. */
  readonly promptListMicro: () => Micro
  /** Called before each try; the first is told before anything leaves. */
  readonly onAttempt: (accountId: string) => void
}

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
      readonly slot: Slot
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

/** The part of the usual time that an account must have had before its silence counts against it. */
const FAIR_SHARE = 0.9

/** How a request that is to be forwarded begins to look for its account. */
export function seekerOf(
  gateway: Gateway,
  want: WantedAccount,
  route: Route,
  call: Pick<Forwarding, 'arrivedMs' | 'clientTimeoutMs'>,
): Seeker {
  const deadlineMs = call.arrivedMs + patienceMs(gateway, call)
  return { want, route, tried: new Set(), again: null, isWarm: false, waitedMs: 0, deadlineMs }
}

/**
 * Takes the slot of a first try, in line if need be; throws the right 429 or 503 when none can serve.
 * `beforeWaiting` is asked first whether it may wait at all.
 */
export async function takeAccount(
  gateway: Gateway,
  seeker: Seeker,
  callOff: CallOff,
  beforeWaiting: () => Promise<void>,
): Promise<Slot> {
  const sought = await seek(gateway, seeker, { onWait: waitWith(callOff), beforeWaiting })
  switch (sought.kind) {
    case 'slot':
      return sought.slot
    case 'none':
      throw nothingTried(sought.choice, gateway.pool.accounts, seeker)
    case 'called_off':
      throw new CalledOff()
  }
}

/** A request in line is called off like one that is sent. */
function waitWith(callOff: CallOff): (leave: () => void) => void {
  return (leave) => {
    callOff.abort = leave
    if (callOff.aborted) leave()
  }
}

function patienceMs({ policy }: Gateway, call: Pick<Forwarding, 'clientTimeoutMs'>): number {
  return Math.min(call.clientTimeoutMs ?? Number.POSITIVE_INFINITY, policy.answerBeginsMs)
}

/** Where a request goes first. */
export interface Departing {
  readonly seeker: Seeker
  readonly first: Slot
  /** How the try before ended, whose answer broke off after its beginning. */
  readonly broke?: AttemptOutcome
}

/**
 * Sends a request to `first` and, while nothing has reached the client, to further accounts. Health learns
 * from every end. Throws `GatewayError` when no account could serve; the slots are then free again.
 */
export async function forward(
  gateway: Gateway,
  want: Forwarding,
  { seeker, first, broke }: Departing,
  callOff: CallOff,
): Promise<Forwarded> {
  const { tried, route } = seeker
  const { retries } = gateway.routing
  const refused: {
    account: LiveAccount
    answer: Extract<AttemptEnd, { kind: 'answer' }>
    sentAtMs: number
  }[] = []
  const seen: FailedTry[] = []
  if (broke === undefined) retries.noteRequest(gateway.clock.monotonicMs())
  else {
    // Its own attempt is the last one that was noted.
    const accountId = want.attempts.at(-1)?.accountId ?? first.live.account.id
    seen.push({ accountId, outcome: broke, timedOut: false })
  }
  const { answerBeginsMs } = gateway.policy
  // What had begun has been billed.
  let ambiguous = seen.length
  let slot: Slot | null = first
  let isSpent = false

  while (slot !== null) {
    const account: LiveAccount = slot.live
    const { id } = account.account
    if (callOff.noMore) {
      slot.cancel()
      throw new CalledOff()
    }
    const startedMs = gateway.clock.monotonicMs()
    const beginMs = want.stream ? gateway.policy.firstByteMs : gateway.policy.firstByteUnaryMs
    const withinMs = Math.min(beginMs, seeker.deadlineMs - startedMs)
    if (withinMs <= 0) {
      slot.cancel()
      break
    }
    const isAgain = tried.has(id)
    tried.add(id)
    seeker.again = null
    const sentAtMs = gateway.clock.nowMs()
    let running: RunningAttempt
    try {
      want.onAttempt(id)
      running = send(gateway, want, account, Math.max(1, withinMs))
    } catch (error) {
      slot.cancel()
      throw error
    }
    callOff.abort = running.abort
    if (callOff.aborted) running.abort()
    const end = await running.end

    if (end.kind === 'stream') {
      settleForbidden(gateway, want, refused)
      // Health goes by beginnings: the end, much later, would count each 529 until then as one more in a row.
      observe(gateway, want, account, begun(end.stream), sentAtMs)
      const { tokens } = end.stream.tap.usage()
      slot.began(countedOf(tokens), gateway.clock.monotonicMs() - startedMs)
      noteHeadroom(gateway, { slot, modelClass: want.modelClass }, end.stream.headers)
      noteBegan(gateway, route, account, { figures: figuresOf(tokens), sentAtMs })
      return { kind: 'stream', stream: end.stream, account, slot, sentAtMs, startedMs }
    }
    const ranOut = end.kind === 'failed' && end.ranOut
    // How long a client wants to wait, or took to send its body, is no evidence about an account.
    const wasHurried = ranOut && withinMs < Math.min(beginMs, answerBeginsMs) * FAIR_SHARE
    const outcome = wasHurried ? { ...end.outcome, kind: 'abandoned' as const } : end.outcome
    want.attempts.push(
      attemptOf({
        accountId: id,
        outcome,
        durationMs: gateway.clock.monotonicMs() - startedMs,
        listCostMicro: isOurLoss(end) ? want.promptListMicro() : 0,
      }),
    )
    const { tokens } =
      end.kind === 'answer' && outcome.kind === 'ok'
        ? readUsage(end.json, want.model)
        : { tokens: NO_TOKENS }
    if (outcome.kind === 'ok') {
      slot.began(countedOf(tokens))
      slot.ended(takenOf(tokens))
    }
    slot.release()
    if (end.kind === 'answer' && !want.isCount)
      noteHeadroom(gateway, { slot, modelClass: want.modelClass }, end.headers)
    if (end.kind === 'answer' && (outcome.kind === 'ok' || outcome.kind === 'client_fault')) {
      observe(gateway, want, account, outcome, sentAtMs)
      if (outcome.kind === 'ok') {
        settleForbidden(gateway, want, refused)
        noteBegan(gateway, route, account, { figures: figuresOf(tokens), sentAtMs })
      }
      return { kind: 'answer', answer: end, account }
    }
    if (wasHurried) throw timedOut(patienceMs(gateway, want))
    if (outcome.kind === 'abandoned') throw new CalledOff()
    seen.push({ accountId: id, outcome, timedOut: end.kind === 'failed' && end.timedOut })
    if (end.kind === 'answer' && outcome.kind === 'forbidden') {
      // Whether the account or the request is at fault shows only when another account answers otherwise.
      refused.push({ account, answer: end, sentAtMs })
    } else if (!ranOut || outcome.kind !== 'unreachable') {
      // Time that went into waiting for a free connection is our own doing.
      observe(gateway, want, account, outcome, sentAtMs)
    }
    gateway.log.debug(
      { requestId: want.requestId, accountId: id, outcome: outcome.kind, reason: outcome.reason },
      'attempt.failed',
    )

    if (mayBeBilled(outcome)) ambiguous++
    const mayGoOn = mayResend(want.resend, outcome, ambiguous)
    if (callOff.noMore || !mayGoOn || tried.size >= gateway.policy.maxAttempts) break
    if (ON_BUDGET.has(outcome.kind) && !retries.take(gateway.clock.monotonicMs())) {
      isSpent = true
      break
    }
    // Overload passes within seconds: once more where the prompt is warm, before it is written elsewhere, and where
    // something is that the request goes on with, for it would fail elsewhere.
    const belongsHere = seeker.isWarm || route.state !== null
    if (outcome.kind === 'overloaded' && belongsHere && !isAgain) seeker.again = id
    const sought = await seek(gateway, seeker, { onWait: waitWith(callOff) })
    if (sought.kind === 'called_off') throw new CalledOff()
    slot = sought.kind === 'slot' ? sought.slot : null
  }

  const last = refused.at(-1)
  if (last !== undefined && refused.length === seen.length)
    return { kind: 'answer', answer: last.answer, account: last.account }
  const waitedMs = Math.min(gateway.clock.monotonicMs(), seeker.deadlineMs) - want.arrivedMs
  throw allFailed(whoCouldServe(gateway, seeker), seen, { waitedMs, isSpent })
}

/**
 * The slot for one more try of what had begun upstream and broke off before its client got anything of it: its last
 * attempt. Null where that may not be sent again, or nobody can serve at once.
 */
export function takeElsewhere(
  gateway: Gateway,
  { resend, attempts }: Pick<Forwarding, 'resend' | 'attempts'>,
  seeker: Seeker,
): Slot | null {
  const { policy, routing, clock } = gateway
  const isSecond = attempts
    .slice(0, -1)
    .some(({ outcome, httpStatus }) => mayBeBilled({ kind: outcome, httpStatus }))
  if (resend !== 'free' || isSecond || seeker.tried.size >= policy.maxAttempts) return null
  seeker.again = null
  return routing.retries.take(clock.monotonicMs()) ? seekNow(gateway, seeker) : null
}

/** The try was called off: the client is gone, or the daemon stops. */
export class CalledOff extends Error {
  override readonly name = 'CalledOff'
}

/** Tells the pool how a try ended; for a stream, whoever relayed it does. */
export function observe(
  gateway: Gateway,
  want: Omit<WantedAccount, 'listMicro' | 'tags'>,
  live: LiveAccount,
  outcome: AttemptOutcome,
  sentAtMs: number,
): void {
  const { requestId, model, modelClass, isFast, keyId } = want
  const { credentialVersion } = live.account
  const about = { credentialVersion, requestId, model, modelClass, isFast }
  gateway.pool.observe(live.account.id, { ...outcome, sentAtMs, keyId }, about)
}

/** The input that upstream's limits count: what was read from the cache does not. */
function countedOf({ input, cacheWrite5m, cacheWrite1h }: TokenCounts): number {
  return input + cacheWrite5m + cacheWrite1h
}

/** What an answer took of the tokens per minute that the operator allows an account. */
export function takenOf(tokens: TokenCounts): number {
  return countedOf(tokens) + tokens.output
}

function figuresOf({ cacheRead, cacheWrite5m, cacheWrite1h }: TokenCounts): CacheFigures {
  return { cacheReadTokens: cacheRead, cacheWriteTokens: cacheWrite5m + cacheWrite1h }
}

/** That its answer has begun is all that a stream says for its account, until it breaks. */
function begun({ status, upstreamRequestId }: LiveStream): AttemptOutcome {
  return { kind: 'ok', reason: '', httpStatus: status, upstreamRequestId, restMs: null }
}

function send(
  gateway: Gateway,
  want: Forwarding,
  live: LiveAccount,
  beginWithinMs: number,
): RunningAttempt {
  const target = targetOf(live, gateway.pool.headroom(live.account.id)?.workspaceId ?? null)
  return startAttempt({
    dispatcher: gateway.connections.for(live),
    method: 'POST',
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

/** Another account answered the same request: so the refusals were about their accounts. */
function settleForbidden(
  gateway: Gateway,
  want: Forwarding,
  refused: readonly {
    account: LiveAccount
    answer: { outcome: AttemptOutcome }
    sentAtMs: number
  }[],
): void {
  for (const { account, answer, sentAtMs } of refused)
    observe(gateway, want, account, answer.outcome, sentAtMs)
}
