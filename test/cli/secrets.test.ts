import assert from 'node:assert/strict'
import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { cliWorld, type Ran } from './support.ts'

const CANARY = 'sk-ant-api03-CANARYcanaryCANARYcanary-Xk4A'
const USER_CANARY = 'cc_user_CANARYcanaryCANARYcanaryCANARYcanary12'

const printed = (ran: Ran) => ran.out + ran.err

test('a secret anywhere on the command line is refused, and never repeated', async (t) => {
  const world = cliWorld(t)
  await world.init()
  const lines: readonly (readonly string[])[] = [
    ['accounts', 'add', 'main', '--key', CANARY],
    ['accounts', 'add', 'main', `--key=${CANARY}`],
    ['accounts', 'add', 'main', '--key', 'anything'],
    ['accounts', 'add', 'main', '--key=anything'],
    ['usage', 'list', '--key', USER_CANARY],
    ['usage', 'list', `--key=${USER_CANARY}`],
    ['accounts', 'add', CANARY],
    ['accounts', 'add', 'main', '--note', CANARY],
    ['accounts', 'add', 'main', `--note=old ${CANARY}`],
    ['accounts', 'add', 'main', '--key-env', CANARY],
    ['keys', 'show', USER_CANARY],
    ['users', 'list', '--search', USER_CANARY],
    [USER_CANARY],
    ['keys', 'list', '--json', `--bogus=${USER_CANARY}`],
  ]
  for (const line of lines) {
    const ran = await world.run(line)
    assert.equal(ran.code, 2, line.join(' '))
    assert.equal(ran.out, '')
    assert.match(ran.err, /leak into shell history/)
    assert.match(ran.err, /--key-stdin, --key-file FILE or --key-env NAME/)
    assert.doesNotMatch(printed(ran), /CANARY/)
  }
})

test('the name of a key is no secret', async (t) => {
  const world = cliWorld(t)
  await world.init()
  await world.ok('users create bob')
  await world.ok('keys create bob/phone')
  for (const line of ['usage list', 'usage summary', 'usage export']) {
    await world.ok(`${line} --key bob/phone`)
    await world.ok(`${line} --key=bob/phone`)
  }
  const tail = await world.run('usage tail --key bob/phone')
  assert.match(tail.err, /The gateway does not run/)
})

test('masked forms and prefixes in sentences are no secrets', async (t) => {
  const world = cliWorld(t)
  await world.init()
  await world.ok(['users', 'create', 'bob', '--note', 'had cc_user_…9fQ2, keys start with sk-ant-'])
})

test('a key arrives by stdin, file or environment, trimmed, and never by two ways', async (t) => {
  const world = cliWorld(t)
  await world.init()
  const file = join(world.dir, 'key')
  writeFileSync(file, `${CANARY}\n`, { mode: 0o600 })
  await world.ok('accounts add a --no-test --key-stdin', { stdin: `  ${CANARY}\r\n` })
  await world.ok(`accounts add b --no-test --key-file ${file}`)
  await world.ok('accounts add c --no-test --key-env K', { env: { K: CANARY } })
  await world.ok('accounts add d --no-test --key-file -', { stdin: CANARY })
  const list = await world.json('accounts list')
  const prints = (list.data as { key_fingerprint: string; key_masked: string }[]).map(
    (row) => `${row.key_fingerprint} ${row.key_masked}`,
  )
  assert.equal(prints.length, 4)
  assert.equal(new Set(prints).size, 1)
  assert.match(prints[0], /sk-ant-…Xk4A$/)
  const twice = await world.run('accounts add e --no-test --key-stdin --key-env K', {
    env: { K: CANARY },
    stdin: CANARY,
  })
  assert.equal(twice.code, 2)
  assert.match(twice.err, /more than one way/)
})

