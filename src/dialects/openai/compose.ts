import type { TranslationContext } from '../dialect.ts'
import type { AutoCache } from './cache-control.ts'
import { autoCacheTtl, limitMarkers } from './cache-control.ts'
import type { ModelCapabilities } from './capabilities.ts'
import type { Turn } from './history.ts'
import { buildHistory } from './history.ts'
import type { JsonObject } from './json.ts'
import { isObject } from './json.ts'
import type { AnswerFormat, Sampling } from './params.ts'
import { samplingOf, serviceOf } from './params.ts'
import type { ReasoningWish } from './reasoning.ts'
import { LEFT_OUT, lacksThinking, reasoningOf } from './reasoning.ts'
import type { ToolDefinition, ToolSet, WantedChoice } from './tools.ts'
import { buildTools, toolChoice } from './tools.ts'
import type { Block, CacheControl, UpstreamBody } from './upstream.ts'
import { writeBody } from './upstream.ts'
import type { Warning } from './warnings.ts'

/** A client's request, read: what both of OpenAI's formats say, in the same words. */
export interface RequestParts<T extends ToolDefinition = ToolDefinition> {
  /** The client's whole body: sampling, service tier and end user are read from it. */
  readonly body: JsonObject
  readonly model: { readonly id: string; readonly capabilities: ModelCapabilities }
  readonly maxTokens: number
  readonly turns: readonly Turn[]
  /** Refuses, with the client's ids of calls that have no result. */
  readonly refuseUnanswered: (ids: readonly string[]) => never
  readonly tools: readonly T[]
  /** Tools that upstream runs itself, behind the client's. */
  readonly serverTools: readonly Block[]
  readonly choice: WantedChoice | null
  readonly parallel: boolean | null
  readonly reasoning: Pick<ReasoningWish, 'effort' | 'budget' | 'thinking' | 'show'>
  readonly format: AnswerFormat
  readonly stopSequences: readonly string[]
  /** The hashed id of the end user. */
  readonly endUser: string | null
  /** `speed` as the client says it; null: by the service tier. */
  readonly speed: string | null
  readonly cacheControl: CacheControl | null
}

/** The upstream body of a request, and what its answer needs. */
export interface Composed<T extends ToolDefinition = ToolDefinition> {
  readonly text: string
  readonly betas: readonly string[]
  /** Members of the body that had no effect on this request, though they have on others. */
  readonly ignored: readonly string[]
  readonly warnings: readonly Warning[]
  /** What went up of the client's sampling. */
  readonly sampling: Sampling['fields']
  readonly tools: ToolSet<T>
  readonly autoCache: AutoCache
  readonly autoCacheTtl: '5m' | '1h'
}

/** Composes the upstream body of a request. */
export function compose<T extends ToolDefinition>(
  parts: RequestParts<T>,
  context: TranslationContext,
): Composed<T> {
  const { capabilities } = parts.model
  const wish = { ...parts.reasoning, maxTokens: parts.maxTokens, capabilities }
  let reasoning = reasoningOf(wish)
  const { system, messages } = buildHistory(parts.turns, {
    midSystem: capabilities.midSystem,
    // Upstream refuses a prefill beside structured output and beside thinking by budget.
    prefill: capabilities.prefill && parts.format.format === null && !reasoning.isBudget,
    digest: context.digest,
    repair: context.settings.repairToolHistory,
    refuseUnanswered: parts.refuseUnanswered,
  })
  if (reasoning.isBudget && lacksThinking(messages)) reasoning = LEFT_OUT
  const tools = buildTools(parts.tools, context.digest)
  const choice = toolChoice(parts.choice, {
    hasTools: tools.blocks.length > 0,
    upstreamNameOf: (name) => upstreamNameIn(tools, name),
    parallel: parts.parallel,
    canForce: capabilities.forcedToolChoice && !reasoning.isBudget,
    onForced: context.settings.forcedToolChoice,
  })
  const sections = {
    // A client's own tool of that name wins: upstream refuses two.
    tools: [
      ...tools.blocks,
      ...parts.serverTools.filter(({ name }) => !tools.byUpstreamName.has(String(name))),
    ],
    system: parts.format.instruction === null ? system : [...system, parts.format.instruction],
    messages,
  }
  const { topLevel, isChanged } = limitMarkers(sections, parts.cacheControl)
  const auto = topLevel === null ? autoCacheOf(parts, context, sections) : NO_AUTO_CACHE
  const service = serviceOf(parts.body, context.settings.priorityIsFast)
  const speed = parts.speed ?? service.speed
  const effort = reasoning.effort === null ? {} : { effort: reasoning.effort }
  const format = parts.format.format === null ? {} : { format: parts.format.format }
  const output = { ...effort, ...format }
  const stops = parts.stopSequences
  const sampling = samplingOf(parts.body, capabilities.sampling && !reasoning.isActive)
  const body: UpstreamBody = {
    model: parts.model.id,
    max_tokens: parts.maxTokens,
    stream: true,
    ...sampling.fields,
    stop_sequences: stops.length === 0 ? undefined : stops,
    metadata: parts.endUser === null ? undefined : { user_id: parts.endUser },
    service_tier: service.service_tier,
    speed,
    thinking: reasoning.thinking ?? undefined,
    output_config: Object.keys(output).length === 0 ? undefined : output,
    cache_control: topLevel ?? auto.marker ?? undefined,
    tools: sections.tools.length === 0 ? undefined : sections.tools,
    tool_choice: choice.value ?? undefined,
    system: sections.system.length === 0 ? undefined : sections.system,
    messages,
  }
  return {
    text: writeBody(body),
    betas: betasOf(speed, reasoning.thinking),
    ignored: [...sampling.ignored, ...(service.isIgnored ? ['service_tier'] : [])],
    warnings: [
      ...reasoning.warnings,
      ...sampling.warnings,
      ...parts.format.warnings,
      ...tools.warnings.filter((word) => !parts.format.warnings.includes(word)),
      ...choice.warnings,
      ...(isChanged ? (['cache-markers-changed'] as const) : []),
    ],
    sampling: sampling.fields,
    tools,
    autoCache: auto.kind,
    autoCacheTtl: auto.ttl,
  }
}

