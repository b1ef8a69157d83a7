import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Presented } from '../../src/access/authenticate.ts'
import { authenticate } from '../../src/access/authenticate.ts'
import { FailureCounter } from '../../src/access/failures.ts'
import { makeKeySecret } from '../../src/access/key.ts'
import { Keyring } from '../../src/access/keyring.ts'
import type { ErrorCode } from '../../src/core/errors.ts'
import { errorMessage, GatewayError } from '../../src/core/errors.ts'
import type { Key, User } from '../../src/core/model.ts'

const NOW = Date.UTC(2026, 10, 22, 12)

function world(more: { key?: Partial<Key>; userState?: User['state'] } = {}) {
  const secret = makeKeySecret()
  const digest = (text: string) => createHash('sha256').update(text).digest()
  const key: Key = {
    id: 'key_1',
    userId: 'usr_1',
    userName: 'alice',
    name: 'laptop',
    last4: secret.slice(-4),
    rpmLimit: null,
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
  const keyring = new Keyring()
  keyring.reload([{ key, digest: digest(secret), userState: more.userState ?? 'active' }])
  const gate = { keyring, failures: new FailureCounter(), digest }
  const present = (what: Partial<Presented>, nowMs = NOW) =>
    authenticate(
      { apiKey: undefined, authorization: undefined, countedAddress: '203.0.113.7', ...what },
      gate,
      nowMs,
    )
  const refusal = (what: Partial<Presented>, nowMs = NOW): GatewayError => {
    try {
      present(what, nowMs)
    } catch (error) {
      assert.ok(error instanceof GatewayError, String(error))
      return error
    }
    throw new Error('it was let in')
  }
  return { secret, present, refusal, gate }
}

test('the key is taken from x-api-key or Bearer, or from both when they agree', () => {
  const { secret, present } = world()
  for (const what of [
    { apiKey: secret },
    { apiKey: ` ${secret} ` },
    { authorization: `Bearer ${secret}` },
    { authorization: `bearer ${secret}` },
    { authorization: `BEARER  ${secret} ` },
    { apiKey: secret, authorization: `Bearer ${secret}` },
    { apiKey: '', authorization: `Bearer ${secret}` },
    { apiKey: secret, authorization: 'Basic dXNlcjpwYXNz' },
    { apiKey: secret, authorization: 'Bearer ' },
  ])
    assert.equal(present(what).key.id, 'key_1', JSON.stringify(what))
})

test('each way of being refused has its own code', () => {
  const { secret, refusal } = world()
  const rows: [Partial<Presented>, ErrorCode][] = [
    [{}, 'missing_api_key'],
    [{ apiKey: '' }, 'missing_api_key'],
    [{ authorization: 'Basic dXNlcjpwYXNz' }, 'missing_api_key'],
    [{ authorization: secret }, 'missing_api_key'],
    [{ apiKey: secret.slice(0, -1) }, 'malformed_api_key'],
    [{ apiKey: `${secret}x` }, 'malformed_api_key'],
    [{ apiKey: `${secret}, ${secret}` }, 'malformed_api_key'],
    [{ apiKey: 'hunter2' }, 'malformed_api_key'],
    [{ apiKey: 'sk-ant-api03-canary' }, 'anthropic_key_sent'],
    [{ authorization: 'Bearer sk-ant-api03-canary' }, 'anthropic_key_sent'],
    [{ apiKey: makeKeySecret() }, 'invalid_api_key'],
    [{ apiKey: secret, authorization: `Bearer ${makeKeySecret()}` }, 'conflicting_credentials'],
  ]
  for (const [what, code] of rows) assert.equal(refusal(what).code, code, JSON.stringify(what))
})

test('a malformed key is told what is wrong with it', () => {
  const { secret, refusal } = world()
  const problem = (apiKey: string) => String(refusal({ apiKey }).facts.problem)
  assert.match(
    problem(secret.slice(0, -1)),
    /^a complete ccgate key \(45 characters, expected 46\)\. .*cut off/,
  )
  const changed = secret.slice(0, 20) + (secret[20] === 'x' ? 'y' : 'x') + secret.slice(21)
  assert.match(problem(changed), /: its checksum is wrong/)
  assert.match(problem('hunter2'), /: it does not start with cc_user_/)
})

test('whoever presents the whole key is told what became of it', () => {
  const revoked = world({ key: { revokedAtMs: NOW - 86_400_000, expiresAtMs: NOW - 1 } })
  const error = revoked.refusal({ apiKey: revoked.secret })
  assert.equal(error.code, 'revoked_api_key')
  assert.deepEqual(error.facts, { last4: revoked.secret.slice(-4), date: '2026-11-21' })

  const expiring = world({ key: { expiresAtMs: NOW } })
  assert.equal(expiring.refusal({ apiKey: expiring.secret }).code, 'expired_api_key')
  assert.equal(expiring.present({ apiKey: expiring.secret }, NOW - 1).key.id, 'key_1')

  const suspended = world({ userState: 'suspended' })
  assert.equal(suspended.refusal({ apiKey: suspended.secret }).code, 'user_suspended')
})

test('no refusal quotes more of a secret than the last four of a key of ours', () => {
  fc.assert(
    fc.property(fc.uuid(), fc.boolean(), (text, asKey) => {
      const { secret, refusal } = world()
      const canaries = [text, `sk-ant-${text}`, makeKeySecret(), secret.slice(0, 45)]
      for (const canary of canaries) {
        const error = refusal(asKey ? { apiKey: canary } : { authorization: `Bearer ${canary}` })
        const told = [
          errorMessage(error.code, { ...error.facts, publicUrl: 'U', supportEmail: 'S' }),
          JSON.stringify(error.details),
          error.message,
          String(error.stack),
        ].join('\n')
        // Eight characters in a row of what was sent would be four too many.
        const core = canary.replace(/^(sk-ant-|cc_user_)/, '')
        for (let i = 0; i + 8 <= core.length; i++)
          assert.ok(!told.includes(core.slice(i, i + 8)), told)
      }
    }),
    { numRuns: 50 },
  )
})

test('after twenty failures an address hears 429 for further ones, and its valid key still works', () => {
  const { secret, present, refusal } = world()
  for (let i = 0; i < 20; i++)
    assert.equal(refusal({ apiKey: makeKeySecret() }).code, 'invalid_api_key', `failure ${i + 1}`)
  const late = refusal({ apiKey: makeKeySecret() })
  assert.equal(late.code, 'too_many_attempts')
  assert.deepEqual([late.facts.seconds, late.retryAfterMs], [3, 3_000])
  assert.equal(present({ apiKey: secret }).key.id, 'key_1')
  assert.equal(
    refusal({ apiKey: makeKeySecret(), countedAddress: '203.0.113.8' }).code,
    'invalid_api_key',
  )
  assert.equal(refusal({ apiKey: makeKeySecret() }, NOW + 3_000).code, 'invalid_api_key')
})

test('refused tries while locked out do not make the lock longer', () => {
  const { refusal } = world()
  for (let i = 0; i < 200; i++) refusal({ apiKey: 'cc_user_x' })
  assert.equal(refusal({ apiKey: 'cc_user_x' }, NOW + 3_000).code, 'malformed_api_key')
})

test('loopback without a proxy is never locked out, and a suspended user never counts', () => {
  const { refusal } = world()
  for (let i = 0; i < 50; i++)
    assert.equal(refusal({ apiKey: makeKeySecret(), countedAddress: null }).code, 'invalid_api_key')
  const suspended = world({ userState: 'suspended' })
  for (let i = 0; i < 50; i++)
    assert.equal(suspended.refusal({ apiKey: suspended.secret }).code, 'user_suspended')
})

test('nothing but a known key is ever let in', () => {
  fc.assert(
    fc.property(fc.option(fc.string()), fc.option(fc.string()), (apiKey, bearer) => {
      const { refusal } = world()
      const error = refusal({
        apiKey: apiKey ?? undefined,
        authorization: bearer === null ? undefined : `Bearer ${bearer}`,
      })
      assert.match(error.code, /api_key|anthropic_key_sent|conflicting/)
    }),
    { numRuns: 100 },
  )
})
