import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Call } from '../../src/gateway/exchange.ts'
import { ThinHolds } from '../../src/gateway/thin-holds.ts'

function callOf(userId: string, requestId: string): Call {
  // The places ask nothing else of a call.
  return { requestId, live: { key: { userId } } } as unknown as Call
}

test('only the request that has the place of its wallet gives it back', () => {
  const places = new ThinHolds()
  const [first, second] = [callOf('usr_a', 'ccr_1'), callOf('usr_a', 'ccr_2')]
  assert.equal(places.take(first), true)
  assert.deepEqual([places.isFree(second), places.take(second)], [false, false])
  // Whatever else of the wallet ends in between.
  places.release(second)
  assert.equal(places.take(second), false)
  places.release(first)
  assert.deepEqual([places.isFree(second), places.take(second)], [true, true])
  places.release(first)
  assert.equal(places.isFree(first), false)
})

test('every wallet has a place of its own', () => {
  const places = new ThinHolds()
  assert.equal(places.take(callOf('usr_a', 'ccr_1')), true)
  assert.equal(places.take(callOf('usr_b', 'ccr_2')), true)
})
