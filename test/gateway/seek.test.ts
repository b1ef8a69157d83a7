import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Gateway } from '../../src/gateway/gateway.ts'
import { plainRoute } from '../../src/gateway/route.ts'
import { createRouting } from '../../src/gateway/routing.ts'
import { type Seeker, type Sought, seek } from '../../src/gateway/seek.ts'
import { Pool } from '../../src/pool/pool.ts'
import { accountOf } from '../../src/simulate/account.ts'
import { POLICY } from '../../src/simulate/run.ts'

const clock = { nowMs: () => Date.now(), monotonicMs: () => performance.now() }

/** Accounts of one slot each; those of `models` serve these alone. */
function world(
  t: TestContext,
  accounts: readonly { id: string; models: readonly string[] }[],
  { maxWaitMs = 60_000, roomMicro = 0 } = {},
) {
  const pool = new Pool({ clock, random: Math.random, policy: POLICY })
  const plan = { name: 'a', weight: 1, priority: 1, concurrencyLimit: 1, rpmLimit: null }
  const plain = accountOf(plan, Date.now())
  pool.reload(
    accounts.map((own) => ({
      account: { ...plain, ...own, dayCapMicro: 1 },
      credential: '',
      proxy: null,
    })),
    [],
  )
  const routing = createRouting({
    hashSecret: new Uint8Array(16),
    random: Math.random,
    pool,
    queue: { maxPerKey: 32, maxLength: 1_024, maxWaitMs },
    retry: { budgetPercent: 20 },
    clock,
  })
  // What `seek` asks of a gateway.
  const check = (_account: unknown, { listMicro }: { readonly listMicro: number }) =>
    listMicro > roomMicro ? { forMs: 50, isNew: false } : null
  const gateway = { pool, routing, clock, caps: { check } } as unknown as Gateway
  const leave: (() => void)[] = []
  t.after(() => {
    for (const go of leave) go()
  })
  const ask = (
    keyId: string,
    model: string,
    listMicro = 0,
    patienceMs = 60_000,
    waitedMs = 0,
  ): Promise<Sought> => {
    const want = { requestId: 'r', keyId, model, modelClass: model, listMicro }
    const seeker: Seeker = {
      want: { ...want, tags: null },
      route: plainRoute(),
      tried: new Set(),
      again: null,
      isWarm: false,
      waitedMs,
      deadlineMs: performance.now() + patienceMs,
    }
    return seek(gateway, seeker, { onWait: (go) => leave.push(go) })
  }
  return { pool, routing, ask }
}

test('who waits for one model stops no request of the same key for another', async (t) => {
  const { ask, routing } = world(t, [
    { id: 'acct_1', models: ['opus'] },
    { id: 'acct_2', models: ['haiku'] },
  ])
  assert.equal((await ask('key_1', 'opus')).kind, 'slot')
  void ask('key_1', 'opus')
  assert.equal(routing.room.size, 1)
  const other = ask('key_1', 'haiku')
  assert.equal(routing.room.size, 1, 'it is served at once')
  assert.equal((await other).kind, 'slot')
})

test('a request waits no longer in all than one may wait, however many tries it makes', async (t) => {
  const { ask, routing } = world(t, [{ id: 'acct_1', models: ['*'] }])
  assert.equal((await ask('key_1', 'opus')).kind, 'slot')
  const late = ask('key_1', 'opus', 0, 60_000, 60_000)
  assert.equal(routing.room.size, 0, 'it does not get in line any more')
  assert.equal((await late).kind, 'none')
})

test('a full pool is looked at once for everybody who waits, and each slot that gets free is given on', async (t) => {
  const { ask, pool, routing } = world(t, [{ id: 'acct_1', models: ['*'] }])
  const first = await ask('key_0', 'opus')
  const waiting = Array.from({ length: 200 }, (_, i) => ask(`key_${i + 1}`, 'opus'))
  assert.equal(routing.room.size, 200)
  let asked = 0
  const candidates = pool.candidates.bind(pool)
  pool.candidates = (...how) => {
    asked++
    return candidates(...how)
  }
  routing.room.serve()
  assert.equal(asked, 1)
  assert.ok(first.kind === 'slot')
  first.slot.release()
  for (const next of waiting) {
    const sought = await next
    assert.ok(sought.kind === 'slot')
    sought.slot.release()
  }
})

test('who stood behind one that an account has no room for gets it rather than fail when its time is over', async (t) => {
  const accounts = [{ id: 'acct_1', models: ['*'] }]
  const { ask, routing } = world(t, accounts, { maxWaitMs: 60_000, roomMicro: 10 })
  void ask('key_1', 'opus', 1_000)
  const small = ask('key_1', 'opus', 1, 150)
  assert.equal(routing.room.size, 2, 'requests of a key are served in their order')
  assert.equal((await small).kind, 'slot')
})

test('while a look around is due, who comes now overtakes nobody', async (t) => {
  const { ask, routing } = world(t, [{ id: 'acct_1', models: ['*'] }])
  const first = await ask('key_1', 'opus')
  assert.ok(first.kind === 'slot')
  const waiting = ask('key_2', 'opus')
  // As after a look that took long: the next one is put off.
  const { lookAround } = routing
  Object.defineProperty(lookAround, 'isDue', { value: true })
  lookAround.serve = () => {}
  first.slot.release()
  const late = ask('key_3', 'opus')
  assert.equal(routing.room.size, 2)
  routing.room.serve()
  assert.equal((await waiting).kind, 'slot')
  assert.equal(routing.room.size, 1)
  void late
})
