import assert from 'node:assert/strict'
import { test } from 'node:test'
import { displayName } from '../../src/billing/model-names.ts'
import {
  dearestPrice,
  findPrice,
  findServedPrice,
  listModels,
  nearestModels,
  priceTable,
} from '../../src/billing/price-table.ts'
import { BUILT_IN_PRICES } from '../../src/billing/prices.ts'
import type { Rates } from '../../src/core/usage.ts'
import { TODAY_MS } from './usages.ts'

const RATES: Rates = { input: 10, output: 50, cacheRead: 1, cacheWrite5m: 12, cacheWrite1h: 20 }

function tinyTable() {
  const model = {
    status: 'active',
    contextWindow: 1_000,
    maxOutput: 100,
    inferenceGeo: false,
    modelClass: 'tiny',
    imageTokenCap: 10,
    minimumCacheTokens: 1,
  } as const
  return priceTable({
    version: 'test',
    webSearchMicro: 10_000,
    models: [
      { ...model, id: 'claude-a-1', aliases: ['claude-a'], rates: RATES },
      { ...model, id: 'claude-a-1', rates: { ...RATES, input: 7 }, since: '2026-02-01' },
      { ...model, id: 'claude-b-1', rates: { ...RATES, output: 60 }, status: 'retired' },
    ],
  })
}

test('a model is found by its exact id or alias and by nothing else', () => {
  const find = (id: string) => findPrice(BUILT_IN_PRICES, id, TODAY_MS)?.id ?? null
  assert.equal(find('claude-opus-4-5-20251101'), 'claude-opus-4-5-20251101')
  assert.equal(find('claude-opus-4-5'), 'claude-opus-4-5-20251101')
  for (const id of [
    'claude-opus',
    'claude-opus-5-6',
    'claude-opus-5-20260724',
    'claude-opus-5[1m]',
    ' claude-opus-5',
    'Claude-Opus-5',
    'claude-mythos-preview',
    '',
    '__proto__',
    'constructor',
  ]) {
    assert.equal(find(id), null, id)
  }
})

test('the row in force at a time is the latest that began by then, also by alias', () => {
  const table = tinyTable()
  const input = (id: string, time: string) => findPrice(table, id, Date.parse(time))?.rates.input
  assert.equal(input('claude-a-1', '2026-01-31T23:59:59.999Z'), 10)
  assert.equal(input('claude-a-1', '2026-02-01T00:00:00Z'), 7)
  assert.equal(input('claude-a-1', '1970-01-01'), 10)
})

test('retired models keep a price but are neither served, listed nor suggested', () => {
  const retired = 'claude-opus-4-1-20250805'
  assert.equal(findPrice(BUILT_IN_PRICES, retired, TODAY_MS)?.rates.input, 15_000_000)
  assert.equal(findServedPrice(BUILT_IN_PRICES, retired, TODAY_MS), null)
  const ids = listModels(BUILT_IN_PRICES, TODAY_MS).map((row) => row.id)
  assert.ok(!ids.includes(retired))
  const all = listModels(BUILT_IN_PRICES, TODAY_MS, { includeRetired: true })
  assert.ok(all.some((row) => row.id === retired))
  assert.ok(!nearestModels(BUILT_IN_PRICES, retired, 50).includes(retired))
})

test('deprecated models are served', () => {
  const row = findServedPrice(BUILT_IN_PRICES, 'claude-sonnet-4-5', TODAY_MS)
  assert.equal(row?.status, 'deprecated')
  assert.equal(row?.retiresOn, '2026-11-30')
})

test('a list has one row per model, at the prices of that day', () => {
  const rows = listModels(BUILT_IN_PRICES, TODAY_MS)
  assert.equal(rows.length, 18)
  assert.equal(new Set(rows.map((row) => row.id)).size, 18)
  const sonnet = rows.find((row) => row.id === 'claude-sonnet-5-5')
  assert.equal(sonnet?.rates.cacheRead, 100_000)
})

