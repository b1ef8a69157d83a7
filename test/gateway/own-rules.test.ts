import assert from 'node:assert/strict'
import { test } from 'node:test'
import { httpProxy, socksProxy } from '../support/proxies.ts'
import { type World, world } from '../support/world.ts'

const BY = { actor: 'test', nowMs: Date.now() }
const SLOW_QUEUE = { maxWaitMs: 0 }

async function ask(w: World, body: Record<string, unknown> = {}, headers = {}) {
  const response = await w.post(body, headers)
  const text = await response.text()
  return { status: response.status, headers: response.headers, text }
}

/** Accounts that messages or counts went to, in order. */
function asked(w: World, path = '/v1/messages'): readonly (string | null)[] {
  return w.sandbox.requests.filter((one) => one.path === path).map(({ account }) => account)
}

/** Hours that are over: they were an hour long and ended two days ago, in UTC. */
function overHours(): string {
  const days = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']
  return `${days[(new Date().getUTCDay() + 5) % 7]} 10:00-11:00`
}

test('a key that is confined to tags is served by accounts that carry one, whatever it asks for', async (t) => {
  const w = await world(t, {
    accounts: ['one', 'two', 'three'],
    account: (name) => (name === 'two' ? { tags: ['eu', 'vip'] } : { tags: ['us'] }),
    key: { accountTags: ['vip'] },
  })
  for (let i = 0; i < 6; i++) assert.equal((await ask(w, { stream: i % 2 === 0 })).status, 200)
  assert.deepEqual(new Set(asked(w)), new Set(['two']))
  const count = await fetch(`${w.url}/v1/messages/count_tokens`, {
    method: 'POST',
    headers: { 'x-api-key': w.key, 'anthropic-version': '2023-06-01' },
    body: JSON.stringify({
      model: 'claude-sonnet-4-6',
      messages: [{ role: 'user', content: 'Hello' }],
    }),
  })
  assert.equal(count.status, 200)
  await count.text()
  assert.deepEqual(asked(w, '/v1/messages/count_tokens'), ['two'])

  // Trouble there does not open the others to it.
  w.sandbox.setFault('two', 'status=401', { times: 1 })
  const refused = await ask(w)
  assert.equal(refused.status, 503)
  assert.deepEqual(new Set(asked(w)), new Set(['two']))

  // Other tags are in force at once.
  await w.store.updateAccount(w.accountIds.three, { tags: ['vip'] }, BY)
  assert.equal((await ask(w)).status, 200)
  assert.equal(asked(w).at(-1), 'three')
})

test('what is warm where a key may not go lends it no money, and is nothing to wait for', async (t) => {
  const w = await world(t, {
    accounts: ['one', 'two'],
    account: (name) => (name === 'one' ? { tags: ['us'] } : { tags: ['eu'] }),
    key: { accountTags: ['us'] },
    creditMicro: 1_000_000,
  })
  // 400 KB: $0.41 to write and $0.03 to read.
  const text = 'Once upon a time there was a long book. '.repeat(10_000)
  const system = [{ type: 'text', text, cache_control: { type: 'ephemeral' } }]
  const about = { model: 'claude-sonnet-4-6', max_tokens: 500, stream: true, system }
  assert.equal((await ask(w, about)).status, 200)
  const { balanceMicro } = await w.wallet()
  const adjust = {
    type: 'adjust',
    amountMicro: 300_000 - balanceMicro,
    allowNegative: true,
  } as const
  await w.store.addCredit({ id: 'led_1', userId: w.userId, ref: null, note: null, ...adjust }, BY)
  assert.equal((await ask(w, about)).status, 200, 'it is warm where it may go')
  await w.store.limitKey(w.keyId, { accountTags: ['eu'] }, null, BY)
  const { status, text: refusal } = await ask(w, about)
  assert.equal(status, 402, refusal)
  assert.deepEqual(asked(w), ['one', 'one'])
})

test('a key whose tags no account carries is told so, and not to wait', async (t) => {
  const w = await world(t, { accounts: ['one'], key: { accountTags: ['nowhere'] } })
  const { status, text, headers } = await ask(w)
  assert.equal(status, 503)
  assert.match(text, /"overloaded_error"/)
  assert.match(text, /there is none that this key may use/)
  assert.equal(headers.get('x-should-retry'), 'false')
  assert.deepEqual(asked(w), [])
})

test('outside their hours accounts get nothing; their running streams go on', async (t) => {
  const w = await world(t, { accounts: ['one', 'two'] })
  await w.store.updateAccount(w.accountIds.two, { hours: overHours() }, BY)
  for (let i = 0; i < 3; i++) assert.equal((await ask(w)).status, 200)
  assert.deepEqual(new Set(asked(w)), new Set(['one']))
  const slow = await w.post({ stream: true }, { 'x-sandbox': 'output_tokens=20,token_rate=40' })
  await w.store.updateAccount(w.accountIds.one, { hours: overHours() }, BY)
  const refused = await ask(w)
  assert.equal(refused.status, 503)
  assert.match(
    refused.text,
    /all are outside their working hours; the next one opens in about \d+ (hours|days)/,
  )
  assert.equal(refused.headers.get('retry-after'), '60')
  assert.equal(refused.headers.get('x-should-retry'), 'false')
  assert.match(await slow.text(), /event: message_stop/)
})

