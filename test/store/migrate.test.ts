// A file of the first schema, with data, as a version before this one left it.
import assert from 'node:assert/strict'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { SCHEMA_VERSION } from '../../src/store/open.ts'
import { MIGRATIONS, migrate, schemaVersionOf } from '../../src/store/sqlite/migrations.ts'
import { by, type Cleanup, makeId, newHold, open, tempFolder, violationsOf } from './world.ts'

const DAY_MS = 86_400_000
const who = {
  userId: makeId('user'),
  keyId: makeId('key'),
  bootId: makeId('boot'),
  accountId: makeId('account'),
}
const settledId = makeId('request')
const refusedId = makeId('request')
const openId = makeId('request')

/** What the first schema wrote: a request settled, one refused, one running. */
function firstSchema(t: Cleanup): string {
  const path = join(tempFolder(t), 'ccgate.db')
  const db = new Sqlite(path)
  db.pragma('journal_mode = WAL')
  migrate(db, MIGRATIONS.slice(0, 1))
  const nowMs = Date.now()
  const run = (sql: string, ...cells: unknown[]) => db.prepare(sql).run(...cells)
  const { userId, keyId, bootId, accountId } = who
  run(`INSERT INTO users VALUES (?, 'alice', NULL, 'active', NULL, ?)`, userId, nowMs)
  run(
    `INSERT INTO keys (id, user_id, name, digest, last4, models, created_at_ms, created_by)
     VALUES (?, ?, 'laptop', x'01', 'abcd', '["*"]', ?, 'cli:test')`,
    keyId,
    userId,
    nowMs,
  )
  run(
    `INSERT INTO accounts (id, name, provider, base_url, allow_private, sealed, credential_last4,
       credential_fingerprint, credential_version, priority, weight, models, created_at_ms)
     VALUES (?, 'main', 'anthropic', 'https://api.example.com', 0, x'02', 'Xk4A', '4f1caa', 1, 1, 1,
       '["*"]', ?)`,
    accountId,
    nowMs,
  )
  const hold = `INSERT INTO holds (request_id, user_id, key_id, boot_id, account_id, model, stream,
    amount_micro, opened_at_ms, state, phase) VALUES (?, ?, ?, ?, ?, 'claude-sonnet-4-6', 1, ?, ?, ?, 'sent')`
  run(hold, settledId, userId, keyId, bootId, accountId, 4_000, nowMs, 'settled')
  run(hold, openId, userId, keyId, bootId, accountId, 3_000, nowMs, 'open')
  const grantId = makeId('entry')
  const chargeId = `led_${settledId.slice(4)}`
  run(
    `INSERT INTO ledger (id, user_id, type, amount_micro, balance_after_micro, actor, created_at_ms)
     VALUES (?, ?, 'grant', 10000, 10000, 'cli:test', ?)`,
    grantId,
    userId,
    nowMs,
  )
  run(
    `INSERT INTO ledger (id, user_id, type, amount_micro, balance_after_micro, previous_id, request_id,
       actor, created_at_ms) VALUES (?, ?, 'charge', -1234, 8766, ?, ?, 'system', ?)`,
    chargeId,
    userId,
    grantId,
    settledId,
    nowMs,
  )
  run('INSERT INTO wallets VALUES (?, 8766, 3000, ?)', userId, chargeId)
  const usage = `INSERT INTO usage (request_id, user_id, key_id, account_id, model, http_status, stream,
    attempt_count, cost_micro, input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens,
    cache_write_1h_tokens, details) VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?, 7, 9, 0, 0, 0, ?)`
  const receipt = { priceVersion: 'v', lines: [], ratio: [1, 1], feesMicro: 0, costMicro: 1_234 }
  const attempt = { accountId, outcome: 'ok', httpStatus: 200, durationMs: 1 }
  // The order of the first schema's details.
  const details = (status: string, own: { receipt: unknown; attempts: readonly unknown[] }) =>
    JSON.stringify([
      'anthropic',
      null,
      status,
      null,
      0,
      own.receipt,
      4_000,
      'exact',
      0,
      null,
      own.attempts,
      nowMs,
      null,
      40,
      10,
      null,
      null,
    ])
  const [model, made] = ['claude-sonnet-4-6', details('complete', { receipt, attempts: [attempt] })]
  run(usage, settledId, userId, keyId, accountId, model, 200, 1, 1_234, made)
  const none = details('rejected', { receipt: null, attempts: [] })
  run(usage, refusedId, userId, keyId, null, 'claude-sonet', 404, 0, 0, none)
  db.close()
  return path
}

