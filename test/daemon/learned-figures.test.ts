import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Learned } from '../../src/billing/learned.ts'
import { restoreLearned, saveLearned } from '../../src/daemon/learned-figures.ts'
import { world } from '../support/world.ts'

test('what receipts have taught is kept over a restart, and holds follow it', async (t) => {
  const w = await world(t, { creditMicro: 100_000_000 })
  const content =
    'It was a bright cold day in April, and the clocks were striking thirteen. '.repeat(80)
  const ask = async () => {
    const response = await w.post({ messages: [{ role: 'user', content }], stream: true })
    await response.text()
    return w.usage(response.headers.get('x-cc-request-id') ?? '')
  }
  const before = await ask()
  await w.restart()
  const stored = await restoreLearned(w.store)
  assert.match(stored.serialize(), /"prompt sonnet-4"/)
  // As many receipts as it takes to believe in a cautious end.
  const bytes = content.length
  for (let i = 0; i < 500; i++) stored.sawPrompt('sonnet-4', bytes, Math.round(bytes / 4))
  await w.stop(1_000)
  await saveLearned(w.store, stored)
  await w.restart()
  const after = await ask()
  assert.equal(after.costMicro, before.costMicro)
  assert.ok(after.holdSteps[0].amountMicro < before.holdSteps[0].amountMicro)
  assert.ok(after.costMicro <= after.holdMicro)
})

test('what cannot be read is learned again', async (t) => {
  const w = await world(t)
  await w.store.saveMemory('learned', Buffer.from('{broken'))
  assert.equal((await restoreLearned(w.store)).serialize(), new Learned().serialize())
})
