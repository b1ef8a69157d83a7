import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isWorthTelling, routingLines } from '../../src/cli/routing-text.ts'
import type { DecisionTrail, TrailCandidate } from '../../src/core/decision-trail.ts'

const NAMES: Readonly<Record<string, string>> = { acct_1: 'main', acct_2: 'spare' }

function candidate(accountId: string, more: Partial<TrailCandidate> = {}): TrailCandidate {
  return {
    accountId,
    state: 'ready',
    waitMs: 0,
    inFlight: 2,
    loadLimit: 8,
    warmTokens: 0,
    headroom: null,
    score: 2,
    ...more,
  }
}

const PLAIN: DecisionTrail = {
  because: 'warm',
  accountId: 'acct_1',
  bound: null,
  left: null,
  candidates: [candidate('acct_1')],
  others: 0,
  waitedMs: 0,
}

function linesOf(more: Partial<DecisionTrail>): readonly string[] {
  return routingLines([{ ...PLAIN, ...more }], (id) => NAMES[id] ?? id)
}

test('a choice tells who was chosen and why, who was left, and how every account stood', () => {
  const lines = linesOf({
    because: 'balanced',
    bound: { scope: 'organization', id: 'org_1', isLeft: true },
    left: { accountId: 'acct_2', warmTokens: 20_480, because: 'resting' },
    candidates: [
      candidate('acct_1', { headroom: 0.42 }),
      candidate('acct_2', { state: 'resting', waitMs: 9_500, warmTokens: 20_480 }),
      ...['a', 'b', 'c'].map((id) => candidate(id, { state: 'other_model' })),
    ],
    others: 2,
  })
  assert.deepEqual(lines, [
    'balanced: main · left the organisation of its thinking · not spare, which held 20,480 tokens: it rested',
    '  main: ready · 2 in flight · 42 % of its limits left · score 2',
    '  spare: resting for 9.50 s more · 2 in flight · 20,480 tokens warm',
    '  a: not for this model · 2 in flight',
    '  b: not for this model · 2 in flight',
    '  and 3 more',
  ])
})

test('who was left for too much load is told with the limit, and scores where there is load', () => {
  const lines = linesOf({
    because: 'balanced',
    left: { accountId: 'acct_2', warmTokens: 512, because: 'load' },
    candidates: [
      candidate('acct_1', { inFlight: 0, score: 0 }),
      candidate('acct_2', { inFlight: 9, loadLimit: 9, warmTokens: 512, score: 4.5049 }),
      candidate('c', { inFlight: 1, score: 1 / 3 }),
    ],
  })
  assert.deepEqual(lines, [
    'balanced: main · not spare, which held 512 tokens: too much ran there',
    '  main: ready · 0 in flight',
    '  spare: ready · 9 in flight, left from 9 on · 512 tokens warm · score 4.5',
    '  c: ready · 1 in flight · score 0.33',
  ])
})

test('time in line is told, for those it was worth it for and those who got nothing', () => {
  const bound = { scope: 'workspace', id: 'w', isLeft: false }
  const head = (more: Partial<DecisionTrail>) => linesOf(more)[0]
  assert.equal(head({ waitedMs: 870 }), 'warm: main, after 870 ms in line')
  assert.equal(head({ because: 'bound', bound }), 'bound: main · kept to its workspace')
  const waited = { because: 'wait', bound, waitedMs: 10_000 } as const
  assert.equal(head(waited), 'gave up on main after 10.00 s in line · bound to its workspace')
  assert.equal(head({ because: 'wait' }), 'no time to wait for main')
  assert.equal(head({ because: 'none', accountId: null }), 'nobody can serve')
  const [, state] = linesOf({
    because: 'none',
    accountId: null,
    candidates: [candidate('acct_1', { state: 'resting', waitMs: 600_000 })],
  })
  assert.equal(state, '  main: resting for 10 min more · 2 in flight')
  for (const [own, text] of [
    ['closed', 'closed for 2 h more'],
    ['capped', 'at its cap for 2 h more'],
    ['full', 'full for about 2 h'],
  ] as const) {
    const candidates = [candidate('acct_1', { state: own, waitMs: 7_200_000 })]
    assert.match(
      linesOf({ because: 'none', accountId: null, candidates })[1],
      new RegExp(`^ {2}main: ${text} ·`),
    )
  }
})

test('one account that served at once is not worth a word', () => {
  assert.equal(isWorthTelling([]), false)
  assert.equal(isWorthTelling([PLAIN]), false)
  assert.ok(isWorthTelling([{ ...PLAIN, waitedMs: 1 }]))
  assert.ok(isWorthTelling([{ ...PLAIN, others: 1 }]))
  assert.ok(isWorthTelling([{ ...PLAIN, because: 'none', candidates: [] }]))
})
