import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  admit,
  availableMicro,
  chargeIdOf,
  credit,
  fitsLimit,
  forfeit,
  recover,
  refund,
  resize,
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
  markup: [6, 5],
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

test('recovery prices exactly the numbers of the row, at the time and mark-up of admission', () => {
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
      price(usage, { openedAtMs, markup }) {
        assert.deepEqual([openedAtMs, markup], [hold.openedAtMs, hold.markup])
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

test('a hold grows only where all of it fits, and shrinks always', () => {
  fc.assert(
    fc.property(balance, micro, fc.integer({ min: -20, max: 20 }), (before, holdMicro, by) => {
      const held = { ...before, heldMicro: before.heldMicro + holdMicro }
      // Around the two edges: all of the hold given back, all that is available taken.
      const edgeMicro = by % 2 === 0 ? 0 - holdMicro : availableMicro(held)
      const deltaMicro = Math.max(edgeMicro + by, 0 - holdMicro)
      const result = resize(held, { holdMicro, deltaMicro })
      const fits = deltaMicro <= 0 || deltaMicro <= availableMicro(held)
      assert.equal(result.kind, fits ? 'resized' : 'insufficient_credit')
      if (result.kind !== 'resized') return
      assert.equal(result.holdMicro, holdMicro + deltaMicro)
      assert.deepEqual(result.after, { ...held, heldMicro: held.heldMicro + deltaMicro })
    }),
  )
})

test('a hold cannot give back more than it is', () => {
  const before = { balanceMicro: 100, heldMicro: 50 }
  assert.throws(() => resize(before, { holdMicro: 10, deltaMicro: -11 }), {
    name: 'InvariantError',
  })
})

test('a key spends and holds at most its limit', () => {
  const spending = { spentMicro: 70, heldMicro: 20 }
  assert.equal(fitsLimit(spending, 100, 10), true)
  assert.equal(fitsLimit(spending, 100, 11), false)
  // Costs may exceed their holds, and a limit may be lowered: then nothing fits.
  assert.equal(fitsLimit(spending, 80, 0), false)
})

test('refunds of a charge give back at most the charge, however they are cut', () => {
  const cuts = fc.array(fc.integer({ min: -5, max: 60 }), { maxLength: 12 })
  fc.assert(
    fc.property(balance, fc.nat(100), cuts, (before, chargeMicro, amounts) => {
      let [wallet, refundedMicro] = [before, 0]
      for (const amountMicro of amounts) {
        const result = refund(wallet, { amountMicro, chargeMicro, refundedMicro })
        const leftMicro = chargeMicro - refundedMicro
        if (result.kind === 'too_much') assert.ok(leftMicro === 0 || amountMicro > leftMicro)
        if (result.kind === 'out_of_range') assert.ok(amountMicro <= 0)
        if (result.kind !== 'added') continue
        refundedMicro += amountMicro
        wallet = result.after
      }
      assert.ok(refundedMicro <= chargeMicro)
      assert.equal(wallet.balanceMicro, before.balanceMicro + refundedMicro)
      assert.equal(wallet.heldMicro, before.heldMicro)
    }),
  )
})

test('a refund stays within what can be stored', () => {
  const full = { balanceMicro: MAX, heldMicro: 0 }
  const amounts = { chargeMicro: 10, refundedMicro: 0 }
  assert.equal(refund(full, { ...amounts, amountMicro: 1 }).kind, 'out_of_range')
  assert.equal(
    refund({ ...full, balanceMicro: 0 }, { ...amounts, amountMicro: 0.5 }).kind,
    'out_of_range',
  )
})

test('a forfeited balance is zero, whichever side it was on', () => {
  for (const balanceMicro of [-7, 0, 12]) {
    const { amountMicro, after } = forfeit({ balanceMicro, heldMicro: 0 })
    assert.deepEqual(after, { balanceMicro: 0, heldMicro: 0 })
    assert.equal(amountMicro + balanceMicro, 0)
  }
  assert.throws(() => forfeit({ balanceMicro: 5, heldMicro: 1 }), { name: 'InvariantError' })
})
