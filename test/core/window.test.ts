import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RateWindow } from '../../src/core/window.ts'

/** Moves in ms between tries, tiny and large mixed, and whether the try wants several at once. */
const schedule = fc.array(
  fc.record({
    afterMs: fc.oneof(
      fc.constant(0),
      fc.double({ min: 0, max: 50, noNaN: true }),
      fc.integer({ min: 0, max: 90_000 }),
    ),
    tries: fc.integer({ min: 1, max: 12 }),
  }),
  { maxLength: 60 },
)
const anyLimit = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 21, max: 100_000 }))
/** Up to four months of uptime: the larger the clock, the coarser its fractions. */
const anyStart = fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1e10, noNaN: true }))

test('never more than the limit plus what refills in it pass in any window', () => {
  fc.assert(
    fc.property(anyLimit, anyStart, schedule, (limit, startMs, moves) => {
      const window = new RateWindow()
      const taken: number[] = []
      let nowMs = startMs
      for (const { afterMs, tries } of moves) {
        nowMs += afterMs
        for (let i = 0; i < tries; i++) {
          if (window.waitMs(limit, nowMs) !== 0) break
          window.take(limit, nowMs)
          taken.push(nowMs)
        }
      }
      for (let from = 0; from < taken.length; from++) {
        for (let to = from; to < taken.length; to++) {
          const refill = ((taken[to] - taken[from]) * limit) / 60_000
          assert.ok(to - from + 1 <= limit + refill + 0.01, `${to - from + 1} in one window`)
        }
      }
    }),
    { numRuns: 300 },
  )
})

test('a rested key gets its whole burst at one instant, and not one more', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 10_000 }), anyStart, (limit, startMs) => {
      const window = new RateWindow()
      for (let i = 0; i < limit; i++) {
        assert.equal(window.waitMs(limit, startMs), 0, `request ${i + 1} of ${limit}`)
        window.take(limit, startMs)
      }
      const waitMs = window.waitMs(limit, startMs)
      assert.ok(waitMs > 0 && waitMs <= 60_000 / limit + 1, `wait ${waitMs}`)
    }),
    { numRuns: 100 },
  )
})

test('whoever waits exactly as long as told may pass', () => {
  fc.assert(
    fc.property(anyLimit, anyStart, schedule, (limit, startMs, moves) => {
      const window = new RateWindow()
      let nowMs = startMs
      for (const { afterMs } of moves) {
        nowMs += afterMs
        const waitMs = window.waitMs(limit, nowMs)
        assert.ok(waitMs >= 0 && waitMs <= 60_000 + 1e-3)
        nowMs += waitMs
        assert.equal(window.waitMs(limit, nowMs), 0)
        window.take(limit, nowMs)
      }
    }),
    { numRuns: 200 },
  )
})

test('what remains and what may pass never contradict each other', () => {
  fc.assert(
    fc.property(anyLimit, anyStart, schedule, (limit, startMs, moves) => {
      const window = new RateWindow()
      let nowMs = startMs
      for (const { afterMs, tries } of moves) {
        nowMs += afterMs
        for (let i = 0; i < tries; i++) {
          const remaining = window.remaining(limit, nowMs)
          assert.ok(Number.isInteger(remaining) && remaining >= 0 && remaining <= limit)
          assert.equal(remaining > 0, window.waitMs(limit, nowMs) === 0)
          if (remaining > 0) window.take(limit, nowMs)
        }
        const resetMs = window.resetMs(nowMs)
        assert.ok(resetMs >= 0 && resetMs <= 60_000 + 1)
        assert.equal(window.remaining(limit, nowMs + resetMs), limit)
      }
    }),
    { numRuns: 200 },
  )
})

test('a request that is given back at once leaves no trace', () => {
  fc.assert(
    fc.property(anyLimit, anyStart, schedule, (limit, startMs, moves) => {
      const plain = new RateWindow()
      const giving = new RateWindow()
      let nowMs = startMs
      for (const { afterMs, tries } of moves) {
        nowMs += afterMs
        for (let i = 0; i < tries; i++) {
          if (plain.waitMs(limit, nowMs) !== 0) break
          giving.take(limit, nowMs)
          giving.giveBack(limit)
          plain.take(limit, nowMs)
          giving.take(limit, nowMs)
        }
        assert.equal(giving.remaining(limit, nowMs), plain.remaining(limit, nowMs))
      }
    }),
    { numRuns: 100 },
  )
})

test('what is given back late never makes a burst larger than the limit', () => {
  const window = new RateWindow()
  for (let i = 0; i < 5; i++) window.take(60, 0)
  for (let i = 0; i < 5; i++) window.giveBack(60)
  assert.equal(window.remaining(60, 0), 60)
  window.take(60, 0)
  // An hour later its cost has long been refilled.
  window.giveBack(60)
  assert.equal(window.remaining(60, 3_600_000), 60)
})

test('sixty per minute: sixty at once, then one each second', () => {
  const window = new RateWindow()
  for (let i = 0; i < 60; i++) window.take(60, 5_000)
  assert.equal(window.remaining(60, 5_000), 0)
  assert.equal(window.waitMs(60, 5_000), 1_000)
  assert.equal(window.waitMs(60, 5_999), 1)
  assert.equal(window.waitMs(60, 6_000), 0)
  assert.equal(window.resetMs(5_000), 60_000)
  assert.equal(window.remaining(60, 35_000), 30)
})

test('a changed limit is in force at once: what was used stays used', () => {
  const window = new RateWindow()
  window.take(1, 0)
  assert.equal(window.waitMs(1, 0), 60_000)
  assert.equal(window.waitMs(1_000, 0), 0)
  assert.equal(window.remaining(1_000, 0), 999)
  for (let i = 0; i < 500; i++) window.take(1_000, 0)
  assert.equal(window.remaining(1_000, 0), 499)
  // Lowered below what was used, it is as if all of the new limit were: one comes back each six seconds.
  assert.equal(window.remaining(10, 0), 0)
  assert.equal(window.waitMs(10, 0), 6_000)
})
