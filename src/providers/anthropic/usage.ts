import type { TokenCounts, Usage, UsageIteration } from '../../core/usage.ts'
import { NO_TOKENS } from '../../core/usage.ts'
import type { Json } from './json.ts'
import { isJson, recordOf } from './json.ts'

/** Usage of a stream while it runs. Immutable: each step makes the next one. */
export interface StreamUsage extends Usage {
  /** How many `message_delta` events with usage were merged; 0 means the output count is unknown. */
  readonly deltas: number
}

/** No request uses more tokens of one class; what claims to is a fault. */
const MAX_TOKENS = 100_000_000
/** No answer has more iterations or searches than this; further ones are a fault. */
const MAX_COUNT = 10_000
const MAX_NAME = 200

/** Counts figures that cannot be meant: negative, fractional, huge or of another type. */
class Anomalies {
  count = 0

  /** A count that is there and usable, else `fallback`; null and absent are no fault. */
  read(value: unknown, fallback: number): number {
    if (value === undefined || value === null) return fallback
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MAX_TOKENS)
      return value
    this.count++
    return fallback
  }
}

/** Reads the usage of a whole answer (parsed JSON of a unary body). Never throws. */
export function readUsage(message: unknown, requestedModel: string): Usage {
  const anomalies = new Anomalies()
  const answer = recordOf(message)
  const usage = recordOf(answer.usage)
  // These two are in every answer; without them the bill is a guess.
  if (usage.input_tokens === undefined || usage.input_tokens === null) anomalies.count++
  if (usage.output_tokens === undefined || usage.output_tokens === null) anomalies.count++
  const tokens = tokensOf(usage, NO_TOKENS, anomalies)
  return {
    model: textOf(answer.model) ?? requestedModel,
    tokens,
    iterations: iterationsOf(usage.iterations, [], anomalies),
    webSearchRequests: searchesOf(usage, 0, anomalies),
    speed: textOf(usage.speed),
    inferenceGeo: textOf(usage.inference_geo),
    serviceTier: textOf(usage.service_tier),
    stopReason: textOf(answer.stop_reason),
    hasContent: hasContent(answer.content),
    anomalies: anomalies.count,
  }
}

/** Upstream's id of a message, `msg_…`; null where there is none that can be kept. */
export function messageIdOf(message: unknown): string | null {
  const { id } = recordOf(message)
  return typeof id === 'string' && id !== '' && id.length <= MAX_NAME ? id : null
}

/** Whether an answer's own figures tell the prompt's size. */
export function hasUsableInput(message: unknown): boolean {
  const usage = recordOf(recordOf(message).usage)
  const anomalies = new Anomalies()
  const input = anomalies.read(usage.input_tokens, -1)
  tokensOf(usage, NO_TOKENS, anomalies)
  return input >= 0 && anomalies.count === 0
}

/** UTF-8 bytes of text, tool input and shown thinking in a whole answer, for an estimate of its output. */
export function contentBytes(message: unknown): number {
  const { content } = recordOf(message)
  if (!Array.isArray(content)) return 0
  let bytes = 0
  for (const item of content) {
    const block = recordOf(item)
    for (const text of [block.text, block.thinking])
      if (typeof text === 'string') bytes += Buffer.byteLength(text)
    if (block.input !== undefined) bytes += Buffer.byteLength(JSON.stringify(block.input))
    if (block.type === 'redacted_thinking' && typeof block.data === 'string')
      bytes += Math.floor(block.data.length * 0.75)
  }
  return bytes
}

/** Usage before anything was received: no tokens, the requested model. */
export function noStreamUsage(requestedModel: string): StreamUsage {
  return {
    model: requestedModel,
    tokens: NO_TOKENS,
    iterations: [],
    webSearchRequests: 0,
    speed: null,
    inferenceGeo: null,
    serviceTier: null,
    stopReason: null,
    hasContent: false,
    anomalies: 0,
    deltas: 0,
  }
}

/**
 * Two answers that went on one from the other (`pause_turn`) as one: each is priced by itself, as upstream
 * bills it. What the second says of model, region and end counts.
 */
export function addRounds(before: Usage, now: Usage): Usage {
  const sum = (name: keyof TokenCounts): number => before.tokens[name] + now.tokens[name]
  return {
    ...now,
    tokens: {
      input: sum('input'),
      output: sum('output'),
      cacheRead: sum('cacheRead'),
      cacheWrite5m: sum('cacheWrite5m'),
      cacheWrite1h: sum('cacheWrite1h'),
    },
    iterations: [...roundsOf(before), ...roundsOf(now)],
    webSearchRequests: before.webSearchRequests + now.webSearchRequests,
    hasContent: before.hasContent || now.hasContent,
    anomalies: before.anomalies + now.anomalies,
  }
}

function roundsOf({ iterations, model, tokens }: Usage): readonly UsageIteration[] {
  if (iterations.length > 0) return iterations
  return [{ type: 'message', model, tokens, splitUnknown: false }]
}

/** Takes over the usage of a parsed `message_start` event. */
export function mergeMessageStart(usage: StreamUsage, event: unknown): StreamUsage {
  const message = recordOf(recordOf(event).message)
  const start = readUsage(message, usage.model)
  return {
    ...start,
    anomalies: usage.anomalies + start.anomalies,
    hasContent: usage.hasContent || start.hasContent,
    deltas: usage.deltas,
  }
}

