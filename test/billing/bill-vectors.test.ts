import assert from 'node:assert/strict'
import { test } from 'node:test'
import { costOf } from '../../src/billing/cost.ts'
import { priceTableWith } from '../../src/billing/price-changes.ts'
import { BUILT_IN_PRICES } from '../../src/billing/prices.ts'
import { NO_MARKUP } from '../../src/core/markup.ts'
import type { Fraction } from '../../src/core/model.ts'
import type { TokenCounts, Usage } from '../../src/core/usage.ts'
import { TODAY_MS, tokensOf, usageOf } from './usages.ts'

/** One answer and its bill, worked out by hand. */
interface Vector {
  readonly name: string
  readonly usage: Partial<Usage>
  readonly markup?: Fraction
  /** The sum in micro-dollars before its one rounding. */
  readonly sum: string
  readonly costMicro: number
}

const part = (type: string, tokens: Partial<TokenCounts>, model: string | null = null) => ({
  type,
  model,
  tokens: tokensOf(tokens),
  splitUnknown: false,
})

const VECTORS: readonly Vector[] = [
  {
    name: 'a mark-up multiplies tokens',
    usage: { tokens: tokensOf({ input: 781, output: 921 }) },
    markup: [6, 5],
    sum: '16158 x 1.2 = 19389.6',
    costMicro: 19_390,
  },
  {
    name: 'a mark-up multiplies fees too, before the one rounding',
    usage: { tokens: tokensOf({ cacheRead: 1 }), webSearchRequests: 3 },
    markup: [11, 10],
    sum: '(0.3 + 30000) x 1.1 = 33000.33',
    costMicro: 33_001,
  },
  {
    name: 'rounding comes once, after the mark-up: 0.3 is not made 1 first',
    usage: { tokens: tokensOf({ cacheRead: 1 }) },
    markup: [3, 1],
    sum: '0.3 x 3 = 0.9',
    costMicro: 1,
  },
  {
    name: 'a mark-up below 1 is a discount',
    usage: { tokens: tokensOf({ input: 1_000_000 }) },
    markup: [9, 10],
    sum: '3000000 x 0.9',
    costMicro: 2_700_000,
  },
  {
    name: 'fast, in the US, with a mark-up',
    usage: {
      model: 'claude-opus-5-5',
      speed: 'fast',
      inferenceGeo: 'us',
      tokens: tokensOf({ input: 10_000, output: 2_000, cacheRead: 50_000 }),
    },
    markup: [5, 4],
    sum: '(80000 + 80000 + 20000) x 1.1 x 1.25 = 247500',
    costMicro: 247_500,
  },
  {
    name: 'fast on a model without a fast price is billed at its standard price',
    usage: { model: 'claude-opus-4-6', speed: 'fast', tokens: tokensOf({ input: 1_000 }) },
    sum: '1000 x 5',
    costMicro: 5_000,
  },
  {
    name: 'the prompt-length step counts every prompt class and moves output too, at half price in a batch',
    usage: {
      model: 'claude-haiku-5-5',
      serviceTier: 'batch',
      tokens: tokensOf({
        input: 1,
        cacheRead: 50_000,
        cacheWrite5m: 25_000,
        cacheWrite1h: 25_000,
        output: 100,
      }),
    },
    sum: '(0.5 + 2500 + 15625 + 25000 + 250) / 2 = 21687.75',
    costMicro: 21_688,
  },
  {
    name: 'an adviser is billed at its own model and its own step, beside the answer',
    usage: {
      model: 'claude-haiku-5-5',
      iterations: [
        part('message', { input: 100_000, output: 10 }),
        part('advisor_message', { input: 200_000, output: 100 }, 'claude-opus-5'),
        part('message', { input: 100_001, output: 10 }),
      ],
    },
    sum: '10000 + 5 + 1000000 + 2500 + 50000.5 + 25 = 1062530.5',
    costMicro: 1_062_531,
  },
  {
    name: 'compaction is an iteration like any other',
    usage: {
      iterations: [
        part('compaction', { input: 100_000, output: 2_000 }),
        part('message', { input: 3_000, output: 500 }),
      ],
    },
    sum: '300000 + 30000 + 9000 + 7500',
    costMicro: 346_500,
  },
  {
    name: 'a fallback: what declined before output is free, what answered has its own price',
    usage: {
      model: 'claude-opus-5',
      iterations: [
        part('message', { input: 10_000 }, 'claude-fable-5-2'),
        part('fallback_message', { input: 10_000, output: 400 }, 'claude-opus-5'),
      ],
    },
    sum: '50000 + 10000',
    costMicro: 60_000,
  },
  {
    name: 'a fallback after output: both are billed, each at its own price',
    usage: {
      model: 'claude-fable-5-2',
      iterations: [
        part('message', { input: 10_000, output: 100 }, 'claude-fable-5-2'),
        part('fallback_message', { input: 10_100, output: 400 }, 'claude-opus-5'),
      ],
    },
    sum: '80000 + 4000 + 50500 + 10000',
    costMicro: 144_500,
  },
  {
    name: 'a refusal before any output is free; its web searches are not, and are marked up',
    usage: {
      stopReason: 'refusal',
      hasContent: false,
      tokens: tokensOf({ input: 5_000 }),
      webSearchRequests: 1,
    },
    markup: [6, 5],
    sum: '10000 x 1.2',
    costMicro: 12_000,
  },
  {
    name: 'a refusal in mid-answer is billed for what it used',
    usage: {
      stopReason: 'refusal',
      hasContent: true,
      tokens: tokensOf({ input: 5_000, output: 20 }),
    },
    sum: '15000 + 300',
    costMicro: 15_300,
  },
  {
    name: 'a batch halves tokens and no fee',
    usage: { serviceTier: 'batch', tokens: tokensOf({ input: 3 }), webSearchRequests: 2 },
    sum: '4.5 + 20000',
    costMicro: 20_005,
  },
  {
    name: 'an old model in the US is not dearer there',
    usage: {
      model: 'claude-haiku-4-5',
      inferenceGeo: 'us',
      tokens: tokensOf({ input: 1_000, cacheWrite1h: 500 }),
    },
    sum: '1000 + 1000',
    costMicro: 2_000,
  },
]

for (const { name, usage, markup = NO_MARKUP, sum, costMicro } of VECTORS) {
  test(`${name}: ${sum}`, () => {
    const receipt = costOf(usageOf(usage), BUILT_IN_PRICES, { atMs: TODAY_MS, markup })
    assert.equal(receipt.costMicro, costMicro)
  })
}

test('a model that only the operator knows is billed as configured, and the receipt says so', () => {
  const table = priceTableWith(BUILT_IN_PRICES, [
    { seq: 4, kind: 'price', subject: '*', value: { priceAs: 'claude-opus-5' }, effectiveAtMs: 0 },
  ])
  const usage = usageOf({ model: 'claude-opus-9', tokens: tokensOf({ input: 1_000 }) })
  const receipt = costOf(usage, table, { atMs: TODAY_MS })
  assert.equal(receipt.costMicro, 5_000)
  assert.equal(receipt.lines[0]?.note, 'model_unknown_configured_price')
  assert.equal(receipt.priceVersion, '2026-11-22+4')
})
