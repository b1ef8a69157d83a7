import assert from 'node:assert/strict'
import { test } from 'node:test'
import { codeOf } from '../support/bills.ts'
import { rawUpstream } from '../support/raw-upstream.ts'
import { type World, world } from '../support/world.ts'

async function ask(w: World, body: Record<string, unknown> = {}, headers = {}) {
  const response = await w.post(body, headers)
  return { status: response.status, text: await response.text() }
}

function count(w: World): Promise<Response> {
  return fetch(`${w.url}/v1/messages/count_tokens`, {
    method: 'POST',
    headers: { 'x-api-key': w.key },
    body: JSON.stringify({
      model: 'claude-sonnet-4-6',
      messages: [{ role: 'user', content: 'Hello' }],
    }),
  })
}

test('a field that is named like an upstream refusal rests no account', async (t) => {
  const w = await world(t)
  for (const name of [
    'organization has been disabled',
    'This organization has been disabled.',
    'Your credit balance is too low',
    'You have reached your specified API usage limits 2026-12-20 at 00:00',
    'must have data retention enabled',
  ]) {
    const refused = await ask(w, { [name]: 1 })
    assert.equal(refused.status, 400, refused.text)
    assert.match(refused.text, /Extra inputs are not permitted/)
  }
  assert.deepEqual(w.daemon.counts.accounts, { healthy: 2, resting: 0, disabled: 0 })
  assert.equal((await ask(w)).status, 200)
})

test("a client's own short time limit says nothing about accounts", async (t) => {
  const w = await world(t)
  const hasty = { 'x-stainless-timeout': '0.02', 'x-sandbox': 'first_byte_ms=300' }
  for (let i = 0; i < 8; i++) {
    const { status, text } = await ask(w, { stream: i % 2 === 0 }, hasty)
    assert.deepEqual([status, codeOf(text)], [504, 'upstream_timeout'])
    assert.match(text, /within 0\.02 s/)
  }
  assert.deepEqual(w.daemon.counts.accounts, { healthy: 2, resting: 0, disabled: 0 })
  const { status } = await ask(w)
  assert.equal(status, 200)
  await w.settled()
})

test('an account that is silent for its whole time still rests', async (t) => {
  const w = await world(t, {
    accounts: ['one'],
    config: (config) => {
      const timeouts = { ...config.upstream.timeouts, firstByteUnaryMs: 60 }
      const queue = { ...config.queue, maxWaitMs: 100 }
      return { ...config, queue, upstream: { ...config.upstream, timeouts } }
    },
  })
  const slow = { 'x-stainless-timeout': '600', 'x-sandbox': 'first_byte_ms=400' }
  for (let i = 0; i < 3; i++) assert.equal((await ask(w, {}, slow)).status, 504)
  assert.equal(codeOf((await ask(w)).text), 'no_healthy_account')
})

test('time spent waiting for a free connection is not held against the account', async (t) => {
  const w = await world(t, {
    accounts: ['one'],
    config: (config) => ({
      ...config,
      upstream: {
        ...config.upstream,
        pool: { ...config.upstream.pool, connectionsPerAccount: 1 },
        timeouts: { ...config.upstream.timeouts, firstByteUnaryMs: 60 },
      },
    }),
  })
  const slow = { 'x-sandbox': 'token_rate=10,output_tokens=100' }
  const busy = await w.post({ stream: true }, slow)
  for (let i = 0; i < 4; i++) assert.equal((await ask(w)).status, 504)
  assert.deepEqual(w.daemon.counts.accounts, { healthy: 1, resting: 0, disabled: 0 })
  await busy.body?.cancel()
  assert.equal(w.sandbox.requests.filter((one) => one.path === '/v1/messages').length, 1)
})

test("the free count's own limit does not rest the account for messages", async (t) => {
  const upstream = await rawUpstream(t, ({ requestLine }, socket) => {
    const isCount = requestLine.includes('count_tokens')
    const body = isCount
      ? '{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}'
      : JSON.stringify({
          type: 'message',
          model: 'claude-sonnet-4-6',
          content: [],
          stop_reason: 'end_turn',
          usage: { input_tokens: 1, output_tokens: 1 },
        })
    socket.write(
      `HTTP/1.1 ${isCount ? '429 x\r\nretry-after: 50' : '200 OK'}\r\n` +
        `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    )
  })
  const w = await world(t, { accounts: ['one'], account: () => ({ baseUrl: upstream.url }) })
  assert.equal((await ask(w)).status, 200)
  for (let i = 0; i < 2; i++) {
    const refused = await count(w)
    assert.equal(refused.status, 429)
    assert.equal(codeOf(await refused.text()), 'account_rpm_exceeded')
  }
  const counts = upstream.requests.filter((one) => one.requestLine.includes('count_tokens'))
  assert.equal(counts.length, 1, 'further counts wait')
  assert.equal((await ask(w)).status, 200)
  assert.deepEqual(w.daemon.counts.accounts, { healthy: 1, resting: 0, disabled: 0 })
})

test('an error event that is about the request rests nothing, one about load rests the model', async (t) => {
  const w = await world(t, { accounts: ['one'] })
  for (let i = 0; i < 4; i++)
    await ask(w, { stream: true }, { 'x-sandbox': 'error_event=invalid_request_error' })
  assert.deepEqual(w.daemon.counts.accounts, { healthy: 1, resting: 0, disabled: 0 })
  assert.equal((await ask(w)).status, 200)
  await ask(w, { stream: true }, { 'x-sandbox': 'error_event=overloaded_error' })
  assert.deepEqual(w.daemon.counts.accounts, { healthy: 0, resting: 1, disabled: 0 })
})

test('a type that is no plain word reaches neither clients nor usage rows', async (t) => {
  const event =
    'event: error\ndata: {"type":"error","error":{"type":"<b>key</b> x","message":"m"}}\n\n'
  const start =
    'event: message_start\ndata: {"type":"message_start","message":{"id":"m","model":"claude-sonnet-4-6","content":[],"usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
  let prelude = ''
  const upstream = await rawUpstream(t, (_request, socket) => {
    const body = prelude + event
    socket.end(
      `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    )
  })
  const w = await world(t, { accounts: ['one'], account: () => ({ baseUrl: upstream.url }) })
  const { text } = await ask(w, { stream: true })
  assert.doesNotMatch(text, /<b>/)
  assert.match(text, /Upstream failed/)
  prelude = start
  const response = await w.post({ stream: true })
  await response.text()
  await w.settled()
  const row = await w.usage(response.headers.get('x-cc-request-id') ?? '')
  assert.equal(row.errorCode, 'unknown error')
})
