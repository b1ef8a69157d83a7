import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { capabilitiesOf, fitEffort } from '../../../src/dialects/openai/capabilities.ts'
import { CustomInputReader, customText } from '../../../src/dialects/openai/custom-input.ts'
import { upstreamCallId, upstreamToolName } from '../../../src/dialects/openai/ids.ts'
import { parseJson } from '../../../src/dialects/openai/json.ts'
import { fileBlock, imageBlock } from '../../../src/dialects/openai/media.ts'
import { catchRefusal } from '../../../src/dialects/openai/refusal.ts'
import { inputSchema, sanitizeSchema } from '../../../src/dialects/openai/schema.ts'
import { decodeThinking, encodeThinking } from '../../../src/dialects/openai/thinking-carrier.ts'
import type { ToolDefinition } from '../../../src/dialects/openai/tools.ts'
import { buildTools } from '../../../src/dialects/openai/tools.ts'
import { addUsage, chatUsage, mergeUsage, NO_USAGE } from '../../../src/dialects/openai/usage.ts'

const digest = {
  sha1: (text: string) => createHash('sha1').update(text).digest('hex'),
  sha256: (text: string) => createHash('sha256').update(text).digest('hex'),
}

test('a model is known by the longest name that its id contains', () => {
  const facts = (id: string) => {
    const { maxOutput, thinking, quiet, forcedToolChoice, midSystem, prefill } = capabilitiesOf(id)
    return [maxOutput, thinking, quiet, forcedToolChoice, midSystem, prefill]
  }
  assert.deepEqual(facts('claude-opus-5-5'), [
    128_000,
    'adaptive',
    'low_effort',
    false,
    true,
    false,
  ])
  assert.deepEqual(facts('claude-opus-5'), [128_000, 'adaptive', 'disabled', true, true, false])
  assert.deepEqual(facts('claude-sonnet-5'), [128_000, 'adaptive', 'disabled', true, false, false])
  assert.deepEqual(facts('claude-sonnet-4-5-20250929'), [
    64_000,
    'budget',
    'nothing',
    true,
    false,
    true,
  ])
  assert.deepEqual(facts('claude-fable-5-2'), [
    128_000,
    'adaptive',
    'low_effort',
    false,
    true,
    false,
  ])
  assert.deepEqual(facts('claude-fable-5'), [128_000, 'adaptive', 'low_effort', true, true, false])
  assert.deepEqual(facts('claude-opus-4-20250514'), [
    32_000,
    'budget',
    'nothing',
    true,
    false,
    true,
  ])
  assert.deepEqual(facts('claude-3-haiku-20240307'), [4_096, 'none', 'nothing', true, false, true])
  assert.deepEqual(facts('claude-next-9'), [128_000, 'adaptive', 'nothing', true, false, false])
  assert.equal(capabilitiesOf('claude-next-9', { maxOutput: 256_000 }).maxOutput, 256_000)
  assert.equal(fitEffort(capabilitiesOf('claude-opus-4-6').efforts, 'xhigh'), 'high')
  assert.equal(fitEffort([], 'max'), null)
})

test('ids and names that upstream refuses become ones that it takes, each its own', () => {
  const valid = /^[a-zA-Z0-9_-]{1,64}$/
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.string({ minLength: 1 }), (a, b) => {
      assert.match(upstreamCallId(a, digest), /^[a-zA-Z0-9_-]+$/)
      assert.match(upstreamToolName(a, digest), valid)
      if (a !== b) assert.notEqual(upstreamToolName(a, digest), upstreamToolName(b, digest))
    }),
  )
  const long = 'x'.repeat(65)
  assert.equal(upstreamToolName(long, digest), `${'x'.repeat(57)}_${digest.sha1(long).slice(0, 6)}`)
  assert.equal(upstreamCallId('toolu_01-A', digest), 'toolu_01-A')
})

