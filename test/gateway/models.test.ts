import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Config } from '../../src/config/config.ts'
import type { NewPriceChange } from '../../src/store/store.ts'
import { assertClean } from '../support/bills.ts'
import { rawUpstream } from '../support/raw-upstream.ts'
import { type World, world } from '../support/world.ts'

const SONNET = 'claude-sonnet-4-6'

async function change(
  w: World,
  ...changes: readonly Pick<NewPriceChange, 'kind' | 'subject' | 'value'>[]
): Promise<void> {
  const nowMs = Date.now()
  const result = await w.store.addPriceChanges(
    changes.map((one) => ({ ...one, effectiveAtMs: nowMs, source: 'set' })),
    { actor: 'cli:test', nowMs },
  )
  assert.equal(result.kind, 'added')
}

const models =
  (changes: Partial<Config['models']['lists']>) =>
  (config: Config): Config => ({
    ...config,
    models: { ...config.models, lists: { ...config.models.lists, ...changes } },
  })

async function ask(w: World, body: Record<string, unknown> = {}) {
  const response = await w.post(body)
  const text = await response.text()
  const id = response.headers.get('x-cc-request-id') ?? ''
  return { status: response.status, id, text }
}

async function get(w: World, path: string) {
  const response = await fetch(`${w.url}${path}`, { headers: { 'x-api-key': w.key } })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

async function listed(w: World): Promise<readonly string[]> {
  const { body } = await get(w, '/v1/models?limit=1000')
  return (body.data as readonly { readonly id: string }[]).map(({ id }) => id)
}

test('a mark-up that a command sets is in force on the next request; its receipt shows both sums', async (t) => {
  const w = await world(t)
  const before = await w.usage((await ask(w)).id)
  assert.equal(before.receipt?.markup, undefined)
  await change(w, { kind: 'markup', subject: 'claude-sonnet-*', value: [3, 2] })
  const { status, id } = await ask(w)
  assert.equal(status, 200)
  const { receipt, costMicro } = await w.usage(id)
  assert.deepEqual(receipt?.markup, [3, 2])
  assert.equal(receipt?.priceVersion, '2026-11-22+1')
  assert.equal(costMicro, Math.ceil((receipt?.listCostMicro ?? 0) * 1.5))
  await assertClean(w)
})

test('a request keeps the prices of its admission, whatever is set while it runs', async (t) => {
  const w = await world(t)
  const running = w.post({ stream: true }, { 'x-sandbox': 'first_byte_ms=500' })
  for (let i = 0; i < 400 && (await w.store.listOpenHolds()).length === 0; i++)
    await new Promise((resolve) => setTimeout(resolve, 5))
  assert.equal((await w.store.listOpenHolds()).length, 1)
  await change(w, { kind: 'markup', subject: '*', value: [5, 1] })
  const other = await ask(w)
  const response = await running
  await response.text()
  const row = await w.usage(response.headers.get('x-cc-request-id') ?? '')
  assert.equal(row.receipt?.markup, undefined)
  assert.deepEqual((await w.usage(other.id)).receipt?.markup, [5, 1])
})

test('an alias of ours goes up as the model it stands for; every other byte stays', async (t) => {
  const w = await world(t)
  await change(w, { kind: 'alias', subject: 'fast', value: 'claude-haiku-4-5' })
  const spelled =
    '{ "max_tokens" :  12,\n"model"\t: "f\\u0061st" , "messages": [{"role":"user","content":"fast \\u00e9"}], "metadata": {"user_id": "fast"} }'
  const response = await fetch(`${w.url}/v1/messages`, {
    method: 'POST',
    headers: { 'x-api-key': w.key, 'content-type': 'application/json' },
    body: spelled,
  })
  assert.equal(response.status, 200, await response.clone().text())
  await response.text()
  const sent = w.sandbox.requests.at(-1)?.body.toString('utf8')
  assert.equal(sent, spelled.replace('"f\\u0061st"', '"claude-haiku-4-5"'))
  const row = await w.usage(response.headers.get('x-cc-request-id') ?? '')
  assert.equal(row.model, 'claude-haiku-4-5')
  const count = await fetch(`${w.url}/v1/messages/count_tokens`, {
    method: 'POST',
    headers: { 'x-api-key': w.key, 'content-type': 'application/json' },
    body: '{"model": "fast", "messages": [{"role": "user", "content": "hi"}]}',
  })
  assert.equal(count.status, 200)
  await count.text()
  assert.match(
    w.sandbox.requests.at(-1)?.body.toString('utf8') ?? '',
    /"model": "claude-haiku-4-5",/,
  )
  await assertClean(w)
})

test('models of ours, by their aliases too, are listed and found', async (t) => {
  const w = await world(t, {
    config: models({ deny: ['claude-fable-*'], aliases: { best: 'claude-opus-5-5' } }),
  })
  await change(w, { kind: 'served', subject: SONNET, value: false })
  const ids = await listed(w)
  assert.equal(ids[ids.indexOf('best') - 1], 'claude-opus-5-5')
  assert.ok(!ids.some((id) => id.startsWith('claude-fable') || id === SONNET))
  const best = await get(w, '/v1/models/best')
  assert.deepEqual([best.body.id, best.body.display_name], ['best', 'Claude Opus 5.5'])
  assert.equal((await get(w, '/v1/models/claude-opus-4-5')).body.id, 'claude-opus-4-5-20251101')
  assert.equal((await get(w, `/v1/models/${SONNET}`)).status, 404)
})

test('what is denied, disabled or not on the list is not found, and never named as the nearest', async (t) => {
  const w = await world(t, { config: models({ allow: ['claude-*'], deny: ['claude-opus-5'] }) })
  const denied = await ask(w, { model: 'claude-opus-5' })
  assert.equal(denied.status, 404)
  assert.match(denied.text, /No model named claude-opus-5 here\. Did you mean claude-opus-5-5\?/)
  await change(w, { kind: 'served', subject: 'claude-opus-5-5', value: false })
  assert.doesNotMatch((await ask(w, { model: 'claude-opus-5' })).text, /mean claude-opus-5/)
  await change(w, { kind: 'served', subject: 'claude-opus-5-5', value: null })
  assert.equal((await ask(w, { model: 'claude-opus-5-5' })).status, 200)
})

test('a key for an alias may use what that stands for, and nothing else', async (t) => {
  const w = await world(t, {
    key: { models: ['fast'] },
    config: models({ aliases: { fast: 'claude-haiku-4-5' } }),
  })
  assert.equal((await ask(w, { model: 'fast' })).status, 200)
  assert.equal((await ask(w, { model: 'claude-haiku-4-5-20251001' })).status, 200)
  assert.equal((await ask(w)).status, 403)
  assert.deepEqual(await listed(w), ['claude-haiku-4-5-20251001', 'fast'])
})

test('a model that nobody knows is refused, or served at the price of another one and marked', async (t) => {
  const body = JSON.stringify({
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model: 'claude-opus-9',
    content: [{ type: 'text', text: 'hi' }],
    stop_reason: 'end_turn',
    usage: { input_tokens: 1_000, output_tokens: 10 },
  })
  const upstream = await rawUpstream(t, (_request, socket) => {
    socket.write(
      `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    )
  })
  const w = await world(t, { accounts: ['one'], account: () => ({ baseUrl: upstream.url }) })
  assert.equal((await ask(w, { model: 'claude-opus-9' })).status, 404)
  await change(w, { kind: 'price', subject: '*', value: { priceAs: 'claude-opus-5' } })
  const { status, id, text } = await ask(w, { model: 'claude-opus-9' })
  assert.equal(status, 200, text)
  const row = await w.usage(id)
  assert.equal(row.costMicro, 5_000 + 250)
  assert.equal(row.receipt?.lines[0].note, 'model_unknown_configured_price')
  assert.equal((await ask(w, { model: 'two words' })).status, 404)
  assert.ok(!(await listed(w)).includes('claude-opus-9'))
  await assertClean(w)
})

async function restarted(t: TestContext, changes: Config['models']['changes']) {
  let current = changes
  const w = await world(t, {
    config: (config) => ({
      ...config,
      models: {
        ...config.models,
        get changes() {
          return current
        },
      },
    }),
  })
  return {
    w,
    async restart(next: Config['models']['changes']) {
      current = next
      await w.restart()
    },
  }
}

test("the config's mark-ups are written down when the gateway starts, once, and taken back with their line", async (t) => {
  const markup = { kind: 'markup', subject: SONNET, value: [2, 1] } as const
  const { w, restart } = await restarted(t, [markup])
  assert.deepEqual((await w.usage((await ask(w)).id)).receipt?.markup, [2, 1])
  await restart([markup])
  assert.equal((await w.store.loadPriceChanges()).length, 1)
  await restart([])
  assert.equal((await w.usage((await ask(w)).id)).receipt?.markup, undefined)
  assert.deepEqual(
    (await w.store.loadPriceChanges()).map(({ source, actor, value }) => [source, actor, value]),
    [
      ['config', 'config', [2, 1]],
      ['config', 'config', null],
    ],
  )
})
