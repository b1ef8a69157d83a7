import type { TranslationContext } from '../dialect.ts'
import { readCacheControl } from '../openai/cache-control.ts'
import type { Composed } from '../openai/compose.ts'
import { compose } from '../openai/compose.ts'
import { missing, optionalBoolean, optionalText, wrongType } from '../openai/fields.ts'
import type { Turn } from '../openai/history.ts'
import type { JsonObject } from '../openai/json.ts'
import { isDeeperThan, isObject, textOf } from '../openai/json.ts'
import { namedModel } from '../openai/model-name.ts'
import type { AnswerFormat } from '../openai/params.ts'
import { answerFormat, endUserOf, maxTokensOf } from '../openai/params.ts'
import { readEffort } from '../openai/reasoning.ts'
import { refuse } from '../openai/refusal.ts'
import type { Warning } from '../openai/warnings.ts'
import { callNames } from './call-names.ts'
import { ignoredFields, refuseUnsupported } from './fields.ts'
import { additionalTools, readInput } from './input.ts'
import { contentBlocks } from './parts.ts'
import type { ResponsesTool } from './tools.ts'
import { readToolChoice, readTools } from './tools.ts'

/** JSON that nests deeper is refused by upstream, and by everything between. */
const MAX_DEPTH = 64

/** A Responses request as it goes upstream, and what its answer takes over. */
export interface TranslatedRequest {
  readonly body: JsonObject
  readonly composed: Composed<ResponsesTool>
  readonly ignored: readonly string[]
  readonly warnings: readonly Warning[]
  readonly stream: boolean
  readonly format: AnswerFormat
  readonly cacheKey: string | null
}

/** Translates a parsed body; unwinds with a refusal where it cannot be translated. */
export function translateRequest(json: unknown, context: TranslationContext): TranslatedRequest {
  if (!isObject(json)) refuse('invalid_json', null, 'The request body must be a JSON object.')
  if (isDeeperThan(json, MAX_DEPTH))
    refuse('json_too_complex', null, 'The request body is nested too deeply. Simplify it.')
  const model = modelOf(json, context)
  refuseUnsupported(json)
  const { maxTokens, isClamped } = maxTokensOf(json, ['max_output_tokens'], model.capabilities)
  const lists = [{ tools: json.tools, field: 'tools' }, ...additionalTools(json.input)]
  const tools = readTools(lists, context.settings.webSearch)
  const upstreamName = callNames(tools.definitions, context.digest)
  const input = readInput(json.input, upstreamName)
  const turns = [...instructionTurns(json), ...input.turns]
  if (turns.every(isEmpty))
    refuse('invalid_value', 'input', "'input' has no content: all of it is empty.")
  const { choice, warnings: choiceWarnings } = readToolChoice(json.tool_choice, tools.definitions)
  const format = formatOf(json, model.capabilities)
  const composed = compose<ResponsesTool>(
    {
      body: json,
      model,
      maxTokens,
      turns,
      refuseUnanswered,
      tools: tools.definitions,
      serverTools: tools.serverTools,
      choice,
      parallel: optionalBoolean(json, 'parallel_tool_calls'),
      reasoning: { ...reasoningWish(json), budget: null, thinking: null },
      format,
      stopSequences: [],
      endUser: endUserOf(json, context.keyId, context.digest),
      speed: optionalText(json, 'speed'),
      cacheControl: topLevelMarker(json),
    },
    context,
  )
  const warnings: Warning[] = [
    ...(isClamped ? (['max-tokens-lowered'] as const) : []),
    ...tools.dropped.map((type) => `tool-dropped:${type}` as const),
    ...input.dropped.map((type) => `item-dropped:${type}` as const),
    ...choiceWarnings,
    ...composed.warnings.filter((word) => !choiceWarnings.includes(word)),
  ]
  return {
    body: json,
    composed,
    ignored: [...ignoredFields(json), ...composed.ignored],
    warnings,
    stream: optionalBoolean(json, 'stream') === true,
    format,
    cacheKey: textOf(json.prompt_cache_key),
  }
}

function modelOf(body: JsonObject, context: TranslationContext) {
  const name = optionalText(body, 'model')
  if (name === null || name === '') missing('model')
  return namedModel(name, context)
}

function instructionTurns(body: JsonObject): readonly Turn[] {
  const instructions = optionalText(body, 'instructions')
  const blocks = contentBlocks(instructions, 'text', 'instructions')
  return blocks.length === 0 ? [] : [{ kind: 'system', blocks }]
}

function isEmpty(turn: Turn): boolean {
  if (turn.kind === 'result') return false
  return turn.blocks.length === 0 && (turn.kind !== 'assistant' || turn.calls.length === 0)
}

function reasoningWish(body: JsonObject) {
  const { reasoning } = body
  if (reasoning === undefined || reasoning === null) return { effort: null, show: false }
  if (!isObject(reasoning)) wrongType('reasoning', 'an object')
  const summary = reasoning.summary ?? reasoning.generate_summary
  const show = summary === 'auto' || summary === 'concise' || summary === 'detailed'
  return { effort: readEffort(reasoning.effort, 'reasoning.effort'), show }
}

function formatOf(
  body: JsonObject,
  capabilities: Parameters<typeof answerFormat>[1],
): AnswerFormat {
  const { text } = body
  if (text === undefined || text === null) return answerFormat(null, capabilities)
  if (!isObject(text)) wrongType('text', 'an object')
  const { format } = text
  if (format === undefined || format === null) return answerFormat(null, capabilities)
  if (!isObject(format)) wrongType('text.format', 'an object')
  const { type, schema, description } = format
  const field = 'text.format'
  return answerFormat(
    { type, schema, description, field, schemaField: `${field}.schema` },
    capabilities,
  )
}

function topLevelMarker(body: JsonObject) {
  const control = body.cache_control
  if (control === undefined || control === null) return null
  return readCacheControl(control, 'cache_control')
}

function refuseUnanswered(ids: readonly string[]): never {
  const shown = ids.slice(0, 10).map((id) => id.slice(0, 100))
  refuse('invalid_value', 'input', `No tool output found for function call ${shown.join(', ')}.`)
}
