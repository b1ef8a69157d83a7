import type { JsonObject } from './json.ts'

/** One attempt or side job inside a request; in upstream's `usage.iterations`. */
export interface SandboxIteration {
  readonly type: 'message' | 'compaction' | 'advisor_message' | 'fallback_message'
  readonly model: string | null
  readonly input: number
  readonly output: number
}

/** What a request really used, in tokens: the truth that upstream would bill, whatever it reports. */
export interface SandboxUsage {
  readonly input: number
  readonly output: number
  /** Part of `output`. */
  readonly thinking: number
  readonly cacheRead: number
  readonly cacheWrite5m: number
  readonly cacheWrite1h: number
  readonly webSearches: number
  readonly serviceTier: string
  readonly inferenceGeo: string
  readonly speed: string
  readonly iterations: readonly SandboxIteration[] | null
  readonly fallbackCredit?: JsonObject | null
}

/** `usage` of a whole answer. */
export function bodyUsage(usage: SandboxUsage): JsonObject {
  return {
    input_tokens: usage.input,
    cache_creation_input_tokens: usage.cacheWrite5m + usage.cacheWrite1h,
    cache_read_input_tokens: usage.cacheRead,
    cache_creation: split(usage),
    output_tokens: usage.output,
    output_tokens_details: { thinking_tokens: usage.thinking },
    server_tool_use: serverTools(usage),
    service_tier: usage.serviceTier,
    inference_geo: usage.inferenceGeo,
    speed: usage.speed,
    ...iterations(usage),
    ...fallbackCredit(usage),
  }
}

/** `usage` of `message_start`: everything about the input, and a placeholder for the output. */
export function startUsage(usage: SandboxUsage, placeholder: number): JsonObject {
  return {
    input_tokens: usage.input,
    cache_creation_input_tokens: usage.cacheWrite5m + usage.cacheWrite1h,
    cache_read_input_tokens: usage.cacheRead,
    cache_creation: split(usage),
    output_tokens: placeholder,
    output_tokens_details: null,
    server_tool_use: null,
    service_tier: usage.serviceTier,
    inference_geo: usage.inferenceGeo,
    speed: usage.speed,
  }
}

/** `usage` of `message_delta`: running totals, without the split, tier, geo and speed. */
export function deltaUsage(usage: SandboxUsage): JsonObject {
  return {
    input_tokens: usage.input,
    cache_creation_input_tokens: usage.cacheWrite5m + usage.cacheWrite1h,
    cache_read_input_tokens: usage.cacheRead,
    output_tokens: usage.output,
    output_tokens_details: { thinking_tokens: usage.thinking },
    server_tool_use: serverTools(usage),
    ...iterations(usage),
    ...fallbackCredit(usage),
  }
}

/** The usage as a faulty upstream would report it. */
export function poisoned(usage: JsonObject, how: string): JsonObject {
  switch (how) {
    case 'negative':
      return mapCounts(usage, (count) => -count - 1)
    case 'huge':
      return mapCounts(usage, () => 1e21)
    case 'string':
      return mapCounts(usage, (count) => `${count}`)
    case 'null':
      return mapCounts(usage, () => null)
    case 'float':
      return mapCounts(usage, (count) => count + 0.5)
    default:
      return usage
  }
}

function mapCounts(usage: JsonObject, change: (count: number) => unknown): JsonObject {
  const changed: { [name: string]: unknown } = {}
  for (const [name, value] of Object.entries(usage)) {
    changed[name] = typeof value === 'number' ? change(value) : value
  }
  return changed
}

function split(usage: SandboxUsage): JsonObject {
  return {
    ephemeral_5m_input_tokens: usage.cacheWrite5m,
    ephemeral_1h_input_tokens: usage.cacheWrite1h,
  }
}

function serverTools(usage: SandboxUsage): JsonObject | null {
  if (usage.webSearches === 0) return null
  return { web_search_requests: usage.webSearches, web_fetch_requests: 0 }
}

function fallbackCredit({ fallbackCredit: credit }: SandboxUsage): JsonObject {
  return credit == null ? {} : { fallback_credit: credit }
}

/** The main attempt carries the cache figures; the others have none. */
function iterations(usage: SandboxUsage): { iterations?: readonly JsonObject[] } {
  if (!usage.iterations) return {}
  const main = usage.iterations.some((item) => item.type === 'fallback_message')
    ? 'fallback_message'
    : 'message'
  return {
    iterations: usage.iterations.map((item) => ({
      type: item.type,
      ...(item.type === 'compaction' ? {} : { model: item.model }),
      input_tokens: item.input,
      output_tokens: item.output,
      cache_read_input_tokens: item.type === main ? usage.cacheRead : 0,
      cache_creation_input_tokens: item.type === main ? usage.cacheWrite5m + usage.cacheWrite1h : 0,
      cache_creation: item.type === main ? split(usage) : null,
    })),
  }
}
