import { exampleOf } from './example.ts'
import type { Fault } from './faults.ts'
import { asBlocks, asList, asObject, asText, type JsonObject } from './json.ts'
import type { SandboxModel } from './models.ts'
import { createRandom, hash32, randomId } from './random.ts'
import { byteTokens, imageSize, textTokens, writeSignature } from './tokens.ts'
import type { SandboxIteration, SandboxUsage } from './usage.ts'
import { fillerText, HAIKU } from './words.ts'

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

/** An answer before anything has been done to it. */
export interface Answer {
  readonly id: string
  /** As `message_start` says it; `finalModel` is the one that served in the end. */
  readonly model: string
  readonly finalModel: string
  readonly blocks: readonly AnswerBlock[]
  readonly stopReason: string
  readonly stopSequence: string | null
  readonly stopDetails: JsonObject | null
  /** Known when the stream starts; `usage` is what it came to. */
  readonly usageAtStart: SandboxUsage
  readonly usage: SandboxUsage
  /** Refused before any output: upstream shows usage and bills nothing. */
  readonly free: boolean
}

/** All that an answer depends on. */
export interface AnswerRequest {
  readonly body: JsonObject
  readonly betas: readonly string[]
  readonly model: SandboxModel
  readonly organizationId: string
  readonly fault: Fault
  readonly perToken: number
  readonly seed: number
  readonly promptTokens: number
  readonly cacheRead: number
  readonly cacheWrite5m: number
  readonly cacheWrite1h: number
  readonly id: string
}

const SEARCH_INPUT_TOKENS = 800
const SEARCH_WRITE_TOKENS = 200
const DEFAULT_DELTA_TOKENS = 3
/** `estimated_tokens` comes in multiples of this. */
const ESTIMATE_QUANTUM = 50

/** Writes the answer; the same request and seed give the same words. */
export function composeAnswer(request: AnswerRequest): Answer {
  const { body, fault, model } = request
  const writer = createWriter(request)
  const fallback = fallbackModel(body, model.id)
  const declinedBefore = fault.decline === 'before'
  const requestedOutput = { tokens: 0 }

  if (fault.decline === 'mid') {
    writer.text('I can say this much and', 6)
    requestedOutput.tokens = writer.spent()
  }
  if (fault.decline && fallback) writer.fallback(model.id, fallback)
  const refused = fault.decline !== undefined && fallback === null
  if (!refused) writeContent(writer, request)

  const searches = writer.searches()
  const output = writer.spent()
  const base = usageBase(request)
  const late = searches > 0 && request.cacheRead + request.cacheWrite5m + request.cacheWrite1h > 0
  const servedOutput = fallback && fault.decline ? output - requestedOutput.tokens : output
  const input = base.input + searches * SEARCH_INPUT_TOKENS
  const usage: SandboxUsage = {
    ...base,
    input,
    output: servedOutput,
    thinking: writer.thinkingSpent(),
    cacheWrite5m: base.cacheWrite5m + (late ? SEARCH_WRITE_TOKENS : 0),
    webSearches: searches,
    iterations: iterationsOf(request, input, servedOutput, requestedOutput.tokens, fallback),
  }
  const served = fallback && fault.decline ? fallback : model.id
  return {
    id: request.id,
    model: fault.answerModel ?? (declinedBefore ? served : model.id),
    finalModel: fault.answerModel ?? served,
    blocks: writer.blocks(),
    ...ending(writer, refused, fault),
    usageAtStart: base,
    usage,
    free: refused && declinedBefore,
  }
}

function usageBase(request: AnswerRequest): SandboxUsage {
  const { body, fault, model } = request
  const cached = request.cacheRead + request.cacheWrite5m + request.cacheWrite1h
  const fast = body.speed === 'fast' && model.fastMode !== 'as_standard'
  return {
    input: request.promptTokens - cached,
    output: 0,
    thinking: 0,
    cacheRead: request.cacheRead,
    cacheWrite5m: request.cacheWrite5m,
    cacheWrite1h: request.cacheWrite1h,
    webSearches: 0,
    serviceTier: fault.serviceTier ?? 'standard',
    inferenceGeo:
      fault.geo ?? asText(body.inference_geo) ?? (model.geo ? 'global' : 'not_available'),
    speed: fault.speed ?? (fast ? 'fast' : 'standard'),
    iterations: null,
  }
}

