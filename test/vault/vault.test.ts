import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { type InstallMeta, initInstall, openInstall } from '../../src/vault/install.ts'
import {
  createMasterKey,
  decodeMasterKey,
  masterKeyFile,
  readMasterKey,
} from '../../src/vault/master-key.ts'
import {
  createKeyDigest,
  createVault,
  credentialPlace,
  keyDigest,
  VaultError,
} from '../../src/vault/vault.ts'

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'ccgate-vault-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

function memoryMeta(): InstallMeta & { readonly rows: Map<string, Uint8Array> } {
  const rows = new Map<string, Uint8Array>()
  return {
    rows,
    async getMeta(name) {
      return rows.get(name) ?? null
    },
    async putMeta(name, value) {
      rows.set(name, value)
    },
  }
}

test('what is sealed opens again, whatever it holds', () => {
  const vault = createVault({ masterKey: randomBytes(32), installId: 'inst_a' })
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.string(), (plain, rowId) => {
      const sealed = vault.seal(plain, credentialPlace(rowId))
      assert.deepEqual(Buffer.from(vault.open(sealed, credentialPlace(rowId))), Buffer.from(plain))
    }),
  )
})

test('two seals of one value share no nonce and no ciphertext', () => {
  const vault = createVault({ masterKey: randomBytes(32), installId: 'inst_a' })
  const place = credentialPlace('acct_1')
  const a = Buffer.from(vault.seal('sk-ant-same-same-same', place))
  const b = Buffer.from(vault.seal('sk-ant-same-same-same', place))
  assert.notDeepEqual(a.subarray(9, 21), b.subarray(9, 21))
  assert.notDeepEqual(a.subarray(21), b.subarray(21))
  assert.equal(a.includes('sk-ant'), false)
})

test('a sealed value opens only in its own row, column, table, install and under its own key', () => {
  const masterKey = randomBytes(32)
  const vault = createVault({ masterKey, installId: 'inst_a' })
  const place = { table: 'accounts', rowId: 'acct_1', column: 'credential' }
  const sealed = vault.seal('secret', place)
  const damaged = (error: unknown) => error instanceof VaultError && error.reason === 'damaged'
  assert.throws(() => vault.open(sealed, { ...place, rowId: 'acct_2' }), damaged)
  assert.throws(() => vault.open(sealed, { ...place, column: 'note' }), damaged)
  assert.throws(() => vault.open(sealed, { ...place, table: 'meta' }), damaged)
  assert.throws(() => createVault({ masterKey, installId: 'inst_b' }).open(sealed, place), damaged)
  assert.throws(
    () => createVault({ masterKey: randomBytes(32), installId: 'inst_a' }).open(sealed, place),
    (error: unknown) => error instanceof VaultError && error.reason === 'wrong_key',
  )
})

test('flipping any one bit of a sealed value makes it refuse to open', () => {
  const vault = createVault({ masterKey: randomBytes(32), installId: 'inst_a' })
  const place = credentialPlace('acct_1')
  const sealed = Buffer.from(vault.seal('sk-ant-api03-canary', place))
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    const changed = Buffer.from(sealed)
    changed[bit >> 3] ^= 1 << (bit & 7)
    assert.throws(() => vault.open(changed, place), VaultError, `bit ${bit}`)
  }
  for (let length = 0; length < sealed.length; length++) {
    assert.throws(
      () => vault.open(sealed.subarray(0, length), place),
      VaultError,
      `cut at ${length}`,
    )
  }
})

test('the digest of a key depends on the pepper and on every character', () => {
  const pepper = randomBytes(32)
  assert.equal(keyDigest(pepper, 'cc_user_a').length, 32)
  assert.deepEqual(keyDigest(pepper, 'cc_user_a'), keyDigest(pepper, 'cc_user_a'))
  assert.notDeepEqual(keyDigest(pepper, 'cc_user_a'), keyDigest(pepper, 'cc_user_b'))
  assert.notDeepEqual(keyDigest(pepper, 'cc_user_a'), keyDigest(randomBytes(32), 'cc_user_a'))
})

test('an install made once opens with its key, keeps its pepper, and refuses another key', async () => {
  const meta = memoryMeta()
  const masterKey = randomBytes(32)
  assert.equal((await openInstall(meta, masterKey)).kind, 'not_initialised')
  const made = await initInstall(meta, masterKey)
  assert.equal(made.kind, 'opened')
  const again = await initInstall(meta, masterKey)
  assert.deepEqual(again.kind === 'opened' && again.pepper, made.kind === 'opened' && made.pepper)
  const wrong = await openInstall(meta, randomBytes(32))
  assert.equal(wrong.kind, 'wrong_master_key')
  assert.equal((await initInstall(meta, randomBytes(32))).kind, 'wrong_master_key')
  for (const value of meta.rows.values()) {
    assert.equal(Buffer.from(value).includes(Buffer.from(masterKey)), false)
    assert.ok(made.kind === 'opened' && !Buffer.from(value).includes(Buffer.from(made.pepper)))
  }
})

