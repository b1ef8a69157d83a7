import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { BoundInput } from '../../src/billing/bound.ts'
import { boundModels, type WantedModels } from '../../src/billing/bound-models.ts'
import { costOf } from '../../src/billing/cost.ts'
import { partialUsage } from '../../src/billing/cut-stream.ts'
import { HoldMeter, type HoldTerms } from '../../src/billing/hold-meter.ts'
import { BUILT_IN_PRICES } from '../../src/billing/prices.ts'
import { TODAY_MS, tokensOf, usageOf } from './usages.ts'

const PLAIN: BoundInput = {
  textBytes: 20_000,
  denseBytes: 0,
  images: 0,
  unknownInput: false,
  cacheWrites: 'none',
  maxTokens: 64_000,
  hasTools: false,
  serverTools: [],
  mcp: false,
  compaction: false,
  fast: false,
  geo: 'global',
}
const STEP = 4_096

function termsOf(
  changes: Omit<Partial<HoldTerms>, 'input'> & {
    input?: Partial<BoundInput>
    wanted?: Partial<WantedModels>
  } = {},
): HoldTerms {
  const { input, wanted, ...terms } = changes
  const found = boundModels(
    { model: 'claude-sonnet-5', fast: false, fallbacks: [], advisors: [], ...wanted },
    BUILT_IN_PRICES,
    TODAY_MS,
  )
  assert.ok(found.kind === 'models')
  return {
    models: found.models,
    options: {},
    table: BUILT_IN_PRICES,
    atMs: TODAY_MS,
    mode: 'progressive',
    stepTokens: STEP,
    ...terms,
    input: { ...PLAIN, ...input },
  }
}

function meterOf(changes: Parameters<typeof termsOf>[0] = {}): HoldMeter {
  return new HoldMeter(termsOf(changes))
}

const START = usageOf({ model: 'claude-sonnet-5', tokens: tokensOf({ input: 5_000, output: 1 }) })
const costWith = (output: number) =>
  costOf(partialUsage(START, output), BUILT_IN_PRICES, { atMs: TODAY_MS }).costMicro

test('a progressive hold opens with the input and one step, a full one with all of it', () => {
  const full = meterOf({ mode: 'full' })
  assert.equal(full.openMicro, full.bound.amountMicro)
  const progressive = meterOf()
  assert.equal(
    full.openMicro - progressive.openMicro,
    ((64_000 - STEP) * 10_000_000) / 1_000_000, // at $10 per million tokens of output
  )
  assert.equal(
    meterOf({ input: { maxTokens: 100 } }).openMicro,
    meterOf({ mode: 'full', input: { maxTokens: 100 } }).openMicro,
  )
})

test('the start of the answer makes the input exact', () => {
  const meter = meterOf()
  assert.equal(meter.started(START), costWith(STEP))
  meter.granted()
  assert.equal(meter.heldMicro, costWith(STEP))
  const full = meterOf({ mode: 'full' })
  assert.equal(full.started(START), costWith(64_000))
})

test('a start without usable figures changes nothing, and the hold still grows', () => {
  const meter = meterOf()
  const { openMicro } = meter
  assert.equal(meter.started({ ...START, anomalies: 1 }), null)
  assert.equal(meter.started({ ...START, tokens: tokensOf({ output: 1 }) }), null)
  const next = meter.produced({ outputTokens: 3_072, rounds: 0 })
  assert.ok(next !== null && next > openMicro)
  assert.equal(meter.refused(1_000_000), null)
})

