import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { WireError } from '../../../src/dialects/dialect.ts'
import { withAutoCache } from '../../../src/dialects/openai/upstream.ts'
import { openaiChat } from '../../../src/dialects/openai-chat/index.ts'
import { MAX_EVENT_BYTES } from '../../../src/wire/sse.ts'
import { answerTo, contextOf, MODEL, passed, payloadsOf, refused, sse, translate } from './world.ts'

const HI = [{ role: 'user', content: 'Hi' }]

const OUT_OF_CREDIT: WireError = {
  status: 402,
  code: 'insufficient_credit',
  types: { anthropic: 'billing_error', openai: 'insufficient_quota' },
  message: 'Your credit ran out.',
  field: null,
  details: {},
  requestId: 'ccr_test',
}

test('arguments go up as the model wrote them, to the last digit', () => {
  const text = '{"a": 12345678901234567890, "2": 1.0, "1": 1e400}'
  const { body } = passed({
    model: MODEL,
    messages: [
      ...HI,
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'c1', type: 'function', function: { name: 'f', arguments: text } }],
      },
      { role: 'tool', tool_call_id: 'c1', content: 'ok' },
    ],
  })
  assert.ok(body.includes(`"input":${text}`))
})

test('arguments that nest without end travel as text', () => {
  const deep = `{"a":${'['.repeat(80)}${']'.repeat(80)}}`
  const { body } = passed({
    model: MODEL,
    messages: [
      ...HI,
      { role: 'assistant', tool_calls: [{ id: 'c1', function: { name: 'f', arguments: deep } }] },
      { role: 'tool', tool_call_id: 'c1', content: 'ok' },
    ],
  })
  assert.deepEqual(JSON.parse(body).messages[1].content[0].input, { _raw_arguments: deep })
})

test('what is no request is refused in OpenAI’s words, whatever it is', () => {
  const codes = [
    null,
    1,
    'x',
    [],
    {},
    { model: 1 },
    { model: MODEL },
    { model: MODEL, messages: [] },
  ]
    .map((body) => refused(body))
    .map(({ code, field }) => [code, field])
  assert.deepEqual(codes, [
    ['invalid_json', null],
    ['invalid_json', null],
    ['invalid_json', null],
    ['invalid_json', null],
    ['missing_required_parameter', 'model'],
    ['missing_required_parameter', 'model'],
    ['missing_required_parameter', 'messages'],
    ['invalid_value', 'messages'],
  ])
  let deep: unknown = 1
  for (let i = 0; i < 5_000; i++) deep = [deep]
  assert.equal(refused({ model: MODEL, messages: HI, metadata: deep }).code, 'json_too_complex')
})

test('an answer that our own side breaks off ends in one error line', () => {
  const start = sse([{ type: 'message_start', message: { model: MODEL, usage: {} } }])
  const { answer } = answerTo(passed({ model: MODEL, messages: HI, stream: true }), start)
  const written = answer.fail(OUT_OF_CREDIT).toString()
  assert.deepEqual(payloadsOf(written), [
    {
      error: {
        message: 'Your credit ran out.',
        type: 'insufficient_quota',
        param: null,
        code: 'insufficient_quota',
      },
    },
  ])
  assert.equal(written, openaiChat.renderStreamError(OUT_OF_CREDIT))
  assert.equal(answer.fail(OUT_OF_CREDIT).length, 0, 'it ends once')
  assert.equal(answer.push(Buffer.from(sse([{ type: 'message_stop' }]))).length, 0)
})

test('a paused answer that is not continued ends with what there is', () => {
  const request = { model: MODEL, messages: HI, web_search_options: {}, stream: true }
  const upstream = sse([
    { type: 'message_start', message: { model: MODEL, usage: {} } },
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: 'So far' } },
    { type: 'content_block_stop', index: 0 },
    { type: 'message_delta', delta: { stop_reason: 'pause_turn' }, usage: { output_tokens: 3 } },
    { type: 'message_stop' },
  ])
  const { answer, written } = answerTo(passed(request, { webSearch: true }), upstream)
  assert.ok(!written.includes('[DONE]'))
  const [finish, done] = payloadsOf(answer.finishPaused().toString())
  assert.equal(
    (finish as { choices: [{ finish_reason: string }] }).choices[0].finish_reason,
    'stop',
  )
  assert.equal(done, '[DONE]')
  assert.equal(answer.finishPaused().length, 0)
})

