import type { Translated, Translation, TranslationContext } from '../dialect.ts'
import { readCacheControl } from '../openai/cache-control.ts'
import type { Composed } from '../openai/compose.ts'
import { compose, webSearchTool } from '../openai/compose.ts'
import {
  missing,
  optionalBoolean,
  optionalNumber,
  optionalText,
  wrongType,
} from '../openai/fields.ts'
import type { JsonObject } from '../openai/json.ts'
import { isDeeperThan, isObject } from '../openai/json.ts'
import { namedModel } from '../openai/model-name.ts'
import type { AnswerFormat } from '../openai/params.ts'
import { answerFormat, endUserOf, maxTokensOf, stopSequences } from '../openai/params.ts'
import type { ReasoningWish, WantedEffort } from '../openai/reasoning.ts'
import { readEffort } from '../openai/reasoning.ts'
import { catchRefusal, refuse } from '../openai/refusal.ts'
import type { Warning } from '../openai/warnings.ts'
import { ChatAnswer } from './answer.ts'
import type { ShownTool } from './completion.ts'
import { ignoredFields } from './fields.ts'
import { readMessages, refuseUnanswered } from './messages.ts'
import type { ChatTools } from './tools.ts'
import { readTools } from './tools.ts'

/** The body may nest as deep as the gateway's own check allows, and no translation adds a level to that. */
const MAX_DEPTH = 64

/** Translates a chat completion request; see `Translator`. */
export function translate(json: unknown, context: TranslationContext): Translation {
  return catchRefusal(() => translated(json, context))
}

function translated(json: unknown, context: TranslationContext): Translated {
  if (!isObject(json)) refuse('invalid_json', null, 'The request body must be a JSON object.')
  if (isDeeperThan(json, MAX_DEPTH))
    refuse('json_too_complex', null, 'The request body is nested too deeply.')
  const body = json
  const model = namedModel(modelName(body), context)
  refuseUnsupported(body, context)
  const { maxTokens, isClamped } = maxTokensOf(
    body,
    ['max_completion_tokens', 'max_tokens'],
    model.capabilities,
  )
  const tools = readTools(body)
  const wish = reasoningWish(body)
  const format = answerFormat(wantedFormat(body.response_format), model.capabilities)
  const stops = stopSequences(body.stop)
  const composed = compose(
    {
      body,
      model,
      maxTokens,
      turns: readMessages(body.messages, context.digest),
      refuseUnanswered,
      tools: tools.definitions,
      serverTools: isObject(body.web_search_options)
        ? [webSearchTool(body.web_search_options)]
        : [],
      choice: tools.choice,
      parallel: tools.isLegacy ? false : optionalBoolean(body, 'parallel_tool_calls'),
      reasoning: wish,
      format,
      stopSequences: stops.texts,
      endUser: endUserOf(body, context.keyId, context.digest),
      speed: optionalText(body, 'speed'),
      cacheControl:
        body.cache_control === undefined || body.cache_control === null
          ? null
          : readCacheControl(body.cache_control, 'cache_control'),
    },
    context,
  )
  const stream = optionalBoolean(body, 'stream') ?? false
  const warnings: Warning[] = [
    ...(isClamped ? (['max-tokens-lowered'] as const) : []),
    ...stops.warnings,
    ...tools.warnings,
    ...composed.warnings,
  ]
  return {
    kind: 'ok',
    body: composed.text,
    betas: composed.betas,
    ignored: [...ignoredFields(body), ...composed.ignored],
    warnings,
    stream,
    autoCache: composed.autoCache,
    autoCacheTtl: composed.autoCacheTtl,
    cacheKey: optionalText(body, 'prompt_cache_key'),
    openAnswer: answerOpener({ body, stream, tools, composed, format }),
  }
}