test('a key file that everybody can read is refused', async (t) => {
  const world = cliWorld(t)
  await world.init()
  const file = join(world.dir, 'key')
  writeFileSync(file, CANARY)
  chmodSync(file, 0o644)
  const open = await world.run(`accounts add a --no-test --key-file ${file}`)
  assert.equal(open.code, 2)
  assert.match(open.err, /chmod 600/)
  assert.match(
    (await world.run('accounts add a --no-test --key-file /nowhere/k')).err,
    /cannot be read: it is not there/,
  )
  assert.match((await world.run('accounts add a --no-test --key-env NOPE')).err, /has no NOPE/)
  const nobody = await world.run('accounts add a --no-test')
  assert.equal(nobody.code, 2)
  assert.match(nobody.err, /nobody to ask/)
})

test('what is not a key is refused with the reason, without quoting it', async (t) => {
  const world = cliWorld(t)
  await world.init()
  const cases: readonly (readonly [string, RegExp])[] = [
    ['', /is empty/],
    [`"${CANARY}"`, /has quotes/],
    ['sk-ant-CANARY one', /has spaces/],
    ['sk-ant-CANARY\nsecond', /more than one line/],
    ['sk-ant-CANARY\x07bell', /control characters/],
    ['sk-ant-CANARYé', /no key has/],
    ['CANARY', /6 characters/],
    [`sk-ant-${'CANARY'.repeat(60)}`, /367 characters/],
    ['sk-ant-oat01-CANARYCANARY', /claude\.ai plan/],
    [USER_CANARY, /key of ccgate/],
  ]
  for (const [key, reason] of cases) {
    const ran = await world.run('accounts add a --no-test --key-stdin', { stdin: key })
    assert.equal(ran.code, 2, key)
    assert.match(ran.err, reason, key)
    assert.doesNotMatch(printed(ran), /CANARY/)
  }
  assert.equal((await world.json('accounts list')).has_more, false)
  assert.deepEqual((await world.json('accounts list')).data, [])
})

test('at a terminal the key is asked for, shown as dots, and can be corrected', async (t) => {
  const world = cliWorld(t)
  await world.init()
  const typed = `wrong\x15\x1b[200~${CANARY}x\x1b[201~\x7f\r`
  const ran = await world.run('accounts add main --no-test', { tty: true, stdin: typed })
  assert.equal(ran.code, 0, ran.err)
  assert.match(ran.err, /Anthropic API key \(input hidden\): ●+/)
  assert.doesNotMatch(printed(ran), /CANARY|wrong/)
  const account = await world.json('accounts show main')
  assert.equal(account.key_masked, 'sk-ant-…Xk4A')
})

test('Ctrl-C at the question ends with 130 and stores nothing', async (t) => {
  const world = cliWorld(t)
  await world.init()
  const ran = await world.run('accounts add main --no-test', { tty: true, stdin: 'sk-ant-\x03' })
  assert.equal(ran.code, 130)
  assert.match(ran.err, /nothing was changed/)
  assert.deepEqual((await world.json('accounts list')).data, [])
})

test('neither credentials nor secrets of keys lie on the disk in clear', async (t) => {
  const world = cliWorld(t)
  await world.init()
  await world.ok('accounts add main --no-test --key-stdin', { stdin: CANARY })
  const secret = (await world.ok('keys create alice/laptop --create-user -q')).trim()
  assert.match(secret, /^cc_user_\w{38}$/)
  for (const line of [
    'keys list',
    'keys show alice/laptop',
    'accounts list',
    'accounts show main',
    'users list',
    'status',
  ]) {
    for (const form of [line, `${line} --json`]) {
      const ran = await world.run(form)
      assert.doesNotMatch(printed(ran), /CANARY/, form)
      assert.equal(printed(ran).includes(secret), false, form)
    }
  }
  const files = readdirSync(join(world.dir, 'home'))
  assert.ok(files.includes('ccgate.db'))
  for (const name of files) {
    const bytes = readFileSync(join(world.dir, 'home', name), 'latin1')
    assert.equal(bytes.includes('CANARY'), false, name)
    assert.equal(bytes.includes(secret.slice(8)), false, name)
  }
})
