// Requests as the daemon writes them, for commands that look at what was spent.
import assert from 'node:assert/strict'
import { ulidTime } from '../../src/core/ids.ts'
import type { UsageRecord } from '../../src/core/model.ts'
import { NO_TOKENS } from '../../src/core/usage.ts'
import { openStore } from '../../src/store/open.ts'
import type { NewHold } from '../../src/store/store.ts'
import type { cliWorld } from './support.ts'

type World = ReturnType<typeof cliWorld>

/** A request of a key, still running; `atMs` is when it began. */
export interface Wanted {
  /** `alice/laptop` */
  readonly key: string
  readonly atMs: number
  readonly holdMicro?: number
}

let count = 0

/** Opens a hold and leaves it open; its request id. */
export async function runningRequest(world: World, wanted: Wanted): Promise<string> {
  return (await open(world, wanted)).requestId
}

/** A whole request that cost so much; its request id. */
export async function finishedRequest(
  world: World,
  wanted: Wanted & { readonly costMicro: number },
): Promise<string> {
  const hold = await open(world, wanted)
  await finish(world, hold, wanted.costMicro)
  return hold.requestId
}

async function open(world: World, { key, atMs, holdMicro = 10_000 }: Wanted): Promise<NewHold> {
  const record = await world.json(`keys show ${key}`)
  count += 1
  const hold: NewHold = {
    requestId: `ccr_${ulidTime(atMs)}${String(count).padStart(16, '0')}`,
    userId: String(record.user_id),
    keyId: String(record.id),
    bootId: 'boot_01jdq9jx7m2e8v4c6h0t5w3b9k',
    accountId: null,
    model: 'claude-sonnet-4-6',
    stream: true,
    amountMicro: holdMicro,
    markup: [1, 1],
    limitWindow: null,
    openedAtMs: atMs,
  }
  await withStore(world, atMs, async (store) => {
    assert.equal((await store.openHold(hold)).kind, 'held')
  })
  return hold
}

async function finish(world: World, hold: NewHold, costMicro: number): Promise<void> {
  const record: UsageRecord = {
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
    tokens: { ...NO_TOKENS, input: 100, output: 50 },
    webSearchRequests: 0,
    costMicro,
    receipt: null,
    holdMicro: hold.amountMicro,
    holdSteps: [],
    onDisconnect: null,
    joinedRequestId: null,
    trail: [],
    source: 'exact',
    anomalies: 0,
    accountId: null,
    upstreamRequestId: null,
    attempts: [],
    createdAtMs: hold.openedAtMs,
    firstByteMs: 300,
    durationMs: 900,
    gatewayUs: 800,
    clientIp: null,
    clientAgent: null,
  }
  await withStore(world, hold.openedAtMs + 900, async (store) => {
    assert.equal((await store.settleHold(record)).kind, 'closed')
  })
}

async function withStore(
  world: World,
  nowMs: number,
  use: (
    store: Extract<Awaited<ReturnType<typeof openStore>>, { kind: 'opened' }>['store'],
  ) => Promise<void>,
): Promise<void> {
  const opened = await openStore({ path: world.databaseFile, mode: 'write', nowMs: () => nowMs })
  assert.ok(opened.kind === 'opened')
  try {
    await use(opened.store)
  } finally {
    await opened.store.close()
  }
}