/** The name under which upstream knows the client's tool of this name; null: there is none. */
function upstreamNameIn(tools: ToolSet, name: string): string | null {
  for (const [upstream, definition] of tools.byUpstreamName)
    if (definition.name === name) return upstream
  return null
}

interface AutoCacheChoice {
  readonly kind: AutoCache
  readonly ttl: '5m' | '1h'
  readonly marker: CacheControl | null
}

const NO_AUTO_CACHE: AutoCacheChoice = { kind: 'off', ttl: '5m', marker: null }

/**
 * Callers of OpenAI expect caching without asking. But a write costs a quarter more, and prompts with a
 * unique tail would pay it for ever; so only where the client names its prompt, or the prefix is known.
 */
function autoCacheOf(
  { body }: RequestParts,
  { settings }: TranslationContext,
  sections: Parameters<typeof autoCacheTtl>[0],
): AutoCacheChoice {
  const options = body.prompt_cache_options
  if (settings.autoCache === 'off' || (isObject(options) && options.mode === 'explicit'))
    return NO_AUTO_CACHE
  const ttl = autoCacheTtl(sections, body.prompt_cache_retention === '24h' ? '1h' : '5m')
  if (ttl === null) return NO_AUTO_CACHE
  const isNamed = typeof body.prompt_cache_key === 'string' && body.prompt_cache_key !== ''
  if (!isNamed && settings.autoCache === 'seen') return { kind: 'if_seen', ttl, marker: null }
  const marker: CacheControl = ttl === '1h' ? { type: 'ephemeral', ttl } : { type: 'ephemeral' }
  return { kind: 'on', ttl, marker }
}

function betasOf(speed: string | undefined, thinking: JsonObject | null): string[] {
  const betas: string[] = []
  if (speed === 'fast') betas.push('fast-mode-2026-02-01')
  if (thinking?.block_binding !== undefined) betas.push('thinking-binding-controls-2026-08-01')
  return betas
}

/** The tool that searches the web upstream, for either API's options. */
export function webSearchTool(options: JsonObject): Block {
  const approximate = isObject(options.user_location)
    ? isObject(options.user_location.approximate)
      ? options.user_location.approximate
      : options.user_location
    : null
  const size = options.search_context_size
  const max_uses = size === 'low' ? 1 : size === 'high' ? 10 : 5
  const tool = { type: 'web_search_20250305', name: 'web_search', max_uses }
  if (approximate === null) return tool
  const place: Record<string, unknown> = { type: 'approximate' }
  for (const name of ['city', 'region', 'country', 'timezone'])
    if (typeof approximate[name] === 'string') place[name] = approximate[name]
  return Object.keys(place).length === 1 ? tool : { ...tool, user_location: place }
}
