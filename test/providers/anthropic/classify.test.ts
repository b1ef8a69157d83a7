import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { OutcomeKind } from '../../../src/core/attempt-outcome.ts'
import type { UpstreamAnswer } from '../../../src/providers/anthropic/classify.ts'
import { classify, readError, retryAfterMs } from '../../../src/providers/anthropic/classify.ts'

const NOW = Date.UTC(2026, 10, 22, 12)

function body(type: string, message = '', code?: string): string {
  const details = code === undefined ? null : { error_code: code }
  return JSON.stringify({
    type: 'error',
    error: { type, message, details },
    request_id: 'req_011C',
  })
}

function outcomeOf(status: number, text: string, headers: UpstreamAnswer['headers'] = {}) {
  return classify({ status, headers, body: text, nowMs: NOW })
}

const invalid = 'invalid_request_error'
const LOW_CREDIT =
  'Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.'

/** What upstream answers, and whose business that is. */
const ROWS: readonly [status: number, text: string, kind: OutcomeKind][] = [
  [200, '', 'ok'],
  [201, '', 'ok'],
  [301, '', 'server_error'],
  [400, body(invalid, 'max_tokens: Field required'), 'client_fault'],
  [400, body(invalid, LOW_CREDIT), 'out_of_credit'],
  [400, body(invalid, 'You have reached your specified API usage limits.'), 'out_of_credit'],
  [
    400,
    body(invalid, 'You have reached your specified workspace API usage limits.'),
    'out_of_credit',
  ],
  [
    400,
    body(invalid, 'messages.0: You have reached your specified API usage limits'),
    'client_fault',
  ],
  [400, body(invalid, 'held', 'organization_on_hold'), 'disabled_upstream'],
  [400, body(invalid, 'This organization has been disabled.'), 'disabled_upstream'],
  [403, body('permission_error', 'This organization has been disabled.'), 'disabled_upstream'],
  [400, body(invalid, 'x', 'claude_code_key_creator_not_member'), 'disabled_upstream'],
  [400, body(invalid, 'x', 'cmek_key_disabled'), 'disabled_upstream'],
  [400, body(invalid, 'x', 'cmek_key_network_blocked'), 'disabled_upstream'],
  [400, body(invalid, 'x', 'claude_code_version_too_old'), 'client_fault'],
  [400, body(invalid, 'x', 'image_dimensions_too_large'), 'client_fault'],
  [400, body(invalid, 'x', 'compaction_incomplete_turn'), 'client_fault'],
  [400, body(invalid, 'x', 'user_profile_required'), 'client_fault'],
  [400, body(invalid, 'x', 'a_code_of_next_year'), 'client_fault'],
  [400, body(invalid, 'claude-fable-5 must have data retention enabled for this'), 'forbidden'],
  [400, body(invalid, 'Unexpected value(s) `x-1` for the `anthropic-beta` header'), 'forbidden'],
  [401, body('authentication_error', 'invalid x-api-key'), 'unauthorized'],
  [401, '', 'unauthorized'],
  [402, body('billing_error', 'payment'), 'out_of_credit'],
  [402, body('billing_error', 'x', 'linked_organization_billing_unavailable'), 'client_fault'],
  [402, body('billing_error', 'x', 'linked_organization_spend_limit_reached'), 'client_fault'],
  [403, body('permission_error', 'not allowed to use this model'), 'forbidden'],
  [403, body('permission_error', 'x', 'user_profile_not_billable'), 'client_fault'],
  [403, body('permission_error', 'x', 'user_profile_billing_not_authorized'), 'client_fault'],
  [404, body('not_found_error', 'model: claude-opus-9'), 'forbidden'],
  [404, body('not_found_error', 'x', 'thread_not_found'), 'client_fault'],
  [404, body('not_found_error', 'Not found'), 'client_fault'],
  [408, body('timeout_error'), 'client_fault'],
  [409, body('conflict_error', 'x', 'skill_read_blocked_undecryptable'), 'client_fault'],
  [413, '{"error":{"type":"request_too_large","message":"Request exceeds"}}', 'client_fault'],
  [413, '<html>413 Request Entity Too Large</html>', 'client_fault'],
  [422, body(invalid), 'client_fault'],
  [429, body('rate_limit_error', 'slow down'), 'rate_limited'],
  [429, body('rate_limit_error', 'x', 'ramp_limit_exceeded'), 'rate_limited'],
  [429, body('rate_limit_error', 'x', 'enforced_spend_limit_reached'), 'out_of_credit'],
  [429, body('rate_limit_error', 'x', 'contract_spend_limit_reached'), 'out_of_credit'],
  [429, body('rate_limit_error', LOW_CREDIT), 'out_of_credit'],
  [
    429,
    body('rate_limit_error', 'You have reached your specified API usage limits.'),
    'out_of_credit',
  ],
  [429, '<html>Too many</html>', 'rate_limited'],
  [500, body('api_error'), 'server_error'],
  [500, '<html><h1>Internal</h1></html>', 'server_error'],
  [502, '', 'server_error'],
  [503, body('api_error', 'x', 'cmek_key_unreachable'), 'server_error'],
  [504, body('timeout_error'), 'server_error'],
  [529, body('overloaded_error', 'Overloaded'), 'overloaded'],
  [529, '', 'overloaded'],
]

