import type { AnswerContext } from '../dialect.ts'
import type { AnswerAssembler, AnswerBlock } from '../openai/assemble.ts'
import { argumentsOf, hasArguments } from '../openai/assemble.ts'
import { CustomInputReader } from '../openai/custom-input.ts'
import type { OpenAiError } from '../openai/error-shape.ts'
import type { JsonObject } from '../openai/json.ts'
import { isObject, textOf } from '../openai/json.ts'
import { FenceReader } from '../openai/json-fence.ts'
import { chatUsage } from '../openai/usage.ts'
import { annotationsOf } from './annotations.ts'
import { ByteSink } from './byte-sink.ts'
import type { DeltaFrame } from './chunks.ts'
import { ChunkWriter, DONE } from './chunks.ts'
import type { ChatAnswerWish } from './completion.ts'
import { DeltaCutter } from './delta-cutter.ts'
import { finishReason, refusalText } from './finish.ts'
import { REASONING_FORMAT } from './reasoning-details.ts'

/** The bytes of one event: `buffer[start, end)`. */
interface EventBytes {
  readonly buffer: Buffer
  readonly start: number
  readonly end: number
}

type CallBlock = Extract<AnswerBlock, { kind: 'tool_use' }>

/** A tool call that the client sees. */
interface ShownCall {
  /** Counts the client's calls from 0, whatever blocks stand between them. */
  readonly ordinal: number
  readonly isLegacy: boolean
  readonly custom: CustomInputReader | null
  /** Arguments went out already. */
  hasArguments: boolean
}

/** The chunks of a streamed answer. Events with nothing but text are copied, not parsed. */
export class ChatStream {
  readonly #wish: ChatAnswerWish
  readonly #about: AnswerContext
  readonly #assembler: AnswerAssembler
  readonly #sink = new ByteSink()
  readonly #cutter = new DeltaCutter()
  /** Written at `message_start`, which names the model. */
  #writer: ChunkWriter | null = null
  /** Around the string of the deltas that the cutter knows; null: they have no effect. */
  #frame: DeltaFrame | null = null
  readonly #calls = new Map<AnswerBlock, ShownCall>()
  /** Thinking blocks by their place among them. */
  readonly #thinking = new Map<AnswerBlock, number>()
  /** A call that ended without arguments: whether it has none, or was cut, shows what comes next. */
  #bare: CallBlock | null = null
  #thinkingCount = 0
  #callCount = 0
  /** UTF-16 length of the text before the open block; kept where citations need it. */
  #textLength = 0
  /** Null where text passes as it is. */
  readonly #fence: FenceReader | null

  constructor(wish: ChatAnswerWish, about: AnswerContext, assembler: AnswerAssembler) {
    this.#wish = wish
    this.#about = about
    this.#assembler = assembler
    this.#fence = wish.isLooseJson ? new FenceReader() : null
  }

  /** What is to be written since the last call. */
  take(): Buffer {
    return this.#sink.take()
  }

  /** Whether the event was a delta of the known shape, and is done with. */
  passed(event: Buffer, start: number, end: number): boolean {
    const cutter = this.#cutter
    if (!cutter.cut(event, start, end)) return false
    const frame = this.#frame
    if (frame === null || cutter.start === cutter.end) return true
    const sink = this.#sink
    sink.bytes(frame.before)
    sink.bytes(event, cutter.start, cutter.end)
    if (frame.between !== null) {
      sink.bytes(frame.between)
      sink.bytes(event, cutter.start, cutter.end)
    }
    sink.bytes(frame.after)
    return true
  }

