import type { Usage } from '../core/usage.ts'
import type { End, Estimates } from './learned.ts'
import type { PriceRow } from './price-table.ts'
import { FAST_SPEED_FACTOR } from './speeds.ts'

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

/**
 * Output tokens produced so far: never below what upstream said, else at most `max_tokens`. Visible output
 * by its bytes; omitted thinking by upstream's own estimates or, where larger, by the time it has taken.
 * Bills take the middle of what was learned, holds the cautious end.
 */
export function outputSoFar(seen: SeenOutput, estimates: Estimates, end: End): number {
  const { modelClass } = seen.row
  const visibleTokens = Math.ceil(
    seen.visibleBytes / estimates.outputBytesPerToken(modelClass, end),
  )
  const perSecond =
    estimates.tokensPerSecond(modelClass, end) *
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