test('each row of the papers has its outcome', () => {
  for (const [status, text, kind] of ROWS)
    assert.equal(outcomeOf(status, text).kind, kind, `${status} ${text}`)
})

test("a refusal's sentence inside the client's own words is the client's fault", () => {
  for (const sentence of [
    LOW_CREDIT,
    'Your credit balance is too low',
    'You have reached your specified API usage limits. You will regain access on 2026-12-01.',
    'This organization has been disabled.',
    'organization has been disabled',
    'must have data retention enabled',
  ])
    for (const message of [
      `${sentence}: Extra inputs are not permitted`,
      `tools.0.${sentence}: Extra inputs are not permitted`,
      `${sentence} 2026-12-20 at 00:00: Extra inputs are not permitted`,
    ])
      assert.equal(outcomeOf(400, body(invalid, message)).kind, 'client_fault', message)
  for (const sentence of [LOW_CREDIT, 'This organization has been disabled.'])
    for (const message of [`tool "${sentence}" is not known`, `x ${sentence}`, `${sentence} x`])
      assert.equal(outcomeOf(400, body(invalid, message)).kind, 'client_fault', message)
})

test('whatever comes, there is an outcome, its reason is short and plain, its rest a sane number', () => {
  const anyHeader = fc.oneof(
    fc.string(),
    fc.array(fc.string(), { maxLength: 2 }),
    fc.constantFrom('-1', 'NaN', '1e9', '1.5', '0', '99999999999999999999', 'Wed, 21 Oct 2099'),
  )
  const anyBody = fc.oneof(
    fc.string(),
    fc.json(),
    fc
      .record({ type: fc.anything(), message: fc.anything(), details: fc.anything() })
      .map((error) => {
        try {
          return JSON.stringify({ error })
        } catch {
          return '{'
        }
      }),
    fc
      .tuple(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }))
      .map(([type, code]) => body(type, '', code)),
  )
  fc.assert(
    fc.property(
      fc.integer({ min: 100, max: 999 }),
      anyBody,
      fc.dictionary(
        fc.constantFrom(
          'retry-after',
          'retry-after-ms',
          'anthropic-ratelimit-requests-remaining',
          'anthropic-ratelimit-requests-reset',
        ),
        anyHeader,
      ),
      (status, text, headers) => {
        const outcome = outcomeOf(status, text, headers)
        assert.ok(outcome.reason.length <= 80, outcome.reason)
        assert.match(outcome.reason, /^[\x20-\x7e]*$/)
        const { restMs } = outcome
        assert.ok(restMs === null || (restMs > 0 && Number.isFinite(restMs)), String(restMs))
      },
    ),
    { numRuns: 1_000 },
  )
})

test('reasons quote the error type and never the message', () => {
  const canary = 'sk-ant-api03-canary'
  for (const [status] of ROWS) {
    const { reason } = outcomeOf(status, body('api_error', `key ${canary} of org secret-org`))
    assert.doesNotMatch(reason, /canary|secret-org/)
  }
  assert.equal(outcomeOf(529, body('overloaded_error')).reason, '529 overloaded_error')
  assert.equal(outcomeOf(500, '<html>').reason, '500 unknown error')
  assert.equal(outcomeOf(500, body('\u001b[31mred')).reason, '500 unknown error')
})

test("upstream's request id is kept, the first of two", () => {
  assert.equal(outcomeOf(500, '', { 'request-id': 'req_1' }).upstreamRequestId, 'req_1')
  assert.equal(outcomeOf(500, '', { 'request-id': ['req_1', 'req_2'] }).upstreamRequestId, 'req_1')
  assert.equal(outcomeOf(500, '').upstreamRequestId, null)
})

