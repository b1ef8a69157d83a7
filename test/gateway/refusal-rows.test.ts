import assert from 'node:assert/strict'
import { test } from 'node:test'
import { world } from '../support/world.ts'

test('a client refused in a loop leaves one usage row per code and second', async (t) => {
  const w = await world(t, { accounts: ['one'] })
  const startedMs = Date.now()
  for (let i = 0; i < 40; i++) {
    const response = await w.post(i % 2 === 0 ? { model: 'no-such-model' } : { max_tokens: 'x' })
    assert.ok(response.status >= 400)
    await response.text()
  }
  const seconds = Math.floor(Date.now() / 1_000) - Math.floor(startedMs / 1_000) + 1
  await new Promise((resolve) => setTimeout(resolve, 200))
  const { rows } = await w.store.listUsage({ limit: 100 })
  assert.ok(rows.length >= 2 && rows.length <= 2 * seconds, `${rows.length} rows`)
})
