import type { HoldMeter } from '../billing/hold-meter.ts'
import type { HoldStep } from '../core/model.ts'
import type { Micro } from '../core/money.ts'
import type { StreamTap } from '../providers/anthropic/stream-tap.ts'
import { type ResizeResult, StoreError } from '../store/store.ts'
import type { Exchange } from './exchange.ts'
import type { Gateway } from './gateway.ts'
import { type NoRoom, roomOf } from './no-money.ts'
import { producedSoFar } from './stream-usage.ts'

/** How long an answer waits for the money of its next step. */
const PAUSE_MS = 5_000
/** After a store that could not answer, the next try waits so long. */
const RETRY_MS = 1_000
/** The output is measured again after so many bytes of stream, or so long. */
const CHECK_BYTES = 1_024
const CHECK_MS = 250

/** The whole hold that the meter wants. */
interface Asked {
  readonly targetMicro: Micro
  readonly kind: 'corrected' | 'extended'
  /** It is what a refusal left: nothing more will be asked for. */
  readonly isRest: boolean
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
  /** Why the hold may not grow; what it covers is still delivered. */
  #noRoom: NoRoom | null = null
  /** Nothing of the hold is left: a refusal of what is asked now is the last word. */
  #isLastAsk = false
  #isPaused = false
  /** The pause for what is asked has lasted long enough. */
  #isPatienceOver = false
  #pauseTimer: NodeJS.Timeout | null = null
  #retryTimer: NodeJS.Timeout | null = null
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

  /** There is no money for more than what is held. */
  get isRefused(): boolean {
    return this.#noRoom !== null
  }

  /** Nothing is asked for, and nothing was refused: the hold is as the meter knows it. */
  get isQuiet(): boolean {
    return this.#asked === null && this.#noRoom === null
  }

  /** `message_start` is here. */
  started(): void {
    const targetMicro = this.#meter.started(this.#tap.usage())
    if (targetMicro === null) {
      this.#freeThinPlace()
      return
    }
    if (targetMicro > this.#meter.heldMicro) {
      this.#ask({ targetMicro, kind: 'corrected', isRest: false })
      return
    }
    // Giving back is never refused, and lands before anything that is asked later, the settlement too.
    const { requestId } = this.#exchange.call
    const deltaMicro = targetMicro - this.#meter.heldMicro
    this.#gateway.store
      .resizeHold(requestId, deltaMicro)
      .catch((error: unknown) => this.#complain(error))
    this.#granted(targetMicro, 'corrected')
  }

  /** More of the answer is here, or time has passed in which it may have been thought on. */
  check(): void {
    if (this.#isOver) return
    const { bytesSeen } = this.#tap
    const nowMs = this.#gateway.clock.monotonicMs()
    if (bytesSeen - this.#checkedBytes < CHECK_BYTES && nowMs - this.#checkedMs < CHECK_MS) return
    this.#checkedBytes = bytesSeen
    this.#checkedMs = nowMs
    // When no more can be had, all that is reserved is delivered: then it counts what the bill will count.
    const end = this.#noRoom === null ? 'cautious' : 'middle'
    const so = producedSoFar(this.#gateway, this.#exchange, this.#tap, nowMs, end)
    const isUsedUp = this.#meter.isExhausted(so)
    if (this.#asked === null && (this.#noRoom === null || isUsedUp)) {
      this.#isLastAsk = isUsedUp
      const targetMicro = this.#meter.produced(so)
      if (targetMicro !== null) this.#ask({ targetMicro, kind: 'extended', isRest: false })
    }
    // What a larger hold paid for already needs no asking.
    if (!isUsedUp || !this.#meter.isExhausted(so)) return
    if (this.#asked !== null) this.#pause()
    else if (this.#noRoom !== null) this.#paid.ranOut(this.#noRoom)
  }

  /** The stream is over: whatever comes back changes nothing any more. */
  close(): void {
    this.#isOver = true
    if (this.#pauseTimer !== null) clearTimeout(this.#pauseTimer)
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer)
  }

  #ask(asked: Asked): void {
    this.#asked = asked
    this.#isPatienceOver = false
    this.#send(asked)
  }

  #send(asked: Asked): void {
    const { requestId } = this.#exchange.call
    const deltaMicro = asked.targetMicro - this.#meter.heldMicro
    this.#gateway.store.resizeHold(requestId, deltaMicro).then(
      (result) => this.#answered(result, asked),
      (error: unknown) => this.#failed(error, asked),
    )
  }

  #answered(result: ResizeResult, asked: Asked): void {
    this.#asked = null
    if (result.kind === 'resized') {
      this.#granted(result.amountMicro, asked.kind)
      if (!asked.isRest) this.#noRoom = null
    } else if (result.kind !== 'closed') {
      this.#note('refused', asked.targetMicro)
      this.#refused(result)
    }
    if (this.#asked === null) this.#resume()
  }

  #granted(amountMicro: Micro, kind: Asked['kind']): void {
    this.#meter.granted()
    this.#freeThinPlace()
    // What is held counts against its account's cap.
    this.#gateway.caps.resize(this.#exchange.call.requestId, this.#meter.heldListMicro)
    this.#exchange.heldMicro = amountMicro
    this.#note(kind, amountMicro)
  }

  /** A hold that pays for what the prompt really costs is as good as any: the wallet may have another thin one. */
  #freeThinPlace(): void {
    if (!this.#meter.isThin) this.#gateway.thinHolds.release(this.#exchange.call)
  }

  #refused(noRoom: NoRoom): void {
    const restMicro = this.#meter.refused(roomOf(noRoom))
    if (this.#isOver) return
    this.#noRoom = noRoom
    if (restMicro !== null) this.#ask({ targetMicro: restMicro, kind: 'extended', isRest: true })
    else if (this.#isLastAsk) this.#paid.ranOut(noRoom)
  }

  /** The store could not say: the stream goes on as far as it is paid for, and it is asked again. */
  #failed(error: unknown, asked: Asked): void {
    this.#complain(error)
    if (this.#isOver) return
    this.#retryTimer = setTimeout(() => this.#send(asked), RETRY_MS)
    this.#retryTimer.unref()
  }

  #complain(error: unknown): void {
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
