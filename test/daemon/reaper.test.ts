import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { checkLedger } from '../../src/daemon/reaper.ts'
import { type LedgerReport, type Store, StoreError } from '../../src/store/store.ts'
import { world } from '../support/world.ts'

test('what could not be written of an account is written later, and told once', async (t) => {
  let fails = 2
  const w = await world(t, {
    accounts: ['one'],
    daemonStore: (store): Store => ({
      ...store,
      saveHealth: (rows, events) =>
        fails-- > 0
          ? Promise.reject(new StoreError('full', 'disk full'))
          : store.saveHealth(rows, events),
    }),
  })
  await (await w.post({}, { 'x-sandbox': 'status=401' })).text()
  for (let i = 0; i < 80 && (await w.store.loadHealth()).length === 0; i++) await sleep(100)
  const [row] = await w.store.loadHealth()
  assert.equal(row?.state, 'unauthorized')
  const id = w.accountIds.one
  assert.equal((await w.store.listAccountEvents(id, 10)).length, 1)
  assert.equal(w.log.filter((line) => line.includes('"account.unauthorized"')).length, 1)
})

test('admission ends over money that does not add up, and never over holds that look old', async (t) => {
  const w = await world(t, { accounts: ['one'] })
  const report = await w.store.checkLedger(Date.now())
  const check = async (found: Partial<LedgerReport>) => {
    const [stopped, told]: [string[], string[]] = [[], []]
    await checkLedger({
      store: { ...w.store, checkLedger: async () => ({ ...report, ...found }) },
      clock: { nowMs: () => 0, monotonicMs: () => 0 },
      log: { ...console, error: (_facts: object, event: string) => told.push(event) } as never,
      stopAdmission: (error: Error) => stopped.push(error.message),
    })
    return [stopped, told]
  }
  assert.deepEqual(await check({}), [[], []])
  const stale = ['Hold h is open.']
  assert.deepEqual(await check({ violations: stale, stale }), [[], ['ledger.stale_holds']])
  const violations = ['Wallet w.', ...stale]
  const both = await check({ violations, stale })
  assert.deepEqual(both, [['ledger check: Wallet w.'], ['ledger.stale_holds']])
})
