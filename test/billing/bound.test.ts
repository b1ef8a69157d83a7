import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type BoundInput,
  costBound,
  maxTokensThatFit,
  SIDE_OUTPUT_TOKENS,
  surelyWarm,
  TOOL_RESULT_TOKENS,
  tighterBound,
} from '../../src/billing/bound.ts'
import { type BoundModels, boundModels, type WantedModels } from '../../src/billing/bound-models.ts'
import { costOf } from '../../src/billing/cost.ts'
import { listModels } from '../../src/billing/price-table.ts'
import { BUILT_IN_PRICES } from '../../src/billing/prices.ts'
import type { TokenCounts, UsageIteration } from '../../src/core/usage.ts'
import { TODAY_MS, usageOf } from './usages.ts'

const PLAIN_REQUEST: BoundInput = {
  textBytes: 2_000,
  denseBytes: 0,
  images: 0,
  unknownInput: false,
  cacheWrites: 'none',
  maxTokens: 1_000,
  hasTools: false,
  serverTools: [],
  mcp: false,
  compaction: false,
  fast: false,
  geo: 'global',
}

function modelsOf(model: string, changes: Partial<WantedModels> = {}): BoundModels {
  const wanted = { model, fast: false, fallbacks: [], advisors: [], ...changes }
  const found = boundModels(wanted, BUILT_IN_PRICES, TODAY_MS)
  assert.equal(found.kind, 'models')
  return (found as Extract<typeof found, { kind: 'models' }>).models // asserted in the line above
}

function boundOf(model: string, changes: Partial<BoundInput> = {}) {
  return costBound({ ...PLAIN_REQUEST, ...changes }, modelsOf(model))
}

test('prose counts a token per two bytes, dense text one per byte, images their cap', () => {
  const tokens = (changes: Partial<BoundInput>, model = 'claude-opus-5') =>
    boundOf(model, { textBytes: 0, ...changes }).inputTokens
  const overhead = tokens({})
  assert.equal(tokens({ textBytes: 1_001 }) - overhead, 501)
  assert.equal(tokens({ denseBytes: 1_001 }) - overhead, 1_001)
  assert.equal(tokens({ images: 3 }) - overhead, 3 * 4_784)
  assert.equal(tokens({ images: 3 }, 'claude-haiku-4-5') - overhead, 3 * 1_568)
})

test('a plain bound is its tokens at the list price, rounded up once', () => {
  // 1,000 tokens of text and 64 around them at $5, 1,000 of output at $25.
  assert.equal(boundOf('claude-opus-5').amountMicro, 5_320 + 25_000)
  assert.equal(boundOf('claude-haiku-5-5', { textBytes: 2, maxTokens: 0 }).amountMicro, 7)
})

test('cache writes raise the input to the dearest class that the body asks for', () => {
  const rate = (changes: Partial<BoundInput>) =>
    boundOf('claude-opus-5', changes).parts[0]?.inputRateMicro
  assert.equal(rate({}), 5_000_000)
  assert.equal(rate({ cacheWrites: '5m' }), 6_250_000)
  assert.equal(rate({ cacheWrites: '1h' }), 10_000_000)
  assert.equal(rate({ mcp: true }), 6_250_000)
})

test('the region counts unless the request pins global or the model knows none', () => {
  const { amountMicro } = boundOf('claude-opus-5')
  assert.equal(boundOf('claude-opus-5', { geo: 'us' }).amountMicro, (amountMicro * 11) / 10)
  assert.equal(boundOf('claude-opus-5', { geo: 'unknown' }).amountMicro, (amountMicro * 11) / 10)
  const old = boundOf('claude-haiku-4-5').amountMicro
  assert.equal(boundOf('claude-haiku-4-5', { geo: 'us' }).amountMicro, old)
})

