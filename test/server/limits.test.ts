import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertClean, codeOf } from '../support/bills.ts'
import { type World, world } from '../support/world.ts'

const by = () => ({ actor: 'test', nowMs: Date.now() })

async function ask(w: World, body: Record<string, unknown> = {}, key = w.key) {
  const response = await w.post(body, { 'x-api-key': key })
  const text = await response.text()
  return { response, status: response.status, code: codeOf(text), text }
}

async function keyIdOf(w: World, ref: string): Promise<string> {
  const found = await w.store.findKey(ref)
  if (found.kind !== 'found') throw new Error(`no key ${ref}`)
  return found.value.id
}

test('of two hundred requests at once exactly as many pass as the key’s rate allows', async (t) => {
  const w = await world(t, { creditMicro: 100_000_000 })
  const key = await w.newKey('alice', 'limited', { rpmLimit: 20 })
  const startedMs = performance.now()
  const results = await Promise.all(Array.from({ length: 200 }, () => ask(w, {}, key)))
  const refilled = Math.floor((performance.now() - startedMs) / 3_000)
  const passed = results.filter(({ status }) => status === 200).length
  assert.ok(passed >= 20 && passed <= 20 + refilled, `${passed} passed, ${refilled} refilled`)
  assert.equal(w.sandbox.counters.messages, passed)
  for (const { status, code, response, text } of results) {
    const header = (name: string) => response.headers.get(name)
    assert.equal(header('anthropic-ratelimit-requests-limit'), '20')
    const resetMs = Date.parse(header('anthropic-ratelimit-requests-reset') ?? '')
    assert.ok(resetMs > Date.now() - 60_000 && resetMs <= Date.now() + 61_000)
    if (status === 200) continue
    assert.equal(status, 429, text)
    assert.equal(code, 'key_rpm_exceeded')
    assert.equal(header('anthropic-ratelimit-requests-remaining'), '0')
    const seconds = Number(header('retry-after'))
    const exactMs = Number(header('retry-after-ms'))
    // One more every three seconds.
    assert.ok(seconds >= 1 && seconds <= 3 && exactMs <= seconds * 1_000)
    assert.equal(header('x-should-retry'), null)
  }
  const remaining = results
    .filter(({ status }) => status === 200)
    .map(({ response }) => Number(response.headers.get('anthropic-ratelimit-requests-remaining')))
  if (refilled === 0)
    assert.deepEqual(
      remaining.toSorted((a, b) => a - b),
      range(20),
    )
  // Another key of the same user has a rate of its own, here none at all.
  const free = await ask(w)
  assert.equal(free.status, 200)
  assert.equal(free.response.headers.get('anthropic-ratelimit-requests-limit'), null)
  await assertClean(w)
})

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i)
}

test('counting tokens spends the key’s rate and no credit', async (t) => {
  const w = await world(t, { creditMicro: 0, key: { rpmLimit: 3 } })
  const count = async () => {
    const response = await fetch(`${w.url}/v1/messages/count_tokens`, {
      method: 'POST',
      headers: { 'x-api-key': w.key },
      body: JSON.stringify({
        model: 'claude-sonnet-4-6',
        messages: [{ role: 'user', content: 'Hello' }],
      }),
    })
    return response.status
  }
  assert.deepEqual(
    [await count(), await count(), await count(), await count()],
    [200, 200, 200, 429],
  )
  assert.equal((await ask(w)).code, 'key_rpm_exceeded')
})

test('as many requests run at once as the key allows, and one ending lets the next in', async (t) => {
  const w = await world(t, { key: { concurrencyLimit: 3 } })
  w.sandbox.setFault('*', 'first_byte_ms=300')
  const results = await Promise.all(Array.from({ length: 20 }, () => ask(w)))
  const statuses = results.map(({ status }) => status)
  assert.equal(statuses.filter((status) => status === 200).length, 3, `${statuses}`)
  assert.equal(w.sandbox.counters.peakInFlight, 3)
  const refused = results.filter(({ status }) => status === 429)
  assert.equal(refused.length, 17)
  for (const { code, response } of refused) {
    assert.equal(code, 'key_concurrency_exceeded')
    assert.equal(response.headers.get('retry-after'), '1')
  }
  w.sandbox.clearFaults()
  for (let i = 0; i < 10; i++) assert.equal((await ask(w, { stream: i % 2 === 0 })).status, 200)
  // A refusal or failure gives its slot back as well.
  w.sandbox.setFault('*', 'status=400')
  for (let i = 0; i < 10; i++) assert.equal((await ask(w)).status, 400)
  for (let i = 0; i < 10; i++) assert.equal((await ask(w, { model: 'nope' })).status, 404)
  w.sandbox.clearFaults()
  assert.equal((await ask(w)).status, 200)
  await assertClean(w)
})

