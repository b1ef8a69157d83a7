import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Candidate, waitOf } from '../../src/pool/candidate.ts'
import { type Decision, select } from '../../src/pool/select.ts'
import { type Bound, type Demand, scopeIdOf, thinkingBond } from '../../src/pool/weigh.ts'
import { createRandom } from '../../src/sandbox/random.ts'
import { candidate } from '../support/accounts.ts'

const DEMAND: Demand = {
  tried: new Set(),
  again: null,
  tags: null,
  bound: null,
  warm: [],
  promptTokens: 20_000,
  rewriteMicroPerMTok: 4_800_000,
  waitedMs: 0,
  longestWaitMs: 10_000,
}

/** A pool of `a`, `b`, `c`, `d` with these differences. */
function pool(more: Readonly<Record<string, Partial<Candidate>>> = {}): Candidate[] {
  return ['a', 'b', 'c', 'd'].map((id) => candidate(id, more[id]))
}

function pick(candidates: readonly Candidate[], more: Partial<Demand> = {}, seed = 1): Decision {
  return select(candidates, { ...DEMAND, ...more }, createRandom(seed))
}

function picked(candidates: readonly Candidate[], more: Partial<Demand> = {}, seed = 1): string {
  const decision = pick(candidates, more, seed)
  return decision.kind === 'account' ? decision.id : decision.kind
}

const warmAt = (workspace: string, tokens: number, at = tokens) => ({ workspace, tokens, at })
const resting = (forMs: number | null) => ({ rest: { kind: 'unhealthy' as const, forMs } })

const anyCandidate = fc.record({
  priority: fc.integer({ min: 1, max: 3 }),
  weight: fc.integer({ min: 1, max: 5 }),
  inFlight: fc.integer({ min: 0, max: 30 }),
  concurrencyLimit: fc.option(fc.integer({ min: 1, max: 12 })),
  rpmWaitMs: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 60_000 })),
  rest: fc.option(
    fc.record({
      kind: fc.constantFrom('limited' as const, 'unhealthy' as const),
      forMs: fc.option(fc.integer({ min: 0, max: 400_000 })),
    }),
    { freq: 2 },
  ),
  servesModel: fc.boolean(),
  idleMs: fc.integer({ min: 0, max: 100_000 }),
  tags: fc.subarray(['red', 'blue']),
  workspace: fc.option(fc.constantFrom('w0', 'w1', 'w2')),
  organization: fc.option(fc.constantFrom('o0', 'o1')),
  firstTokenMs: fc.option(fc.integer({ min: 1, max: 9_000 })),
  headroom: fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
})
const anyPool = fc
  .array(anyCandidate, { maxLength: 8 })
  .map((list) => list.map((fields, k) => ({ id: `acct_${k}`, ...fields })))
const anyBound = fc.option(
  fc.record({
    scope: fc.constantFrom('credential', 'workspace', 'organization'),
    id: fc.constantFrom('acct_0', 'acct_1', 'w0', 'w1', 'o0', 'o1'),
    strength: fc.constantFrom('hard', 'until_nothing_left', 'soft'),
  }) satisfies fc.Arbitrary<Bound>,
)
const anyDemand = fc.record({
  tried: fc.subarray(['acct_0', 'acct_1', 'acct_2']).map((ids) => new Set(ids)),
  again: fc.option(fc.constantFrom('acct_0', 'acct_1')),
  tags: fc.option(fc.subarray(['red', 'blue'], { minLength: 1 })),
  bound: anyBound,
  warm: fc.uniqueArray(
    fc.record({
      workspace: fc.constantFrom('w0', 'w1', 'w2', 'acct_0', 'acct_3'),
      tokens: fc.integer({ min: 1, max: 300_000 }),
      at: fc.nat(50),
    }),
    { selector: ({ workspace }) => workspace },
  ),
  promptTokens: fc.nat(300_000),
  rewriteMicroPerMTok: fc.nat(20_000_000),
  waitedMs: fc.nat(12_000),
  longestWaitMs: fc.constantFrom(0, 10_000),
})

