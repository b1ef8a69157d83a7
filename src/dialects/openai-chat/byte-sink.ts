const SLAB_BYTES = 8 * 1024
/** Larger slabs only where a single answer needs one: what a client has taken is free again with its slab. */
const MOST_BYTES = 256 * 1024

/**
 * Collects bytes for the client. What `take` answers is a view that stays as it is: later bytes go behind it
 * in the same slab, so that a delta costs no allocation of its own.
 */
export class ByteSink {
  #slab = Buffer.alloc(0)
  #from = 0
  #end = 0
  /** About how much one `take` answers: a slab has room for some of these. */
  #usual = 0

  /** Adds text. */
  text(text: string): void {
    // UTF-8 has at most three bytes per UTF-16 code unit.
    this.#reserve(text.length * 3)
    this.#end += this.#slab.write(text, this.#end)
  }

  /** Adds `bytes[start, end)`. */
  bytes(bytes: Buffer, start = 0, end = bytes.length): void {
    this.#reserve(end - start)
    this.#end += bytes.copy(this.#slab, this.#end, start, end)
  }

  /** Everything added since the last call. */
  take(): Buffer {
    const taken = this.#slab.subarray(this.#from, this.#end)
    this.#from = this.#end
    this.#usual = Math.max(taken.length, this.#usual >> 1)
    return taken
  }

  #reserve(more: number): void {
    if (this.#end + more <= this.#slab.length) return
    const kept = this.#slab.subarray(this.#from, this.#end)
    const bytes = Math.max(SLAB_BYTES, this.#usual * 2, (kept.length + more) * 2)
    this.#slab = Buffer.allocUnsafe(Math.min(bytes, Math.max(MOST_BYTES, kept.length + more)))
    this.#end = kept.copy(this.#slab)
    this.#from = 0
  }
}