  /** Learns the shape of a delta's event, so that the next ones of the block pass without parsing. */
  learn(event: JsonObject, block: AnswerBlock | null, bytes: EventBytes): void {
    this.#cutter.forget()
    // Citations need the text itself, and another round the whole content.
    if (this.#wish.searchesWeb || this.#writer === null || !isObject(event.delta)) return
    const { delta } = event
    if (block?.kind === 'text' && delta.type === 'text_delta') {
      if (this.#fence !== null) return
      this.#frame = this.#writer.textFrame()
      this.#cutter.learn(bytes, 'text')
    } else if (block?.kind === 'thinking' && delta.type === 'thinking_delta') {
      const ordinal = this.#thinking.get(block)
      const isShown = this.#wish.showsReasoning && ordinal !== undefined
      this.#frame = isShown ? this.#writer.thinkingFrame(ordinal) : null
      this.#cutter.learn(bytes, 'thinking')
    } else if (block?.kind === 'tool_use' && delta.type === 'input_json_delta') {
      const call = this.#calls.get(block)
      // Until arguments have gone out, an empty piece says nothing.
      if (call === undefined || call.custom !== null || !call.hasArguments) return
      this.#frame = call.isLegacy
        ? this.#writer.functionFrame()
        : this.#writer.argumentsFrame(call.ordinal)
      this.#cutter.learn(bytes, 'partial_json')
    }
  }

  /** Writes what an event of upstream's means; `block` is the one that it changed. */
  event(event: JsonObject, block: AnswerBlock | null): void {
    if (event.type === 'message_start') this.#begin()
    else if (block === null) return
    else if (event.type === 'content_block_start') this.#open(block)
    else if (event.type === 'content_block_delta' && isObject(event.delta))
      this.#grow(block, event.delta)
    else if (event.type === 'content_block_stop') this.#close(block)
  }

  /** The success ending: upstream's `message_stop` is here. */
  finish(): void {
    const answer = this.#assembler
    const writer = this.#writer ?? this.#begin()
    this.#endBare()
    if (this.#fence !== null) this.#text(this.#fence.end())
    const refusal = refusalText(answer)
    if (refusal !== null) this.#delta({ refusal })
    const reason = finishReason(answer, this.#wish.isLegacy)
    this.#sink.text(writer.finish(reason, answer.stopReason ?? reason))
    if (this.#wish.includesUsage) {
      const usage = chatUsage(answer.usage, this.#about.bill?.())
      this.#sink.text(writer.usage(usage))
    }
    this.#sink.text(DONE)
  }

  /** The error line, behind which nothing comes: neither a finish reason nor `[DONE]`. */
  fail(error: OpenAiError): void {
    this.#sink.text(`data: ${JSON.stringify({ error })}\n\n`)
  }

  /** The role, once: a further round of the same answer begins silently. */
  #begin(): ChunkWriter {
    if (this.#writer !== null) return this.#writer
    const { includesUsage } = this.#wish
    const model = this.#assembler.model ?? ''
    this.#writer = new ChunkWriter({ ...this.#about, model, includesUsage })
    this.#delta({ role: 'assistant', content: '' })
    return this.#writer
  }

  #open(block: AnswerBlock): void {
    this.#cutter.forget()
    this.#endBare()
    switch (block.kind) {
      case 'text':
        this.#newText(block.text)
        return
      case 'thinking':
        this.#thinking.set(block, this.#thinkingCount++)
        if (block.thinking !== '') this.#reasoningText(block, block.thinking)
        if (block.signature !== '') this.#signature(block, block.signature)
        return
      case 'redacted':
        this.#redacted(block.data)
        return
      case 'tool_use':
        this.#openCall(block)
    }
  }

  #grow(block: AnswerBlock, delta: JsonObject): void {
    if (block.kind === 'text' && delta.type === 'text_delta') {
      this.#newText(textOf(delta.text) ?? '')
    } else if (block.kind === 'thinking' && delta.type === 'thinking_delta') {
      const text = textOf(delta.thinking) ?? ''
      if (text !== '') this.#reasoningText(block, text)
    } else if (block.kind === 'thinking' && delta.type === 'signature_delta') {
      this.#signature(block, textOf(delta.signature) ?? '')
    } else if (block.kind === 'tool_use' && delta.type === 'input_json_delta') {
      const call = this.#calls.get(block)
      if (call !== undefined) this.#arguments(call, textOf(delta.partial_json) ?? '')
    }
  }

  #close(block: AnswerBlock): void {
    this.#cutter.forget()
    if (block.kind === 'text') {
      const annotations = annotationsOf(block, this.#textLength)
      this.#textLength += block.text.length
      if (annotations.length > 0) this.#delta({ annotations })
    }
    if (block.kind !== 'tool_use') return
    if (hasArguments(block)) this.#endCall(block)
    else this.#bare = block
  }

  #endBare(): void {
    const block = this.#bare
    this.#bare = null
    if (block !== null && !this.#assembler.isCutBeforeArguments(block)) this.#endCall(block)
  }

  #endCall(block: CallBlock): void {
    const call = this.#calls.get(block)
    if (call === undefined) return
    if (block.json.trim() === '' && !call.hasArguments) this.#arguments(call, argumentsOf(block))
    if (call.custom !== null) this.#customInput(call, call.custom.end())
  }

  #newText(piece: string): void {
    this.#text(this.#fence === null ? piece : this.#fence.push(piece))
  }

  #text(content: string): void {
    if (content !== '') this.#delta({ content })
  }

