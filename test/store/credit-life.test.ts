// Refunds, days, users who go and wallets that are mended: the same through both drivers.
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import Sqlite from 'better-sqlite3'
import fc from 'fast-check'
import { openStore } from '../../src/store/open.ts'
import type { Store } from '../../src/store/store.ts'
import {
  by,
  createWorld,
  DRIVERS,
  makeId,
  newHold,
  newKey,
  recordOf,
  violationsOf,
  type World,
} from './world.ts'

const drivers = Object.keys(DRIVERS) as (keyof typeof DRIVERS)[]

function both(name: string, check: (t: TestContext, world: World) => Promise<void>): void {
  for (const driver of drivers) {
    test(`${name} (${driver})`, async (t) => check(t, await createWorld(t, driver)))
  }
}

/** A settled request; its id. */
async function charged(world: World, costMicro: number, openedAtMs = Date.now()): Promise<string> {
  const hold = newHold(world, { openedAtMs })
  assert.equal((await world.store.openHold(hold)).kind, 'held')
  const record = recordOf(hold, { costMicro })
  assert.equal((await world.store.settleHold(record)).kind, 'closed')
  return hold.requestId
}

function refund(store: Store, requestId: string, amountMicro: number | null, ref?: string) {
  const wanted = { id: makeId('entry'), requestId, amountMicro, ref: ref ?? null, note: null }
  return store.refundCharge(wanted, by())
}

both('any row of refunds of a charge sums to at most the charge', async (_t, world) => {
  const { store, userId } = world
  const amounts = fc.array(fc.option(fc.integer({ min: 1, max: 900 })), { maxLength: 6 })
  await fc.assert(
    fc.asyncProperty(amounts, fc.integer({ min: 0, max: 1_500 }), async (wanted, costMicro) => {
      const requestId = await charged(world, costMicro)
      const before = (await store.getWallet(userId))?.balanceMicro ?? 0
      let left = costMicro
      for (const amount of wanted) {
        const result = await refund(store, requestId, amount)
        const size = amount ?? left
        if (left === 0 || size > left) assert.equal(result.kind, 'too_much')
        else {
          assert.equal(result.kind, 'added')
          left -= size
          assert.equal(result.kind === 'added' && result.leftMicro, left)
        }
      }
      const charge = await store.getCharge(requestId)
      assert.deepEqual([charge?.chargeMicro, charge?.refundedMicro], [costMicro, costMicro - left])
      const after = (await store.getWallet(userId))?.balanceMicro ?? 0
      assert.equal(after - before, costMicro - left)
    }),
    { numRuns: 15 },
  )
  assert.deepEqual(await violationsOf(store), [])
})

both('refunds made at the same time never give back more than the charge', async (_t, world) => {
  const { store } = world
  const requestId = await charged(world, 1_000)
  const results = await Promise.all(Array.from({ length: 12 }, () => refund(store, requestId, 300)))
  assert.equal(results.filter(({ kind }) => kind === 'added').length, 3)
  const same = await Promise.all(
    Array.from({ length: 6 }, () => refund(store, requestId, null, 'the-rest')),
  )
  assert.deepEqual(same.map(({ kind }) => kind).toSorted(), [
    'added',
    'duplicate',
    'duplicate',
    'duplicate',
    'duplicate',
    'duplicate',
  ])
  assert.equal((await store.getCharge(requestId))?.refundedMicro, 1_000)
  assert.deepEqual(await violationsOf(store), [])
})

both('what was never charged cannot be given back', async (_t, world) => {
  const { store } = world
  const hold = newHold(world)
  await store.openHold(hold)
  for (const id of [hold.requestId, makeId('request'), 'ccr_', 'nonsense', '']) {
    assert.equal((await refund(store, id, null)).kind, 'no_charge', id)
    assert.equal(await store.getCharge(id), null)
  }
})

both('a day has 23 or 25 hours where the clock is changed', async (_t, world) => {
  const { store, userId } = world
  // Berlin: 2027-03-28 has no hour from 2 to 3, 2027-10-31 has it twice.
  const at = [
    ['2027-03-27T22:59:59.000Z', 1],
    ['2027-03-27T23:00:00.000Z', 2],
    ['2027-03-28T21:59:59.000Z', 4],
    ['2027-03-28T22:00:00.000Z', 8],
    ['2027-10-30T22:00:00.000Z', 16],
    ['2027-10-31T22:59:59.000Z', 32],
  ] as const
  for (const [time, amountMicro] of at) {
    const entry = { id: makeId('entry'), userId, type: 'grant', ref: null, note: null } as const
    await store.addCredit({ ...entry, amountMicro }, by('cli:test', Date.parse(time)))
  }
  const days = await store.sumLedgerByDay({
    userId,
    sinceMs: Date.parse('2027-01-01T00:00:00Z'),
    timeZone: 'Europe/Berlin',
  })
  assert.deepEqual(
    days.map(({ day, grantedMicro, balanceMicro }) => [
      day,
      grantedMicro,
      balanceMicro - 1_000_000,
    ]),
    [
      ['2027-10-31', 48, 63],
      ['2027-03-29', 8, 15],
      ['2027-03-28', 6, 7],
      ['2027-03-27', 1, 1],
    ],
  )
})

