import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Departure, waitForBeginning } from '../../src/gateway/disconnect.ts'

const at = (nowMs: number, outputTokens = 100, isUncounted = false) => ({
  nowMs,
  outputTokens,
  isUncounted,
})

test('cancel stops at once, but waits 30 s for the true count of hidden thinking', () => {
  assert.equal(new Departure({ kind: 'cancel' }, at(0)).isOver(at(0)), true)
  const thinking = new Departure({ kind: 'cancel' }, at(0, 0, true))
  assert.equal(thinking.isOver(at(0, 0, true)), false)
  assert.equal(thinking.isOver(at(29_999, 0, true)), false)
  assert.equal(thinking.isOver(at(5_000, 300, false)), true, 'the count has come')
  assert.equal(thinking.isOver(at(30_000, 0, true)), true)
})

test('finish goes on to the end', () => {
  const departure = new Departure({ kind: 'finish' }, at(0))
  assert.equal(departure.isOver(at(3_000_000, 1_000_000)), false)
  assert.equal(departure.limitMs, null)
})

test('finish up to goes on for so many tokens more, or so long, whichever comes first', () => {
  const both = new Departure({ kind: 'finish_up_to', tokens: 50, ms: 2_000 }, at(1_000, 100))
  assert.equal(both.limitMs, 2_000)
  assert.equal(both.isOver(at(2_999, 149)), false)
  assert.equal(both.isOver(at(1_001, 150)), true)
  assert.equal(both.isOver(at(3_000, 100)), true)
  const tokens = new Departure({ kind: 'finish_up_to', tokens: 50, ms: null }, at(0, 0))
  assert.equal(tokens.isOver(at(1e9, 49)), false)
  const time = new Departure({ kind: 'finish_up_to', tokens: null, ms: 10 }, at(0, 0))
  assert.equal(time.isOver(at(9, 1e9)), false)
  assert.equal(time.isOver(at(10, 0, true)), false, 'hidden thinking is worth its count')
})

test('an answer that has not begun is waited for as the policy says', () => {
  assert.equal(waitForBeginning({ kind: 'cancel' }), null)
  assert.equal(waitForBeginning({ kind: 'finish' }), Number.POSITIVE_INFINITY)
  assert.equal(waitForBeginning({ kind: 'finish_up_to', tokens: 5, ms: 9 }), 9)
  assert.equal(
    waitForBeginning({ kind: 'finish_up_to', tokens: 5, ms: null }),
    Number.POSITIVE_INFINITY,
  )
})
