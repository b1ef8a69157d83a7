import assert from 'node:assert/strict'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { finishedRequest, runningRequest } from './requests.ts'
import { cliWorld, NOW_MS } from './support.ts'

const DAY_MS = 86_400_000

async function world(t: Parameters<typeof cliWorld>[0]) {
  const made = cliWorld(t)
  await made.init()
  await made.ok('keys create alice/laptop --create-user --credit 5')
  return made
}

test('a refund gives back a part, then the rest, and never more than the charge', async (t) => {
  const cli = await world(t)
  const id = await finishedRequest(cli, { key: 'alice/laptop', atMs: NOW_MS, costMicro: 30_000 })
  const part = await cli.json(`credit refund ${id} 0.01 --note cut --ref t-1 --yes`)
  assert.equal(part.object, 'ledger_entry')
  assert.equal(part.type, 'refund')
  assert.equal(part.request_id, id)
  assert.equal(part.amount_micro, 10_000)
  assert.equal(part.balance_after_micro, 4_980_000)
  assert.equal(part.left_micro, 20_000)
  assert.deepEqual([part.duplicate, part.changed], [false, true])

  const tooMuch = await cli.run(`credit refund ${id} 0.03 --yes --json`)
  assert.equal(tooMuch.code, 4)
  assert.equal(JSON.parse(tooMuch.err).error.code, 'nothing_to_refund')
  assert.match(tooMuch.err, /cost \$0\.03, of which \$0\.02 is left/)

  const rest = await cli.run(`credit refund ${id.slice(0, 20)} --yes`)
  assert.match(rest.out, /^Gave back \$0\.02 to alice\. Balance \$4\.98 → \$5\.00\./)
  assert.match(rest.err, /^To repeat this safely, add --ref refund-[0-9a-z]{12}\n$/)
  assert.equal((await cli.run(`credit refund ${id} --yes`)).code, 4)
  assert.match(await cli.ok('db check'), /ledger = balances/)
})

test('a refund with a reference is made once, whether its amount was said or not', async (t) => {
  const cli = await world(t)
  const ids = [1, 2].map((n) =>
    finishedRequest(cli, { key: 'alice/laptop', atMs: NOW_MS + n, costMicro: 30_000 }),
  )
  const [first, second] = [await ids[0], await ids[1]]
  const made = await cli.json(`credit refund ${first} --ref t-1 --yes`)
  for (const amount of ['', ' 0.03']) {
    const again = await cli.json(`credit refund ${first}${amount} --ref t-1 --yes`)
    assert.deepEqual([again.id, again.duplicate, again.changed], [made.id, true, false])
  }
  for (const other of [`${first} 0.01`, `${second}`]) {
    const ran = await cli.run(`credit refund ${other} --ref t-1 --yes --json`)
    assert.equal(ran.code, 4)
    assert.equal(JSON.parse(ran.err).error.code, 'ref_conflict')
  }
  assert.equal((await cli.run('credit grant alice 0.03 --ref t-1')).code, 4)
  assert.equal(await cli.ok('credit show alice -q'), '4970000\n')
})

test('a refund asks, and says why there is nothing to give back', async (t) => {
  const cli = await world(t)
  const id = await finishedRequest(cli, { key: 'alice/laptop', atMs: NOW_MS, costMicro: 30_000 })
  const unasked = await cli.run(`credit refund ${id}`)
  assert.equal(unasked.code, 10)
  assert.match(unasked.err, /Give back \$0\.03 to alice for ccr_\S+\?\nAdd --yes/)
  const free = await finishedRequest(cli, { key: 'alice/laptop', atMs: NOW_MS + 1, costMicro: 0 })
  assert.match((await cli.run(`credit refund ${free}`)).err, /is left to give back/)
  const running = await runningRequest(cli, { key: 'alice/laptop', atMs: NOW_MS + 2 })
  assert.match((await cli.run(`credit refund ${running}`)).err, /is still running/)
  assert.equal((await cli.run('credit refund ccr_01zzzzzzzz')).code, 3)
  for (const amount of ['0', '-1', '0,01', '1e3']) {
    assert.equal((await cli.run(`credit refund ${id} ${amount}`)).code, 2, amount)
  }
  const dry = await cli.run(`credit refund ${id} --dry-run`)
  assert.match(dry.out, /^Would give back \$0\.03/)
  assert.equal(dry.err, 'Nothing written (--dry-run).\n')
  assert.equal(await cli.ok('credit show alice -q'), '4970000\n')
})

