// Random lives of wallets, holds, limits and refunds against a ledger kept in plain lists.
import { test } from 'node:test'
import { compareWithModel } from './ledger-commands.ts'
import { createStoreRuns } from './ledger-runs.ts'
import { by, freshDatabase, newAccount, open } from './world.ts'

test('the ledger in this thread agrees with plain lists, and is sound after every step', async (t) => {
  const stores = createStoreRuns()
  t.after(stores.remove)
  await compareWithModel({ runs: 50, steps: 100, ...stores.each })
})

test('the ledger behind the writer agrees with plain lists', async (t) => {
  const store = await open(t, await freshDatabase(t), 'daemon')
  const account = newAccount({})
  await store.addAccount(account, by())
  await compareWithModel({
    runs: 50,
    steps: 100,
    begin: async () => ({ store, accountId: account.id, end: async () => {} }),
    check: async () => {},
  })
})
