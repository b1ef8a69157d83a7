import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { StreamTap } from '../../../src/providers/anthropic/stream-tap.ts'

const FOLDER = new URL('../../golden/streams/', import.meta.url)
const NAMES = readdirSync(FOLDER).filter((name) => name.endsWith('.sse'))
const STOP = 'event: message_stop'

function recorded(name: string): Buffer {
  return readFileSync(new URL(name, FOLDER))
}

/** A recorded stream and its variants: with CR LF, with `data` lines alone. */
function variants(name: string): Buffer[] {
  const text = recorded(name).toString()
  return [
    Buffer.from(text),
    Buffer.from(text.replaceAll('\n', '\r\n')),
    Buffer.from(text.replace(/^event: .*\n/gm, '')),
  ]
}

/** All that a tap says after a stream that arrived in these chunks, all at one time. */
function tapped(chunks: readonly Buffer[]) {
  const tap = new StreamTap({ requestedModel: 'asked' })
  let passed = 0
  let isHeld = false
  for (const chunk of chunks) {
    const safe = tap.push(chunk, 1_000)
    if (isHeld) assert.equal(safe, 0, 'nothing passes once something is held')
    isHeld ||= safe < chunk.length
    passed += safe
  }
  const { started, ended, errorEvent, bytesSeen, exact, bufferedBytes } = tap
  const state = { started, ended, errorEvent, bytesSeen, exact, bufferedBytes }
  return { passed, result: { ...state, usage: tap.usage(), output: tap.outputSoFar(1_000) } }
}

test('every recorded stream reads the same for every cut in two and byte by byte', () => {
  for (const name of NAMES) {
    for (const stream of variants(name)) {
      const { passed, result } = tapped([stream])
      for (let at = 0; at <= stream.length; at++) {
        const cut = tapped([stream.subarray(0, at), stream.subarray(at)])
        assert.deepEqual(cut.result, result, `${name} cut at ${at}`)
        // Bytes that left before the end of the stream was known to be one may be more.
        assert.ok(cut.passed >= passed && (cut.passed < stream.length || !result.ended))
      }
      const bytes = Array.from(stream, (byte) => Buffer.from([byte]))
      assert.deepEqual(tapped(bytes).result, result, name)
    }
  }
})

test('every recorded stream reads the same for random chunks', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...NAMES),
      fc.nat(2),
      fc.array(fc.nat(), { maxLength: 12 }),
      (name, variant, cuts) => {
        const stream = variants(name)[variant] as Buffer
        const at = [0, ...cuts.map((cut) => cut % stream.length), stream.length]
        at.sort((a, b) => a - b)
        const chunks = at.slice(1).map((end, k) => stream.subarray(at[k], end))
        assert.deepEqual(tapped(chunks).result, tapped([stream]).result)
      },
    ),
    { numRuns: 2000 },
  )
})

test('all bytes pass until message_stop begins; from there on they wait', () => {
  for (const name of NAMES) {
    const stream = recorded(name)
    const stop = stream.indexOf(STOP)
    const { passed, result } = tapped([stream])
    assert.equal(passed, stop === -1 ? stream.length : stop)
    assert.equal(result.ended, stop !== -1)
  }
  const tap = new StreamTap({ requestedModel: 'asked' })
  const stream = recorded('refusal.sse')
  const middle = stream.indexOf(STOP) + 10
  assert.equal(tap.push(stream.subarray(0, middle), 0), middle)
  assert.equal(tap.push(stream.subarray(middle), 0), 0)
  assert.equal(tap.push(Buffer.from(': late\n\n'), 0), 0)
})

test('a stream with thinking, text and tools yields its usage and measures its output', () => {
  const { result } = tapped([recorded('thinking-text-tools.sse')])
  const { usage, output, ...state } = result
  assert.deepEqual(state, {
    started: true,
    ended: true,
    errorEvent: null,
    bytesSeen: recorded('thinking-text-tools.sse').length,
    exact: true,
    bufferedBytes: 0,
  })
  assert.deepEqual(
    { ...usage, deltas: undefined },
    {
      model: 'claude-sonnet-5-5',
      tokens: { input: 781, output: 921, cacheRead: 12_000, cacheWrite5m: 0, cacheWrite1h: 346 },
      iterations: [],
      webSearchRequests: 0,
      speed: null,
      inferenceGeo: 'global',
      serviceTier: 'standard',
      stopReason: 'tool_use',
      hasContent: true,
      anomalies: 0,
      deltas: undefined,
    },
  )
  assert.equal(output.seenOutputTokens, 921)
  assert.equal(output.omittedThinking, false)
  assert.equal(output.visibleBytes, visibleBytesOf(recorded('thinking-text-tools.sse')))
})

/** UTF-8 bytes of all text of a stream's deltas, by parsing each. */
function visibleBytesOf(stream: Buffer): number {
  let bytes = 0
  for (const [, data = ''] of stream.toString().matchAll(/^data: (.*)$/gm)) {
    const event = JSON.parse(data) as { delta?: Record<string, unknown> }
    for (const name of ['text', 'thinking', 'partial_json']) {
      const text = event.delta?.[name]
      if (typeof text === 'string') bytes += Buffer.byteLength(text)
    }
  }
  return bytes
}

