import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  markupFor,
  modelMarkup,
  priceTableWith,
  priceValue,
  readChange,
  type StoredChange,
} from '../../src/billing/price-changes.ts'
import {
  aliasesOf,
  aliasTarget,
  findPrice,
  findServedPrice,
  type ModelPrice,
  nearestModels,
  priceOf,
  priceVersionAt,
  servedModels,
} from '../../src/billing/price-table.ts'
import { BUILT_IN_PRICES } from '../../src/billing/prices.ts'

const T = Date.parse('2026-11-22T12:00:00Z')
const HOUR = 3_600_000
const SONNET = 'claude-sonnet-4-6'

const NEW_MODEL: ModelPrice = {
  id: 'claude-sonnet-6',
  status: 'active',
  contextWindow: 1_000_000,
  maxOutput: 128_000,
  rates: {
    input: 2_000_000,
    output: 10_000_000,
    cacheRead: 100_000,
    cacheWrite5m: 2_500_000,
    cacheWrite1h: 4_000_000,
  },
  inferenceGeo: true,
  modelClass: 'sonnet-6',
  imageTokenCap: 4_784,
  minimumCacheTokens: 512,
}

let lastSeq = 0
function change(
  kind: StoredChange['kind'],
  subject: string,
  value: unknown,
  effectiveAtMs = T,
): StoredChange {
  return { seq: ++lastSeq, kind, subject, value, effectiveAtMs }
}

function sonnetAt(input: number): unknown {
  const row = findPrice(BUILT_IN_PRICES, SONNET, T)
  assert.ok(row)
  const { rates, contextWindow, maxOutput, modelClass, imageTokenCap, minimumCacheTokens } = row
  return priceValue({
    id: SONNET,
    status: 'active',
    contextWindow,
    maxOutput,
    rates: { ...rates, input },
    inferenceGeo: true,
    modelClass,
    imageTokenCap,
    minimumCacheTokens,
  })
}

test('without changes the table is the built-in one', () => {
  const table = priceTableWith(BUILT_IN_PRICES, [])
  assert.deepEqual(table.rows, BUILT_IN_PRICES.rows)
  assert.equal(priceVersionAt(table, T), BUILT_IN_PRICES.version)
})

test('a price holds from its time on, and what was admitted before keeps the old one', () => {
  const table = priceTableWith(BUILT_IN_PRICES, [
    change('price', SONNET, sonnetAt(4_000_000)),
    change('price', SONNET, sonnetAt(5_000_000), T + HOUR),
  ])
  const input = (atMs: number) => findPrice(table, SONNET, atMs)?.rates.input
  assert.deepEqual(
    [T - 1, T, T + HOUR - 1, T + HOUR].map(input),
    [3_000_000, 4_000_000, 4_000_000, 5_000_000],
  )
})

test('of changes that begin together the later one counts', () => {
  const table = priceTableWith(BUILT_IN_PRICES, [
    change('price', SONNET, sonnetAt(4_000_000)),
    change('price', SONNET, sonnetAt(5_000_000)),
  ])
  assert.equal(findPrice(table, SONNET, T)?.rates.input, 5_000_000)
  assert.equal(table.rows.filter((row) => row.id === SONNET).length, 2)
})

test('null takes a price back: the built-in one holds again, with its own history', () => {
  const id = 'claude-sonnet-5-5'
  const early = Date.parse('2026-09-30T00:00:00Z')
  const base = findPrice(BUILT_IN_PRICES, id, early)
  assert.ok(base)
  const table = priceTableWith(BUILT_IN_PRICES, [
    change('price', id, { ...(sonnetAt(9_000_000) as object) }, early),
    change('price', id, null, early + 24 * HOUR),
  ])
  const at = (text: string) => findPrice(table, id, Date.parse(text))?.rates
  assert.equal(at('2026-09-29')?.cacheRead, 200_000)
  assert.equal(at('2026-09-30')?.input, 9_000_000)
  assert.equal(at('2026-10-02')?.cacheRead, 200_000)
  assert.equal(at('2026-10-08')?.cacheRead, 100_000)
})

test('a changed price outlives a built-in row that would begin after it', () => {
  const id = 'claude-sonnet-5-5'
  const early = Date.parse('2026-09-30T00:00:00Z')
  const table = priceTableWith(BUILT_IN_PRICES, [change('price', id, sonnetAt(9_000_000), early)])
  assert.equal(findPrice(table, id, T)?.rates.input, 9_000_000)
})