test('the hold grows before three quarters of it are used, one step at a time, up to max_tokens', () => {
  const meter = meterOf({ input: { maxTokens: 10_000 } })
  meter.started(START)
  meter.granted()
  assert.equal(meter.produced({ outputTokens: 3_071, rounds: 0 }), null)
  assert.equal(meter.produced({ outputTokens: 3_072, rounds: 0 }), costWith(2 * STEP))
  assert.equal(meter.produced({ outputTokens: 3_500, rounds: 0 }), null, 'one is asked for')
  assert.equal(meter.isExhausted({ outputTokens: 4_095, rounds: 0 }), false)
  assert.equal(meter.isExhausted({ outputTokens: 4_096, rounds: 0 }), true)
  meter.granted()
  assert.equal(meter.isExhausted({ outputTokens: 4_096, rounds: 0 }), false)
  assert.equal(meter.produced({ outputTokens: 7_000, rounds: 0 }), costWith(10_000))
  meter.granted()
  assert.equal(meter.produced({ outputTokens: 9_999, rounds: 0 }), null)
  assert.equal(meter.isExhausted({ outputTokens: 10_000, rounds: 0 }), false, 'max_tokens ends it')
})

test('when a step does not fit, what is left of the wallet is asked for, and then nothing more', () => {
  const meter = meterOf()
  meter.started(START)
  meter.granted()
  assert.equal(meter.produced({ outputTokens: 3_072, rounds: 0 }), costWith(2 * STEP))
  const last = meter.refused(1_000 * 10)
  assert.equal(last, costWith(STEP + 1_000))
  meter.granted()
  assert.equal(meter.isExhausted({ outputTokens: STEP + 999, rounds: 0 }), false)
  assert.equal(meter.isExhausted({ outputTokens: STEP + 1_000, rounds: 0 }), true)
  const poor = meterOf()
  poor.started(START)
  poor.granted()
  poor.produced({ outputTokens: 3_072, rounds: 0 })
  assert.equal(poor.refused(100), null)
  assert.equal(poor.isExhausted({ outputTokens: STEP, rounds: 0 }), true)
})

test('money that came meanwhile is asked for again', () => {
  const meter = meterOf()
  meter.started(START)
  meter.granted()
  meter.produced({ outputTokens: 3_072, rounds: 0 })
  assert.equal(meter.refused(0), null)
  assert.equal(meter.produced({ outputTokens: STEP, rounds: 0 }), costWith(2 * STEP))
  meter.granted()
  assert.equal(meter.isExhausted({ outputTokens: STEP, rounds: 0 }), false)
})

test('a prompt that turns out dearer than the hold leaves less output paid for, or none', () => {
  const long = { ...START, tokens: { ...START.tokens, input: 500_000 } }
  for (const mode of ['progressive', 'full'] as const) {
    const meter = meterOf({ mode, input: { maxTokens: 8_000 } })
    const target = meter.started(long)
    assert.ok(target !== null && target > meter.openMicro)
    assert.equal(meter.refused(0), null)
    assert.equal(meter.heldMicro, meter.openMicro)
    assert.equal(meter.isExhausted({ outputTokens: 0, rounds: 0 }), true, mode)
  }
  const near = { ...START, tokens: { ...START.tokens, input: 12_000 } }
  const meter = meterOf({ input: { maxTokens: 8_000 } })
  assert.notEqual(meter.started(near), null)
  meter.refused(0)
  assert.equal(meter.isExhausted({ outputTokens: 1_000, rounds: 0 }), false)
  assert.equal(meter.isExhausted({ outputTokens: STEP - 1, rounds: 0 }), true)
})

test('an estimate that has reached max_tokens is no reason to go on unpaid', () => {
  const meter = meterOf({ input: { maxTokens: 6_000 } })
  meter.started(START)
  meter.granted()
  assert.equal(meter.isExhausted({ outputTokens: 6_000, rounds: 0 }), true)
})

test('a bound beyond all books is as large as they go', () => {
  const advisors = Array.from({ length: 15_000 }, () => ({
    model: 'claude-opus-5',
    maxUses: 1_000_000,
    maxTokens: null,
  }))
  const { bound } = meterOf({ mode: 'full', wanted: { advisors } })
  assert.equal(bound.amountMicro, Number.MAX_SAFE_INTEGER)
})

