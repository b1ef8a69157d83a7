import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Account, HealthRow } from '../../src/core/model.ts'
import type { Candidate, Choice } from '../../src/pool/candidate.ts'
import type { Evidence } from '../../src/pool/cooldown.ts'
import { Pool } from '../../src/pool/pool.ts'
import { select } from '../../src/pool/select.ts'
import { account } from '../support/accounts.ts'

const MODEL = 'claude-sonnet-4-6'
const CLASS = 'sonnet'
const T0 = Date.UTC(2026, 10, 22)

function world(accounts: readonly Account[], stored: readonly HealthRow[] = []) {
  // Wall and monotonic time move together unless a test moves one of them.
  const clock = { wallMs: T0, runMs: 1_000 }
  const pool = new Pool({
    clock: { nowMs: () => clock.wallMs, monotonicMs: () => clock.runMs },
    random: () => 0.5,
    policy: {
      overloaded: { firstMs: 2_000, maxMs: 30_000 },
      rateLimited: { firstMs: 5_000, maxMs: 60_000 },
      serverError: { firstMs: 5_000, maxMs: 300_000, tripAfter: 3 },
    },
  })
  const load = (list: readonly Account[], rows: readonly HealthRow[] = []) =>
    pool.reload(
      list.map((one) => ({ account: one, credential: `secret of ${one.id}`, proxy: null })),
      rows,
    )
  load(accounts, stored)
  return {
    pool,
    clock,
    load,
    pass(ms: number) {
      clock.wallMs += ms
      clock.runMs += ms
    },
    choose: (tried: readonly string[] = [], model = MODEL) =>
      choiceOf(pool.candidates(model, CLASS), new Set(tried)),
    rest(id: string, model = MODEL) {
      const rest = pool.candidates(model, CLASS).find((one) => one.id === id)?.rest ?? null
      return rest === null ? null : { kind: rest.kind, forMs: rest.forMs }
    },
    take: (id: string, keyId = 'key_1') =>
      pool.take(id, { keyId, model: MODEL, modelClass: CLASS }),
    see(id: string, kind: Evidence['kind'], more: Partial<Evidence> = {}, version = 1) {
      const evidence: Evidence = {
        kind,
        reason: `saw ${kind}`,
        httpStatus: null,
        upstreamRequestId: null,
        restMs: null,
        sentAtMs: clock.wallMs,
        keyId: 'key_1',
        ...more,
      }
      pool.observe(id, evidence, {
        credentialVersion: version,
        requestId: 'ccr_1',
        model: MODEL,
        modelClass: CLASS,
      })
    },
  }
}

/** What a request that is neither bound nor warm anywhere gets, without the reasons. */
function choiceOf(candidates: readonly Candidate[], tried: ReadonlySet<string>): Choice {
  const plain = { again: null, tags: null, bound: null, warm: [], promptTokens: 0 }
  const demand = { ...plain, tried, rewriteMicroPerMTok: 0, waitedMs: 0, longestWaitMs: 0 }
  const decision = select(candidates, demand, () => 0)
  if (decision.kind === 'account') return { kind: 'account', id: decision.id }
  assert.ok(decision.kind === 'none', 'nothing is worth waiting for')
  return { kind: 'none', because: decision.because, retryAfterMs: decision.retryAfterMs }
}

function row(accountId: string, more: Partial<HealthRow> = {}): HealthRow {
  return {
    accountId,
    modelClass: CLASS,
    state: 'rate_limited',
    reason: '429 rate_limit_error',
    httpStatus: 429,
    upstreamRequestId: null,
    sinceMs: T0 - 1_000,
    untilMs: T0 + 20_000,
    step: 2,
    credentialVersion: 1,
    ...more,
  }
}

test('an account takes as many requests at once as its concurrency, and one more for each that ends', () => {
  const { take, choose } = world([account('a', { concurrencyLimit: 2 })])
  take('a')
  const slot = take('a')
  assert.equal(choose().kind, 'none')
  slot?.release()
  slot?.release()
  assert.deepEqual(choose(), { kind: 'account', id: 'a' })
  take('a')
  assert.equal(choose().kind, 'none', 'a slot goes back once')
})

test("an account's requests per minute are exact; a request that never left does not count", () => {
  const { take, choose, pass } = world([account('a', { rpmLimit: 3 })])
  take('a')?.cancel()
  for (let i = 0; i < 3; i++) {
    assert.equal(choose().kind, 'account', `request ${i + 1}`)
    take('a')?.release()
  }
  assert.deepEqual(choose(), { kind: 'none', because: 'limited', retryAfterMs: 20_000 })
  pass(20_000)
  assert.equal(choose().kind, 'account')
})