test('the dearest model is a served one', () => {
  assert.equal(dearestPrice(BUILT_IN_PRICES, TODAY_MS).id, 'claude-fable-5')
  assert.equal(dearestPrice(BUILT_IN_PRICES, TODAY_MS, 'fast').id, 'claude-fable-5-2')
  assert.equal(dearestPrice(tinyTable(), TODAY_MS).id, 'claude-a-1')
  assert.equal(dearestPrice(tinyTable(), TODAY_MS, 'fast').id, 'claude-a-1')
})

test('a misspelt model is answered with the likely ones', () => {
  const nearest = (id: string) => nearestModels(BUILT_IN_PRICES, id, 3)[0]
  assert.equal(nearest('claude-sonet-4-6'), 'claude-sonnet-4-6')
  assert.equal(nearest('claude-opus-4.8'), 'claude-opus-4-8')
  assert.equal(nearest('anthropic/claude-haiku-5-5'), 'claude-haiku-5-5')
  assert.equal(nearest('claude-sonnet-5-5[1m]'), 'claude-sonnet-5-5')
  assert.equal(nearest('claude-haiku-45'), 'claude-haiku-4-5')
  assert.match(nearest('claude-3-5-haiku-20241022') ?? '', /haiku/)
  assert.match(nearest('claude-opus-4-1-20250805') ?? '', /opus/)
  assert.equal(nearestModels(BUILT_IN_PRICES, 'x'.repeat(1_000_000), 3).length, 3)
  assert.equal(nearestModels(BUILT_IN_PRICES, '', 100).length, 18)
})

test('display names come from ids', () => {
  assert.equal(displayName('claude-opus-4-5-20251101'), 'Claude Opus 4.5')
  assert.equal(displayName('claude-fable-5'), 'Claude Fable 5')
  assert.equal(displayName('claude-3-7-sonnet-20250219'), 'Claude Sonnet 3.7')
  assert.equal(displayName('claude-mythos-preview'), 'Claude Mythos Preview')
  assert.equal(displayName('gpt-5'), 'gpt-5')
})

test('models that share a rate-limit bucket share a class', () => {
  const classOf = (id: string) => findPrice(BUILT_IN_PRICES, id, TODAY_MS)?.modelClass
  assert.equal(classOf('claude-fable-5'), classOf('claude-fable-5-1'))
  assert.notEqual(classOf('claude-fable-5'), classOf('claude-fable-5-2'))
  assert.equal(classOf('claude-mythos-5'), classOf('claude-mythos-5-2'))
  assert.equal(classOf('claude-opus-4-5'), classOf('claude-opus-4-8'))
  assert.notEqual(classOf('claude-opus-5'), classOf('claude-opus-5-5'))
  assert.equal(classOf('claude-sonnet-4-5'), classOf('claude-sonnet-4-6'))
  assert.notEqual(classOf('claude-haiku-4-5'), classOf('claude-haiku-5-5'))
})

test('every built-in rate stands in the published proportion to its input rate', () => {
  const readDivisor = (id: string, atMs: number) => {
    if (/-(fable|mythos)-5-[12]$/.test(id)) return 40
    if (id === 'claude-opus-5-5') return 20
    return id === 'claude-sonnet-5-5' && atMs > 0 ? 20 : 10
  }
  for (const row of BUILT_IN_PRICES.rows) {
    const tiers = [row.rates, row.fastRates, row.longPrompt?.rates ?? null]
    for (const rates of tiers.filter((tier) => tier !== null)) {
      assert.equal(rates.cacheWrite5m * 4, rates.input * 5, row.id)
      assert.equal(rates.cacheWrite1h, rates.input * 2, row.id)
      const divisor = readDivisor(row.id, row.effectiveAtMs)
      assert.equal(rates.cacheRead * divisor, rates.input, row.id)
      assert.equal(rates.output, rates.input * 5, row.id)
    }
    if (row.fastRates !== null) assert.equal(row.fastRates.input, row.rates.input * 2, row.id)
  }
})
