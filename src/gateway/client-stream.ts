import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { GatewayError } from '../core/errors.ts'
import type { Micro } from '../core/money.ts'
import type { ChunkPart } from './attempt.ts'
import type { Recording } from './recording.ts'

/** A client that takes no bytes for this long is gone. */
export const STALLED_MS = 60_000
/** An unfinished event larger than this goes out in pieces. */
const MAX_TAIL_BYTES = 64 * 1024

/** Who gets a stream. */
export interface StreamClient {
  readonly response: ServerResponse
  /** Called once, just before the first byte. */
  readonly writeHead: (head: StreamHead) => void
  /** Writes the whole of an error answer; instead of all else. */
  readonly replyError: (error: GatewayError, cost: StreamHead['cost']) => void
}

/** What an answer begins with: as upstream's, or as its translation's. */
export interface StreamHead {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly accountId: string
  /** Bytes of the body; null of a stream. */
  readonly length: number | null
  /** null: not known when the answer begins. */
  readonly cost: { readonly costMicro: Micro; readonly balanceMicro: Micro | null } | null
}

/** What happens on the client's side. */
export interface ClientEvents {
  left(): void
  /** No more may be written until `drained`. */
  full(): void
  drained(): void
}

/**
 * The client's end of a stream. Bytes go through unchanged, whole events at a time, so that a stream which
 * breaks never leaves half an event behind; from `message_stop` on they wait for the settlement. When a
 * client leaves, another one can take its place, where the stream was recorded.
 */
export class ClientStream {
  #head: StreamHead
  readonly #recording: Recording | null
  readonly #events: ClientEvents
  #client: StreamClient
  #isGone = false
  #isHeadWritten = false
  /** The unfinished event at the end of what came, not yet written. */
  #tail: Buffer | null = null
  /** From the beginning of `message_stop` on. */
  #held: Buffer[] = []
  #isHolding = false
  /** What is told instead of an answer. */
  #failure: { readonly error: GatewayError; readonly cost: StreamHead['cost'] } | null = null

  constructor(parts: {
    client: StreamClient
    head: StreamHead
    recording: Recording | null
    events: ClientEvents
  }) {
    this.#client = parts.client
    this.#head = parts.head
    this.#recording = parts.recording
    this.#events = parts.events
  }

