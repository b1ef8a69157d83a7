import { readMarker } from '../openai/cache-control.ts'
import { webSearchTool } from '../openai/compose.ts'
import {
  missing,
  optionalArray,
  optionalBoolean,
  optionalText,
  wrongType,
} from '../openai/fields.ts'
import type { JsonObject } from '../openai/json.ts'
import { isObject, textOf } from '../openai/json.ts'
import { refuse } from '../openai/refusal.ts'
import type { ToolDefinition, WantedChoice } from '../openai/tools.ts'
import type { Block, CacheControl } from '../openai/upstream.ts'
import type { Warning } from '../openai/warnings.ts'

/** A tool of a Responses request; `name` is the flat one, `<namespace>__<ownName>` where it has a namespace. */
export type ResponsesTool = ToolDefinition & {
  /** The name that the client knows. */
  readonly ownName: string
  readonly namespace: string | null
}

/** The tools of a request, from `tools` and from `additional_tools` items. */
export interface ReadTools {
  readonly definitions: readonly ResponsesTool[]
  /** Tools that upstream runs itself: its web search, or nothing. */
  readonly serverTools: readonly Block[]
  /** Types of tools that were left out, and that the caller should know of. */
  readonly dropped: readonly string[]
}

/** A list of tools, and where it stands: `tools`, `input[2].tools`. */
export interface ToolList {
  readonly tools: unknown
  readonly field: string
}

/** Left out with a warning: the model does without, as it would where the client did not offer them. */
const DROPPED = new Set([
  'apply_patch',
  'image_generation',
  'local_shell',
  'programmatic_tool_calling',
  'shell',
  'tool_search',
])

/** The name of upstream's web search; a client's tool may have it too. */
const WEB_SEARCH = 'web_search'

/**
 * Reads the tools of a request, those of `tools` before those of later lists; of one name, the first list
 * that has it wins. `webSearch`: the operator lets upstream search the web.
 */
export function readTools(lists: readonly ToolList[], webSearch: boolean): ReadTools {
  const definitions: ResponsesTool[] = []
  const searches: Block[] = []
  const dropped = new Set<string>()
  const taken = new Set<string>()
  for (const { tools, field } of lists) {
    const found: ResponsesTool[] = []
    for (const [i, tool] of (optionalArray({ [field]: tools }, field) ?? []).entries())
      readTool(tool, `${field}[${i}]`, { found, searches, dropped, webSearch })
    for (const tool of found) if (!taken.has(tool.name)) definitions.push(tool)
    for (const { name } of found) taken.add(name)
  }
  // Upstream wants every name once: the client's own tool of that name stays.
  const isTaken = taken.has(WEB_SEARCH)
  if (isTaken && searches.length > 0) dropped.add(WEB_SEARCH)
  const serverTools = isTaken ? [] : searches.slice(0, 1)
  return { definitions, serverTools, dropped: [...dropped] }
}

interface Reading {
  readonly found: ResponsesTool[]
  readonly searches: Block[]
  readonly dropped: Set<string>
  readonly webSearch: boolean
}

function readTool(tool: unknown, field: string, reading: Reading): void {
  if (!isObject(tool)) wrongType(field, 'an object')
  const type = textOf(tool.type)
  if (type === 'namespace') {
    readNamespace(tool, field, reading)
    return
  }
  if (type === 'function' || type === 'custom' || isObject(tool.input_schema)) {
    reading.found.push(clientTool(tool, field, null))
    return
  }
  if (type === null) missing(`${field}.type`)
  if (/^web_search(?:_|$)/.test(type)) {
    // Codex offers it in every request, so that it is off must never be an error.
    if (reading.webSearch && tool.external_web_access !== false)
      reading.searches.push(searchTool(tool, field))
    else reading.dropped.add(WEB_SEARCH)
    return
  }
  if (!DROPPED.has(type)) refuseType(type, field)
  reading.dropped.add(type)
}

/** The tools of a namespace, each under a name of its own upstream. */
function readNamespace(tool: JsonObject, field: string, { found }: Reading): void {
  const namespace = nameOf(tool, field)
  for (const [i, inner] of (optionalArray(tool, 'tools', `${field}.`) ?? []).entries()) {
    const at = `${field}.tools[${i}]`
    if (!isObject(inner)) wrongType(at, 'an object')
    if (inner.type !== 'function' && inner.type !== 'custom')
      refuseType(textOf(inner.type) ?? '', at)
    found.push(clientTool(inner, at, namespace))
  }
}

