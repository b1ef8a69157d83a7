import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Snapshot } from '../../src/tui/facts.ts'
import { daemonOf, modelOf } from '../../src/tui/model.ts'
import { accountRow } from '../../src/tui/panes/accounts-table.ts'
import { Histogram, percentiles, Traffic } from '../../src/tui/traffic.ts'
import {
  account,
  attempt,
  boot,
  health,
  hold,
  mockupSnapshot,
  NOW,
  refusal,
  reroute,
  row,
  user,
} from './world.ts'

function snapshot(rows: Parameters<Traffic['add']>[0], change: Partial<Snapshot> = {}): Snapshot {
  const traffic = new Traffic()
  traffic.add(rows)
  return mockupSnapshot({ accounts: [], holds: [], users: new Map(), ...change, traffic })
}

test('before the first look nothing is known and nothing is claimed', () => {
  const model = modelOf(null, NOW)
  assert.equal(model.daemon.kind, 'loading')
  assert.equal(model.rates, null)
  assert.equal(model.today, null)
})

test('caps that are reached and keys that are used elsewhere are warned of', () => {
  const cap = { period: 'day', capMicro: 50_000_000, usedMicro: 1, isReached: true } as const
  const foreignUse = { atMs: NOW, message: 'its key is used elsewhere too (about 40 requests)' }
  const notices = { caps: [{ ...cap, resetsAtMs: Date.UTC(2026, 10, 23) }], foreignUse }
  const accounts = [{ ...account('main'), notices }, account('spare')]
  assert.deepEqual(modelOf(snapshot([], { accounts, timeZone: 'UTC' }), NOW).warnings, [
    {
      tone: 'warn',
      text: 'main is at its cap of $50.00/day until 00:00 UTC',
      command: 'ccgate accounts update main --day-cap …',
    },
    { tone: 'warn', text: `main: ${foreignUse.message}`, command: 'ccgate accounts rotate main' },
  ])
})

test('the daemon is alive while the heartbeat of its boot is younger than 15 seconds', () => {
  const at = (ageMs: number) => daemonOf([boot({ heartbeatAtMs: NOW - ageMs })], NOW).kind
  assert.equal(at(14_999), 'serving')
  assert.equal(at(15_000), 'down')
  assert.equal(daemonOf([boot({ state: 'stopped' })], NOW).kind, 'down')
  assert.equal(daemonOf([boot({ state: 'draining' })], NOW).kind, 'draining')
  assert.deepEqual(daemonOf([], NOW), { kind: 'down', boot: null, host: '' })
})

test('an older boot that still beats is the daemon, whatever a newer failed start left', () => {
  const failed = boot({ id: 'boot_2', state: 'stopped' })
  assert.equal(daemonOf([failed, boot()], NOW).boot?.id, 'boot_1')
})

test('requests per minute counts the last 60 seconds, those still running included', () => {
  const rows = [row({ createdAtMs: NOW - 59_000 }), row({ createdAtMs: NOW - 61_000 })]
  const rates = modelOf(snapshot(rows, { holds: [hold()] }), NOW).rates
  assert.equal(rates?.requestsPerMinute, 2)
  assert.equal(rates?.requests.at(-1), 2)
  assert.equal(rates?.inFlight, 1)
})

test('each request is in exactly one column of the chart', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 2, max: 58 }), { maxLength: 40 }), (ages) => {
      const rows = ages.map((minutes) => row({ createdAtMs: NOW - minutes * 60_000 }))
      const requests = modelOf(snapshot(rows), NOW).rates?.requests ?? []
      assert.equal(
        requests.reduce((sum, count) => sum + count, 0),
        rows.length,
      )
    }),
  )
})

test('5xx and cut streams are errors; what clients did wrong is counted apart', () => {
  const rows = [
    row(),
    row({ httpStatus: 499, status: 'interrupted' }),
    row({ status: 'interrupted' }),
    refusal(503, 'no_account', {}),
    refusal(429, 'rate_limited', {}),
    refusal(404, 'model_not_found', { model: '', responseModel: null }),
  ]
  const rates = modelOf(snapshot(rows), NOW).rates
  assert.equal(rates?.errorShare, 2 / 6)
  assert.equal(rates?.refused, 2)
  assert.deepEqual(rates?.statuses, [
    ['503', 1],
    ['cut', 1],
  ])
})

