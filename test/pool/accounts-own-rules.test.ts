import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NOTICE_KINDS } from '../../src/core/account-notices.ts'
import { countPart, fastPart } from '../../src/core/account-state.ts'
import type { Account, HeadroomRow } from '../../src/core/model.ts'
import { becauseOf } from '../../src/pool/candidate.ts'
import type { Evidence } from '../../src/pool/cooldown.ts'
import { Pool } from '../../src/pool/pool.ts'
import { account } from '../support/accounts.ts'

const MODEL = 'claude-opus-5-5'
const CLASS = 'opus-5-5'
/** A Sunday, 12:00 UTC. */
const NOON = Date.UTC(2026, 10, 22, 12)

function headroom(accountId: string, more: Partial<HeadroomRow> = {}): HeadroomRow {
  return {
    accountId,
    requestsLimit: null,
    requestsRemaining: null,
    inputTokensLimit: null,
    inputTokensRemaining: null,
    outputTokensLimit: null,
    outputTokensRemaining: null,
    resetAtMs: null,
    organizationId: null,
    workspaceId: null,
    updatedAtMs: NOON,
    ...more,
  }
}

function world(accounts: readonly Account[], timeZone = 'UTC') {
  const clock = { wallMs: NOON, runMs: 1_000 }
  const pool = new Pool({
    clock: { nowMs: () => clock.wallMs, monotonicMs: () => clock.runMs },
    random: () => 0.5,
    policy: {
      overloaded: { firstMs: 2_000, maxMs: 30_000 },
      rateLimited: { firstMs: 5_000, maxMs: 60_000 },
      serverError: { firstMs: 5_000, maxMs: 300_000, tripAfter: 3 },
    },
    timeZone,
  })
  const learned: string[] = []
  pool.whenLearned((scope, before, now) => learned.push(`${scope} ${before} ${now}`))
  const load = (list: readonly Account[]) =>
    pool.reload(
      list.map((one) => ({ account: one, credential: 'k', proxy: null })),
      [],
    )
  load(accounts)
  return {
    pool,
    clock,
    learned,
    load,
    pass(ms: number) {
      clock.wallMs += ms
      clock.runMs += ms
    },
    of(id: string, isFast = false) {
      const one = pool.candidates(MODEL, CLASS, { isFast }).find((each) => each.id === id)
      assert.ok(one !== undefined)
      return one
    },
    take(id: string, inputTokens: number, isFast = false) {
      const slot = pool.take(id, {
        keyId: 'key_1',
        model: MODEL,
        modelClass: CLASS,
        inputTokens,
        isFast,
      })
      assert.ok(slot !== null)
      return slot
    },
    see(
      id: string,
      kind: Evidence['kind'],
      { isFast = false, restMs = null as number | null } = {},
    ) {
      const evidence = { kind, reason: kind, httpStatus: null, upstreamRequestId: null, restMs }
      pool.observe(
        id,
        { ...evidence, sentAtMs: clock.wallMs, keyId: 'key_1' },
        { credentialVersion: 1, requestId: 'ccr_1', model: MODEL, modelClass: CLASS, isFast },
      )
    },
  }
}

test('outside its hours an account is closed until they begin, in the time zone of the config', () => {
  const hours = 'mon-fri 08:00-18:00'
  const w = world([account('a', { hours }), account('b')], 'Europe/Berlin')
  // Sunday 13:00 in Berlin: 19 hours until Monday 8:00.
  assert.deepEqual(w.of('a').rest, { kind: 'closed', forMs: 19 * 3_600_000, isSoft: false })
  assert.equal(w.of('b').rest, null)
  assert.deepEqual(w.pool.counts(), { healthy: 1, resting: 1, disabled: 0 })
  const slot = w.take('b', 10)
  w.load([account('a', { hours: null }), account('b', { hours })])
  assert.equal(w.of('a').rest, null, 'other hours are in force at once')
  assert.equal(w.of('b').rest?.kind, 'closed')
  slot.began(10)
  slot.release()
  w.pass(19 * 3_600_000)
  assert.equal(w.of('b').rest, null)
})

test('a closed account is never asked out of need, and says so when all are closed', () => {
  const w = world([
    account('a', { hours: 'mon 08:00-09:00' }),
    account('b', { hours: 'tue 08:00-09:00' }),
  ])
  const candidates = w.pool.candidates(MODEL, CLASS)
  assert.deepEqual(
    candidates.map(({ rest }) => rest?.isSoft),
    [false, false],
  )
  assert.equal(becauseOf(candidates), 'closed')
  const capped = { ...candidates[1], rest: { kind: 'capped', forMs: 1_000 } } as const
  assert.equal(becauseOf([candidates[0], capped]), 'closed')
  const limited = { ...candidates[1], rest: { kind: 'limited', forMs: 1_000 } } as const
  assert.equal(becauseOf([candidates[0], limited]), 'limited')
})