test('base64 comes in every spelling, and goes out in one', () => {
  const data = (url: string) => (imageBlock(url, 'x').source as { data: string }).data
  assert.equal(data('data:image/png;base64,iVBO\nRw0K Ggo='), 'iVBORw0KGgo=')
  assert.equal(data('DATA:image/PNG;name=x.png;BASE64,-_-_'), '+/+/')
  const webp = Buffer.from('RIFF\0\0\0\0WEBP').toString('base64')
  const block = imageBlock(`data:image/gif;base64,${webp}`, 'x')
  assert.equal((block.source as { media_type: string }).media_type, 'image/webp')
})

test('what is no medium is refused by its place', () => {
  const problem = (read: () => unknown) => {
    const outcome = catchRefusal(read) as { kind?: string; code?: string; field?: string }
    return outcome.kind === 'refused' ? [outcome.code, outcome.field] : 'passed'
  }
  for (const url of ['data:image/png,abc', 'data:image/png;base64', 'data:image/tiff;base64,AAAA'])
    assert.deepEqual(
      problem(() => imageBlock(url, 'at')),
      ['invalid_value', 'at'],
      url,
    )
  for (const url of [undefined, null, '', 7, {}])
    assert.deepEqual(
      problem(() => imageBlock(url, 'at')),
      ['missing_required_parameter', 'at'],
    )
  for (const url of ['http://e.com/a.png', 'file:///etc/passwd', 'javascript:alert(1)', 'ftp://e'])
    assert.deepEqual(
      problem(() => imageBlock(url, 'at')),
      ['invalid_value', 'at'],
      url,
    )
  const file = (data: string, filename: string | null) => () => fileBlock({ data, filename }, 'at')
  assert.deepEqual(problem(file('AAAA', null)), ['invalid_value', 'at'])
  assert.deepEqual(problem(file('', 'a.pdf')), ['invalid_value', 'at'])
  assert.deepEqual(problem(file('http://e.com/a.pdf', null)), ['invalid_value', 'at'])
  assert.deepEqual(problem(file('data:text/plain;base64,ICAg', null)), ['invalid_value', 'at'])
  assert.equal(problem(file('IyBUaXRsZQ==', 'README.md')), 'passed')
})

test('text inside a body is parsed unless it is too complex; strings may hold anything', () => {
  const long = 'x'.repeat(1_000)
  const odd = JSON.stringify({
    long,
    odd: `${'['.repeat(200)}\\"${'{'.repeat(200)}"`,
    list: [1, 2],
  })
  assert.deepEqual(parseJson(odd), JSON.parse(odd))
  const nested = (levels: number) => `["${long}",${'['.repeat(levels)}${']'.repeat(levels)}]`
  assert.notEqual(parseJson(nested(127)), undefined)
  assert.equal(parseJson(nested(128)), undefined)
  assert.equal(parseJson(`[${'1,'.repeat(500_000)}1]`), undefined)
  assert.equal(parseJson(`${long}"`), undefined)
})

test('a schema keeps what upstream knows, and says the rest in words', () => {
  const { schema, isRecursive, isOpen, hasWords, optionalCount, unionCount } = sanitizeSchema({
    $schema: 'http://json-schema.org/draft-07/schema#',
    type: 'object',
    properties: {
      when: { type: 'string', format: 'date-time' },
      odd: { type: 'string', format: 'phone', enum: ['a', null] },
      one: {
        type: 'array',
        items: { type: 'integer', minimum: 0 },
        minItems: 1,
        uniqueItems: true,
      },
      either: { anyOf: [{ type: 'string' }, { $ref: '#/$defs/d' }] },
      const: { const: 1, not: { const: 2 } },
    },
    required: ['when'],
    patternProperties: { '^x': {} },
    $defs: { d: { properties: { deep: { type: ['string', 'null'] } } } },
  })
  assert.deepEqual(schema, {
    type: 'object',
    properties: {
      when: { type: 'string', format: 'date-time' },
      odd: { type: 'string', enum: ['a', null], description: 'format: "phone"' },
      one: {
        type: 'array',
        items: { type: 'integer', description: 'minimum: 0' },
        minItems: 1,
        description: 'uniqueItems: true',
      },
      either: { anyOf: [{ type: 'string' }, { $ref: '#/$defs/d' }] },
      const: { const: 1, description: 'not: {"const":2}' },
    },
    required: ['when'],
    $defs: {
      d: {
        type: 'object',
        properties: { deep: { type: ['string', 'null'] } },
        additionalProperties: false,
      },
    },
    additionalProperties: false,
    description: 'patternProperties: {"^x":{}}',
  })
  assert.deepEqual([isRecursive, isOpen, hasWords], [false, true, true])
  assert.deepEqual([optionalCount, unionCount], [5, 2])
})

