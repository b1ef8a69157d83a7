import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  lowBalances,
  recentSinceMs,
  runsOutAt,
  runsOutIn,
  type Spender,
} from '../../src/core/runs-out.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const NOW = Date.UTC(2026, 10, 22, 12, 0, 0)
const someone: Spender = {
  name: 'alice',
  state: 'active',
  lowBalanceMicro: null,
  createdAtMs: NOW - 365 * DAY_MS,
  balanceMicro: 3_000_000,
  spent30dMicro: 0,
  spentRecentMicro: 0,
}

test('the faster pace counts, that of the month or that of the last hour', () => {
  assert.equal(runsOutIn(someone, NOW), '–')
  assert.equal(runsOutIn({ ...someone, balanceMicro: 0, spent30dMicro: 1 }, NOW), 'empty')
  const steady = { ...someone, spent30dMicro: 30_000_000 }
  assert.equal(runsOutIn(steady, NOW), '~3 d')
  assert.equal(runsOutIn({ ...steady, spentRecentMicro: 1_000 }, NOW), '~3 d')
  assert.equal(runsOutIn({ ...steady, spentRecentMicro: 6_000_000 }, NOW), '~30 min')
  // Ten minutes old: what was spent was spent in these.
  const young = { ...someone, createdAtMs: NOW - 600_000, spentRecentMicro: 6_000_000 }
  assert.equal(runsOutIn({ ...young, spent30dMicro: 6_000_000 }, NOW), '~5 min')
})

test('the last hour begins on a quarter, 60 to 75 minutes ago', () => {
  fc.assert(
    fc.property(fc.integer({ min: NOW - DAY_MS, max: NOW }), (nowMs) => {
      const agoMs = nowMs - recentSinceMs(nowMs)
      assert.ok(agoMs >= HOUR_MS && agoMs < 1.25 * HOUR_MS)
      assert.equal(recentSinceMs(nowMs) % 900_000, 0)
    }),
  )
})

test('who spends more runs out no later', () => {
  const amount = fc.integer({ min: 1, max: 1e12 })
  fc.assert(
    fc.property(amount, amount, amount, (balanceMicro, spent30dMicro, more) => {
      const before = runsOutAt({ ...someone, balanceMicro, spent30dMicro }, NOW) ?? Infinity
      const spentRecentMicro = more
      const after =
        runsOutAt({ ...someone, balanceMicro, spent30dMicro, spentRecentMicro }, NOW) ?? Infinity
      assert.ok(after <= before && after >= NOW)
    }),
  )
})

test('who has little left is named with the amount, who is in debt with what is owed', () => {
  const told = (balanceMicro: number) =>
    lowBalances([{ ...someone, balanceMicro, spent30dMicro: 1 }], {
      nowMs: NOW,
      noticeMicro: 5_000_000,
    }).map(({ message }) => message)
  const { name } = someone
  assert.deepEqual(told(5_000_000), [])
  assert.deepEqual(told(0), [`${name} has $0.00 left`])
  assert.deepEqual(told(-110_619), [`${name} owes $0.12`])
})
