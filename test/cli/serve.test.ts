import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import Database from 'better-sqlite3'
import { untilStopped } from '../../src/cli/commands/serve.ts'
import { defaultConfig } from '../../src/config/config.ts'
import type { Daemon } from '../../src/daemon/serve.ts'
import { createLog } from '../../src/observe/log.ts'
import { StoreError } from '../../src/store/store.ts'
import { cliWorld } from './support.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

test('serve --check passes on a sound ledger and exits 9 on a broken one, which the banner tells', async (t) => {
  const w = cliWorld(t)
  await w.init()
  await w.ok('users create alice')
  await w.ok('credit grant alice 5')
  const check = 'serve --check --listen 127.0.0.1:0'
  const passed = await w.run(check)
  assert.match(passed.err, /Self-test passed/)
  assert.doesNotMatch(passed.err, /Ready in|Ctrl-C/, 'it ends by itself')
  const db = new Database(w.databaseFile)
  db.exec('UPDATE wallets SET balance_micro = balance_micro + 1')
  db.close()
  const { code, err } = await w.run(check)
  assert.equal(code, 9, err)
  assert.match(err, /No request is admitted: ledger check: .* ccgate db check/)
  assert.doesNotMatch(err, /Self-test passed/)
})

test('a pid file that cannot be written ends serve with words, not with a bug', async (t) => {
  const w = cliWorld(t)
  await w.init()
  const { code, err } = await w.run([
    ...'serve --check --listen 127.0.0.1:0 --pid-file'.split(' '),
    join(w.dir, 'nowhere', 'pid'),
  ])
  assert.equal(code, 1)
  assert.match(err, /Cannot write the pid file .*: its folder does not exist/)
  assert.doesNotMatch(err, /bug/)
  const { code: after } = await w.run('serve --check --listen 127.0.0.1:0')
  assert.equal(after, 0, 'nothing is left running')
})

test('a store that breaks while serve drains ends it with exit code 70', async () => {
  let breaks: (error: StoreError) => void = () => {}
  const broken = new Promise<StoreError>((resolve) => {
    breaks = resolve
  })
  let cuts = 0
  let finish: () => void = () => {}
  const daemon: Daemon = {
    address: '',
    url: '',
    metricsAddress: null,
    counts: { accounts: { healthy: 0, resting: 0, disabled: 0 }, activeKeys: 0 },
    inFlight: () => 1,
    stoppedBecause: () => null,
    storageFull: () => {},
    stop: () =>
      new Promise((resolve) => {
        finish = resolve
      }),
    cut: () => {
      cuts++
      finish()
    },
  }
  const log = createLog({ level: 'error', format: 'json', write: () => {} })
  const code = untilStopped(daemon, defaultConfig(), log, broken)
  process.emit('SIGTERM', 'SIGTERM')
  await sleep(10)
  breaks(new StoreError('io', 'the disk is gone'))
  assert.equal(await code, 70)
  assert.equal(cuts, 1)
})

test('serve that cannot open its secrets says so and ends at once', async (t) => {
  const w = cliWorld(t)
  await w.init()
  chmodSync(w.keyFile, 0o644)
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', 'src/main.ts', 'serve', '--check', '--listen', '127.0.0.1:0'],
    {
      cwd: ROOT,
      env: { PATH: process.env.PATH, HOME: w.dir, CCGATE_CONFIG: w.configFile },
      stdio: ['ignore', 'ignore', 'pipe'],
      // Long enough for any machine; a process that stays is killed and has no exit code.
      timeout: 20_000,
      killSignal: 'SIGKILL',
    },
  )
  let err = ''
  child.stderr.on('data', (chunk) => {
    err += String(chunk)
  })
  assert.deepEqual(await once(child, 'exit'), [5, null])
  assert.match(err, /master key .* can be opened by other users/)
})

test('the address for users follows --listen on a loopback address until somebody sets it', async (t) => {
  const w = cliWorld(t)
  await w.init()
  const banner = (line: string, env = {}) => w.run(line, { env }).then((ran) => ran.err)
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  await new Promise((resolve) => probe.close(resolve))
  const check = `serve --check --listen 127.0.0.1:${port}`
  assert.match(await banner(check), new RegExp(`API {8}http://127.0.0.1:${port} `))
  assert.match(
    await banner(check, { CCGATE_PUBLIC_URL: 'https://api.example.com' }),
    /API {8}https:\/\/api\.example\.com /,
  )
})

test('a gateway outlives the reader of its log', async (t) => {
  const w = cliWorld(t)
  await w.init()
  await w.ok('users create alice')
  const key = (await w.ok('keys create alice/laptop -q')).trim()
  const port = 20_000 + (process.pid % 20_000)
  const argv = `--import tsx src/main.ts serve --listen 127.0.0.1:${port} --log-format json --pid-file`
  const child = spawn(process.execPath, [...argv.split(' '), join(w.dir, 'pid')], {
    cwd: ROOT,
    env: {
      PATH: process.env.PATH,
      HOME: w.dir,
      CCGATE_CONFIG: w.configFile,
      CCGATE_LOGGING__ACCESS: 'all',
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  t.after(() => child.kill('SIGKILL'))
  let err = ''
  await new Promise<void>((resolve, reject) => {
    child.stderr.on('data', (chunk) => {
      err += String(chunk)
      if (err.includes('serve.ready')) resolve()
    })
    child.once('exit', () => reject(new Error(err)))
  })
  for (const line of err.trimEnd().split('\n')) {
    assert.equal(JSON.parse(line).err, undefined, 'a log file holds log lines and nothing else')
  }
  assert.match(err, /No upstream account yet.*"serve\.warning"/)
  const second = await w.run('serve --check --listen 127.0.0.1:0')
  assert.equal(second.code, 4, second.err)
  assert.match(second.err, new RegExp(`ccgate runs already: pid ${child.pid}, on this database`))
  child.stderr.destroy()
  const url = `http://127.0.0.1:${port}`
  for (let i = 0; i < 3; i++) {
    const refused = await fetch(`${url}/v1/messages`, {
      method: 'POST',
      headers: { 'x-api-key': key },
      body: '{}',
    })
    assert.equal(refused.status, 400)
    await refused.text()
    await sleep(50)
  }
  assert.equal((await fetch(`${url}/healthz`)).status, 200)
  child.kill('SIGTERM')
  assert.deepEqual(await once(child, 'exit'), [0, null])
  assert.equal(existsSync(join(w.dir, 'pid')), false, 'it ended as it should')
})
