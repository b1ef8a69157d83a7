import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { assertClean, eventsOf } from '../support/bills.ts'
import { rawUpstream } from '../support/raw-upstream.ts'
import { type World, type WorldOptions, world } from '../support/world.ts'

/** A gateway that makes nobody wait for an account. */
function impatient(t: TestContext, options: WorldOptions = {}): Promise<World> {
  return world(t, {
    ...options,
    config: (config) => ({ ...config, queue: { ...config.queue, maxWaitMs: 0 } }),
  })
}

async function ask(w: World, body: Record<string, unknown> = {}, headers = {}) {
  const response = await w.post(body, headers)
  const text = await response.text()
  const id = response.headers.get('x-cc-request-id') ?? ''
  return { status: response.status, headers: response.headers, text, id }
}

async function cap(w: World, account: string, dayCapMicro: number): Promise<void> {
  const by = { actor: 'test', nowMs: Date.now() }
  await w.store.updateAccount(w.accountIds[account], { dayCapMicro }, by)
}

const SEARCHES = [{ type: 'web_search_20250305', name: 'web_search', max_uses: 9_000 }]

test('a stream takes of a cap what is held for it, not all that its body allows', async (t) => {
  const w = await impatient(t, { accounts: ['one'] })
  // $90 of searches and more.
  await cap(w, 'one', 20_000_000)
  const slow = await w.post(
    { stream: true, tools: SEARCHES },
    { 'x-sandbox': 'output_tokens=100,token_rate=100' },
  )
  assert.equal(slow.status, 200)
  const { heldMicro } = await w.wallet()
  assert.ok(heldMicro > 0 && heldMicro < 1_000_000, `${heldMicro}`)
  assert.equal((await ask(w)).status, 200)
  assert.equal(eventsOf(await slow.text()).at(-1)?.event, 'message_stop')
  await assertClean(w)
})

test('what only reservations keep away may come again in a moment, and is served then', async (t) => {
  const w = await impatient(t, { accounts: ['one'] })
  const { holdMicro, costMicro } = await w.usage((await ask(w)).id)
  await cap(w, 'one', costMicro + holdMicro + costMicro)
  const slow = await w.post({ stream: true }, { 'x-sandbox': 'output_tokens=20,token_rate=40' })
  const refused = await ask(w)
  assert.notEqual(refused.status, 200)
  assert.equal(refused.headers.get('retry-after'), '1')
  await slow.text()
  assert.equal((await ask(w, {}, { 'x-sandbox': 'output_tokens=1' })).status, 200)
})

