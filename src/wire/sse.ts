/** Framing of server-sent events, right for any chunking. */

/** Events longer than this pass, marked `oversized`, without their content. */
export const MAX_EVENT_BYTES = 8 * 1024 * 1024

/** How much of an oversized event is kept: enough to tell which it is. */
const HEAD_BYTES = 1024

const LF = 0x0a
const CR = 0x0d
const NOTHING = Buffer.alloc(0)

/** An event's fields. `event` is '' where the stream did not name it (clients then read `message`). */
export interface SseEvent {
  readonly event: string
  /** The data lines joined by `\n`; null where there are none (clients then dispatch nothing). */
  readonly data: string | null
}

/**
 * Cuts a byte stream into events: `push(chunk)`, then `next()` until it answers false.
 * While it answers true, `buffer[start, end)` are the event's bytes, its blank line included,
 * and `offset` is where they begin in the stream. An unfinished event is carried to the next chunk.
 */
export class SseFramer {
  /** Holds the event: the chunk itself, or a copy where the event crossed chunks. */
  buffer: Buffer = NOTHING
  start = 0
  end = 0
  /** Offset in the stream of `start`. */
  offset = 0
  /** The event is longer than `MAX_EVENT_BYTES`: only its first bytes are kept. */
  oversized = false
  /** Bytes of the unfinished event. */
  carriedBytes = 0
  #chunk: Buffer = NOTHING
  #chunkOffset = 0
  /** Where the next event begins in the chunk. */
  #position = 0
  /** Beginnings of the unfinished event, from earlier chunks. */
  #carried: Buffer[] = []
  /** Lines may end in CR from here on: searching for LF LF is not enough. */
  #hasCr = false
  /** The state of the search for a blank line, carried over chunks. */
  #lineIsEmpty = true
  #afterCr = false

  /** Takes the next chunk; the one before must have been read to its end. */
  push(chunk: Buffer): void {
    this.#chunkOffset += this.#chunk.length
    this.#chunk = chunk
    this.#position = 0
    // JSON never holds a raw CR, so one search per chunk settles how lines end.
    if (!this.#hasCr && chunk.indexOf(CR) !== -1) this.#hasCr = true
  }

  /** Goes to the next event; false when the chunk has no further complete one. */
  next(): boolean {
    const chunk = this.#chunk
    if (this.carriedBytes === 0) this.#skipBlankLines()
    const from = this.#position
    const end = this.#hasCr ? this.#endByLines(from) : this.#endByLf(from)
    if (end === -1) {
      if (from < chunk.length) this.#carry(chunk.subarray(from))
      this.#position = chunk.length
      return false
    }
    this.#position = end
    this.#lineIsEmpty = true
    const bytes = this.carriedBytes + end - from
    this.offset = this.#chunkOffset + end - bytes
    this.oversized = bytes > MAX_EVENT_BYTES
    if (this.carriedBytes === 0) {
      this.buffer = chunk
      this.start = from
      this.end = this.oversized ? from + HEAD_BYTES : end
      return true
    }
    this.#carried.push(chunk.subarray(from, end))
    this.buffer = this.oversized ? headOf(this.#carried) : Buffer.concat(this.#carried)
    this.start = 0
    this.end = this.buffer.length
    this.#carried = []
    this.carriedBytes = 0
    return true
  }

  /** Blank lines between events belong to none. */
  #skipBlankLines(): void {
    const chunk = this.#chunk
    let p = this.#position
    while (p < chunk.length && (chunk[p] === LF || chunk[p] === CR)) p += 1
    this.#position = p
  }

  /** The end of the event at `from`, behind LF LF; -1 when it is not in the chunk. */
  #endByLf(from: number): number {
    const chunk = this.#chunk
    // The carried beginning may end in the first LF of the two.
    if (this.carriedBytes > 0 && this.#lineIsEmpty && chunk[from] === LF) return from + 1
    for (let p = from; ; ) {
      const lf = chunk.indexOf(LF, p)
      if (lf === -1) {
        if (from < chunk.length) this.#lineIsEmpty = chunk[chunk.length - 1] === LF
        return -1
      }
      if (lf + 1 < chunk.length && chunk[lf + 1] === LF) return lf + 2
      p = lf + 1
    }
  }

  /** As `#endByLf` where lines may end in LF, CR LF or CR. */
  #endByLines(from: number): number {
    const chunk = this.#chunk
    let lineIsEmpty = this.#lineIsEmpty
    let afterCr = this.#afterCr
    for (let p = from; p < chunk.length; p++) {
      const c = chunk[p]
      if (c === LF && afterCr) {
        afterCr = false
      } else if (c === LF || c === CR) {
        if (lineIsEmpty) {
          this.#afterCr = false
          // Its LF goes along when it is here already; a later one is skipped as a blank line.
          return c === CR && chunk[p + 1] === LF ? p + 2 : p + 1
        }
        lineIsEmpty = true
        afterCr = c === CR
      } else {
        lineIsEmpty = false
        afterCr = false
      }
    }
    this.#lineIsEmpty = lineIsEmpty
    this.#afterCr = afterCr
    return -1
  }

  #carry(rest: Buffer): void {
    // A copy, so that a few bytes do not keep the whole chunk alive. Beyond the limit they only count.
    this.#carried.push(Buffer.from(rest))
    this.carriedBytes += rest.length
    if (this.carriedBytes > MAX_EVENT_BYTES) this.#carried = [headOf(this.#carried)]
  }
}

function headOf(parts: readonly Buffer[]): Buffer {
  const head: Buffer[] = []
  let length = 0
  for (const part of parts) {
    if (length >= HEAD_BYTES) break
    head.push(part)
    length += part.length
  }
  return Buffer.from(Buffer.concat(head).subarray(0, HEAD_BYTES))
}

/** Reads the fields of one event's bytes; comments, `id` and `retry` are left out. */
export function parseEvent(bytes: Buffer, start = 0, end = bytes.length): SseEvent {
  let text = bytes.toString('utf8', start, end)
  if (text.charCodeAt(0) === 0xfeff) text = text.slice(1)
  let event = ''
  let data: string | null = null
  for (const line of text.split(/\r\n|\n|\r/)) {
    const colon = line.indexOf(':')
    const field = colon === -1 ? line : line.slice(0, colon)
    if (field !== 'event' && field !== 'data') continue
    const skip = line.charCodeAt(colon + 1) === 0x20 ? 2 : 1
    const value = colon === -1 ? '' : line.slice(colon + skip)
    if (field === 'event') event = value
    else data = data === null ? value : `${data}\n${value}`
  }
  return { event, data }
}
