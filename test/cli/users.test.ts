import assert from 'node:assert/strict'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { finishedRequest, runningRequest } from './requests.ts'
import { cliWorld, NOW_MS } from './support.ts'

async function world(t: Parameters<typeof cliWorld>[0]) {
  const made = cliWorld(t)
  await made.init()
  await made.ok('keys create bob/laptop --create-user --credit 5')
  await made.ok('keys create bob/phone')
  return made
}

test('a user gets a new name, e-mail, note and figure, and the answer says what was', async (t) => {
  const cli = await world(t)
  const changed = await cli.json(
    'users update bob --name robert --email bob@example.com --low-balance 20 --note vip',
  )
  assert.deepEqual(
    [changed.object, changed.name, changed.email, changed.low_balance_micro, changed.note],
    ['user', 'robert', 'bob@example.com', 20_000_000, 'vip'],
  )
  assert.deepEqual(changed.previous, {
    name: 'bob',
    email: null,
    low_balance_micro: null,
    note: null,
  })
  const again = await cli.json('users update robert --low-balance 20')
  assert.deepEqual([again.changed, again.previous], [false, {}])
  assert.equal(
    await cli.ok('users update robert --low-balance default --email none --note none'),
    'robert  email bob@example.com → none · low balance $20.00 → default · note vip → none.   In force now.\n',
  )
  assert.match(await cli.ok('keys list'), /robert\/laptop/)
})

test('a name or e-mail that somebody else has is a conflict, and nonsense is refused', async (t) => {
  const cli = await world(t)
  await cli.ok('users create ann --email ann@example.com')
  for (const option of ['--name ann', '--email ann@example.com']) {
    const ran = await cli.run(`users update bob ${option} --json`)
    assert.equal(ran.code, 4)
    assert.equal(JSON.parse(ran.err).error.code, 'user_exists')
  }
  for (const option of ['', '--name Bob', '--email nobody', '--low-balance 5,00']) {
    assert.equal((await cli.run(`users update bob ${option}`.trim())).code, 2, option)
  }
  assert.equal((await cli.run('users update bobby --note x')).code, 3)
})

test('a suspended user has no key that works until they are resumed', async (t) => {
  const cli = await world(t)
  const unasked = await cli.run('users suspend bob')
  assert.equal(unasked.code, 10)
  assert.match(unasked.err, /Suspend bob\? Their 2 keys stop working until you resume them\./)
  const suspended = await cli.json('users suspend bob --reason unpaid --yes')
  assert.deepEqual(
    [suspended.state, suspended.changed, suspended.previous],
    ['suspended', true, { state: 'active' }],
  )
  assert.match(await cli.ok('keys list'), /○ suspended {2}bob\/laptop/)
  assert.equal((await cli.json('users suspend bob')).changed, false)
  assert.match(await cli.ok('users resume bob'), /^bob resumed\./)
  assert.match(await cli.ok('keys list'), /● active +bob\/laptop/)
  const db = new Sqlite(cli.databaseFile, { readonly: true })
  t.after(() => db.close())
  const after = db.prepare(`SELECT after FROM audit WHERE action = 'user.suspend'`).pluck().all()
  assert.deepEqual(after, ['{"state":"suspended","reason":"unpaid"}'])
})

