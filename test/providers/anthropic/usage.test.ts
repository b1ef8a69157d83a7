import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { NO_TOKENS } from '../../../src/core/usage.ts'
import {
  mergeMessageDelta,
  mergeMessageStart,
  noStreamUsage,
  readUsage,
} from '../../../src/providers/anthropic/usage.ts'

const MODEL = 'claude-sonnet-5-5'

function answer(usage: unknown) {
  return { model: MODEL, content: [{ type: 'text', text: 'x' }], stop_reason: 'end_turn', usage }
}

/** A stream's usage after `message_start` with one usage and then deltas with others. */
function streamed(start: unknown, ...deltas: unknown[]) {
  const started = mergeMessageStart(noStreamUsage('asked'), {
    type: 'message_start',
    message: { model: MODEL, content: [], usage: start },
  })
  return deltas.reduce(
    (usage: ReturnType<typeof noStreamUsage>, delta) =>
      mergeMessageDelta(usage, { type: 'message_delta', delta: {}, usage: delta }),
    started,
  )
}

test('a whole answer yields every class, fee and modifier', () => {
  const usage = readUsage(
    answer({
      input_tokens: 781,
      output_tokens: 921,
      cache_creation_input_tokens: 346,
      cache_read_input_tokens: 12,
      cache_creation: { ephemeral_5m_input_tokens: 100, ephemeral_1h_input_tokens: 246 },
      output_tokens_details: { thinking_tokens: 400 },
      server_tool_use: { web_search_requests: 3, web_fetch_requests: 1 },
      service_tier: 'standard',
      inference_geo: 'us',
      speed: 'fast',
    }),
    'asked',
  )
  assert.deepEqual(usage, {
    model: MODEL,
    tokens: { input: 781, output: 921, cacheRead: 12, cacheWrite5m: 100, cacheWrite1h: 246 },
    iterations: [],
    webSearchRequests: 3,
    speed: 'fast',
    inferenceGeo: 'us',
    serviceTier: 'standard',
    stopReason: 'end_turn',
    hasContent: true,
    anomalies: 0,
  })
})

test('null and absent members are zero, and no anomaly', () => {
  const usage = readUsage(
    answer({
      input_tokens: 5,
      output_tokens: 0,
      cache_creation: null,
      cache_read_input_tokens: null,
      server_tool_use: null,
    }),
    'asked',
  )
  assert.deepEqual(usage.tokens, { ...NO_TOKENS, input: 5 })
  assert.equal(usage.anomalies, 0)
})

test('an answer without usage is an anomaly, whatever it is', () => {
  for (const message of [null, 'x', 7, [], {}, { usage: [] }, { usage: 'many' }]) {
    const usage = readUsage(message, 'asked')
    assert.equal(usage.model, 'asked')
    assert.deepEqual(usage.tokens, NO_TOKENS)
    assert.equal(usage.anomalies, 2)
  }
})

test('cache writes without a split are 5-minute ones', () => {
  const usage = readUsage(
    answer({ input_tokens: 1, output_tokens: 1, cache_creation_input_tokens: 70 }),
    'asked',
  )
  assert.deepEqual([usage.tokens.cacheWrite5m, usage.tokens.cacheWrite1h], [70, 0])
})

test('an answer has content unless it is empty or only says that another model took over', () => {
  const usage = { input_tokens: 1, output_tokens: 1 }
  const has = (content: unknown) => readUsage({ content, usage }, 'asked').hasContent
  assert.equal(has([]), false)
  assert.equal(has([{ type: 'fallback' }]), false)
  assert.equal(has([{ type: 'fallback' }, { type: 'text', text: '' }]), true)
})

test('deltas replace, and null or absent members keep what was known', () => {
  const usage = streamed(
    { input_tokens: 25, output_tokens: 3, cache_read_input_tokens: 7, speed: 'fast' },
    { output_tokens: 10 },
    { input_tokens: null, output_tokens: 15, cache_read_input_tokens: 9 },
  )
  assert.deepEqual(usage.tokens, { ...NO_TOKENS, input: 25, output: 15, cacheRead: 9 })
  assert.equal(usage.speed, 'fast')
  assert.equal(usage.deltas, 2)
  assert.equal(usage.anomalies, 0)
})

test('the output of message_start is a placeholder: even a smaller total replaces it', () => {
  const usage = streamed({ input_tokens: 1, output_tokens: 3 }, { output_tokens: 0 })
  assert.equal(usage.tokens.output, 0)
  assert.equal(usage.anomalies, 0)
})

test('cache writes that grew after the start are 5-minute ones', () => {
  const start = {
    input_tokens: 1,
    output_tokens: 1,
    cache_creation_input_tokens: 300,
    cache_creation: { ephemeral_5m_input_tokens: 100, ephemeral_1h_input_tokens: 200 },
  }
  const { tokens } = streamed(start, { output_tokens: 5, cache_creation_input_tokens: 450 })
  assert.deepEqual([tokens.cacheWrite5m, tokens.cacheWrite1h], [250, 200])
})

test('an output total that shrinks keeps the larger figure and counts an anomaly', () => {
  const usage = streamed(
    { input_tokens: 1, output_tokens: 1 },
    { output_tokens: 50 },
    { output_tokens: 20 },
  )
  assert.equal(usage.tokens.output, 50)
  assert.equal(usage.anomalies, 1)
})

