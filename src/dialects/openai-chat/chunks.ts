import type { AnswerContext } from '../dialect.ts'
import { REASONING_FORMAT } from './reasoning-details.ts'

/** Ends a stream that is whole. */
export const DONE = 'data: [DONE]\n\n'

/** The bytes around the JSON string of a delta; `twice`: the string stands there two times. */
export interface DeltaFrame {
  readonly before: Buffer
  readonly between: Buffer | null
  readonly after: Buffer
}

/** Writes the chunks of one answer; they differ in their `choices` only. */
export class ChunkWriter {
  readonly #start: string
  readonly #usageNull: string

  constructor(about: AnswerContext & { readonly model: string; readonly includesUsage: boolean }) {
    const { requestId, createdS, model, includesUsage } = about
    const same = { id: `chatcmpl-${requestId}`, object: 'chat.completion.chunk' }
    const text = JSON.stringify({ ...same, created: createdS, model })
    this.#start = `data: ${text.slice(0, -1)},"choices":[`
    this.#usageNull = includesUsage ? ',"usage":null' : ''
  }

  /** A chunk with this delta, given as JSON text. */
  delta(json: string): string {
    return this.#before() + json + this.#after()
  }

  /** The last chunk of the choice. */
  finish(reason: string, native: string): string {
    const words = `"finish_reason":${JSON.stringify(reason)},"native_finish_reason":${JSON.stringify(native)}`
    return `${this.#before()}{},"logprobs":null,${words}}]${this.#usageNull}}\n\n`
  }

  /** The chunk without choices that carries the usage. */
  usage(usage: unknown): string {
    return `${this.#start}],"usage":${JSON.stringify(usage)}}\n\n`
  }

  /** Around a piece of text. */
  textFrame(): DeltaFrame {
    return this.#frame('{"content":"', null, '"}')
  }

  /** Around a piece of thinking, which both spellings of reasoning carry. */
  thinkingFrame(ordinal: number): DeltaFrame {
    const between = '","reasoning_details":[{"type":"reasoning.text","text":"'
    const end = `","format":"${REASONING_FORMAT}","index":${ordinal}}]}`
    return this.#frame('{"reasoning_content":"', between, end)
  }

  /** Around a piece of a call's arguments. */
  argumentsFrame(ordinal: number): DeltaFrame {
    const before = `{"tool_calls":[{"index":${ordinal},"function":{"arguments":"`
    return this.#frame(before, null, '"}}]}')
  }

  /** Around a piece of a legacy call's arguments. */
  functionFrame(): DeltaFrame {
    return this.#frame('{"function_call":{"arguments":"', null, '"}}')
  }

  #frame(before: string, between: string | null, after: string): DeltaFrame {
    return {
      before: Buffer.from(this.#before() + before),
      between: between === null ? null : Buffer.from(between),
      after: Buffer.from(after + this.#after()),
    }
  }

  #before(): string {
    return `${this.#start}{"index":0,"delta":`
  }

  #after(): string {
    return `,"logprobs":null,"finish_reason":null}]${this.#usageNull}}\n\n`
  }
}
