// What every driver promises about spend limits, holds that change size, and sums kept at write.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { windowOf } from '../../src/core/calendar.ts'
import { createIdMaker } from '../../src/core/ids.ts'
import type { SpendLimit } from '../../src/core/model.ts'
import type { NewHold, Store, Window } from '../../src/store/store.ts'
import {
  by,
  createWorld,
  type DRIVERS,
  makeId,
  newAccount,
  newHold,
  newKey,
  recordOf,
  violationsOf,
  voidOf,
} from './world.ts'

const DAY_MS = 86_400_000
const today = (nowMs = Date.now()): Window => windowOf('day', nowMs, 'UTC')

/** A world whose key has a limit; holds of `hold` are opened now, in today's window. */
async function limitedWorld(
  t: Parameters<typeof createWorld>[0],
  driver: keyof typeof DRIVERS,
  spendLimit: SpendLimit,
  creditMicro = 1_000_000,
) {
  const world = await createWorld(t, driver, { creditMicro })
  await world.store.limitKey(world.keyId, { spendLimit }, windowAt(spendLimit), by())
  const hold = ({ openedAtMs = Date.now(), ...fields }: Partial<NewHold> = {}) =>
    newHold(world, {
      requestId: idAt(openedAtMs),
      limitWindow: windowAt(spendLimit, openedAtMs),
      openedAtMs,
      ...fields,
    })
  return { ...world, hold }
}

/** A request's id as it would be made then. */
function idAt(atMs: number): string {
  const make = createIdMaker(
    (bytes) => randomBytes(bytes),
    () => atMs,
  )
  return make('request')
}

function windowAt(limit: SpendLimit, atMs = Date.now()): Window {
  return windowOf(limit.period, atMs, 'UTC')
}

async function useOf(store: Store, keyId: string) {
  const found = await store.findKey(keyId)
  assert.equal(found.kind, 'found')
  return found.kind === 'found' ? found.value.limitUse : null
}

