// Finished requests for the commands about usage: users, keys and accounts by commands, rows by the store.
import { createIdMaker } from '../../src/core/ids.ts'
import type { UsageRecord } from '../../src/core/model.ts'
import { NO_TOKENS } from '../../src/core/usage.ts'
import { openStore } from '../../src/store/open.ts'
import type { Store } from '../../src/store/store.ts'
import { makeId, newAccount, newKey } from '../store/world.ts'
import { cliWorld, NOW_MS } from './support.ts'

const KEYS = ['alice/laptop', 'bob/phone'] as const

/** One request to be written; the rest of its record is plain. */
export type Asked = Partial<Omit<UsageRecord, 'requestId' | 'userId' | 'keyId' | 'accountId'>> & {
  readonly atMs: number
  readonly key?: (typeof KEYS)[number]
  readonly account?: 'main' | 'spare' | null
}

/** A set-up folder with two keys, two accounts and a way to write what they did. */
export async function usageWorld(t: Parameters<typeof cliWorld>[0]) {
  const world = cliWorld(t)
  await world.init()
  const opened = await openStore({ path: world.databaseFile, mode: 'write' })
  if (opened.kind !== 'opened') throw new Error(opened.kind)
  const { store } = opened
  t.after(() => store.close())
  await furnish(store)
  const accounts = await store.listAccounts(0)
  const keys = await store.listKeys({ nowMs: 0 })
  return {
    ...world,
    store,
    accounts,
    keys,
    /** Writes them in this order; answers their ids. */
    async asked(requests: readonly Asked[]): Promise<readonly string[]> {
      const ids: string[] = []
      for (const request of requests) {
        const { key: name = KEYS[0], account: at = 'main', ...fields } = request
        const key = keys.find((one) => `${one.userName}/${one.name}` === name)
        const account = accounts.find((one) => one.name === at)
        if (key === undefined) throw new Error(name)
        ids.push(await write(store, { ...fields, key, accountId: account?.id ?? null }))
      }
      return ids
    },
  }
}

/** The users, keys and accounts. */
async function furnish(store: Store): Promise<void> {
  const by = { actor: 'cli:ann', nowMs: NOW_MS }
  for (const name of ['main', 'spare']) {
    await store.addAccount(newAccount({ name }), by)
  }
  for (const name of KEYS) {
    const [user, key] = name.split('/')
    const userId = makeId('user')
    await store.createUser({ id: userId, name: user, email: null, note: null }, by)
    await store.createKey(newKey({ userId, name: key }), by)
    const grant = { id: makeId('entry'), userId, type: 'grant', ref: null, note: null } as const
    await store.addCredit({ ...grant, amountMicro: 900_000_000 }, by)
  }
}

async function write(
  store: Store,
  request: Omit<Asked, 'key' | 'account'> & {
    readonly key: { readonly id: string; readonly userId: string }
    readonly accountId: string | null
  },
): Promise<string> {
  const { atMs, key, accountId, ...fields } = request
  const makeId = createIdMaker(
    (bytes) => crypto.getRandomValues(new Uint8Array(bytes)),
    () => atMs,
  )
  const record: UsageRecord = {
    requestId: makeId('request'),
    userId: key.userId,
    keyId: key.id,
    accountId,
    dialect: 'anthropic',
    model: 'claude-sonnet-4-6',
    responseModel: 'claude-sonnet-4-6',
    stream: true,
    status: 'complete',
    httpStatus: 200,
    errorCode: null,
    tokens: { ...NO_TOKENS, input: 1_000, output: 100, cacheRead: 3_000 },
    webSearchRequests: 0,
    costMicro: 5_400,
    receipt: null,
    holdMicro: 9_000,
    holdSteps: [],
    onDisconnect: null,
    joinedRequestId: null,
    trail: [],
    source: 'exact',
    anomalies: 0,
    upstreamRequestId: 'req_011CSaP2',
    attempts: [],
    createdAtMs: atMs,
    firstByteMs: 1_900,
    durationMs: 4_020,
    gatewayUs: 3_200,
    clientIp: '203.0.113.7',
    clientAgent: 'curl/8',
    ...fields,
  }
  await store.openHold({
    requestId: record.requestId,
    userId: key.userId,
    keyId: key.id,
    bootId: 'boot_1',
    accountId,
    model: record.model,
    stream: record.stream,
    amountMicro: record.holdMicro,
    markup: [1, 1],
    limitWindow: null,
    openedAtMs: atMs,
  })
  if (record.status === 'rejected') await store.voidHold(record)
  else await store.settleHold(record)
  return record.requestId
}
