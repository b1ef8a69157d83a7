// Exact percentiles: every measured value is kept; a window has some 100,000 at most.

/** A growing list of numbers with percentiles. */
export class Samples {
  #values = new Float64Array(1024)
  #count = 0

  get count(): number {
    return this.#count
  }

  add(value: number): void {
    if (this.#count === this.#values.length) {
      const grown = new Float64Array(this.#values.length * 2)
      grown.set(this.#values)
      this.#values = grown
    }
    this.#values[this.#count++] = value
  }

  /** Nearest-rank percentile for a share from 0 to 1; NaN when nothing was added. */
  percentile(share: number): number {
    if (this.#count === 0) return Number.NaN
    const sorted = this.#values.slice(0, this.#count).sort()
    const rank = Math.ceil(share * this.#count)
    return sorted[Math.min(this.#count, Math.max(1, rank)) - 1] ?? Number.NaN
  }
}

/** Middle value of a list (mean of the two middle ones); NaN when empty. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const half = sorted.length >> 1
  const upper = sorted[half] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? Number.NaN) + upper) / 2
}
