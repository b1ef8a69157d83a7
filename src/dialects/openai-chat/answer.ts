import { parseEvent, SseFramer } from '../../wire/sse.ts'
import type { AnswerContext, AnswerTranslator, WireError } from '../dialect.ts'
import { AnswerAssembler } from '../openai/assemble.ts'
import type { TranslatedError } from '../openai/error-shape.ts'
import { openAiError, streamBroken, translateStreamError } from '../openai/errors.ts'
import type { JsonObject } from '../openai/json.ts'
import { isObject, parseJson } from '../openai/json.ts'
import type { ChatAnswerWish } from './completion.ts'
import { chatCompletion } from './completion.ts'
import { ChatStream } from './stream.ts'

const NOTHING = Buffer.alloc(0)

/** One answer of a chat completion, streamed or whole; see `AnswerTranslator`. */
export class ChatAnswer implements AnswerTranslator {
  state: AnswerTranslator['state'] = 'open'
  failure: TranslatedError | null = null
  readonly #wish: ChatAnswerWish
  readonly #about: AnswerContext
  readonly #framer = new SseFramer()
  readonly #assembler = new AnswerAssembler()
  /** Null where the client wants the whole answer. */
  readonly #stream: ChatStream | null

  constructor(wish: ChatAnswerWish, about: AnswerContext) {
    this.#wish = wish
    this.#about = about
    this.#stream = wish.stream ? new ChatStream(wish, about, this.#assembler) : null
  }

  push(bytes: Buffer): Buffer {
    const framer = this.#framer
    framer.push(bytes)
    while (framer.next()) {
      if (this.state !== 'open' && this.state !== 'paused') continue
      if (framer.oversized) this.#fail(streamBroken(this.#stream !== null))
      else if (this.#stream?.passed(framer.buffer, framer.start, framer.end) !== true)
        this.#event(framer.buffer, framer.start, framer.end)
    }
    return this.#stream?.take() ?? NOTHING
  }

  get pausedContent(): readonly unknown[] | null {
    return this.state === 'paused' ? this.#assembler.content() : null
  }

  finishPaused(): Buffer {
    if (this.state === 'paused') this.#finish()
    return this.#stream?.take() ?? NOTHING
  }

  fail(error: WireError): Buffer {
    if (this.state !== 'open' && this.state !== 'paused') return NOTHING
    const { status } = error
    const isRetryable = status === 429 || status >= 500
    this.#fail({ status, error: openAiError(error), isRetryable })
    return this.#stream?.take() ?? NOTHING
  }

  body(): string | null {
    if (this.state !== 'done' || this.#stream !== null) return null
    return chatCompletion(this.#assembler, this.#wish, this.#about)
  }

  #event(buffer: Buffer, start: number, end: number): void {
    const { data } = parseEvent(buffer, start, end)
    if (data === null) return
    const event = parseJson(data)
    if (!isObject(event)) this.#fail(streamBroken(this.#stream !== null))
    else if (event.type === 'error') this.#fail(translateStreamError(event))
    else if (event.type === 'message_stop') this.#stop()
    else this.#add(event, buffer, start, end)
  }

  #add(event: JsonObject, buffer: Buffer, start: number, end: number): void {
    if (event.type === 'message_start') this.state = 'open'
    const block = this.#assembler.add(event)
    this.#stream?.event(event, block)
    if (event.type === 'content_block_delta')
      this.#stream?.learn(event, block, { buffer, start, end })
  }

  #stop(): void {
    const { stopReason } = this.#assembler
    if (stopReason === null) this.#fail(streamBroken(this.#stream !== null))
    // Only with upstream's own tools is the whole content at hand that another round needs.
    else if (stopReason === 'pause_turn' && this.#wish.searchesWeb) this.state = 'paused'
    else this.#finish()
  }

  #finish(): void {
    this.state = 'done'
    this.#stream?.finish()
  }

  #fail(failure: TranslatedError): void {
    this.state = 'failed'
    this.failure = failure
    this.#stream?.fail(failure.error)
  }
}
