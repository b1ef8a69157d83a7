import { costBound } from '../billing/bound.ts'
import { availableMicro as availableMicroOf } from '../billing/ledger.ts'
import { ERRORS, GatewayError } from '../core/errors.ts'
import type { UsageRecord } from '../core/model.ts'
import { readError } from '../providers/anthropic/classify.ts'
import { StoreError } from '../store/store.ts'
import type { Call, Exchange } from './exchange.ts'
import { beginExchange, usageRecord } from './exchange.ts'
import type { CallOff, Forwarded, Forwarding } from './forward.ts'
import { CalledOff, forward, resendRule, takeAccount } from './forward.ts'
import type { Gateway, RunningExchange } from './gateway.ts'
import { boundInputOf, holdCredit, insufficientCredit } from './hold.ts'
import { admitModels, inspectBody, namedModel, readInference } from './inspect-body.ts'
import { withRealModel } from './real-model.ts'
import { relayStream } from './relay.ts'
import { answerHead } from './reply-head.ts'
import { logExchange, settle, voidHold } from './settle.ts'
import { unaryUsage } from './unary-usage.ts'

/** What the server does for the pipeline: it knows the client's side of HTTP. */
export interface ClientSide {
  /** Rate-limit headers that describe the key, flat. */
  readonly keyHeaders: readonly string[]
  readonly renderStreamError: (error: GatewayError) => string
}

/**
 * The life of one paid request, in order. Its seven steps: identify (done by the caller of this function),
 * inspect, admit, hold, forward, relay, settle. Throws `GatewayError` while nothing has been sent to the
 * client; resolves when the client has its answer and the money is settled.
 */
export async function runInference(
  gateway: Gateway,
  call: Call,
  body: Buffer,
  client: ClientSide,
): Promise<void> {
  let exchange: Exchange | null = null
  let model = ''
  const callOff: CallOff = { abort: () => {}, aborted: false, noMore: false }
  const onClose = () => {
    if (call.response.writableFinished) return
    if (exchange !== null) exchange.clientGone = true
    callOff.noMore = true
    // An answer that does not stream is billed whole upstream anyway: it is read to its end.
    if (exchange === null || exchange.request.stream) {
      callOff.aborted = true
      callOff.abort()
    }
  }
  call.response.on('close', onClose)
  let isStopped = false
  const running: RunningExchange = {
    cut() {
      isStopped = true
      callOff.noMore = true
      callOff.aborted = true
      callOff.abort()
    },
    tick() {},
  }
  gateway.running.add(running)
  try {
    // 2. inspect: one scan of the bytes; what was checked is what is forwarded.
    const facts = inspectBody(body)
    model = namedModel(facts)
    const request = withRealModel(gateway, call, readInference(call, body, facts))

    // 3. admit: is the model known, served and allowed for this key?
    const models = admitModels(gateway, call, request)
    exchange = beginExchange(call, request, models.row, gateway.prices)

    // 4. hold: an account's slot, then the whole cost bound, durably, before anything leaves.
    const account = await takeAccountOrSayWhatIsMissing(gateway, exchange, models)
    try {
      await holdCredit(gateway, exchange, models, account)
    } catch (error) {
      gateway.pool.attemptCancelled(account.account.id)
      throw error
    }

    // 5. forward: one account after another, while nothing has reached the client.
    const forwarded = await forward(gateway, forwardingOf(gateway, exchange), account, callOff)
    exchange.accountId = forwarded.account.account.id

    // 6. relay and 7. settle: the last byte waits for the settlement.
    call.response.off('close', onClose)
    if (forwarded.kind === 'stream') {
      // From here on the relay is what a stop ends.
      gateway.running.delete(running)
      await relay(gateway, exchange, forwarded, client)
    } else await answer(gateway, exchange, forwarded, client)
  } catch (error) {
    await closeAfterFailure(gateway, call, { exchange, model }, error)
    if (!(error instanceof CalledOff)) throw error
    if (isStopped) throw new GatewayError('draining', { retryAfterMs: 3_000 })
  } finally {
    gateway.running.delete(running)
    call.response.off('close', onClose)
  }
}

/** Credit is asked before accounts (ux 7.5): who could not pay anyway gets 402, not 503. */
async function takeAccountOrSayWhatIsMissing(
  gateway: Gateway,
  exchange: Exchange,
  models: ReturnType<typeof admitModels>,
) {
  const want = { model: exchange.price.id, modelClass: exchange.price.modelClass }
  try {
    return takeAccount(gateway, want)
  } catch (error) {
    const bound = costBound(boundInputOf(exchange.request), models)
    const wallet = await gateway.store.getWallet(exchange.call.live.key.userId)
    const availableMicro = wallet === null ? 0 : availableMicroOf(wallet)
    if (bound.inputKnown && availableMicro < bound.amountMicro)
      throw insufficientCredit(bound, availableMicro)
    throw error
  }
}