test('an answer in one piece has no first token', () => {
  const rows = [row({ stream: false, firstByteMs: 9_000 })]
  const { rates, latest } = modelOf(snapshot(rows), NOW)
  assert.equal(rates?.firstByteMs, null)
  assert.equal(latest[0].firstTokenMs, null)
  assert.equal(modelOf(snapshot([row()]), NOW).latest[0].firstTokenMs, 612)
})

test('what was refused before an account is in no row of the models, however its model was called', () => {
  const odd = refusal(404, 'model_not_found', { model: 'claude-sonet', responseModel: null })
  const nameless = refusal(400, 'invalid_json', { model: '', responseModel: null })
  const { models, latest } = modelOf(snapshot([odd, nameless, row()]), NOW)
  assert.deepEqual(
    models.map(({ name, requests }) => [name, requests]),
    [['claude-sonnet-4-6', 1]],
  )
  const shown = new Map(latest.map(({ requestId, model }) => [requestId, model]))
  assert.equal(shown.get(odd.requestId), 'claude-sonet')
  assert.equal(shown.get(nameless.requestId), '–')
})

test('the latest requests say which answers broke off and which died with the gateway', () => {
  const cut = row({ status: 'interrupted' })
  const killed = row({ status: 'interrupted', errorCode: 'internal_error', source: 'recovered' })
  const { latest } = modelOf(snapshot([cut, killed]), NOW)
  const shown = new Map(latest.map(({ requestId, status }) => [requestId, status]))
  assert.equal(shown.get(cut.requestId), '200 cut')
  assert.equal(shown.get(killed.requestId), '200 killed')
  assert.equal(
    latest.find((each) => each.requestId === killed.requestId)?.errorCode,
    'gateway died',
  )
})

test('refusals that never reached an account do not count as overhead', () => {
  const rows = [refusal(402, 'insufficient_credit', { gatewayUs: 9 })]
  assert.equal(modelOf(snapshot(rows), NOW).rates?.gatewayUs, null)
})

test('percentiles lie within 2 % of the exact ones', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 10_000_000 }), { minLength: 1, maxLength: 300 }),
      fc.constantFrom(0.5, 0.95, 0.99),
      (values, share) => {
        const histogram = new Histogram()
        for (const value of values) histogram.add(value)
        const exact = values.sort((a, b) => a - b)[Math.ceil(share * values.length) - 1]
        const [found] = percentiles([histogram], [share]) ?? []
        assert.ok(Math.abs(found / exact - 1) < 0.02, `${found} for ${exact}`)
      },
    ),
  )
})

test('keys are ranked by what they spent within the hour and carry the balance of their owner', () => {
  const rows = [
    row({ userName: 'bob', keyName: 'editor', costMicro: 10 }),
    row({ costMicro: 7 }),
    row({ costMicro: 8, createdAtMs: NOW - 40 * 60_000 }),
  ]
  const users = new Map([['usr_alice', user('alice', 4.5)]])
  assert.deepEqual(modelOf(snapshot(rows, { users }), NOW).keys, [
    { label: 'alice/laptop', requests: 2, costMicro: 15, balanceMicro: 4_500_000, isLow: true },
    { label: 'bob/editor', requests: 1, costMicro: 10, balanceMicro: null, isLow: false },
  ])
})

test('users with little left are warned of by the rule of status, the first to have nothing first', () => {
  const users = [
    user('alice', 3, 1_000_000),
    user('bob', 2, 4_000),
    user('carol', 50, 40_000_000),
    user('idle', 1),
    { ...user('gone', 1, 1_000_000), state: 'suspended' } as const,
    { ...user('own', 12, 10), lowBalanceMicro: 20_000_000 },
    { ...user('never', 1, 10), lowBalanceMicro: 0 },
    user('zero', 0, 10),
  ]
  const byId = new Map(users.map((each) => [each.id, each]))
  const { warnings } = modelOf(snapshot([], { users: byId, lowBalanceMicro: 5_000_000 }), NOW)
  assert.deepEqual(warnings, [
    warning('zero has $0.00 left', 'zero'),
    warning('alice has $3.00 left (~3 h)', 'alice'),
    warning('bob has $2.00 left (~22 d)', 'bob'),
    warning('own has $12.00 left', 'own'),
  ])
})

