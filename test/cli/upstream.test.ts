import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { sandboxKey } from '../../src/sandbox/accounts.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { httpProxy, socksProxy } from '../support/proxies.ts'
import { cliWorld } from './support.ts'

async function world(t: TestContext) {
  const sandbox = await startSandbox({
    accounts: ['main', 'one', 'two'].map((name) => ({ name, key: sandboxKey(name) })),
  })
  t.after(() => sandbox.close())
  const cli = cliWorld(t)
  await cli.init()
  const where = `--base-url ${sandbox.url} --allow-private`
  return { sandbox, cli, where }
}

test('a good key is tried for free, then stored', async (t) => {
  const { sandbox, cli, where } = await world(t)
  const ran = await cli.run(`accounts add main --key-stdin ${where}`, { stdin: sandboxKey('main') })
  assert.equal(ran.code, 0, ran.err)
  assert.match(ran.err, /^Testing with claude-haiku-4-5-20251001 … ok in \d+ ms/)
  assert.match(ran.out, /^Added main {3}acct_\w{26} {3}sk-ant-…\w{4} {3}priority 1, weight 1$/m)
  assert.deepEqual(
    sandbox.requests.map((request) => request.path),
    ['/v1/messages/count_tokens'],
  )
  assert.equal(sandbox.billed().length, 0)
})

test('a refused key is not stored: exit 8; with --no-test it is', async (t) => {
  const { sandbox, cli, where } = await world(t)
  sandbox.setFault('*', 'status=401', { path: '*' })
  const ran = await cli.run(`accounts add main --key-stdin ${where}`, { stdin: sandboxKey('main') })
  assert.equal(ran.code, 8)
  assert.match(ran.err, /The key does not work: 401 authentication_error/)
  assert.match(ran.err, /Nothing was stored/)
  assert.deepEqual((await cli.json('accounts list')).data, [])
  await cli.ok(`accounts add main --no-test --key-stdin ${where}`, { stdin: sandboxKey('main') })
  const test = await cli.run('accounts test main')
  assert.equal(test.code, 8)
  assert.match(test.out, /^main {2}failed {2}401 .*→ replace it: ccgate accounts rotate main$/m)
})

test('rotate keeps the old key when the new one fails', async (t) => {
  const { sandbox, cli, where } = await world(t)
  await cli.ok(`accounts add main --key-stdin ${where}`, { stdin: sandboxKey('one') })
  const before = await cli.json('accounts show main')
  sandbox.setFault('*', 'status=401', { path: '*' })
  const failed = await cli.run('accounts rotate main --key-stdin', { stdin: sandboxKey('two') })
  assert.equal(failed.code, 8)
  assert.equal((await cli.json('accounts show main')).key_fingerprint, before.key_fingerprint)
  sandbox.clearFaults()
  assert.match(
    await cli.ok('accounts rotate main --key-stdin', { stdin: sandboxKey('two') }),
    /^main: sk-ant-…\w{4} → sk-ant-…\w{4}\. In force now\./,
  )
  assert.notEqual((await cli.json('accounts show main')).key_fingerprint, before.key_fingerprint)
  assert.equal((await cli.run('accounts test --all')).code, 0)
})

test('the key of another account is told on add and rotate; an account given its own key stays', async (t) => {
  const { cli, where } = await world(t)
  const add = (name: string) =>
    cli.run(`accounts add ${name} --no-test --key-stdin ${where}`, { stdin: sandboxKey('one') })
  assert.doesNotMatch((await add('main')).err, /same key/)
  const twin = await add('spare')
  assert.equal(twin.code, 0)
  assert.match(twin.err, /^! The account main has the same key/m)
  const rotate = (key: string) =>
    cli.run('accounts rotate spare --no-test --key-stdin --json', { stdin: sandboxKey(key) })
  const own = await rotate('one')
  assert.equal(JSON.parse(own.out).changed, false)
  assert.equal(own.err, '')
  assert.equal(JSON.parse((await rotate('two')).out).changed, true)
  assert.match((await rotate('one')).err, /^! The account main has the same key/m)
})

test('test --all tells each account apart, in words and as JSON', async (t) => {
  const { sandbox, cli, where } = await world(t)
  await cli.ok(`accounts add one --key-stdin ${where}`, { stdin: sandboxKey('one') })
  await cli.ok(`accounts add two --key-stdin ${where}`, { stdin: sandboxKey('two') })
  sandbox.setFault('two', 'status=529', { path: '*' })
  const ran = await cli.run('accounts test --all')
  assert.equal(ran.code, 8)
  assert.match(ran.out, /^one {2}ok {2}/m)
  assert.match(ran.out, /^two {2}failed {2}529 overloaded_error/m)
  assert.match(ran.out, /^1 of 2 ok$/m)
  const json = await cli.run('accounts test --all --json')
  assert.equal(json.code, 8)
  const rows = JSON.parse(json.out).data as { account: string; ok: boolean; status: number }[]
  assert.deepEqual(
    rows.map(({ account, ok, status }) => ({ account, ok, status })),
    [
      { account: 'one', ok: true, status: 200 },
      { account: 'two', ok: false, status: 529 },
    ],
  )
  assert.equal((await cli.run('accounts test')).code, 2)
})