test('a paused answer that goes on is open again, and has no content for another round', () => {
  const request = { model: MODEL, messages: HI, web_search_options: {}, stream: true }
  const start = { type: 'message_start', message: { model: MODEL, usage: {} } }
  const pause = { type: 'message_delta', delta: { stop_reason: 'pause_turn' }, usage: {} }
  const upstream = sse([start, pause, { type: 'message_stop' }])
  const { answer } = answerTo(passed(request, { webSearch: true }), upstream)
  assert.equal(answer.state, 'paused')
  assert.deepEqual(answer.pausedContent, [])
  answer.push(Buffer.from(sse([start])))
  assert.equal(answer.state, 'open')
  assert.equal(answer.pausedContent, null)
})

test('the operator’s names come first, then the vendor before a name goes', () => {
  const modelOf = (model: string) => {
    const context = contextOf()
    const named = {
      ...context,
      modelOf: (name: string) => ({ ...context.modelOf(name), id: names[name] ?? name }),
    }
    const translation = openaiChat.translator?.translate({ model, messages: HI }, named)
    return translation?.kind === 'ok' && JSON.parse(translation.body).model
  }
  const names: Readonly<Record<string, string>> = {
    'anthropic/fast': 'claude-haiku-4-5',
    fast: MODEL,
  }
  assert.equal(modelOf('anthropic/fast'), 'claude-haiku-4-5')
  assert.equal(modelOf('fast'), MODEL)
  assert.equal(modelOf('anthropic/claude-opus-5'), 'claude-opus-5')
  assert.equal(modelOf('claude-opus-5'), 'claude-opus-5')
})

test('a paused answer goes upstream again behind the history, to the last digit', () => {
  const { body } = passed({ model: MODEL, messages: HI })
  const content = [{ type: 'text', text: 'So far' }]
  const bodies = openaiChat.translator?.bodies
  const next = JSON.parse(bodies?.withPausedContent(body, content) ?? '')
  const before = JSON.parse(body)
  const messages = [...before.messages, { role: 'assistant', content }]
  assert.deepEqual(next, { ...before, messages })
})

test('pings and comments leave nothing in the stream, CR LF is as good as LF', () => {
  const events = [
    { type: 'message_start', message: { model: MODEL, usage: {} } },
    { type: 'ping' },
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'a' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'b' } },
    { type: 'content_block_stop', index: 0 },
    { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: {} },
    { type: 'message_stop' },
  ]
  const request = passed({ model: MODEL, messages: HI, stream: true })
  const plain = answerTo(request, sse(events)).written
  assert.equal(payloadsOf(plain).length, 5)
  assert.equal(answerTo(request, sse(events).replaceAll('\n', '\r\n')).written, plain)
})

test('a delta with a member behind its text is parsed, not cut', () => {
  const delta = (text: string) => ({ type: 'text_delta', text, later: { text: 'no' } })
  const upstream = sse([
    { type: 'message_start', message: { model: MODEL, usage: {} } },
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'a"}}' } },
    { type: 'content_block_delta', index: 0, delta: delta('b') },
    { type: 'content_block_delta', index: 0, delta: delta('c') },
    { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'd\\"' } },
  ])
  const { written } = answerTo(passed({ model: MODEL, messages: HI, stream: true }), upstream)
  const texts = payloadsOf(written).map(
    (chunk) => (chunk as { choices: [{ delta: { content: string } }] }).choices[0].delta.content,
  )
  assert.deepEqual(texts, ['', 'a"}}', 'b', 'c', 'd\\"'])
})

test('what comes in one piece is the same as in many, however much it is', () => {
  const delta = (i: number) => ({
    type: 'content_block_delta',
    index: 0,
    delta: { type: 'text_delta', text: `${i} ${'long text '.repeat(i)}` },
  })
  const upstream = sse([
    { type: 'message_start', message: { model: MODEL, usage: {} } },
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    ...Array.from({ length: 300 }, (_, i) => delta(i)),
    { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: {} },
    { type: 'message_stop' },
  ])
  const request = passed({ model: MODEL, messages: HI, stream: true })
  const whole = answerTo(request, upstream).written
  const cuts = Array.from({ length: 999 }, (_, i) => (i + 1) * 100)
  assert.equal(answerTo(request, upstream, cuts).written, whole)
  assert.equal(payloadsOf(whole).length, 303)
})

test('an event that is too large ends the answer in an error, and nothing follows it', () => {
  const upstream = sse([
    { type: 'message_start', message: { model: MODEL, usage: {} } },
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    { type: 'ping', padding: 'x'.repeat(MAX_EVENT_BYTES) },
    { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: {} },
    { type: 'message_stop' },
  ])
  const { answer, written } = answerTo(
    passed({ model: MODEL, messages: HI, stream: true }),
    upstream,
  )
  assert.equal(answer.state, 'failed')
  assert.ok(payloadsOf(written).at(-1) instanceof Object)
  assert.match(written, /"code":"upstream_interrupted"[^\n]*\n\n$/)
})