test('speed counts where the request asks for it and the model has it', () => {
  const { amountMicro } = boundOf('claude-opus-5')
  assert.equal(boundOf('claude-opus-5', { fast: true }).amountMicro, amountMicro * 2)
  const slow = boundOf('claude-opus-4-6').amountMicro
  assert.equal(boundOf('claude-opus-4-6', { fast: true }).amountMicro, slow)
})

test('the prompt-length step counts as soon as the bound can reach it', () => {
  const rate = (textBytes: number) =>
    boundOf('claude-haiku-5-5', { textBytes }).parts[0]?.outputRateMicro
  assert.equal(rate(199_000), 500_000)
  assert.equal(rate(200_001), 2_500_000)
})

test('a prompt is never longer than the context window, and an unknown one is that long', () => {
  assert.equal(boundOf('claude-haiku-4-5', { textBytes: 30_000_000 }).inputTokens, 200_000)
  const unknown = boundOf('claude-haiku-4-5', { unknownInput: true })
  assert.equal(unknown.inputTokens, 200_000)
  assert.equal(unknown.inputKnown, false)
})

test('a counted prompt replaces the guess', () => {
  const input = { ...PLAIN_REQUEST, unknownInput: true }
  const models = modelsOf('claude-haiku-4-5')
  const counted = tighterBound(input, models, 10_000)
  assert.equal(counted.inputKnown, true)
  assert.ok(counted.inputTokens >= 10_000 && counted.inputTokens < 10_500)
  assert.ok(counted.amountMicro < costBound(input, models).amountMicro)
})

test('a count by an older tokenizer is stretched for fallbacks with the newer one', () => {
  const fallbacks = [{ model: 'claude-opus-5', maxTokens: null, fast: null }]
  const input = { ...PLAIN_REQUEST, maxTokens: 0 }
  const bound = tighterBound(input, modelsOf('claude-sonnet-4-6', { fallbacks }), 30_000)
  assert.ok((bound.parts[1]?.inputTokens ?? 0) >= 40_000)
})

test('output is at most what the model can write', () => {
  assert.equal(boundOf('claude-haiku-4-5', { maxTokens: 1_000_000 }).outputTokens, 64_000)
  assert.equal(boundOf('claude-haiku-4-5', { maxTokens: 0 }).outputTokens, 0)
})

test('server tools add fees per search and rounds of a growing prompt, up to the window', () => {
  const none = boundOf('claude-opus-5', { hasTools: true })
  const one = boundOf('claude-opus-5', { serverTools: [{ kind: 'web_search', maxUses: 1 }] })
  assert.equal(one.feesMicro, 10_000)
  assert.equal(one.inputTokens, 2 * none.inputTokens + TOOL_RESULT_TOKENS)
  const open = boundOf('claude-opus-5', { serverTools: [{ kind: 'web_search', maxUses: null }] })
  assert.equal(open.feesMicro, 100_000)
  const many = boundOf('claude-opus-5', { serverTools: [{ kind: 'other', maxUses: 1e15 }] })
  assert.equal(many.feesMicro, 0)
  assert.equal(many.inputTokens, 1_000_000)
})

test('fallbacks add up, each at its own price and length', () => {
  const fallbacks = [
    { model: 'claude-opus-5', maxTokens: 10, fast: null },
    { model: 'claude-sonnet-4-6', maxTokens: null, fast: null },
  ]
  const bound = costBound(PLAIN_REQUEST, modelsOf('claude-fable-5-2', { fallbacks }))
  assert.deepEqual(
    bound.parts.map((part) => [part.model, part.outputTokens, part.outputRateMicro]),
    [
      ['claude-fable-5-2', 1_000, 40_000_000],
      ['claude-opus-5', 10, 25_000_000],
      ['claude-sonnet-4-6', 1_000, 15_000_000],
    ],
  )
})

test('a fallback may have to read what the model before it wrote', () => {
  const fallbacks = [{ model: 'claude-opus-5', maxTokens: null, fast: null }]
  const bound = costBound(PLAIN_REQUEST, modelsOf('claude-fable-5-2', { fallbacks }))
  const [request, fallback] = bound.parts.map((part) => part.inputTokens)
  assert.equal(fallback, (request ?? 0) + PLAIN_REQUEST.maxTokens)
})

