import assert from 'node:assert/strict'
import { request } from 'node:http'
import { type TestContext, test } from 'node:test'
import type { DisconnectPolicy } from '../../src/core/model.ts'
import type { UsageRow } from '../../src/store/store.ts'
import { assertClean, eventsOf, truthMicro } from '../support/bills.ts'
import { type World, type WorldOptions, world } from '../support/world.ts'

const BODY = {
  model: 'claude-sonnet-4-6',
  max_tokens: 500,
  messages: [{ role: 'user', content: 'Hello, world!' }],
}
const VERSION = { 'anthropic-version': '2023-06-01' }
const FIRST = { 'x-stainless-retry-count': '0' }
const RETRY = { ...VERSION, 'x-stainless-retry-count': '1' }

function onDisconnect(t: TestContext, policy: DisconnectPolicy, options: WorldOptions = {}) {
  return world(t, {
    ...options,
    config: (config) => ({ ...config, billing: { ...config.billing, onDisconnect: policy } }),
  })
}

/** Sends a request and leaves once `when` says so; resolves when the connection is closed. */
async function leave(
  w: World,
  body: Record<string, unknown>,
  fault: string,
  when: (text: string) => boolean | Promise<boolean>,
): Promise<void> {
  const call = request(`${w.url}/v1/messages`, {
    method: 'POST',
    headers: { 'x-api-key': w.key, 'x-sandbox': fault, ...VERSION },
    agent: false,
  })
  call.on('error', () => {})
  const closed = new Promise<void>((resolve) => call.on('close', () => resolve()))
  let text = ''
  call.on('response', (response) => {
    response.on('error', () => {})
    response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  })
  call.end(JSON.stringify({ ...BODY, ...body }))
  await until(() => when(text), 'the moment to leave')
  call.destroy()
  await closed
  // The gateway hears of it a moment later.
  await new Promise((resolve) => setTimeout(resolve, 30))
}

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (await condition()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error(`waited in vain: ${what}`)
}

async function retry(w: World, body: Record<string, unknown> = {}, headers = {}) {
  const response = await w.post({ ...BODY, ...body }, { ...RETRY, ...headers })
  const text = await response.text()
  return {
    status: response.status,
    headers: response.headers,
    text,
    id: response.headers.get('x-cc-request-id') ?? '',
  }
}

/** The row of a request that paid nothing: nobody waits for it to be written. */
async function noted(w: World, id: string): Promise<UsageRow> {
  await until(async () => (await w.store.getUsage(id)) !== null, `the usage of ${id}`)
  return w.usage(id)
}

/** One upstream request, one bill: the joined row is free and names the one that paid. */
async function assertOneBill(w: World, joinedId: string): Promise<void> {
  await w.settled()
  const joined = await noted(w, joinedId)
  const { rows } = await w.store.listUsage({ limit: 10 })
  assert.ok(joined.joinedRequestId !== null)
  const paid = await w.usage(joined.joinedRequestId)
  assert.deepEqual([joined.costMicro, joined.source, joined.receipt], [0, 'none', null])
  assert.equal(rows.length, 2)
  assert.equal(w.sandbox.requests.length, 1)
  const [bill] = w.sandbox.billed()
  assert.equal(paid.costMicro, truthMicro(bill))
  assert.deepEqual([paid.httpStatus, paid.onDisconnect], [499, 'finish'])
  assert.equal((await w.wallet()).balanceMicro, 10_000_000 - paid.costMicro)
  await assertClean(w)
}

