// Settlements while the disk is full: kept beside the database, written when there is room.
import assert from 'node:assert/strict'
import { closeSync, openSync, readFileSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createBatchRunner, OP, type Payload, resultAt } from '../../src/store/sqlite/batch.ts'
import { connect } from '../../src/store/sqlite/connection.ts'
import { createContext } from '../../src/store/sqlite/context.ts'
import { createOperations } from '../../src/store/sqlite/operations.ts'
import { createSpool, SPOOL_BYTES, Spool, spoolPath } from '../../src/store/sqlite/spool.ts'
import { spooledBatches } from '../../src/store/sqlite/spooled-batches.ts'
import { holdTuple, usageTuple } from '../../src/store/sqlite/usage-rows.ts'
import {
  type Cleanup,
  createWorld,
  newHold,
  open,
  recordOf,
  tempFolder,
  violationsOf,
  voidOf,
} from './world.ts'

/** A database path with a spool beside it. */
function spoolFolder(t: Cleanup): string {
  const path = join(tempFolder(t), 'ccgate.db')
  createSpool(path)
  return path
}

function opened(t: Cleanup, path: string): Spool {
  const spool = new Spool(path)
  t.after(() => spool.close())
  return spool
}

test('what is appended is there for the next process, in order, until it is forgotten', (t) => {
  const path = spoolFolder(t)
  assert.equal(statSync(spoolPath(path)).size, SPOOL_BYTES)
  assert.equal(statSync(spoolPath(path)).mode & 0o777, 0o600)
  const spool = opened(t, path)
  assert.deepEqual(spool.load(), [])
  assert.equal(spool.append(['one', 'zwei €']), true)
  assert.equal(spool.append(['three']), true)
  assert.equal(spool.isEmpty, false)
  const next = opened(t, path)
  assert.deepEqual(next.load(), ['one', 'zwei €', 'three'])
  next.clear()
  assert.equal(next.isEmpty, true)
  assert.deepEqual(opened(t, path).load(), [])
  // The old process, which is draining, adds to what the new one has begun.
  assert.equal(next.append(['four']), true)
  assert.equal(spool.append(['five']), true)
  assert.deepEqual(opened(t, path).load(), ['four', 'five'])
  assert.equal(statSync(spoolPath(path)).size, SPOOL_BYTES)
})

test('an entry that was only half written does not count, nor what came after it', (t) => {
  const path = spoolFolder(t)
  const spool = opened(t, path)
  spool.append(['first', 'second', 'third'])
  const at = readFileSync(spoolPath(path)).indexOf('second')
  const file = openSync(spoolPath(path), 'r+')
  writeSync(file, 'S', at)
  closeSync(file)
  const next = opened(t, path)
  assert.deepEqual(next.load(), ['first'])
  next.append(['other'])
  assert.deepEqual(opened(t, path).load(), ['first', 'other'])
})

test('a spool that is full, or missing, takes nothing', (t) => {
  const spool = opened(t, spoolFolder(t))
  const big = 'x'.repeat(SPOOL_BYTES / 2)
  assert.equal(spool.append([big]), true)
  assert.equal(spool.append([big]), false)
  assert.equal(spool.append(['small']), true)
  assert.deepEqual(
    spool.load().map((entry) => entry.length),
    [big.length, 5],
  )
  const none = opened(t, join(tempFolder(t), 'ccgate.db'))
  assert.deepEqual([none.load(), none.append(['x']), none.isEmpty], [[], false, true])
})

/** The daemon's writer in this thread, on a file that cannot grow while `isFull`. */
async function fullWorld(t: Cleanup, options: { hasSpool: boolean }) {
  const world = await createWorld(t, 'local', { creditMicro: 1_000_000 })
  if (options.hasSpool) createSpool(world.path)
  const start = () => {
    const connected = connect({
      path: world.path,
      access: 'write',
      busyTimeoutMs: 0,
      foreignKeys: false,
    })
    if (connected.kind !== 'connected') throw new Error(connected.kind)
    const { db } = connected
    const operations = createOperations(createContext(db))
    const spool = opened(t, world.path)
    const clock = { nowMs: 1_000 }
    const run = createBatchRunner(db, operations)
    const batches = spooledBatches({ run, spool, operations, nowMs: () => clock.nowMs })
    t.after(() => {
      db.close()
    })
    const setFull = (isFull: boolean) => {
      const pages = db.pragma('page_count', { simple: true })
      db.pragma(`max_page_count = ${isFull ? pages : 1_000_000}`)
      clock.nowMs += 1_000
    }
    return { batches, setFull, spool }
  }
  const holds = Array.from({ length: 60 }, () => newHold(world, { amountMicro: 1_000 }))
  for (const hold of holds) await world.store.openHold(hold)
  return { ...world, holds, start }
}

