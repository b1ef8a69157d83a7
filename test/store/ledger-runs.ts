import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDatabase, openStore } from '../../src/store/open.ts'
import { type LedgerRuns, violationsOf } from './ledger-commands.ts'
import { by, newAccount } from './world.ts'

/** A database of its own for each run, small enough to be checked after every step. */
export function createStoreRuns() {
  const folder = mkdtempSync(join(tmpdir(), 'ccgate-ledger-'))
  let [runs, steps] = [0, 0]
  const each: Pick<LedgerRuns, 'begin' | 'check'> = {
    async begin() {
      runs += 1
      const path = join(folder, `${runs}.db`)
      await createDatabase(path)
      const opened = await openStore({ path, mode: 'write' })
      if (opened.kind !== 'opened') throw new Error(opened.kind)
      const { store } = opened
      const account = newAccount({})
      await store.addAccount(account, by())
      const end = async () => {
        await store.close()
        rmSync(path, { force: true })
      }
      return { store, accountId: account.id, end }
    },

    async check(store) {
      steps += 1
      assert.deepEqual(await violationsOf(store), [])
    },
  }
  return {
    each,
    steps: () => steps,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}
