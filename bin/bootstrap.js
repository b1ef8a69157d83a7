// Runs a task of this checkout with the Node.js that comes with it: `node bin/bootstrap.js test`.
// Plain JavaScript that any Node.js from 20 on can run; what it starts needs 24.

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const modules = join(root, 'node_modules')
/** Written after a complete install: its text is the lock that was installed. */
const stamp = join(modules, '.ccgate-installed')

const TASKS = {
  build,
  demo: (args) => {
    build()
    return node(['bin/ccgate.js', 'demo', ...args])
  },
  test: (args) => {
    build()
    return node(['--import', 'tsx', '--test', ...(args.length > 0 ? args : ['test/**/*.test.{ts,tsx}'])])
  },
  'test:long': (args) => {
    build()
    return node(['--import', 'tsx', 'test/long/crash.ts', ...args])
  },
  check: () => {
    step('types', () => node(['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json']))
    step('lint and format', () => node(['node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings']))
    return 0
  },
  bench: (args) => {
    build()
    return node(['bench/run.ts', ...args])
  },
}

main(process.argv[2], process.argv.slice(3))

function main(name, args) {
  const task = Object.hasOwn(TASKS, name ?? '') ? TASKS[name] : undefined
  if (task === undefined) {
    fail(`Unknown task "${name ?? ''}". Tasks: ${Object.keys(TASKS).join(', ')}.`)
  }
  install()
  process.exitCode = task(args) ?? 0
}

/** Installs the locked packages when they are missing or another lock was installed. */
function install() {
  const lock = readFileSync(join(root, 'npm-shrinkwrap.json'), 'utf8')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return
  step('install', () => {
    const npm = process.env.npm_execpath
    const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
    // npm tells its own path; started by hand, the one beside this Node.js or in PATH serves.
    return npm === undefined ? run('npm', args) : run(process.execPath, [npm, ...args])
  })
  writeFileSync(stamp, lock)
}

/** Compiles `src` to `dist`, unless everything in `dist` is newer. */
function build() {
  const built = join(root, 'dist', 'main.js')
  if (existsSync(built) && statSync(built).mtimeMs > newest(join(root, 'src'))) return 0
  step('build', () => node(['node_modules/typescript/bin/tsc', '-p', 'src']))
  return 0
}

function newest(folder) {
  let latest = 0
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    latest = Math.max(latest, entry.isDirectory() ? newest(path) : statSync(path).mtimeMs)
  }
  return latest
}

/** Ticks a step off with its time; ends everything when it fails. */
function step(name, act) {
  const startedMs = Date.now()
  const status = act()
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

function run(command, args) {
  const ended = spawnSync(command, args, { cwd: root, stdio: 'inherit' })
  if (ended.error !== undefined) fail(`Cannot run ${command}: ${ended.error.message}`)
  return ended.status ?? 128
}

function fail(message) {
  process.stderr.write(`${message}\n`)
  process.exit(5)
}
