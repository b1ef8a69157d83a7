import assert from 'node:assert/strict'
import { isUtf8 } from 'node:buffer'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Fingerprint } from '../../src/core/fingerprint.ts'
import { fingerprint } from '../../src/wire/fingerprint.ts'
import { inspect } from '../../src/wire/inspect.ts'
import { hashBytes, hashKey } from '../../src/wire/keyed-hash.ts'

const KEY = hashKey(Uint8Array.from({ length: 16 }, (_, k) => k * 7 + 1))
const MARK = { cache_control: { type: 'ephemeral' } }

type Json = { readonly [name: string]: unknown }

function printOf(body: Json | string, key = KEY): Fingerprint {
  const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
  const seen = inspect(bytes, { isUtf8 })
  assert.equal(seen.kind, 'ok')
  if (seen.kind !== 'ok') throw new Error('unreachable')
  return fingerprint(bytes, seen.facts, key)
}

function prefixes(print: Fingerprint): string[] {
  return Array.from({ length: print.positions }, (_, at) =>
    print.prefixes.subarray(at * 4, at * 4 + 4).join(' '),
  )
}

function last(print: Fingerprint): string {
  return prefixes(print).at(-1) ?? ''
}

/** The furthest position of `later` that it would look at and where `earlier` wrote. */
function matched(earlier: Fingerprint, later: Fingerprint): number {
  const known = prefixes(earlier)
  const written = new Set(earlier.breakpoints.map(({ at }) => known[at]))
  const asked = prefixes(later)
  return [...later.probes].find((at) => written.has(asked[at])) ?? -1
}

const user = (content: unknown) => ({ role: 'user', content })
const answer = (content: unknown) => ({ role: 'assistant', content })
const text = (value: string, more: Json = {}) => ({ type: 'text', text: value, ...more })
const ask = (messages: readonly unknown[], more: Json = {}): Json => ({
  model: 'claude-opus-5-5',
  max_tokens: 9,
  ...more,
  messages,
})

const anyText = fc.string({ minLength: 1, maxLength: 40, unit: 'binary' }).filter((one) => {
  // Lone surrogates have no UTF-8.
  return one.isWellFormed()
})
const anyBlock = fc.oneof(
  anyText.map((value) => text(value)),
  anyText.map((value) => ({ type: 'tool_use', id: 't', name: 'Read', input: { path: value } })),
  anyText.map((value) => ({ type: 'tool_result', tool_use_id: 't', content: value })),
  anyText.map((value) => ({ type: 'image', source: { type: 'base64', data: value } })),
)
const anyTurns = fc.array(fc.array(anyBlock, { minLength: 1, maxLength: 4 }), {
  minLength: 1,
  maxLength: 8,
})

function talk(turns: readonly (readonly Json[])[]): unknown[] {
  return turns.map((blocks, k) => (k % 2 === 0 ? user(blocks) : answer(blocks)))
}

test('a history that only grows finds its own prefix, wherever the marker has moved', () => {
  fc.assert(
    fc.property(anyTurns, anyTurns, (turns, more) => {
      const first = printOf(ask(talk(turns), MARK))
      const short = more.slice(0, 2).map((blocks) => blocks.slice(0, 3))
      const grown = printOf(ask(talk([...turns, ...short]), MARK))
      // An image that comes anew makes another prompt of the messages, upstream too.
      const hasImage = (list: readonly (readonly Json[])[]) =>
        list.flat().some(({ type }) => type === 'image')
      fc.pre(hasImage(turns) === hasImage([...turns, ...short]))
      assert.equal(matched(first, grown), first.breakpoints[0].at)
    }),
  )
})

