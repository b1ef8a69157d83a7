import type { ModelCapabilities } from './capabilities.ts'
import { optionalNumber, optionalText, wrongType } from './fields.ts'
import type { Digest } from './ids.ts'
import type { JsonObject } from './json.ts'
import { isObject } from './json.ts'
import { refuse } from './refusal.ts'
import { sanitizeSchema } from './schema.ts'
import type { Block } from './upstream.ts'
import { textBlock } from './upstream.ts'
import type { Warning } from './warnings.ts'

/** What an answer may be long where the client does not say: enough for tool calls and thinking. */
const DEFAULT_MAX_TOKENS = 32_000

/**
 * `max_tokens` upstream, from the first of these fields that is there. The hold uses the same number.
 * `isClamped`: the client asked for more than the model has.
 */
export function maxTokensOf(
  body: JsonObject,
  names: readonly string[],
  capabilities: ModelCapabilities,
): { readonly maxTokens: number; readonly isClamped: boolean } {
  const { maxOutput } = capabilities
  const name = names.find((known) => body[known] !== undefined && body[known] !== null)
  if (name === undefined)
    return { maxTokens: Math.min(maxOutput, DEFAULT_MAX_TOKENS), isClamped: false }
  const value = body[name]
  if (typeof value !== 'number') wrongType(name, 'a whole number')
  if (!Number.isSafeInteger(value) || value <= 0)
    refuse('invalid_value', name, `'${name}' must be a whole number of at least 1.`)
  return { maxTokens: Math.min(value, maxOutput), isClamped: value > maxOutput }
}

/** How an answer is sampled, and what of the client's wish had no effect or was changed. */
export interface Sampling {
  /** Upstream's fields; empty where the model or its thinking does not allow any. */
  readonly fields: {
    readonly temperature?: number
    readonly top_p?: number
    readonly top_k?: number
  }
  readonly ignored: readonly string[]
  readonly warnings: readonly Warning[]
}

/** Maps sampling; 1, the default of `temperature` and `top_p`, asks for nothing where it is left out. */
export function samplingOf(body: JsonObject, isAllowed: boolean): Sampling {
  const temperature = optionalNumber(body, 'temperature')
  const topP = optionalNumber(body, 'top_p')
  const topK = optionalNumber(body, 'top_k')
  if (temperature !== null && (temperature < 0 || temperature > 2))
    refuse('invalid_value', 'temperature', "'temperature' must be between 0 and 2.")
  if (topP !== null && (topP < 0 || topP > 1))
    refuse('invalid_value', 'top_p', "'top_p' must be between 0 and 1.")
  const isAsked = { temperature: isOther(temperature), top_p: isOther(topP), top_k: topK !== null }
  if (!isAllowed) return { fields: {}, ignored: namesOf(isAsked), warnings: [] }
  // Models refuse both together.
  const hasTopP = topP !== null && temperature === null
  return {
    fields: {
      ...(temperature === null ? {} : { temperature: Math.min(temperature, 1) }),
      ...(hasTopP ? { top_p: topP } : {}),
      ...(topK === null ? {} : { top_k: topK }),
    },
    ignored: isAsked.top_p && !hasTopP ? ['top_p'] : [],
    warnings: temperature !== null && temperature > 1 ? ['temperature-lowered'] : [],
  }
}

function isOther(value: number | null): boolean {
  return value !== null && value !== 1
}

function namesOf(flags: Readonly<Record<string, boolean>>): string[] {
  return Object.keys(flags).filter((name) => flags[name])
}

/** Stop sequences as upstream accepts them: none is blank. */
export function stopSequences(stop: unknown): {
  readonly texts: readonly string[]
  readonly warnings: readonly Warning[]
} {
  if (stop === undefined || stop === null) return { texts: [], warnings: [] }
  const list: readonly unknown[] = Array.isArray(stop) ? stop : [stop]
  const texts: string[] = []
  let hasBlank = false
  list.forEach((item, i) => {
    if (typeof item !== 'string') wrongType(Array.isArray(stop) ? `stop[${i}]` : 'stop', 'a string')
    if (item.trim() !== '') texts.push(item)
    // An empty one would stop nothing anywhere.
    else if (item !== '') hasBlank = true
  })
  return { texts, warnings: hasBlank ? ['blank-stop-dropped'] : [] }
}