test('default fallbacks count as the dearest model that is served', () => {
  const models = modelsOf('claude-haiku-5-5', { fallbacks: 'default' })
  assert.equal(models.fallbacks[0]?.row.id, 'claude-fable-5')
  const fast = modelsOf('claude-haiku-5-5', { fallbacks: 'default', fast: true })
  assert.equal(fast.fallbacks[0]?.row.id, 'claude-fable-5-2')
})

test('advisers and compaction read the prompt once more each time', () => {
  const advisors = [{ model: 'claude-fable-5-2', maxUses: 2, maxTokens: 500 }]
  const models = modelsOf('claude-haiku-5-5', { advisors })
  const [request, compaction, advisor] = costBound(
    { ...PLAIN_REQUEST, compaction: true },
    models,
  ).parts
  assert.equal(compaction?.inputTokens, request?.inputTokens)
  assert.equal(compaction?.outputTokens, SIDE_OUTPUT_TOKENS)
  assert.equal(advisor?.outputTokens, 1_000)
  assert.ok((advisor?.inputTokens ?? 0) >= 2 * (request?.inputTokens ?? 0))
})

test('a model without a served price is named, wherever the request names it', () => {
  const unknown = (wanted: Partial<WantedModels>) =>
    boundModels(
      { model: 'claude-opus-5', fast: false, fallbacks: [], advisors: [], ...wanted },
      BUILT_IN_PRICES,
      TODAY_MS,
    )
  const model = 'claude-opus-4-1-20250805'
  const expected = { kind: 'unknown_model', model }
  assert.deepEqual(unknown({ model }), expected)
  assert.deepEqual(unknown({ fallbacks: [{ model, maxTokens: null, fast: null }] }), expected)
  assert.deepEqual(unknown({ advisors: [{ model, maxUses: null, maxTokens: null }] }), expected)
})

// ── properties ───────────────────────────────────────────────────────────────────────────────────

const served = listModels(BUILT_IN_PRICES, TODAY_MS).map((row) => row.id)
const anyServed = fc.constantFrom(...served)

const anyInput: fc.Arbitrary<BoundInput> = fc.record({
  textBytes: fc.integer({ min: 0, max: 3_000_000 }),
  denseBytes: fc.integer({ min: 0, max: 200_000 }),
  images: fc.integer({ min: 0, max: 30 }),
  unknownInput: fc.boolean(),
  cacheWrites: fc.constantFrom('none', '5m', '1h'),
  maxTokens: fc.integer({ min: 0, max: 200_000 }),
  hasTools: fc.boolean(),
  serverTools: fc.array(
    fc.record({
      kind: fc.constantFrom('web_search' as const, 'other' as const),
      maxUses: fc.option(fc.integer({ min: 0, max: 20 })),
    }),
    { maxLength: 2 },
  ),
  mcp: fc.boolean(),
  compaction: fc.boolean(),
  fast: fc.boolean(),
  geo: fc.constantFrom('us', 'global', 'unknown'),
})

const anyWanted: fc.Arbitrary<Omit<WantedModels, 'fast'>> = fc.record({
  model: anyServed,
  fallbacks: fc.oneof(
    fc.constant('default' as const),
    fc.array(
      fc.record({
        model: anyServed,
        maxTokens: fc.option(fc.integer({ min: 0, max: 9_000 })),
        fast: fc.option(fc.boolean()),
      }),
      { maxLength: 3 },
    ),
  ),
  advisors: fc.array(
    fc.record({
      model: anyServed,
      maxUses: fc.option(fc.integer({ min: 0, max: 5 })),
      maxTokens: fc.option(fc.integer({ min: 1, max: 4_000 })),
    }),
    { maxLength: 1 },
  ),
})

