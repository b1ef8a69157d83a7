import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Keyring } from '../../src/access/keyring.ts'
import type { Account } from '../../src/core/model.ts'
import { Watch } from '../../src/daemon/watch.ts'
import { AccountCaps } from '../../src/pool/account-caps.ts'
import { Pool } from '../../src/pool/pool.ts'
import { Connections } from '../../src/providers/http.ts'
import type { AccountCredential, PriceChange, Store } from '../../src/store/store.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))

/** A watch over a store whose counters and answers the test decides. */
function world() {
  const store = {
    counters: { keys: 1, accounts: 1, prices: 1 },
    priceSubjects: [] as string[],
    asked: 0,
    loads: [] as string[],
    fail: null as Error | null,
    /** Loads wait for this. */
    gate: Promise.resolve() as Promise<unknown>,
    accountIds: ['acct_1'],
  }
  const load = async <T>(name: string, answer: () => T): Promise<T> => {
    store.loads.push(name)
    await store.gate
    if (store.fail !== null) throw store.fail
    return answer()
  }
  // Only what the watch uses; whatever else it asked for would be undefined and fail.
  const port = {
    changes() {
      store.asked++
      return { ...store.counters }
    },
    loadKeys: () => load('keys', () => []),
    loadAccounts: () =>
      load('accounts', () =>
        store.accountIds.map((id) => ({
          account: {
            id,
            baseUrl: 'http://127.0.0.1',
            credentialVersion: 1,
            cooldownClearedAtMs: null,
            cacheScope: null,
            hours: null,
            dayCapMicro: null,
            monthCapMicro: null,
          } as Account,
          sealed: new Uint8Array(),
        })),
      ),
    loadHealth: () => load('health', () => []),
    loadPriceChanges: () =>
      load('prices', () => store.priceSubjects.map((subject) => ({ subject }) as PriceChange)),
  } as unknown as Store
  const pool = new Pool({
    clock: { nowMs: () => 0, monotonicMs: () => 0 },
    random: () => 0,
    policy: {
      overloaded: { firstMs: 1, maxMs: 1 },
      rateLimited: { firstMs: 1, maxMs: 1 },
      serverError: { firstMs: 1, maxMs: 1, tripAfter: 1 },
    },
  })
  const told: string[][] = []
  const watch = new Watch({
    store: port,
    keyring: new Keyring(),
    pool,
    caps: new AccountCaps({ timeZone: 'UTC', nowMs: 0 }),
    connections: new Connections({
      connectMs: 1,
      keepAliveMs: 1,
      connectionsPerAccount: 1,
      proxy: null,
    }),
    open: ({ account }: AccountCredential) => ({ account, credential: 'k', proxy: null }),
    onPrices(changes) {
      told.push(changes.map(({ subject }) => subject))
    },
  })
  return { store, watch, pool, told }
}

/** A world that has loaded once. */
async function loaded() {
  const made = world()
  await made.watch.refresh()
  await turn()
  made.store.loads.length = 0
  made.store.asked = 0
  return made
}

test('the first look loads all, health included', async () => {
  const { watch, store, pool } = world()
  const loading = watch.refresh()
  assert.ok(loading !== null)
  await loading
  assert.deepEqual(store.loads, ['keys', 'prices', 'accounts', 'health'])
  assert.equal(pool.size, 1)
})

test('nothing is loaded, and nobody waits, while no counter moves', async () => {
  const { watch, store } = await loaded()
  for (let i = 0; i < 5; i++) {
    assert.equal(watch.refresh(), null)
    await turn()
  }
  assert.equal(store.asked, 5)
  assert.deepEqual(store.loads, [])
})

test('the counters are asked once per turn, however many requests it brings', async () => {
  const { watch, store } = await loaded()
  for (let i = 0; i < 100; i++) assert.equal(watch.refresh(), null)
  assert.equal(store.asked, 1)
  await turn()
  assert.equal(watch.refresh(), null)
  assert.equal(store.asked, 2)
})

test('only what moved is loaded again, and health never', async () => {
  const { watch, store, pool } = await loaded()
  store.counters.keys++
  await watch.refresh()
  assert.deepEqual(store.loads, ['keys'])
  await turn()
  store.counters.accounts++
  store.accountIds = ['acct_1', 'acct_2']
  await watch.refresh()
  assert.deepEqual(store.loads, ['keys', 'accounts'])
  assert.equal(pool.size, 2)
})

test('new prices are handed on whole, and nothing else is loaded for them', async () => {
  const { watch, store, told } = await loaded()
  assert.deepEqual(told, [[]], 'the first look')
  store.counters.prices++
  store.priceSubjects = ['claude-opus-5', 'claude-haiku-*']
  await watch.refresh()
  assert.deepEqual(store.loads, ['prices'])
  assert.deepEqual(told.at(-1), ['claude-opus-5', 'claude-haiku-*'])
})

test('every request of the turn waits for the load, the later ones too', async () => {
  const { watch, store } = await loaded()
  let release = () => {}
  store.gate = new Promise<void>((resolve) => {
    release = resolve
  })
  store.counters.keys++
  const first = watch.refresh()
  assert.ok(first !== null)
  assert.equal(watch.refresh(), first)
  await turn()
  const later = watch.refresh()
  assert.ok(later !== null, 'a load that runs is waited for')
  await turn()
  assert.equal(watch.refresh(), first)
  assert.deepEqual(store.loads, ['keys'], 'and it is not started twice')
  release()
  await Promise.all([first, later])
  await turn()
  assert.equal(watch.refresh(), null)
})

test('what changes while a load runs is loaded as well', async () => {
  const { watch, store, pool } = await loaded()
  let release = () => {}
  store.gate = new Promise<void>((resolve) => {
    release = resolve
  })
  store.counters.accounts++
  const first = watch.refresh()
  await turn()
  store.counters.accounts++
  store.accountIds = ['acct_1', 'acct_2', 'acct_3']
  const second = watch.refresh()
  release()
  await first
  await second
  await turn()
  await watch.refresh()
  assert.equal(pool.size, 3)
  assert.equal(store.loads.length, 2)
})

test('a load that failed is told to who waits, and tried again by the next request', async () => {
  const { watch, store, pool } = await loaded()
  store.counters.accounts++
  store.accountIds = []
  store.fail = new Error('busy')
  await assert.rejects(watch.refresh() ?? Promise.resolve(), { message: 'busy' })
  await turn()
  assert.equal(pool.size, 1)
  await assert.rejects(watch.refresh() ?? Promise.resolve(), { message: 'busy' })
  await turn()
  store.fail = null
  await watch.refresh()
  assert.equal(pool.size, 0)
  await turn()
  assert.equal(watch.refresh(), null)
})

test('counters that cannot be read are tried again on the next turn', async () => {
  const { watch, store } = await loaded()
  const { counters } = store
  Object.defineProperty(store, 'counters', {
    configurable: true,
    get() {
      throw new Error('busy')
    },
  })
  assert.throws(() => watch.refresh(), { message: 'busy' })
  await turn()
  Object.defineProperty(store, 'counters', { value: { ...counters, keys: 9 } })
  await watch.refresh()
  assert.deepEqual(store.loads, ['keys'])
})
