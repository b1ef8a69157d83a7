import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { assertClean, eventsOf, provenMicro, truthMicro } from '../support/bills.ts'
import { type World, world } from '../support/world.ts'

/** Accounts take one request at a time, so a slot that is not given back fails the next request. */
function narrow(t: TestContext, accounts: readonly string[]): Promise<World> {
  return world(t, { accounts, accountLimits: { concurrencyLimit: 1 } })
}

test('an error event in the middle of a stream is the last thing the client gets', async (t) => {
  const w = await narrow(t, ['one', 'two'])
  for (const type of ['overloaded_error', 'api_error']) {
    const response = await w.post({ stream: true }, { 'x-sandbox': `error_event=${type}` })
    const events = eventsOf(await response.text())
    assert.equal(events.filter(({ event }) => event === 'error').length, 1)
    assert.equal(events.at(-1)?.event, 'error')
    const { error } = JSON.parse(events.at(-1)?.data ?? '') as { error: { type: string } }
    assert.equal(error.type, type, 'in upstream’s own words')
    const row = await w.usage(response.headers.get('x-cc-request-id') ?? '')
    assert.deepEqual([row.status, row.source, row.errorCode], ['interrupted', 'partial', type])
    const bill = w.sandbox.billed().find((one) => one.requestId === row.upstreamRequestId)
    assert.ok(bill && row.costMicro >= provenMicro(bill) && row.costMicro <= row.holdMicro)
  }
  await assertClean(w)
})

test('events of any size pass; what cannot be read along is billed by what can', async (t) => {
  const w = await narrow(t, ['one'])
  const response = await w.post({ stream: true }, { 'x-sandbox': 'oversize=9000000' })
  const text = await response.text()
  assert.ok(text.length > 9_000_000)
  assert.equal(eventsOf(text).at(-1)?.event, 'message_stop')
  const row = await w.usage(response.headers.get('x-cc-request-id') ?? '')
  assert.deepEqual([row.status, row.source], ['complete', 'partial'])
  const bill = w.sandbox.billed().find((one) => one.requestId === row.upstreamRequestId)
  assert.ok(bill)
  assert.equal(row.costMicro, truthMicro(bill))
  await assertClean(w)
})
