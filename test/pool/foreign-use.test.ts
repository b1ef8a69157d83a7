import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ForeignUseWatch } from '../../src/pool/foreign-use.ts'

const LIMIT = 50

/** An upstream bucket that somebody else may take from, and our watch over it. */
function scene() {
  const watch = new ForeignUseWatch()
  let remaining = LIMIT
  let nowMs = 0
  return {
    others(requests: number) {
      remaining = Math.max(0, remaining - requests)
    },
    refill() {
      remaining = LIMIT
    },
    wait(ms: number) {
      nowMs += ms
    },
    /** One request of ours and what the watch makes of its answer. */
    request() {
      watch.sent('org', nowMs)
      const sentMs = nowMs
      remaining = Math.max(0, remaining - 1)
      nowMs += 1_000
      return watch.observed('org', { limit: LIMIT, remaining, sentMs, accountId: 'a' }, nowMs)
    },
  }
}

test('use elsewhere is told at its third fall, once', () => {
  const upstream = scene()
  upstream.request()
  const told = [1, 2, 3, 4].map(() => {
    upstream.others(8)
    return upstream.request()
  })
  assert.deepEqual(told.slice(0, 2), [null, null])
  assert.equal(told[2]?.limit, LIMIT)
  assert.ok((told[2]?.requests ?? 0) >= 7)
  assert.equal(told[3], null)
  upstream.wait(2 * 3_600_000)
  upstream.refill()
  upstream.request()
  const again = [1, 2, 3].map(() => {
    upstream.others(8)
    return upstream.request()
  })
  assert.notEqual(again[2], null)
})

test('our own requests, refills and long silences are never told, however many and in whatever order', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('request', 'burst', 'refill', 'wait'), { maxLength: 200 }),
      (acts) => {
        const watch = new ForeignUseWatch()
        let remaining = LIMIT
        let nowMs = 0
        for (const act of acts) {
          nowMs += 100
          if (act === 'refill') remaining = LIMIT
          else if (act === 'wait') nowMs += 90_000
          else {
            const answers = Array.from({ length: act === 'burst' ? 20 : 1 }, () => {
              watch.sent('org', nowMs)
              remaining = Math.max(0, remaining - 1)
              return { limit: LIMIT, remaining, sentMs: nowMs, accountId: 'a' }
            })
            // The answers of a burst arrive in another order than they left.
            for (const answer of answers.reverse()) {
              nowMs += 10
              assert.equal(watch.observed('org', answer, nowMs), null)
            }
          }
        }
      },
    ),
  )
})

test('accounts of one organisation that are told limits of their own are not held against each other', () => {
  const watch = new ForeignUseWatch()
  for (let i = 0; i < 20; i++) {
    const accountId = i % 2 === 0 ? 'a' : 'b'
    const remaining = accountId === 'a' ? 45 : 5
    watch.sent('org', i * 100)
    const told = { limit: LIMIT, remaining, sentMs: i * 100, accountId }
    assert.equal(watch.observed('org', told, i * 100 + 50), null)
  }
})

test('our own requests explain a fall whichever account of the organisation sent them', () => {
  const watch = new ForeignUseWatch()
  let remaining = 1_000
  for (let i = 0; i < 30; i++) {
    for (let k = 0; k < 20; k++) watch.sent('org', i * 100 + k)
    remaining -= 20
    const told = { limit: 60, remaining, sentMs: i * 100 + 19, accountId: i % 3 === 0 ? 'a' : 'b' }
    assert.equal(watch.observed('org', told, i * 100 + 90), null)
  }
})
