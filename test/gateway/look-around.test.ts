import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LookAround } from '../../src/gateway/look-around.ts'
import { WaitingRoom } from '../../src/pool/waiting-room.ts'

/** A room with one who waits, whose look takes so long on the clock. */
function world(lookMs: number) {
  const state = { nowMs: 1_000, looks: 0 }
  const room = new WaitingRoom({ maxPerKey: 32, maxLength: 1_024 })
  const attempt = () => {
    state.looks++
    state.nowMs += lookMs
    return false
  }
  room.join({ keyId: 'a', scope: '', attempt })
  const clock = { nowMs: () => state.nowMs, monotonicMs: () => state.nowMs }
  return { state, lookAround: new LookAround(room, clock) }
}

test('looks that cost nothing are made whenever somebody asks', () => {
  const { state, lookAround } = world(0)
  for (let i = 0; i < 5; i++) lookAround.serve()
  assert.equal(state.looks, 5)
  assert.equal(lookAround.isDue, false)
})

test('a dear look is followed by a pause, and whoever asks meanwhile is heard at its end', async () => {
  const { state, lookAround } = world(5)
  lookAround.serve()
  assert.equal(state.looks, 1)
  for (let i = 0; i < 1_000; i++) lookAround.serve()
  assert.equal(state.looks, 1, 'nobody looks in the pause')
  assert.equal(lookAround.isDue, true, 'and whoever comes now stands behind those in line')
  // The pause lasts four times as long as the look.
  state.nowMs += 20
  while (lookAround.isDue) await new Promise((resolve) => setTimeout(resolve, 2))
  assert.equal(state.looks, 2)
})

test('no pause is longer than a tenth of a second, however long a look took', () => {
  const { state, lookAround } = world(5_000)
  lookAround.serve()
  state.nowMs += 100
  lookAround.serve()
  assert.equal(state.looks, 2)
})

test('nobody in line costs nothing', () => {
  const room = new WaitingRoom({ maxPerKey: 1, maxLength: 1 })
  const noClock = { nowMs: () => 0, monotonicMs: () => assert.fail('the clock was asked') }
  new LookAround(room, noClock).serve()
})
