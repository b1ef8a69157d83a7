import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { InvariantError } from '../../src/core/invariant.ts'
import { type Store, StoreError } from '../../src/store/store.ts'
import { assertClean, codeOf, eventsOf } from '../support/bills.ts'
import { world } from '../support/world.ts'

/** A world whose store refuses the first `times` settlements with an error. */
function failingWorld(t: TestContext, { error, times }: { error: Error; times: number }) {
  let left = times
  return world(t, {
    accounts: ['one'],
    daemonStore: (store): Store => ({
      ...store,
      settleHold: (record) => (left-- > 0 ? Promise.reject(error) : store.settleHold(record)),
    }),
  })
}

test('an answer that could not be settled is not delivered, and costs nothing later either', async (t) => {
  const w = await failingWorld(t, { error: new StoreError('full', 'disk full'), times: 1 })
  const response = await w.post()
  assert.equal(response.status, 503)
  assert.equal(codeOf(await response.text()), 'storage_full')
  await assertClean(w)
  assert.equal((await w.wallet()).balanceMicro, 10_000_000)
  const row = await w.usage(response.headers.get('x-cc-request-id') ?? '')
  assert.deepEqual(
    [row.status, row.httpStatus, row.errorCode, row.firstByteMs],
    ['rejected', 503, 'storage_full', null],
  )
})

test('a stop waits for the settlement of a stream that the store could not take at first', async (t) => {
  const w = await failingWorld(t, { error: new StoreError('full', 'disk full'), times: 2 })
  const response = await w.post({ stream: true })
  const text = await response.text()
  assert.equal(codeOf(eventsOf(text).at(-1)?.data ?? ''), 'store_unavailable')
  await w.stop(10_000)
  assert.deepEqual(await w.store.listOpenHolds(), [])
  await assertClean(w)
  const row = await w.usage(response.headers.get('x-cc-request-id') ?? '')
  assert.ok(row.costMicro > 0)
  assert.equal((await w.wallet()).balanceMicro, 10_000_000 - row.costMicro)
})

test('a stop without grace does not wait for a store that takes nothing', async (t) => {
  const w = await failingWorld(t, {
    error: new StoreError('full', 'disk full'),
    times: Number.POSITIVE_INFINITY,
  })
  await (await w.post({ stream: true })).text()
  await w.stop(0)
  assert.equal((await w.store.listOpenHolds()).length, 1, 'the next start closes it')
})

test('a settlement that breaks an invariant leaves one usage row, and ends admission', async (t) => {
  const w = await failingWorld(t, { error: new InvariantError('x'), times: 1 })
  const response = await w.post()
  assert.equal(response.status, 500)
  assert.equal(codeOf(await response.text()), 'internal_error')
  assert.equal((await w.post()).status, 503)
  assert.deepEqual((await w.store.checkLedger(Date.now())).violations, [])
  await w.restart()
  await assertClean(w)
  assert.equal((await w.post()).status, 200)
})

test('a settlement that breaks an invariant when it is tried again ends admission too', async (t) => {
  let tries = 0
  const w = await world(t, {
    accounts: ['one'],
    daemonStore: (store): Store => ({
      ...store,
      settleHold: () =>
        Promise.reject(tries++ === 0 ? new StoreError('busy', 'locked') : new InvariantError('x')),
    }),
  })
  await (await w.post({ stream: true })).text()
  await w.stop(10_000)
  assert.equal(tries, 2)
  assert.match(w.log.join(''), /admission\.stopped/)
})
