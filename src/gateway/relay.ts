import type { ServerResponse } from 'node:http'
import { GatewayError } from '../core/errors.ts'
import { outcomeOfErrorEvent } from '../providers/anthropic/classify.ts'
import type { StreamError } from '../providers/anthropic/stream-tap.ts'
import type { OutcomeKind } from '../providers/provider.ts'
import { attemptOf } from '../providers/provider.ts'
import type { ChunkPart, LiveStream, StreamSink } from './attempt.ts'
import type { Exchange } from './exchange.ts'
import type { Forwarded } from './forward.ts'
import { observe } from './forward.ts'
import type { Gateway, RunningExchange } from './gateway.ts'
import { noteHeadroom } from './headroom.ts'
import { cutStreamUsage, settle } from './settle.ts'

/** A client that takes no bytes for this long is gone (reliability S2). */
const STALLED_MS = 60_000
/** Omitted thinking is billed but not seen: after a disconnect we read on this long for its true count. */
const READ_ON_MS = 30_000
/** An unfinished event larger than this goes out in pieces. */
const MAX_TAIL_BYTES = 64 * 1024
/** Upstream ends its body with `message_stop`; if it does not, the client need not wait for it. */
const LINGER_MS = 250

/** What the relay needs beyond the exchange itself. */
export interface RelayContext {
  readonly gateway: Gateway
  readonly exchange: Exchange
  readonly forwarded: Extract<Forwarded, { kind: 'stream' }>
  /** Writes the head; called once, just before the first byte. */
  readonly writeHead: () => void
  readonly renderStreamError: (error: GatewayError) => string
}

/** Passes a stream to the client and settles it; resolves when both are done. */
export function relayStream(context: RelayContext): Promise<void> {
  const relay = new Relay(context)
  return relay.run()
}

/**
 * Bytes go through unchanged, whole events at a time, so that a stream which breaks never leaves half an
 * event behind. The end of the stream waits for the settlement.
 */
class Relay implements StreamSink, RunningExchange {
  readonly #gateway: Gateway
  readonly #exchange: Exchange
  readonly #forwarded: RelayContext['forwarded']
  readonly #context: RelayContext
  readonly #stream: LiveStream
  readonly #response: ServerResponse
  readonly #startedMs: number
  #done: () => void = () => {}
  /** The unfinished event at the end of what came, not yet written. */
  #tail: Buffer | null = null
  /** From the beginning of `message_stop` on: waits for the settlement. */
  #held: Buffer[] = []
  #holding = false
  #headWritten = false
  #closing = false
  #upstreamEnded = false
  #settled = false
  #finished = false
  #stalledSinceMs: number | null = null
  #clientGoneMs: number | null = null
  #notedMs = 0

  constructor(context: RelayContext) {
    this.#context = context
    this.#gateway = context.gateway
    this.#exchange = context.exchange
    this.#forwarded = context.forwarded
    this.#stream = context.forwarded.stream
    this.#response = context.exchange.call.response
    this.#startedMs = context.gateway.clock.monotonicMs()
  }

