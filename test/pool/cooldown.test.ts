import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { CooldownPolicy, Evidence, Health } from '../../src/pool/cooldown.ts'
import { afterAttempt, HEALTHY, isHalfOpen, rests, scopeOf } from '../../src/pool/cooldown.ts'

const POLICY: CooldownPolicy = {
  overloaded: { firstMs: 2_000, maxMs: 30_000 },
  rateLimited: { firstMs: 5_000, maxMs: 60_000 },
  serverError: { firstMs: 5_000, maxMs: 300_000, tripAfter: 3 },
}
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const T0 = Date.UTC(2026, 10, 22)

function evidence(kind: Evidence['kind'], more: Partial<Evidence> = {}): Evidence {
  return {
    kind,
    reason: kind,
    httpStatus: null,
    upstreamRequestId: null,
    restMs: null,
    sentAtMs: T0,
    keyId: 'key_1',
    ...more,
  }
}

/** One attempt that is sent and ends at the same instant, unless told otherwise. */
function after(
  health: Health,
  kind: Evidence['kind'],
  nowMs: number,
  more: Partial<Evidence> & { jitter?: number } = {},
): Health {
  const { jitter = 0, ...facts } = more
  return afterAttempt(health, evidence(kind, { sentAtMs: nowMs, ...facts }), {
    nowMs,
    jitter,
    policy: POLICY,
  })
}

/** How long the health keeps requests away from `nowMs` on; null: no end. */
function restMs(health: Health, nowMs: number): number | null {
  if (!rests(health, nowMs)) return 0
  return health.untilMs === null ? null : health.untilMs - nowMs
}

const KINDS: readonly Evidence['kind'][] = [
  'ok',
  'client_fault',
  'rate_limited',
  'overloaded',
  'server_error',
  'unreachable',
  'unauthorized',
  'out_of_credit',
  'forbidden',
  'disabled_upstream',
  'abandoned',
]
const anyRest = fc.oneof(
  fc.constant(null),
  fc.constantFrom(Number.NaN, -1, 0, 1e9, 1e15, 1e300, Number.POSITIVE_INFINITY, -1e300, 1.5),
  fc.integer({ min: 1, max: 600_000 }),
)
const anyHistory = fc.array(
  fc.record({
    kind: fc.constantFrom(...KINDS),
    restMs: anyRest,
    afterMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 120_000 })),
    /** How long before its end the attempt left. */
    tookMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 120_000 })),
    jitter: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  }),
  { maxLength: 40 },
)

test('whatever happens, a rest is bounded and its numbers are numbers', () => {
  fc.assert(
    fc.property(anyHistory, (history) => {
      let health = HEALTHY
      let nowMs = T0
      for (const step of history) {
        nowMs += step.afterMs
        health = afterAttempt(
          health,
          evidence(step.kind, { restMs: step.restMs, sentAtMs: nowMs - step.tookMs }),
          { nowMs, jitter: step.jitter, policy: POLICY },
        )
        assert.ok(Number.isFinite(health.sinceMs) && health.sinceMs <= nowMs)
        assert.ok(Number.isInteger(health.step) && health.step >= 0)
        assert.ok(health.recent >= 0 && health.recent < 1_024)
        if (health.untilMs === null) continue
        const limitMs = health.state === 'out_of_credit' ? 32 * DAY_MS : HOUR_MS
        const leftMs = health.untilMs - nowMs
        assert.ok(leftMs <= limitMs, `${health.state} for ${leftMs} ms`)
        assert.ok(Number.isInteger(health.untilMs), `ends at ${health.untilMs}`)
      }
    }),
    { numRuns: 400 },
  )
})

test('the fault of a client, and a request called off, never change anything', () => {
  fc.assert(
    fc.property(anyHistory, fc.constantFrom('client_fault', 'abandoned'), (history, kind) => {
      let health = HEALTHY
      let nowMs = T0
      for (const step of history) {
        nowMs += step.afterMs
        health = after(health, step.kind, nowMs)
        assert.equal(after(health, kind as Evidence['kind'], nowMs), health)
      }
    }),
    { numRuns: 50 },
  )
})

