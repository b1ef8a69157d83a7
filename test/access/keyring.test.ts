import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Keyring } from '../../src/access/keyring.ts'
import type { Key, User } from '../../src/core/model.ts'

const NOW = Date.UTC(2026, 10, 22)

function credential(
  id: string,
  digest: Uint8Array,
  more: { key?: Partial<Key>; userState?: User['state'] } = {},
) {
  const key: Key = {
    id,
    userId: 'usr_1',
    userName: 'alice',
    name: id,
    last4: '9fQ2',
    rpmLimit: 10,
    concurrencyLimit: null,
    models: ['*'],
    spendLimit: null,
    accountTags: null,
    burnLimitMicro: null,
    markup: null,
    onDisconnect: null,
    note: null,
    expiresAtMs: null,
    createdAtMs: NOW,
    createdBy: 'cli:root',
    revokedAtMs: null,
    revokedReason: null,
    ...more.key,
  }
  return { key, digest, userState: more.userState ?? ('active' as const) }
}

test('a key is found by its digest and by nothing else', () => {
  const ring = new Keyring()
  const one = new Uint8Array(32).fill(1)
  const high = new Uint8Array(32).fill(0xfe)
  ring.reload([credential('a', one), credential('b', high)])
  assert.equal(ring.find(Buffer.from(one))?.key.id, 'a')
  assert.equal(ring.find(Buffer.from(high))?.key.id, 'b')
  assert.equal(ring.find(Buffer.alloc(32, 2)), null)
  assert.equal(ring.find(Buffer.alloc(31, 1)), null)
  assert.equal(ring.size, 2)
})

test('what a key used survives a reload that changes the key', () => {
  const ring = new Keyring()
  const digest = new Uint8Array(32).fill(3)
  ring.reload([credential('a', digest)])
  const live = ring.find(Buffer.from(digest))
  assert.ok(live !== null)
  for (let i = 0; i < 10; i++) live.window.take(10, 0)
  live.inFlight = 3
  ring.reload([credential('a', digest, { key: { name: 'renamed' }, userState: 'suspended' })])
  const again = ring.find(Buffer.from(digest))
  assert.equal(again, live, 'requests that run hold the same object')
  assert.equal(live.key.name, 'renamed')
  assert.equal(live.userState, 'suspended')
  assert.equal(live.window.remaining(10, 0), 0)
})

test('a key that is gone is not found any more', () => {
  const ring = new Keyring()
  const digest = new Uint8Array(32).fill(4)
  ring.reload([credential('a', digest)])
  ring.reload([])
  assert.equal(ring.find(Buffer.from(digest)), null)
  assert.equal(ring.size, 0)
})

test('active keys are those that work now', () => {
  const ring = new Keyring()
  const digest = (n: number) => new Uint8Array(32).fill(n)
  ring.reload([
    credential('good', digest(1)),
    credential('later', digest(2), { key: { expiresAtMs: NOW + 1 } }),
    credential('expired', digest(3), { key: { expiresAtMs: NOW } }),
    credential('revoked', digest(4), { key: { revokedAtMs: NOW - 1 } }),
    credential('suspended', digest(5), { userState: 'suspended' }),
  ])
  assert.equal(ring.activeCount(NOW), 2)
  assert.equal(ring.activeCount(NOW + 1), 1)
})
