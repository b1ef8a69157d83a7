import type { ModelCapabilities } from './capabilities.ts'
import { optionalNumber, optionalText, wrongType } from './fields.ts'
import type { Digest } from './ids.ts'
import type { JsonObject } from './json.ts'
import { isObject } from './json.ts'
import { refuse } from './refusal.ts'
import { sanitizeSchema } from './schema.ts'
import type { Block } from './upstream.ts'
import { textBlock } from './upstream.ts'

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
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value <= 0)
    refuse('invalid_value', name, `'${name}' must be a whole number from 1 to ${maxOutput}.`)
  return { maxTokens: Math.min(value, maxOutput), isClamped: value > maxOutput }
}

/** Upstream's sampling fields; empty where the model or its thinking does not allow any. */
export function samplingOf(
  body: JsonObject,
  isAllowed: boolean,
): { readonly temperature?: number; readonly top_p?: number; readonly top_k?: number } {
  const temperature = optionalNumber(body, 'temperature')
  const topP = optionalNumber(body, 'top_p')
  const topK = optionalNumber(body, 'top_k')
  if (temperature !== null && (temperature < 0 || temperature > 2))
    refuse('invalid_value', 'temperature', "'temperature' must be between 0 and 2.")
  if (topP !== null && (topP < 0 || topP > 1))
    refuse('invalid_value', 'top_p', "'top_p' must be between 0 and 1.")
  if (!isAllowed) return {}
  return {
    ...(temperature === null ? {} : { temperature: Math.min(temperature, 1) }),
    // Models refuse both together.
    ...(topP === null || temperature !== null ? {} : { top_p: topP }),
    ...(topK === null ? {} : { top_k: topK }),
  }
}

/** Stop sequences as upstream accepts them: none is blank. */
export function stopSequences(stop: unknown): readonly string[] {
  if (stop === undefined || stop === null) return []
  const list: readonly unknown[] = Array.isArray(stop) ? stop : [stop]
  const texts: string[] = []
  list.forEach((item, i) => {
    if (typeof item !== 'string') wrongType(Array.isArray(stop) ? `stop[${i}]` : 'stop', 'a string')
    if (item.trim() !== '') texts.push(item)
  })
  return texts
}

/** The opaque id that stands for a client's end user; null where it names none. */
export function endUserOf(body: JsonObject, keyId: string, digest: Digest): string | null {
  const user = optionalText(body, 'safety_identifier') ?? optionalText(body, 'user')
  return user === null || user === '' ? null : digest.sha256(`${keyId}:${user}`)
}

/** Upstream's service tier and speed for OpenAI's `service_tier`. */
export function serviceOf(
  body: JsonObject,
  priorityIsFast: boolean,
): { readonly service_tier?: 'standard_only'; readonly speed?: 'fast' } {
  const tier = optionalText(body, 'service_tier')
  if (tier === 'default') return { service_tier: 'standard_only' }
  if (priorityIsFast && (tier === 'priority' || tier === 'fast')) return { speed: 'fast' }
  return {}
}

/** How an answer's format goes upstream: as a schema, or in words. */
export interface AnswerFormat {
  /** Upstream's `output_config.format`; null: not sent. */
  readonly format: JsonObject | null
  /** Goes behind the system prompt; null: nothing. */
  readonly instruction: Block | null
  /** The answer is JSON of no given shape: a fence around it is taken off where it does not stream. */
  readonly isLooseJson: boolean
}

const TEXT: AnswerFormat = { format: null, instruction: null, isLooseJson: false }

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
    return {
      format: null,
      instruction: textBlock('Respond with one valid JSON object and nothing else.'),
      isLooseJson: true,
    }
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
  if (capabilities.jsonSchema && !clean.isRecursive)
    return {
      format: { type: 'json_schema', schema: clean.schema },
      instruction: null,
      isLooseJson: false,
    }
  const text = `Answer only with one JSON value that follows this JSON Schema, and with nothing else:\n${JSON.stringify(named)}`
  return { format: null, instruction: textBlock(text), isLooseJson: true }
}
