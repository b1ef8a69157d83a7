import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { costOf, rebuildCost } from '../../src/billing/cost.ts'
import { findPrice } from '../../src/billing/price-table.ts'
import { BUILT_IN_PRICES } from '../../src/billing/prices.ts'
import type { Receipt, TokenCounts, Usage, UsageIteration } from '../../src/core/usage.ts'
import { runPricing } from '../support/pricing-campaign.ts'
import { oracleCostMicro } from './price-oracle.ts'
import vectors from './price-vectors.json' with { type: 'json' }
import { anyModel, anyTokens, anyUsage, TODAY_MS, tokensOf, usageOf } from './usages.ts'

const CASES = 10_000

function price(usage: Usage, batch?: boolean): Receipt {
  const options = batch === undefined ? { atMs: TODAY_MS } : { atMs: TODAY_MS, batch }
  return costOf(usage, BUILT_IN_PRICES, options)
}

function iteration(
  type: string,
  model: string | null,
  tokens: Partial<TokenCounts>,
  splitUnknown = false,
): UsageIteration {
  return { type, model, tokens: tokensOf(tokens), splitUnknown }
}

function roundUp(exact: string): number {
  const [numerator = 0, denominator = 1] = exact.split('/').map(Number)
  return Math.ceil(numerator / denominator)
}

for (const vector of vectors) {
  test(`the published vector holds: ${vector.name}`, () => {
    const usage = usageOf({
      model: vector.model,
      tokens: tokensOf(vector.tokens),
      speed: vector.speed ?? null,
      inferenceGeo: vector.inferenceGeo ?? null,
      webSearchRequests: vector.webSearchRequests ?? 0,
    })
    const expected = vector.roundedMicro ?? roundUp(vector.exactMicro)
    assert.equal(price(usage, vector.batch ?? false).costMicro, expected)
  })
}

test(`${CASES} random answers cost what an independent rational oracle says`, () => {
  fc.assert(
    fc.property(anyUsage, (usage) => {
      const { costMicro } = price(usage)
      assert.equal(BigInt(costMicro), oracleCostMicro(usage, { atMs: TODAY_MS }))
    }),
    { numRuns: CASES },
  )
})

test('20,000 of them by other prices, at other times and with mark-ups too', () => {
  const seed = Date.now() % 1_000_000_000
  assert.deepEqual(runPricing({ cases: 20_000, seed }), [], `seed ${seed}`)
})

test('a receipt rebuilds its cost bit for bit, also after a trip through JSON', () => {
  fc.assert(
    fc.property(anyUsage, (usage) => {
      const receipt = price(usage)
      assert.equal(rebuildCost(receipt), receipt.costMicro)
      assert.equal(rebuildCost(JSON.parse(JSON.stringify(receipt))), receipt.costMicro)
    }),
    { numRuns: 2_000 },
  )
})

test('a cost is a whole number of micro-dollars, never negative, and fees are a part of it', () => {
  fc.assert(
    fc.property(anyUsage, (usage) => {
      const { costMicro, feesMicro } = price(usage)
      assert.ok(Number.isSafeInteger(costMicro) && costMicro >= feesMicro)
      assert.equal(feesMicro, usage.webSearchRequests * 10_000)
    }),
    { numRuns: 2_000 },
  )
})

test('one more token of any class is never cheaper, across the prompt-length step too', () => {
  const anyClass = fc.constantFrom(
    ...(['input', 'output', 'cacheRead', 'cacheWrite5m', 'cacheWrite1h'] as const),
  )
  const extra = fc.integer({ min: 1, max: 100_001 })
  fc.assert(
    fc.property(anyModel, anyTokens, anyClass, extra, (model, tokens, tokenClass, more) => {
      const fewer = price(usageOf({ model, tokens })).costMicro
      const grown = { ...tokens, [tokenClass]: tokens[tokenClass] + more }
      assert.ok(price(usageOf({ model, tokens: grown })).costMicro >= fewer)
    }),
    { numRuns: 3_000 },
  )
})

test('splitting an answer into more tokens of the same sum rounds once, not once per class', () => {
  const tokens = tokensOf({ input: 1, cacheRead: 1, cacheWrite5m: 1 })
  // Haiku 5.5: 0.1 + 0.01 + 0.125 micro-dollars; rounded apart they would be 3.
  assert.equal(price(usageOf({ model: 'claude-haiku-5-5', tokens })).costMicro, 1)
})

