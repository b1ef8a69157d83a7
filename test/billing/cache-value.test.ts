import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cacheValueOf } from '../../src/billing/cache-value.ts'
import type { DecisionTrail, TrailCandidate } from '../../src/core/decision-trail.ts'
import { NO_TOKENS, type Receipt, type TokenCounts } from '../../src/core/usage.ts'

const RATES = {
  input: 4_000_000,
  output: 20_000_000,
  cacheRead: 200_000,
  cacheWrite5m: 5_000_000,
  cacheWrite1h: 8_000_000,
}

function receipt(tokens: Partial<TokenCounts>, more: Partial<Receipt> = {}): Receipt {
  const line = { model: 'm', tier: 'standard', rates: RATES, note: null } as const
  return {
    priceVersion: 'v',
    lines: [{ ...line, tokens: { ...NO_TOKENS, ...tokens } }],
    ratio: [1, 1],
    webSearchRequests: 0,
    feesMicro: 0,
    costMicro: 0,
    ...more,
  }
}

function candidate(
  accountId: string,
  warmTokens: number,
  state: TrailCandidate['state'] = 'ready',
): TrailCandidate {
  const rest = { waitMs: 0, inFlight: 0, loadLimit: 8, headroom: null, score: 0 }
  return { accountId, warmTokens, state, ...rest }
}

function went(accountId: string, ...candidates: TrailCandidate[]): DecisionTrail {
  return {
    because: 'balanced',
    accountId,
    bound: null,
    left: null,
    candidates,
    others: 0,
    waitedMs: 0,
  }
}

test('reads save what plain input would have cost above them, and writes cost more than it', () => {
  const tokens = { cacheRead: 100_000, cacheWrite5m: 10_000, cacheWrite1h: 1_000, output: 500 }
  const value = cacheValueOf({ receipt: receipt(tokens), trail: [], accountId: 'a' })
  assert.deepEqual(value, {
    readSavedMicro: 100_000 * 3.8,
    writeExtraMicro: 10_000 + 4_000,
    lostMicro: 0,
  })
})

test('a ratio counts as it does in the bill, and what was declined for nothing does not', () => {
  const tokens = { cacheRead: 1_000_000 }
  const us = receipt(tokens, { ratio: [11, 10] })
  assert.equal(cacheValueOf({ receipt: us, trail: [], accountId: 'a' }).readSavedMicro, 4_180_000)
  const [line] = us.lines
  const declined = receipt({}, { lines: [{ ...line, note: 'declined_before_output' }] })
  const nothing = { readSavedMicro: 0, writeExtraMicro: 0, lostMicro: 0 }
  assert.deepEqual(cacheValueOf({ receipt: declined, trail: [], accountId: 'a' }), nothing)
  assert.deepEqual(cacheValueOf({ receipt: null, trail: [], accountId: 'a' }), nothing)
})

test('lost is the prefix that another account held, as far as it was paid anew', () => {
  const lost = (tokens: Partial<TokenCounts>, ...candidates: TrailCandidate[]) =>
    cacheValueOf({ receipt: receipt(tokens), trail: [went('a', ...candidates)], accountId: 'a' })
      .lostMicro
  const written = { cacheWrite5m: 20_000 }
  assert.equal(lost(written, candidate('a', 0), candidate('b', 15_000)), 15_000 * 4.8)
  assert.equal(lost({ cacheWrite1h: 20_000 }, candidate('a', 0), candidate('b', 10_000)), 78_000)
  assert.equal(lost({ input: 20_000 }, candidate('a', 0), candidate('b', 10_000)), 38_000)
  // Also where the warm one had been tried, or rested.
  assert.equal(lost(written, candidate('a', 0), candidate('b', 15_000, 'tried')), 72_000)
  // Nothing is lost that was held here, was read all the same, or was not paid for.
  assert.equal(lost(written, candidate('a', 15_000), candidate('b', 15_000)), 0)
  assert.equal(
    lost({ ...written, cacheRead: 15_000 }, candidate('a', 0), candidate('b', 15_000)),
    0,
  )
  assert.equal(lost({ cacheWrite5m: 100 }, candidate('a', 0), candidate('b', 15_000)), 480)
  // Nor at an account that this key or model may not use.
  for (const state of ['other_tags', 'other_model', 'out_of_scope'] as const)
    assert.equal(lost(written, candidate('a', 0), candidate('b', 15_000, state)), 0)
})

test('only the choice that led to the answer counts', () => {
  const warm = [candidate('a', 0), candidate('b', 15_000)]
  const value = (accountId: string | null, trail: readonly DecisionTrail[]) =>
    cacheValueOf({ receipt: receipt({ cacheWrite5m: 20_000 }), trail, accountId }).lostMicro
  assert.equal(value('b', [went('a', ...warm), went('b', ...warm)]), 0)
  assert.equal(value('a', [went('b', ...warm), went('a', ...warm)]), 72_000)
  assert.equal(value(null, [went('a', ...warm)]), 0)
  assert.equal(value('c', [went('a', ...warm)]), 0)
})
