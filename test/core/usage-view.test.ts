import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { rebuildCost } from '../../src/billing/cost.ts'
import type { Hold, UsageRecord } from '../../src/core/model.ts'
import type { Receipt, ReceiptLine } from '../../src/core/usage.ts'
import { usageView } from '../../src/core/usage-view.ts'
import { printedCostMicro } from '../support/printed-cost.ts'

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
  holdSteps: [],
  onDisconnect: null,
  joinedRequestId: null,
  trail: [],
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
const NAMES = { kind: 'usage', keyName: 'laptop', balanceAfterMicro: 81_766, refunds: [] } as const

const HOLD: Hold = {
  requestId: 'ccr_2',
  userId: 'usr_1',
  keyId: 'key_1',
  bootId: 'boot_1',
  accountId: null,
  model: 'claude-sonnet-4-6',
  stream: false,
  amountMicro: 5_000,
  markup: [1, 1],
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

const RATES = {
  input: 3_000_000,
  output: 15_000_000,
  cacheRead: 300_000,
  cacheWrite5m: 3_750_000,
  cacheWrite1h: 6_000_000,
}

/** As a program reads it. */
function printed(record: Partial<UsageRecord>, more: object = {}) {
  const view = usageView({ ...NAMES, ...RECORD, ...record, ...more })
  return JSON.parse(JSON.stringify(view)) as ReturnType<typeof usageView>
}

test('the fields of the guide come first and keep their names', () => {
  const view = printed({})
  assert.deepEqual(Object.keys(view).slice(0, FIRST.length), FIRST)
  assert.deepEqual(view, {
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
    requested_model: 'claude-sonnet-4-6',
    web_search_requests: 0,
    receipt: null,
    hold_steps: [],
    balance_after_micro: 81_766,
    refunded_micro: 0,
    refunds: [],
    on_disconnect: null,
    joined_request_id: null,
  })
})

test('a running request is pending, with the same fields and no cost', () => {
  const pending = usageView({ kind: 'pending', keyName: 'laptop', hold: HOLD })
  assert.deepEqual(Object.keys(pending), Object.keys(printed({})))
  assert.equal(pending.status, 'pending')
  assert.equal(pending.cost_micro, null)
  assert.equal(pending.created_at, '2026-11-22T00:00:00.000Z')
})

test('the model named is the one that answered', () => {
  assert.equal(printed({ responseModel: 'claude-haiku-4-5' }).model, 'claude-haiku-4-5')
  assert.equal(printed({ responseModel: null }).model, 'claude-sonnet-4-6')
})

test('hold, disconnect, join and refunds are told as they were', () => {
  const view = printed(
    {
      holdSteps: [
        { kind: 'opened', amountMicro: 9_000, afterMs: 3, thinRiskMicro: 400_000 },
        { kind: 'extended', amountMicro: 20_000, afterMs: 900 },
      ],
      onDisconnect: 'finish_up_to',
      joinedRequestId: 'ccr_0',
    },
    {
      refunds: [
        { id: 'led_1', amountMicro: 8_000, note: 'sorry, said ann', createdAtMs: 0 },
        { id: 'led_2', amountMicro: 234, note: null, createdAtMs: 1 },
      ],
    },
  )
  assert.deepEqual(view.hold_steps, [
    { kind: 'opened', amount_micro: 9_000, after_ms: 3, thin_risk_micro: 400_000 },
    { kind: 'extended', amount_micro: 20_000, after_ms: 900, thin_risk_micro: null },
  ])
  assert.equal(view.refunded_micro, 8_234)
  assert.equal(view.on_disconnect, 'finish_up_to')
  assert.equal(view.joined_request_id, 'ccr_0')
  assert.ok(!JSON.stringify(view).includes('sorry'), "the operator's note is not the customer's")
})

test("customers see no attempts, no name of an account and nothing of the operator's cost", () => {
  const view = JSON.stringify(
    printed(
      {
        attempts: [
          {
            accountId: 'acct_9',
            outcome: 'throttled',
            httpStatus: 429,
            durationMs: 4,
            upstreamRequestId: 'req_9',
            listCostMicro: 77_777,
          },
        ],
        receipt: { ...receiptOf([]), listCostMicro: 77_777 },
      },
      { accountName: 'main', accountNames: { acct_9: 'spare' } },
    ),
  )
  for (const secret of ['acct_9', 'req_9', '77777', 'spare', 'main', 'list_cost'])
    assert.ok(!view.includes(secret), secret)
})

function receiptOf(lines: readonly ReceiptLine[], more: Partial<Receipt> = {}): Receipt {
  const receipt = {
    priceVersion: '2026-11-22+4',
    lines,
    ratio: [1, 1] as const,
    webSearchRequests: 0,
    feesMicro: 0,
    ...more,
  }
  return { ...receipt, costMicro: rebuildCost(receipt) }
}

test('a worked receipt: marked up, in a region, one attempt free', () => {
  const tokens = { input: 7_904, output: 377, cacheRead: 1_001, cacheWrite5m: 0, cacheWrite1h: 0 }
  const line = { model: 'claude-sonnet-4-6', tier: 'standard', tokens, rates: RATES } as const
  const receipt = receiptOf(
    [
      { ...line, note: null },
      { ...line, note: 'declined_before_output' },
      { ...line, note: null, ratio: [1, 1] },
    ],
    { ratio: [11, 10], feesMicro: 10_000, markup: [6, 5] },
  )
  const view = printed({ receipt, costMicro: receipt.costMicro })
  assert.deepEqual(
    view.receipt?.lines.map(({ ratio, note }) => [ratio, note]),
    [
      [[11, 10], null],
      [[0, 1], 'declined_before_output'],
      [[1, 1], null],
    ],
  )
  assert.deepEqual(view.receipt?.markup, [6, 5])
  assert.equal(view.price_version, '2026-11-22+4')
  // (0.0296673 x 2.1 + 0.01) x 1.2 = 0.086761596 dollars.
  assert.equal(view.cost_micro, 86_762)
  assert.equal(printedCostMicro(view), 86_762n)
})

test('the printed figures alone give the cost, to the micro-dollar', () => {
  const count = fc.oneof(fc.constant(0), fc.nat(300), fc.nat(100_000_000))
  const classes = <T>(of: fc.Arbitrary<T>) =>
    fc.record({ input: of, output: of, cacheRead: of, cacheWrite5m: of, cacheWrite1h: of })
  const ratio = fc.constantFrom<readonly [number, number]>([1, 1], [11, 10], [1, 2], [11, 20])
  const line = fc.record(
    {
      model: fc.constantFrom('claude-sonnet-4-6', 'claude-opus-5', '\u2028"x'),
      tier: fc.constantFrom('standard', 'fast', 'long_prompt'),
      tokens: classes(count),
      rates: classes(fc.nat(50_000_000)),
      note: fc.constantFrom(null, null, 'declined_before_output', 'model_unknown_dearest_price'),
      ratio,
    },
    { requiredKeys: ['model', 'tier', 'tokens', 'rates', 'note'] },
  ) as fc.Arbitrary<ReceiptLine>
  const part = fc.integer({ min: 1, max: 10_000 })
  fc.assert(
    fc.property(
      fc.array(line, { maxLength: 5 }),
      ratio,
      fc.constantFrom(0, 10_000, 30_000),
      fc.option(fc.tuple(part, part), { nil: undefined }),
      (lines, whole, feesMicro, markup) => {
        const receipt = receiptOf(lines, { ratio: whole, feesMicro, ...(markup && { markup }) })
        const view = printed({ receipt, costMicro: receipt.costMicro })
        assert.equal(printedCostMicro(view), BigInt(view.cost_micro ?? -1))
      },
    ),
    { numRuns: 2_000 },
  )
})