both(
  'a deleted user is gone with keys and credit, and the ledger still adds up',
  async (_t, world) => {
    const { store, userId, keyId } = world
    const requestId = await charged(world, 1_000)
    const forfeit = { id: makeId('entry'), note: 'left' }
    assert.equal((await store.deleteUser(userId, { forfeit: null }, by())).kind, 'has_balance')
    const hold = newHold(world)
    await store.openHold(hold)
    assert.equal((await store.deleteUser(userId, { forfeit }, by())).kind, 'busy')
    await store.settleHold(recordOf(hold, { costMicro: 0 }))
    const deleted = await store.deleteUser(userId, { forfeit }, by())
    assert.ok(deleted.kind === 'deleted')
    assert.deepEqual([deleted.revokedKeys, deleted.forfeited?.amountMicro], [1, -999_000])
    assert.equal((await store.deleteUser(userId, { forfeit }, by())).kind, 'not_found')
    assert.equal((await store.findUser('alice')).kind, 'not_found')
    assert.equal((await store.findUser(userId)).kind, 'not_found')
    assert.deepEqual(await store.listUsers({}), [])
    assert.equal((await store.updateUser(userId, { note: 'x' }, by())).kind, 'not_found')
    const resume = { isSuspended: false, reason: null }
    assert.equal((await store.setUserSuspended(userId, resume, by())).kind, 'not_found')
    assert.equal((await store.createKey(newKey({ userId, name: 'late' }), by())).kind, 'no_user')
    const grant = { id: makeId('entry'), userId, type: 'grant', ref: null, note: null } as const
    assert.equal((await store.addCredit({ ...grant, amountMicro: 5 }, by())).kind, 'no_user')
    assert.equal((await refund(store, requestId, null)).kind, 'no_user')
    const key = (await store.loadKeys()).find((each) => each.key.id === keyId)
    assert.ok(key?.key.revokedAtMs !== null)
    assert.equal((await store.openHold(newHold(world))).kind, 'insufficient_credit')
    const again = await store.createUser(
      { id: makeId('user'), name: 'alice', email: null, note: null },
      by(),
    )
    assert.equal(again.kind, 'created')
    assert.deepEqual(await violationsOf(store), [])
  },
)

both('a wallet that was tampered with is set to what its entries say', async (t, world) => {
  const { store, userId, path } = world
  await charged(world, 1_000)
  await store.openHold(newHold(world))
  const sound = await store.checkWallet(userId, Date.now())
  assert.deepEqual(
    [sound?.balanceMicro, sound?.ledgerMicro, sound?.heldMicro, sound?.openHoldsMicro],
    [999_000, 999_000, 4_000, 4_000],
  )
  assert.deepEqual(sound?.violations, [])
  assert.equal((await store.repairWallet(userId, by())).kind, 'unchanged')
  const db = new Sqlite(path)
  t.after(() => db.close())
  db.exec('UPDATE wallets SET balance_micro = 5, held_micro = 0')
  assert.equal((await store.checkWallet(userId, Date.now()))?.violations.length, 2)
  assert.equal((await store.repairWallet(userId, by())).kind, 'repaired')
  assert.deepEqual(await store.getWallet(userId), {
    userId,
    balanceMicro: 999_000,
    heldMicro: 4_000,
  })
  assert.deepEqual(await violationsOf(store), [])
  assert.equal(await store.checkWallet('usr_nobody', Date.now()), null)
  assert.equal((await store.repairWallet('usr_nobody', by())).kind, 'no_user')
})

both('the check of one wallet finds a limit that counted wrong', async (t, world) => {
  const { store, userId, keyId, path } = world
  const window = { sinceMs: Date.now() - 60_000, untilMs: Date.now() + 3_600_000 }
  const spendLimit = { amountMicro: 500_000, period: 'day' } as const
  await charged(world, 1_000)
  assert.equal((await store.limitKey(keyId, { spendLimit }, window, by())).kind, 'changed')
  const hold = newHold(world, { limitWindow: window })
  assert.equal((await store.openHold(hold)).kind, 'held')
  assert.deepEqual((await store.checkWallet(userId, Date.now()))?.violations, [])
  const db = new Sqlite(path)
  t.after(() => db.close())
  db.exec('UPDATE key_spending SET spent_micro = spent_micro + 1, held_micro = held_micro - 1')
  const violations = (await store.checkWallet(userId, Date.now()))?.violations ?? []
  assert.equal(violations.length, 2)
  assert.match(violations[0], /1001 micro counted in its window, its requests in it cost 1000\./)
  assert.match(violations[1], /3999 micro held in its window, its open holds in it sum to 4000\./)
})

test('a rehearsal sees its own writes, and leaves none', async (t) => {
  const { path, store, userId } = await createWorld(t, 'local')
  const opened = await openStore({ path, mode: 'write', isRehearsal: true })
  assert.ok(opened.kind === 'opened')
  const rehearsal = opened.store
  const grant = { userId, type: 'grant', amountMicro: 5, ref: 'r', note: null } as const
  const add = () => rehearsal.addCredit({ ...grant, id: makeId('entry') }, by())
  assert.equal((await add()).kind, 'added')
  assert.equal((await add()).kind, 'duplicate')
  assert.equal((await rehearsal.getWallet(userId))?.balanceMicro, 1_000_005)
  await rehearsal.close()
  assert.equal((await store.getWallet(userId))?.balanceMicro, 1_000_000)
  assert.deepEqual(await violationsOf(store), [])
})
