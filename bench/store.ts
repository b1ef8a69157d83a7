// What the ledger costs: durable holds and settlements per second with group commit against one
// transaction each (P16), CPU per request over all threads (P17), and how long a hold takes at 1,000/s.
// Run: node bench/store.ts [seconds per round] [--json]; --json adds a line for the table of goals.
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { costOf } from '../src/billing/cost.ts'
import { BUILT_IN_PRICES } from '../src/billing/prices.ts'
import { createIdMaker } from '../src/core/ids.ts'
import type { UsageRecord } from '../src/core/model.ts'
import { createDatabase, openDaemonStore, openStore } from '../src/store/open.ts'
import type { NewHold, Store } from '../src/store/store.ts'

const CALLERS = 64
const USERS = 8
const ROUNDS = 4
const roundMs = Number(process.argv[2] ?? 2) * 1_000

const makeId = createIdMaker((bytes) => randomBytes(bytes), Date.now)
const tokens = { input: 781, output: 921, cacheRead: 0, cacheWrite5m: 0, cacheWrite1h: 346 }
const receipt = costOf(
  {
    model: 'claude-sonnet-4-6',
    tokens,
    iterations: [],
    webSearchRequests: 0,
    speed: null,
    inferenceGeo: null,
    serviceTier: null,
    stopReason: 'end_turn',
    hasContent: true,
    anomalies: 0,
  },
  BUILT_IN_PRICES,
  { atMs: Date.now() },
)

interface World {
  readonly path: string
  readonly users: readonly { readonly userId: string; readonly keyId: string }[]
  readonly accountId: string
  readonly bootId: string
}

async function createWorld(folder: string): Promise<World> {
  const path = join(folder, `${makeId('boot')}.db`)
  await createDatabase(path)
  const store = await opened(openStore({ path, mode: 'write' }))
  const by = { actor: 'bench', nowMs: Date.now() }
  const users = []
  for (let i = 0; i < USERS; i++) {
    const [userId, keyId] = [makeId('user'), makeId('key')]
    await store.createUser({ id: userId, name: `user${i}`, email: null, note: null }, by)
    await store.createKey(
      {
        id: keyId,
        userId,
        name: 'bench',
        digest: randomBytes(32),
        last4: 'abcd',
        rpmLimit: null,
        concurrencyLimit: null,
        models: ['*'],
        spendLimit: null,
        accountTags: null,
        burnLimitMicro: null,
        markup: null,
        onDisconnect: null,
        note: null,
        expiresAtMs: null,
      },
      by,
    )
    await store.addCredit(
      { id: makeId('entry'), userId, type: 'grant', amountMicro: 1e12, ref: null, note: null },
      by,
    )
    users.push({ userId, keyId })
  }
  const accountId = makeId('account')
  await store.addAccount(
    {
      id: accountId,
      name: 'main',
      provider: 'anthropic',
      baseUrl: 'https://api.example.com',
      allowPrivate: false,
      credential: { sealed: randomBytes(64), last4: 'Xk4A', fingerprint: '4f1caa' },
      priority: 1,
      weight: 1,
      rpmLimit: null,
      concurrencyLimit: null,
      models: ['*'],
      tpmLimit: null,
      tags: [],
      cacheScope: null,
      hours: null,
      proxy: null,
      dayCapMicro: null,
      monthCapMicro: null,
      note: null,
      disabled: false,
    },
    by,
  )
  await store.close()
  return { path, users, accountId, bootId: makeId('boot') }
}

async function opened<S>(
  opening: Promise<{ kind: 'opened'; store: S } | { kind: string }>,
): Promise<S> {
  const result = await opening
  if (!('store' in result)) throw new Error(result.kind)
  return result.store
}

function holdOf(world: World, n: number): NewHold {
  const { userId, keyId } = world.users[n % USERS]
  return {
    requestId: makeId('request'),
    userId,
    keyId,
    bootId: world.bootId,
    accountId: null,
    model: 'claude-sonnet-4-6',
    stream: true,
    amountMicro: 250_000,
    markup: [1, 1],
    limitWindow: null,
    openedAtMs: Date.now(),
  }
}

function recordOf(world: World, hold: NewHold): UsageRecord {
  return {
    requestId: hold.requestId,
    userId: hold.userId,
    keyId: hold.keyId,
    dialect: 'anthropic',
    model: hold.model,
    responseModel: hold.model,
    stream: true,
    status: 'complete',
    httpStatus: 200,
    errorCode: null,
    tokens,
    webSearchRequests: 0,
    costMicro: receipt.costMicro,
    receipt,
    holdMicro: hold.amountMicro,
    holdSteps: [{ kind: 'opened', amountMicro: hold.amountMicro, afterMs: 3 }],
    onDisconnect: null,
    joinedRequestId: null,
    trail: [],
    source: 'exact',
    anomalies: 0,
    accountId: world.accountId,
    upstreamRequestId: 'req_011CSaPq7vXnB2mK4tY8wZrD',
    attempts: [
      {
        accountId: world.accountId,
        outcome: 'ok',
        httpStatus: 200,
        durationMs: 4_021,
        upstreamRequestId: 'req_011CSaPq7vXnB2mK4tY8wZrD',
        listCostMicro: receipt.costMicro,
      },
    ],
    createdAtMs: hold.openedAtMs,
    firstByteMs: 1_900,
    durationMs: 4_020,
    gatewayUs: 3_200,
    clientIp: '203.0.113.7',
    clientAgent: 'anthropic-sdk-typescript/1.12',
  }
}