function isOpen(one: Candidate, demand: Demand): boolean {
  const { tags, tried, again } = demand
  const hasTag = tags === null || tags.some((tag) => one.tags?.includes(tag))
  return one.servesModel && hasTag && (!tried.has(one.id) || one.id === again)
}

test('whatever the pool: the chosen can serve now, is allowed, and is where a hard bond says', () => {
  fc.assert(
    fc.property(anyPool, anyDemand, fc.nat(), (candidates, demand, seed) => {
      const decision = select(candidates, demand, createRandom(seed))
      const { bound } = demand
      const inside = (one: Candidate) =>
        bound?.strength !== 'hard' || scopeIdOf(one, bound.scope) === bound.id
      const able = candidates.filter((one) => isOpen(one, demand) && inside(one))
      if (decision.kind === 'none') {
        assert.ok(!able.some((one) => waitOf(one) === 0))
        return
      }
      const chosen = able.find(({ id }) => id === decision.id)
      assert.ok(chosen !== undefined)
      if (decision.kind === 'account') assert.equal(waitOf(chosen), 0)
      else {
        assert.ok(decision.forMs > 0)
        assert.ok(decision.forMs + demand.waitedMs <= demand.longestWaitMs)
      }
    }),
  )
})

test('the trail names the chosen first and every other account once, sixteen at most', () => {
  fc.assert(
    fc.property(anyPool, anyDemand, fc.nat(), (candidates, demand, seed) => {
      const decision = select(candidates, demand, createRandom(seed))
      const { trail } = decision
      const ids = trail.candidates.map(({ accountId }) => accountId)
      assert.equal(trail.accountId, decision.kind === 'none' ? null : decision.id)
      if (decision.kind !== 'none') assert.equal(ids[0], decision.id)
      assert.equal(new Set(ids).size, ids.length)
      assert.equal(ids.length + trail.others, candidates.length)
      assert.deepEqual(JSON.parse(JSON.stringify(trail)), trail)
    }),
  )
  const many = Array.from({ length: 40 }, (_, k) => candidate(`${k}`))
  assert.deepEqual([pick(many).trail.candidates.length, pick(many).trail.others], [16, 24])
})

test('the longest live prefix wins, over a freer account and over a shorter prefix', () => {
  const warm = [warmAt('c', 19_000, 40), warmAt('b', 12_000, 9)]
  const decision = pick(pool({ c: { inFlight: 5 } }), { warm })
  assert.equal(decision.trail.because, 'warm')
  assert.equal(decision.trail.accountId, 'c')
  assert.equal(picked(pool({ c: { servesModel: false } }), { warm }), 'b')
})

test('of equally long prefixes the freest account is taken', () => {
  const warm = [warmAt('a', 9_000, 5), warmAt('c', 9_010, 5)]
  assert.equal(picked(pool({ c: { inFlight: 2 } }), { warm }), 'a')
  assert.equal(picked(pool({ a: { inFlight: 2 } }), { warm }), 'c')
})

test('accounts of one workspace are equally warm', () => {
  const more = { a: { workspace: 'w', inFlight: 3 }, b: { workspace: 'w' } }
  assert.equal(picked(pool(more), { warm: [warmAt('w', 19_000)] }), 'b')
})

test('a busy warm account is kept up to eight in flight, and then up to 1.25 of its share', () => {
  const warm = [warmAt('a', 19_000)]
  assert.equal(picked(pool({ a: { inFlight: 7 } }), { warm }), 'a')
  const decision = pick(pool({ a: { inFlight: 8 } }), { warm })
  assert.notEqual(decision.trail.accountId, 'a')
  assert.deepEqual(decision.trail.left, { accountId: 'a', warmTokens: 19_000, because: 'load' })
  const crowd = { b: { inFlight: 20 }, c: { inFlight: 20 }, d: { inFlight: 20 } }
  assert.equal(picked(pool({ ...crowd, a: { inFlight: 24 } }), { warm }), 'a')
  assert.notEqual(picked(pool({ ...crowd, a: { inFlight: 29 } }), { warm }), 'a')
})

