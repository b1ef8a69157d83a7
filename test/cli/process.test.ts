import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const MAIN = join(ROOT, 'src', 'main.ts')
const LAUNCHER = join(ROOT, 'bin', 'ccgate.js')

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'ccgate-process-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

function start(
  argv: readonly string[],
  options: { env?: Record<string, string>; stdin?: string; closeStdout?: boolean } = {},
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const env = { PATH: process.env.PATH, HOME: '/nonexistent', ...options.env }
    const child = spawn(process.execPath, argv, { env, cwd: ROOT })
    let out = ''
    let err = ''
    child.stdout.on('data', (chunk) => {
      out += String(chunk)
    })
    child.stderr.on('data', (chunk) => {
      err += String(chunk)
    })
    if (options.closeStdout) child.stdout.destroy()
    child.stdin.end(options.stdin ?? '')
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, out, err }))
  })
}

const ccgate = (line: string, options: Parameters<typeof start>[1] = {}) =>
  start(['--import', 'tsx', MAIN, ...line.split(' ')], options)

test('as a process of its own: init, a key from a pipe, a list, and files that only the owner may open', async (t) => {
  const dir = folder(t)
  const env = { CCGATE_CONFIG: join(dir, 'set', 'config.yaml') }
  assert.equal((await ccgate(`init --dir ${join(dir, 'set')}`, { env })).code, 0)
  const added = await ccgate('accounts add main --no-test --key-stdin -q', {
    env,
    stdin: 'sk-ant-api03-from-a-pipe\n',
  })
  assert.equal(added.code, 0, added.err)
  assert.match(added.out, /^acct_\w{26}\n$/)
  const list = await ccgate('accounts list --json', { env })
  assert.equal(JSON.parse(list.out).data[0].name, 'main')
  for (const name of ['config.yaml', 'ccgate.db', 'master.key']) {
    assert.equal(statSync(join(dir, 'set', name)).mode & 0o777, 0o600, name)
  }
})

test('a reader that has enough is no failure, and a wrong command is', async () => {
  const closed = await ccgate('models list --all --json', { closeStdout: true })
  assert.equal(closed.code, 0, closed.err)
  assert.equal(closed.err, '')
  const wrong = await ccgate('models lsit')
  assert.deepEqual({ code: wrong.code, out: wrong.out }, { code: 2, out: '' })
})

/** A package folder with the launcher and a `dist/main.js` that tells how it was started. */
function fakePackage(t: TestContext): string {
  const dir = join(folder(t), 'node_modules', 'ccgate')
  for (const name of ['bin', 'dist']) mkdirSync(join(dir, name), { recursive: true })
  copyFileSync(LAUNCHER, join(dir, 'bin', 'ccgate.js'))
  writeFileSync(join(dir, 'package.json'), '{"type":"module"}')
  writeFileSync(
    join(dir, 'dist', 'main.js'),
    `console.log(JSON.stringify({ argv: process.argv.slice(2), mode: process.env.NODE_ENV, old: process.versions.node < '24' }))
     process.exitCode = 9`,
  )
  return dir
}

/** Makes a Node say that it is an old one. */
const PRETEND_OLD = `data:text/javascript,${encodeURIComponent(`
  Object.defineProperty(process, 'version', { value: 'v20.20.2' })
  Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } })`)}`

test('the launcher starts what was built, in production, with all arguments', async (t) => {
  const dir = fakePackage(t)
  const ran = await start([join(dir, 'bin', 'ccgate.js'), 'keys', 'list', '--json'])
  assert.equal(ran.code, 9)
  assert.deepEqual(JSON.parse(ran.out), {
    argv: ['keys', 'list', '--json'],
    mode: 'production',
    old: false,
  })
  const development = await start([join(dir, 'bin', 'ccgate.js')], {
    env: { NODE_ENV: 'development' },
  })
  assert.equal(JSON.parse(development.out).mode, 'development')
})

test('on an old Node the launcher takes the one that came along, beside it or hoisted', async (t) => {
  for (const place of ['beside', 'hoisted']) {
    const dir = fakePackage(t)
    const modules = place === 'beside' ? join(dir, 'node_modules') : join(dir, '..')
    const name = `node-${process.platform}-${process.arch}`
    mkdirSync(join(modules, name, 'bin'), { recursive: true })
    writeFileSync(join(modules, name, 'package.json'), '{"version":"24.21.0"}')
    symlinkSync(process.execPath, join(modules, name, 'bin', 'node'))
    const ran = await start(['--import', PRETEND_OLD, join(dir, 'bin', 'ccgate.js'), 'status'])
    assert.equal(ran.code, 9, ran.err)
    assert.deepEqual(JSON.parse(ran.out), { argv: ['status'], mode: 'production', old: false })
    writeFileSync(join(modules, name, 'package.json'), '{"version":"20.1.0"}')
    const older = await start(['--import', PRETEND_OLD, join(dir, 'bin', 'ccgate.js'), 'status'])
    assert.equal(older.code, 5, 'a bundled Node that is too old itself is not used')
  }
})

test('on an old Node alone the launcher says what is needed, with exit 5', async (t) => {
  const dir = fakePackage(t)
  const ran = await start(['--import', PRETEND_OLD, join(dir, 'bin', 'ccgate.js')])
  assert.equal(ran.code, 5)
  assert.match(ran.err, /^ccgate needs Node\.js 24 or newer; this is v20\.20\.2\.\n.*nodejs\.org/)
})

test('every Node can tell the version, and says the same as the program', async () => {
  const version = (await ccgate('--version')).out
  assert.match(version, /^ccgate \d+\.\d+\.\d+\n$/)
  assert.equal((await start([LAUNCHER, '--version'])).out, version)
  assert.equal((await start(['--import', PRETEND_OLD, LAUNCHER, '--version'])).out, version)
})

test('a checkout that was neither built nor installed says so', async (t) => {
  const dir = fakePackage(t)
  rmSync(join(dir, 'dist'), { recursive: true })
  const ran = await start([join(dir, 'bin', 'ccgate.js')])
  assert.equal(ran.code, 5)
  assert.match(ran.err, /has not been built here\.\nRun: npm run build/)
})
