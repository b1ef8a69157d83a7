import type { Digest } from './ids.ts'
import { upstreamToolName } from './ids.ts'
import type { JsonObject } from './json.ts'
import { refuse } from './refusal.ts'
import { inputSchema, joined, sanitizeSchema } from './schema.ts'
import type { Block, CacheControl } from './upstream.ts'
import type { Warning } from './warnings.ts'

/** A tool as a client defined it. */
export type ToolDefinition =
  | {
      readonly kind: 'function'
      readonly name: string
      readonly description: string | null
      readonly parameters: unknown
      readonly strict: boolean
      readonly cacheControl: CacheControl | null
      /** Where it stands: `tools[0]`. */
      readonly field: string
    }
  | {
      readonly kind: 'custom'
      readonly name: string
      readonly description: string | null
      /** The client's `format`, a grammar for example. */
      readonly format: unknown
      readonly cacheControl: CacheControl | null
      readonly field: string
    }
  | {
      /** In Anthropic's own shape already; passes verbatim. */
      readonly kind: 'native'
      readonly name: string
      readonly block: Block
      readonly field: string
    }

/** The tools of one request, and how to tell a call's tool again. */
export interface ToolSet<T extends ToolDefinition = ToolDefinition> {
  /** As they go upstream, in the client's order. */
  readonly blocks: readonly Block[]
  /** By the name that upstream knows. */
  readonly byUpstreamName: ReadonlyMap<string, T>
  readonly warnings: readonly Warning[]
}

/** Upstream's limits on strict tools, over all tools of a request. */
const MAX_STRICT = { tools: 20, optional: 24, unions: 16 } as const

/** The tools as upstream accepts them. Refuses a name that stands twice. */
export function buildTools<T extends ToolDefinition>(
  definitions: readonly T[],
  digest: Digest,
): ToolSet<T> {
  const byUpstreamName = new Map<string, T>()
  for (const definition of definitions) {
    const name = upstreamNameOf(definition, digest)
    if (byUpstreamName.has(name))
      refuse(
        'invalid_value',
        definition.field,
        `Tool names must be unique: '${definition.name.slice(0, 100)}' is there twice.`,
      )
    byUpstreamName.set(name, definition)
  }
  const warnings = new Set<Warning>()
  const strict = strictSchemas(definitions, warnings)
  const blocks: Block[] = []
  for (const [name, definition] of byUpstreamName)
    blocks.push(toolBlock(definition, name, strict.get(definition), warnings))
  return { blocks, byUpstreamName, warnings: [...warnings] }
}

/** The name under which upstream knows a tool. */
export function upstreamNameOf(definition: ToolDefinition, digest: Digest): string {
  if (definition.kind === 'native') return definition.name
  return upstreamToolName(definition.name, digest)
}

function toolBlock(
  definition: ToolDefinition,
  name: string,
  strictSchema: JsonObject | undefined,
  warnings: Set<Warning>,
): Block {
  if (definition.kind === 'native') return definition.block
  // Written member by member: thousands of tools are a matter of every microsecond.
  const block: { -readonly [member in keyof Block]: Block[member] } = { name }
  if (definition.kind === 'custom') {
    const description = customDescription(definition.description, definition.format)
    if (description !== definition.description) warnings.add('grammar-in-words')
    if (description) block.description = description
    block.input_schema = CUSTOM_SCHEMA
  } else {
    const { schema, note } = inputSchema(definition.parameters, definition.field)
    const { description } = definition
    if (note !== null) {
      block.description = joined(description, note)
      warnings.add('tool-alternatives-merged')
    } else if (description) block.description = description
    block.input_schema = strictSchema ?? schema
    if (strictSchema !== undefined) block.strict = true
  }
  if (definition.cacheControl !== null) block.cache_control = definition.cacheControl
  return block
}

/** What a custom tool's call carries upstream: its text as the one member `input`. */
const CUSTOM_SCHEMA = {
  type: 'object',
  properties: { input: { type: 'string' } },
  required: ['input'],
  additionalProperties: false,
}

