import type { AttemptOutcome } from '../core/attempt-outcome.ts'
import { ERRORS, GatewayError } from '../core/errors.ts'
import type { Usage } from '../core/usage.ts'
import type { WireError } from '../dialects/dialect.ts'
import type { Slot } from '../pool/pool.ts'
import { Absence } from './absence.ts'
import type { AnswerWriter } from './answer-writer.ts'
import type { AttemptEnd, ChunkPart, LiveStream, StreamSink } from './attempt.ts'
import { ClientStream, STALLED_MS, type StreamClient } from './client-stream.ts'
import { policyOf } from './disconnect.ts'
import type { Exchange } from './exchange.ts'
import type { Forwarded } from './forward.ts'
import type { Gateway, RunningExchange } from './gateway.ts'
import { HoldGrowth } from './hold-growth.ts'
import { cannotGoOn, type NoRoom } from './no-money.ts'
import { isStreamed } from './ready-request.ts'
import { type NextRound, Rounds } from './rounds.ts'
import type { AbandonedRun, Joined } from './runs.ts'
import { believed, type Closed } from './settle.ts'
import { StreamAttempt } from './stream-attempt.ts'
import { StreamBrake } from './stream-brake.ts'
import { type CutEnding, noteLost, settleCut, settleEnded } from './stream-end.ts'
import { cutStreamUsage } from './stream-usage.ts'
import { brokenOff, headOf, writerOf } from './writer-of.ts'

/** Upstream ends its body with `message_stop`; if it does not, the client need not wait for it. */
const LINGER_MS = 250

/** What the relay needs beyond the exchange itself. */
export interface RelayContext {
  readonly gateway: Gateway
  readonly exchange: Exchange
  readonly forwarded: Extract<Forwarded, { kind: 'stream' }>
  readonly client: StreamClient
  /** The client left before the answer began; its answer is for whoever joins. */
  readonly run: AbandonedRun | null
  /** An error as the dialects render it. */
  readonly describe: (error: GatewayError) => WireError
  /**
   * The slot for another try of an answer that breaks off before anything has reached its client; null where
   * there is none, or may be none.
   */
  readonly elsewhere: (() => Slot | null) | null
  /** Goes on where upstream pauses; null: the client does. */
  readonly nextRound: NextRound | null
}

/** Passes a stream to its client and settles it. */
export interface RunningRelay {
  /** Resolves when both are done; with something, when its client got nothing and it is to be tried once more. */
  readonly done: Promise<AnotherTry | null>
  /** Gives the answer to a client that comes later; null when it cannot have all of it. */
  readonly adopt: (client: StreamClient) => Promise<Joined> | null
}

/** An answer that its relay has given up, for another one. */
export interface AnotherTry {
  readonly first: Slot
  readonly broke: AttemptOutcome
}

export function startRelay(context: RelayContext): RunningRelay {
  const relay = new Relay(context)
  return { done: relay.run(), adopt: (client) => relay.adopt(client) }
}

/** What the client is told of an answer that is not whole; null: upstream has told it, or nobody is there. */
type LastWords = ((closed: Closed, usage: Usage) => GatewayError) | null

/** One stream between upstream and its client. The end of the stream waits for the settlement. */
class Relay implements StreamSink, RunningExchange {
  readonly #gateway: Gateway
  readonly #exchange: Exchange
  #stream: LiveStream
  readonly #brake: StreamBrake
  readonly #attempt: StreamAttempt
  readonly #client: ClientStream
  readonly #writer: AnswerWriter
  readonly #absence: Absence
  readonly #growth: HoldGrowth | null
  readonly #rounds: Rounds
  readonly #startedMs: number
  readonly #takeElsewhere: RelayContext['elsewhere']
  #done: (another: AnotherTry | null) => void = () => {}
  #hasBegun = false
  #isClosing = false
  #hasUpstreamEnded = false
  #isWhole = false
  #settled: Closed | null = null
  /** What it is billed for where it was cut; null as long as it is not. */
  #cutUsage: Usage | null = null
  #isFinished = false

