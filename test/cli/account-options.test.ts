import assert from 'node:assert/strict'
import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { HealthRow } from '../../src/core/model.ts'
import { openStore } from '../../src/store/open.ts'
import { cliWorld, NOW_MS, type Ran } from './support.ts'

const KEY = { env: { K: 'sk-ant-api03-canary-main-Xk4A' } }
const LOGIN = 'anna:HUNTERhunter2'
const printed = ({ out, err }: Ran) => out + err

async function world(t: TestContext, names: readonly string[] = ['main']) {
  const cli = cliWorld(t)
  await cli.init()
  for (const name of names) {
    await cli.ok(`accounts add ${name} --no-test --key-env K`, KEY)
  }
  const file = (text: string, mode = 0o600): string => {
    const path = join(cli.dir, 'proxy.url')
    writeFileSync(path, text)
    chmodSync(path, mode)
    return path
  }
  return { cli, file }
}

test('an account is added with all that is said of it, and shows it', async (t) => {
  const { cli } = await world(t, [])
  const options = '--tag eu --tag fast,eu --tpm 2M --cache-scope research --proxy https://10.0.0.7'
  const added = await cli.json(
    [...`accounts add main --no-test --key-env K ${options}`.split(' '), '--hours', '22:00-6:00'],
    KEY,
  )
  const { tags, tpm_limit, cache_scope, hours, proxy } = added
  assert.deepEqual(
    { tags, tpm_limit, cache_scope, hours, proxy },
    {
      tags: ['eu', 'fast'],
      tpm_limit: 2_000_000,
      cache_scope: 'research',
      hours: '22:00-06:00',
      proxy: 'https://10.0.0.7:443',
    },
  )
  assert.equal(added.state, 'closed')
  assert.equal(added.cooldown_until, '2026-11-22T22:00:00.000Z')
  const status = await cli.run('status --json')
  assert.equal((JSON.parse(status.out) as { accounts: { closed: number } }).accounts.closed, 1)
})

test('what makes no sense is told, and nothing is stored', async (t) => {
  const { cli } = await world(t)
  const many = Array.from({ length: 17 }, (_, n) => `t${n}`).join()
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [['--tag', 'EU'], /has capitals: write eu/],
    [['--tag', 'a b'], /"a b" is not a tag: use at most 32 of a-z/],
    [['--tag', 'eu,none'], /"none" means something here/],
    [['--tag', 'x'.repeat(33)], /is not a tag/],
    [['--tag', ''], /no tag was named.*\n.*Give 1 to 16, or none/],
    [['--tag', many], /17 are too many/],
    [['--cache-scope', 'any'], /"any" means something here and cannot be a name/],
    [['--tpm', '0'], /0 is out of range/],
    [['--tpm', '2G'], /not a number/],
    [['--hours', 'mon 8-18'], /"8" is not a time of day/],
    [['--hours', '08:00-08:00'], /never opens/],
    [['--proxy', 'proxy:3128'], /not the address of a proxy. Example: http:/],
    [['--proxy', 'socks4://proxy'], /use http, https or socks5/],
    [['--proxy', 'http://p:1', '--proxy-file', 'x'], /in two ways/],
    [['--proxy-file', 'nowhere'], /The proxy file .*nowhere cannot be read/],
  ]
  for (const [options, expected] of cases) {
    const ran = await cli.run(['accounts', 'update', 'main', ...options])
    assert.equal(ran.code, 2, options.join(' '))
    assert.match(ran.err, expected)
  }
  const key = await cli.run('keys create alice/a --create-user --account-tag any,eu')
  assert.match(key.err, /"any" means something here/)
  assert.deepEqual((await cli.json('accounts show main')).tags, [])
})

test('a login of a proxy on the command line is refused, and never repeated', async (t) => {
  const { cli } = await world(t)
  for (const options of [
    ['--proxy', `http://${LOGIN}@proxy:3128`],
    [`--proxy=socks5://${LOGIN}@proxy`],
    ['--proxy', 'http://HUNTERtoken@proxy:3128'],
    ['--proxy', 'http://anna:HUNTER/2@proxy:3128'],
    ['--proxi', `http://${LOGIN}@proxy:3128`],
    ['--note', `goes by http://${LOGIN}@proxy`],
    [`http://${LOGIN}@proxy`],
  ]) {
    const ran = await cli.run(['accounts', 'update', 'main', ...options])
    assert.equal(ran.code, 2)
    assert.match(ran.err, /leak into shell history/)
    assert.match(ran.err, /--proxy-file FILE \(- is stdin\)/)
    assert.doesNotMatch(printed(ran), /HUNTER/)
  }
})

