import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AttemptOutcome } from '../../src/core/attempt-outcome.ts'
import { errorMessage } from '../../src/core/errors.ts'
import { allFailed, type FailedTry, nothingTried, timedOut } from '../../src/gateway/all-failed.ts'
import type { Choice } from '../../src/pool/candidate.ts'

const ANY = { tags: [], models: ['*'], disabledAtMs: null }
const ASKED = { want: { model: 'claude-opus-5', tags: null }, route: { state: null } }

function tried(accountId: string, kind: AttemptOutcome['kind'], reason: string): FailedTry {
  const nothing = { httpStatus: null, upstreamRequestId: null, restMs: null }
  return { accountId, outcome: { kind, reason, ...nothing }, timedOut: false }
}

function told(seen: readonly FailedTry[], choice: Choice = { kind: 'account', id: 'z' }) {
  const error = allFailed(choice, seen, { waitedMs: 60_000, isSpent: false })
  const { code, facts, retryAfterMs } = error
  return { code, retryAfterMs, text: errorMessage(code, facts) }
}

function unhealthyFor(retryAfterMs: number | null): string {
  const error = nothingTried({ kind: 'none', because: 'unhealthy', retryAfterMs }, [ANY], ASKED)
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
    const error = nothingTried({ kind: 'none', because: 'capped', retryAfterMs }, [ANY], ASKED)
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
  const late = tried('a', 'unreachable', 'no free connection in time')
  assert.equal(told([{ ...late, timedOut: true }]).code, 'upstream_timeout')
  assert.equal(told([late]).code, 'no_healthy_account')
})

test('a failure of upstream is told in words for customers, of the accounts where it was so', () => {
  const broke = tried('c', 'server_error', 'connection broke (UND_ERR_SOCKET)')
  const text = (...seen: readonly FailedTry[]) => told(seen).text
  const end = 'Please retry in a moment.'
  assert.equal(text(broke), `Upstream failed: the connection broke. ${end}`)
  assert.equal(
    text(
      tried('a', 'out_of_credit', '400 credit balance too low'),
      tried('b', 'unauthorized', '401 authentication_error'),
      broke,
    ),
    `Upstream failed: the connection broke, after 3 accounts were tried. ${end}`,
  )
  const busy = (id: string) => tried(id, 'overloaded', '529 overloaded_error')
  const answered = 'Upstream failed: Anthropic answered 529 (overloaded_error)'
  assert.equal(text(busy('a'), busy('b')), `${answered}, on 2 accounts. ${end}`)
  assert.equal(text(busy('a'), busy('a')), `${answered}. ${end}`, 'one account twice is one')
})

test('only accounts that were tried are said to be at their rate limit, and who may come when', () => {
  const limited = (id: string) => tried(id, 'rate_limited', '429 rate_limit_error')
  const { code, text, retryAfterMs } = told([limited('a'), limited('b'), limited('c')])
  assert.equal(code, 'account_rpm_exceeded')
  const start = 'This request found no upstream account with room:'
  assert.equal(
    text,
    `${start} the 3 that were tried are at their rate limits. Try again in 1 s.`,
    'a fourth would serve at once',
  )
  assert.equal(retryAfterMs, 1_000)
  const waiting = { kind: 'none', because: 'limited', retryAfterMs: 30_000 } as const
  assert.equal(told([limited('a')], waiting).retryAfterMs, 30_000)
  const untried = nothingTried(waiting, [ANY], ASKED)
  assert.equal(
    errorMessage(untried.code, untried.facts),
    `${start} each is busy or at a limit. Try again in 30 s.`,
  )
})

test('where another account could serve still, nobody says that none is healthy', () => {
  const { text } = told([tried('a', 'unauthorized', '401 x'), tried('b', 'unauthorized', '401 x')])
  assert.equal(
    text,
    'No healthy upstream account right now among the 2 tried. Please retry shortly.',
  )
})

test('where no account could ever serve, it is told what is missing', () => {
  const none = { kind: 'none', because: 'no_accounts', retryAfterMs: null } as const
  const text = (
    accounts: readonly (typeof ANY | object)[],
    tags: readonly string[] | null = null,
  ) => {
    const all = accounts.map((one) => ({ ...ANY, ...one }))
    const error = nothingTried(none, all, { ...ASKED, want: { ...ASKED.want, tags } })
    assert.equal(error.retryAfterMs, error.code === 'no_accounts_configured' ? null : Infinity)
    return errorMessage(error.code, error.facts).replace(
      /^No healthy upstream account right now: /,
      '',
    )
  }
  const off = { disabledAtMs: 1 }
  const haiku = { models: ['claude-haiku-*'] }
  const eu = { tags: ['eu'] }
  assert.equal(text([off, off]), 'all accounts are disabled.')
  assert.equal(text([haiku]), 'none serves this model.')
  assert.equal(text([haiku, off]), 'all accounts that serve this model are disabled.')
  assert.equal(text([{}], ['eu']), 'there is none that this key may use.')
  assert.equal(
    text([{}, { ...eu, ...off }], ['eu']),
    'all accounts that this key may use are disabled.',
  )
  assert.equal(
    text([{}, { ...eu, ...haiku }], ['eu']),
    'none of the accounts that this key may use serves this model.',
  )
  assert.equal(
    text(
      [
        { ...eu, ...haiku },
        { ...eu, ...off },
      ],
      ['eu'],
    ),
    'all accounts that this key may use and that serve this model are disabled.',
  )
})
