import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { believableUsage, type KnownOfRequest } from '../../src/billing/believable.ts'
import { costOf } from '../../src/billing/cost.ts'
import { findServedPrice, type PriceRow } from '../../src/billing/price-table.ts'
import { BUILT_IN_PRICES } from '../../src/billing/prices.ts'
import { anyTokens, TODAY_MS, tokensOf, usageOf } from './usages.ts'

const ROW = findServedPrice(BUILT_IN_PRICES, 'claude-sonnet-4-6', TODAY_MS) as PriceRow // is in the table
const KNOWN: KnownOfRequest = {
  row: ROW,
  maxTokens: 8_000,
  boundInputTokens: 500,
  heldOutputTokens: 4_096,
  growsInRounds: false,
}

test('figures that an answer can have are left as they are', () => {
  const whole = usageOf({ tokens: tokensOf({ input: ROW.contextWindow, output: ROW.maxOutput }) })
  assert.equal(believableUsage(whole, KNOWN), whole)
  const empty = usageOf({ tokens: tokensOf({ output: 3 }) })
  assert.equal(believableUsage(empty, KNOWN), empty, 'without an anomaly nothing is guessed')
})

test('a prompt longer than the window and an output longer than any are billed as reserved', () => {
  const huge = usageOf({ tokens: tokensOf({ cacheRead: 90_000_000, output: 90_000_000 }) })
  const believed = believableUsage(huge, KNOWN)
  assert.deepEqual(believed.tokens, tokensOf({ input: 500, output: 4_096 }))
  assert.equal(believed.anomalies, 2)
})

test('a prompt whose figure was unusable is not free', () => {
  const lost = usageOf({ tokens: tokensOf({ output: 20 }), anomalies: 1 })
  assert.deepEqual(believableUsage(lost, KNOWN).tokens, tokensOf({ input: 500, output: 20 }))
})

test('requests that grow in rounds may use several windows', () => {
  const usage = usageOf({ tokens: tokensOf({ cacheRead: ROW.contextWindow * 10, output: 10 }) })
  assert.equal(believableUsage(usage, { ...KNOWN, growsInRounds: true }), usage)
  assert.notEqual(believableUsage(usage, KNOWN), usage)
})

test('whatever upstream says of a plain request, it costs at most a window and the longest answer', () => {
  const most = usageOf({
    tokens: tokensOf({ cacheWrite1h: ROW.contextWindow, output: ROW.maxOutput }),
  })
  const mostMicro = costOf(most, BUILT_IN_PRICES, { atMs: TODAY_MS }).costMicro
  fc.assert(
    fc.property(anyTokens, fc.nat(3), (tokens, anomalies) => {
      const believed = believableUsage(usageOf({ tokens, anomalies }), KNOWN)
      assert.ok(costOf(believed, BUILT_IN_PRICES, { atMs: TODAY_MS }).costMicro <= mostMicro)
    }),
  )
})
