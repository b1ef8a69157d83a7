import type { JsonObject } from './json.ts'
import { randomId } from './random.ts'
import { byteTokens, textTokens, writeSignature } from './tokens.ts'
import { fillerText } from './words.ts'

/** One content block of an answer, with the steps in which a stream tells it. */
export interface AnswerBlock {
  readonly start: JsonObject
  /** The same block when it is finished, for answers in one piece. */
  readonly final: JsonObject
  readonly deltas: readonly AnswerDelta[]
  /** Tokens spent when the block starts; those of the deltas come on top. */
  readonly startTokens: number
}

/** A step of a block; without `delta` it is a ping while tokens are produced unseen. */
export interface AnswerDelta {
  readonly delta: JsonObject | null
  readonly tokens: number
}

/** What a writer has to keep to. */
export interface WriterRules {
  readonly maxTokens: number
  readonly stopSequences: readonly string[]
  readonly deltaTokens: number
  /** Bytes per token. */
  readonly perToken: number
  /** The beta that tells how much is thought unseen. */
  readonly tellsEstimates: boolean
  readonly organizationId: string
  readonly modelId: string
  readonly random: () => number
}

export type ThinkingDisplay = 'omitted' | 'summarized' | 'redacted'

/** What a tool call costs beside its input. */
export const TOOL_USE_TOKENS = 12

/** `estimated_tokens` comes in multiples of this. */
const ESTIMATE_QUANTUM = 50

/** Collects blocks until `max_tokens`, a stop sequence or a tool call ends the answer. */
export class BlockWriter {
  readonly blocks: AnswerBlock[] = []
  readonly #rules: WriterRules
  #spent = 0
  #thinking = 0
  #searches = 0
  #ended: string | null
  #stopSequence: string | null = null

  constructor(rules: WriterRules) {
    this.#rules = rules
    this.#ended = rules.maxTokens === 0 ? 'max_tokens' : null
  }

  /** Output tokens so far. */
  get spent(): number {
    return this.#spent
  }

  /** Part of `spent`. */
  get thinkingSpent(): number {
    return this.#thinking
  }

  get searches(): number {
    return this.#searches
  }

  get stopReason(): string {
    return this.#ended ?? 'end_turn'
  }

  get stopSequence(): string | null {
    return this.#stopSequence
  }