test('a retry gets the answer of its own abandoned request, and no second bill', async (t) => {
  const w = await world(t)
  const fault = 'first_byte_ms=400,output_tokens=200'
  await leave(w, {}, fault, () => w.sandbox.counters.inFlight === 1)
  const { status, text, headers, id } = await retry(w)
  assert.equal(status, 200, text)
  const answer = JSON.parse(text) as { usage: { output_tokens: number }; type: string }
  assert.equal(answer.usage.output_tokens, 200)
  const row = await noted(w, id)
  assert.equal(headers.get('x-cc-joined-request-id'), row.joinedRequestId)
  assert.notEqual(id, row.joinedRequestId)
  assert.equal(headers.get('x-cc-cost-micro'), '0')
  assert.equal(Number(headers.get('x-cc-balance-micro')), (await w.wallet()).balanceMicro)
  assert.ok(headers.get('x-cc-account-id')?.startsWith('acct_'))
  await assertOneBill(w, id)
})

test('an answer that has just ended waits for its retry', async (t) => {
  const w = await world(t)
  await leave(w, {}, 'first_byte_ms=100', () => w.sandbox.counters.inFlight === 1)
  await w.settled()
  const { status, id } = await retry(w)
  assert.equal(status, 200)
  await assertOneBill(w, id)
  // The next one gets it as well; it is still the same answer.
  assert.equal((await noted(w, (await retry(w)).id)).costMicro, 0)
  assert.equal(w.sandbox.requests.length, 1)
})

test('only a retry of the same key, route, bytes and version joins', async (t) => {
  const w = await world(t)
  const join = async (body = {}, headers: Record<string, string> = RETRY, query = '') => {
    const response = await fetch(`${w.url}/v1/messages${query}`, {
      method: 'POST',
      headers: { 'x-api-key': w.key, ...headers },
      body: JSON.stringify({ ...BODY, ...body }),
    })
    await response.text()
    return response.headers.get('x-cc-joined-request-id') !== null
  }
  await leave(w, {}, 'first_byte_ms=50', () => w.sandbox.counters.inFlight === 1)
  await w.settled()
  const other = await w.newKey('alice', 'other')
  assert.equal(await join({}, VERSION), false, 'not a retry')
  const first = { ...RETRY, 'x-stainless-retry-count': '0' }
  assert.equal(await join({}, first), false, 'a first try')
  assert.equal(await join({}, { ...RETRY, 'anthropic-version': '2026-10-21' }), false)
  assert.equal(await join({ max_tokens: 499 }), false, 'another body')
  assert.equal(await join({}, { ...RETRY, 'x-api-key': other }), false, 'another key')
  assert.equal(await join({}, RETRY, '?beta=true'), false, 'another route')
  assert.equal(await join({}, { ...RETRY, 'anthropic-beta': 'x-2026-01-01' }), false)
  const named = { ...VERSION, 'idempotency-key': 'k1' }
  assert.equal(await join({}, named), false, 'another operation')
  assert.equal(await join(), true)
})

test('an idempotency key makes a request join its own abandoned run', async (t) => {
  const w = await world(t)
  const headers = { 'x-api-key': w.key, 'idempotency-key': 'order-7' }
  const call = request(`${w.url}/v1/messages`, {
    method: 'POST',
    headers: { ...headers, 'x-sandbox': 'first_byte_ms=300' },
    agent: false,
  })
  call.on('error', () => {})
  call.end(JSON.stringify(BODY))
  await until(() => w.sandbox.counters.inFlight === 1, 'upstream has it')
  call.destroy()
  await new Promise((resolve) => setTimeout(resolve, 50))
  const response = await fetch(`${w.url}/v1/messages`, {
    method: 'POST',
    headers,
    body: JSON.stringify(BODY),
  })
  assert.equal(response.status, 200)
  await response.text()
  await assertOneBill(w, response.headers.get('x-cc-request-id') ?? '')
})

test('a run that comes to nothing lets its retry be a request of its own', async (t) => {
  const w = await world(t)
  const fault = 'first_byte_ms=200,status=529'
  await leave(w, {}, fault, () => w.sandbox.counters.inFlight === 1)
  const { status, headers, id } = await retry(w)
  assert.equal(status, 200)
  assert.equal(headers.get('x-cc-joined-request-id'), null)
  const row = await w.usage(id)
  assert.ok(row.costMicro > 0 && row.joinedRequestId === null)
  await assertClean(w)
})

