import { readMarker } from '../openai/cache-control.ts'
import { missing, optionalArray, optionalText, wrongType } from '../openai/fields.ts'
import type { JsonObject } from '../openai/json.ts'
import { isObject, textOf } from '../openai/json.ts'
import { refuse } from '../openai/refusal.ts'
import type { ToolDefinition, WantedChoice } from '../openai/tools.ts'
import type { Block } from '../openai/upstream.ts'
import type { Warning } from '../openai/warnings.ts'

/** The tools of a chat request. */
export interface ChatTools {
  readonly definitions: readonly ToolDefinition[]
  readonly choice: WantedChoice | null
  /** They came as `functions`: one call at most, and the answer says `function_call`. */
  readonly isLegacy: boolean
  readonly warnings: readonly Warning[]
}

/** Reads `tools` and `tool_choice`, or their older names `functions` and `function_call`. */
export function readTools(body: JsonObject): ChatTools {
  const tools = optionalArray(body, 'tools') ?? []
  const definitions = tools.map((tool, i) => readTool(tool, `tools[${i}]`))
  const functions = optionalArray(body, 'functions') ?? []
  if (definitions.length > 0 || functions.length === 0)
    return { definitions, ...readChoice(body.tool_choice), isLegacy: false }
  return {
    definitions: functions.map((tool, i) => {
      const at = `functions[${i}]`
      if (!isObject(tool)) wrongType(at, 'an object')
      return functionTool(tool, tool, at, at)
    }),
    choice: readFunctionChoice(body.function_call),
    isLegacy: true,
    warnings: [],
  }
}

function readTool(tool: unknown, at: string): ToolDefinition {
  if (!isObject(tool)) wrongType(at, 'an object')
  if (isObject(tool.input_schema)) return nativeTool(tool, at)
  if (tool.type === 'custom') {
    const custom = isObject(tool.custom) ? tool.custom : tool
    const inner = custom === tool ? at : `${at}.custom`
    return {
      kind: 'custom',
      name: nameOf(custom, inner),
      description: optionalText(custom, 'description', `${inner}.`),
      format: custom.format,
      cacheControl: readMarker(tool, at) ?? readMarker(custom, inner),
      field: inner,
    }
  }
  if (tool.type !== undefined && tool.type !== 'function')
    refuse(
      'unsupported_value',
      `${at}.type`,
      `Tools of type '${String(tool.type).slice(0, 100)}' are not supported here.`,
    )
  // The Responses API's flat shape comes from clients that share their tools between both APIs.
  const called = isObject(tool.function) ? tool.function : tool
  return functionTool(called, tool, called === tool ? at : `${at}.function`, at)
}

function functionTool(
  called: JsonObject,
  tool: JsonObject,
  field: string,
  at: string,
): ToolDefinition {
  return {
    kind: 'function',
    name: nameOf(called, field),
    description: optionalText(called, 'description', `${field}.`),
    parameters: called.parameters,
    strict: called.strict === true,
    cacheControl: readMarker(tool, at) ?? readMarker(called, field),
    field,
  }
}

function nativeTool(tool: JsonObject, at: string): ToolDefinition {
  const marker = readMarker(tool, at)
  const { cache_control: _control, prompt_cache_breakpoint: _point, ...rest } = tool
  const block = marker === null ? rest : { ...rest, cache_control: marker }
  return { kind: 'native', name: nameOf(tool, at), block: block as Block, field: at }
}

function nameOf(called: JsonObject, at: string): string {
  const name = optionalText(called, 'name', `${at}.`)
  return name === null || name === '' ? missing(`${at}.name`) : name
}

function readChoice(value: unknown): {
  readonly choice: WantedChoice | null
  readonly warnings: readonly Warning[]
} {
  const choice = (wanted: WantedChoice | null) => ({ choice: wanted, warnings: [] })
  if (value === undefined || value === null) return choice(null)
  if (value === 'none' || value === 'auto' || value === 'required') return choice({ kind: value })
  if (!isObject(value)) refuseChoice()
  const { type } = value
  if (type === 'function' || type === 'custom') {
    const named = isObject(value[type]) ? value[type] : value
    const field = named === value ? 'tool_choice.name' : `tool_choice.${type}.name`
    return choice({ kind: 'named', name: textOf(named.name) ?? missing(field), field })
  }
  if (type === 'allowed_tools') {
    const allowed = isObject(value.allowed_tools) ? value.allowed_tools : value
    // All tools are sent: leaving one out would rewrite the cached prefix and unbind the thinking.
    const kind = allowed.mode === 'required' ? ('required' as const) : ('auto' as const)
    return { choice: { kind }, warnings: ['allowed-tools-not-enforced'] }
  }
  return choice(nativeChoice(value))
}

/** Anthropic's own spelling, from clients that pass it on. */
function nativeChoice(value: JsonObject): WantedChoice {
  if (value.type === 'auto' || value.type === 'none') return { kind: value.type }
  if (value.type === 'any') return { kind: 'required' }
  const name = textOf(value.name)
  if (value.type === 'tool' && name !== null)
    return { kind: 'named', name, field: 'tool_choice.name' }
  refuseChoice()
}

function refuseChoice(): never {
  refuse(
    'invalid_value',
    'tool_choice',
    "'tool_choice' must be none, auto, required, or an object that names a function, a custom tool or allowed_tools.",
  )
}

function readFunctionChoice(value: unknown): WantedChoice | null {
  if (value === undefined || value === null) return null
  if (value === 'none' || value === 'auto') return { kind: value }
  const name = isObject(value) ? textOf(value.name) : null
  if (name !== null) return { kind: 'named', name, field: 'function_call.name' }
  refuse(
    'invalid_value',
    'function_call',
    "'function_call' must be none, auto, or an object with a name.",
  )
}
