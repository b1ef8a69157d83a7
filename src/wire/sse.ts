/** Framing of server-sent events, right for any chunking. */

/** Events longer than this pass, marked `oversized`, without their content. */
export const MAX_EVENT_BYTES = 8 * 1024 * 1024

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
  buffer: Buffer = Buffer.alloc(0)
  start = 0
  end = 0
  /** Offset in the stream of `start`. */
  offset = 0
  /** The event is longer than `MAX_EVENT_BYTES`: only its first bytes are kept. */
  oversized = false

  push(chunk: Buffer): void {
    this.buffer = chunk
  }

  next(): boolean {
    return false
  }

  /** Bytes of the unfinished event that are carried. */
  get carriedBytes(): number {
    return 0
  }
}

/** Reads the fields of one event's bytes. */
export function parseEvent(bytes: Buffer, start = 0, end = bytes.length): SseEvent {
  throw new Error(`not yet ${start} ${end}`)
}