test('strange retry-after values are read as far as they make sense', () => {
  const of = (value: string | string[]) => retryAfterMs({ 'retry-after': value }, NOW)
  assert.equal(of('7'), 7_000)
  assert.equal(of(' 7 '), 7_000)
  assert.equal(of('1.5'), 1_500)
  assert.equal(of('432000'), 432_000_000)
  assert.equal(of('Sun, 22 Nov 2026 12:00:42 GMT'), 42_000)
  assert.equal(of('2026-11-22T12:00:42Z'), 42_000)
  assert.equal(of(['7', '9']), 7_000)
  const useless = [
    '0',
    '-1',
    'NaN',
    '1e9',
    'Infinity',
    '',
    'soon',
    'soon 2040',
    'Sun, 22 Nov 2026 11:00:00 GMT',
    '9'.repeat(400),
    '0x10',
    '1,5',
  ]
  for (const value of useless) assert.equal(of(value), null, value)
  assert.equal(of([]), null)
})

test('retry-after-ms is exact and comes first', () => {
  const headers = { 'retry-after-ms': '6420', 'retry-after': '7' }
  assert.equal(retryAfterMs(headers, NOW), 6_420)
  assert.equal(retryAfterMs({ 'retry-after-ms': '-5', 'retry-after': '7' }, NOW), 7_000)
})

test('without retry-after the reset of an empty bucket counts, the latest of several', () => {
  const at = (seconds: number) => new Date(NOW + seconds * 1_000).toISOString()
  const headers = {
    'anthropic-ratelimit-requests-remaining': '0',
    'anthropic-ratelimit-requests-reset': at(10),
    'anthropic-ratelimit-input-tokens-remaining': '0',
    'anthropic-ratelimit-input-tokens-reset': at(25),
    'anthropic-ratelimit-output-tokens-remaining': '5000',
    'anthropic-ratelimit-output-tokens-reset': at(50),
  }
  assert.equal(retryAfterMs(headers, NOW), 25_000)
  assert.equal(outcomeOf(429, body('rate_limit_error'), headers).restMs, 25_000)
  const past = { ...headers, 'anthropic-ratelimit-input-tokens-reset': at(-5) }
  assert.equal(retryAfterMs(past, NOW), 10_000)
  for (const reset of ['30', '49', 'tomorrow 2049', ''])
    assert.equal(
      retryAfterMs(
        {
          'anthropic-ratelimit-requests-remaining': '0',
          'anthropic-ratelimit-requests-reset': reset,
        },
        NOW,
      ),
      null,
      reset,
    )
})

test('a cap rests until the stated day, or without an end when none is stated', () => {
  const capped = (message: string) =>
    outcomeOf(429, body('rate_limit_error', message, 'enforced_spend_limit_reached')).restMs
  const december = Date.UTC(2026, 11, 1) - NOW
  assert.equal(capped('You will regain access on 2026-12-01 at 00:00 UTC.'), december)
  assert.equal(capped('You will regain access on 2026-12-01.'), december)
  assert.equal(capped('You will regain access later.'), null)
  assert.equal(capped('You will regain access on 2026-11-01 at 00:00 UTC.'), null)
  assert.equal(capped('You will regain access on 2026-13-77 at 00:00 UTC.'), null)
  const limit = outcomeOf(
    400,
    body(
      invalid,
      'You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.',
    ),
  )
  assert.deepEqual([limit.kind, limit.restMs], ['out_of_credit', december])
})

test('a retry-after beside a spend cap is not what ends the cap', () => {
  const text = body('rate_limit_error', 'x', 'contract_spend_limit_reached')
  assert.equal(outcomeOf(429, text, { 'retry-after': '5' }).restMs, null)
})

test('an error body is read by what it has, whatever its shape', () => {
  const none = { type: null, message: '', code: null }
  for (const text of ['', '{', 'null', '[]', '{"error":null}', '{"error":[]}', '<html>', '"x"'])
    assert.deepEqual(readError(text), none, text)
  assert.deepEqual(readError('{"error":{"type":5,"message":{},"details":[]}}'), none)
  assert.deepEqual(readError(body('api_error', 'm', 'c')), {
    type: 'api_error',
    message: 'm',
    code: 'c',
  })
  assert.deepEqual(readError('['.repeat(100_000)), none)
})