test('one changed byte is another prompt from there on, and the same before it', () => {
  fc.assert(
    fc.property(anyTurns, fc.nat(), fc.nat(), (turns, whichTurn, whichBlock) => {
      const turn = whichTurn % turns.length
      const block = whichBlock % turns[turn].length
      const changed = turns.map((blocks, t) =>
        blocks.map((one, b) =>
          t === turn && b === block
            ? JSON.parse(JSON.stringify(one).replace(/"([^"]*)"\}(\}?)$/, '"$1!"}$2'))
            : one,
        ),
      )
      fc.pre(JSON.stringify(changed) !== JSON.stringify(turns))
      const [a, b] = [prefixes(printOf(ask(talk(turns)))), prefixes(printOf(ask(talk(changed))))]
      const at = turns.slice(0, turn).flat().length + block
      assert.deepEqual(a.slice(0, at), b.slice(0, at))
      for (let k = at; k < a.length; k++) assert.notEqual(a[k], b[k])
    }),
  )
})

test('any flipped byte of any length changes all four words of a hash, and so does the length', () => {
  const anyBytes = fc.uint8Array({ minLength: 1, maxLength: 70 })
  const hash = (bytes: Uint8Array, tag = 0) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    const out = new Int32Array(4)
    hashBytes(KEY, { view, start: 0, end: bytes.length, tag }, out, 0)
    return out
  }
  fc.assert(
    fc.property(anyBytes, fc.nat(), fc.integer({ min: 1, max: 255 }), (bytes, where, flip) => {
      const other = bytes.slice()
      other[where % bytes.length] ^= flip
      const longer = Uint8Array.from([...bytes, 0])
      const own = hash(bytes)
      for (const [k, word] of own.entries()) {
        assert.notEqual(word, hash(other)[k])
        assert.notEqual(word, hash(longer)[k])
        assert.notEqual(word, hash(bytes, 1)[k])
      }
      assert.deepEqual(hash(bytes.slice()), own)
    }),
  )
})

test('markers change nothing: not their place in a block, not their number, not blanks around them', () => {
  const plain = ask([
    user([text('a'), { type: 'tool_result', tool_use_id: 't', content: [text('b')] }]),
  ])
  const expected = prefixes(printOf(plain))
  const mark = '"cache_control": {"type":"ephemeral", "ttl":"1h"}'
  const head = '{"model":"claude-opus-5-5","messages":[{"role":"user","content":['
  const result = '{"type":"tool_result","tool_use_id":"t","content":['
  for (const [first, inner] of [
    [`{"type":"text","text":"a",${mark}}`, '{"type":"text","text":"b"}'],
    [`{"type":"text", ${mark} ,"text":"a"}`, `{"type":"text","text":"b",${mark}}`],
    [`{${mark},"type":"text","text":"a"}`, `{${mark} , "type":"text","text":"b"}`],
  ]) {
    const marked = printOf(`${head}${first},${result}${inner}]}]}]}`)
    assert.deepEqual(prefixes(marked), expected, first)
    assert.deepEqual(marked.breakpoints[0], { at: 0, ttlMs: 3_600_000 })
  }
})

test('a marker inside a tool result is a breakpoint of the whole result, with its own life', () => {
  const inner = text('b', { cache_control: { type: 'ephemeral', ttl: '1h' } })
  const print = printOf(ask([user([text('a'), { type: 'tool_result', content: [inner] }])]))
  assert.deepEqual(print.breakpoints, [{ at: 1, ttlMs: 3_600_000 }])
})

test('a string equals one text block, with or without marker, whichever member comes first', () => {
  fc.assert(
    fc.property(anyText, (value) => {
      const own = last(printOf(ask([user(value)], { system: value })))
      const json = JSON.stringify(value)
      for (const block of [
        `{"type":"text","text":${json}}`,
        `{ "type" : "text", "text" : ${json} }`,
        `{"text":${json},"type":"text"}`,
        `{"type":"text","text":${json},"cache_control":{"type":"ephemeral"}}`,
        `{"text":${json},"cache_control":{"type":"ephemeral"},"type":"text"}`,
      ]) {
        const body = `{"messages":[{"content":[${block}],"role":"user"}],"system":[${block}],"model":"claude-opus-5-5"}`
        assert.equal(last(printOf(body)), own, block)
      }
      const cited = text(value, { citations: [] })
      assert.notEqual(last(printOf(ask([user([cited])], { system: value }))), own)
    }),
  )
})

