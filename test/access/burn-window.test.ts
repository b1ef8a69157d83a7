import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BurnWindow } from '../../src/access/burn-window.ts'

/** One request that costs this and is over at once. */
function spend(window: BurnWindow, costMicro: number, nowMs: number): void {
  window.begin(0, nowMs).end(costMicro, nowMs)
}

test('what was spent counts for a minute, and no longer', () => {
  const window = new BurnWindow()
  spend(window, 500, 10_000)
  spend(window, 300, 40_000)
  assert.equal(window.totalMicro(69_000), 800)
  assert.equal(window.totalMicro(70_000), 300)
  assert.equal(window.totalMicro(99_999), 300)
  assert.equal(window.totalMicro(100_000), 0)
})

test('a key that has spent its limit rests until the seconds that did it are a minute ago', () => {
  const window = new BurnWindow()
  spend(window, 600, 5_000)
  spend(window, 600, 30_000)
  assert.deepEqual(window.check(1_000, 31_000), { waitMs: 34_000, isNew: true })
  assert.deepEqual(window.check(1_000, 35_000), { waitMs: 30_000, isNew: false })
  assert.equal(window.check(1_000, 65_000), null)
  spend(window, 1_000, 66_000)
  assert.equal(window.check(1_000, 66_000)?.isNew, true, 'another rest is told again')
})

test('a long answer counts in the seconds in which it was written', () => {
  const window = new BurnWindow()
  const stream = window.begin(0, 0)
  for (let s = 1; s <= 600; s++) stream.spent(s * 100, s * 1_000)
  stream.end(60_000, 600_000)
  assert.ok(window.totalMicro(600_000) <= 6_100, `${window.totalMicro(600_000)}`)
  // One that tells nothing until its end is taken for even.
  const whole = new BurnWindow()
  whole.begin(0, 0).end(60_000, 600_000)
  assert.ok(whole.totalMicro(600_000) <= 6_100)
})

test('running requests count with what this key’s requests usually cost, before there is one with all they may', () => {
  const window = new BurnWindow()
  const first = window.begin(10_000, 0)
  assert.equal(window.totalMicro(0), 10_000)
  first.end(100, 0)
  const second = window.begin(10_000, 1_000)
  assert.equal(window.totalMicro(1_000), 200)
  second.spent(150, 2_000)
  assert.equal(window.totalMicro(2_000), 250, 'what is known is not expected any more')
  second.end(150, 3_000)
  second.end(9_999, 3_000)
  assert.equal(window.totalMicro(3_000), 250)
})

test('over any history the total is the sum of the last minute, give or take a second', () => {
  const events = fc.array(fc.record({ afterMs: fc.nat(30_000), costMicro: fc.nat(1_000_000) }), {
    maxLength: 60,
  })
  fc.assert(
    fc.property(events, fc.nat(90_000), (list, laterMs) => {
      const window = new BurnWindow()
      const spent: [number, number][] = []
      let nowMs = 1_000_000
      for (const { afterMs, costMicro } of list) {
        nowMs += afterMs
        spend(window, costMicro, nowMs)
        spent.push([nowMs, costMicro])
      }
      nowMs += laterMs
      const since = (ms: number) =>
        spent.reduce((sum, [at, micro]) => (at > nowMs - ms ? sum + micro : sum), 0)
      const total = window.totalMicro(nowMs)
      assert.ok(total >= since(59_000) && total <= since(60_000))
    }),
  )
})