/** Upstream has no grammars: the model is told of it in words. */
function customDescription(description: string | null, format: unknown): string | null {
  if (format === undefined || format === null) return description
  const { type, grammar } = format as { type?: unknown; grammar?: unknown }
  if (type === 'text') return description
  // Chat nests it one deeper than the Responses API.
  const { syntax, definition } = (grammar ?? format) as { syntax?: unknown; definition?: unknown }
  if (typeof definition !== 'string') return description
  const kind = typeof syntax === 'string' ? `${syntax} grammar` : 'grammar'
  return joined(description, `The input must follow this ${kind}:\n${definition}`)
}

/**
 * The schemas of the tools that may stay strict. An open or recursive schema cannot; over a limit of
 * upstream's none is, so that the same request never half works.
 */
function strictSchemas(
  definitions: readonly ToolDefinition[],
  warnings: Set<Warning>,
): ReadonlyMap<ToolDefinition, JsonObject> {
  const schemas = new Map<ToolDefinition, JsonObject>()
  let optional = 0
  let unions = 0
  let isDropped = false
  let hasWords = false
  for (const definition of definitions) {
    if (definition.kind !== 'function' || !definition.strict) continue
    const { schema } = inputSchema(definition.parameters, definition.field)
    const clean = sanitizeSchema(schema)
    if (clean.isOpen || clean.isRecursive) {
      isDropped = true
      continue
    }
    optional += clean.optionalCount
    unions += clean.unionCount
    hasWords ||= clean.hasWords
    schemas.set(definition, clean.schema)
  }
  if (
    schemas.size > MAX_STRICT.tools ||
    optional > MAX_STRICT.optional ||
    unions > MAX_STRICT.unions
  ) {
    schemas.clear()
    isDropped = true
  }
  if (isDropped) warnings.add('strict-tools-degraded')
  if (hasWords && schemas.size > 0) warnings.add('schema-keywords-in-words')
  return schemas
}

/** A client's `tool_choice`, in either API's spelling, as one of these. */
export type WantedChoice =
  | { readonly kind: 'none' | 'auto' | 'required' }
  /** The client's name of the tool, and where it stands. */
  | { readonly kind: 'named'; readonly name: string; readonly field: string }

/** How a tool choice goes upstream, and what had to give. */
export interface ToolChoice {
  /** Upstream's `tool_choice`; null: not sent. */
  readonly value: JsonObject | null
  readonly warnings: readonly Warning[]
}

/**
 * Maps a tool choice. `canForce` false (the model refuses it, or thinks by budget): forced becomes auto, or
 * is refused where the operator wants that.
 */
export function toolChoice(
  choice: WantedChoice | null,
  options: {
    readonly hasTools: boolean
    /** Upstream's name of the client's tool; null: there is none of that name. */
    readonly upstreamNameOf: (name: string) => string | null
    readonly parallel: boolean | null
    readonly canForce: boolean
    readonly onForced: 'degrade' | 'reject'
  },
): ToolChoice {
  const { parallel, canForce, onForced } = options
  if (!options.hasTools) return { value: null, warnings: [] }
  const solo = parallel === null ? {} : { disable_parallel_tool_use: !parallel }
  if (choice === null)
    return { value: parallel === false ? { type: 'auto', ...solo } : null, warnings: [] }
  if (choice.kind === 'none') return { value: { type: 'none' }, warnings: [] }
  if (choice.kind === 'auto') return { value: { type: 'auto', ...solo }, warnings: [] }
  const named = choice.kind === 'named' ? options.upstreamNameOf(choice.name) : null
  if (choice.kind === 'named' && named === null)
    refuse(
      'invalid_value',
      choice.field,
      `Tool choice '${choice.name.slice(0, 100)}' not found in 'tools' parameter.`,
    )
  if (!canForce) {
    if (onForced === 'reject')
      refuse(
        'unsupported_value',
        'tool_choice',
        "This model does not support a forced 'tool_choice' on this request. Use 'auto'.",
      )
    return { value: { type: 'auto', ...solo }, warnings: ['forced-tool-choice-degraded'] }
  }
  const forced = choice.kind === 'named' ? { type: 'tool', name: named } : { type: 'any' }
  return { value: { ...forced, ...solo }, warnings: [] }
}