test('members of any name and odd keywords of a schema harm nothing', () => {
  const properties = JSON.parse('{"__proto__":{"type":"string","minLength":1},"b":true}')
  const { schema, optionalCount } = sanitizeSchema({
    type: 'object',
    properties,
    items: [{ type: 'string' }],
    oneOf: 'x',
    $defs: [],
  })
  assert.equal(
    JSON.stringify(schema.properties),
    '{"__proto__":{"type":"string","description":"minLength: 1"},"b":true}',
  )
  assert.equal(optionalCount, 2)
  assert.equal(schema.description, 'items: [{"type":"string"}]; oneOf: "x"')
  assert.deepEqual([schema.items, schema.anyOf, schema.$defs], [undefined, undefined, {}])
})

test('rings of references are seen, also through others; what is only shared is no ring', () => {
  const ref = (name: string) => ({ $ref: `#/$defs/${name}` })
  const isRing = (schema: object) => sanitizeSchema({ ...schema }).isRecursive
  assert.equal(isRing({ $defs: { a: ref('b'), b: ref('a') }, ...ref('a') }), true)
  assert.equal(isRing({ properties: { x: { $ref: '#' } } }), true)
  assert.equal(isRing({ $ref: 'https://e.com/s.json' }), true)
  assert.equal(
    isRing({ $defs: { a: ref('c'), b: ref('c'), c: {} }, anyOf: [ref('a'), ref('b')] }),
    false,
  )
  assert.equal(isRing({ definitions: { __proto__: null, a: {} }, $ref: '#/definitions/a' }), false)
})

test('parameters with alternatives become one object', () => {
  const { schema, note } = inputSchema(
    {
      allOf: [
        { properties: { a: { type: 'string' } }, required: ['a'] },
        { properties: { b: { type: 'string' } }, required: ['b'] },
      ],
    },
    'x',
  )
  const properties = { a: { type: 'string' }, b: { type: 'string' } }
  assert.deepEqual(schema, { type: 'object', properties, required: ['a', 'b'] })
  assert.equal(note, null)
})

test('tools are strict up to upstream’s limits, beyond them none is', () => {
  const closed = (properties: object, required: readonly string[]) => ({
    type: 'object',
    properties,
    required,
    additionalProperties: false,
  })
  const strictOf = (schemas: readonly object[]) => {
    const tools = schemas.map(
      (parameters, i): ToolDefinition => ({
        kind: 'function',
        name: `f${i}`,
        description: null,
        parameters,
        strict: true,
        cacheControl: null,
        field: `tools[${i}]`,
      }),
    )
    const { blocks, warnings } = buildTools(tools, digest)
    return [blocks.filter(({ strict }) => strict === true).length, warnings.join()]
  }
  const none = closed({}, [])
  const optional = closed({ a: { type: 'string' } }, [])
  const union = closed({ a: { type: ['string', 'null'] } }, ['a'])
  const many = (count: number, schema: object) => Array.from({ length: count }, () => schema)
  assert.deepEqual(strictOf(many(20, none)), [20, ''])
  assert.deepEqual(strictOf(many(21, none)), [0, 'strict-tools-degraded'])
  const members = (count: number) => many(count, {}).map((_, i) => [`a${i}`, { type: 'string' }])
  assert.deepEqual(strictOf([closed(Object.fromEntries(members(23)), []), optional]), [2, ''])
  const one = closed(Object.fromEntries(members(24)), [])
  assert.deepEqual(strictOf([one, optional]), [0, 'strict-tools-degraded'])
  assert.deepEqual(strictOf(many(16, union)), [16, ''])
  assert.deepEqual(strictOf(many(17, union)), [0, 'strict-tools-degraded'])
})

