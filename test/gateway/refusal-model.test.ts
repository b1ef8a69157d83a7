import assert from 'node:assert/strict'
import { test } from 'node:test'
import { world } from '../support/world.ts'

test('the row of a refused request names the model that its body asked for', async (t) => {
  const w = await world(t, { accounts: ['one'] })
  const model = `claude-sonet-${'x'.repeat(200)}`
  assert.equal((await w.post({ model, max_tokens: 8, messages: [] })).status, 404)
  // Refused for another field: the model was still named.
  assert.equal((await w.post({ model: 'claude-haiku-4-5', max_tokens: 'x' })).status, 400)
  const rows = await eventually(2)
  assert.deepEqual(
    rows.map((row) => [row.httpStatus, row.model]),
    [
      [400, 'claude-haiku-4-5'],
      [404, model.slice(0, 100)],
    ],
  )

  async function eventually(count: number) {
    for (;;) {
      const { rows } = await w.store.listUsage({ limit: 10 })
      if (rows.length >= count) return rows
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
})
