import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import type { ErrorCode } from '../../src/core/errors.ts'
import { ERRORS, GatewayError } from '../../src/core/errors.ts'
import { anthropic } from '../../src/dialects/anthropic/index.ts'
import { replyError, replyJson, toGatewayError, wireError } from '../../src/server/reply.ts'
import { StoreError } from '../../src/store/store.ts'

const CONTACT = { publicUrl: 'https://api.example.com', supportEmail: 'help@example.com' }
const ID = 'ccr_01jdq9jw0a0000000000000000'

/** The answer a client gets for an error. */
async function answer(t: TestContext, error: GatewayError, method = 'GET') {
  const server = createServer((_request, response) => {
    replyError(response, error, {
      dialect: anthropic,
      requestId: ID,
      contact: CONTACT,
      closeConnection: false,
    })
    // Nothing is written twice, whoever tries.
    replyError(response, error, {
      dialect: anthropic,
      requestId: ID,
      contact: CONTACT,
      closeConnection: false,
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const response = await fetch(`http://127.0.0.1:${port}/`, { method })
  const text = await response.text()
  return { status: response.status, headers: response.headers, text }
}

test('every code is answered with its status, its shape and its ids', async (t) => {
  for (const code of Object.keys(ERRORS) as ErrorCode[]) {
    const { status, headers, text } = await answer(t, new GatewayError(code))
    assert.equal(status, ERRORS[code].status, code)
    assert.equal(headers.get('content-type'), 'application/json')
    assert.equal(headers.get('x-cc-request-id'), ID)
    assert.equal(headers.get('request-id'), ID)
    assert.equal(headers.get('cache-control'), 'no-store')
    const body = JSON.parse(text)
    assert.deepEqual(Object.keys(body), ['type', 'error', 'request_id'])
    assert.deepEqual([body.type, body.request_id], ['error', ID])
    assert.equal(body.error.type, ERRORS[code].anthropic)
    assert.equal(body.error.details.error_code, code)
  }
})

test('429 and 503 always say how long to wait, in whole seconds from 1 to 60', async (t) => {
  for (const code of Object.keys(ERRORS) as ErrorCode[]) {
    const { status } = ERRORS[code]
    if (status !== 429 && status !== 503) continue
    for (const retryAfterMs of [
      undefined,
      0,
      0.4,
      1,
      1_001,
      60_000,
      60_001,
      86_400_000,
      Infinity,
    ]) {
      const { headers } = await answer(t, new GatewayError(code, { retryAfterMs }))
      const seconds = Number(headers.get('retry-after'))
      const what = `${code} ${retryAfterMs}: ${headers.get('retry-after')}`
      assert.ok(Number.isInteger(seconds) && seconds >= 1 && seconds <= 60, what)
      const ms = Number(headers.get('retry-after-ms'))
      assert.ok(Number.isInteger(ms) && ms >= 1 && ms <= 60_000, what)
      if (retryAfterMs !== undefined && retryAfterMs > 0 && retryAfterMs <= 60_000)
        assert.ok(seconds * 1_000 >= retryAfterMs && ms >= retryAfterMs, what)
      const isLong = retryAfterMs !== undefined && retryAfterMs > 60_000
      const hopeless: boolean = isLong || !ERRORS[code].retryable
      assert.equal(headers.get('x-should-retry'), hopeless ? 'false' : null, what)
    }
  }
})

test('what a retry cannot help says so; 401 names the scheme, 405 the methods', async (t) => {
  const credit = await answer(t, new GatewayError('insufficient_credit'))
  assert.equal(credit.headers.get('x-should-retry'), 'false')
  assert.equal(credit.headers.get('retry-after'), null)
  const key = await answer(t, new GatewayError('missing_api_key'))
  assert.equal(key.headers.get('www-authenticate'), 'Bearer realm="ccgate"')
  const facts = { path: '/v1/models', allow: 'GET, HEAD' }
  const method = await answer(t, new GatewayError('method_not_allowed', { facts }))
  assert.equal(method.headers.get('allow'), 'GET, HEAD')
})

test('the example of the papers, word for word', async (t) => {
  const error = new GatewayError('key_rpm_exceeded', {
    facts: { limit: '60 requests', seconds: 7 },
    retryAfterMs: 6_420,
  })
  const { status, headers, text } = await answer(t, error)
  assert.equal(status, 429)
  assert.equal(headers.get('retry-after'), '7')
  assert.equal(headers.get('retry-after-ms'), '6420')
  assert.equal(
    text,
    `{"type":"error","error":{"type":"rate_limit_error","message":"This key's limit is 60 requests per minute. Try again in 7 s.","details":{"error_code":"key_rpm_exceeded"}},"request_id":"${ID}"}`,
  )
})

test('HEAD gets the headers without the body', async (t) => {
  const { status, text } = await answer(t, new GatewayError('route_not_found'), 'HEAD')
  assert.deepEqual([status, text], [404, ''])
})

test('the unexpected is told as a number to quote, and nothing of it leaves', async (t) => {
  const canary = new Error('sk-ant-canary at /home/me/secret')
  for (const thrown of [canary, 'sk-ant-canary', undefined, null, { canary }]) {
    const error = toGatewayError(thrown)
    assert.equal(error.code, 'internal_error')
    const { text } = await answer(t, error)
    assert.doesNotMatch(text, /canary|secret/)
    assert.match(text, new RegExp(`send ${ID} to help@example.com`))
  }
})

test('a store that fails has its own words for each reason', () => {
  const codes = (['full', 'overloaded', 'io', 'corrupt'] as const).map((reason) => {
    const error = toGatewayError(new StoreError(reason, 'sk-ant-canary'))
    assert.ok(error.retryAfterMs !== null)
    return error.code
  })
  assert.deepEqual(codes, ['storage_full', 'overloaded', 'store_unavailable', 'store_unavailable'])
})

test('an error stays the error it is, and its facts cannot hide who to ask', () => {
  const error = new GatewayError('user_suspended', { facts: { field: 'x' }, field: 'model' })
  assert.equal(toGatewayError(error), error)
  const wire = wireError(error, ID, CONTACT)
  assert.equal(wire.message, 'Access for this account is paused. Contact help@example.com.')
  assert.equal(wire.field, 'model')
})

test('our own JSON is told with the same ids and its length', async (t) => {
  const server = createServer((_request, response) => {
    replyJson(response, { name: 'ü' }, { requestId: ID, status: 201, extraHeaders: ['x-a', 'b'] })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } })
  assert.equal(response.status, 201)
  assert.equal(response.headers.get('content-length'), '13')
  assert.equal(response.headers.get('x-a'), 'b')
  assert.equal(response.headers.get('x-cc-request-id'), ID)
  assert.deepEqual(await response.json(), { name: 'ü' })
})