const warning = (text: string, name: string) => ({
  tone: 'warn',
  text,
  command: `ccgate credit grant ${name} 20`,
})

test('a pool without a healthy account is the first warning', () => {
  const accounts = [account('main', { health: [health('main')] })]
  const warnings = modelOf(snapshot([], { accounts }), NOW).warnings
  assert.equal(warnings[0]?.tone, 'bad')
  assert.deepEqual(modelOf(snapshot([], { accounts: [account('main')] }), NOW).warnings, [])
})

test('problems are errors and reroutes, newest first, and say how a reroute ended', () => {
  const rows = [
    refusal(402, 'insufficient_credit', { createdAtMs: NOW - 9_000 }),
    row(),
    reroute({ createdAtMs: NOW - 5_000 }),
  ]
  const problems = modelOf(snapshot(rows), NOW).problems
  assert.deepEqual(
    problems.map(({ status, what, errorCode }) => [status, what, errorCode]),
    [
      ['529', 'spare → main  ok', null],
      ['402', 'alice/laptop', 'insufficient_credit'],
    ],
  )
})

test('an attempt that was rerouted counts against its account, not against the one that served', () => {
  const accounts = mockupSnapshot().accounts
  const model = modelOf(snapshot([reroute()], { accounts }), NOW)
  const of = (name: string) => model.accounts.find((each) => each.name === name)
  assert.deepEqual([of('main')?.successShare, of('main')?.rerouted], [1, 0])
  assert.deepEqual([of('spare')?.successShare, of('spare')?.rerouted], [0, 1])
})

test("a client's own fault does not count against the account", () => {
  const main = mockupSnapshot().accounts[0]
  const fault = row({ httpStatus: 400, attempts: [attempt(main.id, 'client_fault', 400)] })
  assert.equal(modelOf(snapshot([fault], { accounts: [main] }), NOW).accounts[0].successShare, 1)
})

test('accounts are sorted by state, then priority, then weight', () => {
  const names = modelOf(mockupSnapshot(), NOW).accounts.map((each) => each.name)
  assert.deepEqual(names, ['main', 'backup', 'eu-1', 'spare', 'old-key'])
})

test('load is the limit that is nearest, and unknown where there is no limit', () => {
  const load = (change: Parameters<typeof account>[1]) =>
    modelOf(snapshot([], { accounts: [account('main', change)] }), NOW).accounts[0].load
  assert.equal(load({ requests1m: 25, inFlight: 6 }), 0.75)
  assert.equal(load({ rpmLimit: null, concurrencyLimit: null }), null)
  assert.equal(load({ requests1m: 80 }), 1)
  const told = {
    accountId: 'main',
    inputTokensLimit: null,
    inputTokensRemaining: null,
    outputTokensLimit: null,
    outputTokensRemaining: null,
    organizationId: null,
    workspaceId: null,
    requestsLimit: 50,
    requestsRemaining: 0,
    updatedAtMs: NOW - 61_000,
  }
  const own = { rpmLimit: null, concurrencyLimit: null }
  assert.equal(load({ ...own, headroom: { ...told, resetAtMs: NOW + 1 } }), 1)
  assert.equal(load({ ...own, headroom: { ...told, resetAtMs: NOW } }), 0, 'the limit has reset')
  assert.equal(load({ ...own, headroom: { ...told, resetAtMs: null } }), 0, 'a minute is over')
})

test('old minutes are forgotten', () => {
  const traffic = new Traffic()
  traffic.add([row({ createdAtMs: NOW - 62 * 60_000 }), row()])
  traffic.forget(NOW)
  assert.equal(traffic.minutes.size, 1)
})

test('a note that has no room for its models leaves them out and keeps its words', () => {
  const ended = health('main', {
    modelClass: 'sonnet-4',
    reason: '429 rate_limit_error',
    untilMs: NOW - 1,
  })
  const [view] = modelOf(
    snapshot([], { accounts: [account('main', { health: [ended] })] }),
    NOW,
  ).accounts
  const rowOf = (width: number) => {
    const columns = [{ key: 'note', title: 'NOTE', width, gap: 2 }] as const
    return JSON.stringify(
      accountRow(columns, view, { daemon: 'serving', nowMs: NOW, isSelected: false }),
    )
  }
  assert.match(rowOf(14), /"429, retry due"/)
  assert.match(rowOf(30), /"429, retry due \(sonnet-4\) *"/)
})
