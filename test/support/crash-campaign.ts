import { once } from 'node:events'
import { Agent } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { ask, audit, campaignWorld, mustStart } from './campaign-world.ts'
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

/**
 * Runs the real `ccgate serve` under load and ends it with SIGKILL at random instants. After each kill the
 * ledger must be clean; after each restart no hold of the dead run is open, and every answer and grant that
 * somebody was told of is on record.
 */
export async function runCrashCampaign(plan: CrashPlan): Promise<CrashResult> {
  plan.report(`crash campaign: ${plan.kills} kills, ${plan.clients} clients, seed ${plan.seed}`)
  const random = mulberry32(plan.seed)
  const world = await campaignWorld({
    sandbox: { seed: plan.seed, latencyMs: [0, 30], tokenRate: 2_000, recordLimit: 10 },
  })
  const { store, key, userId, configFile } = world
  const found: string[] = []
  const answers = new Set<string>()
  const refs = new Set<string>()
  const load = { stopped: false, port: 0, answered: 0 }
  const agent = new Agent({ keepAlive: true, maxSockets: plan.clients })
  const clients = Array.from({ length: plan.clients }, (_, i) => client(i))
  const granter = grant()
  let orphans = 0
  const startedMs = Date.now()

  for (let kill = 1; kill <= plan.kills && found.length === 0; kill++) {
    const { child, port } = await mustStart(configFile)
    found.push(...(await auditAnswers()))
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
        `${kill} kills, ${load.answered} answers, ${refs.size} grants, ${orphans} orphans, ${found.length} violations, ${((Date.now() - startedMs) / 1_000).toFixed(0)} s`,
      )
    }
  }
  load.stopped = true
  await Promise.all([...clients, granter])
  // One last start settles the orphans of the last kill; a graceful stop leaves nothing open.
  const { child, ended } = await mustStart(configFile)
  found.push(...(await auditAnswers()))
  child.kill('SIGTERM')
  const { code, signal } = await ended
  if (code !== 0) found.push(`a graceful stop ended with ${code ?? signal}`)
  const last = await store.checkLedger(Date.now())
  found.push(...last.violations)
  if (last.openHolds > 0) found.push(`${last.openHolds} holds open at the end`)
  agent.destroy()
  await world.close()
  plan.report(
    `done: ${load.answered} acknowledged answers, ${orphans} orphaned holds, ${found.length} violations`,
  )
  return { kills: plan.kills, acknowledged: load.answered, orphans, violations: found }

  /** What was acknowledged before the last kill must be there; what the dead run left open must not. */
  async function auditAnswers(): Promise<string[]> {
    const told = [...answers]
    answers.clear()
    return audit(store, told)
  }

  async function client(index: number): Promise<void> {
    for (let turn = 0; !load.stopped; turn++) {
      if (load.port === 0) {
        await sleep(5)
        continue
      }
      // Every fourth answer is long enough for its hold to grow.
      const maxTokens = turn % 4 === 0 ? 20_000 : 60
      const got = await ask(load.port, key, { stream: (index + turn) % 2 === 0, maxTokens, agent })
      if (!got.isWhole) await sleep(2)
      else {
        load.answered++
        answers.add(got.requestId)
      }
    }
  }

  /** Another process writes meanwhile, as an operator does. */
  async function grant(): Promise<void> {
    const by = { actor: 'test', nowMs: Date.now() }
    for (let i = 0; !load.stopped; i++) {
      const ref = `grant-${plan.seed}-${i}`
      const entry = {
        id: world.makeId('entry'),
        userId,
        type: 'grant',
        amountMicro: 1_000,
        ref,
        note: null,
      } as const
      const result = await store.addCredit(entry, by)
      if (result.kind === 'added') refs.add(ref)
      await sleep(25)
    }
  }
}
