/**
 * Exact requests per minute: the generic cell rate algorithm with a burst of `limit`. Over any minute at
 * most `limit` plus what refills in it pass; a full rest gives the whole burst back. Holds one number.
 */
export class RateWindow {
  /** Theoretical arrival time: when the bucket would be full again, on the caller's monotonic clock. */
  #fullAtMs = 0

  /** Milliseconds until one more request may pass; 0 is now. Takes nothing. */
  waitMs(limit: number, nowMs: number): number {
    const stepMs = 60_000 / limit
    const wait = Math.max(this.#fullAtMs, nowMs) + stepMs - nowMs - 60_000
    // Sums of 60,000 / limit carry rounding of far less than a microsecond, which must not refuse anybody.
    return wait <= 1e-6 ? 0 : wait
  }

  /** Takes one request; call only when `waitMs` is 0. */
  take(limit: number, nowMs: number): void {
    this.#fullAtMs = Math.max(this.#fullAtMs, nowMs) + 60_000 / limit
  }

  /** Gives one request back (it never left). */
  giveBack(limit: number): void {
    this.#fullAtMs -= 60_000 / limit
  }

  /** How many more requests may pass now. */
  remaining(limit: number, nowMs: number): number {
    const usedMs = Math.max(0, this.#fullAtMs - nowMs)
    return Math.max(0, Math.floor(limit - (usedMs * limit) / 60_000 + 1e-9))
  }

  /** Milliseconds until the whole burst is there again. */
  resetMs(nowMs: number): number {
    return Math.max(0, this.#fullAtMs - nowMs)
  }
}
