import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorMessage } from '../../src/core/errors.ts'
import { allFailed, nothingTried, timedOut } from '../../src/gateway/all-failed.ts'

function unhealthyFor(retryAfterMs: number | null): string {
  const error = nothingTried({ kind: 'none', because: 'unhealthy', retryAfterMs }, 1)
  assert.equal(error.code, 'no_healthy_account')
  return errorMessage(error.code, error.facts)
}

test('how long until an account returns is told as people say it', () => {
  const start = 'No healthy upstream account right now'
  assert.equal(unhealthyFor(null), `${start}.`)
  const soon = `${start}; the next one returns in about 12 s. Please retry shortly.`
  assert.equal(unhealthyFor(11_400), soon)
  assert.equal(unhealthyFor(61_000), `${start}; the next one returns in about 2 minutes.`)
  assert.equal(unhealthyFor(3 * 3_600_000), `${start}; the next one returns in about 3 hours.`)
  assert.equal(unhealthyFor(2_364_340_000), `${start}; the next one returns in about 28 days.`)
})

test('where all accounts are at their caps nobody is blamed, and the end is told', () => {
  const capped = (retryAfterMs: number) => {
    const error = nothingTried({ kind: 'none', because: 'capped', retryAfterMs }, 2)
    assert.deepEqual([error.code, error.retryAfterMs], ['account_cap_reached', retryAfterMs])
    return errorMessage(error.code, error.facts)
  }
  const start = 'The capacity of this server is used up for now; there is room again in about'
  assert.equal(capped(19_986_000), `${start} 6 hours.`)
  assert.equal(capped(40_000), `${start} 40 s.`)
})

test('a time-out names the seconds there were', () => {
  for (const [waitedMs, seconds] of [
    [30, 0.03],
    [1_500, 2],
    [600_000, 600],
  ])
    assert.equal(timedOut(waitedMs).facts.seconds, seconds)
})

test('tries that never got a connection are a time-out too', () => {
  const outcome = {
    kind: 'unreachable',
    reason: 'no free connection in time',
    httpStatus: null,
    upstreamRequestId: null,
    restMs: null,
  } as const
  const choice = { kind: 'account', id: 'a' } as const
  assert.equal(
    allFailed(choice, [{ outcome, timedOut: true }], { waitedMs: 60_000, isSpent: false }).code,
    'upstream_timeout',
  )
  assert.equal(
    allFailed(choice, [{ outcome, timedOut: false }], { waitedMs: 60_000, isSpent: false }).code,
    'no_healthy_account',
  )
})