test('output is measured without parsing: any text, any escaping, any padding', () => {
  const asEscapes = (text: string) =>
    text.replace(/[\s\S]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.string({ unit: 'grapheme' }), fc.nat(2), fc.nat(20)), { minLength: 1 }),
      fc.constantFrom(['text_delta', 'text'], ['input_json_delta', 'partial_json']),
      (parts, [type, field]) => {
        const start = { type: 'content_block_start', index: 0, content_block: { type: 'x' } }
        let stream = `event: content_block_start\ndata: ${JSON.stringify(start)}\n\n`
        let expected = 0
        for (const [text, style, padding] of parts) {
          expected += Buffer.byteLength(text)
          const json = style === 0 ? `"${asEscapes(text)}"` : JSON.stringify(text)
          stream += `event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"${type}","${field}":${json}}${' '.repeat(padding)}}\n\n`
        }
        const { output } = tapped([Buffer.from(stream)]).result
        assert.equal(output.visibleBytes, expected)
      },
    ),
  )
})

test('omitted thinking is timed while its block is open, and its estimates are added', () => {
  const stream = recorded('thinking-omitted.sse')
  const open = stream.indexOf('event: ping')
  const close = stream.indexOf('event: content_block_stop')
  const tap = new StreamTap({ requestedModel: 'asked' })
  tap.push(stream.subarray(0, open), 1_000)
  assert.equal(tap.startedJust, true)
  assert.deepEqual(tap.outputSoFar(4_000), {
    visibleBytes: 0,
    seenOutputTokens: 0,
    omittedThinking: true,
    thinkingEstimatedTokens: 0,
    omittedThinkingMs: 3_000,
    serverToolUses: 0,
  })
  tap.push(stream.subarray(open, close), 6_000)
  assert.equal(tap.startedJust, false)
  tap.push(stream.subarray(close), 9_000)
  assert.deepEqual(tap.outputSoFar(60_000), {
    visibleBytes: 21,
    seenOutputTokens: 260,
    omittedThinking: true,
    thinkingEstimatedTokens: 200,
    omittedThinkingMs: 8_000,
    serverToolUses: 0,
  })
})

test('server tools grow the input; later deltas win, growth of cache writes is 5m', () => {
  const { usage } = tapped([recorded('server-tools.sse')]).result
  assert.deepEqual(usage.tokens, {
    input: 9_200,
    output: 240,
    cacheRead: 2_500,
    cacheWrite5m: 1_400,
    cacheWrite1h: 0,
  })
  assert.equal(usage.webSearchRequests, 2)
  assert.equal(usage.stopReason, 'end_turn')
})

test('a fallback in mid-stream comes with its iterations', () => {
  const { usage, exact } = tapped([recorded('fallback.sse')]).result
  assert.equal(exact, true)
  assert.deepEqual(
    usage.iterations.map(({ type, model, tokens }) => [type, model, tokens.output]),
    [
      ['message', 'claude-opus-5-5', 2],
      ['fallback_message', 'claude-sonnet-5-5', 30],
    ],
  )
})

test('an error event tells its type, its text and where it begins', () => {
  const stream = recorded('overloaded.sse')
  const { result } = tapped([stream])
  assert.deepEqual(result.errorEvent, {
    type: 'overloaded_error',
    message: 'Overloaded',
    offset: stream.indexOf('event: error'),
  })
  assert.equal(result.exact, false)
  assert.equal(result.ended, false)
  assert.equal(result.usage.tokens.input, 50)
})

test('a refusal before output has no content', () => {
  const { usage, exact } = tapped([recorded('refusal.sse')]).result
  assert.equal(usage.hasContent, false)
  assert.equal(usage.stopReason, 'refusal')
  assert.equal(exact, true)
})

test('what is missing, unreadable, poisoned or too big makes the usage inexact', () => {
  const good = recorded('thinking-text-tools.sse').toString()
  const without = (pattern: RegExp) => good.replace(pattern, '')
  const big = `event: content_block_start\ndata: ${'x'.repeat(9 * 1024 * 1024)}\n\n`
  const rows: [string, string][] = [
    ['cut', good.slice(0, -40)],
    ['no message_delta', without(/event: message_delta\ndata: .*\n\n/)],
    ['no message_start', without(/event: message_start\ndata: .*\n\n/)],
    ['unreadable message_delta', good.replace('{"type":"message_delta"', '{"type":message_delta"')],
    ['poisoned usage', good.replace('"output_tokens":921', '"output_tokens":-921')],
    ['an event over 8 MiB', good.replace('event: ping', `${big}event: ping`)],
    ['a second start', good.slice(0, good.indexOf('event: ping')) + good],
  ]
  assert.equal(tapped([Buffer.from(good)]).result.exact, true)
  for (const [name, text] of rows) {
    const { result } = tapped([Buffer.from(text)])
    assert.equal(result.exact, false, name)
    assert.ok(result.usage.tokens.output >= 0)
  }
})

test('events and blocks that nobody knows yet pass and change nothing', () => {
  const stream = recorded('thinking-text-tools.sse').toString()
  const news = 'event: content_block_dream\ndata: {"type":"content_block_dream"}\n\n: hello\n\n'
  const odd = 'event: telemetry\ndata: not json\n\n'
  const { result } = tapped([
    Buffer.from(stream.replaceAll('event: ping', `${news}${odd}event: ping`)),
  ])
  const plain = tapped([Buffer.from(stream)]).result
  assert.deepEqual({ ...result, bytesSeen: 0 }, { ...plain, bytesSeen: 0 })
})
