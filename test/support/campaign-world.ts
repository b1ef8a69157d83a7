import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { furnish } from '../../src/cli/commands/demo-data.ts'
import { createIdMaker, type IdMaker } from '../../src/core/ids.ts'
import { type Sandbox, type SandboxOptions, startSandbox } from '../../src/sandbox/sandbox.ts'
import type { Store } from '../../src/store/store.ts'

/** The real `ccgate` command of this checkout. */
export const BIN = fileURLToPath(new URL('../../bin/ccgate.js', import.meta.url))

/** A sandbox, a database with one rich user and key, and a config file: what campaigns start gateways on. */
export interface CampaignWorld {
  readonly folder: string
  readonly databaseFile: string
  readonly configFile: string
  readonly sandbox: Sandbox
  /** The store as another process sees it: commands and audits use it while gateways come and go. */
  readonly store: Store
  readonly key: string
  readonly userId: string
  readonly makeId: IdMaker
  /** Closes the store and the sandbox and removes the folder. */
  close(): Promise<void>
}

/** Makes one; `folder` is emptied of it at the end, or left to the caller when given. */
export async function campaignWorld(options: {
  readonly sandbox: SandboxOptions
  readonly creditMicro?: number
  readonly folder?: string
}): Promise<CampaignWorld> {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'ccgate-campaign-'))
  const databaseFile = join(folder, 'ccgate.db')
  const sandbox = await startSandbox(options.sandbox)
  const makeId = createIdMaker(
    (bytes) => crypto.getRandomValues(new Uint8Array(bytes)),
    () => Date.now(),
  )
  const { store, key } = await furnish({
    folder,
    databaseFile,
    sandbox,
    creditMicro: options.creditMicro ?? 1_000_000_000,
    by: { actor: 'test', nowMs: Date.now() },
    makeId,
  })
  const configFile = join(folder, 'config.yaml')
  writeFileSync(
    configFile,
    `store: {path: ${databaseFile}}\nlogging: {level: error, access: off}\n`,
    { mode: 0o600 },
  )
  const userId = (await store.listUsers({}))[0]?.id ?? ''
  return {
    folder,
    databaseFile,
    configFile,
    sandbox,
    store,
    key,
    userId,
    makeId,
    async close() {
      await store.close()
      await sandbox.close()
      if (options.folder === undefined) rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** A running `ccgate serve`. */
export interface Gateway {
  readonly child: ChildProcess
  readonly port: number
  /** How it ended. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: string | null }>
  /** Everything it wrote to stderr so far. */
  readonly log: () => string
}

/** How a gateway is started, beside its config: under a tracer, with a preloaded library. */
export interface StartOptions {
  /** Program and arguments before node's own. */
  readonly under?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** Starts a gateway; answers null when it ended before it listened. */
export async function startGateway(
  configFile: string,
  options: StartOptions = {},
): Promise<{ readonly started: Gateway } | { readonly code: number | null; readonly log: string }> {
  const serve = [BIN, 'serve', '-c', configFile, '--listen', '127.0.0.1:0']
  const [program = process.execPath, ...before] = [...(options.under ?? []), process.execPath]
  const args = [...before, ...serve, '--log-level', 'info', '--log-format', 'json']
  const child = spawn(program, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...options.env },
  })
  let text = ''
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }))
  })
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      reject(new Error(`the gateway did not start: ${text}`))
    }, 30_000)
    child.stderr?.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8')
      const match = /"address":"127\.0\.0\.1:(\d+)"/.exec(text)
      if (match === null) return
      clearTimeout(timer)
      resolve({ started: { child, port: Number(match[1]), ended, log: () => text } })
    })
    void ended.then(({ code }) => {
      clearTimeout(timer)
      resolve({ code, log: text })
    })
  })
}

/** As `startGateway`, where it has to come up. */
export async function mustStart(configFile: string, options?: StartOptions): Promise<Gateway> {
  const start = await startGateway(configFile, options)
  if ('started' in start) return start.started
  throw new Error(`the gateway ended with ${start.code}: ${start.log}`)
}

/** What a client got. */
export interface Got {
  /** 0: no answer. */
  readonly status: number
  /** The whole answer has come, its end included. */
  readonly isWhole: boolean
  readonly requestId: string
  readonly text: string
  /** The longest silence between two pieces of the answer. */
  readonly longestGapMs: number
}

/** One request to a gateway. */
export function ask(
  port: number,
  key: string,
  options: { readonly stream: boolean; readonly maxTokens?: number; readonly agent?: Agent },
): Promise<Got> {
  const { stream, maxTokens = 60 } = options
  const body = JSON.stringify({
    model: 'claude-sonnet-4-6',
    max_tokens: maxTokens,
    stream,
    messages: [{ role: 'user', content: 'Tell me a haiku.' }],
  })
  return new Promise((resolve) => {
    const none: Got = { status: 0, isWhole: false, requestId: '', text: '', longestGapMs: 0 }
    const call = request(
      {
        host: '127.0.0.1',
        port,
        ...(options.agent === undefined ? {} : { agent: options.agent }),
        method: 'POST',
        path: '/v1/messages',
        headers: { 'x-api-key': key, 'content-length': Buffer.byteLength(body) },
      },
      (response) => {
        let text = ''
        let lastMs = performance.now()
        let longestGapMs = 0
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => {
          text += chunk
          longestGapMs = Math.max(longestGapMs, performance.now() - lastMs)
          lastMs = performance.now()
        })
        response.on('error', () => {})
        response.on('close', () => {
          const status = response.statusCode ?? 0
          const ends = stream ? text.includes('event: message_stop') : text.endsWith('}')
          resolve({
            status,
            isWhole: response.complete && status === 200 && ends,
            requestId: String(response.headers['x-cc-request-id']),
            text,
            longestGapMs,
          })
        })
      },
    )
    call.on('error', () => resolve(none))
    call.end(body)
  })
}

/** What a clean audit finds wrong: violations, holds of dead runs, whole answers without their record. */
export async function audit(store: Store, told: Iterable<string>): Promise<string[]> {
  const found: string[] = []
  const boots = await store.listBoots()
  for (const hold of await store.listOpenHolds()) {
    if (hold.bootId !== boots[0]?.id)
      found.push(`hold ${hold.requestId} of a dead run is still open`)
  }
  for (const id of told) {
    const row = await store.getUsage(id)
    if (row?.kind !== 'usage' || row.status !== 'complete' || row.costMicro <= 0)
      found.push(`acknowledged answer ${id} is lost`)
  }
  return found
}
