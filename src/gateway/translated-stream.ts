import type { IncomingHttpHeaders } from 'node:http'
import type { GatewayError } from '../core/errors.ts'
import type { AnswerTranslator, TranslatedError, WireError } from '../dialects/dialect.ts'
import type { AnswerWriter } from './answer-writer.ts'
import type { ChunkPart } from './attempt.ts'
import type { ClientStream, StreamHead } from './client-stream.ts'
import type { ClientFormat } from './ready-request.ts'
import type { Closed } from './settle.ts'

/** Clients and what stands before them take a longer silence for the end. */
const KEEP_ALIVE_MS = 15_000
/** Those that may try again are told to wait so long, in s, where nobody knows better. */
const RETRY_AFTER_S = '2'

/** What an answer in another format is made of. */
export interface TranslatedParts {
  readonly client: ClientStream
  readonly answer: AnswerTranslator
  readonly format: Pick<ClientFormat, 'stream' | 'translator'>
  /** What says in the client's format that more is coming. */
  readonly ping: string
  /** The head of upstream's answer. */
  readonly upstream: Pick<StreamHead, 'headers' | 'accountId'>
  readonly nowMs: () => number
  readonly describe: (error: GatewayError) => WireError
  /** An error as a stream's end, where the answer is not at hand any more. */
  readonly renderError: (error: GatewayError) => string
  /** What a stream is told that upstream left without a word. */
  readonly brokenOff: () => GatewayError
}

/** For clients of other formats: translates upstream's events, and gathers them where the client wants a whole. */
export class TranslatedStream implements AnswerWriter {
  readonly #parts: TranslatedParts
  /** On the monotonic clock. */
  #wroteMs: number
  #isHolding = false

  constructor(parts: TranslatedParts) {
    this.#parts = parts
    this.#wroteMs = parts.nowMs()
  }

  take(chunk: Buffer, { safe }: ChunkPart): void {
    const { answer } = this.#parts
    if (safe === chunk.length) {
      this.#pass(answer.push(chunk))
      return
    }
    if (safe > 0) this.#pass(answer.push(chunk.subarray(0, safe)))
    this.#hold(answer.push(chunk.subarray(safe)))
  }

  release(closed: Closed): void {
    const { answer, client, format } = this.#parts
    if (answer.state === 'paused') this.#hold(answer.finishPaused())
    if (!format.stream) this.#giveWhole(closed)
    client.release()
  }

  endWith(error: GatewayError | null, closed: Closed | null): void {
    const { answer, client, format, brokenOff } = this.#parts
    if (format.stream) client.endWith(this.#lastWords(error))
    else if (error === null && answer.failure !== null) this.#giveFailure(answer.failure, closed)
    else client.fail(error ?? brokenOff(), closed)
  }

  get failure(): TranslatedError | null {
    return this.#parts.answer.failure
  }

  pausedContent(): readonly unknown[] | null {
    return this.#parts.answer.pausedContent
  }

  tick(nowMs: number): void {
    const { client, format, ping } = this.#parts
    if (!format.stream || nowMs - this.#wroteMs < KEEP_ALIVE_MS) return
    this.#wroteMs = nowMs
    client.comment(Buffer.from(ping))
  }

  #lastWords(error: GatewayError | null): Buffer | null {
    const { answer, describe, renderError, brokenOff } = this.#parts
    if (answer.state === 'open' || answer.state === 'paused')
      return answer.fail(describe(error ?? brokenOff()))
    // The ending was made already but never goes out, so the answer itself has nothing more to say.
    return this.#isHolding && error !== null ? Buffer.from(renderError(error)) : null
  }

  #pass(bytes: Buffer): void {
    if (bytes.length === 0) return
    this.#wroteMs = this.#parts.nowMs()
    this.#parts.client.take(bytes, { safe: bytes.length, whole: bytes.length })
  }

  #hold(bytes: Buffer): void {
    if (bytes.length === 0) return
    this.#isHolding = true
    this.#parts.client.take(bytes, { safe: 0, whole: bytes.length })
  }

  #giveWhole(closed: Closed): void {
    const { answer, client } = this.#parts
    const text = answer.body()
    if (text !== null) {
      const body = Buffer.from(text)
      client.answer(this.#head(200, {}, body.length, closed), body)
    } else if (answer.failure !== null) this.#giveFailure(answer.failure, closed)
  }

  #giveFailure(failure: TranslatedError, closed: Closed | null): void {
    const { client, format } = this.#parts
    const body = Buffer.from(format.translator.renderFailure(failure))
    const head = this.#head(failure.status, failureHeaders(failure), body.length, closed)
    client.answer(head, body)
  }

  #head(
    status: number,
    more: IncomingHttpHeaders,
    length: number,
    cost: StreamHead['cost'],
  ): StreamHead {
    const { headers, accountId } = this.#parts.upstream
    const own = { ...translatedHead(headers, 'application/json'), ...more }
    return { status, headers: own, accountId, length, cost }
  }
}

/** What is left of the head of upstream's answer: it described another body. */
export function translatedHead(
  upstream: IncomingHttpHeaders,
  contentType: string,
): IncomingHttpHeaders {
  const id = upstream['request-id']
  return { 'content-type': contentType, ...(id === undefined ? {} : { 'request-id': id }) }
}

/** Whether and when a refused client may come again. */
export function failureHeaders({ status, isRetryable }: TranslatedError): IncomingHttpHeaders {
  if (!isRetryable) return { 'x-should-retry': 'false' }
  return status === 429 || status >= 502 ? { 'retry-after': RETRY_AFTER_S } : {}
}
