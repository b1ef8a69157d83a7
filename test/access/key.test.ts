import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  checkKeyForm,
  KEY_LENGTH,
  makeKeySecret,
  maskCredential,
  maskKey,
} from '../../src/access/key.ts'

test('every key we make has the right form', () => {
  for (let i = 0; i < 2_000; i++) {
    const secret = makeKeySecret()
    assert.match(secret, /^cc_user_[0-9A-Za-z]{38}$/)
    assert.deepEqual(checkKeyForm(secret), { kind: 'ok' })
  }
})

test('a key made from known bytes never changes its spelling', () => {
  // Guards the alphabet and the checksum: keys in customers' hands must stay valid.
  const secret = makeKeySecret((n) => Uint8Array.from({ length: n }, (_, i) => i * 7))
  assert.equal(secret, 'cc_user_07ELSZgnu18FMTahov29GNUbipw3AHOV1F7Tx8')
})

test('all base62 digits are equally likely', () => {
  const counts = new Map<string, number>()
  const keys = 4_000
  for (let i = 0; i < keys; i++) {
    for (const digit of makeKeySecret().slice(8, 40))
      counts.set(digit, (counts.get(digit) ?? 0) + 1)
  }
  const expected = (keys * 32) / 62
  let chiSquare = 0
  for (const count of counts.values()) chiSquare += (count - expected) ** 2 / expected
  assert.equal(counts.size, 62)
  // 61 degrees of freedom: above 135 once in ten million runs; modulo bias would give about 1,600.
  assert.ok(chiSquare < 135, `chi square ${chiSquare}`)
})

test('a key that was cut off, extended or mistyped is recognised without a look-up', () => {
  const secret = makeKeySecret()
  for (let length = 1; length < KEY_LENGTH; length++) {
    assert.deepEqual(checkKeyForm(secret.slice(0, length)), { kind: 'too_short', length })
  }
  assert.deepEqual(checkKeyForm(`${secret}x`), { kind: 'too_long', length: 47 })
  for (let i = 8; i < KEY_LENGTH; i++) {
    const other = secret[i] === 'a' ? 'b' : 'a'
    const typo = secret.slice(0, i) + other + secret.slice(i + 1)
    assert.deepEqual(checkKeyForm(typo), { kind: 'bad_checksum', length: 46 })
  }
})

test('an upstream key is named as such, whatever follows its prefix', () => {
  assert.deepEqual(checkKeyForm('sk-ant-api03-x'), { kind: 'anthropic_key' })
  assert.deepEqual(checkKeyForm('sk-ant-'), { kind: 'anthropic_key' })
})

test('any text gets an answer, and only keys of ours get ok', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 60 }), (text) => {
      assert.notEqual(checkKeyForm(text).kind, 'ok')
    }),
  )
  assert.deepEqual(checkKeyForm(''), { kind: 'foreign', length: 0 })
})

test('masked forms show the prefix and four characters', () => {
  assert.equal(maskKey('9fQ2'), 'cc_user_…9fQ2')
  assert.equal(maskCredential('Xk4A'), 'sk-ant-…Xk4A')
})