test('a file of the first schema is migrated with all that it says, and copied before', async (t) => {
  const path = firstSchema(t)
  const store = await open(t, path, 'daemon')
  assert.equal(await store.schemaVersion(), SCHEMA_VERSION)
  assert.deepEqual(await violationsOf(store), [])
  const usage = await store.getUsage(settledId)
  assert.equal(usage?.kind === 'usage' && usage.costMicro, 1_234)
  assert.deepEqual(usage?.kind === 'usage' && [usage.holdSteps, usage.joinedRequestId], [[], null])
  const [running] = await store.listOpenHolds()
  assert.deepEqual([running.requestId, running.markup], [openId, [1, 1]])
  const window = { sinceMs: Date.now() - DAY_MS, untilMs: Date.now() + DAY_MS }
  assert.deepEqual(
    await store.sumUsage(window).then(({ requests, costMicro }) => [requests, costMicro]),
    [2, 1_234],
  )
  // The first schema did not write what an attempt cost us; without mark-up it is what was charged.
  assert.deepEqual(await store.listCosts([window]), [[[who.accountId, 1_234]]])
  const limit = { amountMicro: 5_000, period: 'total' } as const
  const total = { sinceMs: 0, untilMs: Number.MAX_SAFE_INTEGER }
  await store.limitKey(who.keyId, { spendLimit: limit }, total, by())
  assert.deepEqual(await store.openHold(newHold(who, { amountMicro: 767, limitWindow: total })), {
    kind: 'key_limit',
    limitMicro: 5_000,
    spentMicro: 1_234,
    heldMicro: 3_000,
  })
  const copy = new Sqlite(`${path}.schema-1`, { readonly: true })
  t.after(() => copy.close())
  assert.equal(schemaVersionOf(copy), 1)
  assert.equal(copy.prepare('SELECT count(*) FROM usage').pluck().get(), 2)
  assert.equal(statSync(`${path}.schema-1`).mode & 0o777, 0o600)
  assert.deepEqual(
    readdirSync(join(path, '..')).filter((name) => name.endsWith('.new')),
    [],
  )
})

test('a file with today’s schema is not copied', async (t) => {
  const path = firstSchema(t)
  const first = await open(t, path, 'daemon')
  await first.close()
  const { mtimeMs } = statSync(`${path}.schema-1`)
  const second = await open(t, path, 'daemon')
  await second.close()
  assert.equal(statSync(`${path}.schema-1`).mtimeMs, mtimeMs)
  assert.equal(existsSync(`${path}.schema-${SCHEMA_VERSION}`), false)
})

test('sums of the second schema are made anew where the details are, and stay where they are gone', async (t) => {
  const path = firstSchema(t)
  const db = new Sqlite(path)
  migrate(db, MIGRATIONS.slice(0, 2))
  const row = db.prepare(
    `INSERT INTO usage_rollups VALUES (?, '${who.keyId}', ?, '', 2, 1, 0, 0, 1, 1, 90, 0, 0, ?, ?)`,
  )
  const today = Math.floor(Date.now() / 900_000)
  row.run(today, 'what nobody has details of', 1, 1)
  row.run(7, 'claude-opus-5', 5, 5)
  migrate(db)
  const left = db.prepare('SELECT quarter, model, cost_micro FROM usage_rollups ORDER BY quarter')
  assert.deepEqual(left.raw().all(), [
    [7, 'claude-opus-5', 5],
    [today, '', 0],
    [today, 'claude-sonnet-4-6', 1_234],
  ])
  db.close()
})