test('a user with credit is not deleted unless it may lapse, and an entry says so', async (t) => {
  const cli = await world(t)
  const refused = await cli.run('users delete bob --confirm bob')
  assert.equal(refused.code, 4)
  assert.match(refused.err, /bob still has \$5\.00 of credit/)
  assert.match(refused.err, /ccgate credit adjust bob -5\.00 --note "paid back"/)
  const unconfirmed = await cli.run('users delete bob --forfeit --yes')
  assert.equal(unconfirmed.code, 10, 'yes is not enough')
  assert.match(unconfirmed.err, /Their 2 keys stop working at once\. \$5\.00 of credit lapses\./)
  assert.match(unconfirmed.err, /Add --confirm bob/)
  assert.equal((await cli.run('users delete bob --forfeit --confirm rob')).code, 2)

  const user = await cli.json('users show bob')
  const deleted = await cli.json('users delete bob --forfeit --note left --confirm bob')
  assert.deepEqual(
    [deleted.state, deleted.balance_micro, deleted.revoked_keys, deleted.changed],
    ['deleted', 0, 2, true],
  )
  const entry = deleted.forfeited as Record<string, unknown>
  assert.deepEqual([entry.type, entry.amount_micro, entry.note], ['forfeit', -5_000_000, 'left'])

  assert.equal((await cli.run('users show bob')).code, 3)
  assert.equal(await cli.ok('users list'), '')
  assert.equal((await cli.run('credit grant bob 1')).code, 3)
  const history = await cli.json(`credit history ${user.id}`)
  assert.deepEqual(
    (history.data as { type: string }[]).map(({ type }) => type),
    ['forfeit', 'grant'],
  )
  assert.match(await cli.ok('keys list --status revoked'), /✕ revoked {2}bob#\w{8}\/laptop/)
  assert.match(await cli.ok('db check'), /ledger = balances for 1 user/)
})

test('the name of a deleted user is free, and the new bearer has nothing of the old one', async (t) => {
  const cli = await world(t)
  const id = await finishedRequest(cli, { key: 'bob/laptop', atMs: NOW_MS, costMicro: 30_000 })
  await cli.ok('users delete bob --forfeit --confirm bob')
  await cli.ok('keys create bob/laptop --create-user')
  assert.equal((await cli.json('users show bob')).balance_micro, 0)
  assert.match(await cli.ok('usage list'), /bob#\w{8}\/laptop/)
  const refund = await cli.run(`credit refund ${id} --yes`)
  assert.equal(refund.code, 3)
  assert.match(refund.err, /The user bob#\w{8} was deleted/)
})

test('a debt is written off only with --forfeit, and running requests keep a user', async (t) => {
  const cli = await world(t)
  await runningRequest(cli, { key: 'bob/laptop', atMs: NOW_MS, holdMicro: 20_000 })
  const busy = await cli.run('users delete bob --forfeit --confirm bob')
  assert.equal(busy.code, 4)
  assert.match(busy.err, /Requests of bob are still running \(\$0\.02 held\)/)
  await cli.ok('keys create ann/laptop --create-user')
  await cli.ok(['credit', 'adjust', 'ann', '-2', '--note', 'x', '--allow-negative', '--yes'])
  assert.match((await cli.run('users delete ann --confirm ann')).err, /ann owes \$2\.00/)
  const deleted = await cli.run('users delete ann --forfeit --confirm ann')
  assert.match(deleted.out, /^Deleted ann\. 1 key revoked\. \$2\.00 that they owe is written off\./)
  assert.match(await cli.ok('db check'), /ledger = balances for 2 users/)
})

test('--dry-run tells what a command would do, asks nothing and leaves every row as it was', async (t) => {
  const cli = await world(t)
  await cli.ok('accounts add main --key-env K --no-test', {
    env: { K: 'sk-ant-api03-canary-Xk4A' },
  })
  const db = new Sqlite(cli.databaseFile, { readonly: true })
  t.after(() => db.close())
  const tables = ['users', 'keys', 'accounts', 'wallets', 'ledger', 'audit']
  const rows = () => tables.map((table) => db.prepare(`SELECT * FROM ${table} ORDER BY 1`).all())
  const before = rows()
  const lines = [
    'users create ann --credit 5',
    'users update bob --name robert',
    'users suspend bob',
    'users delete bob --forfeit',
    'keys create ann/laptop --create-user --credit 5 --spend-limit 20/day',
    'keys limit bob/laptop --spend-limit 20/day --markup 1.2',
    'keys revoke bob/laptop bob/phone',
    'credit grant bob 5000',
    'credit adjust bob -1 --note x',
    'accounts update main --day-cap 50',
    'accounts disable main --drain',
    'accounts cooldown set main --for 10m',
    'accounts remove main',
  ]
  for (const line of lines) {
    const shown = await cli.run(`${line} --dry-run`)
    assert.equal(shown.code, 0, `${line}: ${shown.err}`)
    assert.match(shown.err, /Nothing written \(--dry-run\)\.\n$/, line)
    assert.doesNotMatch(shown.out, /cc_user_\w{38}/, 'a key that was not kept has no secret')
    const told = await cli.json(`${line} --dry-run`)
    assert.equal(told.dry_run, true, line)
    assert.ok(!('in_force' in told) || told.in_force === null, line)
  }
  assert.deepEqual(rows(), before)
})

test('what is left of a deleted user is found by the name that they had', async (t) => {
  const cli = await world(t)
  await cli.ok('users delete bob --forfeit --confirm bob')
  const gone = await cli.run('credit history bob')
  assert.equal(gone.code, 3)
  const name = /What is left of them: (bob#\w{8})/.exec(gone.err)?.[1]
  assert.ok(name !== undefined, gone.err)
  const history = await cli.json(`credit history ${name}`)
  assert.equal((history.data as { user: string }[])[0].user, name)
  assert.match(await cli.ok(`credit reconcile --user ${name}`), /^bob#\w{8}: balance \$0\.00/)
  await cli.ok('users create ann')
  assert.match(await cli.ok('credit reconcile'), /for 2 users \(1 deleted\)/)
})

test('a user who is suspended is shown with when, by whom and why', async (t) => {
  const cli = await world(t)
  assert.doesNotMatch(await cli.ok('users list'), /REASON/)
  assert.equal(await cli.ok('users resume bob'), 'bob is active already.\n')
  await cli.ok('users suspend bob --reason unpaid --yes')
  assert.equal(await cli.ok('users suspend bob'), 'bob is suspended already.\n')
  assert.match(await cli.ok('users show bob'), /^Suspended Sun 22 Nov 12:04 by cli:ann: unpaid$/m)
  assert.match(await cli.ok('users list'), /REASON\nbob +suspended .* unpaid$/m)
  await cli.ok('users resume bob')
  assert.doesNotMatch(await cli.ok('users show bob'), /Suspended/)
})

test('somebody who is never warned of a low balance is shown with none', async (t) => {
  const cli = await world(t)
  await cli.ok('users update bob --low-balance 20')
  assert.match(await cli.ok('users update bob --low-balance none'), /low balance \$20\.00 → none/)
  assert.match(await cli.ok('credit show bob'), / none$/m)
})

test('a rehearsal says that it would, never that it did', async (t) => {
  const cli = await world(t)
  for (const [line, text] of [
    ['users create ann', /^Would add ann {3}balance \$0\.00$/m],
    ['users suspend bob', /^Would suspend bob\.$/m],
    [
      'users delete bob --forfeit',
      /^Would delete bob\. 2 keys revoked\. \$5\.00 of credit lapses\.$/m,
    ],
    ['users update bob --note x', /^bob {2}note none → x\.$/m],
    ['keys limit bob/laptop --rpm 5', /^bob\/laptop {2}requests\/min 60 → 5\.$/m],
  ] as const) {
    const out = await cli.ok(`${line} --dry-run`)
    assert.match(out, text)
    assert.doesNotMatch(out, /In force/)
  }
})