/** `callers` loops of hold and settle until the time is over; pairs per second, CPU per pair in µs. */
async function closedLoop(store: Store, world: World, callers: number) {
  const endMs = performance.now() + roundMs
  let pairs = 0
  const cpuBefore = process.cpuUsage()
  const startMs = performance.now()
  await Promise.all(
    Array.from({ length: callers }, async (_, caller) => {
      while (performance.now() < endMs) {
        const hold = holdOf(world, caller)
        const held = await store.openHold(hold)
        if (held.kind !== 'held') throw new Error('the bench ran out of credit')
        await store.settleHold(recordOf(world, hold))
        pairs += 1
      }
    }),
  )
  const cpu = process.cpuUsage(cpuBefore)
  const seconds = (performance.now() - startMs) / 1_000
  return { perSecond: pairs / seconds, cpuUs: (cpu.user + cpu.system) / pairs }
}

/** What the bench itself burns per pair: making the records, the loops, the promises. */
async function overheadUs(world: World): Promise<number> {
  const pairs = 50_000
  const cpuBefore = process.cpuUsage()
  for (let n = 0; n < pairs; n++) {
    const hold = holdOf(world, n)
    await hold
    await recordOf(world, hold)
  }
  const cpu = process.cpuUsage(cpuBefore)
  return (cpu.user + cpu.system) / pairs
}

/** Holds opened at a steady rate, whatever the store does; latencies in ms, sorted. */
async function openLoop(store: Store, world: World, perSecond: number) {
  const latencies: number[] = []
  const running: Promise<void>[] = []
  const startMs = performance.now()
  for (let sent = 0; sent < (perSecond * roundMs) / 1_000; ) {
    const due = ((performance.now() - startMs) * perSecond) / 1_000
    for (; sent < due; sent++) {
      const sentMs = performance.now()
      const hold = holdOf(world, sent)
      running.push(
        store.openHold(hold).then(async () => {
          latencies.push(performance.now() - sentMs)
          await store.settleHold(recordOf(world, hold))
        }),
      )
    }
    await sleep(1)
  }
  await Promise.all(running)
  return latencies.toSorted((a, b) => a - b)
}

const folder = mkdtempSync(join(tmpdir(), 'ccgate-bench-'))
try {
  const world = await createWorld(folder)
  const single = await opened(openStore({ path: world.path, mode: 'write' }))
  const grouped = await opened(openDaemonStore({ path: world.path }))
  await closedLoop(grouped, world, CALLERS)
  const overhead = Math.min(await overheadUs(world), await overheadUs(world))
  const best = { grouped: 0, groupedCpu: Infinity, single: 0, singleCpu: Infinity }
  for (let round = 0; round < ROUNDS; round++) {
    const many = await closedLoop(grouped, world, CALLERS)
    const one = await closedLoop(single, world, 1)
    best.grouped = Math.max(best.grouped, many.perSecond)
    best.groupedCpu = Math.min(best.groupedCpu, many.cpuUs)
    best.single = Math.max(best.single, one.perSecond)
    best.singleCpu = Math.min(best.singleCpu, one.cpuUs)
  }
  // On a file of its own: the log of the rounds before would be checkpointed during this one.
  const calm = await createWorld(folder)
  const steady = await opened(openDaemonStore({ path: calm.path }))
  const latencies = await openLoop(steady, calm, 1_000)
  await steady.close()
  const at = (share: number) => latencies[Math.floor(latencies.length * share)].toFixed(2)
  const report = await grouped.checkLedger(Date.now())
  await single.close()
  await grouped.close()
  const ratio = best.grouped / best.single
  const cpuUs = best.groupedCpu - overhead
  console.log(`group commit, ${CALLERS} callers   ${Math.round(best.grouped)} hold+settle pairs/s`)
  console.log(`one transaction each       ${Math.round(best.single)} pairs/s`)
  console.log(`P16 ratio                  ${ratio.toFixed(1)} x (goal 8 x)`)
  console.log(
    `P17 CPU per request        ${cpuUs.toFixed(1)} µs over all threads (goal 15 µs; the bench's own ${overhead.toFixed(1)} µs taken off; one transaction each: ${(best.singleCpu - overhead).toFixed(1)} µs)`,
  )
  console.log(`hold at 1,000/s            p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`)
  console.log(
    `ledger check               ${report.violations.length} violations, ${report.settledHolds} settled`,
  )
  if (report.violations.length > 0) console.log(report.violations.join('\n'))
  if (process.argv.includes('--json')) {
    console.log(
      JSON.stringify({
        p16_ratio: ratio,
        p17_us: cpuUs,
        hold_p50_ms: Number(at(0.5)),
        hold_p99_ms: Number(at(0.99)),
      }),
    )
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
