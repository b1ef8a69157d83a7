import assert from 'node:assert/strict'
import { test } from 'node:test'
import { routingLines } from '../../src/cli/routing-text.ts'
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

test('a choice tells who was chosen and why, who was left, and how every account stood', () => {
  const trail: DecisionTrail = {
    because: 'balanced',
    accountId: 'acct_1',
    bound: { scope: 'organization', id: 'org_1', isLeft: true },
    left: { accountId: 'acct_2', warmTokens: 20_480, because: 'resting' },
    candidates: [
      candidate('acct_1', { headroom: 0.42 }),
      candidate('acct_2', { state: 'resting', waitMs: 9_500, warmTokens: 20_480 }),
      ...['a', 'b', 'c'].map((id) => candidate(id, { state: 'other_model' })),
    ],
    others: 2,
  }
  assert.deepEqual(
    routingLines([trail], (id) => NAMES[id] ?? id),
    [
      'balanced: main · left its organization · not spare, which holds 20,480 tokens (resting)',
      '  main: ready · 2 in flight · 42 % of its limits left',
      '  spare: resting · 2 in flight · 20,480 tokens warm · free in 9.50 s',
      '  a: other model · 2 in flight',
      '  b: other model · 2 in flight',
      '  and 3 more',
    ],
  )
})