test('days of the history are those of the configured time zone, and words for days too', async (t) => {
  const cli = await world(t)
  // 23:30 and 00:30 in Auckland, on either side of its midnight; in UTC both are the 23rd.
  const midnight = Date.UTC(2026, 10, 23, 11)
  for (const [i, offset] of [-30, 30].entries()) {
    const atMs = midnight + offset * 60_000
    await finishedRequest(cli, { key: 'alice/laptop', atMs, costMicro: 10_000 * (i + 1) })
  }
  const env = { CCGATE_TIMEZONE: 'Pacific/Auckland' }
  const days = async (line: string, options = {}) => {
    const { data } = await cli.json(`credit history alice --group day ${line}`.trim(), options)
    return (data as { day: string; spent_micro: number; timezone: string }[]).map(
      ({ day, spent_micro, timezone }) => `${day} ${spent_micro} ${timezone}`,
    )
  }
  assert.deepEqual(await days(''), ['2026-11-23 30000 UTC', '2026-11-22 0 UTC'])
  // The grant of the 22nd, 12:04 UTC, is on the 23rd there.
  const there = ['2026-11-24 20000 Pacific/Auckland', '2026-11-23 10000 Pacific/Auckland']
  assert.deepEqual(await days('', { env }), there)
  assert.deepEqual(await days('--since 2026-11-24 --until 2026-11-25', { env }), [there[0]])
  assert.deepEqual(await days('--until 2026-11-24', { env }), [there[1]])
  assert.match(
    await cli.ok('credit history alice --group day', { env }),
    /^DATE \(Pacific\/Auckland\)/,
  )
  assert.match(await cli.ok('credit history alice --group day --utc', { env }), /^DATE \(UTC\)/)
  assert.equal((await cli.run('credit history alice --group day --type grant')).code, 2)
  assert.equal((await cli.run('credit history alice --since 11/22/26')).code, 2)
})

test('the history can be cut by time and type', async (t) => {
  const cli = await world(t)
  const id = await finishedRequest(cli, { key: 'alice/laptop', atMs: NOW_MS, costMicro: 30_000 })
  await cli.ok(`credit refund ${id} --yes`)
  const types = async (line: string) => {
    const { data } = await cli.json(`credit history alice ${line}`.trim())
    return (data as { type: string }[]).map(({ type }) => type)
  }
  assert.deepEqual(await types(''), ['refund', 'charge', 'grant'])
  assert.deepEqual(await types('--type refund'), ['refund'])
  assert.deepEqual(await types(`--until ${new Date(NOW_MS - DAY_MS).toISOString()}`), [])
  assert.equal((await cli.run('credit history alice --type gift')).code, 2)
})

test('low balances are marked in credit show, told by status, and each user may have a figure', async (t) => {
  const cli = await world(t)
  const atMs = NOW_MS - 3 * 3_600_000
  await finishedRequest(cli, { key: 'alice/laptop', atMs, costMicro: 500_000 })
  await cli.ok('users create bob --credit 1')
  const lines = (await cli.ok('credit show')).split('\n')
  assert.match(lines[0], /^USER +BALANCE +HELD +SPENT 30 D +RUNS OUT IN +LOW AT$/)
  assert.match(lines[1], /^alice +\$4\.50 ! +\$0\.00 +\$0\.50 +~9 d +\$5\.00$/)
  const attention = async () => {
    const ran = await cli.run('status --json')
    return (JSON.parse(ran.out).attention as { code: string; message: string }[])
      .filter(({ code }) => code === 'low_balance')
      .map(({ message }) => message)
  }
  // Bob has less, but has never spent anything: nobody waits for him.
  assert.deepEqual(await attention(), ['alice has $4.50 left (~9 d)'])
  await cli.ok('users update alice --low-balance 4')
  assert.deepEqual(await attention(), [])
  await cli.ok('users update alice --low-balance 20')
  assert.equal((await attention()).length, 1)
  const [balance] = (await cli.json('credit show alice')).data as Record<string, unknown>[]
  assert.deepEqual([balance.low_balance_micro, balance.low], [20_000_000, true])
  await cli.ok('users update alice --low-balance default')
  const env = { CCGATE_BILLING__LOW_BALANCE_NOTICE: 'none' }
  assert.match(await cli.ok('credit show alice', { env }), /alice +\$4\.50 +\$0\.00 .* –$/m)
  // Now it goes faster, and status says the same.
  await finishedRequest(cli, { key: 'alice/laptop', atMs: NOW_MS, costMicro: 1_500_000 })
  assert.match(await cli.ok('credit show alice'), /~20 min/)
  const told = /alice has \$3\.00 left \(~20 min\): ccgate credit grant alice 20$/m
  assert.match((await cli.run('status')).out, told)
})

