const SLICE_MS = 1_000
const SLICES = 10

/** How many attempts beyond the first a process makes: a share of its requests, and some per second anyway. */
export interface RetryPolicy {
  /** Percent of the requests of the last ten seconds. */
  readonly budgetPercent: number
}

/** Without it, a quiet process could not retry at all. */
const FREE_PER_SECOND = 3

/**
 * The retry budget of the whole process, over the last ten seconds, so that trouble upstream is not made
 * worse by attempts that hardly ever help. Times are monotonic milliseconds.
 */
export class RetryBudget {
  readonly #share: number
  readonly #requests = new Int32Array(SLICES)
  readonly #retries = new Int32Array(SLICES)
  #slice = Number.NEGATIVE_INFINITY

  constructor({ budgetPercent }: RetryPolicy) {
    this.#share = budgetPercent / 100
  }

  /** A request of a client makes its first attempt. */
  noteRequest(nowMs: number): void {
    this.#requests[this.#at(nowMs)]++
  }

  /** Takes one retry from the budget; false when there is none left. */
  take(nowMs: number): boolean {
    const at = this.#at(nowMs)
    const most = Math.floor(sum(this.#requests) * this.#share) + FREE_PER_SECOND * SLICES
    if (sum(this.#retries) >= most) return false
    this.#retries[at]++
    return true
  }

  /** The present slice, after those that have passed were emptied. */
  #at(nowMs: number): number {
    const slice = Math.floor(nowMs / SLICE_MS)
    const passed = Math.min(SLICES, Math.max(0, slice - this.#slice))
    for (let k = 0; k < passed; k++) {
      this.#requests[(slice - k) % SLICES] = 0
      this.#retries[(slice - k) % SLICES] = 0
    }
    this.#slice = Math.max(slice, this.#slice)
    return this.#slice % SLICES
  }
}

function sum(counts: Int32Array): number {
  let total = 0
  for (const count of counts) total += count
  return total
}
