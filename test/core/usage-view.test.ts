import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Hold, UsageRecord } from '../../src/core/model.ts'
import { usageView } from '../../src/core/usage-view.ts'

const RECORD: UsageRecord = {
  requestId: 'ccr_1',
  userId: 'usr_1',
  keyId: 'key_1',
  dialect: 'anthropic',
  model: 'claude-sonnet-4-6',
  responseModel: 'claude-sonnet-4-6',
  stream: true,
  status: 'complete',
  httpStatus: 200,
  errorCode: null,
  tokens: { input: 781, output: 921, cacheRead: 0, cacheWrite5m: 3, cacheWrite1h: 346 },
  webSearchRequests: 0,
  costMicro: 18_234,
  receipt: null,
  holdMicro: 20_000,
  source: 'exact',
  anomalies: 0,
  accountId: 'acct_1',
  upstreamRequestId: 'req_1',
  attempts: [],
  createdAtMs: Date.UTC(2026, 10, 22, 12, 4, 29, 910),
  firstByteMs: 5,
  durationMs: 10,
  gatewayUs: 100,
  clientIp: null,
  clientAgent: null,
}

const HOLD: Hold = {
  requestId: 'ccr_2',
  userId: 'usr_1',
  keyId: 'key_1',
  bootId: 'boot_1',
  accountId: null,
  model: 'claude-sonnet-4-6',
  stream: false,
  amountMicro: 5_000,
  state: 'open',
  openedAtMs: Date.UTC(2026, 10, 22),
  phase: 'sent',
  progress: null,
}

/** The fields of the user's guide, which programs already read, in its order. */
const FIRST = [
  'request_id',
  'input_tokens',
  'output_tokens',
  'cache_read_input_tokens',
  'cache_creation',
  'cost_micro',
  'model',
  'status',
  'created_at',
]

test('the fields of the guide come first and keep their names', () => {
  const view = usageView({ kind: 'usage', keyName: 'laptop', ...RECORD })
  assert.deepEqual(Object.keys(view).slice(0, FIRST.length), FIRST)
  assert.deepEqual(JSON.parse(JSON.stringify(view)), {
    request_id: 'ccr_1',
    input_tokens: 781,
    output_tokens: 921,
    cache_read_input_tokens: 0,
    cache_creation: { ephemeral_5m_input_tokens: 3, ephemeral_1h_input_tokens: 346 },
    cost_micro: 18_234,
    model: 'claude-sonnet-4-6',
    status: 'complete',
    created_at: '2026-11-22T12:04:29.910Z',
    stream: true,
    upstream_request_id: 'req_1',
    account_id: 'acct_1',
    key: 'laptop',
    http_status: 200,
    error_code: null,
    source: 'exact',
    hold_micro: 20_000,
    price_version: null,
  })
})

test('a running request is pending, with the same fields and no cost', () => {
  const pending = usageView({ kind: 'pending', keyName: 'laptop', hold: HOLD })
  const done = usageView({ kind: 'usage', keyName: 'laptop', ...RECORD })
  assert.deepEqual(Object.keys(pending), Object.keys(done))
  assert.equal(pending.status, 'pending')
  assert.equal(pending.cost_micro, null)
  assert.equal(pending.created_at, '2026-11-22T00:00:00.000Z')
})

test('the model named is the one that answered', () => {
  const record = { ...RECORD, responseModel: 'claude-haiku-4-5' }
  assert.equal(usageView({ kind: 'usage', keyName: 'k', ...record }).model, 'claude-haiku-4-5')
  const none = { ...RECORD, responseModel: null }
  assert.equal(usageView({ kind: 'usage', keyName: 'k', ...none }).model, 'claude-sonnet-4-6')
})