test('reconcile finds a wallet that disagrees with its ledger, and --fix sets it right once', async (t) => {
  const cli = await world(t)
  await finishedRequest(cli, { key: 'alice/laptop', atMs: NOW_MS, costMicro: 30_000 })
  await runningRequest(cli, { key: 'alice/laptop', atMs: NOW_MS + 1, holdMicro: 20_000 })
  assert.match(
    await cli.ok('credit reconcile --user alice'),
    /^alice: balance \$4\.970000 = 2 entries of the ledger · held \$0\.020000 = open holds$/m,
  )
  assert.match(await cli.ok('credit reconcile'), /ledger = balances for 1 user/)
  const db = new Sqlite(cli.databaseFile)
  t.after(() => db.close())
  db.exec('UPDATE wallets SET balance_micro = 77, held_micro = 5, last_entry_id = NULL')
  for (const line of ['credit reconcile', 'credit reconcile --user alice']) {
    const ran = await cli.run(line)
    assert.equal(ran.code, 9)
    assert.match(
      ran.out,
      /fail {2}Wallet of usr_\w+: balance is 77 micro, its ledger sums to 4970000/,
    )
    assert.match(ran.out, /5 micro held, its open holds sum to 20000/)
  }
  assert.equal((await cli.run('credit reconcile --fix')).code, 10)
  assert.equal((await cli.run('credit reconcile --fix --dry-run')).code, 0)
  assert.equal((await cli.run('credit reconcile')).code, 9, 'a rehearsal mends nothing')
  assert.match(
    await cli.ok('credit reconcile --fix --yes'),
    /^Fixed alice: balance \$0\.000077 → \$4\.970000, held \$0\.000005 → \$0\.020000\.\nledger = /,
  )
  const report = await cli.json('credit reconcile --user alice --fix --yes')
  assert.deepEqual(
    [report.object, report.ok, report.fixed, report.changed],
    ['report', true, [], false],
  )
  const audit = db.prepare(`SELECT actor, target FROM audit WHERE action = 'credit.fix'`).all()
  assert.deepEqual(audit, [{ actor: 'cli:ann', target: 'alice' }])
})

test('reconcile --fix mends wallets of deleted users too, and spend limits', async (t) => {
  const cli = await world(t)
  await cli.ok('keys limit alice/laptop --spend-limit 5/month')
  await cli.ok('keys create bob/laptop --create-user')
  await cli.ok('users delete bob --confirm bob')
  const db = new Sqlite(cli.databaseFile)
  t.after(() => db.close())
  db.exec('UPDATE wallets SET held_micro = 5 WHERE balance_micro = 0')
  db.exec('UPDATE key_spending SET spent_micro = 7')
  assert.equal((await cli.run('credit reconcile')).code, 9)
  const fixed = await cli.ok('credit reconcile --fix --yes')
  assert.match(fixed, /^Fixed alice: .*, spend limits counted again\.$/m)
  assert.match(fixed, /^Fixed usr_\w+: balance \$0\.00 → \$0\.00, held \$0\.000005 → \$0\.00\.$/m)
  assert.match(fixed, /^ledger = balances for 2 users \(1 deleted\)$/m)
})

test('reconcile mends nothing where the entries themselves are broken', async (t) => {
  const cli = await world(t)
  await finishedRequest(cli, { key: 'alice/laptop', atMs: NOW_MS, costMicro: 30_000 })
  const db = new Sqlite(cli.databaseFile)
  t.after(() => db.close())
  db.exec('DROP TRIGGER ledger_keeps_rows')
  db.exec(`UPDATE ledger SET amount_micro = 6000000 WHERE type = 'grant'`)
  const ran = await cli.run('credit reconcile --user alice --fix --yes')
  assert.equal(ran.code, 9)
  assert.match(ran.err, /The entries of alice do not follow from each other/)
  assert.equal(await cli.ok('credit show alice -q'), '4970000\n')
})