/** The opaque id that stands for a client's end user; null where it names none. */
export function endUserOf(body: JsonObject, keyId: string, digest: Digest): string | null {
  const user = optionalText(body, 'safety_identifier') ?? optionalText(body, 'user')
  return user === null || user === '' ? null : digest.sha256(`${keyId}:${user}`)
}

/** Upstream's service tier and speed for OpenAI's `service_tier`. `isIgnored`: the wish has no effect. */
export function serviceOf(
  body: JsonObject,
  priorityIsFast: boolean,
): {
  readonly service_tier?: 'standard_only'
  readonly speed?: 'fast'
  readonly isIgnored: boolean
} {
  const tier = optionalText(body, 'service_tier')
  if (tier === 'default') return { service_tier: 'standard_only', isIgnored: false }
  if (priorityIsFast && (tier === 'priority' || tier === 'fast'))
    return { speed: 'fast', isIgnored: false }
  return { isIgnored: tier !== null && tier !== 'auto' }
}

/** How an answer's format goes upstream: as a schema, or in words. */
export interface AnswerFormat {
  /** Upstream's `output_config.format`; null: not sent. */
  readonly format: JsonObject | null
  /** Goes behind the system prompt; null: nothing. */
  readonly instruction: Block | null
  /** The answer is JSON of a shape that nothing enforces: a fence around it is taken off. */
  readonly isLooseJson: boolean
  readonly warnings: readonly Warning[]
}

const TEXT: AnswerFormat = { format: null, instruction: null, isLooseJson: false, warnings: [] }

function inWords(text: string): AnswerFormat {
  const instruction = textBlock(text)
  return { format: null, instruction, isLooseJson: true, warnings: ['format-in-words'] }
}

/** A format in either API's spelling: `schema` is the member that holds the JSON Schema. */
export interface WantedFormat {
  readonly type: unknown
  readonly schema: unknown
  readonly description: unknown
  /** Where the format stands, and where its schema does. */
  readonly field: string
  readonly schemaField: string
}

/** Maps `response_format` of chat or `text.format` of the Responses API. */
export function answerFormat(
  wanted: WantedFormat | null,
  capabilities: ModelCapabilities,
): AnswerFormat {
  if (wanted === null || wanted.type === 'text') return TEXT
  if (wanted.type === 'json_object')
    return inWords('Respond with one valid JSON object and nothing else.')
  if (wanted.type !== 'json_schema')
    refuse(
      'invalid_value',
      `${wanted.field}.type`,
      `'${wanted.field}.type' must be text, json_object or json_schema.`,
    )
  if (wanted.schema === undefined || wanted.schema === null)
    refuse(
      'missing_required_parameter',
      wanted.schemaField,
      `Missing required parameter: '${wanted.schemaField}'.`,
    )
  if (!isObject(wanted.schema)) wrongType(wanted.schemaField, 'a JSON Schema object')
  return bySchema(wanted.schema, wanted.description, capabilities)
}

function bySchema(
  schema: JsonObject,
  description: unknown,
  capabilities: ModelCapabilities,
): AnswerFormat {
  const named =
    typeof description === 'string' && schema.description === undefined
      ? { ...schema, description }
      : schema
  const clean = sanitizeSchema(named)
  // A grammar forbids what a schema leaves open: a map could only be empty.
  if (capabilities.jsonSchema && !clean.isRecursive && !clean.isOpen)
    return {
      ...TEXT,
      format: { type: 'json_schema', schema: clean.schema },
      warnings: clean.hasWords ? ['schema-keywords-in-words'] : [],
    }
  return inWords(
    `Answer only with one JSON value that follows this JSON Schema, and with nothing else:\n${JSON.stringify(named)}`,
  )
}
