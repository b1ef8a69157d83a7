import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { contradictionsOf, workspacesOf } from '../../src/core/cache-scopes.ts'

const members = fc
  .array(
    fc.record({
      cacheScope: fc.constantFrom(null, 'x', 'y'),
      told: fc.constantFrom(null, 'wrkspc_1', 'wrkspc_2'),
    }),
    { maxLength: 8 },
  )
  .map((list) => list.map((one, i) => ({ id: `acct_${i}`, ...one })))

test('what upstream told always holds; without contradiction a scope is one workspace', () => {
  fc.assert(
    fc.property(members, (list) => {
      const names = workspacesOf(list)
      const apart = new Set(contradictionsOf(list).map(({ id }) => id))
      for (const one of list) {
        const name = names.get(one.id)
        if (one.told !== null) assert.deepEqual(name, { name: one.told, certainty: 2 })
        if (one.told === null && one.cacheScope === null)
          assert.deepEqual(name, { name: one.id, certainty: 0 })
        for (const other of list) {
          if (one.cacheScope === null || one.cacheScope !== other.cacheScope) continue
          if (apart.has(one.id) || apart.has(other.id)) continue
          assert.deepEqual(name, names.get(other.id))
        }
      }
    }),
  )
})
