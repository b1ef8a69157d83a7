import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { costOf } from '../../src/billing/cost.ts'
import { outputSoFar, partialUsage, type SeenOutput } from '../../src/billing/cut-stream.ts'
import { FIRST_GUESSES } from '../../src/billing/learned.ts'
import { findServedPrice, listModels, type PriceRow } from '../../src/billing/price-table.ts'
import { BUILT_IN_PRICES } from '../../src/billing/prices.ts'
import { anyUsage, TODAY_MS, tokensOf, usageOf } from './usages.ts'

const OPUS = findServedPrice(BUILT_IN_PRICES, 'claude-opus-5', TODAY_MS) as PriceRow // is in the table

function seen(changes: Partial<SeenOutput>): SeenOutput {
  return {
    visibleBytes: 0,
    seenOutputTokens: 0,
    thinkingEstimatedTokens: 0,
    thinkingOpenMs: 0,
    maxTokens: 100_000,
    row: OPUS,
    speed: null,
    ...changes,
  }
}

/** As a bill takes it. */
function bill(output: SeenOutput): number {
  return outputSoFar(output, FIRST_GUESSES, 'middle')
}

test('visible output counts a token per four bytes', () => {
  assert.equal(bill(seen({ visibleBytes: 4_000 })), 1_000)
  assert.equal(bill(seen({ visibleBytes: 1 })), 1)
  assert.equal(bill(seen({})), 0)
})

test('omitted thinking counts by the larger of its estimate and its time', () => {
  const byTime = bill(seen({ thinkingOpenMs: 60_000 }))
  assert.ok(byTime > 1_000 && byTime < 10_000)
  assert.equal(
    bill(seen({ thinkingOpenMs: 60_000, thinkingEstimatedTokens: byTime + 1 })),
    byTime + 1,
  )
  assert.equal(bill(seen({ thinkingOpenMs: 60_000, thinkingEstimatedTokens: 1 })), byTime)
  assert.equal(bill(seen({ thinkingOpenMs: 60_000, visibleBytes: 400 })), byTime + 100)
  assert.ok(bill(seen({ thinkingOpenMs: 60_000, speed: 'fast' })) > byTime)
})

test('an estimate is at most max_tokens and what the model can write', () => {
  assert.equal(bill(seen({ visibleBytes: 4_000_000, maxTokens: 700 })), 700)
  assert.equal(bill(seen({ visibleBytes: 4e9, maxTokens: 1e9 })), OPUS.maxOutput)
})

test('holds count the same output as more than bills do', () => {
  for (const output of [seen({ visibleBytes: 4_000 }), seen({ thinkingOpenMs: 4_000 })]) {
    assert.ok(outputSoFar(output, FIRST_GUESSES, 'cautious') > bill(output))
  }
})

test('what upstream counted is never undercut', () => {
  assert.equal(bill(seen({ visibleBytes: 4, seenOutputTokens: 300 })), 300)
  assert.equal(bill(seen({ seenOutputTokens: 300, maxTokens: 200 })), 300)
})

test('every served model has a speed of its own class', () => {
  for (const row of listModels(BUILT_IN_PRICES, TODAY_MS)) {
    assert.ok(bill(seen({ row, thinkingOpenMs: 1_000 })) >= 20, row.id)
  }
})

test('a cut stream is billed for the exact input of its start and the estimated output', () => {
  const started = usageOf({
    model: 'claude-opus-5',
    tokens: tokensOf({ input: 1_000, cacheRead: 2_000, cacheWrite1h: 300, output: 3 }),
    stopReason: null,
    hasContent: false,
    speed: 'fast',
    inferenceGeo: 'us',
  })
  const usage = partialUsage(started, 250)
  assert.deepEqual(usage, { ...started, tokens: { ...started.tokens, output: 250 } })
  const { costMicro } = costOf(usage, BUILT_IN_PRICES, { atMs: TODAY_MS })
  assert.equal(costMicro, ((10_000 + 2_000 + 6_000 + 12_500) * 11) / 10)
})

test('output beyond the iterations that upstream named goes to the last of them', () => {
  const entry = { type: 'message', model: null, splitUnknown: false }
  const started = usageOf({
    tokens: tokensOf({ output: 30 }),
    iterations: [
      { ...entry, tokens: tokensOf({ output: 10 }) },
      { ...entry, tokens: tokensOf({ output: 20 }) },
    ],
  })
  const outputs = partialUsage(started, 35).iterations.map(({ tokens }) => tokens.output)
  assert.deepEqual(outputs, [10, 25])
})

test('a later estimate never makes a cut stream cheaper', () => {
  const tokens = fc.integer({ min: 0, max: 100_000 })
  fc.assert(
    fc.property(anyUsage, tokens, tokens, (started, a, b) => {
      const cost = (output: number) =>
        costOf(partialUsage({ ...started, stopReason: null }, output), BUILT_IN_PRICES, {
          atMs: TODAY_MS,
        }).costMicro
      assert.ok(cost(Math.max(a, b)) >= cost(Math.min(a, b)))
    }),
    { numRuns: 2_000 },
  )
})
