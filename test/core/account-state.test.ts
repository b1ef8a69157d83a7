import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { AccountCondition } from '../../src/core/account-state.ts'
import { accountNote, accountStateOf, formatLeft, isUsable } from '../../src/core/account-state.ts'
import type { HealthRow } from '../../src/core/model.ts'

const NOW = 1_700_000_000_000

function account(change: Partial<AccountCondition> = {}): AccountCondition {
  return {
    disabledAtMs: null,
    disabledBy: null,
    disabledReason: null,
    cooldownClearedAtMs: null,
    cooldownUntilMs: null,
    credentialVersion: 1,
    rpmLimit: null,
    concurrencyLimit: null,
    health: [],
    inFlight: 0,
    requests1m: 0,
    ...change,
  }
}

function row(change: Partial<HealthRow> = {}): HealthRow {
  return {
    accountId: 'acct_1',
    modelClass: '',
    state: 'cooling',
    reason: '529 overloaded_error',
    httpStatus: 529,
    upstreamRequestId: null,
    sinceMs: NOW - 10_000,
    untilMs: NOW + 42_000,
    step: 2,
    credentialVersion: 1,
    ...change,
  }
}

test('each stored state has its word and glyph for people', () => {
  const expected: [HealthRow['state'], string, string][] = [
    ['cooling', 'cooling', '◐'],
    ['rate_limited', 'limited', '◐'],
    ['forbidden', 'blocked', '✕'],
    ['unauthorized', 'invalid', '✕'],
    ['out_of_credit', 'no-credit', '✕'],
    ['disabled_upstream', 'blocked', '✕'],
  ]
  for (const [exact, word, glyph] of expected) {
    const state = accountStateOf(account({ health: [row({ state: exact })] }), NOW)
    assert.deepEqual([state.exact, state.word, state.glyph], [exact, word, glyph])
  }
  assert.equal(accountStateOf(account(), NOW).word, 'healthy')
})

test('an account at its cap is full to people, to the end of the cap, and cannot serve', () => {
  const cap = { period: 'day', capMicro: 50_000_000, usedMicro: 1, resetsAtMs: NOW + 5 } as const
  const at = (isReached: boolean, change: Partial<AccountCondition> = {}) =>
    accountStateOf(
      account({ ...change, notices: { caps: [{ ...cap, isReached }], foreignUse: null } }),
      NOW,
    )
  const capped = at(true)
  assert.deepEqual([capped.word, capped.exact, capped.untilMs], ['full', 'capped', NOW + 5])
  assert.equal(capped.reason, 'cap $50.00/day')
  assert.equal(isUsable(capped), false)
  assert.equal(at(true, { health: [row()] }).word, 'cooling')
  assert.equal(isUsable(at(false)), true)
  assert.equal(isUsable(at(false, { rpmLimit: 1, requests1m: 1 })), true)
})

test('the own state of an account hides that of its model classes', () => {
  const blocked = row({ modelClass: 'opus', state: 'forbidden', untilMs: null })
  assert.equal(accountStateOf(account({ health: [blocked, row()] }), NOW).word, 'cooling')
})

test('without an own state the worst model class shows: no end first, then the later end', () => {
  const haiku = row({ modelClass: 'haiku', untilMs: NOW + 90_000 })
  const sonnet = row({ modelClass: 'sonnet', state: 'rate_limited' })
  const opus = row({ modelClass: 'opus', state: 'forbidden', untilMs: null })
  assert.equal(accountStateOf(account({ health: [sonnet, haiku] }), NOW).modelClass, 'haiku')
  assert.equal(accountStateOf(account({ health: [sonnet, haiku, opus] }), NOW).modelClass, 'opus')
})

test('a row that ended, was cleared, or belongs to an older credential does not count', () => {
  const word = (condition: Partial<AccountCondition>, change: Partial<HealthRow> = {}) =>
    accountStateOf(account({ health: [row(change)], ...condition }), NOW).word
  assert.equal(word({}), 'cooling')
  assert.equal(word({}, { untilMs: NOW }), 'healthy')
  assert.equal(word({ cooldownClearedAtMs: NOW - 5_000 }), 'healthy')
  assert.equal(word({ cooldownClearedAtMs: NOW - 20_000 }), 'cooling')
  assert.equal(word({ credentialVersion: 2 }), 'healthy')
})

test('a person can rest an account, and the longer of both rests shows', () => {
  const untilMs = NOW + 60_000
  assert.equal(accountStateOf(account({ cooldownUntilMs: untilMs }), NOW).untilMs, untilMs)
  const health = [row({ untilMs: NOW + 90_000 })]
  const both = accountStateOf(account({ cooldownUntilMs: untilMs, health }), NOW)
  assert.equal(both.reason, '529 overloaded_error')
})

test('an account at its own limits is full, and one limit that is null never fills it', () => {
  const state = (change: Partial<AccountCondition>) => accountStateOf(account(change), NOW)
  assert.equal(state({ rpmLimit: 50, requests1m: 50 }).word, 'full')
  assert.equal(state({ rpmLimit: 50, requests1m: 49 }).word, 'healthy')
  assert.equal(state({ concurrencyLimit: 8, inFlight: 8 }).reason, 'all 8 in use')
  assert.equal(state({ requests1m: 9_999, inFlight: 999 }).word, 'healthy')
})

test('a disabled account is disabled whatever upstream says of it', () => {
  fc.assert(
    fc.property(fc.constantFrom('cooling', 'unauthorized', 'forbidden'), (state) => {
      const health = [row({ state, untilMs: null })]
      assert.equal(accountStateOf(account({ health, disabledAtMs: 1 }), NOW).word, 'disabled')
    }),
  )
})

test('notes name the cause, and the time that is left', () => {
  const note = (change: Partial<AccountCondition>) =>
    accountNote(accountStateOf(account(change), NOW), NOW)
  assert.equal(note({ health: [row()] }), '529, 0:42 left')
  assert.equal(note({ health: [row({ modelClass: 'opus' })] }), '529, 0:42 left (opus)')
  assert.equal(
    note({ health: [row({ reason: 'connect timed out' })] }),
    'connect timed out, 0:42 left',
  )
  const leaked = { disabledAtMs: 1, disabledBy: 'cli:root', disabledReason: 'leaked' }
  assert.equal(note(leaked), 'by root: leaked')
  assert.equal(note({}), '')
})

test('the time left is rounded up, so that it never says 0:00 early', () => {
  assert.equal(formatLeft(41_001), '0:42')
  assert.equal(formatLeft(725_000), '12:05')
  assert.equal(formatLeft(12_000_000), '3 h 20 min')
  assert.equal(formatLeft(-5), '0:00')
})