test('one burst is one episode: however many fail together, the step grows once', () => {
  const soft = ['overloaded', 'rate_limited', 'server_error', 'unreachable'] as const
  fc.assert(
    fc.property(
      fc.constantFrom(...soft),
      fc.integer({ min: 0, max: 9 }),
      fc.array(fc.integer({ min: 0, max: 1_000 }), { minLength: 3, maxLength: 30 }),
      (kind, step, ends) => {
        const before: Health = { ...HEALTHY, step, sinceMs: T0 - 1 }
        let health = before
        // All left at T0; they end one after the other, some in the same millisecond.
        let nowMs = T0
        for (const laterMs of ends.toSorted((a, b) => a - b)) {
          nowMs = T0 + laterMs
          health = afterAttempt(health, evidence(kind, { sentAtMs: T0 }), {
            nowMs,
            jitter: 0.5,
            policy: POLICY,
          })
        }
        assert.equal(health.state, 'cooling')
        assert.equal(health.step, step + 1)
      },
    ),
  )
})

test('half of a doubling rest is fixed and half is random, up to its cap', () => {
  const bases = {
    overloaded: { firstMs: 2_000, maxMs: 30_000, trips: 1 },
    rate_limited: { firstMs: 5_000, maxMs: 60_000, trips: 1 },
    server_error: { firstMs: 5_000, maxMs: 300_000, trips: 3 },
    unreachable: { firstMs: 5_000, maxMs: 300_000, trips: 3 },
  } as const
  fc.assert(
    fc.property(
      fc.constantFrom(...(Object.keys(bases) as (keyof typeof bases)[])), // its own keys
      fc.integer({ min: 0, max: 2_000 }),
      fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
      (kind, step, jitter) => {
        const base = bases[kind]
        let health: Health = { ...HEALTHY, step, sinceMs: T0 - 1 }
        for (let i = 0; i < base.trips; i++) health = after(health, kind, T0, { jitter })
        const fullMs = Math.min(base.firstMs * 2 ** step, base.maxMs)
        const ms = restMs(health, T0)
        assert.equal(ms, Math.round(fullMs / 2 + (fullMs / 2) * jitter))
      },
    ),
  )
})

test('429 with a reset rests exactly so long, 429 without one doubles from five seconds', () => {
  const told = after(HEALTHY, 'rate_limited', T0, { restMs: 17_000 })
  assert.equal(told.state, 'rate_limited')
  assert.equal(restMs(told, T0), 17_000)
  assert.equal(rests(told, T0 + 17_000), false)

  const bare = after(HEALTHY, 'rate_limited', T0)
  assert.equal(bare.state, 'cooling')
  assert.equal(restMs(bare, T0), 2_500)
})

test('strange rests of upstream come out bounded', () => {
  const of = (ms: number) => restMs(after(HEALTHY, 'rate_limited', T0, { restMs: ms }), T0)
  assert.equal(of(-1), 1_000)
  assert.equal(of(0), 1_000)
  assert.equal(of(1e9), HOUR_MS)
  assert.equal(of(Number.POSITIVE_INFINITY), HOUR_MS)
  assert.equal(of(Number.NaN), 2_500, 'no number is like no word: the doubling rest')
  const credit = (ms: number) => after(HEALTHY, 'out_of_credit', T0, { restMs: ms })
  assert.equal(restMs(credit(5 * DAY_MS), T0), 5 * DAY_MS)
  assert.equal(restMs(credit(1e15), T0), 31 * DAY_MS)
  assert.equal(restMs(credit(-1), T0), 1_000)
  assert.equal(restMs(credit(Number.NaN), T0), null, 'until a probe says otherwise')
})

test('of two resets that one burst names, the later holds, whichever comes first', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1_000, max: HOUR_MS }),
      fc.integer({ min: 1_000, max: HOUR_MS }),
      (first, second) => {
        const one = after(HEALTHY, 'rate_limited', T0 + 1, { restMs: first, sentAtMs: T0 })
        const two = after(one, 'rate_limited', T0 + 1, { restMs: second, sentAtMs: T0 })
        assert.equal(restMs(two, T0 + 1), Math.max(first, second))
      },
    ),
  )
})

