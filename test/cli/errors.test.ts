import assert from 'node:assert/strict'
import { chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { SETTING_PATHS } from '../../src/config/schema.ts'
import { cliWorld } from './support.ts'

test('what is not set up yet says how to set it up, with exit 5', async (t) => {
  const world = cliWorld(t)
  const noConfig = await world.run('keys list')
  assert.equal(noConfig.code, 5)
  assert.match(noConfig.err, /There is no config file .*\nRun: ccgate init/)
  const nothing = await world.run('keys list', {
    env: { CCGATE_CONFIG: undefined, CCGATE_DB: join(world.dir, 'none.db') },
  })
  assert.equal(nothing.code, 5)
  assert.match(
    nothing.err,
    /Nothing here yet.*none\.db\.\nRun: ccgate init {3}\(or try: ccgate demo\)/,
  )
})

test('with --json an error is one line on stderr and nothing on stdout', async (t) => {
  const world = cliWorld(t)
  await world.init()
  await world.ok('keys create alice/laptop --create-user')
  for (const line of ['keys show alice/lap --json', '--json keys show alice/lap']) {
    const ran = await world.run(line)
    assert.equal(ran.code, 3)
    assert.equal(ran.out, '')
    assert.deepEqual(JSON.parse(ran.err), {
      error: {
        code: 'key_not_found',
        message: 'There is no key named "alice/lap".',
        hint: 'Closest match: alice/laptop. List them with: ccgate keys list',
        exit_code: 3,
        docs: 'errors#key_not_found',
      },
    })
    assert.equal(ran.err.indexOf('\n'), ran.err.length - 1)
  }
  const fromEnv = await world.run('keys frob', { env: { CCGATE_JSON: '1' } })
  assert.equal(JSON.parse(fromEnv.err).error.code, 'unknown_command')
})

test('a file that is no database, and a locked one, are told apart', async (t) => {
  const world = cliWorld(t)
  await world.init()
  const other = join(world.dir, 'other.db')
  writeFileSync(
    other,
    'this is a text file, and a long enough one to be looked at closely'.repeat(20),
  )
  const wrong = await world.run(`users list --db ${other}`)
  assert.equal(wrong.code, 5)
  assert.match(wrong.err, /is not a database of ccgate/)

  const holder = new Sqlite(world.databaseFile)
  holder.exec('BEGIN IMMEDIATE')
  try {
    const busy = await world.run('users create bob', {
      env: { CCGATE_STORE__BUSY_TIMEOUT: '30ms' },
    })
    assert.equal(busy.code, 6)
    assert.match(busy.err, /locked by another program/)
    assert.equal((await world.run('users list')).code, 0, 'reading goes on')
  } finally {
    holder.exec('ROLLBACK')
    holder.close()
  }
  assert.equal((await world.run('users create bob')).code, 0)
})

test('without the right master key nothing is written, and init makes no new one', async (t) => {
  const world = cliWorld(t)
  await world.init()
  const key = readFileSync(world.keyFile)
  rmSync(world.keyFile)
  const missing = await world.run('keys create alice/x --create-user')
  assert.equal(missing.code, 5)
  assert.match(missing.err, /master key .* is missing.*\n.*CCGATE_MASTER_KEY_FILE/)
  assert.equal((await world.run('init --dir home')).code, 5)
  assert.equal(existsSync(world.keyFile), false)
  writeFileSync(world.keyFile, '00'.repeat(32), { mode: 0o600 })
  const wrong = await world.run('keys create alice/x --create-user')
  assert.equal(wrong.code, 5)
  assert.match(wrong.err, /does not belong to this database/)
  assert.deepEqual((await world.json('users list')).data, [])
  writeFileSync(world.keyFile, key, { mode: 0o600 })
  await world.ok('keys create alice/x --create-user')
  chmodSync(world.keyFile, 0o644)
  assert.match((await world.run('keys create alice/y')).err, /can be opened by other users/)
})

test('init is safe to repeat after any part was lost, and never touches what is there', async (t) => {
  const world = cliWorld(t)
  const made = await world.json('init --dir home --support-email help@example.com')
  assert.deepEqual(made.created, ['config', 'master_key', 'db'])
  for (const file of [world.configFile, world.databaseFile, world.keyFile]) {
    assert.equal(statSync(file).mode & 0o777, 0o600, file)
  }
  const before = readFileSync(world.keyFile, 'utf8')
  rmSync(world.configFile)
  assert.deepEqual((await world.json('init --dir home')).created, ['config'])
  rmSync(world.databaseFile)
  assert.deepEqual((await world.json('init --dir home')).created, ['db'])
  assert.deepEqual((await world.json('init --dir home')).created, [])
  assert.equal(readFileSync(world.keyFile, 'utf8'), before)
  await world.ok('keys create alice/x --create-user')
  const bad = await world.run('init --force --dir home --public-url nonsense')
  assert.equal(bad.code, 2)
  assert.match(bad.err, /"nonsense" is not a web address/)
  await world.ok('init --force --dir home --public-url https://api.example.com')
  assert.match(await world.ok('config print --changed'), /public_url: https:\/\/api\.example\.com/)
})

test('at a terminal init asks for what it needs, and takes the default for an empty line', async (t) => {
  const world = cliWorld(t)
  const ran = await world.run('init --dir home', {
    tty: true,
    stdin: 'https://api.example.com\n\n',
  })
  assert.equal(ran.code, 0, ran.err)
  assert.match(
    ran.err,
    /Public URL \[http:\/\/127\.0\.0\.1:8787\]: Support e-mail \[support@example\.com\]: /,
  )
  const config = readFileSync(world.configFile, 'utf8')
  assert.match(config, /^public_url: "https:\/\/api\.example\.com"$/m)
  assert.match(config, /^# support_email: support@example\.com$/m)
})

test('a broken config stops every command but its own check, which lists all of it', async (t) => {
  const world = cliWorld(t)
  await world.init()
  writeFileSync(world.configFile, 'upstream:\n  timeout: 5s\nlimits:\n  default_rpm: 60/min\n')
  const list = await world.run('keys list')
  assert.equal(list.code, 5)
  assert.match(
    list.err,
    /line 2 {2}upstream\.timeout: unknown key.* \(and 1 more\)\nSee all of it: ccgate config check/,
  )
  const check = await world.run('config check')
  assert.equal(check.code, 9)
  assert.equal(
    check.out,
    [
      world.configFile,
      '  line 2  upstream.timeout: unknown key. Did you mean upstream.timeouts?',
      '  line 4  limits.default_rpm: "60/min" is not a number. Example: 60',
      '2 problems',
      '',
    ].join('\n'),
  )
  const report = await world.run('config check --json')
  assert.equal(report.code, 9)
  assert.equal(JSON.parse(report.out).checks[1].line, 4)
  assert.equal((await world.run('config example')).code, 0)
})

test('a moderate danger asks a person and refuses a script without --yes', async (t) => {
  const world = cliWorld(t)
  await world.init()
  await world.ok('keys create alice/laptop --create-user')
  const script = await world.run('keys revoke alice/laptop')
  assert.equal(script.code, 10)
  assert.match(script.err, /Add --yes/)
  for (const answer of ['n\n', '\n', 'no\n', 'x\n']) {
    const no = await world.run('keys revoke alice/laptop', { tty: true, stdin: answer })
    assert.equal(no.code, 10, answer)
    assert.match(no.err, /\[y\/N\] Nothing was changed\./)
  }
  assert.equal(
    (await world.run('keys revoke alice/laptop --no-input', { tty: true, stdin: 'y\n' })).code,
    10,
  )
  assert.equal((await world.json('keys show alice/laptop')).state, 'active')
  const yes = await world.run('keys revoke alice/laptop', { tty: true, stdin: 'y\n' })
  assert.equal(yes.code, 0)
  assert.match(yes.out, /Revoked alice\/laptop/)
})

test('the last healthy account is only removed by its name', async (t) => {
  const world = cliWorld(t)
  await world.init()
  await world.ok('accounts add main --no-test --key-stdin', { stdin: 'sk-ant-api03-something' })
  assert.equal((await world.run('accounts remove main --yes')).code, 10)
  assert.equal((await world.run('accounts remove main --confirm mian')).code, 2)
  assert.equal((await world.run('accounts remove main', { tty: true, stdin: 'other\n' })).code, 10)
  assert.equal((await world.run('accounts remove main', { tty: true, stdin: 'main\n' })).code, 0)
  assert.equal((await world.run('accounts show main')).code, 3)
  assert.equal((await world.run('accounts remove main --if-exists')).code, 0)
})

test('a grant with one reference happens once, however often and however many ask', async (t) => {
  const world = cliWorld(t)
  await world.init()
  await world.ok('users create alice')
  const runs = await Promise.all(
    Array.from({ length: 5 }, () => world.run('credit grant alice 10 --ref bank-1 --json')),
  )
  const answers = runs.map((ran) => JSON.parse(ran.out) as { id: string; duplicate: boolean })
  assert.equal(new Set(answers.map((answer) => answer.id)).size, 1)
  assert.equal(answers.filter((answer) => !answer.duplicate).length, 1)
  assert.equal((await world.ok('credit show alice -q')).trim(), '10000000')
  assert.equal((await world.run('credit grant alice 10.000001 --ref bank-1')).code, 4)
})

test('an amount stays exact from the command line to the ledger', async (t) => {
  const world = cliWorld(t)
  await world.init()
  await world.ok('users create alice')
  for (const [amount, micro] of [
    ['0.1', 100_000],
    ['0.2', 200_000],
    ['999.999999', 999_999_999],
    ['1micro', 1],
  ] as const) {
    assert.equal((await world.json(`credit grant alice ${amount}`)).amount_micro, micro)
  }
  assert.equal((await world.ok('credit show alice -q')).trim(), '1000300000')
  assert.equal((await world.run('credit grant alice 1000000.000001 --yes')).code, 2)
  assert.equal((await world.run('credit grant alice 1000000 --yes')).code, 0)
})

test('the audit log names who did it', async (t) => {
  const world = cliWorld(t)
  await world.init()
  await world.ok('keys create alice/laptop --create-user', { userName: 'root-by-ann' })
  assert.equal((await world.json('keys show alice/laptop')).created_by, 'cli:root-by-ann')
})

test('global options work before and after the command, and lists can be paged', async (t) => {
  const world = cliWorld(t)
  await world.init()
  for (const name of ['a', 'b', 'c']) await world.ok(`users create ${name}`)
  const first = await world.run('--json users list --limit 2')
  const page = JSON.parse(first.out) as {
    data: { name: string }[]
    has_more: boolean
    next_after: string
  }
  assert.deepEqual(
    page.data.map((user) => user.name),
    ['a', 'b'],
  )
  assert.equal(page.has_more, true)
  const rest = JSON.parse(await world.ok(`users list --after ${page.next_after} --json`))
  assert.deepEqual(
    rest.data.map((user: { name: string }) => user.name),
    ['c'],
  )
  const people = await world.run('users list --limit 2')
  assert.match(people.err, /2 of 3 shown\. Next page: --after usr_/)
  assert.equal((await world.run('users list --after usr_nope')).code, 2)
  assert.equal((await world.ok('-q users list --all')).trim().split('\n').length, 3)
})

test('a narrow terminal drops columns and never wraps; colour only where there is a terminal', async (t) => {
  const world = cliWorld(t)
  await world.init()
  await world.ok([
    'users',
    'create',
    'a-user-with-quite-a-long-name',
    '--email',
    `${'long'.repeat(10)}@example.com`,
  ])
  for (const columns of [40, 60, 80, 200]) {
    const ran = await world.run('users list', { tty: true, columns })
    const plain = ran.out.replace(/\x1b\[\d+m/g, '')
    assert.notEqual(plain, ran.out)
    for (const line of plain.split('\n')) assert.ok(line.length <= columns, `${columns}: ${line}`)
  }
  assert.doesNotMatch(await world.ok('users list'), /\x1b/)
  for (const env of [{ NO_COLOR: '1' }, { TERM: 'dumb' }]) {
    assert.doesNotMatch((await world.run('users list', { tty: true, env })).out, /\x1b/)
  }
  assert.doesNotMatch((await world.run('users list --no-color', { tty: true })).out, /\x1b/)
  assert.match(await world.ok('users list --color always'), /\x1b\[1m/)
  assert.equal((await world.run('users list --color sometimes')).code, 2)
})

test('config check finds what serve would refuse', async (t) => {
  const world = cliWorld(t)
  await world.init()
  assert.equal((await world.run('config check')).code, 0)
  for (const file of [world.keyFile, world.databaseFile]) {
    chmodSync(file, 0o644)
    const { code, out } = await world.run('config check')
    assert.equal(code, 9, out)
    assert.match(out, new RegExp(`${file} .*chmod 600 ${file}|open ${file}`))
    chmodSync(file, 0o600)
  }
})

test('every setting is explained, with what may stand there', async (t) => {
  const world = cliWorld(t)
  await world.init()
  for (const path of SETTING_PATHS) {
    const { about, values } = await world.json(`config explain ${path}`)
    assert.notEqual(about, '', path)
    assert.notEqual(values, '', path)
  }
})

test('a bad value names the help of its command, and no example twice', async (t) => {
  const world = cliWorld(t)
  const { err: traffic } = await world.run('demo --traffic -5')
  assert.equal(traffic, 'ccgate: --traffic: "-5" must be above 0.\nSee: ccgate help demo\n')
  const { err: amount } = await world.run('credit grant alice lots')
  assert.equal(
    amount,
    'ccgate: Amount: "lots" is not an amount. Example: 25, 25.50 or $25.\nSee: ccgate help credit grant\n',
  )
})

test('parts of a cent are shown where credit moves, and a balance is never rounded up', async (t) => {
  const world = cliWorld(t)
  await world.init()
  await world.ok('users create alice')
  const granted = await world.ok('credit grant alice 2.5c')
  assert.match(granted, /^Granted \$0\.025 to alice\. Balance \$0\.00 → \$0\.025\./)
  assert.match(await world.ok('credit show alice'), /^alice +\$0\.02 /m)
})

test('the last healthy account is not disabled in silence', async (t) => {
  const world = cliWorld(t)
  await world.init()
  const env = { UPSTREAM_KEY: 'sk-ant-api03-one' }
  for (const name of ['one', 'two'])
    await world.ok(`accounts add ${name} --no-test --key-env UPSTREAM_KEY`, { env })
  assert.equal((await world.run('accounts disable one')).err, '')
  assert.match((await world.run('accounts disable two')).err, /^! No healthy account is left/)
})
