import type { Usage } from '../core/usage.ts'
import type { PriceRow } from './price-table.ts'

/** Visible bytes of an answer per output token, for the bill of a cut stream. */
export const VISIBLE_BYTES_PER_TOKEN = 4
/**
 * Median output tokens per second by model class at standard speed: first guesses from the families'
 * usual speeds, to be replaced by what the receipts' own times teach once there are enough of them.
 */
export const MEDIAN_TOKENS_PER_SECOND: Readonly<Record<string, number>> = {
  'fable-5': 45,
  'fable-5-2': 50,
  'mythos-5': 45,
  'opus-4': 50,
  'opus-5': 55,
  'opus-5-5': 60,
  'sonnet-4': 65,
  'sonnet-5': 70,
  'sonnet-5-5': 75,
  'haiku-4-5': 120,
  'haiku-5-5': 150,
}
/** For classes that the table above does not know. */
export const DEFAULT_TOKENS_PER_SECOND = 50
/** How much faster an answer of speed `fast` comes. */
export const FAST_SPEED_FACTOR = 2.5

/** What was seen of a stream's output until now. */
export interface SeenOutput {
  /** UTF-8 bytes of text, tool input and shown thinking that upstream sent. */
  readonly visibleBytes: number
  /** The last cumulative `output_tokens`; 0 when none came. */
  readonly seenOutputTokens: number
  /** Sum of `thinking_delta.estimated_tokens` over omitted thinking. */
  readonly thinkingEstimatedTokens: number
  /** How long blocks of omitted thinking have been open, in all. */
  readonly thinkingOpenMs: number
  readonly maxTokens: number
  readonly row: PriceRow
  /** The answer's `usage.speed`. */
  readonly speed: string | null
}

/** Output tokens that a cut stream is billed for: never below what upstream said, else at most `max_tokens`. */
export function outputSoFar(seen: SeenOutput): number {
  const visibleTokens = Math.ceil(seen.visibleBytes / VISIBLE_BYTES_PER_TOKEN)
  const perSecond =
    (MEDIAN_TOKENS_PER_SECOND[seen.row.modelClass] ?? DEFAULT_TOKENS_PER_SECOND) *
    (seen.speed === 'fast' && seen.row.fastRates !== null ? FAST_SPEED_FACTOR : 1)
  const thinkingTokens = Math.max(
    seen.thinkingEstimatedTokens,
    Math.round((seen.thinkingOpenMs * perSecond) / 1000),
  )
  const limit = Math.min(seen.maxTokens, seen.row.maxOutput)
  return Math.max(seen.seenOutputTokens, Math.min(visibleTokens + thinkingTokens, limit))
}

/**
 * The usage of a stream that broke off: what `message_start` (and any `message_delta`) said, with the
 * estimated output. Iterations that upstream already named keep theirs; the last one takes the surplus.
 */
export function partialUsage(started: Usage, outputTokens: number): Usage {
  const output = Math.max(started.tokens.output, outputTokens)
  const surplus = output - started.tokens.output
  const last = started.iterations.length - 1
  const iterations = started.iterations.map((entry, index) =>
    index === last
      ? { ...entry, tokens: { ...entry.tokens, output: entry.tokens.output + surplus } }
      : entry,
  )
  return { ...started, tokens: { ...started.tokens, output }, iterations }
}