test('a proxy with a login comes from a file or stdin, and only its place is ever shown', async (t) => {
  const { cli, file } = await world(t)
  const path = file(`http://${LOGIN}@Proxy.example.com:3128\n`)
  const changed = await cli.run(`accounts update main --proxy-file ${path}`)
  assert.match(changed.out, /proxy none → http:\/\/proxy\.example\.com:3128\. {3}In force now/)
  assert.match(await cli.ok(`accounts update main --proxy-file ${path}`), /set like that already/)
  const again = await cli.run('accounts update main --proxy-file -', {
    stdin: 'http://anna:HUNTERother@proxy.example.com:3128',
  })
  assert.match(again.out, /main {2}proxy http:\/\/proxy\.example\.com:3128 with another login\./)
  const bad = await cli.run('accounts update main --proxy-file -', {
    stdin: 'ftp://anna:HUNTER@proxy',
  })
  assert.equal(bad.code, 2)
  const shown = [changed, again, bad, await cli.run('accounts show main')]
  shown.push(await cli.run('accounts list --json'), await cli.run('accounts show main --json'))
  for (const ran of shown) assert.doesNotMatch(printed(ran), /HUNTER|anna/)
  for (const name of readdirSync(dirname(cli.databaseFile))) {
    const bytes = readFileSync(join(dirname(cli.databaseFile), name), 'latin1')
    assert.doesNotMatch(bytes, /HUNTER/, `${name} holds the password, also its audit rows`)
  }
  assert.match(await cli.ok('accounts update main --proxy none'), /3128 → none/)
})

test('a proxy file that everybody can read is refused, and stdin holds one thing only', async (t) => {
  const { cli, file } = await world(t)
  const open = await cli.run(`accounts update main --proxy-file ${file('http://p', 0o644)}`)
  assert.equal(open.code, 2)
  assert.match(open.err, /chmod 600/)
  for (const key of ['--key-stdin', '--key-file -']) {
    const both = await cli.run(`accounts add two --no-test ${key} --proxy-file -`, { stdin: 'x' })
    assert.match(both.err, /cannot both come from stdin/)
  }
})

test('a key confined to tags says so, and warns as long as nothing serves it', async (t) => {
  const { cli } = await world(t)
  const made = await cli.run('keys create alice/a --create-user --account-tag us,eu')
  assert.match(
    made.err,
    /^! No enabled account is tagged eu or us: nothing serves this key until one is/m,
  )
  assert.match(made.err, /name them all: ccgate accounts update main --tag eu$/m)
  assert.match(made.err, /accounts tagged eu or us/)
  assert.match(await cli.ok('keys show alice/a'), / · accounts tagged eu or us$/m)
  await cli.ok('accounts update main --tag us')
  const next = await cli.run('keys create alice/b --account-tag us --json')
  assert.equal(next.err, '')
  assert.deepEqual((JSON.parse(next.out) as { account_tags: unknown }).account_tags, ['us'])
  const any = await cli.json('keys limit alice/a --account-tag any')
  assert.equal(any.account_tags, null)
  assert.deepEqual(any.previous, { account_tags: ['eu', 'us'] })
  assert.equal((await cli.json('keys limit alice/a --account-tag any')).changed, false)
})

test('lists have a column of tags as soon as there is one', async (t) => {
  const { cli } = await world(t, ['main', 'spare'])
  assert.doesNotMatch(await cli.ok('accounts list'), /TAGS/)
  await cli.ok('accounts update spare --tag fast,eu')
  const list = await cli.ok('accounts list')
  assert.match(list, /NAME +TAGS/)
  assert.match(list, /spare +eu,fast/)
})