test('a disabled account is never offered, whatever else is true of it', () => {
  const { choose, pool } = world([account('a', { disabledAtMs: T0 })])
  assert.deepEqual(choose(), { kind: 'none', because: 'no_accounts', retryAfterMs: null })
  assert.deepEqual(pool.counts(), { healthy: 0, resting: 0, disabled: 1 })
})

test('an account serves only the models on its list', () => {
  const { choose } = world([account('a', { models: ['claude-haiku-*'] })])
  assert.equal(choose().kind, 'none')
  assert.equal(choose([], 'claude-haiku-4-5').kind, 'account')
})

test('a rate limit rests one model class, a dead key the whole account', () => {
  const { see, rest, pool } = world([account('a'), account('b')])
  see('a', 'rate_limited', { restMs: 30_000 })
  assert.deepEqual(rest('a'), { kind: 'limited', forMs: 30_000 })
  const other = pool.candidates('claude-haiku-4-5', 'haiku').find((one) => one.id === 'a')
  assert.equal(other?.rest, null)
  see('b', 'unauthorized')
  for (const model of ['sonnet', 'haiku']) {
    const all = pool.candidates(`claude-${model}`, model).find((one) => one.id === 'b')
    assert.deepEqual(all?.rest, { kind: 'unhealthy', forMs: null, isSoft: false })
  }
})

test('a refused model rests that model alone, not its class', () => {
  const { see, rest } = world([account('a')])
  see('a', 'forbidden')
  assert.deepEqual(rest('a'), { kind: 'unhealthy', forMs: 3_600_000 })
  assert.equal(rest('a', 'claude-sonnet-5'), null)
})

test('of several rests the longest is the one that people wait for', () => {
  const { see, rest } = world([account('a')])
  for (let i = 0; i < 3; i++) see('a', 'unreachable')
  see('a', 'rate_limited', { restMs: 40_000 })
  assert.deepEqual(rest('a'), { kind: 'limited', forMs: 40_000 })
  see('a', 'forbidden')
  assert.deepEqual(rest('a'), { kind: 'unhealthy', forMs: 3_600_000 })
})

test('a person rests an account too, and a longer illness outlasts that', () => {
  const { rest, see } = world([account('a', { cooldownUntilMs: T0 + 10_000 })])
  assert.deepEqual(rest('a'), { kind: 'unhealthy', forMs: 10_000 })
  see('a', 'unauthorized')
  assert.deepEqual(rest('a'), { kind: 'unhealthy', forMs: null })
})

test('what a person cleared no longer counts, and what began afterwards does', () => {
  const { load, see, rest, pass, clock } = world([account('a')])
  see('a', 'rate_limited', { restMs: 60_000 })
  pass(1_000)
  const cleared = account('a', { cooldownClearedAtMs: clock.wallMs })
  load([cleared])
  assert.equal(rest('a'), null)
  pass(1_000)
  see('a', 'rate_limited', { restMs: 60_000 })
  load([cleared])
  assert.deepEqual(rest('a'), { kind: 'limited', forMs: 60_000 })
})

test('a new credential starts healthy, and what the old one still brings is ignored', () => {
  const { load, see, rest } = world([account('a')])
  see('a', 'unauthorized')
  load([account('a', { credentialVersion: 2 })])
  assert.equal(rest('a'), null)
  see('a', 'unauthorized', {}, 1)
  assert.equal(rest('a'), null)
  see('a', 'unauthorized', {}, 2)
  assert.deepEqual(rest('a'), { kind: 'unhealthy', forMs: null })
})

test('health survives a restart, but not that of an older credential', () => {
  const rows = [row('a'), row('b')]
  const { rest } = world([account('a'), account('b', { credentialVersion: 2 })], rows)
  assert.deepEqual(rest('a'), { kind: 'limited', forMs: 20_000 })
  assert.equal(rest('b'), null)
})

test('a row from the future, left by a clock that was wrong, rests no longer than it said', () => {
  const future = T0 + 7 * 86_400_000
  const rows = [row('a', { sinceMs: future, untilMs: future + 20_000 })]
  const { rest, see, pass } = world([account('a'), account('other')], rows)
  assert.deepEqual(rest('a'), { kind: 'limited', forMs: 20_000 })
  pass(21_000)
  see('a', 'overloaded')
  assert.notEqual(rest('a'), null, 'evidence counts again')
})