test('the reservation of a stream grows with what is held for it', async (t) => {
  const w = await world(t, {
    accounts: ['one'],
    config: (config) => ({
      ...config,
      queue: { ...config.queue, maxWaitMs: 0 },
      billing: { ...config.billing, holdStepTokens: 200 },
    }),
    // Whatever users pay, it takes its list price of the account's budget.
    key: { markup: [1, 10] },
  })
  const small = { max_tokens: 10 }
  // $15 per million tokens: room for one step and the small one, but not for three steps.
  await cap(w, 'one', 8_000)
  const slow = await w.post(
    { stream: true, max_tokens: 20_000 },
    { 'x-sandbox': 'output_tokens=500,token_rate=200' },
  )
  assert.equal((await ask(w, small)).status, 200)
  let isOver = false
  const reading = slow.text().then(() => {
    isOver = true
  })
  const waits: (string | null)[] = []
  while (!isOver && waits.length === 0) {
    const { status, headers } = await ask(w, small, { 'x-sandbox': 'output_tokens=1' })
    if (status !== 200) waits.push(headers.get('retry-after'))
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  assert.deepEqual(waits, ['1'])
  await reading
})

test('a request that is refused for want of credit leaves nothing reserved', async (t) => {
  const w = await impatient(t, { accounts: ['one'] })
  const poor = await w.newKey('bob', 'poor')
  const { holdMicro, costMicro } = await w.usage((await ask(w)).id)
  await cap(w, 'one', costMicro + holdMicro)
  assert.equal((await ask(w, {}, { 'x-api-key': poor })).status, 402)
  assert.equal((await ask(w)).status, 200)
})

test('a request that is sent elsewhere is reserved there', async (t) => {
  const w = await impatient(t, { account: (name) => ({ priority: name === 'one' ? 1 : 2 }) })
  const { holdMicro, costMicro } = await w.usage((await ask(w)).id)
  await cap(w, 'one', costMicro + holdMicro + 100)
  await cap(w, 'two', holdMicro + 100)
  w.sandbox.setFault('one', 'status=429,retry_after=30')
  w.sandbox.setFault('two', 'output_tokens=40,token_rate=40')
  const slow = await w.post({ stream: true })
  assert.equal(w.sandbox.requests.length, 3, 'it was sent to both')
  assert.equal(slow.headers.get('x-cc-account-id'), w.accountIds.two)
  w.sandbox.clearFaults()
  assert.notEqual((await ask(w)).status, 200, 'what runs is reserved where it runs')
  assert.equal(eventsOf(await slow.text()).at(-1)?.event, 'message_stop')
})

test('an error that upstream states costs an account nothing, one that broke off the prompt at most', async (t) => {
  const w = await impatient(t, { accounts: ['one'] })
  const lossOf = async (fault: string, body: Record<string, unknown> = {}) => {
    const { id, status } = await ask(w, body, { 'x-sandbox': fault })
    assert.equal(status, 502)
    return (await w.usage(id)).attempts.map(({ listCostMicro }) => listCostMicro)
  }
  assert.deepEqual(await lossOf('status=500'), [0])
  const [loss] = await lossOf('at=before_headers,how=reset')
  assert.ok(loss > 0 && loss < 1_000, `${loss}`)
  // A client that waits for less than an answer takes has had its prompt read all the same.
  const hurried = { 'x-stainless-timeout': '1', 'x-sandbox': 'first_byte_ms=3000' }
  const late = await ask(w, {}, hurried)
  assert.equal(late.status, 504)
  assert.deepEqual(
    (await w.usage(late.id)).attempts.map(({ outcome, listCostMicro }) => [outcome, listCostMicro]),
    [['abandoned', loss]],
  )
  const dear = { max_tokens: 64_000, tools: SEARCHES, stream: true }
  const [same] = await lossOf('at=before_headers,how=reset', dear)
  assert.ok(same < 5_000, `${same}`)
  await assertClean(w)
})

test('a stream that begins with an error costs its account nothing', async (t) => {
  const data = '{"type":"error","error":{"type":"api_error","message":"Internal server error"}}'
  const upstream = await rawUpstream(t, (_, socket) => {
    const head = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n'
    socket.end(`${head}event: error\ndata: ${data}\n\n`)
  })
  const w = await impatient(t, { accounts: ['one'], account: () => ({ baseUrl: upstream.url }) })
  const { id, status } = await ask(w, { stream: true })
  assert.equal(status, 502)
  const [{ outcome, listCostMicro }] = (await w.usage(id)).attempts
  assert.deepEqual([outcome, listCostMicro], ['server_error', 0])
})

test('a running stream counts in what its key burns', async (t) => {
  const w = await world(t)
  const key = await w.newKey('alice', 'fused', { burnLimitMicro: 50_000 })
  const own = { 'x-api-key': key }
  // What this key's requests cost as a rule.
  assert.equal((await ask(w, {}, own)).status, 200)
  const long = [{ role: 'user', content: 'word '.repeat(60_000) }]
  const slow = await w.post(
    { stream: true, messages: long },
    { ...own, 'x-sandbox': 'output_tokens=60,token_rate=40' },
  )
  assert.equal(slow.status, 200)
  assert.equal((await ask(w, {}, own)).status, 429)
  await slow.text()
})

test('a request costs what was in force when it was admitted, whatever is when it ends', async (t) => {
  const w = await world(t)
  const before = await w.usage((await ask(w)).id)
  const nowMs = Date.now()
  const rates = {
    input: 30_000_000,
    output: 150_000_000,
    cacheRead: 3_000_000,
    cacheWrite5m: 37_500_000,
    cacheWrite1h: 60_000_000,
  }
  const value = {
    rates,
    contextWindow: 200_000,
    maxOutput: 64_000,
    imageTokenCap: 1_600,
    minimumCacheTokens: 1_024,
    status: 'active',
    inferenceGeo: true,
    modelClass: 'sonnet',
  }
  const change = { kind: 'price', subject: 'claude-sonnet-4-6', value, source: 'set' } as const
  const effectiveAtMs = nowMs + 1_500
  await w.store.addPriceChanges([{ ...change, effectiveAtMs }], { actor: 'test', nowMs })
  const running = ask(w, {}, { 'x-sandbox': 'first_byte_ms=2000' })
  const row = await w.usage((await running).id)
  assert.ok(row.createdAtMs < effectiveAtMs && Date.now() > effectiveAtMs)
  assert.deepEqual([row.tokens, row.costMicro], [before.tokens, before.costMicro])
  assert.equal(row.receipt?.listCostMicro ?? row.costMicro, before.costMicro)
  assert.equal((await w.usage((await ask(w)).id)).costMicro, before.costMicro * 10)
  await assertClean(w)
})