test('input totals that shrink keep the larger figure, unless iterations say that another model took over', () => {
  const start = { input_tokens: 9, output_tokens: 1, cache_read_input_tokens: 7 }
  const shrunk = { input_tokens: 2, output_tokens: 5, cache_read_input_tokens: 0 }
  const usage = streamed(start, shrunk)
  assert.deepEqual(usage.tokens, { ...NO_TOKENS, input: 9, output: 5, cacheRead: 7 })
  assert.equal(usage.anomalies, 2)
  const other = { type: 'fallback_message', model: 'claude-opus-5', ...shrunk }
  const fallen = streamed(start, { ...shrunk, iterations: [other] })
  assert.deepEqual(fallen.tokens, { ...NO_TOKENS, input: 2, output: 5, cacheRead: 0 })
  assert.equal(fallen.anomalies, 0)
})

test('a usage of a delta that is no object is an anomaly; null and absent are none', () => {
  const after = (usage: unknown) => streamed({ input_tokens: 1, output_tokens: 1 }, usage).anomalies
  assert.deepEqual(['lots', 7, []].map(after), [1, 1, 1])
  assert.deepEqual([null, undefined, {}].map(after), [0, 0, 0])
})

test('iterations carry their own models, and mark where the split was left out', () => {
  const entry = { type: 'message', model: null, input_tokens: 4, output_tokens: 2 }
  const usage = streamed(
    {
      input_tokens: 4,
      output_tokens: 1,
      cache_creation_input_tokens: 30,
      cache_creation: { ephemeral_1h_input_tokens: 30, ephemeral_5m_input_tokens: 0 },
    },
    {
      output_tokens: 2,
      iterations: [
        { ...entry, cache_creation_input_tokens: 30, cache_creation: null },
        { ...entry, type: 'advisor_message', model: 'claude-opus-5-5', cache_creation: {} },
      ],
    },
  )
  assert.deepEqual(usage.iterations, [
    {
      type: 'message',
      model: null,
      tokens: { ...NO_TOKENS, input: 4, output: 2, cacheWrite5m: 30 },
      splitUnknown: true,
    },
    {
      type: 'advisor_message',
      model: 'claude-opus-5-5',
      tokens: { ...NO_TOKENS, input: 4, output: 2 },
      splitUnknown: false,
    },
  ])
  // The answer's own 1-hour total stays where billing looks for it.
  assert.equal(usage.tokens.cacheWrite1h, 30)
})

test('a list of iterations with one bad figure is not used, so that the totals are billed', () => {
  const good = { type: 'message', input_tokens: 4, output_tokens: 2 }
  for (const bad of [{ ...good, output_tokens: -2 }, null, {}, { ...good, input_tokens: '4' }]) {
    const usage = streamed(
      { input_tokens: 4, output_tokens: 1 },
      { output_tokens: 2, iterations: [good, bad] },
    )
    assert.deepEqual(usage.iterations, [])
    assert.ok(usage.anomalies > 0)
  }
  assert.equal(readUsage(answer({ ...good, iterations: 'x' }), 'asked').anomalies, 1)
})

const poison = fc.oneof(
  fc.constantFrom<unknown>(-1, 1.5, 1e8 + 1, 1e300, '7', true, [], {}, Number.NaN, -1e9),
  fc.double(),
)

test('poisoned figures never lower, never raise beyond bounds, and are counted', () => {
  const start = { input_tokens: 10, output_tokens: 1, cache_read_input_tokens: 20 }
  const names = [
    'input_tokens',
    'output_tokens',
    'cache_read_input_tokens',
    'cache_creation_input_tokens',
  ]
  fc.assert(
    fc.property(fc.constantFrom(...names), poison, (name, value) => {
      const isCount =
        typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 1e8
      if (isCount) return
      const usage = streamed(start, { output_tokens: 30 }, { output_tokens: 30, [name]: value })
      assert.deepEqual(usage.tokens, { ...NO_TOKENS, input: 10, output: 30, cacheRead: 20 })
      assert.equal(usage.anomalies, 1)
    }),
  )
})

test('any JSON at all gives counts within bounds and never throws', () => {
  const count = fc.oneof(poison, fc.nat(), fc.constant(null))
  const usageArb = fc.record(
    {
      input_tokens: count,
      output_tokens: count,
      cache_creation_input_tokens: count,
      cache_read_input_tokens: count,
      cache_creation: fc.oneof(
        fc.record({ ephemeral_5m_input_tokens: count, ephemeral_1h_input_tokens: count }),
        fc.jsonValue(),
      ),
      server_tool_use: fc.oneof(fc.record({ web_search_requests: count }), fc.jsonValue()),
      iterations: fc.oneof(fc.array(fc.record({ input_tokens: count })), fc.jsonValue()),
      speed: fc.jsonValue(),
    },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(
      fc.oneof(usageArb, fc.jsonValue()),
      fc.array(fc.oneof(usageArb, fc.jsonValue()), { maxLength: 3 }),
      (start, deltas) => {
        for (const usage of [readUsage(answer(start), 'asked'), streamed(start, ...deltas)]) {
          for (const entry of [usage, ...usage.iterations]) {
            for (const tokens of Object.values(entry.tokens)) {
              assert.ok(Number.isInteger(tokens) && tokens >= 0 && tokens <= 2e8)
            }
          }
          assert.ok(usage.webSearchRequests >= 0 && usage.webSearchRequests <= 10_000)
        }
      },
    ),
    { numRuns: 1000 },
  )
})
