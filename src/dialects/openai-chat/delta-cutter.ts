const QUOTE = 0x22
const BACKSLASH = 0x5c

/**
 * Finds the JSON string of a delta in the bytes of its event without parsing it. Nearly all events of a
 * stream are deltas that differ from the one before only in that string; it is copied as it stands.
 */
export class DeltaCutter {
  /** `[start, end)` of the string's inside, after `cut` answered true. */
  start = 0
  end = 0
  #head: Buffer | null = null
  #tail: Buffer = Buffer.alloc(0)

  /** Forgets the shape; the next events are parsed. */
  forget(): void {
    this.#head = null
  }

  /** Learns the shape of `buffer[start, end)`: the event of a delta whose string is the member `name`. */
  learn(
    event: { readonly buffer: Buffer; readonly start: number; readonly end: number },
    name: string,
  ): void {
    this.#head = null
    const { buffer, start, end } = event
    const open = `"${name}":"`
    const at = buffer.indexOf(open, start)
    if (at === -1 || at >= end) return
    const from = at + open.length
    const quote = closingQuote(buffer, from, end)
    if (quote === -1) return
    // A member behind the string would be lost: then every event is parsed.
    const tail = buffer.subarray(quote, end)
    if (!/^"\s*\}\s*\}\s*$/.test(tail.toString('latin1'))) return
    this.#head = Buffer.from(buffer.subarray(start, from))
    this.#tail = Buffer.from(tail)
  }

  /** Whether the event has the shape that was learnt last. */
  cut(event: Buffer, start: number, end: number): boolean {
    const head = this.#head
    if (head === null) return false
    const from = start + head.length
    const to = end - this.#tail.length
    if (from > to || !holds(event, start, head) || !holds(event, to, this.#tail)) return false
    if (closingQuote(event, from, end) !== to) return false
    this.start = from
    this.end = to
    return true
  }
}

/** Where a JSON string ends whose inside begins at `from`; -1 when not before `end`. */
function closingQuote(bytes: Buffer, from: number, end: number): number {
  for (let p = from; p < end; p++) {
    const c = bytes[p]
    if (c === QUOTE) return p
    if (c === BACKSLASH) p += 1
  }
  return -1
}

// From the end: events differ there first (the index, the type), and are alike at their beginning.
function holds(bytes: Buffer, at: number, expected: Buffer): boolean {
  for (let i = expected.length - 1; i >= 0; i--) if (bytes[at + i] !== expected[i]) return false
  return true
}