test('a short reset does not shorten a longer rest that runs already', () => {
  const cooling = after({ ...HEALTHY, step: 3, sinceMs: T0 }, 'rate_limited', T0 + 5)
  assert.equal(restMs(cooling, T0 + 5), 20_000)
  const told = after(cooling, 'rate_limited', T0 + 6, { restMs: 1_000, sentAtMs: T0 })
  assert.equal(restMs(told, T0 + 6), 19_999)
})

test('529 cools at once, a 500 only when three come in a row or five of the last ten', () => {
  assert.equal(after(HEALTHY, 'overloaded', T0).state, 'cooling')

  let health = HEALTHY
  health = after(health, 'server_error', T0)
  health = after(health, 'server_error', T0 + 1)
  assert.equal(rests(health, T0 + 1), false)
  assert.equal(after(health, 'server_error', T0 + 2).state, 'cooling')

  health = HEALTHY
  for (let i = 0; i < 4; i++) {
    health = after(health, 'server_error', T0 + i)
    health = after(health, 'ok', T0 + i)
    assert.equal(rests(health, T0 + i), false)
  }
  assert.equal(after(health, 'server_error', T0 + 9).state, 'cooling')

  health = HEALTHY
  for (let i = 0; i < 100; i++) {
    health = after(health, i % 3 === 0 ? 'server_error' : 'ok', T0 + i)
    assert.equal(rests(health, T0 + i), false, 'three or four of ten')
  }
})

test('a success ends a rest, and each minute without a failure takes one step back', () => {
  let health = HEALTHY
  let nowMs = T0
  for (let i = 0; i < 6; i++) {
    for (let failure = 0; failure < 3; failure++) health = after(health, 'server_error', nowMs)
    nowMs = health.untilMs ?? 0
  }
  assert.equal(health.step, 6)
  health = after(health, 'ok', nowMs)
  assert.equal(rests(health, nowMs), false)
  const stepAfter = (ms: number) => after(health, 'overloaded', nowMs + ms).step - 1
  assert.equal(stepAfter(59_999), 6)
  assert.equal(stepAfter(60_000), 5)
  assert.equal(stepAfter(120_000), 4)
  assert.equal(stepAfter(DAY_MS), 0)
  const calm = after(health, 'ok', nowMs + 200_000)
  assert.equal(after(calm, 'overloaded', nowMs + 250_000).step - 1, 2, 'successes keep the count')
})

test('overload that strikes one request in five keeps its rests short', () => {
  let health = HEALTHY
  let nowMs = T0
  for (let i = 1; i < 500; i++) {
    nowMs = Math.max(nowMs, health.untilMs ?? 0) + 200
    health = after(health, i % 5 === 0 ? 'overloaded' : 'ok', nowMs, { httpStatus: 529 })
    assert.ok(health.step <= 1)
    assert.ok((health.untilMs ?? nowMs) - nowMs <= POLICY.overloaded.firstMs)
  }
  for (let i = 1; i <= 4; i++) health = after(health, 'overloaded', nowMs + i * 60_000)
  assert.ok(health.step >= 4, 'overload without a success in between still doubles')
})

test('what was sent before the present state began says nothing about it', () => {
  const cooling = after(HEALTHY, 'overloaded', T0)
  const late = { sentAtMs: T0 - 500 }
  assert.equal(after(cooling, 'ok', T0 + 10, late), cooling, 'an old success does not heal')
  const healed = after(cooling, 'ok', T0 + 5_000)
  const soft = ['overloaded', 'rate_limited', 'server_error', 'unreachable', 'forbidden'] as const
  for (const kind of soft)
    assert.equal(after(healed, kind, T0 + 6_000, late), healed, `an old ${kind} does not relapse`)
})

