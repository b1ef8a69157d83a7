import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  admit,
  availableMicro,
  chargeIdOf,
  credit,
  recover,
  settle,
} from '../../src/billing/ledger.ts'
import type { Hold } from '../../src/core/model.ts'
import { MAX_GRANT_MICRO } from '../../src/core/money.ts'
import type { Receipt } from '../../src/core/usage.ts'

const micro = fc.integer({ min: 0, max: MAX_GRANT_MICRO })
const balance = fc.record({
  balanceMicro: fc.integer({ min: -MAX_GRANT_MICRO, max: MAX_GRANT_MICRO }),
  heldMicro: micro,
})
const MAX = Number.MAX_SAFE_INTEGER

test('a hold is admitted exactly when it is available, and then it is reserved', () => {
  fc.assert(
    fc.property(balance, micro, (before, amountMicro) => {
      const result = admit(before, amountMicro)
      assert.equal(result.kind === 'held', availableMicro(before) >= amountMicro)
      if (result.kind === 'held') {
        assert.equal(availableMicro(result.after), availableMicro(before) - amountMicro)
        assert.equal(result.after.balanceMicro, before.balanceMicro)
      }
    }),
  )
})

test('settling moves the balance by the cost and frees the hold, whichever is larger', () => {
  fc.assert(
    fc.property(balance, micro, micro, (before, holdMicro, costMicro) => {
      const held = { ...before, heldMicro: before.heldMicro + holdMicro }
      const after = settle(held, { holdMicro, costMicro })
      assert.deepEqual(after, { ...before, balanceMicro: before.balanceMicro - costMicro })
    }),
  )
})

test('a wallet never frees more than it holds', () => {
  const wallet = { balanceMicro: 10, heldMicro: 5 }
  assert.throws(() => settle(wallet, { holdMicro: 6, costMicro: 0 }), { name: 'InvariantError' })
  assert.throws(() => settle(wallet, { holdMicro: 5, costMicro: 0.5 }), { name: 'InvariantError' })
})

test('credit takes only what is available, unless going below zero is asked for', () => {
  const wallet = { balanceMicro: 10, heldMicro: 4 }
  const take = (amountMicro: number, allowNegative: boolean) =>
    credit(wallet, { type: 'adjust', amountMicro, allowNegative }).kind
  assert.equal(take(-6, false), 'added')
  assert.equal(take(-7, false), 'insufficient')
  assert.equal(take(-7, true), 'added')
})

test('credit stays within what can be stored and what one grant may be', () => {
  const wallet = { balanceMicro: MAX - 5, heldMicro: 0 }
  const grant = (amountMicro: number) =>
    credit(wallet, { type: 'grant', amountMicro, allowNegative: false }).kind
  assert.equal(grant(5), 'added')
  assert.equal(grant(6), 'out_of_range')
  assert.equal(grant(0), 'out_of_range')
  assert.equal(grant(-1), 'out_of_range')
  assert.equal(grant(1.5), 'out_of_range')
  const empty = { balanceMicro: 0, heldMicro: 0 }
  const most = { type: 'grant', amountMicro: MAX_GRANT_MICRO + 1, allowNegative: false } as const
  assert.equal(credit(empty, most).kind, 'out_of_range')
})

test('an upward adjustment of an overdrawn wallet is taken even when it stays overdrawn', () => {
  const result = credit(
    { balanceMicro: -10, heldMicro: 0 },
    { type: 'adjust', amountMicro: 3, allowNegative: false },
  )
  assert.deepEqual(result, { kind: 'added', after: { balanceMicro: -7, heldMicro: 0 } })
})

test('a charge takes its id from its request', () => {
  assert.equal(chargeIdOf('ccr_01jdq9jx7m2e8v4c6h0t5w3b9k'), 'led_01jdq9jx7m2e8v4c6h0t5w3b9k')
  assert.throws(() => chargeIdOf('usr_01jdq9jx7m2e8v4c6h0t5w3b9k'), { name: 'InvariantError' })
})

const hold: Hold = {
  requestId: 'ccr_01jdq9jx7m2e8v4c6h0t5w3b9k',
  userId: 'usr_1',
  keyId: 'key_1',
  bootId: 'boot_1',
  accountId: 'acct_1',
  model: 'claude-sonnet-4-6',
  stream: true,
  amountMicro: 5_000,
  state: 'open',
  openedAtMs: 1_000,
  phase: 'sent',
  progress: null,
}
const progress = {
  responseModel: 'claude-sonnet-4-6',
  tokens: { input: 1, output: 2, cacheRead: 3, cacheWrite5m: 4, cacheWrite1h: 5 },
  speed: 'fast',
  inferenceGeo: 'us',
  upstreamRequestId: 'req_1',
}

test('recovery bills nothing for a request that upstream may never have begun', () => {
  const price = () => assert.fail('nothing is priced')
  const decision = recover(hold, { price, nowMs: 9_000 })
  assert.equal(decision.kind, 'void')
  assert.deepEqual(
    [decision.record.costMicro, decision.record.source, decision.record.httpStatus],
    [0, 'none', 500],
  )
})

test('recovery prices exactly the numbers of the row, at the time of admission', () => {
  const receipt: Receipt = {
    priceVersion: 'v',
    lines: [],
    ratio: [1, 1],
    webSearchRequests: 0,
    feesMicro: 0,
    costMicro: 321,
  }
  const decision = recover(
    { ...hold, phase: 'started', progress },
    {
      price(usage, atMs) {
        assert.equal(atMs, hold.openedAtMs)
        assert.deepEqual(
          [usage.model, usage.tokens, usage.speed, usage.inferenceGeo],
          ['claude-sonnet-4-6', progress.tokens, 'fast', 'us'],
        )
        return receipt
      },
      nowMs: 9_000,
    },
  )
  assert.equal(decision.kind, 'settle')
  assert.deepEqual(
    [decision.record.costMicro, decision.record.source, decision.record.httpStatus],
    [321, 'recovered', 200],
  )
  assert.equal(decision.record.durationMs, 8_000)
  assert.equal(decision.record.status, 'interrupted')
})

test('a hold that is closed is not recovered again', () => {
  const closed = { ...hold, state: 'settled' } as const
  assert.throws(() => recover(closed, { price: () => assert.fail(), nowMs: 1 }), {
    name: 'InvariantError',
  })
})
