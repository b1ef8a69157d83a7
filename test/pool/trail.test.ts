import assert from 'node:assert/strict'
import { test } from 'node:test'
import { select } from '../../src/pool/select.ts'
import type { Demand } from '../../src/pool/weigh.ts'
import { candidate } from '../support/accounts.ts'

const DEMAND: Demand = {
  tried: new Set(),
  again: null,
  tags: null,
  bound: null,
  warm: [
    { workspace: 'a', tokens: 9_000, at: 3 },
    { workspace: 'b', tokens: 2_000, at: 1 },
  ],
  promptTokens: 10_000,
  rewriteMicroPerMTok: 5_000_000,
  waitedMs: 0,
  longestWaitMs: 0,
}

test('a warm account that failed the request is told as the one that was left', () => {
  const candidates = ['a', 'b', 'c'].map((id) => candidate(id))
  const leftBy = (...tried: string[]) =>
    select(candidates, { ...DEMAND, tried: new Set(tried) }, () => 0).trail.left
  assert.equal(leftBy(), null)
  assert.deepEqual(leftBy('a'), { accountId: 'a', warmTokens: 9_000, because: 'tried' })
  assert.deepEqual(leftBy('a', 'b'), { accountId: 'a', warmTokens: 9_000, because: 'tried' })
  // What is chosen in its place is warmer.
  assert.equal(leftBy('b'), null)
  // Nobody was chosen, so nobody was left for another.
  assert.equal(leftBy('a', 'b', 'c'), null)
})

test('an account outside its hours, or at its cap, is told as such and not as one that rests', () => {
  const kinds = ['closed', 'capped', 'unhealthy'] as const
  const candidates = kinds.map((kind) => ({ ...candidate(kind), rest: { kind, forMs: 60_000 } }))
  const { trail } = select(candidates, DEMAND, () => 0)
  const told = Object.fromEntries(trail.candidates.map((one) => [one.accountId, one.state]))
  assert.deepEqual(told, { closed: 'closed', capped: 'capped', unhealthy: 'resting' })
})
