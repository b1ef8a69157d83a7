import { readMarker } from '../openai/cache-control.ts'
import { missing, optionalText, wrongType } from '../openai/fields.ts'
import type { ToolCall, Turn } from '../openai/history.ts'
import { callInput, customInput } from '../openai/history.ts'
import type { JsonObject } from '../openai/json.ts'
import { isObject, textOf } from '../openai/json.ts'
import { refuse } from '../openai/refusal.ts'
import { decodeThinking } from '../openai/thinking-carrier.ts'
import type { Block } from '../openai/upstream.ts'
import { AssistantRun } from './assistant-run.ts'
import { contentBlocks, mark } from './parts.ts'
import type { ToolList } from './tools.ts'

/** What `input` holds. */
export interface ReadInput {
  readonly turns: readonly Turn[]
  /** Types of items that were left out, and that the caller should know of. */
  readonly dropped: readonly string[]
}

/** A tool call of the history, before its tool's upstream name is known. */
export interface NamedCall {
  readonly name: string
  readonly namespace: string | null
}

/** The name that goes upstream for a call of the history. */
export type UpstreamName = (call: NamedCall) => string

/** Items of tools that do not exist here. */
const FOREIGN_TOOL =
  /^(?:apply_patch|code_interpreter|computer|file_search|image_generation|local_shell|mcp|program|shell|tool_search)(?:_call|_call_output|_list_tools|_approval_request|_approval_response|_output)?$/

/** Items that only their maker can read, or that are for clients alone. */
const DROPPED = new Set([
  'compaction',
  'compaction_summary',
  'configuration_update',
  'context_compaction',
  'ghost_snapshot',
])

/** They ask for what does not exist here. */
const REFUSED = new Set(['compaction_trigger', 'computer_call_output'])

/** The tools that stand in the input itself (`additional_tools`). */
export function additionalTools(input: unknown): readonly ToolList[] {
  if (!Array.isArray(input)) return []
  const lists: ToolList[] = []
  for (const [i, item] of input.entries()) {
    if (isObject(item) && item.type === 'additional_tools')
      lists.push({ tools: item.tools, field: `input[${i}].tools` })
  }
  return lists
}

/** Reads `input` into turns. */
export function readInput(input: unknown, upstreamName: UpstreamName): ReadInput {
  if (input === undefined || input === null) missing('input')
  if (typeof input === 'string') {
    return { turns: [{ kind: 'user', blocks: contentBlocks(input, 'text', 'input') }], dropped: [] }
  }
  if (!Array.isArray(input)) wrongType('input', 'a string or an array')
  const reader = new InputReader(upstreamName)
  for (const [i, item] of input.entries()) {
    const field = `input[${i}]`
    if (!isObject(item)) wrongType(field, 'an object')
    reader.add(item, field)
  }
  return reader.end()
}

class InputReader {
  readonly #upstreamName: UpstreamName
  readonly #turns: Turn[] = []
  readonly #run = new AssistantRun()
  readonly #dropped = new Set<string>()

  constructor(upstreamName: UpstreamName) {
    this.#upstreamName = upstreamName
  }

  add(item: JsonObject, field: string): void {
    const type = typeOf(item, field)
    switch (type) {
      case 'message':
        this.#message(item, field)
        return
      case 'reasoning':
        this.#run.add(item.id, 'reasoning', decodeThinking(item.encrypted_content), null)
        return
      case 'function_call':
      case 'custom_tool_call':
        this.#run.add(item.id, 'call', [], this.#call(item, type, field))
        return
      case 'function_call_output':
      case 'custom_tool_call_output':
        this.#push(result(item, field))
        return
      case 'agent_message':
        this.#agentMessage(item, field)
        return
      case 'additional_tools':
      case 'web_search_call':
        return
    }
    if (type === 'item_reference') refuseReference(field)
    if (REFUSED.has(type)) refuseItem('unsupported_value', type, field)
    if (!DROPPED.has(type) && !FOREIGN_TOOL.test(type)) refuseItem('invalid_value', type, field)
    this.#dropped.add(type)
    // What a tool gave back ends the assistant's turn, also where it is left out.
    if (/_(?:output|response)$/.test(type)) this.#flush()
  }

