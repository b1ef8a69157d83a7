import type { JsonObject } from './json.ts'
import { isObject, parseJson, textOf } from './json.ts'
import type { Block } from './upstream.ts'
import type { AnswerUsage } from './usage.ts'
import { addUsage, mergeUsage, NO_USAGE } from './usage.ts'

/** A content block of an answer, as far as it came. */
export type AnswerBlock =
  | { readonly kind: 'text'; text: string; readonly citations: JsonObject[]; isOpen: boolean }
  | { readonly kind: 'thinking'; thinking: string; signature: string; isOpen: boolean }
  | { readonly kind: 'redacted'; readonly data: string; isOpen: boolean }
  | {
      readonly kind: 'tool_use'
      readonly id: string
      readonly name: string
      /** What the block began with; upstream may send the whole input so. */
      readonly input: unknown
      json: string
      isOpen: boolean
    }
  /** Server tools, their results, and kinds yet to come: passed back upstream, never shown as tool calls. */
  | { readonly kind: 'other'; readonly start: JsonObject; json: string; isOpen: boolean }

/** Stop reasons in the middle of what was being said. */
const CUTTING = new Set(['max_tokens', 'model_context_window_exceeded', 'refusal'])

/** Puts the events of upstream's stream together to a whole answer; rounds of `pause_turn` become one. */
export class AnswerAssembler {
  readonly blocks: AnswerBlock[] = []
  /** What upstream says it is; null before `message_start`. */
  model: string | null = null
  stopReason: string | null = null
  stopDetails: JsonObject | null = null
  #earlier: AnswerUsage = NO_USAGE
  #usage: AnswerUsage = NO_USAGE
  /** Blocks of this round by upstream's index. */
  #byIndex = new Map<number, AnswerBlock>()

  /** Everything used so far, all rounds together. */
  get usage(): AnswerUsage {
    return addUsage(this.#earlier, this.#usage)
  }

  /** Takes an event's parsed data; unknown kinds change nothing. Answers the block that it changed. */
  add(event: JsonObject): AnswerBlock | null {
    switch (event.type) {
      case 'message_start':
        this.#begin(event)
        return null
      case 'content_block_start':
        return this.#open(event)
      case 'content_block_delta':
        return this.#grow(event)
      case 'content_block_stop':
        return this.#close(event)
      case 'message_delta':
        this.#finish(event)
        return null
      default:
        return null
    }
  }

  /**
   * Whether a call was cut before the first byte of its arguments. What they would have been nobody knows: it
   * must not look like a call without any, which clients would run.
   */
  isCutBeforeArguments(call: AnswerBlock): boolean {
    if (call.kind !== 'tool_use' || call !== this.blocks.at(-1)) return false
    return CUTTING.has(this.stopReason ?? '') && !hasArguments(call)
  }

  /** The content as upstream takes it back. */
  content(): Block[] {
    return this.blocks.map(upstreamBlock)
  }

  #begin(event: JsonObject): void {
    const message = isObject(event.message) ? event.message : {}
    this.#earlier = this.usage
    this.#usage = mergeUsage(NO_USAGE, message.usage)
    this.#byIndex = new Map()
    this.model = textOf(message.model) ?? this.model
    this.stopReason = null
    this.stopDetails = null
  }

  #open(event: JsonObject): AnswerBlock | null {
    if (!isObject(event.content_block) || typeof event.index !== 'number') return null
    const block = beginBlock(event.content_block)
    this.#byIndex.set(event.index, block)
    this.blocks.push(block)
    return block
  }

  #grow(event: JsonObject): AnswerBlock | null {
    const block = this.#byIndex.get(Number(event.index))
    if (block === undefined || !isObject(event.delta)) return null
    growBlock(block, event.delta)
    return block
  }

  #close(event: JsonObject): AnswerBlock | null {
    const block = this.#byIndex.get(Number(event.index)) ?? null
    if (block !== null) block.isOpen = false
    return block
  }

  #finish(event: JsonObject): void {
    this.#usage = mergeUsage(this.#usage, event.usage)
    if (!isObject(event.delta)) return
    this.stopReason = textOf(event.delta.stop_reason) ?? this.stopReason
    if (isObject(event.delta.stop_details)) this.stopDetails = event.delta.stop_details
  }
}

function beginBlock(start: JsonObject): AnswerBlock {
  switch (start.type) {
    case 'text':
      return { kind: 'text', text: textOf(start.text) ?? '', citations: [], isOpen: true }
    case 'thinking': {
      const thinking = textOf(start.thinking) ?? ''
      return { kind: 'thinking', thinking, signature: textOf(start.signature) ?? '', isOpen: true }
    }
    case 'redacted_thinking':
      return { kind: 'redacted', data: textOf(start.data) ?? '', isOpen: true }
    case 'tool_use': {
      const { input } = start
      const [id, name] = [textOf(start.id) ?? '', textOf(start.name) ?? '']
      return { kind: 'tool_use', id, name, input, json: '', isOpen: true }
    }
    default:
      return { kind: 'other', start, json: '', isOpen: true }
  }
}

function growBlock(block: AnswerBlock, delta: JsonObject): void {
  const text = textOf(delta.text) ?? ''
  if (block.kind === 'text') {
    if (delta.type === 'text_delta') block.text += text
    else if (delta.type === 'citations_delta' && isObject(delta.citation))
      block.citations.push(delta.citation)
  } else if (block.kind === 'thinking') {
    if (delta.type === 'thinking_delta') block.thinking += textOf(delta.thinking) ?? ''
    else if (delta.type === 'signature_delta') block.signature += textOf(delta.signature) ?? ''
  } else if (block.kind === 'tool_use' || block.kind === 'other') {
    if (delta.type === 'input_json_delta') block.json += textOf(delta.partial_json) ?? ''
  }
}

/** Whether there is a byte of a call's arguments, in pieces or in its start. */
export function hasArguments({ json, input }: { readonly json: string; readonly input: unknown }) {
  return json.trim() !== '' || (isObject(input) && Object.keys(input).length > 0)
}

/**
 * The arguments of a call as JSON text: what came in pieces, just as it came; else the input that the block
 * began with; `{}` for a call without arguments, never ''.
 */
export function argumentsOf(call: { readonly json: string; readonly input: unknown }): string {
  if (call.json.trim() !== '') return call.json
  return isObject(call.input) ? JSON.stringify(call.input) : '{}'
}

function upstreamBlock(block: AnswerBlock): Block {
  switch (block.kind) {
    case 'text': {
      const citations = block.citations.length === 0 ? {} : { citations: block.citations }
      return { type: 'text', text: block.text, ...citations }
    }
    case 'thinking':
      return { type: 'thinking', thinking: block.thinking, signature: block.signature }
    case 'redacted':
      return { type: 'redacted_thinking', data: block.data }
    case 'tool_use': {
      const input = parseJson(argumentsOf(block))
      return {
        type: 'tool_use',
        id: block.id,
        name: block.name,
        input: isObject(input) ? input : {},
      }
    }
    default: {
      if (block.json.trim() === '') return { ...block.start } as Block
      const input = parseJson(block.json)
      return { ...block.start, input: isObject(input) ? input : {} } as Block
    }
  }
}