function forwardingOf(gateway: Gateway, exchange: Exchange): Forwarding {
  const { call, request, price } = exchange
  return {
    requestId: call.requestId,
    isCount: false,
    target: call.target,
    rawHeaders: call.rawHeaders,
    body: request.body,
    stream: request.stream,
    model: price.id,
    modelClass: price.modelClass,
    resend: resendRule(request.facts),
    clientTimeoutMs: call.clientTimeoutMs,
    arrivedMs: call.arrivedMs,
    attempts: exchange.attempts,
    onAttempt(accountId) {
      if (exchange.leftMs === null) exchange.leftMs = gateway.clock.monotonicMs()
      else gateway.store.noteProgress({ requestId: call.requestId, accountId, progress: null })
      exchange.accountId = accountId
    },
  }
}

async function relay(
  gateway: Gateway,
  exchange: Exchange,
  forwarded: Extract<Forwarded, { kind: 'stream' }>,
  client: ClientSide,
): Promise<void> {
  const { call } = exchange
  exchange.upstreamRequestId = forwarded.stream.upstreamRequestId
  await relayStream({
    gateway,
    exchange,
    forwarded,
    renderStreamError: client.renderStreamError,
    writeHead() {
      const accountId = forwarded.account.account.id
      const head = answerHead(call, forwarded.stream.headers, accountId, client.keyHeaders)
      head.push('x-accel-buffering', 'no')
      call.response.writeHead(forwarded.stream.status, head)
    },
  })
}

async function answer(
  gateway: Gateway,
  exchange: Exchange,
  forwarded: Extract<Forwarded, { kind: 'answer' }>,
  client: ClientSide,
): Promise<void> {
  const { call } = exchange
  const { status, headers, body, outcome, json } = forwarded.answer
  const accountId = forwarded.account.account.id
  exchange.upstreamRequestId = outcome.upstreamRequestId
  const gone = exchange.clientGone || call.response.destroyed
  exchange.firstByteMs = gone ? null : gateway.clock.monotonicMs()
  if (outcome.kind === 'ok') {
    const ending = { status: 'complete' as const, httpStatus: gone ? 499 : status, errorCode: null }
    const usage = unaryUsage(exchange, json)
    // Who waits for it gets an error when it cannot be settled, and so nothing to pay for.
    await settle(gateway, exchange, usage, 'exact', { ...ending, isUnsent: !gone })
  } else {
    await voidHold(gateway, exchange, {
      httpStatus: status,
      errorCode: readError(body.toString('utf8')).type,
    })
  }
  if (call.response.destroyed) return
  const head = answerHead(call, headers, accountId, client.keyHeaders)
  head.push('content-length', String(body.length))
  call.response.writeHead(status, head)
  // Head and body leave in one write where the body is small: Node joins a string to the head, not a buffer.
  if (body.length <= JOINED_BYTES) call.response.end(body.toString('latin1'), 'latin1')
  else call.response.end(body)
}

const JOINED_BYTES = 16 * 1024

/** Whatever went wrong before an answer: the hold is closed, and the owner can see what happened. */
async function closeAfterFailure(
  gateway: Gateway,
  call: Call,
  { exchange, model }: { readonly exchange: Exchange | null; readonly model: string },
  error: unknown,
): Promise<void> {
  const gone = error instanceof CalledOff || call.response.destroyed
  const code = error instanceof GatewayError ? error.code : gone ? null : 'internal_error'
  const httpStatus = gone ? 499 : code === null ? 499 : ERRORS[code].status
  if (exchange?.holdOpen) {
    // A store that cannot take the void now takes it later; the client's answer does not change.
    await voidHold(gateway, exchange, { httpStatus, errorCode: code }).catch(() => {})
    return
  }
  if (exchange?.wasHeld || error instanceof StoreError) return
  if (exchange === null) {
    noteRefusal(gateway, call, error, model)
    return
  }
  const end = { status: 'rejected', source: 'none', httpStatus, errorCode: code } as const
  const record = usageRecord(exchange, gateway.clock.monotonicMs(), { ...end, holdMicro: 0 })
  writeRefusal(gateway, record)
  logExchange(gateway, record)
}

/** One row per key, code and second: a client that is refused in a loop must not fill the disk. */
function writeRefusal(gateway: Gateway, record: UsageRecord): void {
  const { refusals } = gateway
  const second = Math.floor(record.createdAtMs / 1_000)
  if (second !== refusals.second) {
    refusals.second = second
    refusals.seen.clear()
  }
  const name = `${record.keyId} ${record.errorCode}`
  if (refusals.seen.has(name)) return
  refusals.seen.add(name)
  gateway.store.noteRefusal(record)
}

/**
 * The usage row (cost 0) of an authenticated request that was refused before it became an exchange.
 * `model` is what its body named; '' while the body was not read.
 */
export function noteRefusal(gateway: Gateway, call: Call, error: unknown, model = ''): void {
  const code = error instanceof GatewayError ? error.code : null
  const record = usageRecord(
    {
      call,
      request: { model, stream: false },
      bound: null,
      accountId: null,
      upstreamRequestId: null,
      attempts: [],
      leftMs: null,
      firstByteMs: null,
    },
    gateway.clock.monotonicMs(),
    {
      status: 'rejected',
      source: 'none',
      httpStatus: code === null ? 499 : ERRORS[code].status,
      errorCode: code,
    },
  )
  writeRefusal(gateway, record)
  logExchange(gateway, record)
}
