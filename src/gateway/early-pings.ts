import type { Clock } from '../core/clock.ts'
import type { Call } from './exchange.ts'

/** What early pings need to know of a request. */
export interface EarlyPingParts {
  readonly call: Pick<Call, 'arrivedMs' | 'dialect' | 'response'>
  readonly clock: Clock
  readonly everyMs: number
  /** Of the stream, flat; asked when it leaves. */
  readonly head: () => string[]
}

/**
 * Pings for a streaming client whose answer has not begun, because what stands before it takes silence for the
 * end. The first one takes the head along; whatever happens then is told inside the stream, while accounts are
 * sought and tried as ever.
 */
export class EarlyPings {
  readonly #parts: EarlyPingParts
  #timer: NodeJS.Timeout | null = null
  #hasBegun = false
  #isOver = false

  constructor(parts: EarlyPingParts) {
    this.#parts = parts
  }

  /** They may begin, as soon as the client has waited so long since its request came. */
  allow(): void {
    if (this.#isOver || this.#timer !== null) return
    const { call, clock, everyMs } = this.#parts
    this.#ping(Math.max(0, call.arrivedMs + everyMs - clock.monotonicMs()))
  }

  /** They may not begin: what comes next may still have a status of its own. Those that have begun go on. */
  forbid(): void {
    if (!this.#hasBegun) this.#stop()
  }

  /** The answer begins, or there will be none. */
  end(): void {
    this.#isOver = true
    this.#stop()
  }

  #ping(afterMs: number): void {
    this.#timer = setTimeout(() => this.#send(), afterMs)
    this.#timer.unref()
  }

  #send(): void {
    const { call, everyMs, head } = this.#parts
    const { dialect, response } = call
    if (response.destroyed) {
      this.end()
      return
    }
    if (!this.#hasBegun) response.writeHead(200, head())
    this.#hasBegun = true
    // Who takes nothing needs no more of them.
    if (!response.writableNeedDrain) response.write(dialect.ping)
    this.#ping(everyMs)
  }

  #stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }
}