/** Where between nothing and the bound an answer's figures lie; half of the time at the bound itself. */
const anyShare = fc.oneof(fc.constant(1), fc.double({ min: 0, max: 1, noNaN: true }))
const anyShares = fc.record({
  input: anyShare,
  output: anyShare,
  searches: anyShare,
  writes: anyShare,
  reads: anyShare,
})

test('no answer that keeps to the bound of its request costs more than it', () => {
  fc.assert(
    fc.property(anyInput, anyWanted, anyShares, fc.boolean(), (input, wanted, share, asked) => {
      const models = modelsOf(wanted.model, { ...wanted, fast: input.fast })
      const bound = costBound(input, models)
      const growing = input.mcp || input.serverTools.some((tool) => tool.maxUses !== 0)
      const iterations = bound.parts.map((part): UsageIteration => {
        const prompt = Math.floor(part.inputTokens * share.input)
        const cacheRead = Math.floor(prompt * share.reads * 0.5)
        const written = Math.floor((prompt - cacheRead) * share.writes)
        const write5m = input.cacheWrites === '5m' || (growing && input.cacheWrites === 'none')
        const write1h = input.cacheWrites === '1h'
        const tokens: TokenCounts = {
          input: prompt - cacheRead - (write5m || write1h ? written : 0),
          output: Math.floor(part.outputTokens * share.output),
          cacheRead,
          cacheWrite5m: write5m ? written : 0,
          cacheWrite1h: write1h ? written : 0,
        }
        return { type: 'message', model: part.model, tokens, splitUnknown: false }
      })
      const searches = input.serverTools
        .filter((tool) => tool.kind === 'web_search')
        .reduce((total, tool) => total + (tool.maxUses ?? 10), 0)
      const isFast = input.fast || models.fallbacks.some((fallback) => fallback.fast)
      const usage = usageOf({
        model: wanted.model,
        iterations,
        webSearchRequests: Math.floor(searches * share.searches),
        speed: isFast && asked ? 'fast' : 'standard',
        inferenceGeo: input.geo === 'unknown' ? 'us' : input.geo,
      })
      const { costMicro } = costOf(usage, BUILT_IN_PRICES, { atMs: TODAY_MS })
      assert.ok(bound.amountMicro >= costMicro, `${bound.amountMicro} < ${costMicro}`)
      assert.ok(Number.isSafeInteger(bound.amountMicro))
    }),
    { numRuns: 5_000 },
  )
})

test('a bound never shrinks when the request grows', () => {
  const anyGrowth = fc.constantFrom<(input: BoundInput) => BoundInput>(
    (input) => ({ ...input, textBytes: input.textBytes + 10_000 }),
    (input) => ({ ...input, denseBytes: input.denseBytes + 1 }),
    (input) => ({ ...input, images: input.images + 1 }),
    (input) => ({ ...input, maxTokens: input.maxTokens + 1 }),
    (input) => ({ ...input, unknownInput: true }),
    (input) => ({ ...input, cacheWrites: '1h' }),
    (input) => ({ ...input, mcp: true }),
    (input) => ({ ...input, compaction: true }),
    (input) => ({ ...input, fast: true }),
    (input) => ({ ...input, geo: 'unknown' }),
    (input) => ({
      ...input,
      serverTools: [...input.serverTools, { kind: 'web_search', maxUses: null }],
    }),
  )
  fc.assert(
    fc.property(anyInput, anyWanted, anyGrowth, (input, wanted, grow) => {
      const models = modelsOf(wanted.model, wanted)
      const before = costBound(input, models).amountMicro
      assert.ok(costBound(grow(input), models).amountMicro >= before)
    }),
    { numRuns: 3_000 },
  )
})