  end(): ReadInput {
    this.#flush()
    return { turns: this.#turns, dropped: [...this.#dropped] }
  }

  #message(item: JsonObject, field: string): void {
    const { role } = item
    const at = `${field}.content`
    if (role === 'assistant') {
      const blocks = contentBlocks(item.content, 'text', at)
      mark(blocks, readMarker(item, field))
      this.#run.add(item.id, 'message', blocks, null)
      return
    }
    if (role !== 'user' && role !== 'system' && role !== 'developer') refuseRole(role, field)
    const blocks = contentBlocks(item.content, role === 'user' ? 'media' : 'text', at)
    mark(blocks, readMarker(item, field))
    this.#push({ kind: role === 'user' ? 'user' : 'system', blocks })
  }

  /** What agents of one client say to each other is input to the one that reads it. */
  #agentMessage(item: JsonObject, field: string): void {
    const blocks = contentBlocks(item.content, 'agent', `${field}.content`)
    this.#push({ kind: 'user', blocks })
  }

  #call(item: JsonObject, type: string, field: string): ToolCall {
    const name = required(item, 'name', field)
    const namespace = optionalText(item, 'namespace', `${field}.`)
    const isCustom = type === 'custom_tool_call'
    const text = optionalText(item, isCustom ? 'input' : 'arguments', `${field}.`) ?? ''
    return {
      id: required(item, 'call_id', field),
      name: this.#upstreamName({ name, namespace }),
      input: isCustom ? customInput(text) : callInput(text),
      cacheControl: readMarker(item, field),
    }
  }

  #push(turn: Turn): void {
    this.#flush()
    this.#turns.push(turn)
  }

  #flush(): void {
    for (const turn of this.#run.take()) this.#turns.push(turn)
  }
}

function typeOf(item: JsonObject, field: string): string {
  const { type } = item
  if (typeof type === 'string') return type
  if (type !== undefined && type !== null) wrongType(`${field}.type`, 'a string')
  if (item.role !== undefined) return 'message'
  // An item of nothing but an id refers to one that is stored.
  return item.id === undefined ? missing(`${field}.type`) : 'item_reference'
}

function result(item: JsonObject, field: string): Turn {
  const callId = required(item, 'call_id', field)
  const { output } = item
  const content =
    typeof output === 'string' ? output : contentBlocks(output, 'media', `${field}.output`)
  const isEmpty = typeof content === 'string' ? content.trim() === '' : content.length === 0
  const marker = readMarker(item, field)
  const block: Block = {
    type: 'tool_result',
    ...(isEmpty ? {} : { content }),
    ...(item.is_error === true ? { is_error: true } : {}),
    ...(marker === null ? {} : { cache_control: marker }),
  }
  const refuseOrphan = (): never =>
    refuse(
      'invalid_value',
      'input',
      `No tool call found for function call output with call_id ${callId.slice(0, 100)}.`,
    )
  return { kind: 'result', callId, block, refuseOrphan }
}

function required(item: JsonObject, name: string, field: string): string {
  const text = optionalText(item, name, `${field}.`)
  if (text === null || text === '') missing(`${field}.${name}`)
  return text
}

function refuseRole(role: unknown, field: string): never {
  if (role === undefined || role === null) missing(`${field}.role`)
  const said = textOf(role)?.slice(0, 100) ?? 'null'
  refuse(
    'invalid_value',
    `${field}.role`,
    `Invalid value: '${said}'. Supported values are: 'assistant', 'system', 'developer', and 'user'.`,
  )
}

function refuseReference(field: string): never {
  refuse(
    'unsupported_value',
    `${field}.type`,
    "Items of type 'item_reference' are not supported here: responses are not stored. Send the items themselves; clients do so with 'store': false (AI SDK: providerOptions.openai.store = false).",
  )
}

function refuseItem(
  code: 'invalid_value' | 'unsupported_value',
  type: string,
  field: string,
): never {
  refuse(
    code,
    `${field}.type`,
    `Items of type '${type.slice(0, 100)}' are not supported here: only messages, reasoning, tool calls and their outputs are read.`,
  )
}