  text(text: string): void {
    if (this.#ended) return
    const stop = firstStop(text, this.#rules.stopSequences)
    const kept = this.#fit(stop ? text.slice(0, stop.at) : text)
    if (stop && !this.#ended) {
      this.#ended = 'stop_sequence'
      this.#stopSequence = stop.sequence
    }
    const deltas = this.#pieces(kept).map(({ piece, tokens }) => ({
      delta: { type: 'text_delta', text: piece },
      tokens,
    }))
    const start = { type: 'text', text: '' }
    this.#push({ start, final: { type: 'text', text: kept }, deltas, startTokens: 0 })
  }

  thinking(wanted: number, display: ThinkingDisplay): void {
    if (this.#ended) return
    const { maxTokens, perToken, organizationId, modelId, random } = this.#rules
    const tokens = Math.min(wanted, maxTokens - this.#spent)
    if (tokens < wanted) this.#ended = 'max_tokens'
    this.#thinking += tokens
    if (display === 'redacted') {
      this.#pushWhole({ type: 'redacted_thinking', data: randomId(random, 64) }, tokens)
      return
    }
    const isOmitted = display === 'omitted'
    const shown = isOmitted ? '' : fillerText(Math.floor(tokens * perToken), random)
    const signature = writeSignature({ organizationId, model: modelId, tokens })
    const steps = isOmitted ? this.#unseen(tokens) : this.#seen(shown)
    this.#push({
      start: { type: 'thinking', thinking: '', signature: '' },
      final: { type: 'thinking', thinking: shown, signature },
      deltas: [...steps, { delta: { type: 'signature_delta', signature }, tokens: 0 }],
      startTokens: 0,
    })
  }

  toolUse(name: string, input: unknown): void {
    if (this.#ended) return
    const id = `toolu_01${randomId(this.#rules.random, 22)}`
    const json = this.#fit(JSON.stringify(input), TOOL_USE_TOKENS)
    this.#call({ type: 'tool_use', id, name }, json, this.#ended ? {} : input)
    this.#ended ??= 'tool_use'
  }

  webSearch(query: string): void {
    if (this.#ended) return
    this.#searches++
    const id = `srvtoolu_01${randomId(this.#rules.random, 22)}`
    const json = this.#fit(JSON.stringify({ query }), TOOL_USE_TOKENS)
    this.#call({ type: 'server_tool_use', id, name: 'web_search' }, json, { query })
    const result = {
      type: 'web_search_result',
      title: 'An example',
      url: 'https://example.com/',
      encrypted_content: randomId(this.#rules.random, 48),
      page_age: null,
    }
    this.#pushWhole({ type: 'web_search_tool_result', tool_use_id: id, content: [result] }, 0)
  }

  /** A command in the container, which writes a file. */
  runCode(command: string, fileId: string): void {
    if (this.#ended) return
    const id = `srvtoolu_01${randomId(this.#rules.random, 22)}`
    const json = this.#fit(JSON.stringify({ command }), TOOL_USE_TOKENS)
    this.#call({ type: 'server_tool_use', id, name: 'bash_code_execution' }, json, { command })
    const content = {
      type: 'bash_code_execution_result',
      stdout: '',
      stderr: '',
      return_code: 0,
      content: [{ type: 'bash_code_execution_output', file_id: fileId }],
    }
    this.#pushWhole({ type: 'bash_code_execution_tool_result', tool_use_id: id, content }, 0)
  }

  /** The hand-over to another model, which is a block of its own. */
  fallback(from: string, to: string, category: string | null): void {
    const trigger = { type: 'refusal', category }
    this.#pushWhole({ type: 'fallback', from: { model: from }, to: { model: to }, trigger }, 0)
  }

  #push(block: AnswerBlock): void {
    this.blocks.push(block)
    this.#spent += block.startTokens
    for (const { tokens } of block.deltas) this.#spent += tokens
  }

  #pushWhole(block: JsonObject, tokens: number): void {
    this.#push({ start: block, final: block, deltas: [], startTokens: tokens })
  }

  #call(head: JsonObject, json: string, input: unknown): void {
    const deltas = this.#pieces(json).map(({ piece, tokens }) => ({
      delta: { type: 'input_json_delta', partial_json: piece },
      tokens,
    }))
    const first = { delta: { type: 'input_json_delta', partial_json: '' }, tokens: 0 }
    this.#push({
      start: { ...head, input: {} },
      final: { ...head, input },
      deltas: [first, ...deltas],
      startTokens: Math.min(TOOL_USE_TOKENS, this.#rules.maxTokens - this.#spent),
    })
  }

  /** As much of `text` as still fits beside `extra` tokens; ends the answer when it is cut. */
  #fit(text: string, extra = 0): string {
    const { maxTokens, perToken } = this.#rules
    const left = Math.max(0, maxTokens - this.#spent - extra)
    if (textTokens(text, perToken) <= left) return text
    this.#ended = 'max_tokens'
    return cutBytes(text, Math.floor(left * perToken))
  }

  /** Omitted thinking: with the beta a running estimate, without it nothing but pings. */
  #unseen(tokens: number): AnswerDelta[] {
    const { tellsEstimates } = this.#rules
    const steps: AnswerDelta[] = []
    const stride = tellsEstimates ? ESTIMATE_QUANTUM : 4 * ESTIMATE_QUANTUM
    for (let done = 0; done < tokens; done += stride) {
      const part = Math.min(stride, tokens - done)
      const estimate = part === stride ? part : null
      const delta = { type: 'thinking_delta', thinking: '', estimated_tokens: estimate }
      steps.push({ delta: tellsEstimates ? delta : null, tokens: part })
    }
    return steps
  }

  #seen(shown: string): AnswerDelta[] {
    const more = this.#rules.tellsEstimates ? { estimated_tokens: null } : {}
    return this.#pieces(shown).map(({ piece, tokens }) => ({
      delta: { type: 'thinking_delta', thinking: piece, ...more },
      tokens,
    }))
  }

  /** Text in steps of `deltaTokens`; the tokens of the steps add up to those of the text. */
  #pieces(text: string): readonly { readonly piece: string; readonly tokens: number }[] {
    const { deltaTokens, perToken } = this.#rules
    const list: { piece: string; tokens: number }[] = []
    const stepLength = Math.max(1, Math.floor(deltaTokens * perToken))
    let bytes = 0
    let counted = 0
    for (let at = 0; at < text.length; ) {
      let end = Math.min(text.length, at + stepLength)
      // Never between the halves of a surrogate pair.
      if (end < text.length && /[\udc00-\udfff]/.test(text[end])) end++
      const piece = text.slice(at, end)
      bytes += Buffer.byteLength(piece)
      const total = byteTokens(bytes, perToken)
      list.push({ piece, tokens: total - counted })
      counted = total
      at = end
    }
    return list
  }
}

/** The stop sequence that comes first in a text. */
function firstStop(
  text: string,
  sequences: readonly string[],
): { readonly at: number; readonly sequence: string } | null {
  let first: { at: number; sequence: string } | null = null
  for (const sequence of sequences) {
    const at = sequence === '' ? -1 : text.indexOf(sequence)
    if (at >= 0 && (first === null || at < first.at)) first = { at, sequence }
  }
  return first
}

/** The first `bytes` bytes of a text, without half a character at the end. */
function cutBytes(text: string, bytes: number): string {
  const whole = Buffer.from(text)
  if (whole.length <= bytes) return text
  return whole
    .subarray(0, bytes)
    .toString()
    .replace(/\ufffd$/, '')
}