  /** Begins to listen; tells at once when the client is gone already. */
  open(): void {
    const { response } = this.#client
    response.on('close', this.#onClose)
    response.on('drain', this.#onDrain)
    if (response.destroyed) this.#onClose()
  }

  /** What the answer began with, or will. */
  get head(): StreamHead {
    return this.#head
  }

  get isGone(): boolean {
    return this.#isGone
  }

  /** Whether a client that comes later could have all of it. */
  get isRecorded(): boolean {
    return this.#recording !== null && this.#recording.chunks !== null
  }

  take(chunk: Buffer, { safe, whole }: ChunkPart): void {
    if (this.#isHolding) this.#held.push(chunk)
    else if (safe < chunk.length) this.#hold(chunk, safe)
    else this.#passWholeEvents(chunk, whole)
  }

  /** What was held may go: the answer is whole, and paid for. */
  release(): void {
    if (this.#tail !== null) this.#held.unshift(this.#tail)
    this.#tail = null
  }

  /** Nothing of what was held goes, but this instead. */
  endWith(last: Buffer | null): void {
    // Half an event is worth nothing to a client and would spoil the error that follows.
    this.#tail = null
    this.#held = last === null ? [] : [last]
    this.#recording?.drop()
  }

  /** The answer is whole, and this is all of it; nothing was written before. */
  answer(head: StreamHead, body: Buffer): void {
    this.#head = head
    this.#held = [body]
  }

  /** There is no answer, but this; nothing was written before. */
  fail(error: GatewayError, cost: StreamHead['cost']): void {
    this.#failure = { error, cost }
    this.endWith(null)
  }

  /** Bytes that mean nothing, between whole events, so that nobody takes the silence for an end. */
  comment(bytes: Buffer): void {
    const { response } = this.#client
    if (!this.#isGone && this.#isHeadWritten && this.#tail === null && !this.#isHolding)
      response.write(bytes)
  }

  /** Another client takes the stream from its beginning; false when it cannot have all of it. */
  adopt(client: StreamClient): boolean {
    const chunks = this.#recording?.chunks ?? null
    if (!this.#isGone || chunks === null) return false
    this.#client = client
    this.#isGone = false
    this.#isHeadWritten = false
    this.open()
    for (const chunk of chunks) this.#write(chunk)
    return true
  }

  /** Writes what is left and ends the answer. The whole of it where it was recorded and nobody got it. */
  finish(): readonly Buffer[] | null {
    const { response } = this.#client
    response.off('close', this.#onClose)
    response.off('drain', this.#onDrain)
    const recorded = this.#recording?.chunks ?? null
    const whole = recorded === null ? null : [...recorded, ...this.#held]
    this.#recording?.drop()
    if (this.#isGone || response.destroyed) return whole
    if (this.#failure !== null) {
      this.#client.replyError(this.#failure.error, this.#failure.cost)
      return null
    }
    if (!this.#isHeadWritten) this.#writeHead()
    for (let i = 0; i < this.#held.length - 1; i++) response.write(this.#held[i])
    response.end(this.#held.at(-1))
    // What a client never takes must not keep its connection for ever.
    if (response.writableLength > 0) response.setTimeout(STALLED_MS)
    return null
  }

  /** The client gets nothing of this stream. */
  letGo(): void {
    const { response } = this.#client
    response.off('close', this.#onClose)
    response.off('drain', this.#onDrain)
    this.#recording?.drop()
  }

  /** Ends a client that takes nothing. */
  drop(): void {
    this.#client.response.destroy()
  }

  readonly #onDrain = (): void => {
    if (!this.#isGone) this.#events.drained()
  }

  readonly #onClose = (): void => {
    const { response } = this.#client
    if (this.#isGone || response.writableFinished) return
    this.#isGone = true
    response.off('close', this.#onClose)
    response.off('drain', this.#onDrain)
    if (!this.isRecorded) this.#tail = null
    this.#events.left()
  }

  #hold(chunk: Buffer, safe: number): void {
    this.#isHolding = true
    if (safe > 0) this.#emit(chunk.subarray(0, safe))
    else if (this.#tail !== null) {
      // `message_stop` began in what was kept back as an unfinished event.
      this.#held.push(this.#tail)
      this.#tail = null
    }
    this.#held.push(chunk.subarray(safe))
  }

  #passWholeEvents(chunk: Buffer, end: number): void {
    if (end === chunk.length) {
      this.#emit(chunk)
      return
    }
    if (end > 0) this.#emit(chunk.subarray(0, end))
    const rest = chunk.subarray(end)
    const tail = this.#tail === null ? rest : Buffer.concat([this.#tail, rest])
    this.#tail = null
    if (tail.length > MAX_TAIL_BYTES) this.#emit(tail)
    else if (!this.#isGone || this.isRecorded) this.#tail = tail
  }

  /** Passes on bytes, the kept-back beginning of the event first. */
  #emit(bytes: Buffer): void {
    const tail = this.#tail
    this.#tail = null
    if (tail !== null) this.#pass(tail)
    this.#pass(bytes)
  }

  #pass(bytes: Buffer): void {
    this.#recording?.add(bytes)
    this.#write(bytes)
  }

  #write(bytes: Buffer): void {
    if (this.#isGone) return
    if (!this.#isHeadWritten) this.#writeHead()
    if (!this.#client.response.write(bytes)) this.#events.full()
  }

  #writeHead(): void {
    this.#isHeadWritten = true
    this.#client.writeHead(this.#head)
  }
}
