import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  firstTokenOf,
  modelText,
  outcomeOf,
  statusText,
  wasKilled,
} from '../../src/core/outcome.ts'

const DONE = { httpStatus: 200, status: 'complete', errorCode: null, source: 'exact' } as const
const CUT = { ...DONE, status: 'interrupted', source: 'partial' } as const
const KILLED = { ...CUT, errorCode: 'internal_error', source: 'recovered' } as const

test('5xx and broken answers are failures, 4xx and spent money the client’s own, 499 a client that left', () => {
  assert.equal(outcomeOf(DONE), 'ok')
  assert.equal(outcomeOf(CUT), 'failed')
  for (const httpStatus of [500, 502, 503, 529]) {
    assert.equal(outcomeOf({ ...DONE, httpStatus, status: 'rejected' }), 'failed')
  }
  for (const httpStatus of [400, 402, 404, 429]) {
    assert.equal(outcomeOf({ ...DONE, httpStatus, status: 'rejected' }), 'refused')
  }
  for (const status of ['complete', 'interrupted', 'rejected'] as const) {
    assert.equal(outcomeOf({ ...DONE, httpStatus: 499, status }), 'left')
  }
  for (const errorCode of ['insufficient_credit', 'key_spend_limit']) {
    assert.equal(outcomeOf({ ...CUT, errorCode }), 'refused')
    assert.equal(outcomeOf({ ...CUT, httpStatus: 502, errorCode }), 'failed')
  }
})

test('a stream that ends with an error counts as the status that the error would have had', () => {
  const ended = { ...CUT, source: 'none' } as const
  const upstreams = ['invalid_request_error', 'request_too_large', 'rate_limit_error']
  for (const errorCode of [...upstreams, 'account_rpm_exceeded', 'key_burn_rate_exceeded'])
    assert.equal(outcomeOf({ ...ended, errorCode }), 'refused', errorCode)
  const failures = ['upstream_error', 'no_healthy_account', 'overloaded_error', 'api_error']
  for (const errorCode of [...failures, 'upstream_interrupted', 'toString', null])
    assert.equal(outcomeOf({ ...ended, errorCode }), 'failed', String(errorCode))
  assert.equal(statusText({ ...ended, errorCode: 'invalid_request_error' }), '200 error')
})

test('a status says whether the answer broke off, and whether the gateway died under it', () => {
  assert.equal(statusText(DONE), '200')
  assert.equal(statusText(CUT), '200 cut')
  assert.equal(statusText({ ...CUT, httpStatus: 499 }), '499')
  assert.equal(statusText(KILLED), '200 killed')
  assert.equal(statusText({ ...KILLED, httpStatus: 500, source: 'none' }), '500 killed')
  assert.equal(wasKilled({ ...KILLED, source: 'partial' }), false)
  assert.equal(wasKilled({ ...KILLED, status: 'rejected', source: 'none' }), false)
  // Our own fault among early pings: the gateway lived on.
  assert.equal(wasKilled({ ...KILLED, source: 'none' }), false)
})

test('the model is the one that answered, else the one asked for, else a dash', () => {
  assert.equal(modelText({ model: 'a', responseModel: 'b' }), 'b')
  assert.equal(modelText({ model: 'a', responseModel: null }), 'a')
  assert.equal(modelText({ model: '', responseModel: null }), '–')
})

test('only a streamed answer has a first token', () => {
  assert.equal(firstTokenOf({ stream: true, firstByteMs: 7 }), 7)
  assert.equal(firstTokenOf({ stream: false, firstByteMs: 7 }), null)
})
