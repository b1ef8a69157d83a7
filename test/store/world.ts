// A database of its own for each test, and records made with as little typing as possible.
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createIdMaker } from '../../src/core/ids.ts'
import type { UsageRecord } from '../../src/core/model.ts'
import { createDatabase, openDaemonStore, openStore } from '../../src/store/open.ts'
import type { By, NewAccount, NewHold, NewKey, Store } from '../../src/store/store.ts'

/** What a test or a hook gives: something to run when it is over. */
export interface Cleanup {
  after(fn: () => void | Promise<void>): void
}

export const makeId = createIdMaker((bytes) => randomBytes(bytes), Date.now)

export function by(actor = 'cli:test', nowMs = Date.now()): By {
  return { actor, nowMs }
}

/** A folder that goes away with the test. */
export function tempFolder(t: Cleanup): string {
  const folder = mkdtempSync(join(tmpdir(), 'ccgate-store-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** The path of a fresh, empty database. */
export async function freshDatabase(t: Cleanup): Promise<string> {
  const path = join(tempFolder(t), 'ccgate.db')
  await createDatabase(path)
  return path
}

/** The two ways to open a store; what one promises, the other keeps. */
export const DRIVERS = {
  local: (path: string) => openStore({ path, mode: 'write' }),
  daemon: (path: string) => openDaemonStore({ path }),
} as const

export async function open(t: Cleanup, path: string, driver: keyof typeof DRIVERS): Promise<Store> {
  const opened = await DRIVERS[driver](path)
  if (opened.kind !== 'opened') throw new Error(`not opened: ${opened.kind}`)
  t.after(() => opened.store.close())
  return opened.store
}

/** An open store with one user, one key and one account. */
export async function createWorld(
  t: Cleanup,
  driver: keyof typeof DRIVERS,
  options: { creditMicro?: number } = {},
) {
  const path = await freshDatabase(t)
  const store = await open(t, path, driver)
  const user = await addUser(store, {
    name: 'alice',
    creditMicro: options.creditMicro ?? 1_000_000,
  })
  const account = newAccount({ name: 'main' })
  await store.addAccount(account, by())
  return { path, store, ...user, accountId: account.id, bootId: makeId('boot') }
}

export type World = Awaited<ReturnType<typeof createWorld>>

export async function addUser(store: Store, options: { name: string; creditMicro: number }) {
  const userId = makeId('user')
  await store.createUser({ id: userId, name: options.name, email: null, note: null }, by())
  const key = newKey({ userId })
  await store.createKey(key, by())
  if (options.creditMicro > 0) {
    const grant = { id: makeId('entry'), userId, type: 'grant', ref: null, note: null } as const
    await store.addCredit({ ...grant, amountMicro: options.creditMicro }, by())
  }
  return { userId, keyId: key.id }
}

export function newKey(fields: Partial<NewKey> & { userId: string }): NewKey {
  return {
    id: makeId('key'),
    name: 'laptop',
    digest: randomBytes(32),
    last4: '9fQ2',
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
    ...fields,
  }
}

export function newAccount(fields: Partial<NewAccount>): NewAccount {
  return {
    id: makeId('account'),
    name: 'main',
    provider: 'anthropic',
    baseUrl: 'https://api.example.com',
    allowPrivate: false,
    credential: { sealed: new Uint8Array([1, 2, 3]), last4: 'Xk4A', fingerprint: '4f1caa' },
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
    ...fields,
  }
}

type Someone = Pick<World, 'userId' | 'keyId' | 'bootId'>

export function newHold(who: Someone, fields: Partial<NewHold> = {}): NewHold {
  return {
    requestId: makeId('request'),
    userId: who.userId,
    keyId: who.keyId,
    bootId: who.bootId,
    accountId: null,
    model: 'claude-sonnet-4-6',
    stream: true,
    amountMicro: 4_000,
    markup: [1, 1],
    limitWindow: null,
    openedAtMs: Date.now(),
    ...fields,
  }
}

export function recordOf(hold: NewHold, fields: Partial<UsageRecord> = {}): UsageRecord {
  return {
    requestId: hold.requestId,
    userId: hold.userId,
    keyId: hold.keyId,
    dialect: 'anthropic',
    model: hold.model,
    responseModel: hold.model,
    stream: hold.stream,
    status: 'complete',
    httpStatus: 200,
    errorCode: null,
    tokens: { input: 781, output: 921, cacheRead: 1, cacheWrite5m: 2, cacheWrite1h: 3 },
    webSearchRequests: 0,
    costMicro: 1_234,
    receipt: null,
    holdMicro: hold.amountMicro,
    holdSteps: [],
    onDisconnect: null,
    joinedRequestId: null,
    trail: [],
    source: 'exact',
    anomalies: 0,
    accountId: hold.accountId,
    upstreamRequestId: null,
    attempts: [],
    createdAtMs: hold.openedAtMs,
    firstByteMs: 19,
    durationMs: 40,
    gatewayUs: 3_200,
    clientIp: '203.0.113.7',
    clientAgent: 'test/1.0',
    ...fields,
  }
}

/** A record of a request that ended without a charge. */
export function voidOf(hold: NewHold, fields: Partial<UsageRecord> = {}): UsageRecord {
  return recordOf(hold, {
    status: 'rejected',
    httpStatus: 502,
    errorCode: 'upstream_error',
    responseModel: null,
    costMicro: 0,
    source: 'none',
    tokens: { input: 0, output: 0, cacheRead: 0, cacheWrite5m: 0, cacheWrite1h: 0 },
    ...fields,
  })
}

/** Fails the test with the broken rules when the money does not add up. */
export async function violationsOf(store: Store): Promise<readonly string[]> {
  const report = await store.checkLedger(Date.now())
  const foreign = report.foreignKeyViolations
  return foreign === 0 ? report.violations : [...report.violations, `${foreign} broken references`]
}
