// Just enough HTTP/1.1 for a generator and an upstream that must cost less than what they measure.

const HEAD_END = Buffer.from('\r\n\r\n')
const EVENT_END = Buffer.from('\n\n')
const LENGTH = /\r\ncontent-length: *(\d+)/i
const CHUNKED = /\r\ntransfer-encoding: *chunked/i
const NEWLINE = 10

/** What a reader tells its owner. Slices are valid only during the call. */
export interface MessageHandler {
  /** Start line and fields of one message, without the blank line. */
  readonly onHead: (head: string) => void
  readonly onBody: (bytes: Buffer) => void
  readonly onEnd: () => void
  /** Bytes that are not HTTP as we know it; the reader is dead afterwards. */
  readonly onBroken: (why: string) => void
}

type State = 'head' | 'length' | 'chunk_size' | 'chunk_data' | 'chunk_end' | 'trailer' | 'broken'

/** Splits a byte stream into messages (requests or answers) with length or chunked bodies. */
export class MessageReader {
  #state: State = 'head'
  #carry: Buffer | null = null
  #remaining = 0
  readonly #handler: MessageHandler

  constructor(handler: MessageHandler) {
    this.#handler = handler
  }

  /** True between messages, with nothing of the next one read. */
  get idle(): boolean {
    return this.#state === 'head' && this.#carry === null
  }

  feed(bytes: Buffer): void {
    let data = bytes
    if (this.#carry !== null) {
      data = Buffer.concat([this.#carry, bytes])
      this.#carry = null
    }
    let at = 0
    while (at < data.length) {
      const next = this.#step(data, at)
      if (next < 0) {
        if (this.#state !== 'broken') this.#carry = Buffer.from(data.subarray(at))
        return
      }
      at = next
    }
  }

  /** Handles what begins at `at`; answers where the next thing begins, or -1 for "need more". */
  #step(data: Buffer, at: number): number {
    switch (this.#state) {
      case 'head':
        return this.#head(data, at)
      case 'length':
      case 'chunk_data':
        return this.#body(data, at)
      case 'chunk_size':
        return this.#chunkSize(data, at)
      case 'chunk_end':
        if (data.length - at < 2) return -1
        this.#state = 'chunk_size'
        return at + 2
      case 'trailer':
        return this.#trailer(data, at)
      case 'broken':
        return -1
    }
  }

  #head(data: Buffer, at: number): number {
    const end = data.indexOf(HEAD_END, at)
    if (end < 0) return -1
    const head = data.toString('latin1', at, end)
    const length = LENGTH.exec(head)
    this.#remaining = length === null ? 0 : Number(length[1])
    const chunked = length === null && CHUNKED.test(head)
    this.#state = chunked ? 'chunk_size' : 'length'
    this.#handler.onHead(head)
    if (!chunked && this.#remaining === 0) this.#finish()
    return end + 4
  }

  #body(data: Buffer, at: number): number {
    const end = Math.min(data.length, at + this.#remaining)
    this.#handler.onBody(at === 0 && end === data.length ? data : data.subarray(at, end))
    this.#remaining -= end - at
    if (this.#remaining === 0) {
      if (this.#state === 'length') this.#finish()
      else this.#state = 'chunk_end'
    }
    return end
  }

  #chunkSize(data: Buffer, at: number): number {
    const end = data.indexOf(NEWLINE, at)
    if (end < 0) return -1
    this.#remaining = Number.parseInt(data.toString('latin1', at, end), 16)
    if (!(this.#remaining >= 0)) {
      this.#state = 'broken'
      this.#handler.onBroken('a chunk without a size')
      return -1
    }
    this.#state = this.#remaining === 0 ? 'trailer' : 'chunk_data'
    return end + 1
  }

  #trailer(data: Buffer, at: number): number {
    const end = data.indexOf(NEWLINE, at)
    if (end < 0) return -1
    if (end - at <= 1) this.#finish()
    return end + 1
  }

  #finish(): void {
    this.#state = 'head'
    this.#handler.onEnd()
  }
}

/** Counts server-sent events (blank lines) in a body that arrives in any pieces. */
export class EventCounter {
  #endedInNewline = false

  /** Events that ended in these bytes. */
  count(bytes: Buffer): number {
    let found = 0
    let at = 0
    if (this.#endedInNewline && bytes[0] === NEWLINE) {
      found = 1
      at = 1
    }
    for (let hit = bytes.indexOf(EVENT_END, at); hit >= 0; hit = bytes.indexOf(EVENT_END, at)) {
      found++
      at = hit + 2
    }
    this.#endedInNewline = at < bytes.length && bytes[bytes.length - 1] === NEWLINE
    return found
  }
}

/** Field of a head by its lower-case name, or null. */
export function field(head: string, name: string): string | null {
  const match = new RegExp(`\\r\\n${name}: *([^\\r]*)`, 'i').exec(head)
  return match?.[1] ?? null
}
