import assert from 'node:assert/strict'
import { isUtf8 } from 'node:buffer'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Inspection } from '../../src/wire/inspect.ts'
import { inspect } from '../../src/wire/inspect.ts'

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** What a plain parser says about the same bytes. */
function parses(bytes: Uint8Array): boolean {
  try {
    JSON.parse(decoder.decode(bytes))
    return true
  } catch {
    return false
  }
}

/** Whether we take bytes that a parser takes and refuse those that it refuses; our own refusals aside. */
function agrees(bytes: Buffer): boolean {
  const result = inspect(bytes, { isUtf8 })
  if (result.kind === 'duplicate_key' || result.kind === 'too_complex') return true
  return (result.kind === 'ok' || result.kind === 'not_an_object') === parses(bytes)
}

function inspectValue(value: unknown): Inspection {
  return inspect(Buffer.from(JSON.stringify(value)), { isUtf8 })
}

function refusal(text: string): Inspection {
  return inspect(Buffer.from(text), { isUtf8 })
}

const blockArb = fc.oneof(
  fc.record({ type: fc.constant('text'), text: fc.string({ unit: 'binary' }) }),
  fc.record({
    type: fc.constant('tool_use'),
    id: fc.string(),
    name: fc.string(),
    input: fc.jsonValue({ maxDepth: 2 }),
  }),
  fc.record({
    type: fc.constant('tool_result'),
    content: fc.oneof(fc.string(), fc.array(fc.jsonValue({ maxDepth: 1 }), { maxLength: 2 })),
    cache_control: fc.constantFrom(null, { type: 'ephemeral' }, { ttl: '1h' }, 5),
  }),
  fc.record({
    type: fc.constantFrom('image', 'document', 'other'),
    source: fc.oneof(
      fc.jsonValue({ maxDepth: 1 }),
      fc.record({
        type: fc.constantFrom('base64', 'text', 'file'),
        data: fc.string({ maxLength: 600 }),
      }),
    ),
  }),
  fc.jsonValue({ maxDepth: 2 }),
)

const bodyArb = fc.record(
  {
    model: fc.jsonValue({ maxDepth: 1 }),
    max_tokens: fc.jsonValue({ maxDepth: 1 }),
    stream: fc.jsonValue({ maxDepth: 1 }),
    system: fc.oneof(fc.string(), fc.array(blockArb, { maxLength: 2 })),
    thinking: fc.jsonValue({ maxDepth: 1 }),
    thread: fc.jsonValue({ maxDepth: 1 }),
    container: fc.jsonValue({ maxDepth: 1 }),
    metadata: fc.oneof(fc.record({ user_id: fc.string() }), fc.jsonValue({ maxDepth: 1 })),
    tools: fc.oneof(fc.array(fc.jsonValue({ maxDepth: 2 })), fc.jsonValue({ maxDepth: 1 })),
    fallbacks: fc.jsonValue({ maxDepth: 2 }),
    mcp_servers: fc.jsonValue({ maxDepth: 2 }),
    messages: fc.array(
      fc.oneof(
        fc.record({ role: fc.constantFrom('user', 'assistant'), content: fc.array(blockArb) }),
        fc.record({ content: fc.string() }),
        fc.jsonValue({ maxDepth: 1 }),
      ),
      { maxLength: 4 },
    ),
    extra: fc.jsonValue({ maxDepth: 3 }),
  },
  { requiredKeys: [] },
)

test('every JSON text that JSON.stringify makes of a body passes, at any alignment', () => {
  fc.assert(
    fc.property(bodyArb, fc.nat(3), fc.nat(2), (body, offset, indent) => {
      const text = Buffer.from(JSON.stringify(body, null, indent))
      const bytes = Buffer.alloc(text.length + 8, '"').subarray(offset, offset + text.length)
      text.copy(bytes)
      const result = inspect(bytes, { isUtf8 })
      assert.equal(result.kind, 'ok')
      if (result.kind !== 'ok') return
      // The spans of the members rebuild the body.
      for (const [name, [start, end]] of result.facts.topLevel) {
        assert.deepEqual(
          JSON.parse(bytes.toString('utf8', start, end)),
          JSON.parse(JSON.stringify(body[name as keyof typeof body])),
        )
      }
      assert.equal(result.facts.topLevel.size, Object.keys(JSON.parse(text.toString())).length)
    }),
    { numRuns: 400 },
  )
})

