import fc from 'fast-check'
import { BUILT_IN_PRICES } from '../../src/billing/prices.ts'
import { NO_TOKENS, type TokenCounts, type Usage } from '../../src/core/usage.ts'

/** The day of the built-in table. */
export const TODAY_MS = Date.parse('2026-11-22T12:00:00Z')

/** A plain finished answer of Sonnet 4.6 without tokens, but for what `changes` says. */
export function usageOf(changes: Partial<Usage> = {}): Usage {
  return {
    model: 'claude-sonnet-4-6',
    tokens: NO_TOKENS,
    iterations: [],
    webSearchRequests: 0,
    speed: null,
    inferenceGeo: null,
    serviceTier: null,
    stopReason: 'end_turn',
    hasContent: true,
    anomalies: 0,
    ...changes,
  }
}

/** Counts with zeros where `changes` is silent. */
export function tokensOf(changes: Partial<TokenCounts>): TokenCounts {
  return { ...NO_TOKENS, ...changes }
}

const count = fc.oneof(
  { weight: 2, arbitrary: fc.constant(0) },
  { weight: 5, arbitrary: fc.integer({ min: 0, max: 2_000 }) },
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 1_000_000 }) },
  { weight: 1, arbitrary: fc.constantFrom(99_999, 100_000, 100_001, 100_000_000) },
)

/** Any counts that validation lets through. */
export const anyTokens: fc.Arbitrary<TokenCounts> = fc.record({
  input: count,
  output: count,
  cacheRead: count,
  cacheWrite5m: count,
  cacheWrite1h: count,
})

/** Ids, aliases, retired ids, and ids that nobody knows. */
export const anyModel: fc.Arbitrary<string> = fc.constantFrom(
  ...BUILT_IN_PRICES.byName.keys(),
  'claude-next-7',
  '__proto__',
)

/** Any usage that validation lets through, most of them with up to four iterations. */
export const anyUsage: fc.Arbitrary<Usage> = fc.record({
  model: anyModel,
  tokens: anyTokens,
  iterations: fc.array(
    fc.record({
      type: fc.constantFrom('message', 'compaction', 'advisor_message', 'fallback_message', 'new'),
      model: fc.option(anyModel),
      tokens: anyTokens,
      splitUnknown: fc.constant(false),
    }),
    { maxLength: 4 },
  ),
  webSearchRequests: fc.integer({ min: 0, max: 30 }),
  speed: fc.constantFrom(null, 'standard', 'fast'),
  inferenceGeo: fc.constantFrom(null, 'global', 'us', 'not_available'),
  serviceTier: fc.constantFrom(null, 'standard', 'priority', 'batch'),
  stopReason: fc.constantFrom('end_turn', 'refusal', null),
  hasContent: fc.boolean(),
  anomalies: fc.constant(0),
})
