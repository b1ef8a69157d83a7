#!/usr/bin/env node
// Starts ccgate with a Node that can run it. Only syntax and modules that old Nodes know: this file
// must get far enough to say what is wrong.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const NEEDED_MAJOR = 24
const root = dirname(dirname(fileURLToPath(import.meta.url)))
const built = join(root, 'dist', 'main.js')
const source = join(root, 'src', 'main.ts')
const isOldNode = Number(process.versions.node.split('.')[0]) < NEEDED_MAJOR
if (!process.env.NODE_ENV) process.env.NODE_ENV = 'production'

if (process.argv.length === 3 && process.argv[2] === '--version') {
  // Answered here: starting a second Node for this would take longer than the answer.
  const facts = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  console.log(`ccgate ${facts.version}`)
} else if (!isOldNode && existsSync(built)) {
  import(pathToFileURL(built).href).catch((error) => {
    console.error(error)
    process.exit(1)
  })
} else {
  relaunch(isOldNode ? bundledNode() : process.execPath)
}

/** Runs ccgate in a child: with the Node that came along, or the source through tsx, or both. */
function relaunch(node) {
  if (node === null) {
    stop(
      `ccgate needs Node.js ${NEEDED_MAJOR} or newer; this is ${process.version}.`,
      'Install it from https://nodejs.org/en/download, or run npm install in the folder of ccgate.',
    )
  }
  const tsx = existsSync(built) ? null : upwards(join('tsx', 'dist', 'loader.mjs'))
  if (tsx === null && !existsSync(built)) {
    stop('ccgate has not been built here.', 'Run: npm run build')
  }
  const script = tsx === null ? [built] : ['--import', pathToFileURL(tsx).href, source]
  const child = spawn(node, script.concat(process.argv.slice(2)), { stdio: 'inherit' })
  // A terminal sends Ctrl-C to both of us; passing it on would count as the second one.
  const hasTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
  for (const signal of signals) {
    process.on(signal, () => {
      if (signal === 'SIGTERM' || !hasTerminal) child.kill(signal)
    })
  }
  child.on('error', (error) => {
    stop(
      `Node.js at ${node} cannot be started (${error.message}).`,
      'Run npm install in the folder of ccgate.',
    )
  })
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code)
    for (const name of signals) process.removeAllListeners(name)
    process.kill(process.pid, signal)
  })
}

/** The Node that came along as an optional dependency, beside us or hoisted; null when there is none. */
function bundledNode() {
  const node = upwards(join(`node-${process.platform}-${process.arch}`, 'bin', 'node'))
  if (node === null) return null
  const facts = JSON.parse(readFileSync(join(dirname(dirname(node)), 'package.json'), 'utf8'))
  return Number(facts.version.split('.')[0]) >= NEEDED_MAJOR ? node : null
}

/** The path in the nearest `node_modules` above us that has it, or null. */
function upwards(path) {
  let folder = root
  for (;;) {
    const candidate = join(folder, 'node_modules', path)
    if (existsSync(candidate)) return candidate
    if (dirname(folder) === folder) return null
    folder = dirname(folder)
  }
}

function stop(what, todo) {
  console.error(`${what}\n${todo}`)
  process.exit(5)
}