  constructor(context: RelayContext) {
    const { gateway, exchange, forwarded, run } = context
    this.#gateway = gateway
    this.#exchange = exchange
    this.#stream = forwarded.stream
    this.#rounds = new Rounds(context.nextRound, (end) => this.#continued(end))
    this.#takeElsewhere = context.elsewhere
    this.#brake = new StreamBrake(forwarded.stream)
    this.#attempt = new StreamAttempt(gateway, exchange, forwarded)
    this.#startedMs = gateway.clock.monotonicMs()
    this.#client = this.#clientOf(context)
    this.#writer = writerOf({ ...context, cutUsage: () => this.#cutUsage }, this.#client)
    this.#absence = new Absence({
      gateway,
      exchange,
      run,
      produced: () => this.#produced(),
      stop: () => {
        this.#stop('client went away')
        this.#interrupt({ errorCode: null, httpStatus: 499, isLost: false }, null)
      },
    })
    this.#growth = this.#growthOf(exchange)
  }

  run(): Promise<AnotherTry | null> {
    const done = new Promise<AnotherTry | null>((resolve) => {
      this.#done = resolve
    })
    this.#gateway.running.add(this)
    this.#client.open()
    this.#stream.attach(this)
    return done
  }

  adopt(client: StreamClient): Promise<Joined> | null {
    if (this.#isFinished || !this.#client.isRecorded || !this.#client.isGone) return null
    // What has been stopped ends without a word to anybody.
    if (this.#isClosing && !this.#isWhole) return null
    const joined = this.#absence.end()
    this.#client.adopt(client)
    return joined
  }

  data(chunk: Buffer, part: ChunkPart): void {
    const { tap } = this.#stream
    if (!this.#hasBegun && tap.started) {
      this.#hasBegun = true
      this.#attempt.noteProgress()
      this.#growth?.started()
    }
    this.#writer.take(chunk, part)
    if (this.#writer.failure !== null && !this.#isClosing) {
      // Its client has been told; whatever comes yet is for nobody.
      this.#stream.abort()
      this.broken('sent what cannot be read')
      return
    }
    if (tap.ended) {
      const content = this.#mayGoOn() ? this.#writer.pausedContent() : null
      if (content === null || !this.#rounds.goOn(this.#stream, content)) this.#complete()
      return
    }
    this.#growth?.check()
    if (this.#client.isGone) this.#absence.check()
  }

  end(): void {
    this.#hasUpstreamEnded = true
    if (this.#isClosing) this.#finishIfReady()
    else this.broken('ended the stream early')
  }

  broken(reason: string): void {
    this.#hasUpstreamEnded = true
    if (this.#isClosing) {
      this.#finishIfReady()
      return
    }
    const error = this.#stream.tap.errorEvent
    const broke = this.#attempt.failed(error, reason)
    const first = this.#elsewhere()
    if (first !== null) this.#giveUp({ first, broke })
    else if (error !== null) this.#endAsUpstream(error.type)
    else this.#breakOff(brokenOff(this.#exchange, reason))
  }

  cut(): void {
    if (this.#isClosing) return
    this.#stop('gateway stopped')
    this.#breakOff(new GatewayError('draining', { retryAfterMs: 3_000 }))
  }

  /** Called every few seconds: progress for recovery, and the limits in time. */
  tick(nowMs: number): void {
    if (this.#isClosing) return
    if (this.#brake.heldForMs('full', nowMs) > STALLED_MS) {
      this.#client.drop()
      return
    }
    if (this.#absence.check()) return
    if (nowMs - this.#startedMs > this.#gateway.policy.longestStreamMs) {
      this.#stop('stream ran too long')
      this.#breakOff(brokenOff(this.#exchange, 'ran longer than this server allows'))
      return
    }
    this.#writer.tick(nowMs)
    this.#growth?.check()
    this.#attempt.noteProgress()
  }

  /** Where it can be tried once more; null as soon as its client has left, whoever has taken that place. */
  #elsewhere(): Slot | null {
    if (this.#takeElsewhere === null || this.#exchange.clientGone) return null
    return this.#growth === null || this.#growth.isQuiet ? this.#takeElsewhere() : null
  }

  /** Upstream's bill for it is ours; the hold stays open, for the other try. */
  #giveUp(another: AnotherTry): void {
    this.#close()
    this.#isFinished = true
    noteLost(this.#gateway, this.#exchange, this.#stream.tap)
    this.#attempt.noteLost()
    this.#stream.abort()
    this.#gateway.running.delete(this)
    this.#client.letGo()
    this.#done(another)
  }

  #clientOf({ gateway, exchange, forwarded, client }: RelayContext): ClientStream {
    // What no policy would finish need not be kept for anybody.
    const isKept = policyOf(gateway, exchange).kind !== 'cancel'
    return new ClientStream({
      client,
      head: headOf(exchange, forwarded),
      recording: isKept ? gateway.recordings.begin() : null,
      events: {
        left: () => this.#left(),
        full: () => this.#brake.hold('full', this.#nowMs()),
        drained: () => this.#brake.release('full'),
      },
    })
  }

  #growthOf(exchange: Exchange): HoldGrowth | null {
    if (exchange.meter === null) return null
    return new HoldGrowth({
      gateway: this.#gateway,
      exchange,
      meter: exchange.meter,
      tap: this.#stream.tap,
      paid: {
        pause: () => this.#brake.hold('unpaid', this.#nowMs()),
        resume: () => this.#brake.release('unpaid'),
        ranOut: (noRoom) => this.#ranOut(noRoom),
      },
    })
  }

  #left(): void {
    this.#absence.begin(this.#client.isRecorded ? (client) => this.adopt(client) : null)
    if (this.#isClosing) return
    this.#absence.goOn()
    if (!this.#isClosing) this.#brake.release('full')
  }

  #produced() {
    const nowMs = this.#nowMs()
    const { tap } = this.#stream
    const { omittedThinking, seenOutputTokens } = tap.outputSoFar(nowMs)
    const { tokens } = cutStreamUsage(this.#gateway, this.#exchange, tap, nowMs)
    const isUncounted = omittedThinking && seenOutputTokens === 0
    return { nowMs, outputTokens: tokens.output, isUncounted }
  }

  /** There is no money for more: the client gets what it paid for, and the reason. */
  #ranOut(noRoom: NoRoom): void {
    if (this.#isClosing) return
    this.#stop('no money for more')
    const errorCode = noRoom.kind === 'key_limit' ? 'key_spend_limit' : noRoom.kind
    const { status: httpStatus } = ERRORS[errorCode]
    // It was made for its sake, so it is billed also where none of it can be delivered.
    const ending = { errorCode, httpStatus, isLost: false }
    this.#interrupt(ending, ({ costMicro }, { tokens }) => {
      const made = { costMicro, outputTokens: tokens.output }
      return cannotGoOn(this.#gateway, this.#exchange, made, noRoom)
    })
  }

  /** The next round of a paused answer flows on as this one did. */
  #continued(end: AttemptEnd): void {
    if (this.#isClosing) {
      if (end.kind === 'stream') end.stream.abort()
    } else if (end.kind === 'stream') {
      this.#stream = end.stream
      this.#brake.moveTo(end.stream)
      end.stream.attach(this)
    } else this.broken('did not go on after a pause')
  }

  /** Whether more of a paused answer is wanted, and paid for. */
  #mayGoOn(): boolean {
    const isWanted = !this.#client.isGone || !isStreamed(this.#exchange)
    return !this.#isClosing && isWanted && this.#growth?.isRefused !== true
  }

  /** Upstream is told that nobody wants more. */
  #stop(reason: string): void {
    this.#attempt.ended('abandoned', reason)
    this.#rounds.abort()
    this.#stream.abort()
  }

  /** The answer is whole: settle, then let its end go. */
  #complete(): void {
    if (this.#isClosing) return
    this.#close()
    const { tap } = this.#stream
    this.#isWhole = tap.errorEvent === null
    if (this.#isWhole) this.#attempt.ended('ok', '')
    else this.#attempt.failed(tap.errorEvent, '')
    const startedMs = this.#brake.wasHeld ? null : this.#startedMs
    settleEnded(this.#gateway, this.#exchange, tap, startedMs).then(
      (closed) => this.#release(closed),
      () => this.#refuseEnd(),
    )
  }

  /** Upstream has said why it stopped: an unstreamed answer's client is told that, in its own words. */
  #endAsUpstream(type: string): void {
    const { failure } = this.#writer
    const errorCode = failure?.error.code ?? type
    const httpStatus = failure?.status ?? ERRORS.upstream_error.status
    this.#interrupt({ errorCode, httpStatus, isLost: true }, null)
  }

  #breakOff(error: GatewayError): void {
    const { status: httpStatus } = ERRORS[error.code]
    this.#interrupt({ errorCode: error.code, httpStatus, isLost: true }, () => error)
  }

  /** `ending` is that of an answer of which nothing has gone out; a stream has begun, and is billed. */
  #interrupt(ending: CutEnding, lastWords: LastWords): void {
    if (this.#isClosing) return
    this.#close()
    this.#hasUpstreamEnded = true
    const { tap } = this.#stream
    const usage = cutStreamUsage(this.#gateway, this.#exchange, tap, this.#nowMs())
    this.#cutUsage = usage
    const so = isStreamed(this.#exchange) ? { ...ending, httpStatus: 200, isLost: false } : ending
    settleCut(this.#gateway, this.#exchange, { tap, usage }, so).then(
      (closed) => {
        const billed = believed(this.#exchange, usage)
        this.#endWith(lastWords === null ? null : lastWords(closed, billed), closed)
      },
      () => this.#refuseEnd(),
    )
  }

  #close(): void {
    this.#isClosing = true
    this.#growth?.close()
    this.#absence.close()
  }

  /** The settlement is durable: what was held may go. */
  #release(closed: Closed): void {
    this.#writer.release(closed)
    this.#settled = closed
    if (this.#hasUpstreamEnded) this.#finishIfReady()
    else setTimeout(() => this.#finish(), LINGER_MS).unref()
  }

  #finishIfReady(): void {
    if (this.#settled !== null && this.#hasUpstreamEnded) this.#finish()
  }

  #endWith(error: GatewayError | null, closed: Closed | null): void {
    this.#writer.endWith(error, closed)
    const errorCode = error?.code ?? this.#stream.tap.errorEvent?.type ?? null
    this.#absence.joined({ status: 'interrupted', errorCode })
    this.#finish()
  }

  #refuseEnd(): void {
    this.#isWhole = false
    this.#stream.abort()
    this.#endWith(new GatewayError('store_unavailable', { retryAfterMs: 5_000 }), null)
  }

  #finish(): void {
    if (this.#isFinished) return
    this.#isFinished = true
    if (!this.#hasUpstreamEnded) this.#stream.abort()
    this.#gateway.running.delete(this)
    const body = this.#client.finish()
    this.#absence.joined({ status: 'complete', errorCode: null })
    const { status, headers, accountId } = this.#client.head
    const balanceMicro = this.#settled?.balanceMicro ?? null
    const isKept = body !== null && this.#isWhole && status === 200
    this.#absence.leave(isKept ? { status, headers, accountId, body, balanceMicro } : null)
    this.#done(null)
  }

  #nowMs(): number {
    return this.#gateway.clock.monotonicMs()
  }
}
