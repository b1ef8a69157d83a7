// Group commit and its limits.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { openDaemonStore } from '../../src/store/open.ts'
import { createBatchRunner, OP, type Payload, resultAt } from '../../src/store/sqlite/batch.ts'
import { connect } from '../../src/store/sqlite/connection.ts'
import { createContext } from '../../src/store/sqlite/context.ts'
import { createOperations } from '../../src/store/sqlite/operations.ts'
import { holdTuple, usageTuple } from '../../src/store/sqlite/usage-rows.ts'
import { MOST_QUEUED } from '../../src/store/sqlite/writer.ts'
import { type Cleanup, createWorld, newHold, recordOf, violationsOf } from './world.ts'

/** A batch runner on a database of its own, in this thread. */
async function createRunner(t: Cleanup) {
  const world = await createWorld(t, 'local')
  const connected = connect({
    path: world.path,
    access: 'write',
    busyTimeoutMs: 0,
    foreignKeys: false,
  })
  assert.equal(connected.kind, 'connected')
  if (connected.kind !== 'connected') throw new Error()
  const { db } = connected
  t.after(() => {
    db.close()
  })
  return { ...world, db, runBatch: createBatchRunner(db, createOperations(createContext(db))) }
}

test('a queue that is full refuses at once, and what it took is written', async (t) => {
  const { path, store: first, ...who } = await createWorld(t, 'local', { creditMicro: 1e12 })
  await first.close()
  const opened = await openDaemonStore({ path })
  assert.equal(opened.kind, 'opened')
  if (opened.kind !== 'opened') return
  const { store } = opened
  t.after(() => store.close())
  const holds = Array.from({ length: MOST_QUEUED + 50 }, () => newHold(who, { amountMicro: 1 }))
  const results = await Promise.allSettled(holds.map((hold) => store.openHold(hold)))
  const refused = results.filter((result) => result.status === 'rejected')
  assert.equal(refused.length, 50)
  for (const { reason } of refused) assert.equal(reason.reason, 'overloaded')
  assert.equal((await store.listOpenHolds()).length, MOST_QUEUED)
  // Refusals and progress are what is given up first.
  const waiting = Array.from({ length: 2_000 }, () =>
    store.openHold(newHold(who, { amountMicro: 1 })),
  )
  const note = newHold(who)
  store.noteRefusal(recordOf(note, { costMicro: 0, httpStatus: 429 }))
  await Promise.all(waiting)
  assert.equal(await store.getUsage(note.requestId), null)
})

test('closing writes what is still queued', async (t) => {
  const { path, store, ...who } = await createWorld(t, 'daemon')
  const holds = Array.from({ length: 200 }, () => newHold(who, { amountMicro: 1 }))
  const opening = Promise.all(holds.map((hold) => store.openHold(hold)))
  await store.close()
  assert.equal((await opening).length, 200)
  const db = new Sqlite(path, { readonly: true })
  t.after(() => db.close())
  assert.equal(db.prepare('SELECT count(*) FROM holds').pluck().get(), 200)
})

test('in a batch only the operation that breaks a promise fails', async (t) => {
  const { runBatch, store, ...who } = await createRunner(t)
  const [a, b, c] = [newHold(who), newHold(who), newHold(who)]
  const reply = runBatch([
    OP.openHold,
    holdTuple(a),
    OP.openHold,
    holdTuple(b),
    // Charged to somebody else than it was held for: fails after the hold was closed.
    OP.settleHold,
    usageTuple(recordOf(b, { userId: 'usr_00000000000000000000000000' })),
    OP.openHold,
    holdTuple(c),
    OP.settleHold,
    usageTuple(recordOf(a, { costMicro: 11 })),
  ])
  assert.equal(reply.failure, null)
  assert.deepEqual(
    reply.errors.map(([index, error]) => [index, error.kind]),
    [[2, 'invariant']],
  )
  assert.deepEqual(resultAt(reply, 4), { kind: 'closed', balanceMicro: 999_989 })
  const openIds = (await store.listOpenHolds()).map((hold) => hold.requestId)
  assert.deepEqual(openIds, [b.requestId, c.requestId])
  assert.deepEqual(await violationsOf(store), [])
})

test('what an operation collected before it failed is in no sum', async (t) => {
  const { store, db, runBatch, accountId, ...who } = await createRunner(t)
  const [sound, broken, other] = [newHold(who), newHold(who), newHold({ ...who, bootId: 'boot_2' })]
  for (const hold of [sound, broken, other]) await store.openHold(hold)
  db.prepare('UPDATE holds SET progress = ? WHERE request_id = ?').run('{', broken.requestId)
  const reply = runBatch([
    ...[OP.cold, ['recoverHolds', [[who.bootId], Date.now()]] as Payload],
    ...[OP.settleHold, usageTuple(recordOf(other, { accountId }))],
  ])
  assert.deepEqual(
    reply.errors.map(([index]) => index),
    [0],
  )
  assert.equal(resultAt(reply, 1)?.kind, 'closed')
  assert.deepEqual(await violationsOf(store), [])
})

test('a full disk fails the whole batch, and the next one works when there is room', async (t) => {
  const { runBatch, db, store, ...who } = await createRunner(t)
  const pages = db.pragma('page_count', { simple: true })
  db.pragma(`max_page_count = ${pages}`)
  const many = Array.from({ length: 60 }, () => newHold(who, { amountMicro: 1 }))
  const batch = many.flatMap((hold): (0 | Payload)[] => [OP.openHold, holdTuple(hold)])
  const reply = runBatch(batch)
  assert.equal(reply.failure?.kind, 'full')
  assert.equal(db.inTransaction, false)
  assert.equal((await store.listOpenHolds()).length, 0)
  db.pragma('max_page_count = 1000000')
  assert.equal(runBatch(batch).failure, null)
  assert.equal((await store.listOpenHolds()).length, 60)
  assert.deepEqual(await violationsOf(store), [])
})

test('a batch that meets a lock throws busy and can be run again', async (t) => {
  const { runBatch, path, store, ...who } = await createRunner(t)
  const other = new Sqlite(path)
  t.after(() => other.close())
  other.exec('BEGIN IMMEDIATE')
  const batch = [OP.openHold, holdTuple(newHold(who))]
  assert.throws(() => runBatch(batch), { code: 'SQLITE_BUSY' })
  other.exec('ROLLBACK')
  assert.equal(runBatch(batch).failure, null)
  assert.equal((await store.listOpenHolds()).length, 1)
})
