import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { GatewayError } from '../../src/core/errors.ts'
import { findRoute } from '../../src/server/router.ts'

function refusal(method: string, path: string): GatewayError {
  try {
    findRoute(method, path)
  } catch (error) {
    assert.ok(error instanceof GatewayError, String(error))
    return error
  }
  throw new Error(`${method} ${path} was found`)
}

test('each served path takes its methods, with the id behind it', () => {
  const rows: [method: string, path: string, id: string][] = [
    ['POST', '/v1/messages', ''],
    ['POST', '/v1/messages/count_tokens', ''],
    ['GET', '/v1/models', ''],
    ['HEAD', '/v1/models', ''],
    ['GET', '/v1/models/claude-sonnet-4-6', 'claude-sonnet-4-6'],
    ['GET', '/v1/usage/ccr_01', 'ccr_01'],
    ['GET', '/v1/usage/constructor', 'constructor'],
    ['GET', '/healthz', ''],
    ['HEAD', '/readyz', ''],
    ['GET', '/', ''],
  ]
  for (const [method, path, id] of rows) assert.equal(findRoute(method, path).id, id, path)
})

test('a wrong method is told the right ones', () => {
  for (const method of ['GET', 'PUT', 'DELETE', 'OPTIONS', 'HEAD', 'post', 'CONNECT', '']) {
    const error = refusal(method, '/v1/messages')
    assert.equal(error.code, 'method_not_allowed', method)
    assert.equal(error.facts.allow, 'POST')
  }
  assert.equal(refusal('POST', '/v1/models').facts.allow, 'GET, HEAD')
  for (const path of ['/v1/chat/completions', '/v1/responses'])
    for (const method of ['GET', 'HEAD', 'OPTIONS']) {
      const { code, facts } = refusal(method, path)
      assert.deepEqual([code, facts.allow], ['method_not_allowed', 'POST'], `${method} ${path}`)
    }
})

test('/v1 twice or left out is explained, anything else is not found', () => {
  assert.equal(refusal('POST', '/v1/v1/messages').facts.problem, 'has /v1 twice')
  for (const path of ['/messages', '/chat/completions', '/responses', '/models', '/models/x']) {
    const { code, facts } = refusal('POST', path)
    assert.deepEqual([code, facts.problem], ['wrong_base_url', 'lacks /v1 at its beginning'], path)
  }
  const unknown = [
    '/v1/messages/',
    '//v1/messages',
    '/V1/messages',
    '/v1/messages%2F',
    '/v1/%6dessages',
    '/v1/../v1/messages',
    'http://evil/v1/messages',
    '/v1/usage/',
    '/v1/usage',
    '/v1/usage/a/b',
    '/v1/messages/batches',
    '/__proto__',
    '/constructor',
    'toString',
    '',
    '*',
  ]
  for (const path of unknown) assert.equal(refusal('POST', path).code, 'route_not_found', path)
})

test('any method and path get an answer that quotes only a bounded part', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 50 }), fc.string({ maxLength: 2_000 }), (method, path) => {
      const error = refusal(method, `/x${path}`)
      assert.ok(String(error.facts.path).length <= 200)
      assert.ok(String(error.facts.method).length <= 20)
    }),
  )
})