test('a shared beginning holds less than a conversation of its own', () => {
  const warm = [warmAt('a', 8_000)]
  assert.equal(picked(pool({ a: { inFlight: 2 } }), { warm }), 'a')
  assert.notEqual(picked(pool({ a: { inFlight: 3 } }), { warm }), 'a')
  assert.equal(picked(pool({ a: { inFlight: 3 } }), { warm, promptTokens: 10_000 }), 'a')
})

test('no account is left for a fuller one', () => {
  const crowd = Object.fromEntries(['b', 'c', 'd'].map((id) => [id, { inFlight: 9 }]))
  assert.equal(picked(pool({ ...crowd, a: { inFlight: 9 } }), { warm: [warmAt('a', 19_000)] }), 'a')
})

test('waiting for a warm account pays up to the price of writing its prefix elsewhere', () => {
  const rested = pool({ a: resting(2_000) })
  // $4.80 a million: 20,000 tokens are worth 9.6 s at a cent a second, 2,000 tokens not one second.
  const wait = pick(rested, { warm: [warmAt('a', 20_000)] })
  assert.deepEqual([wait.kind, wait.kind === 'wait' && wait.forMs], ['wait', 2_000])
  assert.equal(wait.trail.because, 'wait')
  const leave = pick(rested, { warm: [warmAt('a', 2_000)], promptTokens: 2_000 })
  assert.deepEqual([leave.kind, leave.trail.left?.because], ['account', 'resting'])
  assert.equal(pick(rested, { warm: [warmAt('a', 20_000)], waitedMs: 8_000 }).kind, 'account')
  assert.equal(pick(pool({ a: resting(null) }), { warm: [warmAt('a', 900_000)] }).kind, 'account')
  // Nearly as warm elsewhere: there is nothing to wait for.
  assert.equal(picked(rested, { warm: [warmAt('a', 20_000), warmAt('b', 19_500)] }), 'b')
})

test('a full warm account is worth a moment, not more', () => {
  const full = { a: { inFlight: 3, concurrencyLimit: 3 } }
  assert.equal(pick(pool(full), { warm: [warmAt('a', 20_000)] }).kind, 'wait')
  const left = pick(pool(full), { warm: [warmAt('a', 1_000)], promptTokens: 1_000 })
  assert.equal(left.trail.left?.because, 'full')
})

test('the account of a warm 529 may be tried once more, another tried one may not', () => {
  const tried = new Set(['a', 'b'])
  const warm = [warmAt('a', 20_000), warmAt('b', 19_000)]
  assert.equal(pick(pool({ a: resting(1_500) }), { tried, again: 'a', warm }).kind, 'wait')
  assert.equal(picked(pool(), { tried, again: 'a', warm }), 'a')
  assert.ok(['c', 'd'].includes(picked(pool(), { tried, warm })))
})

test('a hard bond waits as long as it may and then says so; a soft one lets go', () => {
  const bound = { scope: 'credential', id: 'a', strength: 'hard' } as const
  assert.equal(picked(pool({ a: { inFlight: 99 } }), { bound }), 'a')
  assert.equal(pick(pool({ a: resting(9_000) }), { bound }).kind, 'wait')
  const none = pick(pool({ a: resting(60_000) }), { bound })
  assert.ok(none.kind === 'none' && none.retryAfterMs === 60_000 && none.because === 'unhealthy')
  assert.equal(
    none.trail.candidates.find(({ accountId }) => accountId === 'b')?.state,
    'out_of_scope',
  )
  const last = pick(pool({ a: resting(60_000) }), {
    bound: { ...bound, strength: 'until_nothing_left' },
  })
  assert.deepEqual([last.kind, last.trail.bound?.isLeft], ['account', true])
  const soft = { ...bound, strength: 'soft' } as const
  assert.equal(pick(pool({ a: resting(9_000) }), { bound: soft }).kind, 'account')
  assert.equal(picked(pool(), { bound: soft }), 'a')
})

