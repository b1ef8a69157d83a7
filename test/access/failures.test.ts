import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FailureCounter } from '../../src/access/failures.ts'

const T0 = Date.UTC(2026, 10, 22)

/** Fails as often as it may at one instant. */
function failUntilRefused(counter: FailureCounter, address: string, nowMs: number): number {
  let count = 0
  while (counter.waitMs(address, nowMs) === 0 && count < 1_000) {
    counter.note(address, nowMs)
    count++
  }
  return count
}

test('an address may fail twenty times a minute, and then once every three seconds', () => {
  const counter = new FailureCounter()
  assert.equal(failUntilRefused(counter, '203.0.113.7', T0), 20)
  assert.equal(counter.waitMs('203.0.113.7', T0), 3_000)
  assert.equal(failUntilRefused(counter, '203.0.113.7', T0 + 2_999), 0)
  assert.equal(failUntilRefused(counter, '203.0.113.7', T0 + 3_000), 1)
  assert.equal(failUntilRefused(counter, '203.0.113.7', T0 + 63_000), 20)
})

test('over any schedule no minute holds more than its share', () => {
  const steps = fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 60 })
  fc.assert(
    fc.property(steps, (gaps) => {
      const counter = new FailureCounter()
      const failed: number[] = []
      let nowMs = T0
      for (const gap of gaps) {
        nowMs += gap
        const count = failUntilRefused(counter, '192.0.2.1', nowMs)
        for (let i = 0; i < count; i++) failed.push(nowMs)
      }
      for (let from = 0; from < failed.length; from++) {
        const to = failed.findLastIndex((atMs) => atMs < failed[from] + 60_000)
        assert.ok(to - from + 1 <= 40, 'twenty, and what refills in the same minute')
      }
    }),
  )
})

test('one address does not spend what another may', () => {
  const counter = new FailureCounter()
  failUntilRefused(counter, '203.0.113.7', T0)
  assert.equal(counter.waitMs('203.0.113.8', T0), 0)
})

test('all addresses of one IPv6 /64 count as one, however they are spelled', () => {
  const same = [
    '2001:db8:1:2::1',
    '2001:db8:1:2:ffff:ffff:ffff:ffff',
    '2001:0db8:0001:0002::5',
    '2001:DB8:1:2:3:4:5:6',
  ]
  for (const [i, first] of same.entries()) {
    const counter = new FailureCounter()
    failUntilRefused(counter, first, T0)
    for (const other of same) assert.ok(counter.waitMs(other, T0) > 0, `${first} and ${other}`)
    assert.equal(counter.waitMs('2001:db8:1:3::1', T0), 0, String(i))
    assert.equal(counter.waitMs('2001:db8::1', T0), 0)
  }
})

test('an IPv4 address inside an IPv6 one is that IPv4 address', () => {
  const counter = new FailureCounter()
  failUntilRefused(counter, '203.0.113.7', T0)
  assert.ok(counter.waitMs('::ffff:203.0.113.7', T0) > 0)
  assert.equal(counter.waitMs('::ffff:203.0.113.8', T0), 0)
})

test('memory is bounded: the oldest of very many addresses is forgotten', () => {
  const counter = new FailureCounter()
  failUntilRefused(counter, '198.51.100.1', T0)
  for (let i = 0; i < 10_000; i++) counter.note(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, T0)
  assert.equal(counter.waitMs('198.51.100.1', T0), 0)
})

test('a wall clock that was set back locks nobody out for hours', () => {
  const counter = new FailureCounter()
  failUntilRefused(counter, '203.0.113.7', T0)
  assert.ok(counter.waitMs('203.0.113.7', T0 - 7_200_000) <= 60_000)
})
