import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { WireError } from '../../../src/dialects/dialect.ts'
import { openaiResponses } from '../../../src/dialects/openai-responses/index.ts'
import { eventsOf, playLifecycle } from './lifecycle.ts'
import { answerOf, openAnswer, opening, REQUEST_ID, sse, translated } from './world.ts'

function ours(code: string, openai: string): WireError {
  const types = { anthropic: 'api_error', openai }
  const base = { status: 502, message: 'It failed.', field: null, details: {} }
  return { ...base, code, types, requestId: REQUEST_ID }
}

/** What a client reads in `response.failed` when upstream's stream breaks off with this error. */
function failedBy(type: string, message: string) {
  const answer = openAnswer(translated({ model: 'claude-opus-5-5', input: 'x', stream: true }))
  const events = [...opening([{ text: ['Hel'] }]), { type: 'error', error: { type, message } }]
  const response = playLifecycle(eventsOf(answer.push(sse(events)).toString()))
  assert.equal(answer.state, 'failed')
  assert.equal(answer.body(), null)
  return { error: (response as { error?: unknown }).error, status: answer.failure?.status }
}

test('what clients should try again is a server error or a limit, what they should not is named', () => {
  const codeOf = (type: string, message = 'm') =>
    (failedBy(type, message).error as { code: string }).code
  assert.equal(codeOf('overloaded_error'), 'server_error')
  assert.equal(codeOf('api_error'), 'server_error')
  assert.equal(codeOf('timeout_error'), 'server_error')
  assert.equal(codeOf('rate_limit_error'), 'rate_limit_exceeded')
  assert.equal(codeOf('invalid_request_error'), 'invalid_prompt')
  assert.equal(
    codeOf('invalid_request_error', 'prompt is too long: 2 > 1'),
    'context_length_exceeded',
  )
})

test('errors about the operator’s account do not name it', () => {
  const { error, status } = failedBy('permission_error', 'organization org_123 is disabled')
  assert.doesNotMatch(JSON.stringify(error), /org_123/)
  assert.equal(status, 502)
})

test('an error of ours ends a running answer with what came before it', () => {
  const answer = openAnswer(translated({ model: 'claude-opus-5-5', input: 'x', stream: true }))
  const begun = answer.push(sse(opening([{ text: ['Hel', 'lo'] }]))).toString()
  const end = answer.fail?.(ours('insufficient_credit', 'insufficient_quota'))
  const events = eventsOf(`${begun}${end}`)
  playLifecycle(events)
  const { response } = events.at(-1) as unknown as { response: Record<string, unknown> }
  assert.deepEqual(response.error, { code: 'insufficient_quota', message: 'It failed.' })
  assert.match(JSON.stringify(response.output), /"status":"incomplete".*"text":"Hello"/)
})

test('an error of ours without an answer at hand is a failed response of the same id', () => {
  const answer = openAnswer(translated({ model: 'claude-opus-5-5', input: 'x', stream: true }))
  const [created] = eventsOf(answer.push(sse(opening([]))).toString())
  const text = openaiResponses.renderStreamError(ours('upstream_error', 'server_error'))
  const [failed] = eventsOf(text)
  const idOf = (event: unknown) => (event as { response: { id: string } }).response.id
  assert.equal(failed.type, 'response.failed')
  assert.equal(idOf(failed), idOf(created))
})

test('upstream’s refusals name the fields of this API', () => {
  const { translator } = openaiResponses
  const said = (message: string) =>
    translator?.translateError(400, JSON.stringify({ type: 'error', error: { message } })).error
  assert.deepEqual(said('prompt is too long: 300000 tokens > 200000 maximum'), {
    message: 'prompt is too long: 300000 tokens > 200000 maximum',
    type: 'invalid_request_error',
    param: 'input',
    code: 'context_length_exceeded',
  })
  assert.equal(said('Schema is too complex for compilation.')?.param, 'text.format')
  assert.equal(said('anything else')?.param, null)
})

test('an answer whose request named no time has none', () => {
  const request = translated({ model: 'claude-opus-5-5', input: 'x' })
  const answer = request.openAnswer({ requestId: REQUEST_ID, createdS: 7 })
  answer.push(
    sse([
      ...opening([]),
      { type: 'message_delta', delta: { stop_reason: 'end_turn' } },
      { type: 'message_stop' },
    ]),
  )
  const { created_at, completed_at, output } = JSON.parse(answer.body() ?? '')
  assert.deepEqual([created_at, completed_at, output], [7, null, []])
})

test('an answer may pause and end there', () => {
  const request = translated({ model: 'claude-opus-5-5', input: 'x', stream: true })
  const answer = openAnswer(request)
  const begun = answer.push(
    sse([
      ...opening([{ text: ['Hi'] }]),
      { type: 'message_delta', delta: { stop_reason: 'pause_turn' } },
      { type: 'message_stop' },
    ]),
  )
  assert.equal(answer.state, 'paused')
  assert.deepEqual(answer.pausedContent, [{ type: 'text', text: 'Hi' }])
  const response = playLifecycle(eventsOf(`${begun}${answer.finishPaused()}`))
  assert.equal(response.status, 'completed')
  assert.equal(answer.pausedContent, null)
})

const BILL = {
  costMicro: 1_234,
  tokens: { input: 5, output: 6, cacheRead: 7, cacheWrite5m: 8, cacheWrite1h: 9 },
}

test('an answer tells what its receipt says, also one that failed', () => {
  const usageOf = (events: Parameters<typeof sse>[0]) => {
    const request = translated({ model: 'claude-opus-5-5', input: 'x', stream: true })
    const about = { requestId: REQUEST_ID, createdS: 7, bill: () => BILL }
    const written = request.openAnswer(about).push(sse(events)).toString()
    const { response } = eventsOf(written).at(-1) as unknown as { response: { usage: object } }
    return response.usage
  }
  const usage = Object(usageOf(answerOf([{ text: ['Hi'] }])))
  assert.equal(usage.cost_micro, 1_234)
  assert.deepEqual([usage.input_tokens, usage.output_tokens], [29, 6])
  assert.deepEqual(usage.input_tokens_details, { cached_tokens: 7, cache_write_tokens: 17 })
  const error = { type: 'error', error: { type: 'overloaded_error', message: 'm' } }
  assert.equal(Object(usageOf([...opening([{ text: ['Hi'] }]), error])).cost_micro, 1_234)
})

test('what one event may be long has an end, and a stop of no block ends none', () => {
  const request = translated({ model: 'claude-opus-5-5', input: 'x', stream: true })
  const answer = openAnswer(request)
  const begun = answer.push(sse(opening([{ thinking: ['Hm'], signature: 's' }]).slice(0, -2)))
  const stray = answer.push(sse([{ type: 'content_block_stop', index: 9 }]))
  assert.doesNotMatch(`${begun}${stray}`, /output_item\.done/)
  const long = { type: 'ping', filler: 'x'.repeat(20 * 1024 * 1024) }
  const end = answer.push(sse([long])).toString()
  assert.equal(answer.state, 'failed')
  assert.match(end, /"code":"server_error"/)
})

test('a failure that is the client’s is not to be tried again, one of ours is', () => {
  for (const [status, isRetryable] of [
    [402, false],
    [429, true],
    [502, true],
  ] as const) {
    const answer = openAnswer(translated({ model: 'claude-opus-5-5', input: 'x' }))
    answer.fail?.({ ...ours('upstream_error', 'server_error'), status })
    assert.equal(answer.failure?.isRetryable, isRetryable)
  }
})