/** Takes over the cumulative usage of a parsed `message_delta` event: replaces, never adds. */
export function mergeMessageDelta(usage: StreamUsage, event: unknown): StreamUsage {
  const anomalies = new Anomalies()
  const delta = recordOf(event)
  const stopReason = textOf(recordOf(delta.delta).stop_reason) ?? usage.stopReason
  if (delta.usage === undefined || delta.usage === null) return { ...usage, stopReason }
  if (!isJson(delta.usage)) return { ...usage, stopReason, anomalies: usage.anomalies + 1 }
  const news = delta.usage
  const tokens = tokensOf(news, usage.tokens, anomalies)
  const isOutputUsable = typeof news.output_tokens === 'number' && anomalies.count === 0
  const iterations = iterationsOf(news.iterations, usage.iterations, anomalies)
  // Until the first total, the output is a placeholder. Iterations say so where another model took over.
  const known = usage.deltas === 0 ? { ...usage.tokens, output: 0 } : usage.tokens
  const floor = iterations.length > 0 ? { ...NO_TOKENS, output: known.output } : known
  return {
    ...usage,
    tokens: grown(tokens, floor, anomalies),
    iterations,
    webSearchRequests: searchesOf(news, usage.webSearchRequests, anomalies),
    stopReason,
    anomalies: usage.anomalies + anomalies.count,
    deltas: usage.deltas + (isOutputUsable ? 1 : 0),
  }
}

/** Totals only grow. One that shrinks is a fault, and the larger figure was already used. */
function grown(tokens: TokenCounts, floor: TokenCounts, anomalies: Anomalies): TokenCounts {
  const larger = (name: keyof TokenCounts): number => {
    if (tokens[name] >= floor[name]) return tokens[name]
    anomalies.count++
    return floor[name]
  }
  return {
    input: larger('input'),
    output: larger('output'),
    cacheRead: larger('cacheRead'),
    cacheWrite5m: larger('cacheWrite5m'),
    cacheWrite1h: larger('cacheWrite1h'),
  }
}

/**
 * Token counts of a usage object over what was known. The 5m/1h split comes at the start only; cache writes
 * that appear later are 5-minute ones, for server tools make those.
 */
function tokensOf(usage: Json, known: TokenCounts, anomalies: Anomalies): TokenCounts {
  const knownWrites = known.cacheWrite5m + known.cacheWrite1h
  const writes = anomalies.read(usage.cache_creation_input_tokens, knownWrites)
  const split = recordOf(usage.cache_creation)
  const hasSplit =
    split.ephemeral_1h_input_tokens !== undefined || split.ephemeral_5m_input_tokens !== undefined
  let cacheWrite1h = anomalies.read(split.ephemeral_1h_input_tokens, known.cacheWrite1h)
  const split5m = anomalies.read(split.ephemeral_5m_input_tokens, 0)
  const total = hasSplit
    ? Math.max(writes, cacheWrite1h + split5m)
    : Math.max(writes, known.cacheWrite1h)
  cacheWrite1h = Math.min(cacheWrite1h, total)
  return {
    input: anomalies.read(usage.input_tokens, known.input),
    output: anomalies.read(usage.output_tokens, known.output),
    cacheRead: anomalies.read(usage.cache_read_input_tokens, known.cacheRead),
    cacheWrite5m: total - cacheWrite1h,
    cacheWrite1h,
  }
}

/**
 * Iterations as upstream listed them; a list with an unusable figure says nothing, and the totals stand.
 * Where an entry leaves the 5m/1h split out, all its writes count as 5m and `billing/cost.ts` moves the
 * 1-hour total of the answer to such entries.
 */
function iterationsOf(
  value: unknown,
  known: readonly UsageIteration[],
  anomalies: Anomalies,
): readonly UsageIteration[] {
  if (value === undefined || value === null) return known
  const own = new Anomalies()
  const list = Array.isArray(value) && value.length <= MAX_COUNT ? value : null
  const iterations = list?.map((item: unknown): UsageIteration => {
    const entry = recordOf(item)
    if (entry.input_tokens === undefined && entry.output_tokens === undefined) own.count++
    const split = entry.cache_creation
    return {
      type: textOf(entry.type) ?? 'message',
      model: textOf(entry.model),
      tokens: tokensOf(entry, NO_TOKENS, own),
      splitUnknown: split === null || split === undefined,
    }
  })
  if (iterations !== undefined && own.count === 0) return iterations
  anomalies.count += Math.max(1, own.count)
  return known
}

function searchesOf(usage: Json, known: number, anomalies: Anomalies): number {
  const count = anomalies.read(recordOf(usage.server_tool_use).web_search_requests, known)
  if (count <= MAX_COUNT) return count
  anomalies.count++
  return known
}

/** Content that somebody could read; a `fallback` block only says that another model took over. */
function hasContent(content: unknown): boolean {
  return (
    Array.isArray(content) && content.some((block: unknown) => recordOf(block).type !== 'fallback')
  )
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value.slice(0, MAX_NAME) : null
}
