import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { AccountCondition } from '../../src/core/account-state.ts'
import {
  accountNote,
  accountRestsOf,
  accountStateOf,
  formatLeft,
  isUsable,
  whyNoneServes,
} from '../../src/core/account-state.ts'
import type { HealthRow } from '../../src/core/model.ts'

const NOW = 1_700_000_000_000
const UTC = { nowMs: NOW, timeZone: 'UTC' }

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
    hours: null,
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
    const state = accountStateOf(account({ health: [row({ state: exact })] }), UTC)
    assert.deepEqual([state.exact, state.word, state.glyph], [exact, word, glyph])
  }
  assert.equal(accountStateOf(account(), UTC).word, 'healthy')
})

test('an account whose own tokens per minute are used up is full', () => {
  const { word, reason } = accountStateOf(account({ isTpmUsedUp: true }), UTC)
  assert.deepEqual([word, reason], ['full', 'at tpm limit'])
})

test('an account at its cap is full to people, to the end of the cap, and cannot serve', () => {
  const cap = { period: 'day', capMicro: 50_000_000, usedMicro: 1, resetsAtMs: NOW + 5 } as const
  const at = (isReached: boolean, change: Partial<AccountCondition> = {}) =>
    accountStateOf(
      account({ ...change, notices: { caps: [{ ...cap, isReached }], foreignUse: null } }),
      UTC,
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
  assert.equal(accountStateOf(account({ health: [blocked, row()] }), UTC).word, 'cooling')
})

test('without an own state the worst model class shows: no end first, then the later end', () => {
  const haiku = row({ modelClass: 'haiku', untilMs: NOW + 90_000 })
  const sonnet = row({ modelClass: 'sonnet', state: 'rate_limited' })
  const opus = row({ modelClass: 'opus', state: 'forbidden', untilMs: null })
  assert.equal(accountStateOf(account({ health: [sonnet, haiku] }), UTC).modelClass, 'haiku')
  assert.equal(accountStateOf(account({ health: [sonnet, haiku, opus] }), UTC).modelClass, 'opus')
})

test('a row that was cleared, or belongs to an older credential, does not count', () => {
  const word = (condition: Partial<AccountCondition>, change: Partial<HealthRow> = {}) =>
    accountStateOf(account({ health: [row(change)], ...condition }), UTC).word
  assert.equal(word({}), 'cooling')
  assert.equal(word({ cooldownClearedAtMs: NOW - 5_000 }), 'healthy')
  assert.equal(word({ cooldownClearedAtMs: NOW - 20_000 }), 'cooling')
  assert.equal(word({ credentialVersion: 2 }), 'healthy')
})

test('a person can rest an account, and the longer of both rests shows', () => {
  const untilMs = NOW + 60_000
  assert.equal(accountStateOf(account({ cooldownUntilMs: untilMs }), UTC).untilMs, untilMs)
  const health = [row({ untilMs: NOW + 90_000 })]
  const both = accountStateOf(account({ cooldownUntilMs: untilMs, health }), UTC)
  assert.equal(both.reason, '529 overloaded_error')
})

test('an account at its own limits is full, and one limit that is null never fills it', () => {
  const state = (change: Partial<AccountCondition>) => accountStateOf(account(change), UTC)
  assert.equal(state({ rpmLimit: 50, requests1m: 50 }).word, 'full')
  assert.equal(state({ rpmLimit: 50, requests1m: 49 }).word, 'healthy')
  assert.equal(state({ concurrencyLimit: 8, inFlight: 8 }).reason, 'all 8 in use')
  assert.equal(state({ requests1m: 9_999, inFlight: 999 }).word, 'healthy')
})

test('a disabled account is disabled whatever upstream says of it', () => {
  fc.assert(
    fc.property(fc.constantFrom('cooling', 'unauthorized', 'forbidden'), (state) => {
      const health = [row({ state, untilMs: null })]
      assert.equal(accountStateOf(account({ health, disabledAtMs: 1 }), UTC).word, 'disabled')
    }),
  )
})

test('notes name the cause, and the time that is left', () => {
  const note = (change: Partial<AccountCondition>) =>
    accountNote(accountStateOf(account(change), UTC), NOW)
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

test('a rest that ended is cooling to people until something succeeds, and can serve', () => {
  const ended = row({ untilMs: NOW - 1_000, modelClass: 'opus', upstreamRequestId: 'req_1' })
  const of = (change: Partial<AccountCondition>) => accountStateOf(account(change), UTC)
  const state = of({ health: [ended] })
  assert.deepEqual([state.word, state.glyph, state.exact], ['cooling', '◐', 'half_open'])
  assert.deepEqual([state.sinceMs, state.untilMs], [NOW - 1_000, null])
  assert.equal(isUsable(state), true)
  assert.equal(accountNote(state, NOW), '529, retry due (opus)')
  assert.deepEqual(accountRestsOf(account({ health: [ended] }), NOW), [state])
  // Whatever rests in earnest says more.
  const haiku = row({ modelClass: 'haiku', untilMs: NOW + 1_000 })
  assert.equal(of({ health: [ended, haiku] }).modelClass, 'haiku')
  assert.equal(of({ health: [row({ untilMs: NOW - 1 }), haiku] }).modelClass, 'haiku')
  assert.equal(of({ health: [ended], rpmLimit: 1, requests1m: 1 }).exact, 'full')
  assert.equal(of({ health: [ended], cooldownClearedAtMs: NOW }).word, 'healthy')
})

test('outside its hours an account is closed until they begin, by the clock of the time zone', () => {
  // Tuesday, 14 November 2023, 22:13 UTC; 23:13 in Berlin.
  const of = (hours: string, timeZone: string, change: Partial<AccountCondition> = {}) =>
    accountStateOf(account({ hours, ...change }), { nowMs: NOW, timeZone })
  assert.equal(of('22:00-23:00', 'UTC').word, 'healthy')
  const closed = of('22:00-23:00', 'Europe/Berlin')
  assert.deepEqual([closed.word, closed.glyph, closed.exact], ['closed', '○', 'closed'])
  assert.equal(closed.untilMs, Date.parse('2023-11-15T21:00:00Z'))
  assert.equal(accountNote(closed, NOW), 'opens in 22 h 46 min')
  assert.equal(isUsable(closed), false)
  // A rest that ends by itself is no news there; what a person must see to is.
  assert.equal(of('22:00-23:00', 'Europe/Berlin', { health: [row()] }).word, 'closed')
  const invalid = { health: [row({ state: 'unauthorized', untilMs: null })] }
  assert.equal(of('22:00-23:00', 'Europe/Berlin', invalid).word, 'invalid')
  assert.equal(of('22:00-23:00', 'Europe/Berlin', { disabledAtMs: 1 }).word, 'disabled')
})

test("all rests are listed with their evidence, a person's first; a disabled account has none", () => {
  const health = [
    row({ modelClass: 'opus', httpStatus: 429, upstreamRequestId: 'req_9' }),
    row({ modelClass: 'haiku', untilMs: NOW - 5 }),
    row({ modelClass: 'count:haiku' }),
    row({ modelClass: 'sonnet', credentialVersion: 9 }),
  ]
  const condition = account({ health, cooldownUntilMs: NOW + 60_000 })
  assert.deepEqual(
    accountRestsOf(condition, NOW).map((rest) => [
      rest.modelClass,
      rest.exact,
      rest.httpStatus,
      rest.upstreamRequestId,
    ]),
    [
      [null, 'cooling', null, null],
      ['opus', 'cooling', 429, 'req_9'],
      ['haiku', 'half_open', 529, null],
    ],
  )
  assert.deepEqual(accountRestsOf({ ...condition, disabledAtMs: 1 }, NOW), [])
})

test('why nobody serves: outside their hours, or ill; not as long as one can', () => {
  const closed = account({ hours: '08:00-09:00' })
  const disabled = account({ disabledAtMs: 1 })
  const ill = account({ health: [row()] })
  const why = (...accounts: AccountCondition[]) =>
    whyNoneServes(accounts.map((one) => accountStateOf(one, UTC)))
  assert.equal(why(closed, disabled), 'all accounts are outside their hours')
  assert.equal(why(closed, ill), 'no account is healthy')
  assert.equal(why(disabled), 'no account is healthy')
  assert.equal(why(closed, ill, account()), null)
  assert.equal(why(), null)
})
