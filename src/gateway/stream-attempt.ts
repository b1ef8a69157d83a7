import type { AttemptOutcome, OutcomeKind } from '../core/attempt-outcome.ts'
import { NO_TOKENS, type Usage } from '../core/usage.ts'
import { outcomeOfErrorEvent } from '../providers/anthropic/classify.ts'
import type { StreamError } from '../providers/anthropic/stream-tap.ts'
import { attemptOf } from '../providers/provider.ts'
import type { Exchange } from './exchange.ts'
import { type Forwarded, observe, takenOf } from './forward.ts'
import type { Gateway } from './gateway.ts'
import { asksForFast } from './scalars.ts'
import { receiptOf } from './settle.ts'
import { cutStreamUsage } from './stream-usage.ts'

/** The try of a stream that is being relayed: what it says about its account, and what it proves. */
export class StreamAttempt {
  readonly #gateway: Gateway
  readonly #exchange: Exchange
  readonly #forwarded: Extract<Forwarded, { kind: 'stream' }>

  constructor(
    gateway: Gateway,
    exchange: Exchange,
    forwarded: Extract<Forwarded, { kind: 'stream' }>,
  ) {
    this.#gateway = gateway
    this.#exchange = exchange
    this.#forwarded = forwarded
  }

  get accountId(): string {
    return this.#forwarded.account.account.id
  }

  /** Tells the store what a crash from now on may bill, and the key's fuse what it burns. */
  noteProgress(): void {
    const { stream } = this.#forwarded
    if (!stream.tap.started) return
    const nowMs = this.#gateway.clock.monotonicMs()
    const usage = cutStreamUsage(this.#gateway, this.#exchange, stream.tap, nowMs)
    const { burn } = this.#exchange
    if (burn !== null) burn.spent(receiptOf(this.#exchange, usage).costMicro, nowMs)
    this.#tell(usage)
  }

  /** Nothing of it will reach anybody: a crash from now on bills nothing of it. */
  noteLost(): void {
    this.#tell({ ...this.#forwarded.stream.tap.usage(), tokens: NO_TOKENS })
  }

  #tell(usage: Usage): void {
    const { stream } = this.#forwarded
    this.#gateway.store.noteProgress({
      requestId: this.#exchange.call.requestId,
      accountId: this.accountId,
      progress: {
        responseModel: usage.model,
        tokens: usage.tokens,
        speed: usage.speed,
        inferenceGeo: usage.inferenceGeo,
        upstreamRequestId: stream.upstreamRequestId,
      },
    })
  }

  /** An error event says whose business it is; a stream that only ends is upstream's. */
  failed(error: StreamError | null, reason: string): AttemptOutcome {
    if (error === null) return this.ended('server_error', `stream ${reason}`)
    return this.ended(outcomeOfErrorEvent(error.type), `stream broke with ${error.type}`)
  }

  /** Health, the slot and the attempt's line in the receipt. */
  ended(kind: OutcomeKind, reason: string): AttemptOutcome {
    const { account, slot, stream, sentAtMs, startedMs } = this.#forwarded
    const outcome = {
      kind,
      reason,
      httpStatus: stream.status,
      upstreamRequestId: stream.upstreamRequestId,
      restMs: null,
    }
    const durationMs = this.#gateway.clock.monotonicMs() - startedMs
    const { call, request, price, attempts } = this.#exchange
    attempts.push(attemptOf({ accountId: this.accountId, outcome, durationMs }))
    this.#countTokens(kind)
    slot.release()
    // Its beginning has been told already.
    if (kind === 'ok') return outcome
    const { id: keyId } = call.live.key
    const want = {
      requestId: call.requestId,
      keyId,
      model: price.id,
      modelClass: price.modelClass,
      isFast: asksForFast(request.facts),
    }
    observe(this.#gateway, want, account, outcome, sentAtMs)
    return outcome
  }

  /** What the stream took of the account's own tokens per minute, all its rounds together. */
  #countTokens(kind: OutcomeKind): void {
    const { account, slot, stream } = this.#forwarded
    if (account.account.tpmLimit === null) return
    const { tap } = stream
    const nowMs = this.#gateway.clock.monotonicMs()
    const usage =
      kind === 'ok' ? tap.usage() : cutStreamUsage(this.#gateway, this.#exchange, tap, nowMs)
    slot.ended(takenOf(usage.tokens))
  }
}
