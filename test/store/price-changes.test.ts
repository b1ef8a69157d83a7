import assert from 'node:assert/strict'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import type { NewPriceChange } from '../../src/store/store.ts'
import { by, freshDatabase, open } from './world.ts'

const NOW = Date.UTC(2026, 10, 22, 12)

function markup(value: unknown, effectiveAtMs = NOW): NewPriceChange {
  return { kind: 'markup', subject: 'claude-opus-*', value, effectiveAtMs, source: 'set' }
}

for (const driver of ['local', 'daemon'] as const) {
  const say = (text: string) => `${driver}: ${text}`

  test(
    say('price changes are numbered, come back as they went in, and move the counter'),
    async (t) => {
      const store = await open(t, await freshDatabase(t), driver)
      const before = store.changes().prices
      const changes = [markup([6, 5]), { ...markup(null, NOW + 1), source: 'config' }]
      const added = await store.addPriceChanges(changes, by('cli:ann', NOW))
      const loaded = await store.loadPriceChanges()
      assert.deepEqual(
        loaded,
        changes.map((change, i) => ({ ...change, seq: i + 1, actor: 'cli:ann', createdAtMs: NOW })),
      )
      assert.deepEqual(added, { kind: 'added', changes: loaded })
      await new Promise((resolve) => setImmediate(resolve))
      assert.ok(store.changes().prices > before)
    },
  )

  test(say('no change begins in the past, and of several then none is kept'), async (t) => {
    const store = await open(t, await freshDatabase(t), driver)
    const changes = [markup([6, 5]), markup([7, 5], NOW - 1)]
    assert.deepEqual(await store.addPriceChanges(changes, by('cli:ann', NOW)), {
      kind: 'in_the_past',
    })
    assert.deepEqual(await store.loadPriceChanges(), [])
  })

  test(say('what nobody could price by is not kept, nor what came with it'), async (t) => {
    const store = await open(t, await freshDatabase(t), driver)
    await assert.rejects(store.addPriceChanges([markup([6, 5]), markup('1.2')], by('cli:ann', NOW)))
    assert.deepEqual(await store.loadPriceChanges(), [])
  })

  test(say('who changed what stands in the audit log, with what was before'), async (t) => {
    const store = await open(t, await freshDatabase(t), driver)
    await store.addPriceChanges([markup([6, 5])], by('cli:ann', NOW))
    await store.addPriceChanges([markup(null)], by('cli:bob', NOW))
    const [latest] = await store.listAudit({ limit: 1 })
    assert.deepEqual(
      [latest.actor, latest.action, latest.target, latest.before, latest.after?.value],
      ['cli:bob', 'model.markup', 'claude-opus-*', { value: [6, 5] }, null],
    )
  })
}

test('rows of prices cannot be altered or taken away, not even by hand', async (t) => {
  const path = await freshDatabase(t)
  const store = await open(t, path, 'local')
  await store.addPriceChanges([markup([6, 5])], by('cli:ann', NOW))
  const db = new Sqlite(path)
  t.after(() => db.close())
  for (const statement of ['UPDATE price_changes SET value = 1', 'DELETE FROM price_changes']) {
    assert.throws(() => db.prepare(statement).run(), /append-only/)
  }
})