test('nobody is asked about what cannot be done, or was done before', async (t) => {
  const cli = await world(t)
  for (const line of [
    'credit adjust alice -100 --note x',
    'credit adjust alice -100 --note x --json',
  ]) {
    const refused = await cli.run(line)
    assert.equal(refused.code, 4, 'not 10')
    assert.doesNotMatch(refused.err, /To repeat this safely/)
    assert.match(refused.err, /alice has \$5\.00 available/)
  }
  await cli.ok('credit adjust alice -1 --note x --ref a-1 --yes')
  assert.match(await cli.ok('credit adjust alice -1 --note x --ref a-1'), /^Done before/)
  await cli.ok('credit grant alice 2000 --ref g-1 --yes')
  assert.match(await cli.ok('credit grant alice 2000 --ref g-1'), /^Done before/)
  assert.equal((await cli.run('credit grant alice 3000 --ref g-1')).code, 4)
  const id = await finishedRequest(cli, { key: 'alice/laptop', atMs: NOW_MS, costMicro: 30_000 })
  await cli.ok(`credit refund ${id} --ref r-1 --yes`)
  assert.match(await cli.ok(`credit refund ${id} --ref r-1`), /^Done before/)
  const twice = await cli.run(`credit refund ${id} --ref r-2`)
  assert.deepEqual([twice.code, /is left to give back/.test(twice.err)], [4, true])
})

test('with --json the reference is told before the entry is written, too', async (t) => {
  const cli = await world(t)
  const ran = await cli.run('credit grant alice 5 --json')
  const { notice } = JSON.parse(ran.err) as { notice: { ref: string; message: string } }
  assert.equal(notice.ref, (JSON.parse(ran.out) as { ref: string }).ref)
  assert.equal(notice.message, `To repeat this safely, add --ref ${notice.ref}`)
})

test('a reference that was used says for whom', async (t) => {
  const cli = await world(t)
  await cli.ok('users create bob')
  await cli.ok('credit grant bob 7 --ref r-1')
  const { err } = await cli.run('credit grant alice 7 --ref r-1')
  assert.match(err, /r-1 was used before, for another movement: grant of \$7\.00 for bob \(led_/)
})

test('a rehearsal says what would happen, and names no entry', async (t) => {
  const cli = await world(t)
  const id = await finishedRequest(cli, { key: 'alice/laptop', atMs: NOW_MS, costMicro: 30_000 })
  const cases: readonly (readonly [string, string])[] = [
    ['grant alice 5', 'Would grant $5.00 to alice. Balance $4.97 → $9.97.\n'],
    ['adjust alice -1 --note x', 'alice: balance would go $4.97 → $3.97.\n'],
    [`refund ${id}`, 'Would give back $0.03 to alice. Balance $4.97 → $5.00.\n'],
  ]
  for (const [line, text] of cases) assert.equal(await cli.ok(`credit ${line} --dry-run`), text)
})

test('the history shows request, note and reference of an entry, in the zone of the config', async (t) => {
  const cli = await world(t)
  const id = await finishedRequest(cli, { key: 'alice/laptop', atMs: NOW_MS, costMicro: 30_000 })
  await cli.ok(['credit', 'refund', id, '--note', 'cut answer', '--ref', 't-77', '--yes'])
  await cli.ok(['credit', 'grant', 'alice', '5', '--note', 'bank 118', '--ref', 'b-118'])
  const shown = await cli.ok('credit history alice')
  assert.match(shown, /^TIME \(UTC\) +TYPE/)
  assert.ok(shown.includes(`${id} · cut answer · ref t-77`), shown)
  assert.ok(shown.includes('bank 118 · ref b-118'), shown)
  const env = { CCGATE_TIMEZONE: 'Asia/Tokyo' }
  assert.match(
    await cli.ok('credit history alice', { env }),
    /^TIME \(Asia\/Tokyo\).*\n22 Nov 21:04/,
  )
  assert.match(await cli.ok('credit history alice --tz Asia/Tokyo'), /\n22 Nov 21:04/)
  assert.match(
    await cli.ok('credit history alice --group day --tz Pacific/Auckland'),
    /^DATE \(Pacific\/Auckland\).*\n2026-11-23/,
  )
  assert.equal((await cli.run('credit history alice --tz Mars/X')).code, 2)
})

test('a page or a span that cannot be is refused', async (t) => {
  const cli = await world(t)
  await cli.ok('users create bob --credit 1')
  const [entry] = (await cli.json('credit history bob')).data as { id: string }[]
  for (const after of ['foo', entry.id]) {
    const ran = await cli.run(`credit history alice --after ${after}`)
    assert.deepEqual([ran.code, /alice has no entry/.test(ran.err)], [2, true], after)
  }
  assert.equal((await cli.run(`credit history bob --after ${entry.id}`)).code, 0)
  const span = await cli.run('credit history alice --since 2026-01-01 --until 2020-01-01')
  assert.deepEqual([span.code, /--until is not after --since/.test(span.err)], [2, true])
})