test('a body with bytes changed, cut or added is taken exactly when JSON.parse takes it', () => {
  const alphabet = Buffer.from('{}[]:,"\\ \n\ttfnulrse0123456789.+-eEaubcd\u0000\u001f\u00ef\u0080')
  const edit = fc.record({ at: fc.nat(), to: fc.nat(alphabet.length - 1), how: fc.nat(2) })
  fc.assert(
    fc.property(bodyArb, fc.array(edit, { minLength: 1, maxLength: 4 }), (body, edits) => {
      let bytes = Buffer.from(JSON.stringify(body))
      for (const { at, to, how } of edits) {
        const p = at % bytes.length
        const byte = alphabet.subarray(to, to + 1)
        bytes = Buffer.concat([
          bytes.subarray(0, p),
          how === 1 ? Buffer.alloc(0) : byte,
          bytes.subarray(how === 2 ? p : p + 1),
        ])
        if (bytes.length === 0) return
      }
      assert.ok(agrees(bytes), bytes.toString('latin1'))
    }),
    { numRuns: 3000 },
  )
})

test('random bytes and random JSON-like tokens are taken exactly when JSON.parse takes them', () => {
  const token = fc.constantFrom(
    ...['{', '}', '[', ']', ',', ':', '"a"', '"b"', '1', '-0', '0.5', '1e5', '01', '1.', '.5', '-'],
    ...[
      'true',
      'false',
      'null',
      'nul',
      ' ',
      '\n',
      '\r',
      '\t',
      '\f',
      '\u00a0',
      '"\\u00e9"',
      '"\\x"',
    ],
    ...['+1', '1e', '1E+2', '""', '"\\ud800"', '"\t"', "'a'", '/*c*/', '\ufeff', '\u0000'],
  )
  fc.assert(
    fc.property(fc.array(token, { maxLength: 12 }), (tokens) => {
      const text = tokens.join('')
      return agrees(Buffer.from(text)) && agrees(Buffer.from(`{"x":[${text}]}`))
    }),
    { numRuns: 4000 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => agrees(Buffer.from(bytes))),
    { numRuns: 1000 },
  )
})

test('a string of any length is taken exactly when JSON.parse takes it, wherever its flaw is', () => {
  const piece = fc.constantFrom(
    ...[
      '\\n',
      '\\"',
      '\\\\',
      '\\u12aF',
      '\\u12g4',
      '\\q',
      '\n',
      '\u0000',
      '\u001f',
      '"',
      'é',
      '😀',
    ],
  )
  const long = fc.nat(1500)
  fc.assert(
    fc.property(
      fc.array(fc.tuple(long, fc.boolean(), piece), { maxLength: 4 }),
      long,
      fc.nat(3),
      (parts, rest, pad) => {
        const content = parts.map(([n, has, what]) => 'x'.repeat(n) + (has ? what : '\\n')).join('')
        const text = `{${' '.repeat(pad)}"k":"${content}${'y'.repeat(rest)}"}`
        assert.ok(agrees(Buffer.from(text)))
        assert.ok(agrees(Buffer.from(text.slice(0, -2))))
      },
    ),
    { numRuns: 1500 },
  )
})

test('bytes that are not UTF-8 are refused with their position, by either check', () => {
  const cases: [number[], boolean][] = [
    [[0xc3, 0xa9], true],
    [[0xf0, 0x9f, 0x98, 0x80], true],
    [[0xc3], false],
    [[0xff], false],
    [[0xc0, 0xaf], false],
    [[0xed, 0xa0, 0x80], false],
    [[0xf4, 0x90, 0x80, 0x80], false],
    [[0xe2, 0x82], false],
  ]
  for (const [bytes, good] of cases) {
    const body = Buffer.concat([Buffer.from('{"a":"'), Buffer.from(bytes), Buffer.from('"}')])
    for (const options of [{ isUtf8 }, {}]) {
      const result = inspect(body, options)
      assert.equal(result.kind, good ? 'ok' : 'invalid_json')
      if (result.kind === 'invalid_json') assert.equal(result.position, 6)
    }
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 12 }), (bytes) => {
      const body = Buffer.concat([Buffer.from('{"a":"'), bytes, Buffer.from('"}')])
      assert.deepEqual(inspect(body), inspect(body, { isUtf8 }))
    }),
  )
})