/** Registers the tests for one driver. */
export function testLimits(driver: keyof typeof DRIVERS): void {
  const say = (sentence: string) => `${driver}: ${sentence}`
  const daily = (amountMicro: number): SpendLimit => ({ amountMicro, period: 'day' })

  test(
    say('a key spends and holds at most its limit; the wallet keeps what was refused'),
    async (t) => {
      const { store, userId, keyId, hold } = await limitedWorld(t, driver, daily(10_000))
      const first = hold({ amountMicro: 6_000 })
      assert.equal((await store.openHold(first)).kind, 'held')
      assert.deepEqual(await store.openHold(hold({ amountMicro: 4_001 })), {
        kind: 'key_limit',
        limitMicro: 10_000,
        spentMicro: 0,
        heldMicro: 6_000,
      })
      assert.deepEqual(await store.getWallet(userId), {
        userId,
        balanceMicro: 1_000_000,
        heldMicro: 6_000,
      })
      assert.equal((await store.openHold(hold({ amountMicro: 4_000 }))).kind, 'held')
      await store.settleHold(recordOf(first, { costMicro: 7_000 }))
      assert.deepEqual(await store.openHold(hold({ amountMicro: 0 })), {
        kind: 'key_limit',
        limitMicro: 10_000,
        spentMicro: 7_000,
        heldMicro: 4_000,
      })
      assert.deepEqual(await useOf(store, keyId), {
        spentMicro: 7_000,
        heldMicro: 4_000,
        resetsAtMs: today().untilMs,
      })
      assert.deepEqual(await violationsOf(store), [])
    },
  )

  test(say('where neither wallet nor limit has room, the wallet is named'), async (t) => {
    const { store, hold } = await limitedWorld(t, driver, daily(1_000), 500)
    assert.equal((await store.openHold(hold({ amountMicro: 2_000 }))).kind, 'insufficient_credit')
  })

  test(say('a hundred holds at once under a limit: exactly as many as fit'), async (t) => {
    const { store, hold } = await limitedWorld(t, driver, daily(37 * 4_000 + 3_999))
    const holds = Array.from({ length: 100 }, () => hold())
    const results = await Promise.all(holds.map((one) => store.openHold(one)))
    assert.equal(results.filter(({ kind }) => kind === 'held').length, 37)
    assert.equal(results.filter(({ kind }) => kind === 'key_limit').length, 63)
    const open = holds.filter((_, i) => results[i].kind === 'held')
    await Promise.all(open.map((one) => store.settleHold(recordOf(one, { costMicro: 1_000 }))))
    const more = await Promise.all(holds.map(() => store.openHold(hold())))
    // 151,999 - 37,000 is room for 28.
    assert.equal(more.filter(({ kind }) => kind === 'held').length, 28)
    assert.deepEqual(await violationsOf(store), [])
  })

  test(
    say('a hundred extensions at once under a limit and a wallet: exactly as many as fit'),
    async (t) => {
      const { store, userId, hold } = await limitedWorld(t, driver, daily(100_000), 90_000)
      const holds = Array.from({ length: 10 }, () => hold({ amountMicro: 1_000 }))
      for (const one of holds) await store.openHold(one)
      const extend = (deltaMicro: number) =>
        Promise.all(
          holds
            .flatMap((one) => Array(10).fill(one))
            .map((one: NewHold) => store.resizeHold(one.requestId, deltaMicro)),
        )
      const kinds = (await extend(1_000)).map(({ kind }) => kind)
      assert.equal(kinds.filter((kind) => kind === 'resized').length, 80)
      assert.equal(kinds.filter((kind) => kind === 'insufficient_credit').length, 20)
      await store.addCredit(
        { id: makeId('entry'), userId, type: 'grant', amountMicro: 90_000, ref: null, note: null },
        by(),
      )
      const [more] = [await extend(1_000)]
      assert.equal(more.filter(({ kind }) => kind === 'resized').length, 10)
      const [refused] = more.filter(({ kind }) => kind !== 'resized')
      assert.deepEqual(refused, {
        kind: 'key_limit',
        limitMicro: 100_000,
        spentMicro: 0,
        heldMicro: 100_000,
      })
      assert.deepEqual(await store.getWallet(userId), {
        userId,
        balanceMicro: 180_000,
        heldMicro: 100_000,
      })
      assert.deepEqual(await violationsOf(store), [])
    },
  )

  test(say('a hold is corrected down, extended, and closed as what it then is'), async (t) => {
    const { store, userId, keyId, hold } = await limitedWorld(t, driver, daily(50_000), 20_000)
    const one = hold({ amountMicro: 15_000 })
    await store.openHold(one)
    const resize = (deltaMicro: number) => store.resizeHold(one.requestId, deltaMicro)
    assert.deepEqual(await resize(-12_000), {
      kind: 'resized',
      amountMicro: 3_000,
      availableMicro: 17_000,
    })
    assert.deepEqual(await resize(17_001), { kind: 'insufficient_credit', availableMicro: 17_000 })
    assert.deepEqual(await resize(17_000), {
      kind: 'resized',
      amountMicro: 20_000,
      availableMicro: 0,
    })
    assert.equal((await useOf(store, keyId))?.heldMicro, 20_000)
    // The record says what the gateway remembers; the row says what is released.
    await store.settleHold(recordOf(one, { costMicro: 2_000, holdMicro: 3_000 }))
    assert.deepEqual(await store.getWallet(userId), {
      userId,
      balanceMicro: 18_000,
      heldMicro: 0,
    })
    assert.deepEqual(await useOf(store, keyId), {
      spentMicro: 2_000,
      heldMicro: 0,
      resetsAtMs: today().untilMs,
    })
    assert.deepEqual(await violationsOf(store), [])
  })

  test(say('an extension that lands after the close changes nothing'), async (t) => {
    const { store, userId, hold } = await limitedWorld(t, driver, daily(50_000))
    const [settled, voided] = [hold(), hold()]
    await store.openHold(settled)
    await store.openHold(voided)
    const [, , late] = await Promise.all([
      store.settleHold(recordOf(settled)),
      store.voidHold(voidOf(voided)),
      store.resizeHold(settled.requestId, 1_000),
    ])
    assert.deepEqual(late, { kind: 'closed' })
    assert.deepEqual(await store.resizeHold(voided.requestId, -1_000), { kind: 'closed' })
    assert.deepEqual(await store.resizeHold(makeId('request'), 5), { kind: 'closed' })
    assert.equal((await store.getWallet(userId))?.heldMicro, 0)
    assert.deepEqual(await violationsOf(store), [])
  })

  test(say('a new day counts from zero, and what began yesterday counts there'), async (t) => {
    const { store, keyId, hold } = await limitedWorld(t, driver, daily(5_000))
    const nowMs = Date.now()
    const [late, next] = [hold(), hold({ openedAtMs: nowMs + DAY_MS })]
    await store.openHold(late)
    assert.equal((await store.openHold(hold())).kind, 'key_limit')
    assert.equal((await store.openHold(next)).kind, 'held')
    await store.settleHold(recordOf(late, { costMicro: 4_500 }))
    assert.equal(
      (await store.openHold(hold({ openedAtMs: nowMs + DAY_MS, amountMicro: 1_000 }))).kind,
      'held',
    )
    assert.deepEqual(await violationsOf(store), [])
    // A clock that was set back: the day before is counted again, from its requests.
    assert.deepEqual(await store.openHold(hold({ amountMicro: 501 })), {
      kind: 'key_limit',
      limitMicro: 5_000,
      spentMicro: 4_500,
      heldMicro: 0,
    })
    assert.deepEqual(await violationsOf(store), [])
    await store.settleHold(recordOf(next, { costMicro: 3_000 }))
    assert.deepEqual(
      await store.openHold(hold({ openedAtMs: nowMs + DAY_MS, amountMicro: 1_001 })),
      {
        kind: 'key_limit',
        limitMicro: 5_000,
        spentMicro: 3_000,
        heldMicro: 1_000,
      },
    )
    assert.equal((await useOf(store, keyId))?.spentMicro, 4_500)
    assert.deepEqual(await violationsOf(store), [])
  })

  test(say('a limit that is set later counts what was spent and held before'), async (t) => {
    const { store, keyId, ...who } = await createWorld(t, driver)
    const [closed, open] = [newHold({ keyId, ...who }), newHold({ keyId, ...who })]
    await store.openHold(closed)
    await store.settleHold(recordOf(closed, { costMicro: 2_500 }))
    await store.openHold(open)
    const limit = (spendLimit: SpendLimit | null) =>
      store.limitKey(keyId, { spendLimit }, spendLimit && windowAt(spendLimit), by())
    const hold = (spendLimit: SpendLimit | null, amountMicro: number) =>
      store.openHold(
        newHold(
          { keyId, ...who },
          { amountMicro, limitWindow: spendLimit && windowAt(spendLimit) },
        ),
      )
    await limit(daily(7_000))
    assert.deepEqual(await hold(daily(7_000), 501), {
      kind: 'key_limit',
      limitMicro: 7_000,
      spentMicro: 2_500,
      heldMicro: 4_000,
    })
    // Who does not know of the limit yet is bound by it all the same.
    assert.equal((await hold(null, 501)).kind, 'key_limit')
    assert.equal((await hold(null, 500)).kind, 'held')
    await store.settleHold(recordOf(open, { costMicro: 3_000 }))
    const total: SpendLimit = { amountMicro: 6_000, period: 'total' }
    await limit(total)
    assert.deepEqual(await useOf(store, keyId), {
      spentMicro: 5_500,
      heldMicro: 500,
      resetsAtMs: null,
    })
    // Nor does it help to believe in an older one.
    assert.equal((await hold(daily(7_000), 1)).kind, 'key_limit')
    assert.deepEqual(await violationsOf(store), [])
    await limit(null)
    assert.equal(await useOf(store, keyId), null)
    assert.equal((await hold(total, 100_000)).kind, 'held')
    assert.deepEqual(await violationsOf(store), [])
  })

  test(say('a key is born with its limits, and they are what was written'), async (t) => {
    const { store, userId, bootId } = await createWorld(t, driver)
    const key = newKey({
      userId,
      name: 'limited',
      spendLimit: { amountMicro: 5_000, period: 'month' },
      burnLimitMicro: 2_000_000,
      markup: [6, 5],
      onDisconnect: { kind: 'finish_up_to', tokens: 500, ms: null },
    })
    await store.createKey(key, by())
    const found = await store.findKey(key.id)
    assert.equal(found.kind, 'found')
    if (found.kind !== 'found') return
    const { spendLimit, burnLimitMicro, markup, onDisconnect, limitUse } = found.value
    assert.deepEqual(
      [spendLimit, burnLimitMicro, markup, onDisconnect],
      [key.spendLimit, key.burnLimitMicro, key.markup, key.onDisconnect],
    )
    assert.deepEqual(limitUse, { spentMicro: 0, heldMicro: 0, resetsAtMs: null })
    const who = { userId, keyId: key.id, bootId }
    const limitWindow = windowOf('month', Date.now(), 'UTC')
    assert.equal((await store.openHold(newHold(who, { limitWindow }))).kind, 'held')
    assert.equal((await store.openHold(newHold(who, { limitWindow }))).kind, 'key_limit')
    const plain = await store.limitKey(
      key.id,
      { spendLimit: null, burnLimitMicro: null, markup: null, onDisconnect: null },
      null,
      by(),
    )
    assert.equal(plain.kind === 'changed' && plain.after.markup, null)
  })

  test(
    say('list costs are with the account that took them, by the time of the request'),
    async (t) => {
      const { store, accountId, ...who } = await createWorld(t, driver)
      const other = newAccount({ name: 'other', dayCapMicro: 5, monthCapMicro: null })
      const added = await store.addAccount(other, by())
      assert.equal(added.kind === 'added' && added.account.dayCapMicro, 5)
      const raised = await store.updateAccount(
        other.id,
        { dayCapMicro: 9, monthCapMicro: 70 },
        by(),
      )
      assert.deepEqual(
        raised.kind === 'changed' && [raised.after.dayCapMicro, raised.after.monthCapMicro],
        [9, 70],
      )
      assert.equal(
        (await store.updateAccount(other.id, { dayCapMicro: 9 }, by())).kind,
        'unchanged',
      )
      const attempt = { outcome: 'ok', httpStatus: 200, durationMs: 1, upstreamRequestId: null }
      const nowMs = Date.now()
      const pastMs = nowMs - 2 * DAY_MS
      const past = newHold(who, { requestId: idAt(pastMs), openedAtMs: pastMs })
      const now = newHold(who)
      for (const hold of [past, now]) await store.openHold(hold)
      await store.settleHold(recordOf(past, { accountId, costMicro: 600, attempts: [] }))
      await store.settleHold(
        recordOf(now, {
          accountId,
          costMicro: 900,
          attempts: [
            { ...attempt, accountId: other.id, outcome: 'timeout', listCostMicro: 40 },
            { ...attempt, accountId, listCostMicro: 750 },
          ],
        }),
      )
      const costs = await store.listCosts([
        { sinceMs: nowMs - DAY_MS, untilMs: nowMs + DAY_MS },
        { sinceMs: 0, untilMs: Number.MAX_SAFE_INTEGER },
        { sinceMs: nowMs + DAY_MS, untilMs: nowMs + 2 * DAY_MS },
      ])
      assert.deepEqual(
        costs.map((rows) => new Map(rows)),
        [
          new Map([
            [accountId, 750],
            [other.id, 40],
          ]),
          new Map([
            [accountId, 1_350],
            [other.id, 40],
          ]),
          new Map(),
        ],
      )
      assert.deepEqual(await violationsOf(store), [])
    },
  )

  test(
    say('the last event of a kind is told per account, until a person has seen to it'),
    async (t) => {
      const { store, accountId } = await createWorld(t, driver)
      const other = newAccount({ name: 'other' })
      await store.addAccount(other, by())
      const nowMs = by().nowMs
      const event = (id: string, kind: string, agoMs: number) => ({
        accountId: id,
        atMs: nowMs - agoMs,
        kind,
        message: `${agoMs} ms ago`,
        requestId: null,
      })
      await store.saveHealth(
        [],
        [
          event(accountId, 'cap_reached', 3_000),
          event(other.id, 'cap_reached', 2_000),
          event(accountId, 'cap_reached', 1_000),
          event(accountId, 'cooling', 500),
        ],
      )
      const told = async (sinceMs = nowMs - 10_000) => {
        const query = { kind: 'cap_reached', sinceMs, settledBy: 'account.update' } as const
        const events = await store.lastAccountEvents(query)
        return events.map(({ accountId: id, message }) => [id, message])
      }
      assert.deepEqual(await told(), [
        [accountId, '1000 ms ago'],
        [other.id, '2000 ms ago'],
      ])
      assert.deepEqual(await told(nowMs - 1_500), [[accountId, '1000 ms ago']])
      const credential = { sealed: new Uint8Array(8), last4: 'abcd', fingerprint: '012345' }
      await store.rotateCredential(other.id, credential, by())
      await store.updateAccount(accountId, { dayCapMicro: 77 }, { ...by(), nowMs: nowMs - 900 })
      assert.deepEqual(await told(), [[other.id, '2000 ms ago']])
      await store.removeAccount(other.id, by())
      assert.deepEqual(await told(), [])
    },
  )

  test(
    say('recovery charges the mark-up of the hold and the prices that people set'),
    async (t) => {
      const { store, accountId, ...who } = await createWorld(t, driver)
      const nowMs = Date.now()
      const value = { priceAs: 'claude-sonnet-4-6' }
      const change = { kind: 'price', subject: '*', value, source: 'set' } as const
      const added = await store.addPriceChanges(
        [{ ...change, effectiveAtMs: nowMs }],
        by('cli', nowMs),
      )
      assert.equal(added.kind, 'added')
      const tokens = { input: 781, output: 921, cacheRead: 0, cacheWrite5m: 0, cacheWrite1h: 346 }
      const facts = { speed: null, inferenceGeo: null, upstreamRequestId: null }
      const [marked, unknown] = [
        newHold(who, { markup: [6, 5], openedAtMs: nowMs }),
        newHold(who, { openedAtMs: nowMs }),
      ]
      for (const [hold, responseModel] of [
        [marked, 'claude-sonnet-4-6'],
        [unknown, 'claude-of-tomorrow'],
      ] as const) {
        await store.openHold(hold)
        const { requestId } = hold
        store.noteProgress({ requestId, accountId, progress: { responseModel, tokens, ...facts } })
      }
      // A write that is waited for comes after the notes.
      await store.voidHold(voidOf(newHold(who)))
      await store.recoverHolds([who.bootId], nowMs + 1_000)
      const costOf = async (hold: NewHold) => {
        const usage = await store.getUsage(hold.requestId)
        return usage?.kind === 'usage' ? usage.costMicro : null
      }
      // The list cost is 18,234; a fifth more is 21,880.8.
      assert.deepEqual([await costOf(marked), await costOf(unknown)], [21_881, 18_234])
      assert.deepEqual(await violationsOf(store), [])
    },
  )

  test(say('recovery charges the prices of when the request came'), async (t) => {
    const { store, accountId, ...who } = await createWorld(t, driver)
    const openedAtMs = Date.now() - 5_000
    const hold = newHold(who, { openedAtMs })
    await store.openHold(hold)
    // Unknown models were priced as one then, and are priced as another since.
    const changes = ['claude-sonnet-4-6', 'claude-haiku-4-5'].map((priceAs, i) => {
      const change = { kind: 'price', subject: '*', value: { priceAs }, source: 'set' } as const
      return { ...change, effectiveAtMs: openedAtMs + i * 500 }
    })
    await store.addPriceChanges(changes, by('cli', openedAtMs))
    const tokens = { input: 781, output: 921, cacheRead: 0, cacheWrite5m: 0, cacheWrite1h: 346 }
    const facts = { speed: null, inferenceGeo: null, upstreamRequestId: null }
    const progress = { responseModel: 'claude-of-tomorrow', tokens, ...facts }
    store.noteProgress({ requestId: hold.requestId, accountId, progress })
    await store.voidHold(voidOf(newHold(who)))
    const recovered = await store.recoverHolds([who.bootId], Date.now())
    assert.deepEqual(recovered, { settled: 1, voided: 0, settledMicro: 18_234 })
  })

  test(say('what threads cost and small documents are remembered'), async (t) => {
    const { store, accountId, userId } = await createWorld(t, driver)
    const nowMs = Date.now()
    const note = { messageId: 'msg_1', userId, accountId, totalTokens: 5_000, atMs: nowMs }
    store.noteThread(note)
    store.noteThread({ ...note, totalTokens: 7_000 })
    store.noteThread({ ...note, messageId: 'msg_old', atMs: nowMs - 36 * DAY_MS })
    assert.equal(await store.loadMemory('learned'), null)
    await store.saveMemory('learned', new Uint8Array([1, 2]))
    await store.saveMemory('learned', new Uint8Array([3]))
    assert.deepEqual(await store.loadMemory('learned'), new Uint8Array([3]))
    assert.deepEqual(await store.getThread('msg_1'), { ...note, totalTokens: 7_000 })
    assert.equal(await store.getThread('msg_old'), null)
    assert.equal(await store.getThread('msg_2'), null)
  })

  test(say("what upstream keeps is its first user's, until it expires"), async (t) => {
    const { store, accountId, userId } = await createWorld(t, driver)
    const other = { id: `${userId.slice(0, -4)}zzzz`, name: 'other', email: null, note: null }
    await store.createUser(other, by('cli', Date.now()))
    const expiresAtMs = Date.now() + DAY_MS
    const ref = { kind: 'container', id: 'container_1' } as const
    const object = { ...ref, userId, accountId, workspace: null, expiresAtMs }
    await store.noteObject(object)
    await store.noteObject({ ...object, userId: other.id, expiresAtMs: expiresAtMs + 1 })
    assert.deepEqual(await store.getObjects([ref]), [object])
    const longer = { ...object, workspace: 'wrkspc_1', expiresAtMs: expiresAtMs + 2 }
    await store.noteObject(longer)
    await store.noteObject({ ...longer, expiresAtMs })
    await store.noteObject({ ...object, kind: 'file' })
    await store.noteObject({ ...object, kind: 'file', id: 'file_old', expiresAtMs: Date.now() - 1 })
    const asked = ['file_old', 'container_1', 'file_2'].map((id) => ({ kind: 'file', id }) as const)
    assert.deepEqual(await store.getObjects([ref, ...asked]), [longer, { ...object, kind: 'file' }])
    assert.deepEqual(await store.getObjects([]), [])
    assert.deepEqual(await violationsOf(store), [])
  })
}
