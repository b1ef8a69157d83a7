const SLAB_BYTES = 8 * 1024

/**
 * Collects bytes for the client. What `take` answers is a view that stays as it is: later bytes go behind it
 * in the same slab, so that a delta costs no allocation of its own.
 */
export class ByteSink {
  #slab = Buffer.alloc(0)
  #from = 0
  #end = 0

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
    return taken
  }

  #reserve(more: number): void {
    if (this.#end + more <= this.#slab.length) return
    const kept = this.#slab.subarray(this.#from, this.#end)
    this.#slab = Buffer.allocUnsafe(Math.max(SLAB_BYTES, (kept.length + more) * 2))
    this.#end = kept.copy(this.#slab)
    this.#from = 0
  }
}