test('what is no JSON object is refused with a message and a byte offset', () => {
  assert.deepEqual(refusal(''), {
    kind: 'invalid_json',
    message: 'the body is empty',
    position: 0,
  })
  assert.equal(refusal('\ufeff{}').kind, 'invalid_json')
  assert.deepEqual(refusal('[]'), { kind: 'not_an_object', type: 'array' })
  assert.deepEqual(refusal('"model"'), { kind: 'not_an_object', type: 'string' })
  assert.deepEqual(refusal('{"a":1,}'), {
    kind: 'invalid_json',
    message: 'unexpected character',
    position: 7,
  })
  assert.deepEqual(refusal('{"a":1'), {
    kind: 'invalid_json',
    message: 'unexpected end',
    position: 6,
  })
  assert.deepEqual(refusal('{} {}'), {
    kind: 'invalid_json',
    message: 'unexpected character after the end',
    position: 3,
  })
  assert.equal(refusal(' \r\n\t{} \n').kind, 'ok')
})

test('duplicate keys are refused where we check or price, however they are spelled', () => {
  const block = (text: string) =>
    `{"messages":[{"role":"user","content":[{"type":"text"}, ${text}]}]}`
  const rows: [string, string][] = [
    ['{"model":"a","model":"b"}', 'model'],
    ['{"model":"a","mod\\u0065l":"b"}', 'model'],
    ['{"mod\\u0065l":"a","\\u006dodel":"b"}', 'model'],
    ['{"x":1,"\\u0078":2}', 'x'],
    ['{"thinking":{"type":"enabled","budget_tokens":1,"type":1}}', 'thinking.type'],
    ['{"tools":[{"name":"a"},{"max_uses":1,"max_uses":9}]}', 'tools[1].max_uses'],
    ['{"tools":[{"cache_control":{"ttl":"5m","ttl":"1h"}}]}', 'tools[0].cache_control.ttl'],
    ['{"output_config":{"effort":"low","effort":"max"}}', 'output_config.effort'],
    ['{"thread":{"type":"create","type":"continue"}}', 'thread.type'],
    ['{"container":{"id":"a","id":"b"}}', 'container.id'],
    [
      '{"diagnostics":{"previous_message_id":"a","previous_message_id":"b"}}',
      'diagnostics.previous_message_id',
    ],
    ['{"fallback_credit_token":{"token":"a","tok\\u0065n":"b"}}', 'fallback_credit_token.token'],
    ['{"fallbacks":[{"model":"a","model":"b"}]}', 'fallbacks[0].model'],
    ['{"mcp_servers":[{"url":"a","url":"b"}]}', 'mcp_servers[0].url'],
    ['{"messages":[{},{"role":"user","role":"x"}]}', 'messages[1].role'],
    [block('{"type":"text","type":"x"}'), 'messages[0].content[1].type'],
    [
      block('{"source":{"type":"base64","data":"","data":""}}'),
      'messages[0].content[1].source.data',
    ],
    [
      block('{"type":"tool_result","content":[{"text":"a","text":"b"}]}'),
      'messages[0].content[1].content[0].text',
    ],
    ['{"system":[{"text":"a","text":"b"}]}', 'system[0].text'],
  ]
  for (const [text, path] of rows) assert.deepEqual(refusal(text), { kind: 'duplicate_key', path })
})

test('duplicate keys elsewhere pass: they are not ours to judge', () => {
  const bodies = [
    '{"tools":[{"input_schema":{"a":1,"a":2}}]}',
    '{"messages":[{"content":[{"type":"tool_use","input":{"a":1,"a":2}}]}]}',
    '{"unknown":{"a":1,"a":2}}',
    '{"model":"a","messages":[{"model":1}],"tools":[{"model":"b"}]}',
  ]
  for (const text of bodies) assert.equal(refusal(text).kind, 'ok')
})

test('depth 64 passes and 65 does not; 200,000 structural tokens pass and no more', () => {
  const nested = (depth: number) => `{"a":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`
  assert.equal(refusal(nested(64)).kind, 'ok')
  assert.deepEqual(refusal(nested(65)), { kind: 'too_complex', reason: 'depth' })
  // {"a":[0,0,…]} has 5 tokens and a comma between each two elements.
  const list = (elements: number) => `{"a":[${'0,'.repeat(elements - 1)}0]}`
  const most = refusal(list(199_996))
  assert.equal(most.kind === 'ok' && most.facts.tokenCount, 200_000)
  assert.deepEqual(refusal(list(199_997)), { kind: 'too_complex', reason: 'tokens' })
})