test("Claude Code's attribution block is no part of the prompt, in the first place only", () => {
  const block = (build: string) => text(`x-anthropic-billing-header: cc_version=${build}`)
  const system = text('You are an agent.')
  const of = (...blocks: Json[]) => last(printOf(ask([user('hi')], { system: blocks })))
  assert.equal(of(block('1'), system), of(block('2'), system))
  assert.equal(of(block('1'), system), of(system))
  assert.notEqual(of(system, block('1')), of(system, block('2')))
})

test('the order of members in the body is nothing, that of tools, roles and keys is everything', () => {
  const tools = [{ name: 'a' }, { name: 'b' }]
  const messages = [user('hi')]
  const print = (body: Json) => last(printOf(body))
  const own = print({ model: 'm', tools, system: 's', messages })
  assert.equal(print({ messages, system: 's', tools, model: 'm' }), own)
  assert.notEqual(print({ model: 'm', tools: tools.toReversed(), system: 's', messages }), own)
  assert.notEqual(print({ model: 'm', tools, system: 's', messages: [answer('hi')] }), own)
  assert.notEqual(print({ model: 'm', tools, system: 'shi', messages: [] }), own)
})

test('settings salt the chain from where upstream loses its cache', () => {
  const base = {
    model: 'claude-opus-5-5',
    tools: [{ name: 'Read' }],
    system: 'You are an agent.',
    messages: [user('hi')],
  }
  const own = prefixes(printOf(base))
  const kept = (more: Json) =>
    prefixes(printOf({ ...base, ...more })).map((one, k) => one === own[k])
  const search = { type: 'web_search_20260209', name: 'web_search' }
  const cited = { type: 'document', source: {}, citations: { enabled: true } }
  assert.deepEqual(kept({ model: 'claude-opus-5' }), [false, false, false])
  assert.deepEqual(kept({ speed: 'fast' }), [true, false, false])
  assert.deepEqual(kept({ tools: [...base.tools, search] }), [true, false, false, false])
  assert.deepEqual(kept({ messages: [user('hi'), user([cited])] }), [true, false, false, false])
  assert.deepEqual(kept({ tool_choice: { type: 'any' } }), [true, true, false])
  assert.deepEqual(kept({ thinking: { type: 'adaptive' } }), [true, true, false])
  assert.deepEqual(kept({ output_config: { effort: 'low' } }), [true, true, false])
  assert.deepEqual(kept({ output_config: { format: { type: 'json_schema' } } }), [
    true,
    true,
    false,
  ])
  const formatted = (name: string) =>
    last(printOf({ ...base, output_config: { format: { type: 'json_schema', schema: { name } } } }))
  assert.notEqual(formatted('one'), formatted('another'))
  const image = { type: 'image', source: { type: 'base64', data: 'QUJD' } }
  assert.deepEqual(kept({ messages: [user('hi'), user([image])] }), [true, true, false, false])
  for (const nothing of ['max_tokens', 'stream', 'metadata', 'stop_sequences', 'service_tier']) {
    assert.deepEqual(kept({ [nothing]: {} }), [true, true, true], nothing)
  }
  const budget = { output_config: { task_budget: { remaining: 5 } } }
  assert.deepEqual(kept(budget), [true, true, true])
})

test('look-up goes back 20 positions from each breakpoint, a run of calls or results being one', () => {
  const many = Array.from({ length: 40 }, (_, k) => text(`${k}`))
  const plain = printOf(ask([user(many)], MARK))
  assert.deepEqual(plain.breakpoints, [{ at: 39, ttlMs: 300_000 }])
  assert.deepEqual([plain.probes.at(0), plain.probes.at(-1)], [39, 19])

  const calls = Array.from({ length: 30 }, (_, k) => ({ type: 'tool_use', id: `${k}`, input: {} }))
  const results = calls.map(({ id }) => ({ type: 'tool_result', tool_use_id: id, content: 'ok' }))
  const first = printOf(ask([user([text('go', MARK)])]))
  const run = printOf(ask([user('go'), answer(calls), user(results)], MARK))
  assert.equal(matched(first, run), 0)

  const marked = many.map((one, k) => (k === 3 ? { ...one, ...MARK } : one))
  const two = printOf(ask([user(marked)], MARK))
  assert.deepEqual([two.probes.at(0), two.probes.at(-1), two.probes.length], [39, 0, 25])
})

