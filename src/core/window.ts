/** Sums of 60,000 / limit carry rounding of far less than this, which must not refuse anybody. */
const ROUNDING_MS = 1e-6

/**
 * Exact requests per minute: the generic cell rate algorithm with a burst of `limit`. Over any minute at
 * most `limit` plus what refills in it pass; a full rest gives the whole burst back.
 */
export class RateWindow {
  /**
   * How long the bucket needed at `#atMs` to be full again. Kept as a duration: added to a clock that has
   * run for months, fractions of a millisecond would be lost, and with them the last request of a burst.
   */
  #usedMs = 0
  /** On the caller's monotonic clock. */
  #atMs = 0
  /** What `#usedMs` was counted by. */
  #limit = 0

  /** Milliseconds until one more request may pass; 0 is now. Takes nothing. */
  waitMs(limit: number, nowMs: number): number {
    this.#countBy(limit, nowMs)
    const wait = this.resetMs(nowMs) + 60_000 / limit - 60_000
    return wait <= ROUNDING_MS ? 0 : wait
  }

  /** Takes one request; call only when `waitMs` is 0. */
  take(limit: number, nowMs: number): void {
    this.#countBy(limit, nowMs)
    this.#usedMs = this.resetMs(nowMs) + 60_000 / limit
    this.#atMs = nowMs
  }

  /** Gives one request back (it never left). */
  giveBack(limit: number): void {
    this.#usedMs -= 60_000 / limit
  }

  /** How many more requests may pass now. */
  remaining(limit: number, nowMs: number): number {
    this.#countBy(limit, nowMs)
    const freeMs = 60_000 - this.resetMs(nowMs) + ROUNDING_MS
    return Math.max(0, Math.floor((freeMs * limit) / 60_000))
  }

  /** Milliseconds until the whole burst is there again. */
  resetMs(nowMs: number): number {
    return Math.max(0, this.#usedMs - (nowMs - this.#atMs))
  }
  /** A changed limit is in force at once: what was used stays used, and counts by the new one. */
  #countBy(limit: number, nowMs: number): void {
    if (limit === this.#limit) return
    this.#usedMs = Math.min((this.resetMs(nowMs) * this.#limit) / limit, 60_000)
    this.#atMs = nowMs
    this.#limit = limit
  }
}