test('a rest that has ended is half open: one failure begins a longer one, one success ends it', () => {
  const cooling = after(HEALTHY, 'overloaded', T0)
  const later = T0 + 10_000
  assert.equal(isHalfOpen(cooling, T0), false)
  assert.equal(rests(cooling, later), false)
  assert.equal(isHalfOpen(cooling, later), true)
  for (const kind of ['server_error', 'unreachable', 'overloaded', 'rate_limited'] as const) {
    const failed = after(cooling, kind, later)
    assert.equal(rests(failed, later), true, kind)
    assert.equal(failed.step, 2)
  }
  const healed = after(cooling, 'ok', later)
  assert.equal(isHalfOpen(healed, later), false)
})

test('failures while it rests neither lengthen the rest nor count', () => {
  const soft = ['overloaded', 'rate_limited', 'server_error', 'unreachable'] as const
  for (const kind of soft) {
    const cooling = after(HEALTHY, 'overloaded', T0)
    assert.equal(after(cooling, kind, T0 + 500), cooling, kind)
  }
})

test('of a key whose word is doubted, failures count only together with those of another', () => {
  const context = { jitter: 0, policy: POLICY, isDoubted: (keyId: string) => keyId === 'key_bad' }
  let health = HEALTHY
  const fail = (keyId: string | null, nowMs: number) => {
    health = afterAttempt(health, evidence('server_error', { keyId, sentAtMs: nowMs }), {
      ...context,
      nowMs,
    })
  }
  for (let i = 0; i < 50; i++) fail('key_bad', T0 + i)
  assert.equal(health.state, 'healthy')
  fail('key_good', T0 + 60)
  assert.equal(health.state, 'cooling')
  health = HEALTHY
  for (let i = 0; i < 5; i++) fail('key_bad', T0 + i)
  fail(null, T0 + 70)
  assert.equal(health.state, 'cooling', 'a probe is a witness too')
})

test('a hard state is not softened by what was under way when it began', () => {
  for (const hard of ['unauthorized', 'disabled_upstream'] as const) {
    const health = after(HEALTHY, hard, T0)
    assert.equal(restMs(health, T0), null)
    for (const kind of [
      'ok',
      'overloaded',
      'server_error',
      'out_of_credit',
      'rate_limited',
    ] as const) {
      const later = after(health, kind, T0 + 100, { sentAtMs: T0 - 100, restMs: 2_000 })
      assert.equal(later.state, hard, `${kind} after ${hard}`)
    }
  }
  const cooling = after(HEALTHY, 'overloaded', T0)
  const refused = after(cooling, 'unauthorized', T0 + 1, { sentAtMs: T0 - 5 })
  assert.equal(refused.state, 'unauthorized', 'a dead key is one whenever it was sent')
})

test('forbidden lasts an hour; unauthorized and no credit last until somebody or a probe ends them', () => {
  assert.equal(restMs(after(HEALTHY, 'forbidden', T0), T0), HOUR_MS)
  for (const kind of ['unauthorized', 'out_of_credit', 'disabled_upstream'] as const) {
    const health = after(HEALTHY, kind, T0)
    assert.equal(health.state, kind)
    assert.equal(rests(health, T0 + 1_000 * DAY_MS), true)
  }
})

test('a rest remembers what earned it', () => {
  const health = after(HEALTHY, 'overloaded', T0, {
    reason: '529 overloaded_error',
    httpStatus: 529,
    upstreamRequestId: 'req_1',
  })
  assert.deepEqual(
    [health.reason, health.httpStatus, health.upstreamRequestId, health.sinceMs, health.step],
    ['529 overloaded_error', 529, 'req_1', T0, 1],
  )
})

test('each kind of evidence concerns the whole account, the model, or nothing', () => {
  const scopes = Object.fromEntries(KINDS.map((kind) => [kind, scopeOf(kind)]))
  assert.deepEqual(scopes, {
    ok: 'model',
    client_fault: 'none',
    rate_limited: 'model',
    overloaded: 'model',
    server_error: 'model',
    unreachable: 'account',
    unauthorized: 'account',
    out_of_credit: 'account',
    forbidden: 'model',
    disabled_upstream: 'account',
    abandoned: 'none',
  })
})
