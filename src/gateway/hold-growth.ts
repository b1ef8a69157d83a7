import type { HoldMeter } from '../billing/hold-meter.ts'
import type { HoldStep } from '../core/model.ts'
import type { Micro } from '../core/money.ts'
import type { StreamTap } from '../providers/anthropic/stream-tap.ts'
import { type ResizeResult, StoreError } from '../store/store.ts'
import type { Exchange } from './exchange.ts'
import type { Gateway } from './gateway.ts'
import { type NoRoom, roomOf } from './no-money.ts'
import { producedSoFar } from './stream-usage.ts'

/** How long an answer waits for the money of its next step (design.md 4). */
const PAUSE_MS = 5_000
/** After a store that could not answer, the next try waits so long. */
const RETRY_MS = 1_000
/** The output is measured again after so many bytes of stream, or so long. */
const CHECK_BYTES = 2_048
const CHECK_MS = 250

/** The whole hold that the meter wants. */
interface Asked {
  readonly targetMicro: Micro
  readonly kind: 'corrected' | 'extended'
}

/** What the growth of a hold does to the stream that it pays for. */
export interface Paid {
  /** Nothing more may pass until `resume`. */
  pause(): void
  resume(): void
  /** There is no money for more. */
  ranOut(refusal: NoRoom): void
}

/**
 * Keeps the hold of a running stream as large as the meter wants it: exact once `message_start` is here,
 * then a step ahead of the output. At the end of what is paid for the stream waits for its answer.
 */
export class HoldGrowth {
  readonly #gateway: Gateway
  readonly #exchange: Exchange
  readonly #meter: HoldMeter
  readonly #paid: Paid
  readonly #tap: StreamTap
  #isOver = false
  /** What the meter asked for and has no answer to yet. */
  #asked: Asked | null = null
  /** The store is asked right now. */
  #isAsking = false
  /** Why the hold may not grow; what it covers is still delivered. */
  #noRoom: NoRoom | null = null
  /** Nothing of the hold is left: a refusal of what is asked now is the last word. */
  #isLastAsk = false
  /** Rounds of server tools that the hold pays for. */
  #coveredRounds = 1
  #askedRounds = 1
  #isPaused = false
  /** The pause for what is asked has lasted long enough. */
  #isPatienceOver = false
  #pauseTimer: NodeJS.Timeout | null = null
  #nextAskMs = Number.NEGATIVE_INFINITY
  #checkedBytes = 0
  #checkedMs = Number.NEGATIVE_INFINITY

  constructor(parts: {
    gateway: Gateway
    exchange: Exchange
    meter: HoldMeter
    tap: StreamTap
    paid: Paid
  }) {
    this.#gateway = parts.gateway
    this.#exchange = parts.exchange
    this.#meter = parts.meter
    this.#paid = parts.paid
    this.#tap = parts.tap
  }

  /** `message_start` is here. */
  started(): void {
    this.#ask(this.#meter.started(this.#tap.usage()), 'corrected')
  }

  /** More of the answer is here, or time has passed in which it may have been thought on. */
  check(): void {
    if (this.#isOver) return
    const { bytesSeen } = this.#tap
    const nowMs = this.#gateway.clock.monotonicMs()
    if (bytesSeen - this.#checkedBytes < CHECK_BYTES && nowMs - this.#checkedMs < CHECK_MS) return
    this.#checkedBytes = bytesSeen
    this.#checkedMs = nowMs
    const so = producedSoFar(this.#gateway, this.#exchange, this.#tap, nowMs)
    const isUsedUp = this.#meter.isExhausted(so) || so.rounds > this.#coveredRounds
    if (this.#asked === null && (this.#noRoom === null || isUsedUp)) {
      this.#isLastAsk = isUsedUp
      this.#askedRounds = Math.max(this.#coveredRounds, so.rounds + 1)
      this.#ask(this.#meter.produced(so), 'extended')
    } else if (this.#asked !== null && !this.#isAsking && nowMs >= this.#nextAskMs) {
      this.#send(this.#asked)
    }
    if (!isUsedUp) return
    if (this.#asked !== null) this.#pause()
    else if (this.#noRoom !== null) this.#paid.ranOut(this.#noRoom)
  }

  /** The stream is over: whatever comes back changes nothing any more. */
  close(): void {
    this.#isOver = true
    if (this.#pauseTimer !== null) clearTimeout(this.#pauseTimer)
  }

  #ask(targetMicro: Micro | null, kind: 'corrected' | 'extended'): void {
    if (targetMicro === null) return
    this.#asked = { targetMicro, kind }
    this.#isPatienceOver = false
    this.#send(this.#asked)
  }

  #send(asked: Asked): void {
    this.#isAsking = true
    const { requestId } = this.#exchange.call
    const deltaMicro = asked.targetMicro - this.#meter.heldMicro
    this.#gateway.store.resizeHold(requestId, deltaMicro).then(
      (result) => this.#answered(result, asked),
      (error: unknown) => this.#failed(error),
    )
  }

  #answered(result: ResizeResult, asked: Asked): void {
    this.#isAsking = false
    this.#asked = null
    if (result.kind === 'resized') {
      this.#meter.granted()
      this.#coveredRounds = this.#askedRounds
      this.#noRoom = null
      this.#exchange.heldMicro = result.amountMicro
      this.#note(asked.kind, result.amountMicro)
    } else if (result.kind !== 'closed') {
      this.#note('refused', asked.targetMicro)
      this.#refused(result)
    }
    if (this.#asked === null) this.#resume()
  }

  #refused(noRoom: NoRoom): void {
    const lessMicro = this.#meter.refused(roomOf(noRoom))
    if (this.#isOver) return
    if (lessMicro !== null) {
      this.#ask(lessMicro, 'extended')
      return
    }
    this.#noRoom = noRoom
    if (this.#isLastAsk) this.#paid.ranOut(noRoom)
  }

  /** The store could not say: the stream goes on as far as it is paid for, and it is asked again. */
  #failed(error: unknown): void {
    this.#isAsking = false
    this.#nextAskMs = this.#gateway.clock.monotonicMs() + RETRY_MS
    const { requestId } = this.#exchange.call
    this.#gateway.log.warn({ requestId, err: error }, 'hold.resize_failed')
    if (!(error instanceof StoreError))
      this.#gateway.stopAdmission(error instanceof Error ? error : new Error(String(error)))
  }

  #pause(): void {
    if (this.#isPaused || this.#isPatienceOver) return
    this.#isPaused = true
    this.#paid.pause()
    // A store that is slow must not break what somebody can pay for: after a while it goes on unpaid.
    this.#pauseTimer = setTimeout(() => {
      this.#isPatienceOver = true
      this.#resume()
    }, PAUSE_MS)
    this.#pauseTimer.unref()
  }

  #resume(): void {
    if (this.#pauseTimer !== null) clearTimeout(this.#pauseTimer)
    this.#pauseTimer = null
    if (!this.#isPaused) return
    this.#isPaused = false
    if (!this.#isOver) this.#paid.resume()
  }

  #note(kind: HoldStep['kind'], amountMicro: Micro): void {
    const { call, holdSteps } = this.#exchange
    const afterMs = Math.round(this.#gateway.clock.monotonicMs() - call.arrivedMs)
    holdSteps.push({ kind, amountMicro, afterMs })
  }
}