test('a bond to an organisation leaves the choice among its accounts to warmth', () => {
  const more = {
    b: { organization: 'o', workspace: 'w1' },
    c: { organization: 'o', workspace: 'w2' },
  }
  const bound = { scope: 'organization', id: 'o', strength: 'until_nothing_left' } as const
  const warm = [warmAt('a', 20_000), warmAt('w2', 15_000)]
  const decision = pick(pool(more), { bound, warm })
  assert.deepEqual([decision.trail.because, decision.trail.accountId], ['bound', 'c'])
})

test('thinking of a binding model holds; of another, or of two organisations, it is a preference', () => {
  const thinking = { organization: 'o', isAmbiguous: false }
  assert.equal(thinkingBond(null, true), null)
  assert.deepEqual(thinkingBond(thinking, true), {
    scope: 'organization',
    id: 'o',
    strength: 'until_nothing_left',
  })
  assert.equal(thinkingBond(thinking, false)?.strength, 'soft')
  assert.equal(thinkingBond({ ...thinking, isAmbiguous: true }, true)?.strength, 'soft')
})

test('a key confined to tags stays there, warm or not', () => {
  const more = { b: { tags: ['eu', 'x'] } }
  assert.equal(picked(pool(more), { tags: ['eu'], warm: [warmAt('a', 20_000)] }), 'b')
  const none = pick(pool(more), { tags: ['us'] })
  assert.ok(none.kind === 'none' && none.because === 'no_accounts')
})

test('the first priority serves until it cannot; a conversation of its own is not called back', () => {
  const tiers = { a: { priority: 2 }, b: { priority: 2 } }
  for (let seed = 0; seed < 20; seed++) assert.match(picked(pool(tiers), {}, seed), /[cd]/)
  assert.match(picked(pool({ ...tiers, c: resting(9_000), d: resting(9_000) })), /[ab]/)
  assert.equal(picked(pool(tiers), { warm: [warmAt('a', 19_000)] }), 'a')
  const shared = pick(pool(tiers), { warm: [warmAt('a', 5_000)] })
  assert.match(shared.trail.accountId ?? '', /[cd]/)
  assert.equal(shared.trail.left?.because, 'priority')
})

test('new conversations go away from accounts whose limits are nearly used up, unless all are', () => {
  const short = { headroom: 0.05 }
  for (let seed = 0; seed < 20; seed++) {
    assert.match(picked(pool({ a: short, b: short }), {}, seed), /[cd]/)
  }
  assert.equal(pick(pool({ a: short, b: short, c: short, d: short })).kind, 'account')
  assert.equal(picked(pool({ a: short }), { warm: [warmAt('a', 19_000)] }), 'a')
})

test('of two drawn at random the freer one: the fullest of many is never taken, the others all are', () => {
  const busy = pool({
    a: { inFlight: 5 },
    b: { inFlight: 1 },
    c: { inFlight: 2 },
    d: { inFlight: 3 },
  })
  const seen = new Map<string, number>()
  for (let seed = 0; seed < 400; seed++) {
    const id = picked(busy, {}, seed)
    seen.set(id, (seen.get(id) ?? 0) + 1)
  }
  assert.deepEqual([...seen.keys()].toSorted(), ['b', 'c', 'd'])
  assert.ok((seen.get('b') ?? 0) > (seen.get('c') ?? 0))
  assert.ok((seen.get('c') ?? 0) > (seen.get('d') ?? 0))
})