test('iterations are priced one by one and the top-level counts are ignored', () => {
  const receipt = price(
    usageOf({
      model: 'claude-opus-5-5',
      tokens: tokensOf({ input: 5, output: 5 }),
      iterations: [
        iteration('message', null, { input: 1_000, output: 100 }),
        iteration('compaction', null, { input: 2_000, output: 200 }),
        iteration('advisor_message', 'claude-fable-5-2', { input: 1_000, output: 10 }),
      ],
    }),
  )
  assert.deepEqual(
    receipt.lines.map((line) => line.model),
    ['claude-opus-5-5', 'claude-opus-5-5', 'claude-fable-5-2'],
  )
  assert.equal(receipt.costMicro, 4_000 + 2_000 + 8_000 + 4_000 + 8_000 + 400)
})

test('the prompt-length step is decided per iteration', () => {
  const receipt = price(
    usageOf({
      model: 'claude-haiku-5-5',
      iterations: [
        iteration('message', null, { input: 60_000 }),
        iteration('message', null, { input: 100_001 }),
      ],
    }),
  )
  assert.deepEqual(
    receipt.lines.map((line) => line.tier),
    ['standard', 'long_prompt'],
  )
  assert.equal(receipt.costMicro, 6_000 + 50_001)
})

test('an attempt that declined before output is free when a fallback took over', () => {
  const receipt = price(
    usageOf({
      model: 'claude-opus-5',
      iterations: [
        iteration('message', 'claude-fable-5-2', { input: 9_000 }),
        iteration('fallback_message', 'claude-mythos-5-2', { input: 9_000 }),
        iteration('fallback_message', 'claude-opus-5', { input: 1_000, output: 100 }),
      ],
    }),
  )
  assert.deepEqual(
    receipt.lines.map((line) => line.note),
    ['declined_before_output', 'declined_before_output', null],
  )
  assert.equal(receipt.costMicro, 5_000 + 2_500)
})

test('an attempt that declined in mid-answer is charged, and so is a compaction before a fallback', () => {
  const receipt = price(
    usageOf({
      model: 'claude-opus-5',
      iterations: [
        iteration('message', 'claude-fable-5-2', { input: 1_000, output: 1 }),
        iteration('compaction', 'claude-fable-5-2', { input: 1_000 }),
        iteration('fallback_message', 'claude-opus-5', { input: 1_000, output: 100 }),
      ],
    }),
  )
  assert.equal(receipt.costMicro, 8_040 + 8_000 + 7_500)
})

test('a message without output that no fallback follows is charged', () => {
  const iterations = [
    iteration('message', null, { input: 1_000 }),
    iteration('message', null, { input: 1_000, output: 1 }),
    iteration('fallback_message', null, { input: 1_000, output: 1 }),
  ]
  assert.equal(price(usageOf({ iterations })).costMicro, 9_030)
})

test('a refusal is free only without output and without content', () => {
  const refused = (output: number, hasContent: boolean) =>
    price(
      usageOf({
        tokens: tokensOf({ input: 1_000, output }),
        stopReason: 'refusal',
        hasContent,
      }),
    )
  assert.equal(refused(0, false).costMicro, 0)
  assert.equal(refused(0, false).lines[0]?.note, 'declined_before_output')
  assert.equal(refused(1, false).costMicro, 3_015)
  assert.equal(refused(0, true).costMicro, 3_000)
  const cacheWarming = usageOf({ tokens: tokensOf({ input: 1_000 }), hasContent: false })
  assert.equal(price({ ...cacheWarming, stopReason: 'max_tokens' }).costMicro, 3_000)
})

test('fees are charged even where the tokens are not', () => {
  const usage = usageOf({ stopReason: 'refusal', hasContent: false, webSearchRequests: 2 })
  assert.equal(price(usage).costMicro, 20_000)
})

test('the price follows the speed of the answer, where the model has a fast price', () => {
  const tokens = tokensOf({ input: 1_000 })
  const fast = (model: string) => price(usageOf({ model, tokens, speed: 'fast' }))
  assert.equal(fast('claude-opus-5').costMicro, 10_000)
  assert.equal(fast('claude-opus-4-6').costMicro, 5_000)
  assert.equal(fast('claude-opus-4-6').lines[0]?.tier, 'standard')
  assert.equal(price(usageOf({ model: 'claude-opus-5', tokens })).costMicro, 5_000)
})

