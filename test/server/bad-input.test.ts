import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ErrorCode } from '../../src/core/errors.ts'
import type { RawExchange } from '../support/raw-client.ts'
import { rawExchange } from '../support/raw-client.ts'
import { assertRefusal, nothingFromNow } from '../support/refusals.ts'
import type { World } from '../support/world.ts'
import { world } from '../support/world.ts'

const GOOD = {
  model: 'claude-sonnet-4-6',
  max_tokens: 100,
  messages: [{ role: 'user', content: 'Hello' }],
}

/** A whole request as bytes. */
function requestBytes(
  key: string,
  body: string | Buffer,
  options: { path?: string; method?: string; headers?: readonly string[] } = {},
): Buffer {
  const bytes = Buffer.from(body)
  const { path = '/v1/messages', method = 'POST', headers = [`x-api-key: ${key}`] } = options
  return Buffer.concat([
    Buffer.from(
      `${method} ${path} HTTP/1.1\r\nHost: gateway\r\nContent-Length: ${bytes.length}\r\n` +
        `${headers.map((line) => `${line}\r\n`).join('')}\r\n`,
      'latin1',
    ),
    bytes,
  ])
}

/** Sends a body twice over one connection: the second shows that the connection is still in step. */
function sendBody(w: World, body: string | Buffer): Promise<RawExchange> {
  const bytes = requestBytes(w.key, body)
  return rawExchange(w.url, [bytes, bytes], { answers: 2 })
}

const BODIES: readonly (readonly [what: string, code: ErrorCode, body: string | Buffer])[] = [
  ['an empty body', 'invalid_json', ''],
  ['prose', 'invalid_json', 'Hello, world!'],
  ['a form', 'invalid_json', 'model=claude-sonnet-4-6&max_tokens=1'],
  ['truncated JSON', 'invalid_json', JSON.stringify(GOOD).slice(0, -1)],
  ['a second value behind the first', 'invalid_json', `${JSON.stringify(GOOD)}{}`],
  ['a trailing comma', 'invalid_json', '{"model":"claude-sonnet-4-6","max_tokens":1,}'],
  ['single quotes', 'invalid_json', "{'model':'claude-sonnet-4-6'}"],
  ['a comment', 'invalid_json', '{/* */}'],
  ['NaN', 'invalid_json', '{"max_tokens":NaN}'],
  ['a byte order mark', 'invalid_json', `\ufeff${JSON.stringify(GOOD)}`],
  ['UTF-16', 'invalid_json', Buffer.from(JSON.stringify(GOOD), 'utf16le')],
  ['broken UTF-8', 'invalid_json', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
  ['a raw line feed in a string', 'invalid_json', '{"model":"claude\n-sonnet-4-6"}'],
  ['gzip', 'invalid_json', Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3])],
  ['an array', 'invalid_json', '[]'],
  ['a string', 'invalid_json', '"{}"'],
  ['null', 'invalid_json', 'null'],
  ['an empty object', 'invalid_request', '{}'],
  ['a depth of 65', 'json_too_complex', `{"x":${'['.repeat(64)}${']'.repeat(64)}}`],
  ['a depth of 100,000', 'json_too_complex', `{"x":${'['.repeat(100_000)}`],
  ['200,001 parts', 'json_too_complex', `{"x":[${'0,'.repeat(200_000)}0]}`],
  ['a model named twice', 'duplicate_json_key', '{"model":"a","model":"b"}'],
  ['a model named twice, once escaped', 'duplicate_json_key', '{"model":"a","\\u006dodel":"b"}'],
  [
    'max_tokens twice',
    'duplicate_json_key',
    '{"max_tokens":1,"model":"claude-sonnet-4-6","max_tokens":9000}',
  ],
  [
    'a role twice inside a message',
    'duplicate_json_key',
    '{"model":"claude-sonnet-4-6","max_tokens":1,"messages":[{"role":"user","rol\\u0065":"user","content":"x"}]}',
  ],
]

const FIELDS: readonly (readonly [what: string, field: string, change: object])[] = [
  ['no model', 'model', { model: undefined }],
  ['a model that is a number', 'model', { model: 4 }],
  ['a model that is null', 'model', { model: null }],
  ['a model that is an object', 'model', { model: {} }],
  ['an empty model', 'model', { model: '' }],
  ['an endless model', 'model', { model: 'm'.repeat(5_000) }],
  ['no messages', 'messages', { messages: undefined }],
  ['messages that are text', 'messages', { messages: 'Hello' }],
  ['messages that are an object', 'messages', { messages: {} }],
  ['no max_tokens', 'max_tokens', { max_tokens: undefined }],
  ['max_tokens as text', 'max_tokens', { max_tokens: '100' }],
  ['max_tokens as null', 'max_tokens', { max_tokens: null }],
  ['negative max_tokens', 'max_tokens', { max_tokens: -1 }],
  ['max_tokens with a fraction', 'max_tokens', { max_tokens: 1.5 }],
  ['max_tokens beyond all numbers', 'max_tokens', { max_tokens: 1e300 }],
  ['stream as text', 'stream', { stream: 'true' }],
  ['stream as a number', 'stream', { stream: 1 }],
  ['stream as null', 'stream', { stream: null }],
]

test('a body that is not good JSON is refused by name, and the connection stays usable', async (t) => {
  const w = await world(t)
  const assertNothing = await nothingFromNow(w)
  for (const [what, code, body] of BODIES) {
    const { answers, closed } = await sendBody(w, body)
    assert.equal(answers.length, 2, `${what}: both were answered (closed: ${closed})`)
    for (const answer of answers) {
      const { error } = assertRefusal(answer, code)
      if (code === 'invalid_json')
        assert.match(error.message, / at position \d+\.| is empty\.| must be a JSON object/, what)
    }
  }
  await assertNothing()
})

test('a field of the wrong type is refused with its name', async (t) => {
  const w = await world(t)
  const assertNothing = await nothingFromNow(w)
  for (const [what, field, change] of FIELDS) {
    const { answers } = await sendBody(w, JSON.stringify({ ...GOOD, ...change }))
    for (const answer of answers) {
      const { error } = assertRefusal(answer, 'invalid_request')
      assert.ok(error.message.startsWith(`${field}: `), `${what}: ${error.message}`)
    }
  }
  await assertNothing()
})

test('unknown models are 404 with the nearest name; those not allowed are 403', async (t) => {
  const w = await world(t, { key: { models: ['claude-haiku-*'] } })
  const assertNothing = await nothingFromNow(w)
  const ask = async (model: string) =>
    (await sendBody(w, JSON.stringify({ ...GOOD, model }))).answers[0]
  const unknown = assertRefusal(await ask('claude-sonet-4-6'), 'model_not_found')
  assert.match(unknown.error.message, /Did you mean claude-sonnet-4-6\?/)
  const odd = assertRefusal(await ask('\u001b[2J<script>\u202e'), 'model_not_found')
  assert.ok(odd.error.message.length < 400)
  const refused = assertRefusal(await ask('claude-sonnet-4-6'), 'model_not_allowed')
  assert.match(refused.error.message, /claude-haiku-\*/)
  await assertNothing()
})