test('what rests for longer than until the doors open rests on', () => {
  const w = world([account('a', { hours: 'sun 13:00-14:00' })])
  w.see('a', 'unauthorized')
  assert.deepEqual(w.of('a').rest, { kind: 'unhealthy', forMs: null, isSoft: false })
})

test('tokens per minute: input is reserved, corrected when the answer begins, output added at its end', () => {
  const w = world([account('a', { tpmLimit: 6_000 })])
  assert.equal(w.of('a').rpmWaitMs, 0)
  const one = w.take('a', 6_500)
  assert.equal(w.of('a').rpmWaitMs, 5_010, 'at 100 tokens a second, until one is there')
  one.began(2_000)
  assert.equal(w.of('a').rpmWaitMs, 0)
  one.ended(9_000)
  one.release()
  assert.equal(w.of('a').rpmWaitMs, 30_010)
  w.pass(30_010)
  assert.equal(w.of('a').rpmWaitMs, 0)
  const other = w.take('a', 5_000)
  assert.ok(w.of('a').rpmWaitMs > 0)
  other.release()
  assert.equal(w.of('a').rpmWaitMs, 0, 'a try that never began took nothing')
})

test('an account without a limit of tokens never waits for any', () => {
  const w = world([account('a')])
  w.take('a', 1e9).ended(1e9)
  assert.equal(w.of('a').rpmWaitMs, 0)
})

test('candidates carry the tags of their accounts, and the last one that a key may use is paced', () => {
  const w = world([account('a', { tags: ['eu', 'vip'] }), account('b')])
  assert.deepEqual(w.of('a').tags, ['eu', 'vip'])
  w.see('a', 'overloaded')
  assert.equal(w.of('a').rest?.forMs, 1_500)
  const confined = w.pool.candidates(MODEL, CLASS, { tags: ['vip'] })
  assert.equal(confined[0].rest, null, 'there is no other one for this key')
})

test('accounts of one scope share the name of a workspace until upstream tells it', () => {
  const shared = { cacheScope: 'research' }
  const w = world([account('a', shared), account('b', shared), account('c')])
  assert.deepEqual(
    ['a', 'b', 'c'].map((id) => w.pool.workspaceOf(id)),
    ['scope:research', 'scope:research', 'c'],
  )
  assert.deepEqual(w.of('c').workspace, null)
  w.learned.length = 0
  w.pool.noteHeadroom(headroom('b', { organizationId: 'org_1', workspaceId: 'wrkspc_1' }))
  assert.deepEqual(
    ['a', 'b', 'c'].map((id) => w.pool.workspaceOf(id)),
    ['wrkspc_1', 'wrkspc_1', 'c'],
  )
  assert.ok(w.learned.includes('workspace scope:research wrkspc_1'))
  assert.ok(w.learned.includes('organization b org_1'))
  // An account that leaves the scope takes nothing along that is not its own.
  w.learned.length = 0
  w.load([account('a'), account('b', shared), account('c', shared)])
  assert.deepEqual(
    ['a', 'b', 'c'].map((id) => w.pool.workspaceOf(id)),
    ['a', 'wrkspc_1', 'wrkspc_1'],
  )
  assert.deepEqual(w.learned, ['workspace c wrkspc_1'])
})

test('a scope that upstream contradicts is told to people, once, and what upstream says holds', () => {
  const shared = { cacheScope: 'research' }
  const w = world([account('a', shared), account('b', shared)])
  w.pool.noteHeadroom(headroom('a', { workspaceId: 'wrkspc_1' }))
  w.pool.takeChanges()
  for (let i = 0; i < 2; i++) w.pool.noteHeadroom(headroom('b', { workspaceId: 'wrkspc_2' }))
  assert.equal(w.pool.workspaceOf('b'), 'wrkspc_2')
  const told = w.pool.takeChanges()?.events ?? []
  assert.deepEqual(
    told.map(({ accountId, kind, message }) => [accountId, kind, message]),
    [
      [
        'b',
        NOTICE_KINDS.cacheScope,
        'is in workspace wrkspc_2, others of cache scope research are in wrkspc_1',
      ],
    ],
  )
})

test('a fast request that is limited or overloaded rests fast mode only', () => {
  for (const kind of ['rate_limited', 'overloaded'] as const) {
    const w = world([account('a'), account('b')])
    w.see('a', kind, { isFast: true, restMs: kind === 'rate_limited' ? 20_000 : null })
    assert.equal(w.of('a').rest, null, kind)
    assert.notEqual(w.of('a', true).rest, null, kind)
    const rows = w.pool.takeChanges()?.health ?? []
    assert.deepEqual(
      rows.map(({ modelClass }) => modelClass),
      [fastPart(CLASS)],
    )
    w.pass(25_000)
    w.see('a', 'ok', { isFast: true })
    assert.equal(w.of('a', true).rest, null)
    assert.equal(w.pool.takeChanges()?.health[0]?.state, 'healthy')
  }
})

