import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { furnish } from '../../src/cli/commands/demo-data.ts'
import { createIdMaker } from '../../src/core/ids.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import type { Store } from '../../src/store/store.ts'
import { mulberry32 } from './random.ts'

/** What a campaign does: this often, from this seed, under this many clients. */
export interface CrashPlan {
  readonly kills: number
  readonly seed: number
  readonly clients: number
  readonly report: (line: string) => void
}

/** What it found. */
export interface CrashResult {
  readonly kills: number
  readonly acknowledged: number
  readonly orphans: number
  readonly violations: readonly string[]
}

const BIN = fileURLToPath(new URL('../../bin/ccgate.js', import.meta.url))

/**
 * Runs the real `ccgate serve` under load and ends it with SIGKILL at random instants. After each kill the
 * ledger must be clean; after each restart no hold of the dead run is open, and every answer and grant that
 * somebody was told of is on record.
 */
export async function runCrashCampaign(plan: CrashPlan): Promise<CrashResult> {
  plan.report(`crash campaign: ${plan.kills} kills, ${plan.clients} clients, seed ${plan.seed}`)
  const random = mulberry32(plan.seed)
  const folder = mkdtempSync(join(tmpdir(), 'ccgate-crash-'))
  const databaseFile = join(folder, 'ccgate.db')
  const sandbox = await startSandbox({
    seed: plan.seed,
    latencyMs: [0, 30],
    tokenRate: 2_000,
    recordLimit: 10,
  })
  const makeId = createIdMaker(
    (bytes) => crypto.getRandomValues(new Uint8Array(bytes)),
    () => Date.now(),
  )
  const by = { actor: 'test', nowMs: Date.now() }
  const { store, key } = await furnish({
    folder,
    databaseFile,
    sandbox,
    creditMicro: 1_000_000_000,
    by,
    makeId,
  })
  const configFile = join(folder, 'config.yaml')
  writeFileSync(
    configFile,
    `store: {path: ${databaseFile}}\nlogging: {level: error, access: off}\n`,
    { mode: 0o600 },
  )
  const userId = (await store.listUsers({}))[0]?.id ?? ''

  const found: string[] = []
  const told = { answers: new Set<string>(), refs: new Set<string>() }
  const load = { stopped: false, port: 0, answered: 0 }
  const agent = new Agent({ keepAlive: true, maxSockets: plan.clients })
  const clients = Array.from({ length: plan.clients }, (_, i) => client(i))
  const granter = grant()
  let orphans = 0
  const startedMs = Date.now()

  for (let kill = 1; kill <= plan.kills && found.length === 0; kill++) {
    const { child, port } = await startGateway(configFile)
    found.push(...(await auditAfterStart(store, told)))
    load.port = port
    // Some runs die young, in the middle of the first batch; others after hundreds of requests.
    await sleep(random() < 0.3 ? random() * 40 : 40 + random() * 500)
    load.port = 0
    child.kill('SIGKILL')
    await once(child, 'exit')
    const report = await store.checkLedger(Date.now())
    found.push(...report.violations.map((violation) => `after kill ${kill}: ${violation}`))
    orphans += report.openHolds
    if (kill % 20 === 0) {
      plan.report(
        `${kill} kills, ${load.answered} answers, ${told.refs.size} grants, ${orphans} orphans, ${found.length} violations, ${((Date.now() - startedMs) / 1_000).toFixed(0)} s`,
      )
    }
  }
  load.stopped = true
  await Promise.all([...clients, granter])
  // One last start settles the orphans of the last kill; a graceful stop leaves nothing open.
  const { child } = await startGateway(configFile)
  found.push(...(await auditAfterStart(store, told)))
  child.kill('SIGTERM')
  const [code, signal] = await once(child, 'exit')
  if (code !== 0) found.push(`a graceful stop ended with ${code ?? signal}`)
  const last = await store.checkLedger(Date.now())
  found.push(...last.violations)
  if (last.openHolds > 0) found.push(`${last.openHolds} holds open at the end`)
  agent.destroy()
  await store.close()
  await sandbox.close()
  rmSync(folder, { recursive: true, force: true })
  plan.report(
    `done: ${load.answered} acknowledged answers, ${orphans} orphaned holds, ${found.length} violations`,
  )
  return { kills: plan.kills, acknowledged: load.answered, orphans, violations: found }

  async function client(index: number): Promise<void> {
    while (!load.stopped) {
      if (load.port === 0) {
        await sleep(5)
        continue
      }
      const id = await ask(load.port, agent, key, (index + load.answered) % 2 === 0)
      if (id === null) await sleep(2)
      else {
        load.answered++
        told.answers.add(id)
      }
    }
  }

  /** Another process writes meanwhile, as an operator does. */
  async function grant(): Promise<void> {
    for (let i = 0; !load.stopped; i++) {
      const ref = `grant-${plan.seed}-${i}`
      const entry = {
        id: makeId('entry'),
        userId,
        type: 'grant',
        amountMicro: 1_000,
        ref,
        note: null,
      } as const
      const result = await store.addCredit(entry, by)
      if (result.kind === 'added') told.refs.add(ref)
      await sleep(25)
    }
  }
}

/** What was acknowledged before the last kill must be there; what the dead run left open must not. */
async function auditAfterStart(
  store: Store,
  told: { answers: Set<string>; refs: Set<string> },
): Promise<string[]> {
  const found: string[] = []
  const boots = await store.listBoots()
  for (const hold of await store.listOpenHolds()) {
    if (hold.bootId !== boots[0]?.id)
      found.push(`hold ${hold.requestId} of a dead run is still open`)
  }
  for (const id of told.answers) {
    const row = await store.getUsage(id)
    if (row?.kind !== 'usage' || row.status !== 'complete' || row.costMicro <= 0)
      found.push(`acknowledged answer ${id} is lost`)
  }
  told.answers.clear()
  return found
}

async function startGateway(configFile: string): Promise<{ child: ChildProcess; port: number }> {
  const child = spawn(
    process.execPath,
    [
      BIN,
      'serve',
      '-c',
      configFile,
      '--listen',
      '127.0.0.1:0',
      '--log-level',
      'info',
      '--log-format',
      'json',
    ],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  )
  let text = ''
  const port = await new Promise<number>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the gateway did not start: ${text}`)), 20_000)
    child.stderr?.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8')
      const match = /"address":"127\.0\.0\.1:(\d+)"/.exec(text)
      if (match === null) return
      clearTimeout(timer)
      resolve(Number(match[1]))
    })
    child.once('exit', (code) => reject(new Error(`the gateway ended with ${code}: ${text}`)))
  })
  return { child, port }
}

/** One request; its id when the answer came whole, else null. */
function ask(port: number, agent: Agent, key: string, stream: boolean): Promise<string | null> {
  const body = JSON.stringify({
    model: 'claude-sonnet-4-6',
    max_tokens: 60,
    stream,
    messages: [{ role: 'user', content: 'Tell me a haiku.' }],
  })
  return new Promise((resolve) => {
    const call = request(
      {
        host: '127.0.0.1',
        port,
        agent,
        method: 'POST',
        path: '/v1/messages',
        headers: { 'x-api-key': key, 'content-length': Buffer.byteLength(body) },
      },
      (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => {
          text += chunk
        })
        response.on('error', () => resolve(null))
        response.on('close', () => {
          const isWhole =
            response.complete &&
            response.statusCode === 200 &&
            (stream ? text.includes('event: message_stop') : text.endsWith('}'))
          resolve(isWhole ? String(response.headers['x-cc-request-id']) : null)
        })
      },
    )
    call.on('error', () => resolve(null))
    call.end(body)
  })
}