test('automatic caching can be added to a body that was written already', () => {
  const { body, autoCache, autoCacheTtl } = passed({ model: MODEL, messages: HI })
  assert.equal(autoCache, 'if_seen')
  const { cache_control, ...rest } = JSON.parse(withAutoCache(body, autoCacheTtl))
  assert.deepEqual(cache_control, { type: 'ephemeral' })
  assert.deepEqual(rest, JSON.parse(body))
  assert.equal(passed({ model: MODEL, messages: HI }, { autoCache: 'off' }).autoCache, 'off')
  assert.equal(passed({ model: MODEL, messages: HI }, { autoCache: 'always' }).autoCache, 'on')
})

test('a request is not changed by its translation', () => {
  const marked = { type: 'text', text: 'x', cache_control: { type: 'ephemeral' } }
  const native = { type: 'tool_result', tool_use_id: 'c1', content: [marked, marked] }
  const request = {
    model: MODEL,
    messages: [
      { role: 'user', content: [marked] },
      { role: 'assistant', tool_calls: [{ id: 'c1', function: { name: 'f', arguments: '' } }] },
      { role: 'user', content: [native, marked, marked, marked] },
    ],
  }
  const before = structuredClone(request)
  assert.equal(translate(request).kind, 'ok')
  assert.deepEqual(request, before)
})

test('megabytes of what must be looked at do not hold the loop', () => {
  const size = 4_000_000
  const image = (url: string) => ({
    messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }],
  })
  const call = (id: string, text: string) => ({
    messages: [
      ...HI,
      { role: 'assistant', tool_calls: [{ id, function: { name: 'f', arguments: text } }] },
      { role: 'tool', tool_call_id: id, content: 'ok' },
    ],
  })
  const many = Array.from({ length: 18_000 }, (_, i) => `p${i}`)
  const wide = { properties: Object.fromEntries(many.map((name) => [name, {}])), required: many }
  const requests: readonly object[] = [
    image(`data:image/png;base64,iVBORw0KGgo${'-_'.repeat(size / 2)}`),
    image(`data:image/png;base64,iVBORw0KGgo${'A '.repeat(size / 2)}`),
    image(`data:image/png${';'.repeat(size)}base64,AAAA`),
    call(':'.repeat(size), '{}'),
    call('c1', '['.repeat(size)),
    call('c1', `{"a":${'['.repeat(size / 2)}${']'.repeat(size / 2)}}`),
    call('c1', `{"a":[${'1,'.repeat(size / 2)}1]}`),
    { tools: [{ type: 'function', function: { name: ':'.repeat(size) } }] },
    {
      tools: [
        {
          type: 'function',
          function: {
            name: 'f',
            parameters: { anyOf: many.map(() => ({ $ref: '#/$defs/a' })), $defs: { a: wide } },
          },
        },
      ],
    },
  ]
  for (const [i, request] of requests.entries()) {
    const start = process.cpuUsage()
    translate({ model: MODEL, messages: HI, ...request })
    const { user } = process.cpuUsage(start)
    // Far above what it takes; before each of these was looked at so, they took seconds to hours.
    assert.ok(user < 500_000, `request ${i} took ${user} µs`)
  }
})

test('20,000 tools, calls of one id and wide schemas do not hold the loop', () => {
  const many = Array.from({ length: 20_000 }, (_, i) => i)
  const start = process.cpuUsage()
  const requests = [
    { tools: many.map((i) => ({ type: 'function', function: { name: `bad name ${i}` } })) },
    {
      messages: [
        ...HI,
        {
          role: 'assistant',
          tool_calls: many.map(() => ({ id: 'same', function: { name: 'f', arguments: '{}' } })),
        },
        ...many.map(() => ({ role: 'tool', tool_call_id: 'same', content: 'ok' })),
      ],
    },
    {
      response_format: {
        type: 'json_schema',
        json_schema: {
          schema: {
            type: 'object',
            properties: Object.fromEntries(
              many.map((i) => [`p${i}`, { oneOf: [{ $ref: `#/$defs/d${i}` }, { type: 'null' }] }]),
            ),
            $defs: Object.fromEntries(
              many.map((i) => [
                `d${i}`,
                { type: 'object', properties: { x: { $ref: `#/$defs/d${i + 1}` } } },
              ]),
            ),
          },
        },
      },
    },
  ]
  for (const request of requests)
    assert.equal(translate({ model: MODEL, messages: HI, ...request }).kind, 'ok')
  const { user } = process.cpuUsage(start)
  // Far above what it takes; quadratic work would be far above this again.
  assert.ok(user < 5_000_000, `took ${user} µs`)
})
