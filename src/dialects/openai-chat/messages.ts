import { readMarker } from '../openai/cache-control.ts'
import { missing, optionalText, wrongType } from '../openai/fields.ts'
import type { ToolCall, Turn } from '../openai/history.ts'
import { callInput, customInput } from '../openai/history.ts'
import type { Digest } from '../openai/ids.ts'
import { upstreamToolName } from '../openai/ids.ts'
import type { JsonObject } from '../openai/json.ts'
import { isObject, textOf } from '../openai/json.ts'
import { refuse } from '../openai/refusal.ts'
import type { Block } from '../openai/upstream.ts'
import { contentBlocks, markLast } from './parts.ts'
import { assistantThinking } from './reasoning-details.ts'

/** The turns of a chat's `messages`, part by part, in their order. */
export function readMessages(messages: unknown, digest: Digest): Turn[] {
  if (messages === undefined || messages === null) missing('messages')
  if (!Array.isArray(messages)) wrongType('messages', 'an array')
  if (messages.length === 0)
    refuse('invalid_value', 'messages', "'messages' must hold at least one message.")
  const reader = new MessageReader(digest)
  messages.forEach((message: unknown, i) => {
    const at = `messages[${i}]`
    if (!isObject(message)) wrongType(at, 'an object')
    reader.read(message, at, i)
  })
  return reader.turns
}

/** Refuses a history whose calls were not all answered, as OpenAI does. */
export function refuseUnanswered(ids: readonly string[]): never {
  const shown = ids.slice(0, 20).map((id) => id.slice(0, 200))
  refuse(
    'invalid_value',
    'messages',
    `An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: ${shown.join(', ')}`,
  )
}

class MessageReader {
  readonly turns: Turn[] = []
  readonly #digest: Digest
  /** Ids of legacy function calls by name, those without a result; the latest last. */
  readonly #functionCalls = new Map<string, string[]>()

  constructor(digest: Digest) {
    this.#digest = digest
  }

  read(message: JsonObject, at: string, index: number): void {
    const { role } = message
    if (role === 'user') this.#user(message, at)
    else if (role === 'assistant') this.#assistant(message, at, index)
    else if (role === 'system' || role === 'developer') this.#system(message, at)
    else if (role === 'tool' || role === 'function') this.#result(message, at, role)
    else if (role === undefined) missing(`${at}.role`)
    else
      refuse(
        'invalid_value',
        `${at}.role`,
        `'${at}.role' must be one of system, developer, user, assistant, tool, function.`,
      )
  }