test('a retry takes over the stream that its policy lets finish: from its beginning, to its end', async (t) => {
  const w = await onDisconnect(t, { kind: 'finish' })
  const fault = 'output_tokens=300,token_rate=500'
  await leave(w, { stream: true }, fault, (text) => /content_block_delta/.test(text))
  const { status, text, headers, id } = await retry(w, { stream: true })
  assert.equal(status, 200)
  const events = eventsOf(text)
  assert.equal(events[0].event, 'message_start')
  assert.equal(events.at(-1)?.event, 'message_stop')
  assert.match(headers.get('content-type') ?? '', /event-stream/)
  assert.ok(events.filter(({ event }) => event === 'content_block_delta').length > 10)
  await assertOneBill(w, id)
})

test('a stream that has ended without its client is given whole to its retry', async (t) => {
  const w = await onDisconnect(t, { kind: 'finish' })
  await leave(w, { stream: true }, 'output_tokens=80,token_rate=500', (text) => text !== '')
  await w.settled()
  const { text, id } = await retry(w, { stream: true })
  const deltas = eventsOf(text)
  assert.equal(deltas[0].event, 'message_start')
  assert.equal(deltas.at(-1)?.event, 'message_stop')
  await assertOneBill(w, id)
})

test('a stream whose client left before it began is joined all the same', async (t) => {
  const w = await onDisconnect(t, { kind: 'finish' })
  const fault = 'first_byte_ms=300,output_tokens=50'
  await leave(w, { stream: true }, fault, () => w.sandbox.counters.inFlight === 1)
  const { text, id } = await retry(w, { stream: true })
  assert.equal(eventsOf(text).at(-1)?.event, 'message_stop')
  await assertOneBill(w, id)
})

test('who joins can leave again, and the next one joins', async (t) => {
  const w = await onDisconnect(t, { kind: 'finish' })
  const fault = 'output_tokens=400,token_rate=400'
  await leave(w, { stream: true }, fault, (text) => /content_block_delta/.test(text))
  const second = new AbortController()
  const response = await fetch(`${w.url}/v1/messages`, {
    method: 'POST',
    headers: { 'x-api-key': w.key, ...RETRY },
    body: JSON.stringify({ ...BODY, stream: true }),
    signal: second.signal,
  })
  assert.ok(response.headers.get('x-cc-joined-request-id'))
  const secondId = response.headers.get('x-cc-request-id') ?? ''
  await response.body?.getReader().read()
  second.abort()
  await new Promise((resolve) => setTimeout(resolve, 50))
  const { text, id } = await retry(w, { stream: true })
  assert.equal(eventsOf(text).at(-1)?.event, 'message_stop')
  await w.settled()
  assert.equal(w.sandbox.requests.length, 1)
  const [left, joined] = [await noted(w, secondId), await noted(w, id)]
  assert.deepEqual([left.httpStatus, left.status, left.costMicro], [499, 'interrupted', 0])
  assert.equal(joined.joinedRequestId, left.joinedRequestId)
  await assertClean(w)
})

test('a stream that is cancelled is not joined', async (t) => {
  const w = await world(t)
  const fault = 'output_tokens=400,token_rate=400'
  await leave(w, { stream: true }, fault, (text) => /content_block_delta/.test(text))
  const { text, headers } = await retry(w, { stream: true })
  assert.equal(eventsOf(text).at(-1)?.event, 'message_stop')
  assert.equal(headers.get('x-cc-joined-request-id'), null)
  assert.equal(w.sandbox.requests.length, 2)
  await assertClean(w)
})

