import assert from 'node:assert/strict'
import { chmodSync, existsSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { createDatabase, openDaemonStore, openStore, SCHEMA_VERSION } from '../../src/store/open.ts'
import { isOlder } from '../../src/store/sqlite/connection.ts'
import { MIGRATIONS, migrate, schemaVersionOf } from '../../src/store/sqlite/migrations.ts'
import { by, createWorld, freshDatabase, makeId, newHold, recordOf, tempFolder } from './world.ts'

const modeOf = (path: string) => statSync(path).mode & 0o777

test('a new database is private: file 0600, folder 0700, log and index too', async (t) => {
  const path = join(tempFolder(t), 'data', 'deep', 'ccgate.db')
  assert.deepEqual(await createDatabase(path), { kind: 'created', path })
  assert.equal(modeOf(path), 0o600)
  assert.equal(modeOf(join(path, '..')), 0o700)
  assert.deepEqual(readdirSync(join(path, '..')), ['ccgate.db'])
  const opened = await openStore({ path, mode: 'write' })
  assert.equal(opened.kind, 'opened')
  if (opened.kind !== 'opened') return
  t.after(() => opened.store.close())
  await opened.store.putMeta('install_id', new Uint8Array([1]))
  assert.equal(modeOf(`${path}-wal`), 0o600)
  assert.equal(modeOf(`${path}-shm`), 0o600)
})

test('creating never touches what is there', async (t) => {
  const path = join(tempFolder(t), 'ccgate.db')
  writeFileSync(path, 'precious')
  assert.deepEqual(await createDatabase(path), { kind: 'exists', path })
  assert.equal(statSync(path).size, 8)
})

test('a database that is missing is not made by opening it', async (t) => {
  const path = join(tempFolder(t), 'no', 'ccgate.db')
  for (const opening of [
    openStore({ path, mode: 'read' }),
    openStore({ path, mode: 'write' }),
    openDaemonStore({ path }),
  ]) {
    assert.deepEqual(await opening, { kind: 'missing', path })
  }
  assert.equal(existsSync(path), false)
  const created = await openStore({ path, mode: 'create' })
  assert.equal(created.kind, 'opened')
  if (created.kind === 'opened') await created.store.close()
})

test('a reader reads alone and beside a writer, and cannot write', async (t) => {
  const { path, store, userId } = await createWorld(t, 'local', { creditMicro: 5 })
  const read = async () => {
    const reader = await openStore({ path, mode: 'read' })
    assert.equal(reader.kind, 'opened')
    if (reader.kind !== 'opened') return
    assert.equal((await reader.store.getWallet(userId))?.balanceMicro, 5)
    await assert.rejects(reader.store.putMeta('install_id', new Uint8Array()), {
      name: 'StoreError',
    })
    await reader.store.close()
  }
  await read()
  await store.close()
  await read()
})

test('other files are refused, whatever they are', async (t) => {
  const folder = tempFolder(t)
  const text = join(folder, 'text.db')
  writeFileSync(text, 'This is certainly no database, and long enough to be looked at. '.repeat(20))
  const empty = join(folder, 'empty.db')
  writeFileSync(empty, '')
  const foreign = join(folder, 'foreign.db')
  new Sqlite(foreign).exec('CREATE TABLE other (x)').close()
  for (const path of [text, empty, foreign, folder]) {
    assert.equal((await openStore({ path, mode: 'write' })).kind, 'not_a_database')
    assert.equal((await openDaemonStore({ path })).kind, 'not_a_database')
  }
})

test('a file that may not be read says so', { skip: process.getuid?.() === 0 }, async (t) => {
  const path = await freshDatabase(t)
  chmodSync(path, 0o000)
  assert.deepEqual(await openStore({ path, mode: 'read' }), { kind: 'permission', path })
})

test('a damaged file is refused by the daemon before anything depends on it', async (t) => {
  const world = await createWorld(t, 'local')
  for (let i = 0; i < 40; i++) {
    const hold = newHold(world)
    await world.store.openHold(hold)
    await world.store.settleHold(recordOf(hold))
  }
  await world.store.close()
  const damaged = new Sqlite(world.path)
  const root = damaged
    .prepare(`SELECT rootpage FROM sqlite_schema WHERE name = 'ledger'`)
    .pluck()
    .get()
  damaged.close()
  const { openSync, writeSync, closeSync } = await import('node:fs')
  const file = openSync(world.path, 'r+')
  writeSync(file, Buffer.alloc(64, 0xff), 0, 64, ((root as number) - 1) * 4_096)
  closeSync(file)
  assert.equal((await openDaemonStore({ path: world.path })).kind, 'corrupt')
})

test('a newer schema is refused by all', async (t) => {
  const path = await freshDatabase(t)
  const db = new Sqlite(path)
  db.pragma('user_version = 99')
  db.close()
  const newer = { kind: 'schema_newer', path, found: 99, known: SCHEMA_VERSION }
  assert.deepEqual(await openStore({ path, mode: 'read' }), newer)
  assert.deepEqual(await openDaemonStore({ path }), newer)
})

test('an older schema is answered as such', async (t) => {
  const path = await freshDatabase(t)
  const db = new Sqlite(path)
  db.pragma('user_version = 0')
  db.close()
  assert.deepEqual(await openStore({ path, mode: 'write' }), {
    kind: 'schema_older',
    path,
    found: 0,
    known: SCHEMA_VERSION,
  })
})

test('a migration that fails halfway leaves the schema before it', (t) => {
  const db = new Sqlite(join(tempFolder(t), 'a.db'))
  t.after(() => db.close())
  migrate(db)
  const broken = [
    ...MIGRATIONS,
    {
      version: SCHEMA_VERSION + 1,
      sql: 'CREATE TABLE second (x INTEGER) STRICT; SELECT nonsense',
    },
  ]
  assert.throws(() => migrate(db, broken))
  assert.equal(schemaVersionOf(db), SCHEMA_VERSION)
  assert.equal(
    db.prepare(`SELECT count(*) FROM sqlite_schema WHERE name = 'second'`).pluck().get(),
    0,
  )
  const good = [
    ...MIGRATIONS,
    { version: SCHEMA_VERSION + 1, sql: 'CREATE TABLE second (x INTEGER) STRICT' },
  ]
  assert.equal(migrate(db, good), 1)
  assert.equal(migrate(db, good), 0)
  assert.equal(schemaVersionOf(db), SCHEMA_VERSION + 1)
})

test('versions of SQLite compare by number', () => {
  assert.equal(isOlder('3.51.2', '3.51.3'), true)
  assert.equal(isOlder('3.9.0', '3.51.3'), true)
  assert.equal(isOlder('3.51.3', '3.51.3'), false)
  assert.equal(isOlder('3.100.0', '3.51.3'), false)
  assert.equal(isOlder('4.0', '3.51.3'), false)
})

test('ledger and audit rows can be added, never changed or removed', async (t) => {
  const { path, store } = await createWorld(t, 'local')
  await store.close()
  const db = new Sqlite(path)
  t.after(() => db.close())
  for (const table of ['ledger', 'audit']) {
    assert.throws(() => db.exec(`UPDATE ${table} SET actor = 'me'`), /append-only/)
    assert.throws(() => db.exec(`DELETE FROM ${table}`), /append-only/)
  }
  assert.equal(db.prepare('SELECT count(*) FROM ledger').pluck().get(), 1)
})

test('the check finds money that was tampered with', async (t) => {
  const { path, store, ...who } = await createWorld(t, 'local')
  const hold = newHold(who)
  await store.openHold(hold)
  await store.settleHold(recordOf(hold))
  await store.openHold(newHold(who))
  const db = new Sqlite(path)
  t.after(() => db.close())
  const after = async (sql: string) => {
    db.exec('PRAGMA foreign_keys = OFF; SAVEPOINT tampering')
    db.exec(sql)
    db.exec('RELEASE tampering')
    return (await store.checkLedger(Date.now())).violations
  }
  assert.equal((await store.checkLedger(Date.now())).violations.length, 0)
  assert.match(
    (await after('UPDATE wallets SET balance_micro = balance_micro + 1')).join(),
    /ledger sums to/,
  )
  await after('UPDATE wallets SET balance_micro = balance_micro - 1')
  assert.match(
    (await after('UPDATE wallets SET held_micro = held_micro + 1')).join(),
    /open holds sum to/,
  )
  await after('UPDATE wallets SET held_micro = held_micro - 1')
  assert.match(
    (await after('UPDATE usage SET cost_micro = cost_micro + 1')).join(),
    /but its charge is/,
  )
  await after('UPDATE usage SET cost_micro = cost_micro - 1')
  const voided = await after(`UPDATE holds SET state = 'voided' WHERE state = 'settled'`)
  assert.match(voided.join(), /has no settled hold/)
  await after(`UPDATE holds SET state = 'settled' WHERE state = 'voided'`)
  const late = await store.checkLedger(Date.now() + 86_400_000)
  assert.equal(late.staleHolds, 1)
  assert.match(late.violations.join(), /longer than any request/)
  assert.match((await after('DELETE FROM usage')).join(), /has no usage row/)
})

test('the check finds sums and counters that do not follow from the details', async (t) => {
  const { path, store, keyId, ...others } = await createWorld(t, 'local')
  const who = { keyId, ...others }
  const window = { sinceMs: 0, untilMs: Number.MAX_SAFE_INTEGER }
  const spendLimit = { amountMicro: 900_000, period: 'total' } as const
  await store.limitKey(keyId, { spendLimit }, window, by())
  const [hold, open] = [newHold(who), newHold(who)]
  await store.openHold(hold)
  await store.settleHold(recordOf(hold))
  await store.openHold(open)
  const refund = { id: makeId('entry'), requestId: hold.requestId, ref: null, note: null }
  assert.equal((await store.refundCharge({ ...refund, amountMicro: 1_000 }, by())).kind, 'added')
  const db = new Sqlite(path)
  t.after(() => db.close())
  db.pragma('foreign_keys = OFF')
  const tampered = async (sql: string, back: string) => {
    db.exec(sql)
    const { violations } = await store.checkLedger(Date.now())
    db.exec(back)
    assert.deepEqual((await store.checkLedger(Date.now())).violations, [])
    return violations.join()
  }
  const [rollup, spending] = ['UPDATE usage_rollups SET', 'UPDATE key_spending SET']
  assert.match(
    await tampered(`${rollup} requests = 2`, `${rollup} requests = 1`),
    /requests is 2, its details make 1/,
  )
  assert.match(
    await tampered(`${rollup} quarter = quarter + 1`, `${rollup} quarter = quarter - 1`),
    /Roll-up of .* is missing.*Roll-up of .* has no details/,
  )
  assert.match(
    await tampered(
      `${spending} spent_micro = spent_micro + 1`,
      `${spending} spent_micro = spent_micro - 1`,
    ),
    /1235 micro counted in its window, its requests in it cost 1234/,
  )
  assert.match(
    await tampered(
      `${spending} held_micro = held_micro + 1`,
      `${spending} held_micro = held_micro - 1`,
    ),
    /4001 micro held in its window, its open holds in it sum to 4000/,
  )
  db.exec('DROP TRIGGER ledger_keeps_rows')
  assert.match(
    await tampered(
      `UPDATE ledger SET amount_micro = 1235 WHERE type = 'refund'`,
      `UPDATE ledger SET amount_micro = 1000 WHERE type = 'refund'`,
    ),
    /Refunds of .* sum to 1235 micro, its charge is -1234/,
  )
})

test('changes tell which tables another process touched', async (t) => {
  const { path, store, userId, keyId, accountId, ...who } = await createWorld(t, 'daemon')
  const opened = await openStore({ path, mode: 'write' })
  assert.equal(opened.kind, 'opened')
  if (opened.kind !== 'opened') return
  const { store: cli } = opened
  t.after(() => cli.close())
  // Counters are read at most once per turn of the event loop.
  const turn = () => new Promise((resolve) => setImmediate(resolve))
  const first = store.changes()
  await turn()
  await store.openHold(newHold({ userId, keyId, ...who }))
  assert.deepEqual(store.changes(), first)
  await cli.revokeKey(keyId, null, by())
  await turn()
  const second = store.changes()
  assert.equal(second.keys > first.keys && second.accounts === first.accounts, true)
  await cli.setAccountDisabled(accountId, { reason: null }, by())
  await turn()
  assert.equal(store.changes().accounts > second.accounts, true)
})
