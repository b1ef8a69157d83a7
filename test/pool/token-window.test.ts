import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { TokenWindow } from '../../src/pool/token-window.ts'

test('a request passes while anything is left, and what is overdrawn is refilled first', () => {
  const window = new TokenWindow()
  assert.equal(window.waitMs(6_000, 0), 0)
  window.take(5_999, 6_000, 0)
  assert.equal(window.waitMs(6_000, 0), 0)
  window.take(3_001, 6_000, 0)
  // 3,000 over, and the one token that must be there: at 100 tokens a second.
  assert.equal(window.waitMs(6_000, 0), 30_010)
  assert.equal(window.waitMs(6_000, 20_000), 10_010)
  assert.equal(window.waitMs(6_000, 30_010), 0)
})

test('tokens that were not needed come back, never more than were taken', () => {
  const window = new TokenWindow()
  window.take(10_000, 6_000, 0)
  window.take(-4_001, 6_000, 0)
  assert.equal(window.waitMs(6_000, 0), 0)
  window.take(-50_000, 6_000, 0)
  window.take(6_000, 6_000, 0)
  assert.ok(window.waitMs(6_000, 0) > 0)
})

test('whoever waits as told never takes more than a burst, the refill, and one request beyond', () => {
  const step = fc.record({ tokens: fc.integer({ min: 0, max: 9_000 }), idleMs: fc.nat(5_000) })
  const limits = fc.integer({ min: 1, max: 20_000 })
  fc.assert(
    fc.property(limits, fc.array(step, { maxLength: 60 }), (limit, steps) => {
      const window = new TokenWindow()
      let nowMs = 0
      let taken = 0
      let largest = 0
      for (const { tokens, idleMs } of steps) {
        nowMs += idleMs + window.waitMs(limit, nowMs + idleMs)
        assert.equal(window.waitMs(limit, nowMs), 0, 'a wait is long enough')
        window.take(tokens, limit, nowMs)
        taken += tokens
        largest = Math.max(largest, tokens)
        assert.ok(taken <= limit * (1 + nowMs / 60_000) + largest + 1e-6)
      }
    }),
  )
})
