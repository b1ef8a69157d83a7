import type { Micro } from '../core/money.ts'

const SECOND_MS = 1_000
const SECONDS = 60
/** How much one more receipt moves the mean cost of a request. */
const NEWS = 0.1
/** Who has to wait waits at least so long. */
const LEAST_WAIT_MS = 1_000

/** One running request's part of what its key burns. Times are on the caller's monotonic clock. */
export interface BurnShare {
  /** It has cost so much in all until now. */
  spent(costMicro: Micro, nowMs: number): void
  /** It is over, and cost that. */
  end(costMicro: Micro, nowMs: number): void
}

/**
 * What a key spends in any 60 seconds: costs in the seconds in which they arose, and for running requests
 * what they will probably cost yet. It is a fuse against run-away loops, not a limit to the cent: the hold
 * and the spend limit are exact.
 */
export class BurnWindow {
  /** What was spent in each second of the last minute, by second modulo 60. */
  readonly #spentMicro = new Float64Array(SECONDS)
  #newestSecond = 0
  /** Expected of running requests, and not spent yet. */
  #expectedMicro = 0
  /** Of ended requests; null before the first. */
  #meanMicro: number | null = null
  #restUntilMs = Number.NEGATIVE_INFINITY

  /** A request begins that can cost so much; expected is what this key's requests usually cost. */
  begin(boundMicro: Micro, nowMs: number): BurnShare {
    const expectedMicro = Math.min(boundMicro, Math.round(this.#meanMicro ?? boundMicro))
    let knownMicro = 0
    let sinceMs = nowMs
    let isOver = false
    const leftMicro = () => Math.max(0, expectedMicro - knownMicro)
    const learn = (costMicro: Micro, atMs: number, isEnd: boolean) => {
      if (isOver) return
      isOver = isEnd
      this.#expectedMicro -= leftMicro()
      if (costMicro > knownMicro) this.#spend(costMicro - knownMicro, sinceMs, atMs)
      knownMicro = Math.max(knownMicro, costMicro)
      sinceMs = atMs
      if (!isEnd) this.#expectedMicro += leftMicro()
    }
    this.#expectedMicro += expectedMicro
    return {
      spent: (costMicro, atMs) => learn(costMicro, atMs, false),
      end: (costMicro, atMs) => {
        if (isOver) return
        learn(costMicro, atMs, true)
        const mean = this.#meanMicro ?? costMicro
        this.#meanMicro = mean + (costMicro - mean) * NEWS
      },
    }
  }

  /** What counts as spent in the minute before `nowMs`. */
  totalMicro(nowMs: number): Micro {
    this.#forget(nowMs)
    let sum = this.#expectedMicro
    for (const micro of this.#spentMicro) sum += micro
    return Math.round(sum)
  }

  /**
   * Whether one more request may begin. A key that has spent `limitMicro` in a minute rests until the
   * seconds that did it are a minute ago; `isNew` when this rest begins now.
   */
  check(
    limitMicro: Micro,
    nowMs: number,
  ): { readonly waitMs: number; readonly isNew: boolean } | null {
    const left = this.#restUntilMs - nowMs
    if (left > 0) return { waitMs: Math.max(LEAST_WAIT_MS, left), isNew: false }
    const totalMicro = this.totalMicro(nowMs)
    if (totalMicro < limitMicro) return null
    const waitMs = Math.max(LEAST_WAIT_MS, this.#msUntilBelow(limitMicro, totalMicro, nowMs))
    this.#restUntilMs = nowMs + waitMs
    return { waitMs, isNew: true }
  }

  /** How long until enough seconds are older than a minute; the least wait where running requests alone are too much. */
  #msUntilBelow(limitMicro: Micro, totalMicro: Micro, nowMs: number): number {
    let left = totalMicro
    for (let age = SECONDS - 1; age >= 0; age--) {
      const second = this.#newestSecond - age
      left -= this.#spentMicro[slotOf(second)]
      if (left < limitMicro) return (second + SECONDS) * SECOND_MS - nowMs
    }
    return LEAST_WAIT_MS
  }

  /** Spreads a cost over the seconds in which it arose; what lies before the last minute is history. */
  #spend(micro: number, fromMs: number, toMs: number): void {
    this.#forget(toMs)
    const last = Math.floor(toMs / SECOND_MS)
    const first = Math.min(last, Math.floor(fromMs / SECOND_MS))
    const each = Math.ceil(micro / (last - first + 1))
    for (let second = Math.max(first, last - SECONDS + 1); second <= last; second++)
      this.#spentMicro[slotOf(second)] += each
  }

  #forget(nowMs: number): void {
    const now = Math.floor(nowMs / SECOND_MS)
    const passed = Math.min(SECONDS, now - this.#newestSecond)
    for (let i = 0; i < passed; i++) this.#spentMicro[slotOf(now - i)] = 0
    if (now > this.#newestSecond) this.#newestSecond = now
  }
}

function slotOf(second: number): number {
  return ((second % SECONDS) + SECONDS) % SECONDS
}
