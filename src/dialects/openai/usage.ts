import type { Micro } from '../../core/money.ts'
import type { TokenCounts } from '../../core/usage.ts'
import type { JsonObject } from './json.ts'
import { isObject } from './json.ts'

/** No request uses more tokens of one class; what claims to is a fault, as in the receipt. */
const MAX_TOKENS = 100_000_000

/** What an answer used, in upstream's classes: `input` excludes what was cached. */
export interface AnswerUsage {
  readonly input: number
  readonly cacheRead: number
  readonly cacheWrite: number
  /** Includes `thinking`. */
  readonly output: number
  readonly thinking: number
  /** `standard`, `priority`, `batch`; null when upstream did not say. */
  readonly serviceTier: string | null
}

/** What the receipt of an answer says: other figures than upstream's where those cannot be meant. */
export interface Bill {
  readonly costMicro: Micro
  readonly tokens: TokenCounts
}

export const NO_USAGE: AnswerUsage = {
  input: 0,
  cacheRead: 0,
  cacheWrite: 0,
  output: 0,
  thinking: 0,
  serviceTier: null,
}

/**
 * Takes over a `usage` object of `message_start`, `message_delta` or a whole answer. Counts are running
 * totals: what is there replaces, and is never added.
 */
export function mergeUsage(known: AnswerUsage, news: unknown): AnswerUsage {
  if (!isObject(news)) return known
  const details: JsonObject = isObject(news.output_tokens_details) ? news.output_tokens_details : {}
  return {
    input: count(news.input_tokens, known.input),
    cacheRead: count(news.cache_read_input_tokens, known.cacheRead),
    cacheWrite: cacheWritten(news, known.cacheWrite),
    output: count(news.output_tokens, known.output),
    thinking: count(details.thinking_tokens, known.thinking),
    serviceTier: typeof news.service_tier === 'string' ? news.service_tier : known.serviceTier,
  }
}

/** Two rounds of one answer (`pause_turn`) together. */
export function addUsage(a: AnswerUsage, b: AnswerUsage): AnswerUsage {
  return {
    input: a.input + b.input,
    cacheRead: a.cacheRead + b.cacheRead,
    cacheWrite: a.cacheWrite + b.cacheWrite,
    output: a.output + b.output,
    thinking: a.thinking + b.thinking,
    serviceTier: b.serviceTier ?? a.serviceTier,
  }
}

/**
 * `usage` as chat completions spell it: the prompt includes what was cached. `bill`: what the receipt says,
 * where there is one; then these are its numbers.
 */
export function chatUsage(told: AnswerUsage, bill?: Bill) {
  const usage = billed(told, bill)
  const prompt = usage.input + usage.cacheRead + usage.cacheWrite
  return {
    prompt_tokens: prompt,
    completion_tokens: usage.output,
    total_tokens: prompt + usage.output,
    prompt_tokens_details: {
      cached_tokens: usage.cacheRead,
      cache_write_tokens: usage.cacheWrite,
      audio_tokens: 0,
    },
    completion_tokens_details: {
      reasoning_tokens: usage.thinking,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
    ...costOf(bill),
  }
}

/** `usage` as the Responses API spells it; `bill` as in `chatUsage`. */
export function responsesUsage(told: AnswerUsage, bill?: Bill) {
  const usage = billed(told, bill)
  const input = usage.input + usage.cacheRead + usage.cacheWrite
  return {
    input_tokens: input,
    input_tokens_details: {
      cached_tokens: usage.cacheRead,
      cache_write_tokens: usage.cacheWrite,
    },
    output_tokens: usage.output,
    output_tokens_details: { reasoning_tokens: usage.thinking },
    total_tokens: input + usage.output,
    ...costOf(bill),
  }
}

function billed(usage: AnswerUsage, bill: Bill | undefined): AnswerUsage {
  if (bill === undefined) return usage
  const { input, output, cacheRead, cacheWrite5m, cacheWrite1h } = bill.tokens
  const cacheWrite = cacheWrite5m + cacheWrite1h
  return {
    ...usage,
    input,
    output,
    cacheRead,
    cacheWrite,
    thinking: Math.min(usage.thinking, output),
  }
}

function costOf(bill: Bill | undefined) {
  return bill === undefined ? {} : { cost_micro: bill.costMicro }
}

/** OpenAI's word for upstream's service tier; null where it has none. */
export function serviceTierOf(usage: AnswerUsage): 'default' | 'priority' | null {
  if (usage.serviceTier === 'standard') return 'default'
  return usage.serviceTier === 'priority' ? 'priority' : null
}

/** As in the receipt: the sum, or its parts by their life where they are more. */
function cacheWritten(news: JsonObject, known: number): number {
  const split: JsonObject = isObject(news.cache_creation) ? news.cache_creation : {}
  const parts =
    count(split.ephemeral_5m_input_tokens, 0) + count(split.ephemeral_1h_input_tokens, 0)
  return Math.max(count(news.cache_creation_input_tokens, known), parts)
}

function count(value: unknown, fallback: number): number {
  const isCount =
    typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MAX_TOKENS
  return isCount ? value : fallback
}