const opening = (who: Parameters<typeof newHold>[0]): [0, Payload] => [
  OP.openHold,
  holdTuple(newHold(who, { amountMicro: 5 })),
]
// Long, so that a handful of rows needs another page.
const settling = (hold: ReturnType<typeof newHold>): [1, Payload] => [
  OP.settleHold,
  usageTuple(recordOf(hold, { costMicro: 300, clientAgent: 'x'.repeat(400) })),
]

test('settlements count while the disk is full, and are written before anything else', async (t) => {
  const { store, userId, holds, start, ...ids } = await fullWorld(t, { hasSpool: true })
  const who = { userId, ...ids }
  const { batches, setFull, spool } = start()
  setFull(true)
  const reply = batches.run([...holds.slice(0, 40).flatMap(settling), ...opening(who)])
  assert.equal(reply.isFull, true)
  assert.deepEqual(resultAt(reply, 0), { kind: 'closed', balanceMicro: 999_700 })
  assert.deepEqual(resultAt(reply, 39), { kind: 'closed', balanceMicro: 988_000 })
  assert.deepEqual(
    reply.errors.map(([index, error]) => [index, error.kind]),
    [[40, 'full']],
  )
  assert.equal((await store.listOpenHolds()).length, 60)
  const again = batches.run([...settling(holds[0]), OP.voidHold, usageTuple(voidOf(holds[40]))])
  assert.deepEqual(resultAt(again, 0), { kind: 'already_closed' })
  assert.deepEqual(resultAt(again, 1), { kind: 'closed', balanceMicro: 988_000 })
  setFull(false)
  assert.deepEqual(resultAt(batches.run(opening(who)), 0), {
    kind: 'held',
    balanceMicro: 988_000,
    heldMicro: 19_005,
  })
  assert.equal(spool.isEmpty, true)
  assert.equal((await store.listOpenHolds()).length, 20)
  assert.deepEqual(await store.getWallet(userId), {
    userId,
    balanceMicro: 988_000,
    heldMicro: 19_005,
  })
  assert.deepEqual(await violationsOf(store), [])
})

test('what a process left in the spool is written when the next one starts, once', async (t) => {
  const { path, store, userId, holds, start } = await fullWorld(t, { hasSpool: true })
  const first = start()
  first.setFull(true)
  assert.equal(first.batches.run(holds.flatMap(settling)).isFull, true)
  first.spool.close()
  await store.close()
  const daemon = await open(t, path, 'daemon')
  assert.equal((await daemon.listOpenHolds()).length, 0)
  // Recovery finds nothing to void.
  assert.deepEqual(await daemon.recoverHolds([holds[0].bootId], Date.now()), {
    settled: 0,
    voided: 0,
    settledMicro: 0,
  })
  assert.equal((await daemon.getWallet(userId))?.balanceMicro, 1_000_000 - 60 * 300)
  assert.deepEqual(await violationsOf(daemon), [])
  assert.deepEqual(new Spool(path).load(), [])
})

test('without a spool a full disk refuses settlements, and takes them later', async (t) => {
  const { store, holds, start } = await fullWorld(t, { hasSpool: false })
  const { batches, setFull } = start()
  setFull(true)
  assert.equal(batches.run(holds.flatMap(settling)).failure?.kind, 'full')
  setFull(false)
  assert.equal(batches.run(holds.flatMap(settling)).failure, null)
  assert.equal((await store.listOpenHolds()).length, 0)
  assert.deepEqual(await violationsOf(store), [])
})

test('a settlement that the spool refused is not remembered as closed', async (t) => {
  const { store, holds, start } = await fullWorld(t, { hasSpool: true })
  const { batches, setFull, spool } = start()
  spool.append(['[]'.padEnd(SPOOL_BYTES - 1_000)])
  setFull(true)
  assert.equal(batches.run(holds.flatMap(settling)).failure?.kind, 'full')
  spool.clear()
  setFull(false)
  const reply = batches.run(holds.flatMap(settling))
  assert.deepEqual(resultAt(reply, 0), { kind: 'closed', balanceMicro: 999_700 })
  assert.deepEqual(await violationsOf(store), [])
})