  #openCall(block: CallBlock): void {
    const tool = this.#wish.tools.get(block.name)
    const name = tool?.name ?? block.name
    const isCustom = tool?.isCustom === true
    const { isLegacy } = this.#wish
    // The older format has room for one call.
    if (isLegacy && this.#callCount > 0) return
    const ordinal = this.#callCount++
    const custom = isCustom ? new CustomInputReader() : null
    this.#calls.set(block, { ordinal, isLegacy, custom, hasArguments: false })
    const about = { index: ordinal, id: block.id }
    if (isLegacy) this.#delta({ function_call: { name, arguments: '' } })
    else if (isCustom)
      this.#delta({ tool_calls: [{ ...about, type: 'custom', custom: { name, input: '' } }] })
    else {
      const called = { name, arguments: '' }
      this.#delta({ tool_calls: [{ ...about, type: 'function', function: called }] })
    }
  }

  #arguments(call: ShownCall, piece: string): void {
    if (piece === '') return
    call.hasArguments ||= piece.trim() !== ''
    const { ordinal, custom } = call
    if (custom !== null) this.#customInput(call, custom.push(piece))
    else if (call.isLegacy) this.#delta({ function_call: { arguments: piece } })
    else this.#delta({ tool_calls: [{ index: ordinal, function: { arguments: piece } }] })
  }

  #customInput(call: ShownCall, input: string): void {
    if (input !== '') this.#delta({ tool_calls: [{ index: call.ordinal, custom: { input } }] })
  }

  #reasoningText(block: AnswerBlock, text: string): void {
    const detail = { type: 'reasoning.text', text, ...this.#blockAbout(block) }
    this.#reasoning({ reasoning_content: text, reasoning_details: [detail] })
  }

  #signature(block: AnswerBlock, signature: string): void {
    // The text is not repeated: clients add the fragments together.
    const detail = { type: 'reasoning.text', text: '', signature, ...this.#blockAbout(block) }
    this.#reasoning({ reasoning_details: [detail] })
  }

  #redacted(data: string): void {
    const about = { format: REASONING_FORMAT, index: this.#thinkingCount++ }
    this.#reasoning({ reasoning_details: [{ type: 'reasoning.encrypted', data, ...about }] })
  }

  #blockAbout(block: AnswerBlock) {
    return { format: REASONING_FORMAT, index: this.#thinking.get(block) ?? 0 }
  }

  #reasoning(delta: JsonObject): void {
    if (this.#wish.showsReasoning) this.#delta(delta)
  }

  #delta(delta: JsonObject): void {
    if (this.#writer !== null) this.#sink.text(this.#writer.delta(JSON.stringify(delta)))
  }
}