test('the max_tokens that fit do fit, and one more does not', () => {
  const anyAvailable = fc.integer({ min: -1_000_000, max: 30_000_000 })
  fc.assert(
    fc.property(anyInput, anyServed, anyAvailable, (input, model, availableMicro) => {
      const models = modelsOf(model)
      const fits = maxTokensThatFit(costBound(input, models), availableMicro)
      const amount = (maxTokens: number) => costBound({ ...input, maxTokens }, models).amountMicro
      if (fits !== null) {
        assert.ok(fits >= 1 && fits <= input.maxTokens)
        assert.ok(amount(fits) <= availableMicro)
      }
      const next = (fits ?? 0) + 1
      const limit = Math.min(input.maxTokens, models.row.maxOutput)
      if (next <= limit) assert.ok(amount(next) > availableMicro)
    }),
    { numRuns: 2_000 },
  )
})

test('nothing fits an empty wallet, and everything fits a full one', () => {
  const bound = boundOf('claude-opus-5')
  assert.equal(maxTokensThatFit(bound, 0), null)
  assert.equal(maxTokensThatFit(bound, bound.amountMicro), 1_000)
  assert.equal(maxTokensThatFit(bound, bound.amountMicro - 1), 999)
})

test('a part of the prompt that is warm makes it cheaper, by the difference to a read', () => {
  fc.assert(
    fc.property(anyInput, anyWanted, fc.nat(2_000_000), (input, wanted, warmTokens) => {
      const models = modelsOf(wanted.model, wanted)
      const cold = costBound(input, models)
      const warm = costBound({ ...input, warmTokens }, models)
      assert.ok(warm.amountMicro <= cold.amountMicro)
      assert.equal(warm.inputTokens, cold.inputTokens)
      const savedMicro = warm.parts.reduce((sum, part) => {
        const [n, d] = part.ratio
        return sum + (part.warmTokens * (part.inputRateMicro - part.warmRateMicro) * n) / d / 1e6
      }, 0)
      const difference = cold.amountMicro - warm.amountMicro
      assert.ok(Math.abs(difference - savedMicro) <= 1, `${difference} saved, not ${savedMicro}`)
    }),
    { numRuns: 2_000 },
  )
})

test('only what the request itself reads is warm, not what others read for it', () => {
  const input = { ...PLAIN_REQUEST, countedInputTokens: 50_000, compaction: true }
  const { parts } = costBound(
    { ...input, warmTokens: 40_000 },
    modelsOf('claude-opus-5', {
      fallbacks: [{ model: 'claude-sonnet-4-6', maxTokens: null, fast: null }],
    }),
  )
  assert.deepEqual(
    parts.map(({ role, warmTokens }) => [role, warmTokens]),
    [
      ['request', 40_000],
      ['fallback', 0],
      ['compaction', 0],
    ],
  )
})

test('of a cached prefix only so much is surely warm as the count leaves beside all that is new', () => {
  const { row } = modelsOf('claude-opus-5')
  const counted = { ...PLAIN_REQUEST, countedInputTokens: 100_000 }
  const warm = (changes: Partial<BoundInput>, tokens: number, bytesAfter: number) =>
    surelyWarm({ ...counted, ...changes }, row, { tokens, bytesAfter })
  assert.equal(warm({}, 90_000, 2_000), 90_000)
  // 1,000 new tokens at a token per two bytes, and 64 around them.
  assert.equal(warm({}, 100_000, 2_000), 100_000 - 1_000 - 64)
  // A prefix whose length was guessed wrong: what the rest may have is not in it.
  assert.equal(warm({}, 95_000, 180_000), 100_000 - 90_000 - 64)
  assert.equal(warm({ denseBytes: 50_000 }, 95_000, 180_000), 0)
  assert.equal(warm({ denseBytes: 50_000 }, 95_000, 10_000), 100_000 - 10_000 - 64)
  assert.equal(warm({ images: 2 }, 95_000, 0), 100_000 - 2 * 4_784 - 64)
  assert.equal(warm({ unknownInput: true }, 95_000, 0), 0)
  assert.equal(surelyWarm(PLAIN_REQUEST, row, { tokens: 95_000, bytesAfter: 0 }), 0)
})