  run(): Promise<void> {
    const done = new Promise<void>((resolve) => {
      this.#done = resolve
    })
    noteHeadroom(this.#gateway, this.#forwarded.account, this.#stream.headers)
    this.#gateway.running.add(this)
    this.#response.on('close', this.#onClose)
    this.#response.on('drain', this.#onDrain)
    this.#stream.attach(this)
    if (this.#response.destroyed) this.#onClose()
    return done
  }

  data(chunk: Buffer, { safe, whole }: ChunkPart): void {
    const { tap } = this.#stream
    if (tap.startedJust || this.#notedMs === 0) this.#noteProgress()
    if (safe < chunk.length || this.#holding) {
      const open = chunk.subarray(0, safe)
      if (this.#holding) this.#held.push(chunk)
      else {
        if (safe > 0 || this.#tail === null) this.#write(open)
        this.#holding = true
        if (safe === 0 && this.#tail !== null) {
          // `message_stop` began in what was kept back as an unfinished event.
          this.#held.push(this.#tail)
          this.#tail = null
        }
        this.#held.push(chunk.subarray(safe))
      }
    } else {
      this.#passWholeEvents(chunk, whole)
    }
    if (tap.ended) this.#complete()
    else if (this.#clientGoneMs !== null && tap.outputSoFar(this.#nowMs()).seenOutputTokens > 0) {
      // Reading on after a disconnect: the true count has come.
      this.#cut('client went away', 499, null)
    }
  }

  end(): void {
    this.#upstreamEnded = true
    if (this.#closing) this.#finishIfReady()
    else this.broken('ended the stream early')
  }

  broken(reason: string): void {
    this.#upstreamEnded = true
    if (this.#closing) {
      this.#finishIfReady()
      return
    }
    const error = this.#stream.tap.errorEvent
    this.#observeFailure(error, reason)
    if (error !== null) this.#interrupt(error.type, null)
    else {
      const { requestId } = this.#exchange.call
      this.#interrupt(
        'upstream_interrupted',
        new GatewayError('upstream_interrupted', { facts: { reason, requestId } }),
      )
    }
  }

  cut(): void {
    if (this.#closing) return
    this.#observe('abandoned', 'gateway stopped')
    this.#stream.abort()
    this.#interrupt('draining', new GatewayError('draining', { retryAfterMs: 3_000 }))
  }

  /** Called every few seconds: progress for recovery, and the limits in time. */
  tick(nowMs: number): void {
    if (this.#closing) return
    if (this.#stalledSinceMs !== null && nowMs - this.#stalledSinceMs > STALLED_MS) {
      this.#response.destroy()
      return
    }
    if (this.#clientGoneMs !== null && nowMs - this.#clientGoneMs > READ_ON_MS) {
      this.#cut('client went away', 499, null)
      return
    }
    if (nowMs - this.#startedMs > this.#gateway.policy.longestStreamMs) {
      this.#observe('abandoned', 'stream ran too long')
      this.#stream.abort()
      const { requestId } = this.#exchange.call
      const reason = 'ran longer than this server allows'
      this.#interrupt(
        'upstream_interrupted',
        new GatewayError('upstream_interrupted', { facts: { reason, requestId } }),
      )
      return
    }
    this.#noteProgress()
  }

  readonly #onDrain = (): void => {
    this.#stalledSinceMs = null
    this.#stream.resume()
  }

  readonly #onClose = (): void => {
    if (this.#response.writableFinished || this.#clientGoneMs !== null) return
    this.#clientGoneMs = this.#nowMs()
    this.#exchange.clientGone = true
    if (this.#closing) {
      this.#finish()
      return
    }
    const seen = this.#stream.tap.outputSoFar(this.#clientGoneMs)
    if (seen.omittedThinking && seen.seenOutputTokens === 0) {
      this.#stream.resume()
      return
    }
    this.#cut('client went away', 499, null)
  }

  /** Stops reading and bills what was produced. */
  #cut(reason: string, httpStatus: number, errorCode: string | null): void {
    this.#observe('abandoned', reason)
    this.#stream.abort()
    this.#closePartial(httpStatus, errorCode, null)
  }

  #interrupt(errorCode: string, error: GatewayError | null): void {
    this.#closePartial(this.#exchange.clientGone ? 499 : 200, errorCode, error)
  }

  /** The answer is whole: settle, then let its end go. */
  #complete(): void {
    if (this.#closing) return
    this.#closing = true
    const { tap } = this.#stream
    const failed = tap.errorEvent !== null
    if (failed) this.#observeFailure(tap.errorEvent, '')
    else this.#observe('ok', '')
    const ending = {
      status: failed ? ('interrupted' as const) : ('complete' as const),
      httpStatus: this.#exchange.clientGone ? 499 : 200,
      errorCode: tap.errorEvent?.type ?? null,
    }
    // Where upstream's figures cannot be used, the output itself tells about how much it was.
    const usage = tap.exact ? tap.usage() : cutStreamUsage(this.#exchange, tap, this.#nowMs())
    const source = tap.exact ? 'exact' : 'partial'
    settle(this.#gateway, this.#exchange, usage, source, ending).then(
      () => this.#release(),
      () => this.#refuseEnd(),
    )
  }

  #closePartial(httpStatus: number, errorCode: string | null, error: GatewayError | null): void {
    if (this.#closing) return
    this.#closing = true
    this.#upstreamEnded = true
    const { tap } = this.#stream
    const usage = cutStreamUsage(this.#exchange, tap, this.#nowMs())
    const ending = { status: 'interrupted' as const, httpStatus, errorCode }
    settle(this.#gateway, this.#exchange, usage, 'partial', ending).then(
      () => this.#endWith(error),
      () => this.#refuseEnd(),
    )
  }

  /** The settlement is durable: what was held may go. */
  #release(): void {
    if (this.#tail !== null) this.#held.unshift(this.#tail)
    this.#tail = null
    this.#settled = true
    if (this.#upstreamEnded) this.#finishIfReady()
    else setTimeout(() => this.#finish(), LINGER_MS).unref()
  }

  #finishIfReady(): void {
    if (this.#settled && this.#upstreamEnded) this.#finish()
  }

  #endWith(error: GatewayError | null): void {
    // Half an event is worth nothing to a client and would spoil the error that follows.
    this.#tail = null
    this.#held = error === null ? [] : [Buffer.from(this.#context.renderStreamError(error))]
    this.#finish()
  }

  #refuseEnd(): void {
    this.#stream.abort()
    this.#endWith(new GatewayError('store_unavailable', { retryAfterMs: 5_000 }))
  }

  #finish(): void {
    if (this.#finished) return
    this.#finished = true
    if (!this.#upstreamEnded) this.#stream.abort()
    this.#gateway.running.delete(this)
    this.#response.off('close', this.#onClose)
    this.#response.off('drain', this.#onDrain)
    if (!this.#response.destroyed) {
      if (!this.#headWritten) this.#writeHead()
      for (let i = 0; i < this.#held.length - 1; i++) this.#response.write(this.#held[i])
      this.#response.end(this.#held.at(-1))
      // What a client never takes must not keep its connection for ever.
      if (this.#response.writableLength > 0) this.#response.setTimeout(STALLED_MS)
    }
    this.#done()
  }

  #passWholeEvents(chunk: Buffer, end: number): void {
    if (end === chunk.length) {
      this.#write(chunk)
      return
    }
    if (end > 0) this.#write(chunk.subarray(0, end))
    const rest = chunk.subarray(end)
    this.#tail = this.#tail === null ? rest : Buffer.concat([this.#tail, rest])
    if (this.#tail.length > MAX_TAIL_BYTES) {
      const tail = this.#tail
      this.#tail = null
      this.#write(tail)
    }
  }

  /** Writes to the client, the kept-back beginning of the event first. */
  #write(bytes: Buffer): void {
    if (this.#clientGoneMs !== null) {
      this.#tail = null
      return
    }
    if (!this.#headWritten) this.#writeHead()
    if (this.#tail !== null) {
      const tail = this.#tail
      this.#tail = null
      this.#response.write(tail)
    }
    if (bytes.length === 0) return
    if (!this.#response.write(bytes) && this.#stalledSinceMs === null) {
      this.#stalledSinceMs = this.#nowMs()
      this.#stream.pause()
    }
  }

  #writeHead(): void {
    this.#headWritten = true
    this.#exchange.firstByteMs = this.#nowMs()
    this.#context.writeHead()
  }

  /** Tells the store what a crash from now on may bill (M19). */
  #noteProgress(): void {
    const nowMs = this.#nowMs()
    this.#notedMs = nowMs
    const { tap } = this.#stream
    if (!tap.started) return
    const usage = cutStreamUsage(this.#exchange, tap, nowMs)
    this.#gateway.store.noteProgress({
      requestId: this.#exchange.call.requestId,
      accountId: this.#forwarded.account.account.id,
      progress: {
        responseModel: usage.model,
        tokens: usage.tokens,
        speed: usage.speed,
        inferenceGeo: usage.inferenceGeo,
        upstreamRequestId: this.#stream.upstreamRequestId,
      },
    })
  }

  /** An error event says whose business it is; a stream that only ends is upstream's. */
  #observeFailure(error: StreamError | null, reason: string): void {
    if (error === null) this.#observe('server_error', `stream ${reason}`)
    else this.#observe(outcomeOfErrorEvent(error.type), `stream broke with ${error.type}`)
  }

  /** Health, the slot and the attempt's line in the receipt. */
  #observe(kind: OutcomeKind, reason: string): void {
    const { account, sentAtMs, startedMs } = this.#forwarded
    const outcome = {
      kind,
      reason,
      httpStatus: this.#stream.status,
      upstreamRequestId: this.#stream.upstreamRequestId,
      restMs: null,
    }
    const { call, price } = this.#exchange
    this.#exchange.attempts.push(
      attemptOf({ accountId: account.account.id, outcome, durationMs: this.#nowMs() - startedMs }),
    )
    this.#gateway.pool.attemptReleased(account.account.id)
    const want = { requestId: call.requestId, model: price.id, modelClass: price.modelClass }
    observe(this.#gateway, want, account, outcome, sentAtMs)
  }

  #nowMs(): number {
    return this.#gateway.clock.monotonicMs()
  }
}