test('a sealed pepper copied into another install is refused', async () => {
  const masterKey = randomBytes(32)
  const one = memoryMeta()
  const two = memoryMeta()
  await initInstall(one, masterKey)
  await initInstall(two, masterKey)
  two.rows.set('pepper_sealed', one.rows.get('pepper_sealed') as Uint8Array)
  assert.equal((await openInstall(two, masterKey)).kind, 'wrong_master_key')
})

test('a new master key is private, random and never overwritten', (t) => {
  const dir = folder(t)
  const file = join(dir, 'deep', 'master.key')
  assert.equal(createMasterKey(file), 'created')
  assert.equal(statSync(file).mode & 0o777, 0o600)
  assert.equal(statSync(join(dir, 'deep')).mode & 0o777, 0o700)
  const places = {
    explicitFile: file,
    configFile: null,
    databaseFile: join(dir, 'db', 'ccgate.db'),
  }
  const first = readMasterKey(places)
  assert.equal(createMasterKey(file), 'exists')
  assert.deepEqual(readMasterKey(places), first)
  assert.ok(first.kind === 'read' && first.key.length === 32 && first.warnings.length === 0)
})

test('the key is found next to the config, else next to the database; an explicit file wins', (t) => {
  const dir = folder(t)
  mkdirSync(join(dir, 'etc'))
  mkdirSync(join(dir, 'var'))
  const places = {
    explicitFile: null,
    configFile: join(dir, 'etc', 'config.yaml'),
    databaseFile: join(dir, 'var', 'ccgate.db'),
  }
  assert.equal(masterKeyFile(places), join(dir, 'etc', 'master.key'))
  createMasterKey(join(dir, 'var', 'master.key'))
  assert.equal(masterKeyFile(places), join(dir, 'var', 'master.key'))
  const inData = readMasterKey(places)
  assert.ok(inData.kind === 'read' && /lies beside the database/.test(inData.warnings.join()))
  createMasterKey(join(dir, 'etc', 'master.key'))
  assert.equal(masterKeyFile(places), join(dir, 'etc', 'master.key'))
  assert.equal(masterKeyFile({ ...places, configFile: null }), join(dir, 'var', 'master.key'))
  assert.equal(masterKeyFile({ ...places, explicitFile: '/x/k' }), '/x/k')
})

test('a missing, odd or open key file says what is wrong and what to do', (t) => {
  const dir = folder(t)
  const places = {
    explicitFile: null,
    configFile: join(dir, 'config.yaml'),
    databaseFile: join(dir, 'd', 'ccgate.db'),
  }
  const file = join(dir, 'master.key')
  const missing = readMasterKey(places)
  assert.ok(
    missing.kind === 'unusable' &&
      missing.message.includes('is missing') &&
      missing.hint.includes('backup'),
  )
  writeFileSync(file, 'short\n', { mode: 0o600 })
  const odd = readMasterKey(places)
  assert.ok(odd.kind === 'unusable' && odd.message.includes('32 bytes'))
  writeFileSync(file, '0'.repeat(64))
  for (const mode of [0o644, 0o640, 0o620, 0o602]) {
    chmodSync(file, mode)
    const open = readMasterKey(places)
    assert.ok(
      open.kind === 'unusable' && open.hint === `Close it: chmod 600 ${file}`,
      mode.toString(8),
    )
  }
  chmodSync(file, 0o444)
  const mounted = readMasterKey({ ...places, explicitFile: file })
  assert.ok(mounted.kind === 'read' && /read by other users/.test(mounted.warnings.join()))
})

test('hex and both spellings of base64 are the same key; anything else is none', () => {
  const bytes = randomBytes(32)
  for (const encoding of ['hex', 'base64', 'base64url'] as const) {
    assert.deepEqual(
      Buffer.from(decodeMasterKey(`${bytes.toString(encoding)}\n`) ?? []),
      bytes,
      encoding,
    )
  }
  for (const text of [
    '',
    'x',
    randomBytes(31).toString('base64'),
    randomBytes(33).toString('hex'),
  ]) {
    assert.equal(decodeMasterKey(text), null)
  }
})

test('the quick digest of a pepper is its HMAC, for any secret', () => {
  for (let i = 0; i < 100; i++) {
    const pepper = randomBytes(32)
    const secret = randomBytes(i % 90)
      .toString('base64')
      .slice(0, 100)
    assert.deepEqual(createKeyDigest(pepper)(secret), Buffer.from(keyDigest(pepper, secret)))
  }
})