test('a retry does not wait for a stream that got too long to be kept', async (t) => {
  const w = await onDisconnect(t, { kind: 'finish' })
  const fault = 'first_byte_ms=300,oversize=2200000,output_tokens=300,token_rate=100'
  await leave(w, { stream: true }, fault, () => w.sandbox.counters.inFlight === 1)
  await new Promise((resolve) => setTimeout(resolve, 700))
  const { text, headers } = await retry(w, { stream: true }, { 'x-sandbox': 'output_tokens=20' })
  assert.equal(headers.get('x-cc-joined-request-id'), null)
  assert.equal(eventsOf(text).at(-1)?.event, 'message_stop')
  assert.equal((await w.store.listOpenHolds()).length, 1, 'the other one runs yet')
  await w.settled()
  await assertClean(w)
})

test('a stream that was stopped for want of a client is not joined while it is settled', async (t) => {
  let settle = () => {}
  const gate = new Promise<void>((resolve) => (settle = resolve))
  let settling = 0
  const w = await onDisconnect(
    t,
    { kind: 'finish_up_to', tokens: 20, ms: null },
    {
      daemonStore: (store) => ({
        ...store,
        async settleHold(record) {
          if (settling++ === 0) await gate
          return store.settleHold(record)
        },
      }),
    },
  )
  const fault = 'output_tokens=450,token_rate=400'
  await leave(w, { stream: true }, fault, (text) => /content_block_delta/.test(text))
  await until(() => settling === 1, 'it is stopped')
  const timer = setTimeout(settle, 1_000)
  t.after(() => clearTimeout(timer))
  const { text, headers } = await retry(w, { stream: true }, { 'x-sandbox': 'output_tokens=20' })
  settle()
  assert.equal(eventsOf(text).at(-1)?.event, 'message_stop')
  assert.equal(headers.get('x-cc-joined-request-id'), null)
  await w.settled()
  await assertClean(w)
})

test('a key with one slot joins its own abandoned run, and begins nothing else meanwhile', async (t) => {
  const w = await world(t)
  const key = await w.newKey('alice', 'one', {
    concurrencyLimit: 1,
    onDisconnect: { kind: 'finish' },
  })
  const one = { ...w, key }
  const own = { 'x-api-key': key }
  const fault = 'output_tokens=400,token_rate=400'
  await leave(one, { stream: true }, fault, (text) => /content_block_delta/.test(text))
  assert.equal((await retry(w, { max_tokens: 499 }, own)).status, 429, 'another request')
  assert.equal((await retry(w, { stream: true }, { ...own, ...FIRST })).status, 429, 'no retry')
  const { status, text, headers } = await retry(w, { stream: true }, own)
  assert.equal(status, 200, text)
  assert.ok(headers.get('x-cc-joined-request-id'))
  assert.equal(eventsOf(text).at(-1)?.event, 'message_stop')
  await w.settled()
  assert.equal(w.sandbox.requests.length, 1)
  assert.equal((await retry(w, { max_tokens: 499 }, own)).status, 200, 'the slot is free again')
  await assertClean(w)
})

test('a key with one slot gets a second try where its abandoned run comes to nothing', async (t) => {
  const w = await world(t)
  const key = await w.newKey('alice', 'one', { concurrencyLimit: 1 })
  const fault = 'first_byte_ms=300,status=529'
  await leave({ ...w, key }, {}, fault, () => w.sandbox.counters.inFlight === 1)
  const { status, text } = await retry(w, {}, { 'x-api-key': key })
  assert.equal(status, 200, text)
  await assertClean(w)
})

test('a request whose foreign message id made way for another one is joined by its retry all the same', async (t) => {
  const w = await onDisconnect(t, { kind: 'cancel' })
  const body = { diagnostics: { previous_message_id: 'msg_of_somebody_else' } }
  await leave(w, body, 'first_byte_ms=500', () => w.sandbox.counters.inFlight === 1)
  const { status, id } = await retry(w, body)
  assert.equal(status, 200)
  assert.ok(!w.sandbox.requests[0].body.includes('msg_of_somebody_else'))
  assert.equal(w.sandbox.requests.length, 1)
  await assertOneBill(w, id)
})
