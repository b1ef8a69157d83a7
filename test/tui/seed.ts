import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createIdMaker } from '../../src/core/ids.ts'
import { NO_TOKENS } from '../../src/core/usage.ts'
import { openStore } from '../../src/store/open.ts'
import type { Store } from '../../src/store/store.ts'
import { attempt } from './world.ts'

export interface Seeded {
  readonly path: string
  readonly store: Store
  readonly accounts: Readonly<Record<string, string>>
  /** Runs one request to its end now. */
  exchange(facts?: { account?: string; httpStatus?: number; agoMs?: number }): Promise<string>
  readonly close: () => Promise<void>
}

/** A real database in a temporary folder: a living boot, accounts, a key with credit, some requests. */
export async function seededDatabase(
  names: readonly string[] = ['main', 'spare'],
): Promise<Seeded> {
  const folder = mkdtempSync(join(tmpdir(), 'ccgate-tui-'))
  const path = join(folder, 'ccgate.db')
  const opened = await openStore({ path, mode: 'create' })
  if (opened.kind !== 'opened') throw new Error(opened.kind)
  const { store } = opened
  let nowMs = Date.now()
  const makeId = createIdMaker(
    (bytes) => crypto.getRandomValues(new Uint8Array(bytes)),
    () => nowMs,
  )
  const by = { actor: 'test', nowMs }
  const userId = makeId('user')
  const keyId = makeId('key')
  const bootId = makeId('boot')
  await store.createUser({ id: userId, name: 'alice', email: null, note: null }, by)
  await store.createKey(
    {
      id: keyId,
      userId,
      name: 'laptop',
      digest: crypto.getRandomValues(new Uint8Array(32)),
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
    },
    by,
  )
  const credit = { userId, type: 'grant', amountMicro: 20_000_000, ref: null, note: null } as const
  await store.addCredit({ ...credit, id: makeId('entry') }, by)
  const accounts: Record<string, string> = {}
  for (const name of names) {
    accounts[name] = makeId('account')
    const credential = {
      sealed: new Uint8Array(16),
      last4: 'Xk4A',
      fingerprint: makeId('event').slice(-6),
    }
    await store.addAccount(
      {
        id: accounts[name],
        name,
        provider: 'anthropic',
        baseUrl: 'https://api.anthropic.com',
        allowPrivate: false,
        credential,
        priority: 1,
        weight: 1,
        rpmLimit: 50,
        concurrencyLimit: 8,
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
  }
  await store.addBoot({
    id: bootId,
    pid: process.pid,
    pidStartedAt: null,
    pidSpace: null,
    version: '0.1.0',
    listen: '127.0.0.1:8787',
    publicUrl: 'https://api.example.com',
    demo: false,
    startedAtMs: nowMs,
    heartbeatAtMs: nowMs,
    state: 'serving',
  })
  return {
    path,
    store,
    accounts,
    async exchange({ account = names[0], httpStatus = 200, agoMs = 0 } = {}) {
      nowMs = Date.now() - agoMs
      const requestId = makeId('request')
      const accountId = accounts[account]
      const model = 'claude-haiku-4-5-20251001'
      const base = { requestId, userId, keyId, model, stream: true, accountId }
      const terms = { markup: [1, 1] as const, limitWindow: null }
      await store.openHold({ ...base, ...terms, bootId, amountMicro: 10_000, openedAtMs: nowMs })
      const isOk = httpStatus < 400
      const record = {
        ...base,
        dialect: 'anthropic',
        responseModel: isOk ? model : null,
        status: isOk ? ('complete' as const) : ('rejected' as const),
        httpStatus,
        errorCode: isOk ? null : 'overloaded_error',
        tokens: isOk ? { ...NO_TOKENS, input: 100, output: 50 } : NO_TOKENS,
        webSearchRequests: 0,
        costMicro: isOk ? 1_234 : 0,
        receipt: null,
        holdMicro: 10_000,
        holdSteps: [],
        onDisconnect: null,
        joinedRequestId: null,
        trail: [],
        source: isOk ? ('exact' as const) : ('none' as const),
        anomalies: 0,
        upstreamRequestId: null,
        attempts: [attempt(accountId, isOk ? 'ok' : 'overloaded', httpStatus)],
        createdAtMs: nowMs,
        firstByteMs: isOk ? 300 : null,
        durationMs: 900,
        gatewayUs: 800,
        clientIp: null,
        clientAgent: null,
      }
      await (isOk ? store.settleHold(record) : store.voidHold(record))
      return requestId
    },
    async close() {
      await store.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
