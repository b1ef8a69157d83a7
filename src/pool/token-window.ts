const REFILL_MS = 60_000

/**
 * Tokens per minute that an operator allows an account: a bucket of `limit` that refills continuously. A request
 * passes while anything is left and may overdraw it, for what it takes is known only when it is over; what is
 * overdrawn has to be refilled first. Times are monotonic milliseconds.
 */
export class TokenWindow {
  /** Taken and not yet refilled, at `#atMs`. */
  #used = 0
  #atMs = 0
  /** What `#used` was counted by. */
  #limit = 0

  /** Milliseconds until another request may pass; 0 is now. */
  waitMs(limit: number, nowMs: number): number {
    this.#countBy(limit, nowMs)
    const over = this.#usedAt(limit, nowMs) - limit
    return over < 0 ? 0 : Math.ceil(((over + 1) / limit) * REFILL_MS)
  }

  /** So many tokens were taken; fewer than none: they are given back. */
  take(tokens: number, limit: number, nowMs: number): void {
    this.#countBy(limit, nowMs)
    this.#used = Math.max(0, this.#usedAt(limit, nowMs) + tokens)
    this.#atMs = Math.max(this.#atMs, nowMs)
  }

  #usedAt(limit: number, nowMs: number): number {
    const refilled = (Math.max(0, nowMs - this.#atMs) / REFILL_MS) * limit
    return Math.max(0, this.#used - refilled)
  }

  /** A changed limit is in force at once: what a higher one allowed must not keep a lower one shut for hours. */
  #countBy(limit: number, nowMs: number): void {
    if (limit === this.#limit) return
    if (this.#limit > 0) this.#used = this.#usedAt(this.#limit, nowMs) * (limit / this.#limit)
    this.#atMs = Math.max(this.#atMs, nowMs)
    this.#limit = limit
  }
}