test('rests are listed one by one with their evidence, also those that only wait for a try', async (t) => {
  const { cli } = await world(t)
  const { id } = await cli.json('accounts show main')
  const row = (modelClass: string, change: Partial<HealthRow>): HealthRow => ({
    accountId: String(id),
    modelClass,
    state: 'cooling',
    reason: '529 overloaded_error',
    httpStatus: 529,
    upstreamRequestId: 'req_018EeWyX',
    sinceMs: NOW_MS,
    untilMs: NOW_MS + 3_600_000,
    step: 2,
    credentialVersion: 1,
    ...change,
  })
  const opened = await openStore({ path: cli.databaseFile, mode: 'write' })
  assert.ok(opened.kind === 'opened')
  const due = { untilMs: NOW_MS + 1, upstreamRequestId: null, reason: 'connect timed out' }
  await opened.store.saveHealth([row('opus', {}), row('haiku', { ...due, httpStatus: null })], [])
  await opened.store.close()

  const list = await cli.ok('accounts cooldown')
  assert.match(
    list,
    /main +opus +59:5\d +22 Nov 13:04:31 +2 +529 overloaded_error +529 +req_018EeWyX/,
  )
  assert.match(list, /main +haiku +to be tried +– +2 +connect timed out +– +–/)
  const show = await cli.ok('accounts show main')
  assert.match(
    show,
    /^Rest {6}opus, 529 overloaded_error · until .*13:04.* left\) · step 2 · upstream request req_018EeWyX$/m,
  )
  assert.match(
    show,
    /^Rest {6}haiku, connect timed out · ended, the next request tries it · step 2$/m,
  )
  const { data } = (await cli.json('accounts cooldown')) as { data: { rests: unknown[] }[] }
  assert.deepEqual(data[0].rests, [
    {
      model_class: 'haiku',
      state: 'half_open',
      reason: 'connect timed out',
      http_status: null,
      upstream_request_id: null,
      since: new Date(NOW_MS + 1).toISOString(),
      until: null,
      step: 2,
    },
    {
      model_class: 'opus',
      state: 'cooling',
      reason: '529 overloaded_error',
      http_status: 529,
      upstream_request_id: 'req_018EeWyX',
      since: new Date(NOW_MS).toISOString(),
      until: new Date(NOW_MS + 3_600_000).toISOString(),
      step: 2,
    },
  ])
  await cli.ok('accounts cooldown clear main')
  assert.equal((await cli.json('accounts show main')).state, 'healthy')
  assert.match(await cli.ok('accounts cooldown'), /No account rests/)
})

test('a change that leaves keys without any account says which', async (t) => {
  const { cli } = await world(t, ['main', 'spare'])
  await cli.ok('accounts update main --tag eu')
  await cli.ok('accounts update spare --tag eu,us')
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f'])
    await cli.ok(`keys create alice/${name} --create-user --account-tag eu`)
  await cli.ok('keys create alice/free')
  const none = /No enabled account may serve/
  assert.doesNotMatch((await cli.run('accounts update main --tag none')).err, none)
  const left = await cli.run('accounts update spare --tag us')
  assert.match(
    left.err,
    /^! No enabled account may serve (alice\/[a-f] \(tagged eu\), ){4}alice\/[a-f] \(tagged eu\) and 1 more\./m,
  )
  assert.doesNotMatch(left.err, /alice\/free/)
  await cli.ok('accounts update spare --tag eu')
  for (const command of ['accounts disable spare', 'accounts remove spare --yes']) {
    assert.match((await cli.run(command)).err, none, command)
    await cli.run('accounts enable spare')
  }
})

test('keys that no account may serve stand under Attention, by tags, by models or by both', async (t) => {
  const { cli } = await world(t, ['green', 'other'])
  await cli.ok('accounts update green --tag us')
  await cli.ok('keys create dave/slow --create-user --account-tag us --models claude-opus-*')
  const attention = async () => {
    const { out } = await cli.run('status --json')
    const all = (JSON.parse(out) as { attention: { code: string; message: string }[] }).attention
    return all.filter(({ code }) => code === 'keys_without_account').map(({ message }) => message)
  }
  assert.deepEqual(await attention(), [])
  const narrowed = await cli.run('accounts update green --models claude-haiku-*')
  const told = 'No enabled account may serve dave/slow (tagged us, for claude-opus-*)'
  assert.ok(narrowed.err.includes(`! ${told}. `), narrowed.err)
  assert.deepEqual(await attention(), [told])
  assert.match(narrowed.err, /\. Its requests are refused until one may\.$/m)
  assert.doesNotMatch((await cli.run('accounts update green --weight 2')).err, /may serve/)
  const rehearsed = await cli.run('accounts update green --weight 3 --dry-run')
  assert.match(rehearsed.out, /weight 2 → 3\.$/m, 'nothing is in force')
  const second = await cli.run('keys create dave/fast --account-tag us --models claude-opus-*')
  assert.match(second.err, /^! No enabled account may serve dave\/fast/m)
  await cli.ok('keys revoke dave/slow dave/fast --yes')
  assert.deepEqual(await attention(), [])
  await cli.ok('keys create dave/tags --account-tag us')
  const asked = await cli.run('accounts remove green', { tty: true, stdin: 'n\n', columns: 300 })
  assert.match(asked.err, /No enabled account may serve dave\/tags \(tagged us\) then\./)
  await cli.ok('accounts update green --models all --tag us,eu')
  const unknown = await cli.run('keys limit dave/tags --account-tag mars')
  assert.match(unknown.err, /name them all: ccgate accounts update green --tag eu,us,mars$/m)
})