function clientTool(tool: JsonObject, field: string, namespace: string | null): ResponsesTool {
  // Anthropic's own tools may call themselves custom, too; their schema tells them apart.
  const isNative = isObject(tool.input_schema)
  const isCustom = tool.type === 'custom' && !isNative
  // Chat's nested form is understood as well: frameworks speak both with one set of definitions.
  const nested = isCustom ? tool.custom : tool.function
  const definition = isObject(nested) ? nested : tool
  const ownName = nameOf(definition, definition === tool ? field : `${field}.${tool.type}`)
  const name = namespace === null ? ownName : flatName(namespace, ownName)
  const description = optionalText(definition, 'description', `${field}.`)
  const cacheControl = readMarker(tool, field)
  const common = { name, ownName, namespace, description, field, cacheControl }
  if (isCustom) return { ...common, kind: 'custom', format: definition.format }
  if (isNative) return { ...common, kind: 'native', block: nativeBlock(tool, name, cacheControl) }
  const strict = optionalBoolean(definition, 'strict', `${field}.`) === true
  return { ...common, kind: 'function', parameters: definition.parameters, strict }
}

/** A copy: markers over upstream's limit are taken off it, and the answer repeats the request as it came. */
function nativeBlock(tool: JsonObject, name: string, marker: CacheControl | null): Block {
  const { cache_control: _control, prompt_cache_breakpoint: _point, ...rest } = tool
  const block = { ...rest, name } as Block // a tool of Anthropic's shape
  if (marker !== null) block.cache_control = marker
  return block
}

/** The name under which a tool of a namespace goes upstream (and is made to fit there, where it is too long). */
export function flatName(namespace: string, name: string): string {
  return `${namespace}__${name}`
}

function searchTool(tool: JsonObject, field: string): Block {
  const filters = isObject(tool.filters) ? tool.filters : {}
  const domains = optionalArray(filters, 'allowed_domains', `${field}.filters.`) ?? []
  const found = webSearchTool(tool)
  return domains.length === 0 ? found : { ...found, allowed_domains: domains }
}

/** Reads `tool_choice`; null where it is absent. */
export function readToolChoice(
  choice: unknown,
  definitions: readonly ResponsesTool[],
): { readonly choice: WantedChoice | null; readonly warnings: readonly Warning[] } {
  const plain = (kind: 'none' | 'auto' | 'required', ...warnings: Warning[]) => ({
    choice: { kind },
    warnings,
  })
  if (choice === undefined || choice === null) return { choice: null, warnings: [] }
  if (choice === 'none' || choice === 'auto' || choice === 'required') return plain(choice)
  if (!isObject(choice)) refuseChoice(choice)
  const type = textOf(choice.type)
  if (type === null) missing('tool_choice.type')
  if (type === 'allowed_tools')
    return plain(choice.mode === 'required' ? 'required' : 'auto', 'allowed-tools-not-enforced')
  // Tools that run elsewhere may be offered here or not; none of them can be forced.
  if (type !== 'function' && type !== 'custom') return plain('auto', 'forced-tool-choice-degraded')
  const nested = isObject(choice[type]) ? choice[type] : choice
  const ownName = nameOf(nested, 'tool_choice')
  const namespace = textOf(choice.namespace)
  const tool = definitions.find(
    (it) => it.ownName === ownName && (namespace === null || it.namespace === namespace),
  )
  const name = tool?.name ?? ownName
  return { choice: { kind: 'named', name, field: 'tool_choice' }, warnings: [] }
}

function refuseChoice(choice: unknown): never {
  if (typeof choice !== 'string') wrongType('tool_choice', 'a string or an object')
  refuse(
    'invalid_value',
    'tool_choice',
    `Invalid value: '${choice.slice(0, 100)}'. Supported values are: 'none', 'auto', and 'required'.`,
  )
}

function refuseType(type: string, field: string): never {
  refuse(
    'unsupported_value',
    `${field}.type`,
    `Tools of type '${type.slice(0, 100)}' are not supported here. Supported: 'function', 'custom', 'namespace' and 'web_search'.`,
  )
}

function nameOf(object: JsonObject, field: string): string {
  const name = optionalText(object, 'name', `${field}.`)
  if (name === null || name === '') missing(`${field}.name`)
  return name
}