function iterationsOf(
  request: AnswerRequest,
  input: number,
  output: number,
  declinedOutput: number,
  fallback: string | null,
): readonly SandboxIteration[] | null {
  const { fault, model } = request
  const main: SandboxIteration = { type: 'message', model: model.id, input, output }
  if (fault.decline && fallback) {
    return [
      { ...main, output: declinedOutput },
      { type: 'fallback_message', model: fallback, input, output },
    ]
  }
  switch (fault.iterations) {
    case 'plain':
      return [main]
    case 'compaction':
      return [{ type: 'compaction', model: null, input: 5_000, output: 300 }, main]
    case 'advisor':
      return [main, { type: 'advisor_message', model: 'claude-opus-5-5', input: 900, output: 250 }]
    default:
      return null
  }
}

function ending(writer: Writer, refused: boolean, fault: Fault) {
  const stopDetails = refused
    ? { type: 'refusal', category: fault.category ?? null, explanation: null }
    : null
  const stopReason = fault.stopReason ?? (refused ? 'refusal' : writer.stopReason())
  return { stopReason, stopSequence: writer.stopSequence(), stopDetails }
}

/** The model that takes over when the first declines; null when the caller named none. */
function fallbackModel(body: JsonObject, requested: string): string | null {
  if (body.fallbacks === 'default') {
    return requested === 'claude-opus-5-5' ? 'claude-opus-5' : 'claude-opus-5-5'
  }
  return asText(asObject(asList(body.fallbacks)[0])?.model)
}

function writeContent(writer: Writer, request: AnswerRequest): void {
  const { body, fault, perToken } = request
  const random = createRandom(hash32(lastUserText(body), request.seed))
  const display = thinkingDisplay(request)
  if (display) writer.thinking(fault.thinkingTokens ?? 40 + Math.floor(random() * 120), display)

  const tool = fault.text === undefined ? toolToCall(body) : null
  const searches = fault.searches ?? (tool ? 0 : hasWebSearch(body) ? 1 : 0)
  for (let i = 0; i < searches; i++) writer.webSearch(lastUserText(body).slice(0, 80))

  const input = tool ? exampleInput(tool, lastUserText(body)) : null
  const toolCost = tool ? toolTokens(input, perToken) : 0
  if (fault.outputTokens !== undefined) {
    const tokens = Math.max(0, fault.outputTokens - writer.spent() - toolCost)
    writer.text(fault.text ?? fillerText(Math.floor(tokens * perToken), random))
  } else if (tool === null) {
    writer.text(fault.text ?? answerText(body, searches > 0))
  } else if (!isForced(body)) {
    writer.text(`Let me use ${tool.name}.`)
  }
  if (tool) writer.toolUse(asText(tool.name) ?? '', input)
}

function toolTokens(input: unknown, perToken: number): number {
  return TOOL_USE_TOKENS + textTokens(JSON.stringify(input), perToken)
}

/** How thinking is shown; null: the model does not think this time. */
function thinkingDisplay(request: AnswerRequest): 'omitted' | 'summarized' | 'redacted' | null {
  const { fault, model } = request
  if (fault.thinking === 'none') return null
  if (fault.thinking) return fault.thinking
  const thinking = asObject(request.body.thinking)
  if (thinking?.type !== 'adaptive' && thinking?.type !== 'enabled') return null
  return thinking.display === 'omitted' || thinking.display === 'summarized'
    ? thinking.display
    : model.thinkingDisplay
}

/** The text of the last user message. */
export function lastUserText(body: JsonObject): string {
  const last = asObject(asList(body.messages).findLast((item) => asObject(item)?.role === 'user'))
  const texts = asBlocks(last?.content).map((block) => asText(block.text) ?? '')
  return texts.filter((text) => text !== '').join('\n')
}

function answerText(body: JsonObject, searched: boolean): string {
  const format = asObject(asObject(body.output_config)?.format)
  const prompt = lastUserText(body)
  if (format?.schema !== undefined) return JSON.stringify(exampleOf(format.schema, prompt))
  const blocks = asBlocks(asObject(asList(body.messages).at(-1))?.content)
  const result = blocks.find((block) => block.type === 'tool_result')
  if (result) {
    const said = asBlocks(result.content).map((block) => asText(block.text) ?? '')
    return `The tool answered: ${said.join(' ').slice(0, 200)}`
  }
  if (/haiku/i.test(prompt)) return HAIKU
  const image = blocks.find((block) => block.type === 'image')
  if (image) {
    const size = imageSize(asText(asObject(image.source)?.data) ?? '')
    return size ? `I see an image of ${size.width} x ${size.height} pixels.` : 'I see an image.'
  }
  if (searched) return 'According to the first result, all is well.'
  return 'Hello! This answer is simulated: no model was asked and no internet was used.'
}