test('what rests an account for all rests it for fast requests as well', () => {
  const w = world([account('a'), account('b'), account('c')])
  w.see('a', 'rate_limited', { restMs: 20_000 })
  assert.equal(w.of('a').rest?.kind, 'limited')
  assert.equal(w.of('a', true).rest?.kind, 'limited')
  for (let i = 0; i < 3; i++) w.see('b', 'server_error', { isFast: true })
  assert.equal(w.of('b').rest?.kind, 'unhealthy')
})

test('limits of fast mode steer and stop fast requests, before anybody is refused', () => {
  const w = world([account('a'), account('b')])
  w.pool.noteLimits('a', CLASS, { input: { limit: 100_000, remaining: 100_000 } })
  w.pool.noteLimits('a', fastPart(CLASS), { input: { limit: 10_000, remaining: 900 } })
  assert.deepEqual([w.of('a').headroom, w.of('a', true).headroom], [1, 0.09])
  w.take('a', 5_000, true)
  assert.equal(w.of('a').rest, null)
  assert.equal(w.of('a').headroom, 1, 'a fast request takes nothing of the others')
  const rest = w.of('a', true).rest
  assert.equal(rest?.kind, 'limited')
  assert.ok((rest?.forMs ?? 0) > 20_000)
})

test('a Priority Tier that is used up steers away and stops nobody', () => {
  const w = world([account('a')])
  w.pool.noteLimits('a', CLASS, { priority_input: { limit: 10_000, remaining: 0 } })
  assert.equal(w.of('a').headroom, 0)
  assert.equal(w.of('a').rest, null)
})

test('a rate limit that upstream states holds for all accounts of the organisation, until one is served', () => {
  const w = world([account('a'), account('b'), account('c'), account('d')])
  for (const id of ['a', 'b', 'd']) w.pool.noteHeadroom(headroom(id, { organizationId: 'org_1' }))
  w.see('a', 'rate_limited', { restMs: 20_000 })
  assert.deepEqual(w.of('a').rest, { kind: 'limited', forMs: 20_000, isSoft: false })
  assert.deepEqual(w.of('b').rest, { kind: 'limited', forMs: 20_000, isSoft: true })
  assert.equal(w.of('c').rest, null)
  w.pass(1_000)
  w.see('b', 'ok')
  assert.equal(w.of('d').rest, null, 'it was not the whole organisation')
  w.see('d', 'rate_limited', { restMs: 20_000 })
  assert.notEqual(w.of('b').rest, null)
  const cleared = account('d', { cooldownClearedAtMs: w.clock.wallMs })
  w.load([account('a'), account('b'), account('c'), cleared])
  assert.equal(w.of('b').rest, null, 'a person ended it')
})

test('the time until answers begin is learned from streams', () => {
  const w = world([account('a'), account('b')])
  const slot = w.take('a', 10)
  slot.began(10, 800)
  slot.release()
  assert.equal(w.of('a').firstTokenMs, 800)
  w.take('b', 10).began(10)
  assert.equal(w.of('b').firstTokenMs, null, 'an answer that does not stream tells nothing of it')
})

test('an account that this request may not use is not the one that is asked out of need', () => {
  const w = world([account('a'), account('b')])
  w.see('b', 'overloaded')
  assert.deepEqual([w.of('a').rest, w.of('b').rest?.forMs], [null, 1_500])
  const capped = { kind: 'capped', forMs: 60_000 } as const
  const candidates = w.pool.candidates(MODEL, CLASS, {
    alsoRests: ({ account: { id } }) => (id === 'a' ? capped : null),
  })
  assert.deepEqual(
    candidates.map(({ rest }) => rest),
    [capped, null],
  )
})

test('a trial is over when its answer begins: its long stream keeps nobody out of the next rest but one', () => {
  const w = world([account('a'), account('b')])
  w.see('a', 'overloaded')
  w.pass(1_500)
  const trial = w.take('a', 0)
  assert.equal(w.of('a').rest?.forMs, 1_000, 'half open: one at a time')
  w.see('a', 'ok')
  trial.began(0)
  assert.equal(w.of('a').rest, null)
  w.pass(1_000)
  w.see('a', 'overloaded')
  w.pass(60_000)
  assert.equal(w.of('a').inFlight, 1, 'the first trial still streams')
  assert.equal(w.of('a').rest, null, 'and another one may be made')
  const next = w.take('a', 0)
  assert.equal(w.of('a').rest?.forMs, 1_000)
  trial.release()
  assert.equal(w.of('a').rest?.forMs, 1_000, 'the end of the old one does not end the new one')
  next.cancel()
  assert.equal(w.of('a').rest, null, 'a trial that never left makes room')
})