test('what is no refusal is no answer to the client, but our fault', () => {
  const fault = new Error('a bug')
  const broken = () =>
    catchRefusal(() => {
      throw fault
    })
  assert.throws(broken, fault)
})

test('thinking survives its carrier byte for byte; what is not ours carries nothing', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }),
      fc.string({ minLength: 1 }),
      (thinking, signature) => {
        const block = { type: 'thinking', thinking: thinking.toWellFormed(), signature }
        assert.deepEqual(decodeThinking(encodeThinking(block, 'm')), [block])
      },
    ),
  )
  for (const foreign of ['', 'cc1.', 'cc1.!!!', 'cc1.bnVsbA', 'gAAAAAB', null, 7, 'cc2.e30'])
    assert.deepEqual(decodeThinking(foreign), [])
})

test('the pieces of a custom tool’s text are its whole text, however its JSON is cut', () => {
  const cuts = fc.array(fc.nat(60), { maxLength: 6 })
  const text = fc.string({ unit: 'binary', maxLength: 30 })
  const spelling = fc.constantFrom(
    (input: string) => JSON.stringify({ input }),
    (input: string) => JSON.stringify({ input }, null, 2),
    (input: string) => JSON.stringify({ other: 1, input }),
    (input: string) => JSON.stringify(input),
    (input: string) =>
      `{"input":"${[...input.split('')].map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')}"}`,
  )
  fc.assert(
    fc.property(text, spelling, cuts, (input, spell, at) => {
      const json = spell(input)
      const places = [...new Set(at.map((cut) => cut % (json.length + 1)))].sort((a, b) => a - b)
      const reader = new CustomInputReader()
      let read = ''
      for (const [i, from] of [0, ...places].entries())
        read += reader.push(json.slice(from, places[i] ?? json.length))
      assert.equal(read + reader.end(), customText(json))
    }),
    { numRuns: 500 },
  )
})

test('usage is replaced by what is there, never added, and rounds are', () => {
  const start = mergeUsage(NO_USAGE, {
    input_tokens: 25,
    cache_read_input_tokens: 5,
    output_tokens: 1,
  })
  const end = mergeUsage(start, {
    input_tokens: null,
    output_tokens: 9,
    cache_read_input_tokens: -1,
  })
  assert.deepEqual([end.input, end.cacheRead, end.output], [25, 5, 9])
  assert.deepEqual(mergeUsage(end, { output_tokens: '7', input_tokens: 1.5 }), end)
  assert.deepEqual(mergeUsage(end, undefined), end)
  // As in the receipt: nobody uses that many, so it is a fault.
  assert.deepEqual(mergeUsage(end, { output_tokens: 100_000_001 }), end)
  const split = { ephemeral_5m_input_tokens: 5, ephemeral_1h_input_tokens: 6 }
  const written = (usage: object) => mergeUsage(end, usage).cacheWrite
  assert.equal(written({ cache_creation: split }), 11)
  assert.equal(written({ cache_creation: split, cache_creation_input_tokens: 20 }), 20)
  assert.equal(written({ cache_creation: null, cache_creation_input_tokens: 20 }), 20)
  const both = chatUsage(addUsage(end, end))
  assert.equal(both.prompt_tokens + both.completion_tokens, both.total_tokens)
  assert.equal(both.total_tokens, 78)
})
