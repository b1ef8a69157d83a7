// The same conversations over HTTP: a gateway in a process of its own, in front of the sandbox.

import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { NO_TOKENS } from '../../src/core/usage.ts'
import { type Sandbox, startSandbox } from '../../src/sandbox/sandbox.ts'
import type { LineUp } from '../../src/simulate/compare.ts'
import { listCost } from '../../src/simulate/tally.ts'
import { BYTES_PER_TOKEN, type Conversation, type Turn } from '../../src/simulate/workload.ts'
import { makeWorld, serve, stop } from './served-world.ts'

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
    const { accounts, workload } = lineUp
    const customers = workload.map(({ customer }) => customer)
    const world = await makeWorld(dir, { accounts, customers }, sandbox)
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