  #system(message: JsonObject, at: string): void {
    const blocks = contentBlocks(message.content, 'system', `${at}.content`)
    markLast(blocks, readMarker(message, at))
    if (blocks.length > 0) this.turns.push({ kind: 'system', blocks })
  }

  #user(message: JsonObject, at: string): void {
    const { content } = message
    const results = Array.isArray(content) ? content.filter(isNativeResult) : []
    for (const result of results) this.#nativeResult(result, at)
    const parts =
      results.length > 0 && Array.isArray(content)
        ? content.filter((part) => !isNativeResult(part))
        : content
    const blocks = contentBlocks(parts, 'user', `${at}.content`)
    markLast(blocks, readMarker(message, at))
    this.turns.push({ kind: 'user', blocks })
  }

  #assistant(message: JsonObject, at: string, index: number): void {
    const blocks = contentBlocks(message.content, 'assistant', `${at}.content`)
    const refusal = textOf(message.refusal)
    if (refusal !== null && refusal.trim() !== '') blocks.push({ type: 'text', text: refusal })
    const calls = this.#nativeCalls(message.content, `${at}.content`)
    if (Array.isArray(message.tool_calls))
      message.tool_calls.forEach((call: unknown, i) => {
        calls.push(this.#call(call, `${at}.tool_calls[${i}]`))
      })
    else if (message.tool_calls !== undefined && message.tool_calls !== null)
      wrongType(`${at}.tool_calls`, 'an array')
    if (message.function_call !== undefined && message.function_call !== null)
      calls.push(this.#functionCall(message.function_call, `${at}.function_call`, index))
    const marker = readMarker(message, at)
    const last = calls.at(-1)
    if (marker !== null && last !== undefined)
      calls[calls.length - 1] = { ...last, cacheControl: marker }
    else markLast(blocks, marker)
    this.turns.push({ kind: 'assistant', thinking: assistantThinking(message), blocks, calls })
  }

  /** Anthropic's own `tool_use` blocks among the parts. */
  #nativeCalls(content: unknown, at: string): ToolCall[] {
    const calls: ToolCall[] = []
    if (!Array.isArray(content)) return calls
    content.forEach((part: unknown, i) => {
      if (!isObject(part) || part.type !== 'tool_use') return
      const id = textOf(part.id) ?? missing(`${at}[${i}].id`)
      const input = callInput(part.input === undefined ? '' : JSON.stringify(part.input))
      calls.push({ id, name: this.#name(part, `${at}[${i}]`), input })
    })
    return calls
  }

  #call(call: unknown, at: string): ToolCall {
    if (!isObject(call)) wrongType(at, 'an object')
    const id = optionalText(call, 'id', `${at}.`)
    if (id === null || id === '') missing(`${at}.id`)
    if (call.type === 'custom') {
      const custom = isObject(call.custom) ? call.custom : {}
      const input = optionalText(custom, 'input', `${at}.custom.`) ?? ''
      return { id, name: this.#name(custom, `${at}.custom`), input: customInput(input) }
    }
    const called = isObject(call.function) ? call.function : {}
    return { id, name: this.#name(called, `${at}.function`), input: argumentsOf(called, at) }
  }

  #functionCall(call: unknown, at: string, index: number): ToolCall {
    if (!isObject(call)) wrongType(at, 'an object')
    const name = optionalText(call, 'name', `${at}.`) ?? ''
    const id = `fc_${index}`
    const waiting = this.#functionCalls.get(name)
    if (waiting === undefined) this.#functionCalls.set(name, [id])
    else waiting.push(id)
    return { id, name: this.#name(call, at), input: argumentsOf(call, at) }
  }

  #name(called: JsonObject, at: string): string {
    const name = optionalText(called, 'name', `${at}.`)
    if (name === null || name === '') missing(`${at}.name`)
    return upstreamToolName(name, this.#digest)
  }

  #result(message: JsonObject, at: string, role: 'tool' | 'function'): void {
    const callId = role === 'tool' ? toolCallId(message, at) : this.#functionCallId(message, at)
    const content = resultContent(message.content, `${at}.content`)
    const marker = readMarker(message, at)
    const block: Block = {
      type: 'tool_result',
      ...(content === null ? {} : { content }),
      ...(message.is_error === true ? { is_error: true } : {}),
      ...(marker === null ? {} : { cache_control: marker }),
    }
    this.#push(callId, block, at)
  }

  #functionCallId(message: JsonObject, at: string): string {
    const name = optionalText(message, 'name', `${at}.`)
    if (name === null) missing(`${at}.name`)
    return this.#functionCalls.get(name)?.pop() ?? ''
  }

  #nativeResult(part: JsonObject, at: string): void {
    const { type, tool_use_id, content, ...rest } = part
    // Copies, because markers may be taken off them.
    const inner = Array.isArray(content)
      ? content.map((item: unknown) => (isObject(item) ? { ...item } : item))
      : content
    const block = { type, ...rest, ...(inner === undefined ? {} : { content: inner }) }
    this.#push(textOf(tool_use_id) ?? '', block as Block, at)
  }

  #push(callId: string, block: Block, at: string): void {
    const refuseOrphan = (): never =>
      refuse(
        'invalid_value',
        `${at}.role`,
        "messages with role 'tool' must be a response to a preceding message with 'tool_calls'.",
      )
    this.turns.push({ kind: 'result', callId, block, refuseOrphan })
  }
}

function isNativeResult(part: unknown): part is JsonObject {
  return isObject(part) && part.type === 'tool_result'
}

function toolCallId(message: JsonObject, at: string): string {
  const id = optionalText(message, 'tool_call_id', `${at}.`)
  if (id !== null) return id
  missing(`${at}.tool_call_id`)
}

/** A result's content: a string stays one; null where there is nothing. */
function resultContent(content: unknown, field: string): string | Block[] | null {
  if (typeof content === 'string') return content.trim() === '' ? null : content
  const blocks = contentBlocks(content, 'result', field)
  return blocks.length === 0 ? null : blocks
}

/** A call's arguments; some clients send the object itself. */
function argumentsOf(called: JsonObject, at: string) {
  const { arguments: value } = called
  if (isObject(value)) return callInput(JSON.stringify(value))
  return callInput(optionalText(called, 'arguments', `${at}.function.`) ?? '')
}