test('a wall clock that jumps neither ends a rest early nor makes it longer', () => {
  for (const jumpMs of [-7_200_000, 86_400_000]) {
    const { rest, see, pass, clock, pool } = world([account('a'), account('other')])
    see('a', 'rate_limited', { restMs: 60_000 })
    pass(10_000)
    clock.wallMs += jumpMs
    assert.deepEqual(rest('a'), { kind: 'limited', forMs: 50_000 }, `jump of ${jumpMs}`)
    pass(50_000)
    assert.equal(rest('a'), null)
    see('a', 'overloaded')
    assert.notEqual(rest('a'), null, 'evidence counts after the jump')
    const until = pool.takeChanges()?.health[0]?.untilMs ?? 0
    assert.ok(until > clock.wallMs && until < clock.wallMs + 30_000, 'people see wall time')
  }
})

test('load and limits survive a reload, and end with the account', () => {
  const { pool, load, choose, take } = world([account('a', { concurrencyLimit: 1 })])
  const slot = take('a')
  load([account('a', { concurrencyLimit: 1, note: 'renamed' })])
  assert.equal(choose().kind, 'none')
  load([])
  assert.equal(pool.size, 0)
  assert.equal(pool.account('a'), null)
  slot?.release()
  slot?.cancel()
  assert.equal(take('a'), null)
  assert.equal(pool.takeChanges(), null)
})

test('changes are handed over once, each with its event', () => {
  const { pool, see, pass } = world([account('a')])
  assert.equal(pool.takeChanges(), null)
  see('a', 'overloaded', { reason: '529 overloaded_error', httpStatus: 529 })
  const changes = pool.takeChanges()
  assert.equal(changes?.health.length, 1)
  assert.deepEqual(
    [changes?.health[0].state, changes?.health[0].modelClass, changes?.health[0].step],
    ['cooling', CLASS, 1],
  )
  assert.deepEqual(
    changes?.events.map(({ kind, message, requestId }) => ({ kind, message, requestId })),
    [{ kind: 'cooling', message: '529 overloaded_error', requestId: 'ccr_1' }],
  )
  assert.equal(pool.takeChanges(), null)
  pass(5_000)
  see('a', 'ok')
  assert.deepEqual(
    pool.takeChanges()?.events.map(({ kind }) => kind),
    ['recovered'],
  )
})

test('a failure after a rest is written down as a longer one, not as a recovery', () => {
  const { pool, see, pass } = world([account('a')])
  see('a', 'overloaded')
  pool.takeChanges()
  pass(60_000)
  see('a', 'server_error')
  const changes = pool.takeChanges()
  assert.deepEqual(
    changes?.events.map(({ kind }) => kind),
    ['cooling'],
  )
  assert.equal(changes?.health[0].step, 2)
})

test('successes of a healthy account write nothing', () => {
  const { pool, see } = world([account('a')])
  for (let i = 0; i < 10; i++) see('a', 'ok')
  see('a', 'server_error')
  see('a', 'ok')
  assert.equal(pool.takeChanges(), null)
})

test('only accounts that a free call can bring back are probed', () => {
  const ids = ['dead', 'poor', 'capped', 'held', 'off']
  const { pool, see, rest } = world(
    ids.map((id) => account(id, { disabledAtMs: id === 'off' ? T0 : null })),
  )
  see('dead', 'unauthorized')
  see('poor', 'out_of_credit')
  see('capped', 'out_of_credit', { restMs: 86_400_000 })
  see('held', 'disabled_upstream')
  see('off', 'unauthorized')
  assert.deepEqual(
    pool.probeable().map(({ live, state }) => [live.account.id, state]),
    [
      ['dead', 'unauthorized'],
      ['poor', 'out_of_credit'],
    ],
  )
  pool.recovered('dead')
  assert.equal(rest('dead'), null)
})

test('a success proves the whole account well, not only its model class', () => {
  const { see, rest, pass } = world([account('a'), account('other')])
  for (let i = 0; i < 3; i++) see('a', 'unreachable')
  assert.equal(rest('a')?.kind, 'unhealthy')
  pass(10_000)
  see('a', 'ok')
  see('a', 'unreachable')
  see('a', 'unreachable')
  assert.equal(rest('a'), null, 'the count began anew')
})

test('counts tell healthy, resting and disabled accounts apart', () => {
  const { pool, see } = world([account('a'), account('b'), account('c', { disabledAtMs: T0 })])
  see('b', 'overloaded')
  assert.deepEqual(pool.counts(), { healthy: 1, resting: 1, disabled: 1 })
})

test('an account that a person rests counts as resting', () => {
  const { pool } = world([account('a', { cooldownUntilMs: T0 + 5_000 })])
  assert.deepEqual(pool.counts(), { healthy: 0, resting: 1, disabled: 0 })
})