test('the tightest sum of tokens is a workspace’s, all else the organisation’s', () => {
  const w = world([account('a'), account('b'), account('c')])
  const inOrg = { organizationId: 'org_1' }
  w.pool.noteHeadroom(headroom('a', { ...inOrg, workspaceId: 'wrkspc_1' }))
  w.pool.noteHeadroom(headroom('b', { ...inOrg, workspaceId: 'wrkspc_2' }))
  w.pool.noteHeadroom(headroom('c', { ...inOrg, workspaceId: 'wrkspc_1' }))
  w.pool.noteLimits('a', CLASS, {
    tokens: { limit: 1_000, remaining: 0 },
    input: { limit: 100_000, remaining: 50_000 },
  })
  assert.deepEqual(
    ['a', 'b', 'c'].map((id) => [w.of(id).rest?.kind, w.of(id).headroom]),
    [
      ['limited', 0],
      [undefined, 0.5],
      ['limited', 0],
    ],
  )
  // Both are set aside, and both are given back.
  w.pass(60_000)
  const slot = w.take('a', 1_000)
  assert.deepEqual([w.of('a').rest?.kind, w.of('b').headroom], ['limited', 0.99])
  slot.cancel()
  assert.deepEqual([w.of('a').rest, w.of('a').headroom, w.of('b').headroom], [null, 1, 1])
})

test('what one account of an organisation was told keeps the others out for a minute at most', () => {
  const w = world([account('a'), account('b'), account('c')])
  for (const id of ['a', 'b'])
    w.pool.noteHeadroom(headroom(id, { organizationId: 'org_1', workspaceId: `wrkspc_${id}` }))
  w.see('a', 'rate_limited', { restMs: 1_800_000 })
  assert.equal(w.of('b').rest?.forMs, 60_000)
  w.pass(60_000)
  assert.deepEqual([w.of('a').rest?.forMs, w.of('b').rest], [1_740_000, null])
})

test('the last account of a model is asked once a second, however much it serves of others', () => {
  const w = world([account('a')])
  for (let i = 0; i < 3; i++) w.see('a', 'overloaded')
  w.take('a', 0)
  assert.equal(w.of('a').rest?.forMs, 1_000)
  for (let i = 0; i < 10; i++) {
    w.pass(100)
    const haiku = { keyId: 'key_1', model: 'claude-haiku-4-5', modelClass: 'haiku-4-5' }
    w.pool.take('a', haiku)?.release()
    w.pool.take('a', { keyId: 'key_1', model: MODEL, modelClass: countPart(CLASS) })?.release()
  }
  assert.equal(w.of('a').rest, null)
})

test('the account that is asked out of need is one that has a slot', () => {
  const w = world([account('a', { concurrencyLimit: 1 }), account('b')])
  const slot = w.take('a', 0)
  w.see('a', 'server_error')
  w.pass(5_000)
  for (let i = 0; i < 3; i++) for (const id of ['a', 'b']) w.see(id, 'server_error')
  assert.deepEqual([w.of('a').rest?.isSoft, w.of('b').rest], [true, null])
  slot.release()
  assert.equal(w.of('a').rest, null, 'the rest that ends first is its')
})

test('an answer to a request that left before a shared 429 came does not end it', () => {
  const w = world([account('a'), account('b'), account('c')])
  for (const id of ['a', 'b']) w.pool.noteHeadroom(headroom(id, { organizationId: 'org_1' }))
  const ok = {
    kind: 'ok',
    reason: '',
    httpStatus: 200,
    upstreamRequestId: null,
    restMs: null,
  } as const
  const about = { credentialVersion: 1, requestId: 'ccr_1', model: MODEL, modelClass: CLASS }
  const sentAtMs = w.clock.wallMs
  w.pass(100)
  w.see('a', 'rate_limited', { restMs: 30_000 })
  w.pass(100)
  w.pool.observe('b', { ...ok, sentAtMs, keyId: 'key_1' }, about)
  assert.equal(w.of('b').rest?.forMs, 29_900)
  w.see('b', 'ok')
  assert.equal(w.of('b').rest, null)
})

test('tokens that a higher limit allowed do not shut an account for hours under a lower one', () => {
  const w = world([account('a', { tpmLimit: 1_000_000 })])
  w.take('a', 500_000)
  w.load([account('a', { tpmLimit: 10_000 })])
  assert.equal(w.of('a').rpmWaitMs, 0)
  const slot = w.take('a', 6_000)
  assert.ok(w.of('a').rpmWaitMs > 0 && w.of('a').rpmWaitMs < 60_000)
  slot.release()
  assert.equal(w.of('a').rpmWaitMs, 0)
})
