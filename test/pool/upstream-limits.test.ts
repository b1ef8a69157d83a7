import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { UpstreamLimits } from '../../src/pool/upstream-limits.ts'

const T0 = 5_000_000

test('nothing is limited until an answer has told; then requests count before they are sent', () => {
  const limits = new UpstreamLimits()
  limits.reserve('org sonnet', 1_000, T0).giveBack()
  assert.equal(limits.share('org sonnet', T0), null)
  assert.equal(limits.waitMs('org sonnet', T0), 0)
  limits.told('org sonnet', { requests: { limit: 60, remaining: 2 } }, T0)
  limits.reserve('org sonnet', 0, T0)
  assert.equal(limits.waitMs('org sonnet', T0), 0)
  limits.reserve('org sonnet', 0, T0)
  assert.equal(limits.waitMs('org sonnet', T0), 1_000, 'one comes back each second')
  assert.equal(limits.waitMs('org sonnet', T0 + 1_000), 0)
  assert.equal(limits.waitMs('org opus', T0), 0, 'a class of its own')
})

test('input is set aside as foretold and corrected when the answer begins', () => {
  const limits = new UpstreamLimits()
  limits.told('g', { input: { limit: 10_000, remaining: 10_000 } }, T0)
  const first = limits.reserve('g', 8_000, T0)
  assert.ok(Math.abs((limits.share('g', T0) ?? 0) - 0.2) < 1e-9)
  first.began(1_000)
  first.giveBack()
  assert.ok(Math.abs((limits.share('g', T0) ?? 0) - 0.9) < 1e-9, 'the rest was read from the cache')
  const second = limits.reserve('g', 20_000, T0)
  assert.ok(limits.waitMs('g', T0) > 0)
  second.giveBack()
  assert.equal(limits.waitMs('g', T0), 0)
})

test('a figure that is higher than ours counts only when nothing of ours is on its way', () => {
  const limits = new UpstreamLimits()
  limits.told('g', { requests: { limit: 100, remaining: 10 } }, T0)
  const one = limits.reserve('g', 0, T0)
  limits.told('g', { requests: { limit: 100, remaining: 50 } }, T0)
  assert.equal(limits.share('g', T0), 0.09)
  one.began(0)
  limits.told('g', { requests: { limit: 100, remaining: 50 } }, T0)
  assert.equal(limits.share('g', T0), 0.5)
})

test('answers of a burst tell out of order: only one that was alone may say that more is left', () => {
  const limits = new UpstreamLimits()
  const told = (remaining: number, atMs = T0) =>
    limits.told('g', { requests: { limit: 20, remaining } }, atMs)
  told(20)
  const burst = Array.from({ length: 18 }, () => limits.reserve('g', 0, T0))
  for (const one of burst) one.began(0)
  told(2)
  told(15)
  assert.equal(limits.share('g', T0), 0.1)
  const alone = limits.reserve('g', 0, T0)
  alone.began(0)
  told(12)
  assert.equal(limits.share('g', T0), 0.6)
})

test('whatever is told and sent, shares are shares, waits end within a minute, and it all comes back', () => {
  const figure = fc.record({
    limit: fc.integer({ min: 1, max: 10_000 }),
    remaining: fc.integer({ min: 0, max: 20_000 }),
  })
  const step = fc.record({
    afterMs: fc.integer({ min: 0, max: 5_000 }),
    told: fc.option(
      fc.record({ requests: figure, input: figure, tokens: figure }, { requiredKeys: [] }),
    ),
    sends: fc.array(fc.integer({ min: 0, max: 50_000 }), { maxLength: 4 }),
    ends: fc.constantFrom('began', 'giveBack', 'none'),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const limits = new UpstreamLimits()
      let nowMs = T0
      for (const { afterMs, told, sends, ends } of steps) {
        nowMs += afterMs
        if (told !== null) limits.told('g', told, nowMs)
        for (const tokens of sends) {
          const one = limits.reserve('g', tokens, nowMs)
          if (ends === 'began') one.began(Math.floor(tokens / 2))
          if (ends === 'giveBack') one.giveBack()
        }
        const share = limits.share('g', nowMs)
        assert.ok(share === null || (share >= 0 && share <= 1), `${share}`)
        const waitMs = limits.waitMs('g', nowMs)
        assert.ok(waitMs >= 0 && waitMs <= 60_000, `${waitMs}`)
      }
    }),
    { numRuns: 200 },
  )
})

test('a bucket that is served as fast as it says is never overdrawn by more than one request', () => {
  const limits = new UpstreamLimits()
  const rate = 30 / 60_000
  let upstream = 30
  let nowMs = T0
  limits.told('g', { requests: { limit: 30, remaining: 30 } }, nowMs)
  let refused = 0
  for (let i = 0; i < 5_000; i++) {
    nowMs += 100
    upstream = Math.min(30, upstream + 100 * rate)
    if (limits.waitMs('g', nowMs) > 0) continue
    const one = limits.reserve('g', 0, nowMs)
    upstream--
    if (upstream < -1e-6) refused++
    one.began(0)
    limits.told(
      'g',
      { requests: { limit: 30, remaining: Math.max(0, Math.floor(upstream)) } },
      nowMs,
    )
  }
  assert.equal(refused, 0)
})

test('a Priority Tier that is used up is a reason to steer away, and none to wait', () => {
  const limits = new UpstreamLimits()
  limits.told('g', { priority_input: { limit: 1_000, remaining: 0 } }, T0)
  assert.deepEqual([limits.waitMs('g', T0), limits.share('g', T0)], [0, 0])
})
