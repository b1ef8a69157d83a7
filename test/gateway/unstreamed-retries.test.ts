import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import OpenAI from 'openai'
import { assertClean, truthMicro } from '../support/bills.ts'
import { postOpenAi } from '../support/openai.ts'
import { type World, world } from '../support/world.ts'

const MODEL = 'claude-sonnet-4-6'
const ASKS: readonly (readonly [path: string, body: Record<string, unknown>])[] = [
  ['/v1/chat/completions', { model: MODEL, messages: [{ role: 'user', content: 'Hi' }] }],
  ['/v1/responses', { model: MODEL, input: 'Hi' }],
]
const RETRY = { 'x-stainless-retry-count': '1' }

/** Sends a request and leaves once upstream has it and `ms` have gone by. */
async function leave(
  w: World,
  [path, body]: (typeof ASKS)[number],
  fault: string,
  { ms, headers = {} }: { ms: number; headers?: Record<string, string> },
): Promise<void> {
  const leaving = new AbortController()
  const pending = postOpenAi(w, path, body, { ...headers, 'x-sandbox': fault }, leaving.signal)
  pending.catch(() => {})
  for (let i = 0; i < 300 && w.sandbox.counters.inFlight === 0; i++)
    await new Promise((resolve) => setTimeout(resolve, 10))
  await new Promise((resolve) => setTimeout(resolve, ms))
  leaving.abort()
  await assert.rejects(pending)
  await new Promise((resolve) => setTimeout(resolve, 50))
}

async function assertOneBill(w: World): Promise<void> {
  await w.settled()
  assert.equal(w.sandbox.requests.length, 1, 'upstream was asked once')
  const [bill] = w.sandbox.billed()
  assert.equal((await w.wallet()).balanceMicro, 10_000_000 - truthMicro(bill))
  await assertClean(w)
}

async function eachPath(
  t: TestContext,
  run: (w: World, ask: (typeof ASKS)[number]) => Promise<void>,
) {
  for (const ask of ASKS) await t.test(ask[0], async (inner) => run(await world(inner), ask))
}

test('who gives up on an unstreamed answer of OpenAI’s formats gets it by a retry, and one bill', async (t) => {
  await eachPath(t, async (w, ask) => {
    await leave(w, ask, 'output_tokens=100,token_rate=100', { ms: 300 })
    const retry = await postOpenAi(w, ...ask, RETRY)
    assert.equal(retry.status, 200)
    assert.equal(retry.headers.get('x-cc-cost-micro'), '0')
    const { usage } = (await retry.json()) as { usage: Record<string, number> }
    assert.equal(usage.completion_tokens ?? usage.output_tokens, 100)
    const paid = await w.usage(retry.headers.get('x-cc-joined-request-id') ?? '')
    assert.deepEqual(
      [paid.status, paid.httpStatus, paid.onDisconnect, paid.source],
      ['complete', 499, 'finish', 'exact'],
    )
    await assertOneBill(w)
  })
})

test('also by its idempotency key, and once the answer has ended', async (t) => {
  await eachPath(t, async (w, ask) => {
    const headers = { 'idempotency-key': 'order-7' }
    await leave(w, ask, 'output_tokens=40,token_rate=80', { ms: 50, headers })
    await w.settled()
    for (let i = 0; i < 2; i++) {
      const retry = await postOpenAi(w, ...ask, headers)
      assert.equal(retry.status, 200)
      assert.ok(retry.headers.get('x-cc-joined-request-id'))
      await retry.text()
    }
    await assertOneBill(w)
  })
})

test('also where it left before the answer began', async (t) => {
  await eachPath(t, async (w, ask) => {
    await leave(w, ask, 'first_byte_ms=400', { ms: 0 })
    const retry = await postOpenAi(w, ...ask, RETRY)
    assert.equal(retry.status, 200)
    assert.ok(retry.headers.get('x-cc-joined-request-id'))
    await retry.text()
    await assertOneBill(w)
  })
})

test('what breaks off after its client left costs nothing, as nobody got any of it', async (t) => {
  await eachPath(t, async (w, ask) => {
    const fault = 'output_tokens=100,token_rate=100,at=mid_event,how=close'
    await leave(w, ask, fault, { ms: 200 })
    await w.settled()
    assert.equal((await w.wallet()).balanceMicro, 10_000_000)
    const [row] = (await w.store.listUsage({ limit: 1 })).rows
    assert.deepEqual([row.status, row.httpStatus, row.costMicro], ['rejected', 499, 0])
    await assertClean(w)
  })
})

test('the official client that times out and tries again pays once', async (t) => {
  const w = await world(t)
  const client = new OpenAI({
    apiKey: w.key,
    baseURL: `${w.url}/v1`,
    timeout: 600,
    maxRetries: 4,
    defaultHeaders: { 'x-sandbox': 'output_tokens=100,token_rate=80' },
  })
  const messages = [{ role: 'user', content: 'Hi' } as const]
  const answer = await client.chat.completions.create({ model: MODEL, messages })
  assert.equal(answer.usage?.completion_tokens, 100)
  await assertOneBill(w)
})
