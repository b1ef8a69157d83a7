import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Candidate } from '../../src/pool/candidate.ts'
import { leastBusyOf } from '../../src/simulate/least-busy.ts'
import { candidate } from '../support/accounts.ts'

const anyCandidate = fc.record({
  priority: fc.integer({ min: 1, max: 3 }),
  weight: fc.integer({ min: 1, max: 10 }),
  inFlight: fc.integer({ min: 0, max: 6 }),
  concurrencyLimit: fc.option(fc.integer({ min: 1, max: 5 })),
  rpmWaitMs: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 60_000 })),
  rest: fc.option(
    fc.record({
      kind: fc.constantFrom('limited' as const, 'unhealthy' as const),
      forMs: fc.option(fc.integer({ min: 0, max: 4_000_000 })),
    }),
    { freq: 2 },
  ),
  servesModel: fc.boolean(),
  idleMs: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.integer({ min: 0, max: 100_000 })),
})
const anyPool = fc
  .array(anyCandidate, { maxLength: 8 })
  .map((list) => list.map((fields, i) => ({ id: `acct_${i}`, ...fields })))
const anyTried = fc.uniqueArray(fc.integer({ min: 0, max: 7 }), { maxLength: 4 })

function canServe(one: Candidate): boolean {
  const hasSlot = one.concurrencyLimit === null || one.inFlight < one.concurrencyLimit
  return one.servesModel && one.rest === null && hasSlot && one.rpmWaitMs === 0
}

test('the chosen account can serve, was not tried, and none of a better priority could', () => {
  fc.assert(
    fc.property(anyPool, anyTried, (pool, triedIndexes) => {
      const tried = new Set(triedIndexes.map((i) => `acct_${i}`))
      const open = pool.filter((one) => canServe(one) && !tried.has(one.id))
      const choice = leastBusyOf(pool, tried)
      if (choice.kind === 'none') {
        assert.equal(open.length, 0)
        return
      }
      const chosen = open.find((one) => one.id === choice.id)
      assert.ok(chosen !== undefined, 'it may serve')
      for (const other of open) {
        assert.ok(chosen.priority <= other.priority)
        if (chosen.priority < other.priority) continue
        assert.ok(chosen.inFlight / chosen.weight <= other.inFlight / other.weight)
      }
    }),
    { numRuns: 500 },
  )
})

test('where none can serve, the answer says why and when the first comes back', () => {
  fc.assert(
    fc.property(anyPool, anyTried, (pool, triedIndexes) => {
      const tried = new Set(triedIndexes.map((i) => `acct_${i}`))
      const choice = leastBusyOf(pool, tried)
      if (choice.kind === 'account') return
      const usable = pool.filter((one) => one.servesModel && !tried.has(one.id))
      assert.equal(choice.because === 'no_accounts', usable.length === 0)
      const unhealthy = usable.some((one) => one.rest?.kind === 'unhealthy')
      assert.equal(choice.because === 'limited', usable.length > 0 && !unhealthy)
      const ends = usable.some((one) => one.rest === null || one.rest.forMs !== null)
      assert.equal(choice.retryAfterMs !== null, ends)
      if (choice.retryAfterMs === null) return
      assert.ok(choice.retryAfterMs > 0)
      for (const one of usable)
        if (one.rest !== null && one.rest.forMs !== null)
          assert.ok(choice.retryAfterMs <= Math.max(1, one.rest.forMs))
    }),
    { numRuns: 500 },
  )
})

test('with the same priority, running requests are shared by weight', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 2, maxLength: 5 }),
      (weights) => {
        const running = weights.map(() => 0)
        const perWeight = 20
        const total = weights.reduce((sum, weight) => sum + weight, 0) * perWeight
        for (let i = 0; i < total; i++) {
          const choice = leastBusyOf(
            weights.map((weight, at) =>
              candidate(String(at), { weight, inFlight: running[at], idleMs: 0 }),
            ),
            new Set(),
          )
          assert.equal(choice.kind, 'account')
          if (choice.kind === 'account') running[Number(choice.id)]++
        }
        assert.deepEqual(
          running,
          weights.map((weight) => weight * perWeight),
        )
      },
    ),
    { numRuns: 30 },
  )
})

test('equal accounts take turns', () => {
  const last = new Map([
    ['a', 0],
    ['b', 0],
    ['c', 0],
  ])
  const picks: string[] = []
  for (let nowMs = 1; nowMs <= 9; nowMs++) {
    const choice = leastBusyOf(
      [...last].map(([id, atMs]) => candidate(id, { idleMs: nowMs - atMs })),
      new Set(),
    )
    if (choice.kind === 'none') throw new Error('somebody can serve')
    last.set(choice.id, nowMs)
    picks.push(choice.id)
  }
  assert.equal(picks.join(''), 'abcabcabc')
})

test('a lower priority number serves alone until it is full', () => {
  const first = candidate('first', { priority: 1, inFlight: 4, concurrencyLimit: 5 })
  const second = candidate('second', { priority: 2 })
  assert.deepEqual(leastBusyOf([second, first], new Set()), { kind: 'account', id: 'first' })
  const full = { ...first, inFlight: 5 }
  assert.deepEqual(leastBusyOf([second, full], new Set()), { kind: 'account', id: 'second' })
})
