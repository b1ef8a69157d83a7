// A gateway in a process of its own, with accounts and keys made by the commands that operators use.

import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { runCli } from '../../src/cli/run.ts'
import type { Sandbox } from '../../src/sandbox/sandbox.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const READY_MS = 30_000

/** Accounts, customers and their keys. */
export interface BenchWorld {
  readonly config: string
  /** By customer. */
  readonly keys: ReadonlyMap<string, string>
  readonly run: (argv: readonly string[], stdin?: string) => Promise<string>
}

/** An account as the bench adds it. */
export interface BenchAccount {
  readonly name: string
  readonly weight: number
  readonly priority: number
  readonly concurrencyLimit: number | null
  /** Absent: the sandbox's. */
  readonly baseUrl?: string
}

/** Makes a world in `dir` by the commands that operators use. */
export async function makeWorld(
  dir: string,
  { accounts, customers }: { accounts: readonly BenchAccount[]; customers: Iterable<string> },
  sandbox: Sandbox,
): Promise<BenchWorld> {
  const config = join(dir, 'config.yaml')
  const run = (argv: readonly string[], stdin = '') => command([...argv, '-c', config], dir, stdin)
  await command(['init', '--dir', dir, '--no-input'], dir, '')
  for (const { name, weight, priority, concurrencyLimit, baseUrl } of accounts) {
    const limits = ['--weight', `${weight}`, '--priority', `${priority}`]
    const slots = ['--concurrency', concurrencyLimit === null ? 'none' : `${concurrencyLimit}`]
    const place = [
      '--base-url',
      baseUrl ?? sandbox.url,
      '--allow-private',
      '--no-test',
      '--key-stdin',
    ]
    const key = `${sandbox.account(name).key}\n`
    await run(['accounts', 'add', name, ...limits, ...slots, ...place], key)
  }
  const keys = new Map<string, string>()
  for (const customer of new Set(customers)) {
    const name = `${customer.replace(/\W/g, '-')}/bench`
    const free = ['--credit', '100000', '--rpm', 'none', '--concurrency', 'none']
    const secret = await run(['keys', 'create', name, '--create-user', ...free, '-q', '-y'])
    keys.set(customer, secret.trim())
  }
  return { config, keys, run }
}

/** A command of ours in this process; answers what it printed. */
async function command(argv: readonly string[], dir: string, input: string): Promise<string> {
  const stream = () => Object.assign(new PassThrough(), { isTTY: false })
  const [stdin, stdout, stderr] = [stream(), stream(), stream()]
  stdin.end(input)
  const code = await runCli(argv, {
    stdin: Object.assign(stdin, { setRawMode: () => stdin }),
    stdout,
    stderr,
    place: { env: {}, home: dir, cwd: dir, isRoot: false },
    userName: 'bench',
    nowMs: () => Date.now(),
  })
  if (code === 0) return String(stdout.read() ?? '')
  throw new Error(`ccgate ${argv.slice(0, 2).join(' ')}: exit ${code}\n${stderr.read()}`)
}

/** `ccgate serve` on a port of its own. */
export async function serve(
  config: string,
): Promise<{ readonly process: ChildProcess; readonly url: string }> {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('CCGATE_'))
  const args = ['--import', 'tsx', MAIN, 'serve', '--listen', '127.0.0.1:0', '-c', config]
  const child = spawn(process.execPath, [...args, '--log-level', 'info', '--log-format', 'json'], {
    env: { ...Object.fromEntries(kept), NO_COLOR: '1' },
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  return new Promise((resolve, reject) => {
    let printed = ''
    const ended = () => {
      clearTimeout(timer)
      reject(new Error(`the gateway did not come up:\n${printed}`))
    }
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      ended()
    }, READY_MS)
    const listen = (text: Buffer) => {
      printed = (printed + text.toString()).slice(-4_000)
      const address = /"address":"([^"]+)".*"msg":"serve\.ready"/.exec(printed)?.[1]
      if (address === undefined) return
      clearTimeout(timer)
      resolve({ process: child, url: `http://${address}` })
    }
    child.stdout.on('data', listen)
    child.stderr.on('data', listen)
    child.once('exit', ended)
  })
}

/** Ends a gateway: at its own pace, then by force. */
export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  const hard = setTimeout(() => child.kill('SIGKILL'), 5_000)
  await exited
  clearTimeout(hard)
}
