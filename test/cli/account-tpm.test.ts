import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isUsedUp } from '../../src/store/sqlite/token-use.ts'
import { NOW_MS } from './support.ts'
import { usageWorld } from './usage-world.ts'

test('an account whose tokens per minute are used up is full in lists, until they are refilled', async (t) => {
  const w = await usageWorld(t)
  await w.ok('accounts update main --tpm 1000')
  await w.ok('accounts update spare --tpm 2000')
  // 1,100 tokens each: what a cache had is not counted.
  for (const name of ['main', 'spare'] as const) {
    const accounts = (await w.store.loadAccounts()).map(({ account }) => account)
    const accountId = accounts.find((one) => one.name === name)?.id ?? ''
    const attempts = [
      {
        accountId,
        outcome: 'ok',
        httpStatus: 200,
        durationMs: 1,
        upstreamRequestId: null,
        listCostMicro: 0,
      },
    ]
    await w.asked([{ atMs: NOW_MS - 1_000, account: name, attempts }])
  }
  const list = await w.ok('accounts list')
  assert.match(list, /full +main /)
  assert.doesNotMatch(list, /full +spare /)
  assert.match(list, /at tpm limit/)
})

test('what was taken refills at the limit’s pace, and what was taken too much first', () => {
  const minutes = (...taken: readonly (readonly [ago: number, tokens: number])[]) =>
    isUsedUp(
      taken.map(([ago, tokens]) => ({ atMs: 600_000 - ago * 60_000, tokens })),
      100,
      600_000,
    )
  assert.equal(minutes(), false)
  assert.equal(minutes([0, 99]), false)
  assert.equal(minutes([0, 100]), true)
  assert.equal(minutes([0.5, 120]), false)
  assert.equal(minutes([1, 350]), true)
  assert.equal(minutes([2.6, 350]), false)
  assert.equal(minutes([0, 20], [0.1, 95]), true, 'in any order')
  assert.equal(minutes([-1, 100]), true, 'a clock that was set back')
})