test('new conversations are shared by weight, however uneven the weights and many the accounts', () => {
  const weights = [20, 5, 1, 1, 1, 1, 1]
  const running = weights.map(() => 0)
  const random = createRandom(3)
  const total = weights.reduce((sum, weight) => sum + weight, 0) * 20
  for (let k = 0; k < total; k++) {
    const list = weights.map((weight, at) =>
      candidate(String(at), { weight, inFlight: running[at] }),
    )
    const decision = select(list, DEMAND, random)
    assert.ok(decision.kind === 'account')
    running[Number(decision.id)]++
  }
  for (const [at, weight] of weights.entries()) {
    assert.ok(Math.abs(running[at] / (20 * weight) - 1) < 0.25, `${running}`)
  }
})

test('load counts by weight and by the time until an answer begins', () => {
  const two = (more: Partial<Candidate>) => [
    candidate('a', { inFlight: 2, ...more }),
    candidate('b', { inFlight: 1 }),
  ]
  assert.equal(picked(two({})), 'b')
  assert.equal(picked(two({ weight: 3 })), 'a')
  const slow = [
    candidate('a', { inFlight: 2, firstTokenMs: 500 }),
    candidate('b', { inFlight: 1, firstTokenMs: 2_000 }),
  ]
  assert.equal(picked(slow), 'a')
  const idle = [candidate('a', { idleMs: 5_000 }), candidate('b', { idleMs: 2_000, weight: 3 })]
  assert.equal(picked(idle), 'b')
})

test('nothing that can serve: limited when all are at a limit, with the first return', () => {
  const limited = { rest: { kind: 'limited' as const, forMs: 30_000 } }
  const all = Object.fromEntries(['a', 'b', 'c', 'd'].map((id) => [id, limited]))
  const none = pick(pool({ ...all, b: { rest: { kind: 'limited', forMs: 12_000 } } }))
  assert.ok(none.kind === 'none' && none.because === 'limited' && none.retryAfterMs === 12_000)
  const mixed = pick(pool({ ...all, c: resting(null) }))
  assert.ok(mixed.kind === 'none' && mixed.because === 'unhealthy' && mixed.retryAfterMs === 30_000)
})

test('caps are a reason of their own; beside other reasons they only say when', () => {
  const capped = candidate('capped', { rest: { kind: 'capped', forMs: 7_200_000 } })
  const other = candidate('other', { rest: { kind: 'capped', forMs: 3_600_000 } })
  const limited = candidate('limited', { rest: { kind: 'limited', forMs: 9_000 } })
  const ill = candidate('ill', { rest: { kind: 'unhealthy', forMs: null } })
  const none = (...list: Candidate[]) => {
    const choice = pick(list)
    return choice.kind === 'none' ? [choice.because, choice.retryAfterMs] : choice
  }
  assert.deepEqual(none(capped, other), ['capped', 3_600_000])
  assert.deepEqual(none(capped, limited), ['limited', 9_000])
  assert.deepEqual(none(capped, ill), ['unhealthy', 7_200_000])
})

test('full accounts are a limit, resting ones an illness; a mix is an illness', () => {
  const full = candidate('full', { inFlight: 2, concurrencyLimit: 2 })
  const paced = candidate('paced', { rpmWaitMs: 400 })
  const limited = candidate('limited', { rest: { kind: 'limited', forMs: 9_000 } })
  const ill = candidate('ill', { rest: { kind: 'unhealthy', forMs: 5_000 } })
  const dead = candidate('dead', { rest: { kind: 'unhealthy', forMs: null } })
  const none = (list: Candidate[]) => {
    const { trail: _, ...decision } = pick(list)
    return decision
  }
  assert.deepEqual(none([full, limited]), { kind: 'none', because: 'limited', retryAfterMs: 1_000 })
  assert.deepEqual(none([paced]), { kind: 'none', because: 'limited', retryAfterMs: 400 })
  assert.deepEqual(none([limited, ill]), {
    kind: 'none',
    because: 'unhealthy',
    retryAfterMs: 5_000,
  })
  assert.deepEqual(none([dead]), { kind: 'none', because: 'unhealthy', retryAfterMs: null })
  assert.deepEqual(none([]), { kind: 'none', because: 'no_accounts', retryAfterMs: null })
})