test('an account whose rest has ended gets one request at a time until one succeeds', () => {
  const { see, rest, pass, take, choose } = world([account('a'), account('b')])
  see('a', 'overloaded')
  pass(10_000)
  assert.equal(rest('a'), null)
  const trial = take('a')
  assert.equal(rest('a')?.kind, 'unhealthy')
  assert.deepEqual(choose(), { kind: 'account', id: 'b' })
  trial?.release()
  assert.equal(rest('a'), null, 'a trial that says nothing makes room for the next')
  take('a')
  see('a', 'ok')
  assert.equal(rest('a'), null, 'it is well again while the trial still runs')
})

test('the last account is paced for a soft reason, never benched, and never for a hard one', () => {
  const { see, pass, take, choose } = world([account('a'), account('b')])
  see('b', 'unauthorized')
  const begin = () => {
    const choice = choose()
    return choice.kind === 'account' ? take(choice.id) : null
  }
  begin()?.release()
  for (let i = 0; i < 3; i++) see('a', 'server_error')
  assert.equal(begin(), null, 'its failing request was less than a second ago')
  let sent = 0
  for (let ms = 0; ms < 2_400; ms += 100) {
    pass(100)
    const slot = begin()
    if (slot === null) continue
    assert.equal(slot.live.account.id, 'a')
    slot.release()
    see('a', 'server_error')
    sent++
  }
  assert.equal(sent, 2)
  see('a', 'rate_limited', { restMs: 30_000 })
  pass(5_000)
  assert.deepEqual(choose(), { kind: 'none', because: 'unhealthy', retryAfterMs: 25_000 })
})

test('of several resting accounts the one that returns first is paced, all together once a second', () => {
  const { see, pass, take, choose } = world([account('a'), account('b')])
  see('b', 'overloaded')
  pass(500)
  for (let i = 0; i < 3; i++) see('a', 'server_error')
  assert.deepEqual(choose(), { kind: 'account', id: 'b' })
  take('b')?.release()
  assert.equal(choose().kind, 'none')
})

test('529s from two organisations within five seconds rest the model, and no second account', () => {
  const ids = ['a', 'b', 'c']
  const { pool, see, pass, rest } = world(ids.map((id) => account(id)))
  for (const id of ids) {
    pool.noteHeadroom({
      accountId: id,
      requestsLimit: null,
      requestsRemaining: null,
      inputTokensLimit: null,
      inputTokensRemaining: null,
      outputTokensLimit: null,
      outputTokensRemaining: null,
      resetAtMs: null,
      organizationId: id === 'c' ? 'org_b' : `org_${id}`,
      workspaceId: null,
      updatedAtMs: T0,
    })
  }
  see('b', 'overloaded')
  pass(10)
  see('c', 'overloaded')
  assert.equal(rest('a'), null, 'b and c are one organisation')
  pass(10_000)
  see('b', 'ok')
  see('c', 'ok')
  see('a', 'overloaded')
  pass(2_000)
  pool.takeChanges()
  see('b', 'overloaded')
  assert.equal(pool.takeChanges(), null, 'b itself is well')
  assert.notEqual(rest('c'), null)
  pass(2_100)
  assert.equal(rest('c'), null)
})

test('529s of two organisations between which somebody was served rest their accounts, and not the model', () => {
  const { see, pass, rest } = world(['a', 'b', 'c'].map((id) => account(id)))
  see('a', 'overloaded')
  pass(100)
  see('c', 'ok')
  see('b', 'overloaded')
  assert.notEqual(rest('a'), null)
  assert.notEqual(rest('b'), null)
  assert.equal(rest('c'), null)
})

test('one key that provokes failures rests one account at most while others use the pool', () => {
  const ids = ['a', 'b', 'c', 'd']
  const { see, pass, take, rest } = world(ids.map((id) => account(id)))
  for (let round = 0; round < 200; round++) {
    pass(1_000)
    for (const id of ids) {
      for (const keyId of ['key_good', 'key_bad']) {
        if (rest(id) !== null) continue
        take(id, keyId)?.release()
        see(id, keyId === 'key_bad' ? 'server_error' : 'ok', { keyId })
      }
      for (let i = 0; i < 4; i++) see(id, 'server_error', { keyId: 'key_bad' })
    }
    assert.ok(ids.filter((id) => rest(id) !== null).length <= 1)
  }
  assert.equal(ids.filter((id) => rest(id) !== null).length, 1)
})

test('failures that a second key confirms rest every account that has them', () => {
  const ids = ['a', 'b', 'c']
  const { see, take, rest, pool, pass } = world(ids.map((id) => account(id)))
  for (const id of ids) {
    for (const keyId of ['key_1', 'key_2']) take(id, keyId)?.release()
    for (const keyId of ['key_1', 'key_1', 'key_1', 'key_2']) see(id, 'server_error', { keyId })
  }
  assert.equal(pool.counts().resting, 3)
  pass(1_000)
  assert.equal(ids.filter((id) => rest(id) === null).length, 1, 'one of them is paced')
})