test('a new model is served from its time on, and no more once it was taken back', () => {
  const table = priceTableWith(BUILT_IN_PRICES, [
    change('price', NEW_MODEL.id, priceValue(NEW_MODEL)),
    change('price', NEW_MODEL.id, null, T + HOUR),
  ])
  assert.equal(findServedPrice(table, NEW_MODEL.id, T - 1), null)
  assert.equal(findServedPrice(table, NEW_MODEL.id, T)?.displayName, 'Claude Sonnet 6')
  assert.equal(findServedPrice(table, NEW_MODEL.id, T + HOUR), null)
  assert.ok(findPrice(table, NEW_MODEL.id, T + HOUR), 'its last price stays for receipts')
})

test('the version names the highest change in force at that time', () => {
  const first = change('markup', SONNET, [6, 5])
  const later = change('markup', SONNET, [7, 5], T + HOUR)
  const last = change('served', SONNET, false)
  const table = priceTableWith(BUILT_IN_PRICES, [first, later, last])
  assert.equal(priceVersionAt(table, T - 1), '2026-11-22')
  assert.equal(priceVersionAt(table, T), `2026-11-22+${last.seq}`)
  assert.equal(priceVersionAt(table, T + HOUR), `2026-11-22+${last.seq}`)
  assert.equal(
    priceVersionAt(priceTableWith(BUILT_IN_PRICES, [first, later]), T + HOUR),
    `2026-11-22+${later.seq}`,
  )
})

test('the most specific mark-up wins: key, model, longest glob, server', () => {
  const table = priceTableWith(BUILT_IN_PRICES, [
    change('markup', '*', [11, 10]),
    change('markup', 'claude-opus-*', [6, 5]),
    change('markup', 'claude-opus-5-5', [2, 1]),
    change('markup', 'claude-opus-5-5', null, T + HOUR),
  ])
  const of = (id: string, keyMarkup: readonly [number, number] | null = null, atMs = T) => {
    const row = findPrice(table, id, atMs)
    assert.ok(row)
    return markupFor(table, row, { keyMarkup, serverMarkup: [3, 2], atMs })
  }
  assert.deepEqual(of('claude-opus-5-5', [1, 1]), [1, 1])
  assert.deepEqual(of('claude-opus-5-5'), [2, 1])
  assert.deepEqual(of('claude-opus-5-5', null, T + HOUR), [6, 5], 'taken back: the glob again')
  assert.deepEqual(of('claude-opus-5'), [6, 5])
  assert.deepEqual(of(SONNET), [11, 10])
  assert.deepEqual(of(SONNET, null, T - 1), [3, 2])
  const sonnet = findPrice(BUILT_IN_PRICES, SONNET, T)
  assert.ok(sonnet)
  assert.deepEqual(modelMarkup(BUILT_IN_PRICES, sonnet, T), [1, 1])
})

test('served: lists of the config first, then what a person set, then the status', () => {
  const table = priceTableWith(
    BUILT_IN_PRICES,
    [
      change('served', 'claude-opus-*', false),
      change('served', 'claude-opus-5-5', true),
      change('served', 'claude-3-5-haiku-20241022', true),
      change('served', 'claude-fable-5', true),
    ],
    { allow: ['claude-*'], deny: ['claude-fable-*', 'claude-haiku-4-5'], aliases: {} },
  )
  const isServed = (id: string) => findServedPrice(table, id, T) !== null
  assert.equal(isServed('claude-opus-5'), false)
  assert.equal(isServed('claude-opus-5-5'), true)
  assert.equal(isServed('claude-opus-4-5'), false, 'an upstream alias of a disabled model')
  assert.equal(isServed('claude-3-5-haiku-20241022'), true)
  assert.equal(isServed('claude-fable-5'), false)
  assert.equal(isServed('claude-haiku-4-5-20251001'), false, 'denied by its alias')
  assert.equal(isServed(SONNET), true)
  const names = servedModels(table, T).map((row) => row.id)
  assert.deepEqual(
    names.filter((id) => id.startsWith('claude-opus')),
    ['claude-opus-5-5'],
  )
  assert.ok(nearestModels(table, 'claude-opus-5', 3, T).every((name) => isServed(name)))
})

test('aliases of the config and of the store lead to one model; the store is newer', () => {
  const table = priceTableWith(
    BUILT_IN_PRICES,
    [change('alias', 'fast', 'claude-haiku-4-5'), change('alias', 'old', null)],
    { allow: ['*'], deny: [], aliases: { fast: SONNET, old: SONNET, best: 'claude-opus-5-5' } },
  )
  assert.equal(aliasTarget(table, 'fast', T - 1), SONNET)
  assert.equal(aliasTarget(table, 'fast', T), 'claude-haiku-4-5')
  assert.equal(aliasTarget(table, 'old', T), null)
  assert.equal(aliasTarget(table, 'best', T), 'claude-opus-5-5')
  const haiku = findPrice(table, 'claude-haiku-4-5-20251001', T)
  assert.ok(haiku)
  assert.deepEqual(aliasesOf(table, haiku, T), ['fast'])
  assert.equal(nearestModels(table, 'bset', 1, T)[0], 'best')
})