test('requests that grow in rounds are never reduced, and grow with each round', () => {
  const serverTools = [{ kind: 'web_search', maxUses: 5 }] as const
  const meter = meterOf({ input: { serverTools } })
  assert.equal(meter.started(START), null)
  assert.ok(meter.openMicro < meter.bound.amountMicro)
  assert.equal(meter.produced({ outputTokens: 10, rounds: 1 }), null)
  const second = meter.produced({ outputTokens: 20, rounds: 2 })
  assert.ok(second !== null && second > meter.openMicro)
  meter.granted()
  assert.equal(meter.refused(1), null)
})

test('a counted prompt makes a smaller meter, and mayFit says whether counting can help', () => {
  const meter = meterOf({ input: { unknownInput: true } })
  const counted = meter.counted(5_000)
  assert.ok(counted.openMicro < meter.openMicro)
  assert.equal(meter.mayFit(counted.openMicro), true)
  assert.equal(meter.mayFit(1), false)
  assert.equal(meter.mayFit(0), false)
})

test('whatever an answer does, its cost stays within what is held while nothing is exhausted', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 60_000 }),
      fc.array(fc.integer({ min: 1, max: 3_000 }), { maxLength: 40 }),
      fc.integer({ min: 0, max: 2_000_000 }),
      (maxTokens, deltas, walletMicro) => {
        const meter = meterOf({ input: { maxTokens } })
        let held = meter.openMicro
        let left = walletMicro
        const ask = (first: number | null) => {
          for (let target = first; target !== null; ) {
            if (target - held <= left) {
              left -= target - held
              held = target
              meter.granted()
              return
            }
            target = meter.refused(left)
          }
        }
        ask(meter.started(START))
        assert.equal(meter.heldMicro, held)
        let output = 0
        for (const delta of deltas) {
          output = Math.min(maxTokens, output + delta)
          if (meter.isExhausted({ outputTokens: output, rounds: 0 })) return
          assert.ok(held >= costWith(output), `${output} tokens`)
          ask(meter.produced({ outputTokens: output, rounds: 0 }))
          assert.equal(meter.heldMicro, held)
        }
      },
    ),
  )
})

/** A prompt of 100,000 tokens that is cached, but for the last question. */
const CACHED = { tokens: 99_000, bytesAfter: 1_000 }
const BOOK: Partial<BoundInput> = {
  textBytes: 400_000,
  cacheWrites: '5m',
  countedInputTokens: 100_000,
}

function thinOf(meter: HoldMeter): HoldMeter {
  const thin = meter.thin(CACHED)
  assert.ok(thin !== null)
  return thin
}

test('a thin hold and its risk are the strict hold, and an account is charged with the strict one', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 900_000 }),
      fc.integer({ min: 1, max: 128_000 }),
      fc.integer({ min: 0, max: 1_000_000 }),
      fc.integer({ min: 0, max: 500_000 }),
      fc.constantFrom('full' as const, 'progressive' as const),
      (countedInputTokens, maxTokens, tokens, bytesAfter, mode) => {
        const strict = meterOf({ mode, input: { ...BOOK, countedInputTokens, maxTokens } })
        const thin = strict.thin({ tokens, bytesAfter })
        if (thin === null) return
        assert.ok(thin.riskMicro > 0 && thin.openMicro < strict.openMicro)
        assert.equal(thin.openMicro + thin.riskMicro, strict.openMicro)
        assert.equal(thin.openListMicro, strict.openListMicro)
        assert.equal(thin.promptListMicro(), strict.promptListMicro())
        assert.deepEqual([strict.riskMicro, strict.isThin], [0, false])
      },
    ),
  )
})

test('where nothing is cached for sure there is no thin hold', () => {
  const meter = meterOf({ input: BOOK })
  assert.equal(meter.thin({ tokens: 0, bytesAfter: 0 }), null)
  assert.equal(meter.thin({ tokens: 99_000, bytesAfter: 300_000 }), null)
  assert.equal(meterOf({ input: { ...BOOK, countedInputTokens: undefined } }).thin(CACHED), null)
  // What runs in rounds is never made exact by its start.
  const serverTools = [{ kind: 'other', maxUses: 1 }] as const
  assert.equal(meterOf({ input: { ...BOOK, serverTools } }).thin(CACHED), null)
  assert.equal(meterOf({ input: { ...BOOK, compaction: true } }).thin(CACHED), null)
})

