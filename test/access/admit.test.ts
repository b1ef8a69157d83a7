import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { admit } from '../../src/access/admit.ts'

const anyLimit = fc.option(fc.integer({ min: 1, max: 100 }))

test('a request is admitted exactly when both limits leave room; the rate is told first', () => {
  fc.assert(
    fc.property(
      anyLimit,
      anyLimit,
      fc.integer({ min: 0, max: 200 }),
      fc.oneof(fc.constant(0), fc.double({ min: 1e-3, max: 60_000, noNaN: true })),
      (rpmLimit, concurrencyLimit, inFlight, rpmWaitMs) => {
        const admission = admit({ rpmLimit, concurrencyLimit }, { inFlight, rpmWaitMs })
        const tooFast = rpmLimit !== null && rpmWaitMs > 0
        const tooMany = concurrencyLimit !== null && inFlight >= concurrencyLimit
        if (tooFast) {
          const expected = { kind: 'rpm_exceeded', limit: rpmLimit, retryAfterMs: rpmWaitMs }
          assert.deepEqual(admission, expected)
        } else if (tooMany) {
          assert.deepEqual(admission, { kind: 'concurrency_exceeded', limit: concurrencyLimit })
        } else {
          assert.deepEqual(admission, { kind: 'admitted' })
        }
      },
    ),
  )
})

test('the last free slot is given, the one after it is not', () => {
  const key = { rpmLimit: null, concurrencyLimit: 2 }
  assert.equal(admit(key, { inFlight: 1, rpmWaitMs: 0 }).kind, 'admitted')
  assert.equal(admit(key, { inFlight: 2, rpmWaitMs: 0 }).kind, 'concurrency_exceeded')
})