test('what is changed elsewhere is in force on the very next request', async (t) => {
  const w = await world(t)
  const ok = async (body: Record<string, unknown> = {}) => {
    const { status, text } = await ask(w, body)
    assert.equal(status, 200, text)
  }
  const refused = async (wanted: string, body: Record<string, unknown> = {}) => {
    const { status, code, response } = await ask(w, body)
    assert.equal(code, wanted, `${status}`)
    return { status, response }
  }
  await ok()

  await w.store.limitKey(w.keyId, { rpmLimit: 1 }, null, by())
  await ok()
  await refused('key_rpm_exceeded')
  await w.store.limitKey(w.keyId, { rpmLimit: 1_000 }, null, by())
  await ok()
  await w.store.limitKey(w.keyId, { rpmLimit: null }, null, by())
  await ok()

  await w.store.limitKey(w.keyId, { models: ['claude-haiku-*'] }, null, by())
  assert.equal((await refused('model_not_allowed')).status, 403)
  await ok({ model: 'claude-haiku-4-5-20251001' })
  await w.store.limitKey(w.keyId, { models: ['*'] }, null, by())
  await ok()

  await w.store.limitKey(w.keyId, { expiresAtMs: Date.now() - 1 }, null, by())
  assert.equal((await refused('expired_api_key')).status, 401)
  await w.store.limitKey(w.keyId, { expiresAtMs: Date.now() + 60_000 }, null, by())
  await ok()

  await w.store.limitKey(w.keyId, { concurrencyLimit: 1 }, null, by())
  const running = await w.post({ stream: true }, { 'x-sandbox': 'output_tokens=30,token_rate=100' })
  await refused('key_concurrency_exceeded')
  await running.text()
  await ok()
  await w.store.limitKey(w.keyId, { concurrencyLimit: null }, null, by())

  const disable = (name: string, disabled: { reason: null } | null) =>
    w.store.setAccountDisabled(w.accountIds[name], disabled, by())
  await disable('one', { reason: null })
  for (let i = 0; i < 4; i++) {
    const { response } = await ask(w)
    assert.equal(response.headers.get('x-cc-account-id'), w.accountIds.two)
  }
  await disable('two', { reason: null })
  assert.equal((await refused('no_healthy_account')).status, 503)
  await disable('one', null)
  await ok()

  const late = await w.newKey('alice', 'late')
  assert.equal((await ask(w, {}, late)).status, 200)
  await w.store.revokeKey(await keyIdOf(w, 'alice/late'), 'test', by())
  const revoked = await ask(w, {}, late)
  assert.equal(revoked.status, 401)
  assert.equal(revoked.code, 'revoked_api_key')
  assert.equal(revoked.response.headers.get('www-authenticate'), 'Bearer realm="ccgate"')
  await assertClean(w)
})

test('a grant turns 402 into 200 on the next request', async (t) => {
  const w = await world(t, { creditMicro: 0 })
  for (let i = 1; i <= 5; i++) {
    assert.equal((await ask(w)).code, 'insufficient_credit')
    const credit = {
      id: `led_0000000000000000000000000${i}`,
      userId: w.userId,
      type: 'grant' as const,
      amountMicro: 2_100,
      ref: null,
      note: null,
    }
    assert.equal((await w.store.addCredit(credit, by())).kind, 'added')
    assert.equal((await ask(w)).status, 200)
    const { balanceMicro } = await w.wallet()
    const takeBack = { ...credit, id: `led_1000000000000000000000000${i}`, type: 'adjust' as const }
    await w.store.addCredit({ ...takeBack, amountMicro: -balanceMicro }, by())
  }
  await assertClean(w)
})

test('a count takes a slot of its key, and a stop ends it', async (t) => {
  const w = await world(t, { key: { concurrencyLimit: 1 } })
  const count = async (fault: string) => {
    const response = await fetch(`${w.url}/v1/messages/count_tokens`, {
      method: 'POST',
      headers: { 'x-api-key': w.key, 'x-sandbox': fault },
      body: JSON.stringify({
        model: 'claude-sonnet-4-6',
        messages: [{ role: 'user', content: 'Hello' }],
      }),
    })
    return [response.status, codeOf(await response.text())]
  }
  const slow = count('first_byte_ms=30000')
  while (w.sandbox.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  assert.deepEqual(await count(''), [429, 'key_concurrency_exceeded'])
  assert.equal((await ask(w)).code, 'key_concurrency_exceeded')
  await w.stop(0)
  assert.deepEqual(await slow, [503, 'draining'])
})

test('the models of a key are those it may list and use, fallbacks included', async (t) => {
  const w = await world(t, { key: { models: ['claude-sonnet-*'] }, creditMicro: 100_000_000 })
  const list = await fetch(`${w.url}/v1/models?limit=1000`, { headers: { 'x-api-key': w.key } })
  const { data } = (await list.json()) as { data: { id: string }[] }
  assert.ok(data.length > 0 && data.every(({ id }) => id.startsWith('claude-sonnet-')))
  assert.equal((await ask(w)).status, 200)
  const { status, code } = await ask(w, { model: 'claude-opus-5' })
  assert.deepEqual([status, code], [403, 'model_not_allowed'])
  const fallbacks = [{ model: 'claude-opus-5' }]
  assert.equal((await ask(w, { fallbacks })).code, 'model_not_allowed')
  const tools = [{ type: 'advisor_20260301', name: 'advisor', model: 'claude-opus-5' }]
  assert.equal((await ask(w, { tools })).code, 'model_not_allowed')
  assert.equal((await ask(w, { fallbacks: 'default' })).code, 'model_not_allowed')
  assert.equal(w.sandbox.counters.messages, 1)
})

test('accounts keep their own rate and concurrency: requests wait for slots, not for a rate that is far', async (t) => {
  const w = await world(t, {
    accountLimits: { rpmLimit: 5, concurrencyLimit: 2 },
    config: (config) => ({ ...config, queue: { ...config.queue, maxWaitMs: 5_000 } }),
  })
  w.sandbox.setFault('*', 'first_byte_ms=200')
  const first = await Promise.all(Array.from({ length: 10 }, () => ask(w)))
  assert.equal(first.filter(({ status }) => status === 200).length, 10)
  assert.equal(w.sandbox.counters.peakInFlight, 4)
  // Five a minute each: the next one comes back twelve seconds after the first has left.
  const { status, code, response } = await ask(w)
  assert.deepEqual([status, code], [429, 'account_rpm_exceeded'])
  assert.ok(Number(response.headers.get('retry-after')) <= 12)
  await assertClean(w)
})