/** What an answer needs is read here, so that the request itself can be let go. */
function answerOpener(read: {
  readonly body: JsonObject
  readonly stream: boolean
  readonly tools: ChatTools
  readonly composed: Composed
  readonly format: AnswerFormat
}): Translated['openAnswer'] {
  const { body, stream, tools, composed, format } = read
  const options = isObject(body.stream_options) ? body.stream_options : {}
  const reasoning = isObject(body.reasoning) ? body.reasoning : {}
  const wish = {
    stream,
    includesUsage: stream && options.include_usage === true,
    showsReasoning: reasoning.exclude !== true,
    isLegacy: tools.isLegacy,
    tools: shownTools(composed.tools),
    searchesWeb: isObject(body.web_search_options),
    isLooseJson: format.isLooseJson,
    metadata: isObject(body.metadata) ? body.metadata : null,
  }
  return (about) => new ChatAnswer(wish, about)
}

/** Only the tools whose calls look different for the client; schemas need not live as long as an answer. */
function shownTools({ byUpstreamName }: Composed['tools']): ReadonlyMap<string, ShownTool> {
  const shown = new Map<string, ShownTool>()
  for (const [upstream, { name, kind }] of byUpstreamName)
    if (name !== upstream || kind === 'custom')
      shown.set(upstream, { name, isCustom: kind === 'custom' })
  return shown
}

function modelName(body: JsonObject): string {
  const { model } = body
  if (model === undefined || model === null || model === '') missing('model')
  if (typeof model !== 'string')
    refuse('missing_required_parameter', 'model', "'model' must be the id of a model as text.")
  return model
}

function refuseUnsupported(body: JsonObject, { settings }: TranslationContext): void {
  if (body.n !== undefined && body.n !== null && body.n !== 1)
    refuse('unsupported_value', 'n', "'n' must be 1: one answer per request is supported.")
  const hasAudio = Array.isArray(body.modalities) && body.modalities.includes('audio')
  if (hasAudio || (body.audio !== undefined && body.audio !== null))
    refuse('unsupported_value', 'modalities', 'Audio output is not supported here.')
  const search = body.web_search_options
  if (search === undefined || search === null) return
  if (!isObject(search)) wrongType('web_search_options', 'an object')
  if (!settings.webSearch)
    refuse(
      'unsupported_parameter',
      'web_search_options',
      "'web_search_options' is not supported here.",
    )
}

function reasoningWish(
  body: JsonObject,
): Pick<ReasoningWish, 'effort' | 'budget' | 'thinking' | 'show'> {
  const { reasoning, thinking } = body
  if (reasoning !== undefined && reasoning !== null && !isObject(reasoning))
    wrongType('reasoning', 'an object')
  if (thinking !== undefined && thinking !== null && !isObject(thinking))
    wrongType('thinking', 'an object')
  if (isObject(thinking) && typeof thinking.type !== 'string') missing('thinking.type')
  const nested = isObject(reasoning) ? reasoning : {}
  const budget = optionalNumber(nested, 'max_tokens', 'reasoning.')
  if (budget !== null && (!Number.isSafeInteger(budget) || budget < 0))
    wrongType('reasoning.max_tokens', 'a whole number')
  return {
    effort: effortOf(body, nested, budget),
    budget,
    thinking: isObject(thinking) ? thinking : null,
    show: false,
  }
}

function effortOf(
  body: JsonObject,
  nested: JsonObject,
  budget: number | null,
): WantedEffort | null {
  const effort =
    readEffort(body.reasoning_effort, 'reasoning_effort') ??
    readEffort(nested.effort, 'reasoning.effort')
  if (effort !== null || budget !== null) return effort
  if (nested.enabled === true) return 'medium'
  return nested.enabled === false ? 'none' : null
}

function wantedFormat(format: unknown) {
  if (format === undefined || format === null) return null
  if (!isObject(format)) wrongType('response_format', 'an object')
  const wrapped = format.json_schema
  if (wrapped !== undefined && wrapped !== null && !isObject(wrapped))
    wrongType('response_format.json_schema', 'an object')
  const inner = isObject(wrapped) ? wrapped : {}
  return {
    type: format.type,
    schema: inner.schema,
    description: inner.description,
    field: 'response_format',
    schemaField: 'response_format.json_schema.schema',
  }
}
