// Runs a task of this checkout with the Node.js that comes with it: `node bin/bootstrap.js test`.
// Plain JavaScript that any Node.js from 20 on can run; what it starts needs 24.

import { spawn } from 'node:child_process'
import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { availableParallelism, constants } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const modules = join(root, 'node_modules')
/** Written after a complete install: its text is the lock that was installed. */
const stamp = join(modules, '.ccgate-installed')
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP']

const TASKS = {
  build: async () => {
    await build()
    return 0
  },
  demo: async (args) => {
    await build()
    return node(['bin/ccgate.js', 'demo', ...args])
  },
  test: async (args) => {
    await build()
    // See there: without it V8 ends a test's process now and then.
    process.env.NODE_COMPILE_CACHE ??= join(modules, '.cache', 'ccgate-tests')
    await node(['test/support/warm-up.ts'])
    const files = args.length > 0 ? args : ['test/**/*.test.{ts,tsx}']
    // Many tests wait for other processes and for timers: more of them fit than there are cores.
    const atOnce = `--test-concurrency=${Math.max(3, availableParallelism())}`
    return node(['--import', 'tsx', '--test', atOnce, ...files])
  },
  'test:long': async (args) => {
    await build()
    return node(['--import', 'tsx', 'test/long/run.ts', ...args])
  },
  check: async () => {
    await step('types', () => node(['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json']))
    await step('lint and format', () =>
      node(['node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings']),
    )
    return 0
  },
  bench: async (args) => {
    await build()
    return node(['bench/run.ts', ...args])
  },
  'bench:routing': (args) => node(['bench/routing.ts', ...args]),
  docs: () => node(['docs/generate.ts']),
}

await main(process.argv[2], process.argv.slice(3))

async function main(name, args) {
  const task = Object.hasOwn(TASKS, name ?? '') ? TASKS[name] : undefined
  if (task === undefined) {
    fail(`Unknown task "${name ?? ''}". Tasks: ${Object.keys(TASKS).join(', ')}.`)
  }
  await install()
  process.exitCode = await task(args)
}

/** Installs the locked packages when they are missing or another lock was installed. */
async function install() {
  const lock = readFileSync(join(root, 'npm-shrinkwrap.json'), 'utf8')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return
  await step('install', () => {
    const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
    // npm tells its own path; another package manager tells another, and does not know `ci`.
    const npm = process.env.npm_execpath ?? ''
    return basename(npm) === 'npm-cli.js' ? run(process.execPath, [npm, ...args]) : run('npm', args)
  })
  writeFileSync(stamp, lock)
}

/** Compiles `src` to `dist`, unless `dist` is newer than everything in `src`. */
async function build() {
  const dist = join(root, 'dist')
  const main = join(dist, 'main.js')
  if (existsSync(main) && statSync(main).mtimeMs > newest(join(root, 'src'))) return
  const begun = new Date()
  // Beside it and then in its place: a build that fails leaves no half, a file that was removed no rest.
  const made = `${dist}.${process.pid}.partial`
  const old = `${dist}.${process.pid}.old.partial`
  await step('build', () =>
    node(['node_modules/typescript/bin/tsc', '-p', 'src', '--outDir', made]),
  )
  // What was saved while the compiler ran is newer than what it made.
  utimesSync(join(made, 'main.js'), begun, begun)
  if (existsSync(dist)) renameSync(dist, old)
  renameSync(made, dist)
  rmSync(old, { recursive: true, force: true })
}

/** When a file or folder in `folder` changed last; a folder changes when one of its files leaves. */
function newest(folder) {
  let latest = statSync(folder).mtimeMs
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    latest = Math.max(latest, entry.isDirectory() ? newest(path) : statSync(path).mtimeMs)
  }
  return latest
}

/** Ticks a step off with its time; ends everything when it fails. */
async function step(name, act) {
  const startedMs = Date.now()
  const status = await act()
  if (status !== 0) process.exit(status)
  process.stderr.write(`✓ ${name} ${((Date.now() - startedMs) / 1000).toFixed(1)} s\n`)
}

/** Runs the Node.js of this checkout by its path: one in PATH may be too old. */
function node(args) {
  return run(nodePath(), args)
}

function nodePath() {
  const bundled = join(modules, `node-${process.platform}-${process.arch}`, 'bin', 'node')
  if (existsSync(bundled)) return bundled
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath
  return fail(
    `ccgate needs Node.js 24 or newer; this is ${process.version}, and no bundled one exists for ${process.platform}-${process.arch}.\n` +
      'Install it from https://nodejs.org and run the command again.',
  )
}

/** Runs a command to its end and answers its exit code; it is told of the signals that we get. */
function run(command, args) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, stdio: 'inherit' })
    // A terminal sends Ctrl-C to the whole group; passed on, it would count as the second one.
    const hasTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY
    const pass = (signal) => {
      if (signal === 'SIGTERM' || !hasTerminal) child.kill(signal)
    }
    for (const signal of SIGNALS) process.on(signal, pass)
    child.on('error', (error) => fail(`Cannot run ${command}: ${error.message}`))
    child.on('exit', (code, signal) => {
      for (const name of SIGNALS) process.off(name, pass)
      resolve(code ?? 128 + constants.signals[signal])
    })
  })
}

function fail(message) {
  process.stderr.write(`${message}\n`)
  process.exit(5)
}