test('models with and without regions in one answer each keep their own ratio', () => {
  const receipt = price(
    usageOf({
      model: 'claude-opus-4-6',
      inferenceGeo: 'us',
      iterations: [
        iteration('message', 'claude-opus-4-6', { input: 1, output: 1 }),
        iteration('fallback_message', 'claude-haiku-4-5', { input: 1, output: 1 }),
      ],
    }),
  )
  // 30 x 11/10 + 6
  assert.equal(receipt.costMicro, 39)
  assert.deepEqual(receipt.ratio, [11, 10])
  assert.equal(receipt.lines[0]?.ratio, undefined)
  assert.deepEqual(receipt.lines[1]?.ratio, [1, 1])
})

test('an old model alone has no regional ratio', () => {
  const usage = usageOf({ model: 'claude-haiku-4-5', inferenceGeo: 'us' })
  assert.deepEqual(price(usage).ratio, [1, 1])
})

test('region and batch make one exact fraction', () => {
  const usage = usageOf({ inferenceGeo: 'us', tokens: tokensOf({ input: 3, output: 1 }) })
  assert.deepEqual(price(usage, true).ratio, [11, 20])
  assert.equal(price(usage, true).costMicro, 14)
})

test('an answer of a model without a price costs what the dearest served one costs, and says so', () => {
  const tokens = tokensOf({ input: 1_000, output: 1_000, cacheRead: 1_000 })
  const unknown = price(usageOf({ model: 'claude-next-7', tokens }))
  assert.equal(unknown.lines[0]?.note, 'model_unknown_dearest_price')
  assert.equal(unknown.costMicro, price(usageOf({ model: 'claude-fable-5', tokens })).costMicro)
  const fast = price(usageOf({ model: 'claude-next-7', tokens, speed: 'fast' }))
  assert.equal(fast.costMicro, 16_000 + 80_000 + 400)
})

test('hour-long cache writes that iterations left out are taken from the total', () => {
  const receipt = price(
    usageOf({
      tokens: tokensOf({ cacheWrite5m: 300, cacheWrite1h: 1_200 }),
      iterations: [
        iteration('message', null, { cacheWrite1h: 200 }),
        iteration('message', null, { cacheWrite5m: 900 }, true),
        iteration('message', null, { cacheWrite5m: 400 }, true),
      ],
    }),
  )
  assert.deepEqual(
    receipt.lines.map(({ tokens }) => [tokens.cacheWrite5m, tokens.cacheWrite1h]),
    [
      [0, 200],
      [0, 900],
      [300, 100],
    ],
  )
})

test('the hour-long writes of the total belong to the serving fallback first', () => {
  const receipt = price(
    usageOf({
      tokens: tokensOf({ cacheWrite1h: 500 }),
      iterations: [
        iteration('message', null, { cacheWrite5m: 700, output: 5 }, true),
        iteration('fallback_message', null, { cacheWrite5m: 500, output: 5 }, true),
      ],
    }),
  )
  assert.deepEqual(
    receipt.lines.map(({ tokens }) => tokens.cacheWrite1h),
    [0, 500],
  )
})

test('a request keeps the prices of its admission', () => {
  const usage = usageOf({
    model: 'claude-sonnet-5-5',
    tokens: tokensOf({ cacheRead: 1_000_000 }),
  })
  const at = (time: string) => costOf(usage, BUILT_IN_PRICES, { atMs: Date.parse(time) }).costMicro
  assert.equal(at('2026-10-06T23:59:59.999Z'), 200_000)
  assert.equal(at('2026-10-07T00:00:00Z'), 100_000)
})

test('a receipt names the table and shows the rates that were used', () => {
  const receipt = price(usageOf({ tokens: tokensOf({ input: 7 }) }))
  assert.equal(receipt.priceVersion, BUILT_IN_PRICES.version)
  const row = findPrice(BUILT_IN_PRICES, 'claude-sonnet-4-6', TODAY_MS)
  assert.deepEqual(receipt.lines[0]?.rates, row?.rates)
})

test('an answer of 2,000 iterations at the largest counts is still priced exactly', () => {
  const largest = { input: 1e8, output: 1e8, cacheRead: 1e8, cacheWrite5m: 1e8, cacheWrite1h: 1e8 }
  const usage = usageOf({
    model: 'claude-fable-5-2',
    speed: 'fast',
    inferenceGeo: 'us',
    iterations: Array.from({ length: 2_000 }, () => iteration('message', null, largest)),
  })
  assert.equal(BigInt(price(usage).costMicro), oracleCostMicro(usage, { atMs: TODAY_MS }))
})
