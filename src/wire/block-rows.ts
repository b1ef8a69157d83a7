import type { BlockTable } from './body-facts.ts'
import { BLOCK_FIELDS, BlockRole } from './body-facts.ts'

/** One row to be; see `BlockTable`. */
export interface BlockRow {
  readonly start: number
  readonly end: number
  /** Section, flags and type; the role comes later. */
  readonly bits: number
  readonly index: number
  readonly cacheStart: number
  readonly cacheEnd: number
}

/** Shared by all collectors, for scans do not nest; grows to the largest body. */
let scratch = new Int32Array(256 * BLOCK_FIELDS)

/** Collects the rows of a `BlockTable`. */
export class BlockRows {
  count = 0
  #data = scratch

  /** Adds a row. */
  add(row: BlockRow): void {
    const at = this.count * BLOCK_FIELDS
    if (at === this.#data.length) {
      const grown = new Int32Array(at * 2)
      grown.set(this.#data)
      this.#data = grown
      scratch = grown
    }
    this.#data[at] = row.start
    this.#data[at + 1] = row.end
    this.#data[at + 2] = row.bits
    this.#data[at + 3] = row.index
    this.#data[at + 4] = row.cacheStart
    this.#data[at + 5] = row.cacheEnd
    this.count += 1
  }

  /** Sets the role of the rows from `first` on: a message may name it after its content. */
  setRole(first: number, role: string | null): void {
    const bits =
      role === 'user'
        ? BlockRole.user
        : role === 'assistant'
          ? BlockRole.assistant
          : role === 'system'
            ? BlockRole.system
            : BlockRole.none
    for (let row = first; row < this.count; row++) {
      const at = row * BLOCK_FIELDS + 2
      this.#data[at] = (this.#data[at] as number) | (bits << 2)
    }
  }

  /** The table; the collector is not used after it. */
  table(): BlockTable {
    return { count: this.count, data: this.#data.slice(0, this.count * BLOCK_FIELDS) }
  }
}
