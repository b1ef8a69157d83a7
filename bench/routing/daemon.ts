// The same conversations over HTTP: a gateway in a process of its own, in front of the sandbox.

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { runCli } from '../../src/cli/run.ts'
import { NO_TOKENS } from '../../src/core/usage.ts'
import { type Sandbox, startSandbox } from '../../src/sandbox/sandbox.ts'
import type { LineUp } from '../../src/simulate/compare.ts'
import { listCost } from '../../src/simulate/tally.ts'
import { BYTES_PER_TOKEN, type Conversation, type Turn } from '../../src/simulate/workload.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const READY_MS = 30_000
/** Every simulated answer is as long to read; what it costs is taken from the conversation. */
const ANSWER_TOKENS = 60
const CLIENT_RETRIES = 2

/** What a run through the daemon came to. */
export interface DaemonFigures {
  readonly requests: number
  readonly errors: number
  readonly costMicro: number
  readonly readShare: number
  readonly largestShare: number
  /** What the gateway charged, and what upstream's counts are worth by the list. */
  readonly chargedMicro: number
  readonly billedMicro: number
  readonly lastedMs: number
}

/**
 * Plays the conversations of a line-up through a real gateway, `scale` times as fast: answers, thought, starts, and
 * the clock by which upstream's caches end. The gateway's own times are as always.
 */
export async function playDaemon(
  lineUp: Omit<LineUp, 'trouble'>,
  scale: number,
): Promise<DaemonFigures> {
  const dir = mkdtempSync(join(tmpdir(), 'ccgate-bench-'))
  const answerMs = (lineUp.pace.answerMs - lineUp.pace.firstTokenMs) / scale
  const firstMs = lineUp.pace.firstTokenMs / scale
  const beganMs = Date.now()
  const sandbox = await startSandbox({
    nowMs: () => beganMs + (Date.now() - beganMs) * scale,
    accounts: lineUp.accounts.map(({ name }) => ({ name, organization: name })),
    bytesPerToken: BYTES_PER_TOKEN,
    latencyMs: [firstMs, firstMs],
    tokenRate: (ANSWER_TOKENS * 1_000) / answerMs,
    recordLimit: 1,
  })
  sandbox.setFault('*', { outputTokens: ANSWER_TOKENS, thinking: 'none' })
  let gateway: ChildProcess | null = null
  try {
    const world = await makeWorld(dir, lineUp, sandbox)
    const served = await serve(world.config)
    gateway = served.process
    const startedMs = performance.now()
    const clients = new Clients(served.url, world.keys, scale)
    await Promise.all(lineUp.workload.map((one) => clients.hold(one)))
    const lastedMs = performance.now() - startedMs
    clients.close()
    const summary = JSON.parse(await world.run(['usage', 'summary', '--since', '1h', '--json']))
    return { ...figuresOf(lineUp, sandbox, clients), chargedMicro: chargedOf(summary), lastedMs }
  } finally {
    if (gateway !== null) await stop(gateway)
    await sandbox.close()
    rmSync(dir, { recursive: true, force: true })
  }
}

interface BenchWorld {
  readonly config: string
  /** By customer. */
  readonly keys: ReadonlyMap<string, string>
  readonly run: (argv: readonly string[], stdin?: string) => Promise<string>
}

/** Accounts, customers and their keys, made by the commands that operators use. */
async function makeWorld(
  dir: string,
  { accounts, workload }: Pick<LineUp, 'accounts' | 'workload'>,
  sandbox: Sandbox,
): Promise<BenchWorld> {
  const config = join(dir, 'config.yaml')
  const run = (argv: readonly string[], stdin = '') => command([...argv, '-c', config], dir, stdin)
  await command(['init', '--dir', dir, '--no-input'], dir, '')
  for (const { name, weight, priority, concurrencyLimit } of accounts) {
    const limits = ['--weight', `${weight}`, '--priority', `${priority}`]
    const slots = ['--concurrency', concurrencyLimit === null ? 'none' : `${concurrencyLimit}`]
    const place = ['--base-url', sandbox.url, '--allow-private', '--no-test', '--key-stdin']
    const key = `${sandbox.account(name).key}\n`
    await run(['accounts', 'add', name, ...limits, ...slots, ...place], key)
  }
  const keys = new Map<string, string>()
  for (const { customer } of workload) {
    if (keys.has(customer)) continue
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
async function serve(
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

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  const hard = setTimeout(() => child.kill('SIGKILL'), 5_000)
  await exited
  clearTimeout(hard)
}

/** Clients that hold their conversations, each turn after the answer to the one before. */
class Clients {
  readonly #url: string
  readonly #keys: ReadonlyMap<string, string>
  readonly #scale: number
  readonly #agent = new Agent({ keepAlive: true })
  requests = 0
  errors = 0
  outputTokens = 0

  constructor(url: string, keys: ReadonlyMap<string, string>, scale: number) {
    this.#url = url
    this.#keys = keys
    this.#scale = scale
  }

  async hold(conversation: Conversation): Promise<void> {
    await sleep(conversation.startMs / this.#scale)
    const helpers: Promise<void>[] = []
    for (const turn of conversation.turns) {
      helpers.push(...turn.helpers.map((helper) => this.hold(helper)))
      await this.#ask(turn, this.#keys.get(conversation.customer) ?? '')
      await sleep(turn.thinkMs / this.#scale)
    }
    await Promise.all(helpers)
  }

  close(): void {
    this.#agent.destroy()
  }

  async #ask(turn: Turn, key: string): Promise<void> {
    const body = JSON.stringify(turn.body)
    for (let k = 0; k <= CLIENT_RETRIES; k++) {
      const status = await this.#post(body, key)
      this.requests++
      if (status === 200) {
        this.outputTokens += turn.outputTokens
        return
      }
      this.errors++
    }
    throw new Error('a request of the bench failed three times')
  }

  #post(body: string, key: string): Promise<number> {
    return new Promise((resolve, reject) => {
      const sent = request(`${this.#url}/v1/messages`, {
        method: 'POST',
        agent: this.#agent,
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          'anthropic-version': '2023-06-01',
          'x-api-key': key,
        },
      })
      sent.once('error', reject)
      sent.once('response', (answer) => {
        answer.once('error', reject)
        answer.once('end', () => resolve(answer.statusCode ?? 0))
        answer.resume()
      })
      sent.end(body)
    })
  }
}

function figuresOf(
  { model, prices, accounts }: Omit<LineUp, 'trouble'>,
  sandbox: Sandbox,
  { requests, errors, outputTokens }: Clients,
): Omit<DaemonFigures, 'chargedMicro' | 'lastedMs'> {
  const { input, output, cacheRead, cacheWrite5m, cacheWrite1h } = sandbox.totals()
  const prompt = { ...NO_TOKENS, input, cacheRead, cacheWrite5m, cacheWrite1h }
  const all = input + cacheRead + cacheWrite5m + cacheWrite1h
  const busiest = Math.max(...accounts.map(({ name }) => sandbox.totals(name).requests))
  return {
    requests,
    errors,
    costMicro: listCost(model, { ...prompt, output: outputTokens }, prices),
    billedMicro: listCost(model, { ...prompt, output }, prices),
    readShare: cacheRead / Math.max(1, all),
    largestShare: busiest / Math.max(1, sandbox.totals().requests),
  }
}

function chargedOf(summary: { readonly total?: { readonly cost_micro?: number } }): number {
  return summary.total?.cost_micro ?? Number.NaN
}