test('a thin hold is thin until its answer shows the cache, and then holds what that costs', () => {
  const start = (tokens: Parameters<typeof tokensOf>[0]) =>
    usageOf({ model: 'claude-sonnet-5', tokens: tokensOf(tokens) })
  const warm = thinOf(meterOf({ input: BOOK }))
  assert.equal(warm.isThin, true)
  const smaller = warm.started(start({ cacheRead: 99_000, input: 500 }))
  assert.ok(smaller !== null && smaller < warm.openMicro)
  warm.granted()
  assert.equal(warm.isThin, false)

  const cold = thinOf(meterOf({ input: BOOK }))
  const larger = cold.started(start({ cacheWrite5m: 99_500 }))
  assert.ok(larger !== null && larger > cold.openMicro)
  assert.ok(larger <= cold.openMicro + cold.riskMicro)
  assert.equal(cold.refused(0), null)
  assert.equal(cold.isThin, true)
  assert.equal(cold.isExhausted({ outputTokens: 0, rounds: 0 }), true)

  const odd = thinOf(meterOf({ input: BOOK }))
  const strict = odd.openMicro + odd.riskMicro
  assert.equal(odd.started({ ...start({ cacheRead: 99_000 }), anomalies: 1 }), strict)
  odd.granted()
  assert.deepEqual([odd.heldMicro, odd.isThin], [strict, false])
})

test('a cold prompt costs no more than a thin hold and its risk: any model, mark-up, speed and region', () => {
  const models = [...BUILT_IN_PRICES.byName.values()]
    .flat()
    .filter(({ status }) => status !== 'retired')
  let thins = 0
  fc.assert(
    fc.property(
      fc.constantFrom(...models),
      fc.boolean(),
      fc.constantFrom('us' as const, 'global' as const, 'unknown' as const),
      fc.constantFrom('5m' as const, '1h' as const),
      fc.constantFrom<[number, number]>([1, 1], [10, 1], [7, 6]),
      // Either side of where long prompts are dearer.
      fc.oneof(fc.integer({ min: 5_000, max: 150_000 }), fc.constantFrom(98_950, 99_500, 100_001)),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.integer({ min: 1, max: STEP }),
      (row, asksFast, geo, cacheWrites, markup, countedInputTokens, share, output) => {
        const fast = asksFast && row.fastRates !== null
        const input = { ...BOOK, countedInputTokens, cacheWrites, geo, fast }
        const options = { markup }
        const strict = meterOf({ input, options, wanted: { model: row.id, fast } })
        const thin = strict.thin({ tokens: countedInputTokens, bytesAfter: 500 })
        if (thin === null) return
        thins++
        const prompt = Math.floor(countedInputTokens * 1.01 * share)
        const usage = usageOf({
          model: row.id,
          speed: fast ? 'fast' : 'standard',
          inferenceGeo: geo === 'global' ? 'global' : 'us',
          tokens: tokensOf({
            output,
            ...(cacheWrites === '1h' ? { cacheWrite1h: prompt } : { cacheWrite5m: prompt }),
          }),
        })
        const { costMicro } = costOf(usage, BUILT_IN_PRICES, { atMs: TODAY_MS, markup })
        assert.ok(costMicro <= thin.openMicro + thin.riskMicro, `${row.id}: ${costMicro}`)
        // And where it was warm, what is held is enough.
        const known = countedInputTokens - Math.min(countedInputTokens, 1_000)
        const warm = { ...usage, tokens: tokensOf({ output, cacheRead: known, input: 500 }) }
        const { costMicro: readMicro } = costOf(warm, BUILT_IN_PRICES, { atMs: TODAY_MS, markup })
        assert.ok(readMicro <= thin.openMicro, `${row.id} warm: ${readMicro}`)
      },
    ),
    { numRuns: 2_000 },
  )
  assert.ok(thins > 500, `${thins}`)
})