function isForced(body: JsonObject): boolean {
  const type = asObject(body.tool_choice)?.type
  return type === 'any' || type === 'tool'
}

function hasWebSearch(body: JsonObject): boolean {
  return asList(body.tools).some((tool) => /^web_search_/.test(asText(asObject(tool)?.type) ?? ''))
}

const CLIENT_TOOL = /^(custom|bash_|text_editor_|memory_|computer_)/

function toolToCall(body: JsonObject): JsonObject | null {
  const choice = asObject(body.tool_choice)
  if (choice?.type === 'none') return null
  const blocks = asBlocks(asObject(asList(body.messages).at(-1))?.content)
  if (!isForced(body) && blocks.some((block) => block.type === 'tool_result')) return null
  for (const item of asList(body.tools)) {
    const tool = asObject(item)
    if (!tool || !CLIENT_TOOL.test(asText(tool.type) ?? 'custom')) continue
    if (choice?.type !== 'tool' || choice.name === tool.name) return tool
  }
  return null
}

function exampleInput(tool: JsonObject, prompt: string): unknown {
  const type = asText(tool.type) ?? 'custom'
  if (type.startsWith('bash_')) return { command: 'ls' }
  if (type.startsWith('text_editor_')) return { command: 'view', path: 'README.md' }
  if (type.startsWith('memory_')) return { command: 'view', path: '/memories' }
  if (type.startsWith('computer_')) return { action: 'screenshot' }
  return asObject(exampleOf(tool.input_schema, prompt)) ?? {}
}

const TOOL_USE_TOKENS = 12

/** Collects blocks until `max_tokens` or a stop sequence ends the answer. */
interface Writer {
  text(text: string, mostTokens?: number): void
  thinking(tokens: number, display: 'omitted' | 'summarized' | 'redacted'): void
  toolUse(name: string, input: unknown): void
  webSearch(query: string): void
  fallback(from: string, to: string): void
  blocks(): readonly AnswerBlock[]
  spent(): number
  thinkingSpent(): number
  searches(): number
  stopReason(): string
  stopSequence(): string | null
}

