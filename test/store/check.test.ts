// What the money check finds in files that somebody else wrote to, and what repair makes good.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import {
  by,
  type Cleanup,
  createWorld,
  makeId,
  newHold,
  newKey,
  recordOf,
  violationsOf,
  type World,
} from './world.ts'

const TOTAL = { sinceMs: 0, untilMs: Number.MAX_SAFE_INTEGER }
const LIMIT = { amountMicro: 100_000, period: 'total' } as const

/** A limited key with one settled request of 1,234 micro and one open hold of 4,000. */
async function limitedWorld(t: Cleanup): Promise<World> {
  const world = await createWorld(t, 'local')
  await world.store.limitKey(world.keyId, { spendLimit: LIMIT }, TOTAL, by())
  const settled = newHold(world, { limitWindow: TOTAL })
  await world.store.openHold(settled)
  await world.store.settleHold(recordOf(settled))
  await world.store.openHold(newHold(world, { limitWindow: TOTAL }))
  assert.deepEqual(await violationsOf(world.store), [])
  return world
}

/** Writes past all that protects the file. */
function tamper(path: string, sql: string): void {
  const db = new Sqlite(path)
  db.pragma('foreign_keys = OFF')
  const triggers = db.prepare(`SELECT name FROM sqlite_schema WHERE type = 'trigger'`).pluck().all()
  for (const name of triggers) db.exec(`DROP TRIGGER ${name}`)
  db.exec(sql)
  db.close()
}

const TAMPERED: Readonly<Record<string, readonly [sql: string, said: RegExp]>> = {
  'a counter that is gone under an open hold': [
    'DELETE FROM key_spending',
    /^Hold \S+ is counted in a window of its key that is not there\.$/,
  ],
  'a counter that spent nothing': [
    'UPDATE key_spending SET spent_micro = 0',
    /: 0 micro counted in its window, its requests in it cost 1234\.$/,
  ],
  'a counter that holds nothing': [
    'UPDATE key_spending SET held_micro = 0',
    /: 0 micro held in its window, its open holds in it sum to 4000\.$/,
  ],
  'an open hold that is not counted': [
    'UPDATE holds SET limit_since_ms = NULL',
    /: 4000 micro held in its window, its open holds in it sum to 0\.$/,
  ],
  'a counter of a key without a limit': [
    'UPDATE keys SET spend_limit_micro = NULL, spend_limit_period = NULL',
    /^Key \S+ is counted and has no spend limit\.$/,
  ],
  'usage of another key than its hold': [
    `UPDATE usage SET key_id = 'key_2'; UPDATE usage_rollups SET key_id = 'key_2';
     UPDATE key_spending SET spent_micro = 0`,
    /^Request \S+ is of key_2 of usr_\w+, its hold was of key_\w+ of usr_\w+\.$/,
  ],
  'a roll-up that costs more than its details': [
    'UPDATE usage_rollups SET cost_micro = 1235; UPDATE key_spending SET spent_micro = 1235',
    /^Roll-up of .*: cost_micro is 1235, its details make 1234\.$/,
  ],
  'a roll-up without details': [
    `INSERT INTO usage_rollups SELECT quarter + 9, key_id, model, account_id, status_class, requests,
       errors, refused, input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens,
       cache_write_1h_tokens, 0, 0, 0, 0, 0 FROM usage_rollups`,
    /^Roll-up of .* has no details\.$/,
  ],
  'roll-ups older than all details that cost more than the charges': [
    `INSERT INTO usage_rollups SELECT quarter - 9, key_id, model, account_id, status_class, requests,
       errors, refused, input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens,
       cache_write_1h_tokens, 7, 0, 0, 0, 0 FROM usage_rollups;
     UPDATE key_spending SET spent_micro = 1241`,
    /^Roll-ups of \S+ before the oldest details sum to 7 micro, its charges of that time to 0\.$/,
  ],
  'an entry of nobody': [
    `INSERT INTO ledger (id, user_id, type, amount_micro, balance_after_micro, actor, created_at_ms)
     VALUES ('led_1', 'usr_1', 'grant', 5, 5, 'x', 1)`,
    /^Entry led_1 is of usr_1, who has no wallet\.$/,
  ],
}

for (const [name, [sql, said]] of Object.entries(TAMPERED)) {
  test(`the check finds ${name}`, async (t) => {
    const { store, path } = await limitedWorld(t)
    tamper(path, sql)
    const { violations, stale } = await store.checkLedger(Date.now())
    assert.equal(violations.length, 1, violations.join('\n'))
    assert.match(violations[0], said)
    assert.deepEqual(stale, [])
  })
}

test('stale holds are told apart from what is broken', async (t) => {
  const { store } = await limitedWorld(t)
  const { violations, stale, staleHolds } = await store.checkLedger(Date.now() + 86_400_000)
  assert.deepEqual([violations, staleHolds], [stale, 1])
  assert.match(stale[0], /^Hold \S+ is open for longer than any request may run\.$/)
})

test('repair counts the limits of a user again, and only of that user', async (t) => {
  const { store, path, userId, keyId } = await limitedWorld(t)
  tamper(path, 'UPDATE key_spending SET spent_micro = 1, held_micro = 2')
  assert.equal((await store.repairWallet(userId, by())).kind, 'repaired')
  assert.deepEqual(await violationsOf(store), [])
  assert.deepEqual(await useOf(store, keyId), [1_234, 4_000])
  const again = await store.repairWallet(userId, by())
  assert.deepEqual([again.kind, 'limits' in again && again.limits], ['unchanged', 0])
  tamper(path, 'DELETE FROM key_spending')
  await store.repairWallet(userId, by())
  assert.deepEqual(await violationsOf(store), [])
  // The next hold begins the window, and what is open counts in it again.
  const next = newHold({ userId, keyId, bootId: makeId('boot') }, { limitWindow: TOTAL })
  assert.equal((await store.openHold(next)).kind, 'held')
  assert.deepEqual(await useOf(store, keyId), [1_234, 8_000])
  tamper(path, 'UPDATE keys SET spend_limit_micro = NULL, spend_limit_period = NULL')
  await store.repairWallet(userId, by())
  assert.deepEqual(await violationsOf(store), [])
})

test('wallets of deleted users are listed too', async (t) => {
  const { store, userId } = await createWorld(t, 'local', { creditMicro: 0 })
  assert.equal((await store.deleteUser(userId, { forfeit: null }, by())).kind, 'deleted')
  assert.deepEqual(await store.listUsers({}), [])
  assert.deepEqual(await store.listWalletIds(), [userId])
})

test('setting a limit reads the roll-ups of that key alone', async (t) => {
  const { path, store, userId } = await createWorld(t, 'local')
  const key = newKey({ userId, name: 'other' })
  await store.createKey(key, by())
  const db = new Sqlite(path, { readonly: true })
  t.after(() => db.close())
  const plan = db
    .prepare(
      `EXPLAIN QUERY PLAN SELECT sum(cost_micro) FROM usage_rollups INDEXED BY usage_rollups_by_key
       WHERE key_id = ? AND quarter >= ? AND quarter < ?`,
    )
    .all(key.id, 0, 1) as { detail: string }[]
  assert.match(plan[0].detail, /usage_rollups_by_key \(key_id=\? AND quarter>\? AND quarter<\?\)/)
})

async function useOf(store: World['store'], keyId: string) {
  const found = await store.findKey(keyId)
  assert.ok(found.kind === 'found')
  const { limitUse } = found.value
  return limitUse && [limitUse.spentMicro, limitUse.heldMicro]
}
