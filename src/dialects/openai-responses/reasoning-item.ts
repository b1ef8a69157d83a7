import type { AnswerBlock } from '../openai/assemble.ts'
import { encodeThinking } from '../openai/thinking-carrier.ts'
import type { Block } from '../openai/upstream.ts'
import type { ItemPlace, ItemStatus, OutputItem } from './output-item.ts'
import { writeAdded, writeDone } from './output-item.ts'

/** A block of thinking, as the answer puts it together. */
export type ThinkingPart = Extract<AnswerBlock, { kind: 'thinking' | 'redacted' }>

/** One thinking block as a `reasoning` item: its text as summary, the block itself as encrypted content. */
export class ReasoningItem implements OutputItem {
  readonly #place: ItemPlace
  readonly #block: ThinkingPart
  readonly #model: string
  #hasText = false

  constructor(place: ItemPlace, block: ThinkingPart, model: string) {
    this.#place = place
    this.#block = block
    this.#model = model
    const id = JSON.stringify(place.id)
    writeAdded(
      place,
      `{"id":${id},"type":"reasoning","summary":[],"encrypted_content":null,"status":"in_progress"}`,
    )
    this.think(this.#text)
  }

  /** Tells of a further piece of the thinking text. */
  think(piece: string): void {
    if (piece === '') return
    const { writer } = this.#place
    const place = `${this.#place.members},"summary_index":0`
    if (!this.#hasText) {
      const part = '{"type":"summary_text","text":""}'
      writer.write('response.reasoning_summary_part.added', `${place},"part":${part}`)
    }
    this.#hasText = true
    const delta = JSON.stringify(piece)
    writer.write('response.reasoning_summary_text.delta', `${place},"delta":${delta}`)
  }

  /** Without a signature upstream would refuse the block: it was cut. */
  get isWhole(): boolean {
    return this.#block.kind === 'redacted' || this.#block.signature !== ''
  }

  json(status: ItemStatus): string {
    const id = JSON.stringify(this.#place.id)
    const summary = this.#hasText ? this.#part() : ''
    const carried = this.isWhole ? encodeThinking(upstreamBlock(this.#block), this.#model) : null
    return (
      `{"id":${id},"type":"reasoning","summary":[${summary}],` +
      `"encrypted_content":${JSON.stringify(carried)},"status":"${status}"}`
    )
  }

  finish(status: 'completed' | 'incomplete'): void {
    if (this.#hasText) {
      const { writer } = this.#place
      const place = `${this.#place.members},"summary_index":0`
      const text = JSON.stringify(this.#text)
      writer.write('response.reasoning_summary_text.done', `${place},"text":${text}`)
      writer.write('response.reasoning_summary_part.done', `${place},"part":${this.#part()}`)
    }
    writeDone(this.#place, this.json(status))
  }

  get #text(): string {
    return this.#block.kind === 'thinking' ? this.#block.thinking : ''
  }

  #part(): string {
    return `{"type":"summary_text","text":${JSON.stringify(this.#text)}}`
  }
}

/** The block byte for byte as upstream signed it. */
function upstreamBlock(block: ThinkingPart): Block {
  if (block.kind === 'redacted') return { type: 'redacted_thinking', data: block.data }
  return { type: 'thinking', thinking: block.thinking, signature: block.signature }
}