test('what upstream refuses or never sees is never looked up', () => {
  const five = Array.from({ length: 5 }, (_, k) => text(`${k}`, MARK))
  assert.equal(printOf(ask([user(five)])).probes.length, 0)
  assert.equal(printOf(ask([user('hi')])).probes.length, 0)
  assert.equal(printOf(ask([user('hi')], { cache_control: null })).probes.length, 0)
  const thread = { type: 'continue', previous_message_id: 'msg_1' }
  assert.equal(printOf(ask([user('hi')], { ...MARK, thread })).positions, 0)
  assert.equal(printOf({ ...MARK }).positions, 0)
  assert.equal(printOf({ ...MARK, messages: 7, tools: 'x', system: [1, null] }).positions, 2)
})

test('the automatic breakpoint stands on the last block that may carry one, and takes its ttl along', () => {
  const thinking = { type: 'thinking', thinking: 'hm', signature: 'c2ln' }
  const auto = { cache_control: { type: 'ephemeral', ttl: '1h' } }
  const print = printOf(ask([user([text('a')]), answer([text('b'), text(''), thinking])], auto))
  assert.deepEqual(print.breakpoints, [{ at: 1, ttlMs: 3_600_000 }])
  const same = printOf(ask([user([text('a', MARK)])], MARK))
  assert.equal(same.breakpoints.length, 1)
})

test('thinking in a history names the conversation that it answered, whatever was stripped since', () => {
  const thinking = { type: 'thinking', thinking: '', signature: 'c2ln' }
  const start = [user('one')]
  const second = [...start, answer([thinking, text('1')]), user('two')]
  const third = [...second, answer([thinking, text('2')]), user('three')]
  const asked = [start, second].map((messages) => printOf(ask(messages)).conversation.join(' '))
  const told = printOf(ask(third, { system: 'another', tools: [{ name: 'new' }] })).answered
  assert.deepEqual(
    [told.subarray(0, 4).join(' '), told.subarray(4, 8).join(' ')],
    asked.toReversed(),
  )
  const stripped = [...start, answer([text('1')]), user('two'), third[3], third[4]]
  assert.equal(printOf(ask(stripped)).answered.join(' '), told.subarray(0, 4).join(' '))
  assert.equal(printOf(ask(start)).answered.length, 0)
})

test('another key makes other hashes, the same bytes the same ones', () => {
  const body = ask([user('hi')])
  const other = hashKey(new Uint8Array(16).fill(9))
  assert.notEqual(last(printOf(body)), last(printOf(body, other)))
  assert.equal(
    last(printOf(body)),
    last(printOf(body, hashKey(Uint8Array.from({ length: 16 }, (_, k) => k * 7 + 1)))),
  )
  assert.throws(() => hashKey(new Uint8Array(15)), RangeError)
})

test('both ends of a long block count, and its length', () => {
  const of = (value: string) => last(printOf(ask([user(value)])))
  const long = 'x'.repeat(600_000)
  assert.notEqual(of(`y${long}`), of(`x${long}`))
  assert.notEqual(of(`${long}y`), of(`${long}x`))
  assert.notEqual(of(long), of(`${long}x`))
})

test('any body that passes inspection has a fingerprint', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), fc.jsonValue(), (system, tools, messages) => {
      const mark = { type: 'text', text: messages, cache_control: {} }
      const nested = { type: 'tool_result', content: [mark, tools, { content: mark }] }
      printOf({ system, tools, messages: [user(messages), user([mark, system, nested]), messages] })
    }),
  )
})
