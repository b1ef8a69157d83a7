import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ERRORS } from '../../../src/core/errors.ts'
import {
  openAiError,
  renderError,
  translateStreamError,
  translateUpstreamError,
} from '../../../src/dialects/openai/errors.ts'

function upstreamBody(type: string, message: string, error_code?: string): string {
  const details = error_code === undefined ? undefined : { error_code }
  return JSON.stringify({ type: 'error', error: { type, message, details }, request_id: 'req_1' })
}

/** An error of ours by its code, as the gateway hands it over. */
function wire(code: keyof typeof ERRORS, field: string | null = null) {
  const { status, anthropic, openai } = ERRORS[code]
  const types = { anthropic, openai }
  return { status, code, types, message: 'Why.', field, details: {}, requestId: 'ccr_1' }
}

test('clients of OpenAI find the types and codes that they match on', () => {
  const said = (code: keyof typeof ERRORS) => {
    const { type, code: word } = openAiError(wire(code))
    return [type, word]
  }
  assert.deepEqual(said('missing_api_key'), ['authentication_error', 'invalid_api_key'])
  assert.deepEqual(said('revoked_api_key'), ['authentication_error', 'invalid_api_key'])
  assert.deepEqual(said('insufficient_credit'), ['insufficient_quota', 'insufficient_quota'])
  assert.deepEqual(said('model_not_allowed'), ['permission_error', null])
  assert.deepEqual(said('route_not_found'), ['invalid_request_error', 'not_found'])
  assert.deepEqual(said('key_rpm_exceeded'), ['rate_limit_error', 'rate_limit_exceeded'])
  assert.deepEqual(said('upstream_error'), ['server_error', 'upstream_error'])
  assert.deepEqual(said('no_healthy_account'), ['server_error', 'no_healthy_account'])
  assert.deepEqual(said('internal_error'), ['server_error', 'internal_error'])
  assert.deepEqual(said('method_not_allowed'), ['invalid_request_error', 'method_not_allowed'])
  assert.deepEqual(said('request_too_large'), ['invalid_request_error', 'request_too_large'])
})

test('an error body has message, type, param and code, and nothing of Anthropic’s envelope', () => {
  assert.deepEqual(JSON.parse(renderError(wire('invalid_request', 'messages[0].role'))), {
    error: {
      message: 'Why.',
      type: 'invalid_request_error',
      param: 'messages[0].role',
      code: 'invalid_value',
    },
  })
  assert.equal(JSON.parse(renderError(wire('model_not_found'))).error.param, 'model')
  for (const code of Object.keys(ERRORS) as (keyof typeof ERRORS)[]) {
    const { error } = JSON.parse(renderError(wire(code)))
    assert.deepEqual(Object.keys(error), ['message', 'type', 'param', 'code'])
    assert.equal(typeof error.type, 'string')
  }
})

test('upstream’s errors about the request pass with their text', () => {
  const long = upstreamBody('invalid_request_error', 'prompt is too long: 250000 tokens > 200000')
  assert.deepEqual(translateUpstreamError(400, long), {
    status: 400,
    error: {
      message: 'prompt is too long: 250000 tokens > 200000',
      type: 'invalid_request_error',
      param: 'messages',
      code: 'context_length_exceeded',
    },
    isRetryable: false,
  })
  const image = upstreamBody('invalid_request_error', 'too big', 'image_dimensions_too_large')
  assert.equal(translateUpstreamError(400, image).error.code, 'image_dimensions_too_large')
  const schema = upstreamBody('invalid_request_error', 'Schema is too complex for compilation.')
  assert.equal(translateUpstreamError(400, schema).error.param, 'response_format')
  const model = translateUpstreamError(404, upstreamBody('not_found_error', 'model: claude-x'))
  assert.deepEqual(
    [model.status, model.error.code, model.error.param],
    [404, 'model_not_found', 'model'],
  )
  const other = translateUpstreamError(404, upstreamBody('not_found_error', 'Not found'))
  assert.deepEqual([other.error.code, other.error.param], ['not_found', null])
  assert.equal(translateUpstreamError(413, '{"error":{"message":"x"}}').status, 413)
})

test('upstream’s errors about the account are told without its text', () => {
  const secret = 'organization 1f2e (Acme)'
  const rows = [401, 402, 403, 429, 500, 503, 504, 529].map((status) => {
    const translated = translateUpstreamError(status, upstreamBody('x_error', secret))
    assert.ok(!JSON.stringify(translated).includes('Acme'), String(status))
    assert.ok(translated.isRetryable)
    return [status, translated.status, translated.error.code]
  })
  assert.deepEqual(rows, [
    [401, 502, 'upstream_error'],
    [402, 502, 'upstream_error'],
    [403, 502, 'upstream_error'],
    [429, 429, 'rate_limit_exceeded'],
    [500, 502, 'upstream_error'],
    [503, 502, 'upstream_error'],
    [504, 502, 'upstream_error'],
    [529, 503, 'overloaded'],
  ])
  assert.equal(
    translateUpstreamError(400, '<html>').error.message,
    'The request was refused upstream.',
  )
})

test('an error event is told by what it is about', () => {
  const event = (type: string) => ({ type: 'error', error: { type, message: 'Org Acme' } })
  assert.equal(translateStreamError(event('overloaded_error')).error.message, 'Org Acme')
  assert.equal(translateStreamError(event('overloaded_error')).status, 503)
  assert.equal(translateStreamError(event('rate_limit_error')).status, 429)
  for (const type of ['rate_limit_error', 'authentication_error', 'permission_error', 'news'])
    assert.ok(!JSON.stringify(translateStreamError(event(type))).includes('Acme'), type)
  assert.equal(translateStreamError(null).status, 502)
})