test('JSON bombs of 32 MB are refused having read next to nothing of them', () => {
  const bombs: [string, string, Inspection][] = [
    ['{"b":[', '{},', { kind: 'too_complex', reason: 'tokens' }],
    ['{"messages":[', '{},', { kind: 'too_complex', reason: 'tokens' }],
    ['{"b":', '[', { kind: 'too_complex', reason: 'depth' }],
    ['', '{"a":', { kind: 'too_complex', reason: 'depth' }],
  ]
  for (const [start, unit, expected] of bombs) {
    const body = Buffer.concat([Buffer.from(start), Buffer.alloc(32 * 1024 * 1024, unit)])
    assert.deepEqual(inspect(body, { isUtf8 }), expected)
  }
  const keys = Array.from({ length: 10_001 }, (_, k) => `"k${k}":0`).join(',')
  assert.deepEqual(refusal(`{${keys}}`), { kind: 'too_complex', reason: 'unknown_keys' })
})

test('lone surrogates as escapes are JSON and pass', () => {
  assert.equal(refusal('{"model":"\\ud800","\\udfff":"\\udc00\\ud800"}').kind, 'ok')
})

test('numbers are exact, and whole only when their digits are', () => {
  const rows: [string, number, boolean][] = [
    ['4096', 4096, true],
    ['-0', 0, true],
    ['8.0', 8, true],
    ['8e3', 8000, true],
    ['80000e-4', 8, true],
    ['8.5', 8.5, false],
    ['8.00000000000000000001', 8, false],
    ['9007199254740991', 2 ** 53 - 1, true],
    ['9007199254740993', 2 ** 53, false],
    ['1e400', Number.POSITIVE_INFINITY, false],
    ['1e-400', 0, false],
    ['0e5', 0, true],
  ]
  for (const [text, value, integer] of rows) {
    const result = refusal(`{"max_tokens":${text}}`)
    assert.deepEqual(result.kind === 'ok' && result.facts.maxTokens, {
      type: 'number',
      value,
      integer,
    })
  }
})

test('dense bytes are those of runs over 256 bytes without blank, backslash or non-ASCII', () => {
  const run = fc.tuple(fc.nat(700), fc.constantFrom(' ', '\n', '"', 'é', '中文'))
  fc.assert(
    fc.property(fc.array(run, { maxLength: 8 }), fc.nat(3), (runs, pad) => {
      const text = runs.map(([length, end]) => 'Zm9v'.repeat(175).slice(0, length) + end).join('')
      const dense =
        JSON.stringify(text)
          .slice(1, -1)
          .match(/[!-[\]-~]{257,}/g) ?? []
      const expected = dense.reduce((sum, each) => sum + each.length, 0)
      const result = inspectValue({ p: 'x'.repeat(pad), messages: [{ content: text }] })
      assert.equal(result.kind === 'ok' && result.facts.denseBytes, expected)
    }),
  )
  assert.equal(factsOf({ system: 'a'.repeat(256) }).denseBytes, 0)
  assert.equal(factsOf({ system: 'a'.repeat(257) }).denseBytes, 257)
})

function factsOf(value: unknown) {
  const result = inspectValue(value)
  assert.equal(result.kind, 'ok')
  if (result.kind !== 'ok') throw new Error('unreachable')
  return result.facts
}

test('a long scalar is cut, so that a prompt in the place of a model is not kept', () => {
  const facts = factsOf({ model: 'm'.repeat(100_000) })
  assert.equal(facts.model.type === 'string' && facts.model.value.length, 1024)
})

test('big bodies pass: 8 MB of base64 in an image, 4 MB of text, 1 MB of code', () => {
  const data = 'QUJD'.repeat(2 * 1024 * 1024)
  const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data } }
  const facts = factsOf({ messages: [{ role: 'user', content: [image] }] })
  assert.equal(facts.images.base64, 1)
  assert.equal(facts.denseBytes, 0)
  assert.ok(facts.textBytes < 200)
  const body = { messages: [{ role: 'user', content: 'lorem ipsum '.repeat(350_000) }] }
  assert.equal(factsOf(body).denseBytes, 0)
  assert.equal(factsOf(body).textBytes, JSON.stringify(body).length)
  assert.equal(factsOf({ system: '\tif (a) {\n'.repeat(100_000) }).denseBytes, 0)
})