function createWriter(request: AnswerRequest): Writer {
  const { body, fault, perToken, betas } = request
  const maxTokens = typeof body.max_tokens === 'number' ? body.max_tokens : 4_096
  const stops = asList(body.stop_sequences).filter((text) => typeof text === 'string')
  const deltaTokens = fault.deltaTokens ?? DEFAULT_DELTA_TOKENS
  const random = createRandom(hash32(request.id, request.seed))
  const blocks: AnswerBlock[] = []
  let spent = 0
  let thinkingSpent = 0
  let searches = 0
  let ended: string | null = maxTokens === 0 ? 'max_tokens' : null
  let stopSequence: string | null = null

  /** As much of `text` as still fits; sets `ended` when it is cut. */
  function fit(text: string): string {
    const left = maxTokens - spent
    if (textTokens(text, perToken) <= left) return text
    ended = 'max_tokens'
    return cutBytes(text, Math.floor(left * perToken))
  }

  function push(block: AnswerBlock): void {
    blocks.push(block)
    spent += block.startTokens
    for (const { tokens } of block.deltas) spent += tokens
  }

  return {
    text(text, mostTokens) {
      if (ended) return
      let kept = mostTokens ? cutBytes(text, Math.floor(mostTokens * perToken)) : text
      for (const stop of stops) {
        const at = kept.indexOf(stop)
        if (at < 0) continue
        kept = kept.slice(0, at)
        stopSequence = stop
      }
      kept = fit(kept)
      if (ended) stopSequence = null
      else if (stopSequence !== null) ended = 'stop_sequence'
      const deltas = pieces(kept, deltaTokens, perToken).map(({ text: part, tokens }) => ({
        delta: { type: 'text_delta', text: part },
        tokens,
      }))
      const start = { type: 'text', text: '' }
      push({ start, final: { type: 'text', text: kept }, deltas, startTokens: 0 })
    },

    thinking(wanted, display) {
      if (ended) return
      const tokens = Math.min(wanted, maxTokens - spent)
      if (tokens < wanted) ended = 'max_tokens'
      thinkingSpent += tokens
      if (display === 'redacted') {
        const block = { type: 'redacted_thinking', data: randomId(random, 64) }
        push({ start: block, final: block, deltas: [], startTokens: tokens })
        return
      }
      const counted = betas.includes('thinking-token-count-2026-05-13')
      const shown = display === 'omitted' ? '' : fillerText(Math.floor(tokens * perToken), random)
      const { organizationId, model } = request
      const signature = writeSignature({ organizationId, model: model.id, tokens })
      const steps = display === 'omitted' ? unseen(tokens, counted) : seen(shown, counted)
      push({
        start: { type: 'thinking', thinking: '', signature: '' },
        final: { type: 'thinking', thinking: shown, signature },
        deltas: [...steps, { delta: { type: 'signature_delta', signature }, tokens: 0 }],
        startTokens: 0,
      })
    },

    toolUse(name, input) {
      if (ended) return
      const json = fit(JSON.stringify(input))
      const id = `toolu_01${randomId(random, 22)}`
      const head = { type: 'tool_use', id, name, input: {} }
      const parts = pieces(json, deltaTokens, perToken)
      push({
        start: head,
        final: { ...head, input: ended ? {} : input },
        deltas: jsonDeltas(parts),
        startTokens: TOOL_USE_TOKENS,
      })
      ended ??= 'tool_use'
    },

    webSearch(query) {
      if (ended) return
      searches++
      const id = `srvtoolu_01${randomId(random, 22)}`
      const head = { type: 'server_tool_use', id, name: 'web_search', input: {} }
      const input = { query }
      const parts = pieces(JSON.stringify(input), deltaTokens, perToken)
      push({
        start: head,
        final: { ...head, input },
        deltas: jsonDeltas(parts),
        startTokens: TOOL_USE_TOKENS,
      })
      const found = {
        type: 'web_search_tool_result',
        tool_use_id: id,
        content: [
          {
            type: 'web_search_result',
            title: 'An example',
            url: 'https://example.com/',
            encrypted_content: randomId(random, 48),
            page_age: null,
          },
        ],
      }
      push({ start: found, final: found, deltas: [], startTokens: 0 })
    },

    fallback(from, to) {
      const block = {
        type: 'fallback',
        from: { model: from },
        to: { model: to },
        trigger: { type: 'refusal', category: fault.category ?? null },
      }
      push({ start: block, final: block, deltas: [], startTokens: 0 })
    },

    blocks: () => blocks,
    spent: () => spent,
    thinkingSpent: () => thinkingSpent,
    searches: () => searches,
    stopReason: () => ended ?? 'end_turn',
    stopSequence: () => stopSequence,
  }

  /** Omitted thinking: with the beta a running estimate, without it nothing but pings. */
  function unseen(tokens: number, counted: boolean): AnswerDelta[] {
    const steps: AnswerDelta[] = []
    const stride = counted ? ESTIMATE_QUANTUM : 4 * ESTIMATE_QUANTUM
    for (let done = 0; done < tokens; done += stride) {
      const part = Math.min(stride, tokens - done)
      const estimate = part === stride ? part : null
      const delta = { type: 'thinking_delta', thinking: '', estimated_tokens: estimate }
      steps.push({ delta: counted ? delta : null, tokens: part })
    }
    return steps
  }

  function seen(shown: string, counted: boolean): AnswerDelta[] {
    return pieces(shown, deltaTokens, perToken).map(({ text, tokens }) => ({
      delta: {
        type: 'thinking_delta',
        thinking: text,
        ...(counted ? { estimated_tokens: null } : {}),
      },
      tokens,
    }))
  }
}

function jsonDeltas(parts: readonly { text: string; tokens: number }[]): AnswerDelta[] {
  const first = { delta: { type: 'input_json_delta', partial_json: '' }, tokens: 0 }
  const rest = parts.map(({ text, tokens }) => ({
    delta: { type: 'input_json_delta', partial_json: text },
    tokens,
  }))
  return [first, ...rest]
}

/** Text in steps of about `stepTokens`; the tokens of the steps add up to those of the text. */
function pieces(
  text: string,
  stepTokens: number,
  perToken: number,
): readonly { text: string; tokens: number }[] {
  const list: { text: string; tokens: number }[] = []
  const stepLength = Math.max(1, Math.floor(stepTokens * perToken))
  let bytes = 0
  let counted = 0
  for (let at = 0; at < text.length; ) {
    let end = Math.min(text.length, at + stepLength)
    // Never between the halves of a surrogate pair.
    if (end < text.length && /[\udc00-\udfff]/.test(text[end])) end++
    const part = text.slice(at, end)
    bytes += Buffer.byteLength(part)
    const total = byteTokens(bytes, perToken)
    list.push({ text: part, tokens: total - counted })
    counted = total
    at = end
  }
  return list
}

function cutBytes(text: string, bytes: number): string {
  const whole = Buffer.from(text)
  if (whole.length <= bytes) return text
  return whole
    .subarray(0, bytes)
    .toString()
    .replace(/\ufffd$/, '')
}
