const ROUNDING = 1e-6

/** How many requests a limit per minute has left, counted apart from the code under test: a bucket that refills. */
export class MinuteCounter {
  readonly limit: number
  #left: number
  #atMs: number

  constructor(limit: number, nowMs: number) {
    this.limit = limit
    this.#left = limit
    this.#atMs = nowMs
  }

  left(nowMs: number): number {
    const refilled = (Math.max(0, nowMs - this.#atMs) / 60_000) * this.limit
    return Math.min(this.limit, this.#left + refilled)
  }

  /** Takes one where it fits; false takes nothing. */
  take(nowMs: number): boolean {
    const left = this.left(nowMs)
    if (left < 1 - ROUNDING) return false
    this.#left = left - 1
    this.#atMs = nowMs
    return true
  }
}
