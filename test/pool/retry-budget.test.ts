import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RetryBudget } from '../../src/pool/retry-budget.ts'

test('a quiet process may retry three times a second, and a busy one a fifth of its requests more', () => {
  const budget = new RetryBudget({ budgetPercent: 20 })
  let granted = 0
  while (budget.take(50_000)) granted++
  assert.equal(granted, 30)
  for (let i = 0; i < 100; i++) budget.noteRequest(50_000)
  while (budget.take(50_500)) granted++
  assert.equal(granted, 50)
  assert.equal(budget.take(59_999), false)
  assert.equal(budget.take(60_000), true, 'ten seconds later all is forgotten')
})

test('in no ten seconds are there more retries than the budget has', () => {
  const step = fc.record({
    afterMs: fc.integer({ min: 0, max: 3_000 }),
    isRetry: fc.boolean(),
    times: fc.integer({ min: 1, max: 40 }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const budget = new RetryBudget({ budgetPercent: 20 })
      const requests: number[] = []
      const retries: number[] = []
      let nowMs = 1_000_000
      const isRecent = (atMs: number) => Math.floor(atMs / 1_000) > Math.floor(nowMs / 1_000) - 10
      for (const { afterMs, isRetry, times } of steps) {
        nowMs += afterMs
        for (let i = 0; i < times; i++) {
          if (!isRetry) {
            budget.noteRequest(nowMs)
            requests.push(nowMs)
            continue
          }
          const most = Math.floor(requests.filter(isRecent).length * 0.2) + 30
          const isFree = retries.filter(isRecent).length < most
          assert.equal(budget.take(nowMs), isFree)
          if (isFree) retries.push(nowMs)
        }
      }
    }),
    { numRuns: 200 },
  )
})
