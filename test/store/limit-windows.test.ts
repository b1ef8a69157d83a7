// Windows of spend limits around midnight, in one commit, and with the clock set back.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { windowOf } from '../../src/core/calendar.ts'
import { createIdMaker } from '../../src/core/ids.ts'
import type { NewHold } from '../../src/store/store.ts'
import { by, type Cleanup, createWorld, DRIVERS, newHold, recordOf, violationsOf } from './world.ts'

const LIMIT = { amountMicro: 10_000, period: 'day' } as const
// The next: no hold is then open for too long.
const MIDNIGHT_MS = windowOf('day', Date.now(), 'UTC').untilMs

function idAt(atMs: number): string {
  return createIdMaker(
    (bytes) => randomBytes(bytes),
    () => atMs,
  )('request')
}

/** A key with a daily limit that was set yesterday; `hold` makes one of a request around this midnight. */
async function midnightWorld(t: Cleanup, driver: keyof typeof DRIVERS) {
  const world = await createWorld(t, driver)
  const windowAt = (atMs: number) => windowOf('day', atMs, 'UTC')
  await world.store.limitKey(world.keyId, { spendLimit: LIMIT }, windowAt(MIDNIGHT_MS - 1), by())
  const hold = (afterMs: number, fields: Partial<NewHold> = {}) => {
    const openedAtMs = MIDNIGHT_MS + afterMs
    const limitWindow = windowAt(openedAtMs)
    return newHold(world, { requestId: idAt(openedAtMs), openedAtMs, limitWindow, ...fields })
  }
  return { ...world, hold }
}

for (const driver of Object.keys(DRIVERS) as (keyof typeof DRIVERS)[]) {
  test(`${driver}: a straggler of yesterday does not make today begin at zero`, async (t) => {
    const { store, hold } = await midnightWorld(t, driver)
    const yesterday = hold(-500)
    await store.openHold(yesterday)
    await store.settleHold(recordOf(yesterday, { costMicro: 100 }))
    const first = hold(100)
    assert.equal((await store.openHold(first)).kind, 'held')
    // In one turn, and for the daemon in one commit: today's only hold settles, yesterday's late one opens.
    const [, late, next] = await Promise.all([
      store.settleHold(recordOf(first, { costMicro: 9_000 })),
      store.openHold(hold(-10)),
      store.openHold(hold(300)),
    ])
    assert.equal(late.kind, 'held')
    const reached = { kind: 'key_limit', limitMicro: 10_000, spentMicro: 9_000, heldMicro: 0 }
    assert.deepEqual(next, reached)
    assert.deepEqual(await violationsOf(store), [])
  })

  test(`${driver}: what a commit has not written yet counts where a window begins in it`, async (t) => {
    const { store, keyId, hold } = await midnightWorld(t, driver)
    const free = hold(0, { limitWindow: null })
    await store.limitKey(keyId, { spendLimit: null }, null, by())
    await store.openHold(free)
    const window = windowOf('day', MIDNIGHT_MS, 'UTC')
    const [, , next] = await Promise.all([
      store.settleHold(recordOf(free, { costMicro: 9_000 })),
      store.limitKey(keyId, { spendLimit: LIMIT }, window, by()),
      store.openHold(hold(300)),
    ])
    const reached = { kind: 'key_limit', limitMicro: 10_000, spentMicro: 9_000, heldMicro: 0 }
    assert.deepEqual(next, reached)
    assert.deepEqual(await violationsOf(store), [])
  })
}
