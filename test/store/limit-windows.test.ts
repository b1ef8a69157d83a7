// Windows of spend limits around midnight, in one commit, and with the clock set back.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { windowOf } from '../../src/core/calendar.ts'
import { createIdMaker } from '../../src/core/ids.ts'
import type { NewHold } from '../../src/store/store.ts'
import { by, type Cleanup, createWorld, DRIVERS, newHold, recordOf, violationsOf } from './world.ts'

const DAY_MS = 86_400_000
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

/** When the windows that are counted begin. */
function windowsIn(t: Cleanup, path: string): readonly unknown[] {
  const db = new Sqlite(path, { readonly: true })
  t.after(() => {
    db.close()
  })
  return db.prepare('SELECT since_ms FROM key_spending ORDER BY since_ms').pluck().all()
}

for (const driver of Object.keys(DRIVERS) as (keyof typeof DRIVERS)[]) {
  test(`${driver}: a straggler of yesterday does not make today begin at zero`, async (t) => {
    const { store, path, hold } = await midnightWorld(t, driver)
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
    assert.deepEqual(windowsIn(t, path), [MIDNIGHT_MS - DAY_MS, MIDNIGHT_MS])
    assert.deepEqual(await violationsOf(store), [])
  })

  test(`${driver}: an earlier window is kept while a hold is open in it, and no longer`, async (t) => {
    const { store, path, hold } = await midnightWorld(t, driver)
    const today = hold(10)
    await store.openHold(today)
    await store.settleHold(recordOf(today))
    assert.deepEqual(windowsIn(t, path), [MIDNIGHT_MS])
    const open = hold(-10)
    await store.openHold(open)
    assert.deepEqual(windowsIn(t, path), [MIDNIGHT_MS - DAY_MS, MIDNIGHT_MS])
    await store.openHold(hold(20))
    await store.settleHold(recordOf(open))
    await store.openHold(hold(DAY_MS))
    assert.deepEqual(windowsIn(t, path), [MIDNIGHT_MS, MIDNIGHT_MS + DAY_MS])
    assert.deepEqual(await violationsOf(store), [])
  })

  test(`${driver}: what ends uncounted in a commit counts where its window begins later in it`, async (t) => {
    const { store, keyId, hold } = await midnightWorld(t, driver)
    const free = hold(0, { limitWindow: null })
    await store.limitKey(keyId, { spendLimit: null }, null, by())
    await store.openHold(free)
    const yesterday = windowOf('day', MIDNIGHT_MS - 1, 'UTC')
    await store.limitKey(keyId, { spendLimit: LIMIT }, yesterday, by())
    const [, next] = await Promise.all([
      store.settleHold(recordOf(free, { costMicro: 9_000 })),
      store.openHold(hold(300)),
    ])
    const reached = { kind: 'key_limit', limitMicro: 10_000, spentMicro: 9_000, heldMicro: 0 }
    assert.deepEqual(next, reached)
    assert.deepEqual(await violationsOf(store), [])
  })

  test(`${driver}: a limit that is set counts what its commit has not written yet`, async (t) => {
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