test('an account over its tokens per minute is left out, and returns by itself', async (t) => {
  const w = await world(t, {
    accounts: ['one', 'two'],
    account: (name) => (name === 'one' ? { tpmLimit: 60 } : { priority: 2 }),
    config: (config) => ({ ...config, queue: { ...config.queue, ...SLOW_QUEUE } }),
  })
  // Twenty tokens or so go up, forty come down: the sixty are gone, and a second brings one back.
  assert.equal((await ask(w, { stream: true }, { 'x-sandbox': 'output_tokens=80' })).status, 200)
  assert.equal((await ask(w)).status, 200)
  assert.deepEqual(asked(w), ['one', 'two'])
  await w.store.updateAccount(w.accountIds.two, { tpmLimit: 1 }, BY)
  assert.equal((await ask(w)).status, 200, 'it is not over its own yet')
  const refused = await ask(w)
  assert.equal(refused.status, 429)
  const seconds = Number(refused.headers.get('retry-after'))
  assert.ok(seconds >= 1 && seconds <= 60, `${seconds}`)
})

test('an account whose fast mode is limited serves on at usual speed', async (t) => {
  const w = await world(t, { accounts: ['one', 'two'] })
  const fast = { model: 'claude-opus-5-5', speed: 'fast' }
  w.sandbox.setFault('*', 'status=429,retry_after=30,reset=none', { times: 1 })
  assert.equal((await ask(w, fast)).status, 200)
  const [limited, other] = asked(w)
  assert.notEqual(limited, other)
  w.sandbox.forget()
  for (let i = 0; i < 4; i++) assert.equal((await ask(w, fast)).status, 200)
  assert.deepEqual(new Set(asked(w)), new Set([other]))
  w.sandbox.forget()
  for (let i = 0; i < 4; i++)
    assert.equal((await ask(w, { ...fast, speed: undefined })).status, 200)
  assert.ok(asked(w).includes(limited))
})

test('requests, counts and probes go through the proxy of their account, else the one of the config', async (t) => {
  const [shared, own] = [await httpProxy(t), await socksProxy(t, { login: 'bob:word' })]
  const w = await world(t, {
    accounts: ['one', 'two'],
    account: (name) => ({ priority: name === 'one' ? 1 : 2 }),
    proxies: { one: `socks5://bob:word@127.0.0.1:${own.port}` },
    config: (config) => ({
      ...config,
      cooldown: { ...config.cooldown, probeEveryMs: 200 },
      upstream: { ...config.upstream, proxy: `http://127.0.0.1:${shared.port}` },
    }),
  })
  const { host } = new URL(w.sandbox.url)
  assert.equal((await ask(w)).status, 200)
  assert.deepEqual([own.asked, shared.asked], [[host], []])
  w.sandbox.setFault('one', 'status=401', { times: 1 })
  assert.equal((await ask(w)).status, 200)
  assert.deepEqual(asked(w), ['one', 'one', 'two'])
  assert.deepEqual(shared.asked, [host])
  // The free probe of the first one finds it well again; it has no other way there than its proxy.
  for (let i = 0; i < 200 && asked(w, '/v1/models').length === 0; i++)
    await new Promise((resolve) => setTimeout(resolve, 20))
  assert.deepEqual(asked(w, '/v1/models').slice(0, 1), ['one'])
  assert.deepEqual(shared.asked, [host])
})

test('a proxy that refuses is a failure before anything was sent: others serve, and no secret is told', async (t) => {
  const refusing = await httpProxy(t, { login: 'bob:right' })
  const w = await world(t, {
    accounts: ['one', 'two'],
    account: (name) => ({ priority: name === 'one' ? 1 : 2 }),
    proxies: { one: `http://bob:wrong-word@127.0.0.1:${refusing.port}` },
  })
  for (let i = 0; i < 4; i++) assert.equal((await ask(w)).status, 200)
  assert.deepEqual(new Set(asked(w)), new Set(['two']))
  await w.settled()
  const { rows } = await w.store.listUsage({ limit: 10 })
  const refused = rows.flatMap(({ attempts }) => attempts).filter(({ outcome }) => outcome !== 'ok')
  assert.deepEqual(
    new Set(refused.map(({ reason }) => reason)),
    new Set(['no connection (proxy refused: 407)']),
  )
  const log = w.log.join('')
  assert.match(log, /no connection \(proxy refused: 407\)/)
  assert.doesNotMatch(log, /wrong-word/)
  await w.stop(5_000)
  const events = await w.store.listAccountEvents(w.accountIds.one, 10)
  assert.deepEqual(
    events.map(({ kind, message }) => [kind, message]),
    [['cooling', 'no connection (proxy refused: 407)']],
  )
})
