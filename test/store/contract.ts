// What every driver of the store promises. Called once per driver by contract.test.ts.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { idFloor } from '../../src/core/ids.ts'
import type { Boot, HealthRow } from '../../src/core/model.ts'
import { SCHEMA_VERSION } from '../../src/store/open.ts'
import {
  addUser,
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

/** Registers the contract's tests for one driver. */
export function testContract(driver: keyof typeof DRIVERS): void {
  const say = (sentence: string) => `${driver}: ${sentence}`

  test(say('a hold settles once; the second settle changes nothing'), async (t) => {
    const { store, userId, ...who } = await createWorld(t, driver, { creditMicro: 10_000 })
    const hold = newHold({ userId, ...who }, { amountMicro: 4_000 })
    assert.deepEqual(await store.openHold(hold), {
      kind: 'held',
      balanceMicro: 10_000,
      heldMicro: 4_000,
    })
    const closed = await store.settleHold(recordOf(hold, { costMicro: 1_234 }))
    assert.deepEqual(closed, { kind: 'closed', balanceMicro: 8_766 })
    const again = await store.settleHold(recordOf(hold, { costMicro: 9_999 }))
    assert.deepEqual(again, { kind: 'already_closed' })
    assert.deepEqual(await store.voidHold(voidOf(hold)), { kind: 'already_closed' })
    assert.deepEqual(await store.getWallet(userId), { userId, balanceMicro: 8_766, heldMicro: 0 })
    assert.deepEqual(await violationsOf(store), [])
  })

  test(say('a hold that does not fit is refused and leaves no trace'), async (t) => {
    const { store, ...who } = await createWorld(t, driver, { creditMicro: 5_000 })
    await store.openHold(newHold(who, { amountMicro: 4_000 }))
    assert.deepEqual(await store.openHold(newHold(who, { amountMicro: 1_001 })), {
      kind: 'insufficient_credit',
      availableMicro: 1_000,
      balanceMicro: 5_000,
    })
    assert.equal((await store.listOpenHolds()).length, 1)
    assert.equal((await store.openHold(newHold(who, { amountMicro: 1_000 }))).kind, 'held')
  })

  test(say('a voided hold gives all back and writes usage but no ledger row'), async (t) => {
    const { store, userId, ...who } = await createWorld(t, driver, { creditMicro: 5_000 })
    const hold = newHold({ userId, ...who })
    await store.openHold(hold)
    assert.deepEqual(await store.voidHold(voidOf(hold)), { kind: 'closed', balanceMicro: 5_000 })
    const usage = await store.getUsage(hold.requestId)
    assert.equal(usage?.kind === 'usage' && usage.balanceAfterMicro, null)
    assert.equal((await store.listLedger({ userId, limit: 9 })).rows.length, 1)
    assert.deepEqual(await violationsOf(store), [])
  })

  test(say('a true cost above the hold is charged in full and may go below zero'), async (t) => {
    const { store, userId, ...who } = await createWorld(t, driver, { creditMicro: 5_000 })
    const hold = newHold({ userId, ...who }, { amountMicro: 5_000 })
    await store.openHold(hold)
    assert.deepEqual(await store.settleHold(recordOf(hold, { costMicro: 7_000 })), {
      kind: 'closed',
      balanceMicro: -2_000,
    })
    assert.equal(
      (await store.openHold(newHold({ userId, ...who }, { amountMicro: 1 }))).kind,
      'insufficient_credit',
    )
    assert.deepEqual(await violationsOf(store), [])
  })

  test(say('a hundred holds at once never reserve more than there is'), async (t) => {
    const { store, userId, ...who } = await createWorld(t, driver, { creditMicro: 10_999 })
    const holds = Array.from({ length: 100 }, () =>
      newHold({ userId, ...who }, { amountMicro: 1_000 }),
    )
    const results = await Promise.all(holds.map((hold) => store.openHold(hold)))
    assert.equal(results.filter((result) => result.kind === 'held').length, 10)
    assert.deepEqual(await store.getWallet(userId), {
      userId,
      balanceMicro: 10_999,
      heldMicro: 10_000,
    })
  })

  test(
    say('usage is pending while the hold is open and complete when settle answers'),
    async (t) => {
      const { store, userId, keyId, accountId, ...who } = await createWorld(t, driver)
      const hold = newHold({ userId, keyId, ...who })
      await store.openHold(hold)
      const pending = await store.getUsage(hold.requestId, userId)
      assert.equal(pending?.kind, 'pending')
      assert.equal(pending?.kind === 'pending' && pending.keyName, 'laptop')
      const record = recordOf(hold, {
        accountId,
        upstreamRequestId: 'req_011CSaP',
        receipt: {
          priceVersion: '2026-11-22',
          lines: [],
          ratio: [1, 1],
          webSearchRequests: 0,
          feesMicro: 0,
          costMicro: 1_234,
        },
        attempts: [
          {
            accountId,
            outcome: 'overloaded',
            httpStatus: 529,
            durationMs: 3,
            upstreamRequestId: 'req_failed',
            listCostMicro: 0,
          },
          {
            accountId,
            outcome: 'ok',
            httpStatus: 200,
            durationMs: 30,
            upstreamRequestId: 'req_011CSaP',
            listCostMicro: 1_234,
          },
        ],
      })
      await store.settleHold(record)
      const row = await store.getUsage(hold.requestId, userId)
      assert.deepEqual(row, {
        ...record,
        kind: 'usage',
        userName: 'alice',
        keyName: 'laptop',
        keyLast4: '9fQ2',
        accountName: 'main',
        accountNames: { [accountId]: 'main' },
        balanceAfterMicro: 998_766,
        refunds: [],
      })
      assert.deepEqual(await store.findUsageByUpstreamId('req_011CSaP'), row)
      assert.deepEqual(await store.findUsageByUpstreamId('req_failed'), row)
      assert.equal(await store.findUsageByUpstreamId('test/1.0'), null)
      assert.deepEqual(await store.findUsageIds(hold.requestId.slice(0, 16)), [hold.requestId])
    },
  )

  test(say('what belongs to another user is not found, like what does not exist'), async (t) => {
    const { store, ...who } = await createWorld(t, driver)
    const hold = newHold(who)
    await store.openHold(hold)
    const other = await addUser(store, { name: 'bob', creditMicro: 0 })
    assert.equal(await store.getUsage(hold.requestId, other.userId), null)
    await store.settleHold(recordOf(hold))
    assert.equal(await store.getUsage(hold.requestId, other.userId), null)
    assert.equal(await store.getUsage(makeId('request'), who.userId), null)
  })

  test(say('progress of an open hold is kept, and a reroute keeps the progress'), async (t) => {
    const { store, accountId, ...who } = await createWorld(t, driver)
    const hold = newHold(who)
    await store.openHold(hold)
    const progress = {
      responseModel: 'claude-sonnet-4-6',
      tokens: { input: 5, output: 6, cacheRead: 0, cacheWrite5m: 0, cacheWrite1h: 0 },
      speed: null,
      inferenceGeo: null,
      upstreamRequestId: 'req_1',
    }
    store.noteProgress({ requestId: hold.requestId, accountId, progress })
    store.noteProgress({ requestId: hold.requestId, accountId, progress: null })
    // A write that is waited for comes after the notes.
    await store.openHold(newHold(who))
    const [open] = await store.listOpenHolds()
    const { limitWindow: _, ...kept } = hold
    assert.deepEqual(open, { ...kept, accountId, state: 'open', phase: 'started', progress })
  })

  test(say('recovery bills what the row proves, voids the rest and can be repeated'), async (t) => {
    const { store, accountId, ...who } = await createWorld(t, driver)
    const [started, sent, alive] = [
      newHold(who),
      newHold(who),
      newHold({ ...who, bootId: makeId('boot') }),
    ]
    for (const hold of [started, sent, alive]) await store.openHold(hold)
    store.noteProgress({
      requestId: started.requestId,
      accountId,
      progress: {
        responseModel: 'claude-sonnet-4-6',
        tokens: { input: 781, output: 921, cacheRead: 0, cacheWrite5m: 0, cacheWrite1h: 0 },
        speed: null,
        inferenceGeo: null,
        upstreamRequestId: 'req_1',
      },
    })
    const recovered = await store.recoverHolds([who.bootId], Date.now())
    assert.deepEqual(recovered, { settled: 1, voided: 1, settledMicro: 16_158 })
    assert.deepEqual(await store.recoverHolds([who.bootId], Date.now()), {
      settled: 0,
      voided: 0,
      settledMicro: 0,
    })
    const usage = await store.getUsage(started.requestId)
    assert.equal(usage?.kind === 'usage' && usage.source, 'recovered')
    assert.deepEqual(
      (await store.listOpenHolds()).map((hold) => hold.requestId),
      [alive.requestId],
    )
    assert.deepEqual(await violationsOf(store), [])
  })

  test(say('a ref is used once in the whole database'), async (t) => {
    const { store, userId } = await createWorld(t, driver, { creditMicro: 0 })
    const other = await addUser(store, { name: 'bob', creditMicro: 0 })
    const grant = {
      userId,
      type: 'grant',
      amountMicro: 25_000_000,
      ref: 'bank-118',
      note: null,
    } as const
    const first = await store.addCredit({ id: makeId('entry'), ...grant }, by())
    assert.equal(first.kind, 'added')
    const again = await store.addCredit({ id: makeId('entry'), ...grant }, by())
    assert.deepEqual(again, { kind: 'duplicate', entry: first.kind === 'added' && first.entry })
    for (const change of [
      { amountMicro: 1 },
      { type: 'adjust' as const },
      { userId: other.userId },
    ]) {
      const clash = await store.addCredit({ id: makeId('entry'), ...grant, ...change }, by())
      assert.equal(clash.kind, 'conflict')
    }
    assert.equal((await store.getWallet(userId))?.balanceMicro, 25_000_000)
  })

  test(say('credit that makes no sense is answered, not written'), async (t) => {
    const { store, userId } = await createWorld(t, driver, { creditMicro: 1_000 })
    const entry = { userId, type: 'adjust', ref: null, note: null } as const
    const add = (fields: object) =>
      store.addCredit({ id: makeId('entry'), ...entry, amountMicro: 1, ...fields }, by())
    assert.equal((await add({ amountMicro: -1_001 })).kind, 'insufficient')
    assert.equal((await add({ amountMicro: 0 })).kind, 'out_of_range')
    assert.equal((await add({ amountMicro: 0.5 })).kind, 'out_of_range')
    assert.equal((await add({ type: 'grant', amountMicro: -1 })).kind, 'out_of_range')
    assert.equal(
      (await add({ type: 'grant', amountMicro: 1_000_000_000_001 })).kind,
      'out_of_range',
    )
    assert.equal((await add({ userId: makeId('user') })).kind, 'no_user')
    assert.equal((await add({ amountMicro: -1_001, allowNegative: true })).kind, 'added')
    assert.equal((await store.getWallet(userId))?.balanceMicro, -1)
    assert.deepEqual(await violationsOf(store), [])
  })

  test(say('the ledger reads newest first, page by page, and sums by day'), async (t) => {
    const { store, userId, ...who } = await createWorld(t, driver, { creditMicro: 0 })
    const day = Date.UTC(2026, 10, 21, 12)
    const grant = { userId, type: 'grant', ref: null, note: null } as const
    await store.addCredit({ id: makeId('entry'), ...grant, amountMicro: 9_000 }, by('cli:a', day))
    await store.addCredit(
      { id: makeId('entry'), ...grant, amountMicro: 1_000 },
      by('cli:a', day + 86_400_000),
    )
    const hold = newHold({ userId, ...who }, { openedAtMs: day + 86_400_001 })
    await store.openHold(hold)
    await store.settleHold(recordOf(hold, { costMicro: 2_500 }))
    const first = await store.listLedger({ userId, limit: 2 })
    assert.deepEqual(
      first.rows.map((row) => row.amountMicro),
      [-2_500, 1_000],
    )
    assert.equal(first.hasMore, true)
    const rest = await store.listLedger({ userId, limit: 2, afterId: first.rows[1].id })
    assert.deepEqual(
      rest.rows.map((row) => row.amountMicro),
      [9_000],
    )
    assert.equal(rest.hasMore, false)
    const grants = await store.listLedger({ userId, limit: 9, type: 'grant', sinceMs: day + 1 })
    assert.deepEqual(
      grants.rows.map((row) => row.amountMicro),
      [1_000],
    )
    assert.deepEqual(await store.sumLedgerByDay({ userId, timeZone: 'UTC' }), [
      {
        day: '2026-11-22',
        grantedMicro: 1_000,
        spentMicro: 2_500,
        adjustedMicro: 0,
        refundedMicro: 0,
        balanceMicro: 7_500,
      },
      {
        day: '2026-11-21',
        grantedMicro: 9_000,
        spentMicro: 0,
        adjustedMicro: 0,
        refundedMicro: 0,
        balanceMicro: 9_000,
      },
    ])
  })

  test(
    say('users are found by id, id prefix, name and e-mail, and suggested by likeness'),
    async (t) => {
      const { store, userId } = await createWorld(t, driver, { creditMicro: 7 })
      const bob = { id: makeId('user'), name: 'bob', email: 'bob@example.com', note: null }
      assert.equal((await store.createUser(bob, by())).kind, 'created')
      assert.equal((await store.createUser({ ...bob, id: makeId('user') }, by())).kind, 'exists')
      for (const ref of [userId, 'alice']) {
        const found = await store.findUser(ref)
        assert.equal(found.kind === 'found' && found.value.name, 'alice')
        assert.equal(found.kind === 'found' && found.value.balanceMicro, 7)
        assert.equal(found.kind === 'found' && found.value.activeKeys, 1)
      }
      const byMail = await store.findUser('bob@example.com')
      assert.equal(byMail.kind === 'found' && byMail.value.id, bob.id)
      const byPrefix = await store.findUser(bob.id.slice(0, -2))
      assert.equal(byPrefix.kind === 'found' || byPrefix.kind === 'ambiguous', true)
      assert.deepEqual(await store.findUser('alicia'), { kind: 'not_found', nearest: ['alice'] })
      assert.deepEqual(
        (await store.listUsers({})).map((user) => user.name),
        ['alice', 'bob'],
      )
      assert.deepEqual((await store.listUsers({ search: 'b_b' })).length, 0)
      assert.deepEqual((await store.listUsers({ search: 'example' })).length, 1)
    },
  )

  test(say('keys are limited and revoked, and a revoked name can be used again'), async (t) => {
    const { store, userId, keyId } = await createWorld(t, driver)
    assert.equal((await store.createKey(newKey({ userId }), by())).kind, 'exists')
    assert.equal((await store.createKey(newKey({ userId: makeId('user') }), by())).kind, 'no_user')
    const limited = await store.limitKey(keyId, { rpmLimit: 120 }, null, by())
    assert.equal(limited.kind === 'changed' && limited.after.rpmLimit, 120)
    assert.equal((await store.limitKey(keyId, { rpmLimit: 120 }, null, by())).kind, 'unchanged')
    assert.equal((await store.revokeKey(keyId, 'lost', by())).kind, 'revoked')
    assert.equal((await store.revokeKey(keyId, 'lost', by())).kind, 'already_revoked')
    const next = newKey({ userId })
    assert.equal((await store.createKey(next, by())).kind, 'created')
    const found = await store.findKey('alice/laptop')
    assert.equal(found.kind === 'found' && found.value.id, next.id)
    const loaded = await store.loadKeys()
    assert.equal(loaded.length, 2)
    const credential = loaded.find((one) => one.key.id === next.id)
    assert.deepEqual(credential && [...credential.digest], [...next.digest])
    assert.equal(loaded.find((one) => one.key.id === keyId)?.key.revokedReason, 'lost')
  })

  test(say('a list of keys knows what each spent and when it was last used'), async (t) => {
    const { store, userId, keyId, ...who } = await createWorld(t, driver)
    const idle = newKey({ userId, name: 'idle', models: ['claude-haiku-*'], expiresAtMs: 5 })
    await store.createKey(idle, by())
    const hold = newHold({ userId, keyId, ...who })
    await store.openHold(hold)
    await store.settleHold(recordOf(hold, { costMicro: 1_000 }))
    const nowMs = Date.now()
    const [first, second] = await store.listKeys({ nowMs })
    assert.equal(first.id, idle.id)
    assert.equal(first.lastUsedAtMs, null)
    assert.equal(second.spent24hMicro, 1_000)
    assert.equal(second.spentMonthMicro, 1_000)
    assert.equal(second.lastIp, '203.0.113.7')
    assert.ok((second.lastUsedAtMs ?? 0) > 0)
    const ids = async (filter: object) =>
      (await store.listKeys({ nowMs, ...filter })).map((key) => key.id)
    assert.deepEqual(await ids({ state: 'expired' }), [idle.id])
    assert.deepEqual(await ids({ state: 'active' }), [keyId])
    assert.deepEqual(await ids({ model: 'claude-opus-5' }), [keyId])
    assert.deepEqual(await ids({ unusedSinceMs: 1 }), [idle.id])
  })

  test(say('tags, hours and a proxy of an account, and the tags of a key, are kept'), async (t) => {
    const { store, userId } = await createWorld(t, driver)
    const sealed = new Uint8Array([7, 7, 7])
    const text = 'http://proxy.example.com:3128'
    const settings = {
      tags: ['eu', 'fast'],
      cacheScope: 'research',
      hours: 'mon-fri 08:00-18:00',
      tpmLimit: 400_000,
    }
    const account = newAccount({ name: 'eu', ...settings, proxy: { sealed, text } })
    const added = await store.addAccount(account, by())
    assert.equal(added.kind, 'added')
    const stored = async () =>
      (await store.loadAccounts()).find((one) => one.account.id === account.id)
    const first = await stored()
    assert.deepEqual(first && [...(first.sealedProxy ?? [])], [7, 7, 7])
    assert.partialDeepStrictEqual(first?.account, { ...settings, proxy: text })

    const none = { tags: [], cacheScope: null, hours: null, tpmLimit: null, proxy: null }
    const changed = await store.updateAccount(account.id, none, by())
    assert.ok(changed.kind === 'changed')
    assert.partialDeepStrictEqual(changed.after, none)
    assert.equal((await stored())?.sealedProxy, null)
    assert.equal((await store.updateAccount(account.id, none, by())).kind, 'unchanged')
    const audit = JSON.stringify(await store.listAudit({ limit: 99 }))
    assert.match(audit, /proxy\.example\.com/)
    assert.doesNotMatch(audit, /sealed/i)

    const key = newKey({ userId, name: 'eu', accountTags: ['eu', 'us'] })
    await store.createKey(key, by())
    const found = await store.findKey('alice/eu')
    assert.deepEqual(found.kind === 'found' && found.value.accountTags, ['eu', 'us'])
    const free = await store.limitKey(key.id, { accountTags: null }, null, by())
    assert.equal(free.kind === 'changed' && free.after.accountTags, null)
  })

  test(
    say('accounts change, each change is audited, and removal erases the credential'),
    async (t) => {
      const { store, accountId } = await createWorld(t, driver)
      assert.equal((await store.addAccount(newAccount({ name: 'main' }), by())).kind, 'exists')
      const disabled = await store.setAccountDisabled(
        accountId,
        { reason: 'leaked' },
        by('cli:root', 77),
      )
      assert.equal(disabled.kind === 'changed' && disabled.after.disabledAtMs, 77)
      assert.equal(
        (await store.setAccountDisabled(accountId, { reason: 'leaked' }, by())).kind,
        'unchanged',
      )
      assert.equal((await store.setAccountDisabled(accountId, null, by())).kind, 'changed')
      const rotated = await store.rotateCredential(
        accountId,
        { sealed: new Uint8Array([9]), last4: 'p0Qr', fingerprint: 'abcdef' },
        by(),
      )
      assert.equal(rotated.kind === 'changed' && rotated.after.credentialVersion, 2)
      assert.deepEqual([...(await store.loadAccounts())[0].sealed], [9])
      await store.setCooldown(accountId, 999, by('cli:root', 5))
      const cleared = await store.clearCooldown(accountId, by('cli:root', 6))
      assert.equal(cleared.kind === 'changed' && cleared.after.cooldownClearedAtMs, 6)
      assert.equal(cleared.kind === 'changed' && cleared.after.cooldownUntilMs, null)
      assert.equal((await store.removeAccount(accountId, by())).kind, 'changed')
      assert.equal((await store.removeAccount(accountId, by())).kind, 'not_found')
      assert.deepEqual(await store.loadAccounts(), [])
      assert.equal((await store.addAccount(newAccount({ name: 'main' }), by())).kind, 'added')
      const actions = (await store.listAudit({ limit: 99 })).map((event) => event.action)
      assert.equal(actions.filter((action) => action.startsWith('account.')).length, 8)
    },
  )

  test(say('health, headroom and activity of an account show in its summary'), async (t) => {
    const { store, accountId, ...who } = await createWorld(t, driver)
    const health: HealthRow = {
      accountId,
      modelClass: 'sonnet',
      state: 'cooling',
      reason: '529 overloaded_error',
      httpStatus: 529,
      upstreamRequestId: null,
      sinceMs: 1,
      untilMs: 2,
      step: 1,
      credentialVersion: 1,
    }
    const event = { accountId, atMs: 1, kind: 'cooling', message: '529', requestId: null }
    await store.saveHealth([health], [event])
    assert.deepEqual(await store.loadHealth(), [health])
    assert.deepEqual(await store.listAccountEvents(accountId, 5), [event])
    const headroom = {
      accountId,
      requestsLimit: 50,
      requestsRemaining: 2,
      inputTokensLimit: null,
      inputTokensRemaining: null,
      outputTokensLimit: null,
      outputTokensRemaining: null,
      resetAtMs: 9,
      organizationId: 'org',
      workspaceId: null,
      updatedAtMs: 3,
    }
    await store.saveHeadroom([headroom])
    const [plain, failed, running] = [newHold(who), newHold(who), newHold(who, { accountId })]
    for (const hold of [plain, failed, running]) await store.openHold(hold)
    const ok = {
      accountId,
      outcome: 'ok',
      httpStatus: 200,
      durationMs: 1,
      upstreamRequestId: null,
      listCostMicro: 300,
    }
    await store.settleHold(recordOf(plain, { accountId, costMicro: 500, attempts: [ok] }))
    const bad = { ...ok, outcome: 'server_error', httpStatus: 500 }
    await store.voidHold(voidOf(failed, { accountId, attempts: [bad] }))
    const [summary] = await store.listAccounts(Date.now())
    assert.deepEqual(summary.health, [health])
    assert.deepEqual(summary.headroom, headroom)
    assert.deepEqual(
      [summary.inFlight, summary.requests1m, summary.requests5m, summary.errors5m],
      [1, 2, 2, 1],
    )
    await store.settleHold(recordOf(running, { accountId, costMicro: 700, attempts: [ok] }))
    const [later] = await store.listAccounts(Date.now())
    assert.deepEqual([later.inFlight, later.requestsToday, later.spendTodayMicro], [0, 3, 1_200])
    await store.saveHealth([{ ...health, state: 'healthy' }], [])
    assert.deepEqual(await store.loadHealth(), [])
  })

  test(
    say('usage lists by filter, sums by time and follows in the order of writing'),
    async (t) => {
      const { store, accountId, ...who } = await createWorld(t, driver)
      const holds = Array.from({ length: 4 }, () => newHold(who))
      for (const hold of holds) await store.openHold(hold)
      // The first to begin is the last to end.
      for (const hold of holds.slice(1)) await store.settleHold(recordOf(hold, { costMicro: 10 }))
      const seen = await store.usageAfter(idFloor('request', 0), 99)
      assert.equal(seen.length, 3)
      await store.settleHold(recordOf(holds[0], { accountId, costMicro: 30, httpStatus: 499 }))
      const fresh = await store.usageAfter(seen[2].requestId, 99)
      assert.deepEqual(
        fresh.map((row) => row.requestId),
        [holds[0].requestId],
      )
      const list = async (filter: object) => {
        const page = await store.listUsage({ limit: 2, ...filter })
        return [
          page.rows.map((row) => holds.findIndex((hold) => hold.requestId === row.requestId)),
          page.total,
          page.hasMore,
        ]
      }
      assert.deepEqual(await list({}), [[3, 2], 4, true])
      assert.deepEqual(await list({ afterId: holds[2].requestId }), [[1, 0], 4, false])
      assert.deepEqual(await list({ httpStatus: '4xx' }), [[0], 1, false])
      assert.deepEqual(await list({ httpStatus: '200', limit: 9 }), [[3, 2, 1], 3, false])
      assert.deepEqual(await list({ minCostMicro: 20, userId: who.userId, stream: true }), [
        [0],
        1,
        false,
      ])
      assert.deepEqual(await list({ accountId, model: holds[0].model, rerouted: false }), [
        [0],
        1,
        false,
      ])
      const sums = await store.sumUsage({ sinceMs: 0, untilMs: Date.now() + 60_000 })
      assert.deepEqual([sums.requests, sums.costMicro, sums.tokens.output], [4, 60, 4 * 921])
    },
  )

  test(say('a refusal leaves a usage row that costs nothing'), async (t) => {
    const { store, ...who } = await createWorld(t, driver)
    const refused = voidOf(newHold(who), { httpStatus: 402, holdMicro: 0 })
    store.noteRefusal(refused)
    await store.openHold(newHold(who))
    const usage = await store.getUsage(refused.requestId)
    assert.equal(usage?.kind === 'usage' && usage.httpStatus, 402)
    assert.deepEqual(await violationsOf(store), [])
  })

  test(say('boots and facts about the file come back as they were written'), async (t) => {
    const { store } = await createWorld(t, driver)
    const boot: Boot = {
      id: makeId('boot'),
      pid: 4_121,
      pidStartedAt: '123',
      pidSpace: null,
      version: '0.1.0',
      listen: '127.0.0.1:8787',
      publicUrl: 'http://127.0.0.1:8787',
      demo: false,
      startedAtMs: 1,
      heartbeatAtMs: 1,
      state: 'serving',
    }
    await store.addBoot(boot)
    await store.heartbeat(boot.id, 'draining', 9)
    assert.deepEqual(await store.listBoots(), [{ ...boot, state: 'draining', heartbeatAtMs: 9 }])
    assert.equal(await store.getMeta('pepper_sealed'), null)
    await store.putMeta('pepper_sealed', new Uint8Array([1, 2]))
    assert.deepEqual(await store.getMeta('pepper_sealed'), new Uint8Array([1, 2]))
    assert.equal(await store.schemaVersion(), SCHEMA_VERSION)
  })

  test(
    say('a broken promise rejects alone as InvariantError; its neighbours are written'),
    async (t) => {
      const { store, userId, ...who } = await createWorld(t, driver)
      const hold = newHold({ userId, ...who })
      await store.openHold(hold)
      const good = [newHold({ userId, ...who }), newHold({ userId, ...who })]
      const results = await Promise.allSettled([
        store.openHold(good[0]),
        // The same request cannot hold twice, and what its first half did is undone.
        store.openHold({ ...hold }),
        store.openHold(good[1]),
      ])
      assert.deepEqual(
        results.map((result) => result.status),
        ['fulfilled', 'rejected', 'fulfilled'],
      )
      assert.equal(results[1].status === 'rejected' && results[1].reason.name, 'InvariantError')
      assert.equal((await store.getWallet(userId))?.heldMicro, 12_000)
      assert.deepEqual(await violationsOf(store), [])
    },
  )

  test(say('a closed store says so'), async (t) => {
    const { store, ...who } = await createWorld(t, driver)
    await store.close()
    await assert.rejects(store.openHold(newHold(who)), { name: 'StoreError', reason: 'closed' })
    await assert.rejects(store.listUsers({}), { name: 'StoreError', reason: 'closed' })
    await store.close()
  })
}