test('private addresses need the word of the operator, by number and after resolution', async (t) => {
  const { sandbox, cli } = await world(t)
  const before = sandbox.requests.length
  const local = new URL(sandbox.url).port
  for (const url of [
    sandbox.url,
    `https://127.0.0.1:${local}`,
    `https://localhost:${local}`,
    'https://169.254.169.254',
    'https://[::ffff:10.0.0.1]',
  ]) {
    const ran = await cli.run(`accounts add main --key-stdin --base-url ${url}`, {
      stdin: sandboxKey('main'),
    })
    assert.equal(ran.code, 2, url)
    assert.match(ran.err, /--allow-private/, url)
  }
  for (const url of [
    'http://api.anthropic.com',
    'https://user:pw@api.anthropic.com',
    'ftp://x',
    'nonsense',
  ]) {
    assert.equal(
      (
        await cli.run(`accounts add main --key-stdin --base-url ${url}`, {
          stdin: sandboxKey('main'),
        })
      ).code,
      2,
      url,
    )
  }
  assert.equal(sandbox.requests.length, before)
})

test('an upstream that is down, silent, no Claude API or that redirects says so', async (t) => {
  const { cli } = await world(t)
  let answer: (body: string, status: number, headers: Record<string, string>) => void = () => {}
  const seen: string[] = []
  const server = createServer((request, response) => {
    seen.push(request.url ?? '')
    answer = (body, status, headers) => response.writeHead(status, headers).end(body)
    const [body, status, headers] = replies.shift() ?? ['', 200, {}]
    answer(body, status, headers)
  })
  const key = 'sk-ant-api03-canary-CANARY'
  const replies: [string, number, Record<string, string>][] = [
    ['<html>hello</html>', 200, { 'content-type': 'text/html' }],
    ['', 302, { location: 'http://169.254.169.254/' }],
    [
      JSON.stringify({
        error: { type: 'authentication_error', message: `bad key ${key}\x1b[31m` },
      }),
      401,
      {},
    ],
  ]
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo
  const add = (url: string) =>
    cli.run(`accounts add main --key-stdin --allow-private --base-url ${url}`, { stdin: key })
  assert.match((await add(`http://127.0.0.1:${port}`)).err, /not like the Claude API/)
  assert.match((await add(`http://127.0.0.1:${port}/anthropic/`)).err, /302 redirect/)
  const refused = await add(`http://127.0.0.1:${port}`)
  assert.match(refused.err, /401 authentication_error: bad key \[key\]/)
  assert.doesNotMatch(refused.err, /CANARY|\x1b/)
  assert.deepEqual(seen, [
    '/v1/messages/count_tokens',
    '/anthropic/v1/messages/count_tokens',
    '/v1/messages/count_tokens',
  ])
  const dead = (await add('http://127.0.0.1:1')).err
  assert.match(dead, /The key could not be tried: .* refuses connections/)
  assert.match((await add('http://name.invalid')).err, /cannot be resolved/)
  assert.deepEqual((await cli.json('accounts list')).data, [])
})

test('an account is tried by its outbound proxy, with the login that was sealed, or by that of the config', async (t) => {
  const { sandbox, cli } = await world(t)
  const port = Number(new URL(sandbox.url).port)
  const [own, shared] = [await httpProxy(t, { login: 'anna:HUNTER2' }), await socksProxy(t)]
  // Only the proxy can resolve it.
  const where = `--base-url http://sandbox.test:${port} --allow-private`
  const file = join(cli.dir, 'proxy.url')
  writeFileSync(file, `http://anna:HUNTER2@127.0.0.1:${own.port}`, { mode: 0o600 })
  const added = await cli.run(`accounts add one --key-stdin ${where} --proxy-file ${file}`, {
    stdin: sandboxKey('one'),
  })
  assert.equal(added.code, 0, added.err)
  assert.deepEqual([own.asked, own.login()], [[`sandbox.test:${port}`], 'anna:HUNTER2'])
  const env = { CCGATE_UPSTREAM__PROXY: `socks5://127.0.0.1:${shared.port}` }
  await cli.ok(`accounts add two --key-stdin ${where}`, { stdin: sandboxKey('two'), env })
  await cli.ok('accounts test --all', { env })
  await cli.ok('accounts rotate one --key-stdin', { stdin: sandboxKey('main'), env })
  assert.deepEqual([own.asked.length, shared.asked.length], [3, 2])

  writeFileSync(file, `http://anna:WRONG@127.0.0.1:${own.port}`)
  await cli.ok(`accounts update one --proxy-file ${file}`)
  const refused = await cli.run('accounts test one')
  assert.equal(refused.code, 8)
  assert.match(refused.out, /^one {2}failed {2}proxy refused: 407$/m)
  const dead = await cli.run(`accounts add x --key-stdin ${where} --proxy http://127.0.0.1:1`, {
    stdin: sandboxKey('one'),
  })
  assert.match(dead.err, /could not be tried: proxy unreachable: ECONNREFUSED/)
  for (const ran of [added, refused, dead]) assert.doesNotMatch(ran.out + ran.err, /HUNTER|WRONG/)
})