test('unknown models are refused, or served and priced as another one and marked', () => {
  const table = priceTableWith(BUILT_IN_PRICES, [
    change('price', '*', { priceAs: 'claude-opus-5' }),
    change('price', '*', null, T + HOUR),
  ])
  assert.equal(findServedPrice(table, 'claude-opus-9', T - 1), null)
  const row = findServedPrice(table, 'claude-opus-9', T)
  assert.equal(row?.id, 'claude-opus-9')
  assert.deepEqual(row?.rates, findPrice(table, 'claude-opus-5', T)?.rates)
  assert.equal(findServedPrice(table, 'no name "of" a model', T), null)
  assert.equal(findServedPrice(table, 'x'.repeat(101), T), null)
  assert.equal(findServedPrice(table, 'claude-opus-9', T + HOUR), null)
  assert.equal(priceOf(table, 'claude-opus-9', T).note, 'model_unknown_configured_price')
  assert.equal(priceOf(table, 'claude-opus-9', T - 1).note, 'model_unknown_dearest_price')
  assert.equal(priceOf(table, SONNET, T).note, null)
  const retired = findServedPrice(table, 'claude-opus-4-20250514', T)
  assert.equal(retired, null, 'a retired model is known')
})

test('a change of upstream aliases holds for the row in force', () => {
  const value = { ...(priceValue(NEW_MODEL) as object), aliases: ['sonnet-next'] }
  const table = priceTableWith(BUILT_IN_PRICES, [
    change('price', NEW_MODEL.id, value),
    change('price', NEW_MODEL.id, priceValue(NEW_MODEL), T + HOUR),
  ])
  assert.equal(findPrice(table, 'sonnet-next', T)?.id, NEW_MODEL.id)
  assert.equal(findPrice(table, 'sonnet-next', T + HOUR), null)
})

test('what cannot be understood is said, member by member', () => {
  const good = priceValue(NEW_MODEL) as Record<string, unknown>
  const problem = (kind: StoredChange['kind'], subject: string, value: unknown) => {
    const read = readChange({ kind, subject, value })
    return read.kind === 'bad' ? read.problem : null
  }
  assert.equal(problem('price', NEW_MODEL.id, good), null)
  assert.equal(problem('price', NEW_MODEL.id, null), null)
  for (const [value, text] of [
    [{ ...good, rates: { ...NEW_MODEL.rates, input: 0 } }, /rates\.input/],
    [{ ...good, rates: { ...NEW_MODEL.rates, output: 1.5 } }, /rates\.output/],
    [{ ...good, rates: { ...NEW_MODEL.rates, cacheRead: -1 } }, /rates\.cacheRead/],
    [{ ...good, rates: { ...NEW_MODEL.rates, input: 500_000_001 } }, /rates\.input/],
    [{ ...good, fastRates: {} }, /fastRates\.input/],
    [{ ...good, longPrompt: { rates: NEW_MODEL.rates } }, /aboveTokens/],
    [{ ...good, contextWindow: 0 }, /contextWindow/],
    [{ ...good, status: 'new' }, /status/],
    [{ ...good, inferenceGeo: 'yes' }, /inferenceGeo/],
    [{ ...good, retiresOn: '2026-02-30' }, /day/],
    ['3.00', /group/],
  ] as const) {
    assert.match(problem('price', NEW_MODEL.id, value) ?? '', text)
  }
  assert.match(problem('price', 'two words', good) ?? '', /cannot be a model/)
  assert.match(problem('price', '*', {}) ?? '', /priced as/)
  assert.match(problem('markup', SONNET, [1, 0]) ?? '', /mark-up/)
  assert.match(problem('markup', SONNET, 1.2) ?? '', /mark-up/)
  assert.match(problem('markup', 'a b*', [1, 1]) ?? '', /glob/)
  assert.match(problem('alias', 'x y', SONNET) ?? '', /name/)
  assert.match(problem('alias', 'x', 1) ?? '', /alias/)
  assert.match(problem('served', SONNET, 'yes') ?? '', /served/)
  assert.throws(() => priceTableWith(BUILT_IN_PRICES, [change('markup', SONNET, 'x')]))
})
