import fc from 'fast-check'
import { costOf, rebuildCost } from '../../src/billing/cost.ts'
import { priceTableWith, priceValue, type StoredChange } from '../../src/billing/price-changes.ts'
import { modelOf } from '../../src/billing/price-entry.ts'
import { findPrice, type ModelPrice } from '../../src/billing/price-table.ts'
import { BUILT_IN_PRICES } from '../../src/billing/prices.ts'
import type { Fraction } from '../../src/core/model.ts'
import type { Rates, Receipt } from '../../src/core/usage.ts'
import { oracleCostMicro } from '../billing/price-oracle.ts'
import { anyUsage, TODAY_MS } from '../billing/usages.ts'

/** So many cases share one random table. */
const CASES_PER_TABLE = 1_000
const HOUR_MS = 3_600_000

const rate = fc.oneof(
  fc.integer({ min: 1, max: 500_000_000 }),
  fc.integer({ min: 1, max: 20_000 }).map((hundredth) => hundredth * 10_000),
)

const anyRates: fc.Arbitrary<Rates> = fc.record({
  input: rate,
  output: rate,
  cacheRead: rate,
  cacheWrite5m: rate,
  cacheWrite1h: rate,
})

/** From 0.01 to 10, as people write it and stranger. */
const anyMarkup: fc.Arbitrary<Fraction> = fc.oneof(
  fc.constantFrom<Fraction>([1, 1], [6, 5], [5, 4], [11, 10], [9, 10], [10, 1], [1, 100]),
  fc.tuple(fc.integer({ min: 1, max: 1_000_000 }), fc.constantFrom(100_000, 1_000_000)),
  fc.integer({ min: 1, max: 997 }).map((part): Fraction => [part, 997]),
)

const ids = [...new Set(BUILT_IN_PRICES.rows.map(({ id }) => id)), 'claude-next-7']

/** Changes of prices at hours around now; some take earlier ones back, some give unknown models a price. */
const anyChanges: fc.Arbitrary<readonly StoredChange[]> = fc
  .array(
    fc.record({
      id: fc.constantFrom(...ids),
      hours: fc.integer({ min: -3, max: 3 }),
      isBack: fc.nat({ max: 4 }).map((n) => n === 0),
      rates: anyRates,
      fastRates: fc.option(anyRates, { nil: undefined }),
      long: fc.option(
        fc.record({
          aboveTokens: fc.constantFrom(1, 1_000, 99_999, 100_000, 500_000),
          rates: anyRates,
        }),
        { nil: undefined },
      ),
      inferenceGeo: fc.boolean(),
      unknownAs: fc.option(fc.constantFrom('claude-opus-5', 'claude-haiku-5-5'), { freq: 6 }),
    }),
    { maxLength: 12 },
  )
  .map((drafts) =>
    drafts.map((draft, i): StoredChange => {
      const place = { seq: i + 1, effectiveAtMs: TODAY_MS + draft.hours * HOUR_MS }
      if (draft.unknownAs !== null) {
        return { ...place, kind: 'price', subject: '*', value: { priceAs: draft.unknownAs } }
      }
      const base = findPrice(BUILT_IN_PRICES, draft.id, TODAY_MS)
      const sonnet = findPrice(BUILT_IN_PRICES, 'claude-sonnet-4-6', TODAY_MS)
      if (sonnet === null) throw new Error('the built-in table has it')
      const price: ModelPrice = {
        ...modelOf(base ?? sonnet),
        id: draft.id,
        rates: draft.rates,
        fastRates: draft.fastRates,
        longPrompt: draft.long,
        inferenceGeo: draft.inferenceGeo,
      }
      const value = draft.isBack ? null : (JSON.parse(JSON.stringify(priceValue(price))) as unknown)
      return { ...place, kind: 'price', subject: draft.id, value }
    }),
  )

const anyCase = fc.record({
  usage: anyUsage,
  markup: anyMarkup,
  /** Just before, at and after the instants at which prices change. */
  atMs: fc
    .tuple(fc.integer({ min: -4, max: 4 }), fc.integer({ min: -1, max: 1 }))
    .map(([hours, ms]) => TODAY_MS + hours * HOUR_MS + ms),
})

/**
 * Prices random answers by random tables with random mark-ups, and compares each with the oracle and with
 * what its receipt says after a trip through JSON. Answers the differences, one sentence each, at most ten.
 */
export function runPricing(options: {
  readonly cases: number
  readonly seed: number
}): readonly string[] {
  const differences: string[] = []
  const tables = Math.ceil(options.cases / CASES_PER_TABLE)
  for (let i = 0; i < tables && differences.length < 10; i++) {
    const seed = (options.seed + i) | 0
    const [changes] = fc.sample(anyChanges, { numRuns: 1, seed })
    const table = priceTableWith(BUILT_IN_PRICES, changes)
    const count = Math.min(CASES_PER_TABLE, options.cases - i * CASES_PER_TABLE)
    const found = fc.check(
      fc.property(anyCase, ({ usage, markup, atMs }) => {
        const receipt = costOf(usage, table, { atMs, markup })
        const expected = oracleCostMicro(usage, { changes, atMs, markup })
        if (BigInt(receipt.costMicro) !== expected) return false
        const list = oracleCostMicro(usage, { changes, atMs, markup: [1, 1] })
        if (BigInt(receipt.listCostMicro ?? receipt.costMicro) !== list) return false
        return rebuildCost(JSON.parse(JSON.stringify(receipt)) as Receipt) === receipt.costMicro
      }),
      { numRuns: count, seed },
    )
    if (!found.failed) continue
    differences.push(
      `seed ${seed}: ${JSON.stringify(found.counterexample)} ${found.errorInstance ?? ''}`,
    )
  }
  return differences
}
