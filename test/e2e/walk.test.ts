import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import {
  cleanEnvironment,
  type Ended,
  LAUNCHER,
  type Running,
  start,
  temporaryFolder,
} from './processes.ts'

/** ccgate as real processes, in a folder and a home of their own. */
function machine(t: TestContext) {
  const folder = temporaryFolder(t)
  const env = {
    ...cleanEnvironment(join(folder, 'home')),
    CCGATE_CONFIG: join(folder, 'gate', 'config.yaml'),
  }
  const printed: string[] = []
  const begin = (args: readonly string[], stdin?: string): Running =>
    start(t, process.execPath, [LAUNCHER, ...args], { cwd: folder, env, stdin })
  async function run(line: string, stdin?: string): Promise<Ended> {
    const ended = await begin(line.split(' '), stdin).ended
    printed.push(ended.out, ended.err)
    return ended
  }
  return {
    folder,
    printed,
    begin,
    run,
    /** A command that must work; its stdout without the line end. */
    async ok(line: string, stdin?: string): Promise<string> {
      const ended = await run(line, stdin)
      assert.equal(ended.code, 0, `${line}: ${ended.err}${ended.out}`)
      return ended.out.trimEnd()
    },
    async json(line: string, stdin?: string): Promise<Record<string, unknown>> {
      const text = await this.ok(`${line} --json`, stdin)
      assert.ok(!text.includes('\n'), `${line} --json prints one line`)
      return JSON.parse(text) as Record<string, unknown>
    },
  }
}

test('an operator sets up, serves, looks up and checks, with nothing but commands', {
  timeout: 60_000,
}, async (t) => {
  const m = machine(t)
  const upstream = m.begin(['sandbox', '--json'])
  const { url: upstreamUrl, accounts } = await upstream.until((out) =>
    out.endsWith('\n')
      ? (JSON.parse(out) as { url: string; accounts: { name: string; key: string }[] })
      : null,
  )
  const [accountKey, spareKey] = accounts.map(({ key }) => key)

  await t.test('init makes config, database and master key, and is safe to repeat', async () => {
    const first = await m.json('init --dir gate --listen 127.0.0.1:0')
    assert.equal(first.object, 'init')
    assert.deepEqual(first.created, ['config', 'master_key', 'db'])
    for (const file of [first.config, first.db, first.master_key_file]) {
      assert.ok(String(file).startsWith(join(m.folder, 'gate')))
      assert.equal(statSync(String(file)).mode & 0o777, 0o600)
    }
    const again = await m.json('init --dir gate')
    assert.deepEqual(again.created, [])
  })

  await t.test(
    'accounts add tries the key first and keeps nothing that does not work',
    async () => {
      const at = `--base-url ${upstreamUrl} --allow-private --key-stdin`
      const wrong = await m.run(`accounts add main ${at}`, 'sk-ant-api03-of-somebody-else\n')
      assert.equal(wrong.code, 8)
      assert.equal(wrong.out, '')
      const closed = await m.run(`accounts add main --base-url ${upstreamUrl} --key-stdin`, 'x')
      assert.equal(closed.code, 2, 'a private address needs --allow-private')
      const id = await m.ok(`accounts add main ${at} -q`, `${accountKey}\n`)
      assert.match(id, /^acct_[0-9a-z]{26}$/)
      const spare = await m.json(`accounts add spare ${at}`, spareKey)
      assert.equal(spare.changed, true)
      const list = await m.json('accounts list')
      assert.equal(list.object, 'list')
      assert.deepEqual(
        (list.data as { name: string }[]).map(({ name }) => name),
        ['main', 'spare'],
      )
    },
  )

  let key = ''
  await t.test('users, keys and credit', async () => {
    assert.match(await m.ok('users create alice --email alice@example.com -q'), /^usr_/)
    assert.equal((await m.run('users create alice')).code, 4)
    key = await m.ok('keys create alice/laptop --rpm 30 -q')
    assert.match(key, /^cc_user_[0-9A-Za-z]{38}$/)
    assert.equal((await m.run('keys show alice/lap')).code, 3)
    const grant = await m.json('credit grant alice 5 --ref bank-118')
    assert.equal(grant.amount_micro, 5_000_000)
    const twice = await m.json('credit grant alice 5 --ref bank-118')
    assert.equal(twice.duplicate, true)
    assert.equal(await m.ok('credit show alice -q'), '5000000')
  })

  const gateway = m.begin(['serve', '--log-format', 'json'])
  const base = await gateway.until((_, err) => {
    const address = /"msg":"serve\.ready"/.test(err)
      ? /"address":"([^"]+)"/.exec(err)?.[1]
      : undefined
    return address === undefined ? null : `http://${address}`
  })
  const ask = (extra: object = {}) =>
    fetch(`${base}/v1/messages`, {
      method: 'POST',
      headers: { 'x-api-key': key, 'anthropic-version': '2023-06-01' },
      body: JSON.stringify({
        model: 'claude-sonnet-4-6',
        max_tokens: 64,
        messages: [{ role: 'user', content: 'Hello, world!' }],
        ...extra,
      }),
    })

  await t.test(
    'a request is served, and its receipt is the same for user and operator',
    async () => {
      assert.equal((await m.run('status -q')).code, 0)
      const response = await ask()
      assert.equal(response.status, 200)
      await response.text()
      const id = response.headers.get('x-cc-request-id')
      const own = (await (
        await fetch(`${base}/v1/usage/${id}`, { headers: { 'x-api-key': key } })
      ).json()) as Record<string, unknown>
      const shown = await m.json(`usage show ${id}`)
      for (const [field, value] of Object.entries(own)) assert.deepEqual(shown[field], value, field)
      assert.equal(shown.status, 'complete')
      assert.ok(Number(shown.cost_micro) > 0)
      assert.equal(await m.ok(`usage show ${id} -q`), String(shown.cost_micro))
      assert.equal(await m.ok('credit show alice -q'), String(5_000_000 - Number(shown.cost_micro)))
      const streamed = await ask({ stream: true })
      assert.match(await streamed.text(), /event: message_stop\n/)
      const list = await m.json('usage list --user alice')
      assert.equal((list.data as unknown[]).length, 2)
    },
  )

  await t.test('what a command changes is in force on the next request', async () => {
    const open = await m.run('keys revoke alice/laptop')
    assert.equal(open.code, 10, 'revoking needs a yes')
    await m.ok('keys revoke alice/laptop --yes')
    const refused = await ask()
    assert.equal(refused.status, 401)
    assert.match(await refused.text(), /"error_code":"revoked_api_key"/)
  })

  await t.test('it stops on SIGTERM, and the ledger adds up, running or not', async () => {
    assert.equal((await m.json('db check')).ok, true)
    gateway.child.kill('SIGTERM')
    assert.equal((await gateway.ended).code, 0)
    assert.match(gateway.err(), /"msg":"serve\.stopped"/)
    assert.equal((await m.run('status -q')).code, 7)
    const check = await m.json('db check')
    assert.equal(check.ok, true)
    assert.equal(check.open_holds, 0)
    upstream.child.kill('SIGTERM')
    assert.equal((await upstream.ended).code, 0)
  })

  await t.test('no secret was printed but the key, once', () => {
    const all = [...m.printed, gateway.err(), gateway.out()].join('\n')
    assert.equal(all.split(key).length, 2)
    assert.ok(!all.includes(accountKey) && !all.includes(spareKey))
    assert.ok(!all.includes('alice@example.com') || !gateway.err().includes('alice@example.com'))
    assert.ok(!gateway.err().includes('Hello, world!'))
  })
})
