// Random sequences of grants, holds, settlements, voids and crashes against a ledger kept in two maps.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { admit, credit, settle } from '../../src/billing/ledger.ts'
import type { NewHold, Store } from '../../src/store/store.ts'
import {
  addUser,
  by,
  type Cleanup,
  type DRIVERS,
  freshDatabase,
  makeId,
  newHold,
  open,
  recordOf,
  violationsOf,
  voidOf,
} from './world.ts'

interface Model {
  readonly wallets: Map<string, { balanceMicro: number; heldMicro: number }>
  readonly open: NewHold[]
  readonly closed: NewHold[]
  bootId: string
}

interface Real {
  readonly store: Store
  readonly users: readonly { userId: string; keyId: string }[]
}

type Command = fc.AsyncCommand<Model, Real>

function command(name: string, run: (model: Model, real: Real) => Promise<void>): Command {
  return { check: () => true, run, toString: () => name }
}

const amount = fc.oneof(fc.nat(20), fc.nat(5_000), fc.nat(2_000_000))
const pick = fc.nat(1_000)

const commands = [
  fc.tuple(pick, amount, fc.boolean()).map(([who, amountMicro, isTaken]) =>
    command(`credit(${who}, ${amountMicro}, ${isTaken})`, async (model, real) => {
      const { userId } = real.users[who % real.users.length]
      const entry = isTaken
        ? ({ type: 'adjust', amountMicro: 0 - amountMicro } as const)
        : ({ type: 'grant', amountMicro } as const)
      const before = walletOf(model, userId)
      const expected = credit(before, { ...entry, allowNegative: false })
      const result = await real.store.addCredit(
        { id: makeId('entry'), userId, ref: null, note: null, ...entry },
        by(),
      )
      assert.equal(result.kind, expected.kind)
      if (expected.kind === 'added') model.wallets.set(userId, { ...expected.after })
    }),
  ),
  fc.tuple(pick, amount).map(([who, amountMicro]) =>
    command(`hold(${who}, ${amountMicro})`, async (model, real) => {
      const someone = real.users[who % real.users.length]
      const hold = newHold({ ...someone, bootId: model.bootId }, { amountMicro })
      const expected = admit(walletOf(model, someone.userId), amountMicro)
      const result = await real.store.openHold(hold)
      assert.equal(result.kind, expected.kind)
      if (expected.kind !== 'held') return
      model.wallets.set(someone.userId, { ...expected.after })
      model.open.push(hold)
    }),
  ),
  fc.tuple(pick, amount).map(([which, costMicro]) =>
    command(`settle(${which}, ${costMicro})`, async (model, real) => {
      const hold = takeOpen(model, which)
      if (!hold) return
      const result = await real.store.settleHold(recordOf(hold, { costMicro }))
      const after = settle(walletOf(model, hold.userId), { holdMicro: hold.amountMicro, costMicro })
      assert.deepEqual(result, { kind: 'closed', balanceMicro: after.balanceMicro })
      model.wallets.set(hold.userId, { ...after })
    }),
  ),
  pick.map((which) =>
    command(`void(${which})`, async (model, real) => {
      const hold = takeOpen(model, which)
      if (!hold) return
      const after = settle(walletOf(model, hold.userId), {
        holdMicro: hold.amountMicro,
        costMicro: 0,
      })
      assert.deepEqual(await real.store.voidHold(voidOf(hold)), {
        kind: 'closed',
        balanceMicro: after.balanceMicro,
      })
      model.wallets.set(hold.userId, { ...after })
    }),
  ),
  pick.map((which) =>
    command(`repeat(${which})`, async (model, real) => {
      if (model.closed.length === 0) return
      const hold = model.closed[which % model.closed.length]
      const close =
        which % 2 ? real.store.settleHold(recordOf(hold)) : real.store.voidHold(voidOf(hold))
      assert.deepEqual(await close, { kind: 'already_closed' })
    }),
  ),
  fc.constant(
    command('crash and recover', async (model, real) => {
      const { voided, settled } = await real.store.recoverHolds([model.bootId], Date.now())
      assert.deepEqual([voided, settled], [model.open.length, 0])
      for (const hold of model.open.splice(0)) {
        const after = settle(walletOf(model, hold.userId), {
          holdMicro: hold.amountMicro,
          costMicro: 0,
        })
        model.wallets.set(hold.userId, { ...after })
        model.closed.push(hold)
      }
      model.bootId = makeId('boot')
    }),
  ),
]

function walletOf(model: Model, userId: string) {
  const wallet = model.wallets.get(userId)
  assert.ok(wallet)
  return wallet
}

function takeOpen(model: Model, which: number): NewHold | null {
  if (model.open.length === 0) return null
  const [hold] = model.open.splice(which % model.open.length, 1)
  model.closed.push(hold)
  return hold
}

async function compare(t: Cleanup, driver: keyof typeof DRIVERS, runs: number): Promise<void> {
  const store = await open(t, await freshDatabase(t), driver)
  let run = 0
  await fc.assert(
    fc.asyncProperty(fc.commands(commands, { maxCommands: 60, size: 'max' }), async (sequence) => {
      run += 1
      const users = [
        await addUser(store, { name: `a${run}`, creditMicro: 0 }),
        await addUser(store, { name: `b${run}`, creditMicro: 0 }),
      ]
      const model: Model = {
        wallets: new Map(users.map((user) => [user.userId, { balanceMicro: 0, heldMicro: 0 }])),
        open: [],
        closed: [],
        bootId: makeId('boot'),
      }
      await fc.asyncModelRun(() => ({ model, real: { store, users } }), sequence)
      for (const [userId, wallet] of model.wallets) {
        assert.deepEqual(await store.getWallet(userId), { userId, ...wallet })
      }
      assert.deepEqual(await violationsOf(store), [])
    }),
    { numRuns: runs },
  )
}

test('the ledger in this thread agrees with a ledger kept in two maps', (t) =>
  compare(t, 'local', 100))

test('the ledger behind the writer agrees with a ledger kept in two maps', (t) =>
  compare(t, 'daemon', 50))
