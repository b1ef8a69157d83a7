import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DecisionTrail, packTrail, unpackTrail } from '../../src/core/decision-trail.ts'

test('a trail is stored without its names, and read back as it was', () => {
  const trail: DecisionTrail = {
    because: 'warm',
    accountId: 'acct_1',
    bound: null,
    left: { accountId: 'acct_2', warmTokens: 7, because: 'load' },
    candidates: [
      {
        accountId: 'acct_1',
        state: 'ready',
        waitMs: null,
        inFlight: 3,
        loadLimit: 8,
        warmTokens: 1_024,
        headroom: 0.123,
        score: 1.5,
      },
    ],
    others: 4,
    waitedMs: 0,
  }
  const stored = JSON.stringify(packTrail(trail))
  assert.deepEqual(unpackTrail(JSON.parse(stored)), trail)
  const waited = { ...trail, waitedMs: 870 }
  assert.deepEqual(unpackTrail(JSON.parse(JSON.stringify(packTrail(waited)))), waited)
  assert.ok(stored.length < JSON.stringify(trail).length * 0.6)
})
