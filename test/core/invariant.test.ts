import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InvariantError, invariant, unreachable } from '../../src/core/invariant.ts'

test('a broken promise throws its own words, a kept one nothing', () => {
  invariant(true, 'never seen')
  assert.throws(() => invariant(0, 'a wallet holds its holds'), {
    name: 'InvariantError',
    message: 'a wallet holds its holds',
  })
})

test('a union that grew is told by its new value', () => {
  assert.throws(
    () => unreachable({ kind: 'new' } as never),
    (error) => {
      assert.ok(error instanceof InvariantError)
      assert.match(error.message, /"kind":"new"/)
      return true
    },
  )
})
