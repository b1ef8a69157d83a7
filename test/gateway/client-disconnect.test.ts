import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import type { DisconnectPolicy } from '../../src/core/model.ts'
import type { UsageRow } from '../../src/store/store.ts'
import { assertClean, provenMicro, truthMicro } from '../support/bills.ts'
import { type World, type WorldOptions, world } from '../support/world.ts'

interface Client {
  readonly requestId: Promise<string>
  readonly text: () => string
  /** Resolves when the text so far fits. */
  readonly saw: (pattern: RegExp) => Promise<void>
  readonly leave: () => void
}

/** A client that can go away at any moment. */
function client(w: World, body: Record<string, unknown>, fault: string): Client {
  let text = ''
  let wake = () => {}
  const call = request(`${w.url}/v1/messages`, {
    method: 'POST',
    headers: { 'x-api-key': w.key, 'x-sandbox': fault },
    agent: false,
  })
  call.on('error', () => {})
  const requestId = new Promise<string>((resolve) => {
    call.on('response', (response) => {
      resolve(String(response.headers['x-cc-request-id']))
      response.setEncoding('utf8')
      response.on('error', () => {})
      response.on('data', (chunk: string) => {
        text += chunk
        wake()
      })
    })
  })
  const messages = [{ role: 'user', content: 'Hello, world!' }]
  call.end(JSON.stringify({ model: 'claude-sonnet-4-6', max_tokens: 500, messages, ...body }))
  return {
    requestId,
    text: () => text,
    async saw(pattern) {
      while (!pattern.test(text)) await new Promise<void>((resolve) => (wake = resolve))
    },
    leave: () => call.destroy(),
  }
}

function policy(t: TestContext, onDisconnect: DisconnectPolicy, options: WorldOptions = {}) {
  return world(t, {
    ...options,
    config: (config) => ({ ...config, billing: { ...config.billing, onDisconnect } }),
  })
}

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (await condition()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error(`waited in vain: ${what}`)
}

/** The only usage row there is. */
async function onlyRow(w: World): Promise<UsageRow> {
  await until(async () => (await w.store.listUsage({ limit: 2 })).rows.length === 1, 'one row')
  await w.settled()
  return (await w.store.listUsage({ limit: 1 })).rows[0]
}

function billOf(w: World, row: UsageRow) {
  const bill = w.sandbox.billed().find((one) => one.requestId === row.upstreamRequestId)
  assert.ok(bill, 'upstream knows the request')
  return bill
}

test('a stream that the client leaves is aborted upstream and billed for what it proved', async (t) => {
  const w = await world(t)
  const one = client(w, { stream: true }, 'output_tokens=400,token_rate=100')
  await one.saw(/content_block_delta[\s\S]*content_block_delta/)
  const id = await one.requestId
  one.leave()
  await until(() => w.sandbox.counters.inFlight === 0, 'upstream is aborted')
  const row = await onlyRow(w)
  const bill = billOf(w, row)
  assert.equal(row.requestId, id)
  assert.equal(bill.outcome, 'client_left')
  assert.equal(row.status, 'interrupted')
  assert.equal(row.httpStatus, 499)
  assert.equal(row.source, 'partial')
  assert.equal(row.tokens.input, bill.usage.input)
  assert.ok(row.costMicro >= provenMicro(bill))
  assert.ok(row.tokens.output > 0 && row.tokens.output < 400, `${row.tokens.output}`)
  assert.ok(row.costMicro <= row.holdMicro)
  assert.equal(row.attempts.at(-1)?.outcome, 'abandoned')
  assert.equal(row.onDisconnect, 'cancel')
  await assertClean(w)
  // Leaving says nothing about the account.
  assert.equal((await w.post()).status, 200)
})

test('a stream that the client leaves before it began costs nothing', async (t) => {
  const w = await world(t)
  const one = client(w, { stream: true }, 'first_byte_ms=5000')
  await until(() => w.sandbox.counters.inFlight === 1, 'upstream has it')
  one.leave()
  await until(() => w.sandbox.counters.inFlight === 0, 'upstream is aborted')
  const row = await onlyRow(w)
  assert.equal(row.costMicro, 0)
  assert.equal(row.source, 'none')
  assert.equal(row.httpStatus, 499)
  assert.equal(w.sandbox.requests.length, 1, 'and is not sent again')
  await assertClean(w)
})

test('an answer that does not stream is read to its end and billed exactly', async (t) => {
  const w = await world(t)
  const one = client(w, {}, 'first_byte_ms=300,output_tokens=200')
  await until(() => w.sandbox.counters.inFlight === 1, 'upstream has it')
  one.leave()
  const row = await onlyRow(w)
  assert.equal(row.httpStatus, 499)
  assert.equal(row.source, 'exact')
  assert.equal(row.status, 'complete')
  assert.equal(row.onDisconnect, 'finish', 'whatever the policy')
  assert.equal(row.costMicro, truthMicro(billOf(w, row)))
  await assertClean(w)
})

test('nothing is tried again for a client that has left', async (t) => {
  const w = await world(t)
  const one = client(w, {}, 'status=529,first_byte_ms=300')
  await until(() => w.sandbox.counters.inFlight === 1, 'upstream has it')
  one.leave()
  const row = await onlyRow(w)
  assert.equal(row.costMicro, 0)
  assert.equal(row.httpStatus, 499)
  assert.equal(w.sandbox.requests.length, 1)
  await assertClean(w)
})

test('omitted thinking is read on for its true count', async (t) => {
  const w = await world(t)
  const body = { stream: true, model: 'claude-opus-5', max_tokens: 2_000 }
  const fault = 'thinking=omitted,thinking_tokens=300,output_tokens=320,token_rate=800'
  const one = client(w, body, fault)
  await one.saw(/content_block_start/)
  one.leave()
  const row = await onlyRow(w)
  const bill = billOf(w, row)
  assert.equal(bill.usage.output, 320)
  assert.equal(row.tokens.output, 320)
  assert.equal(row.costMicro, truthMicro(bill))
  assert.equal(row.httpStatus, 499)
  await assertClean(w)
})

test('a client that has its answer and leaves at once costs what the answer costs', async (t) => {
  const w = await world(t)
  for (let i = 0; i < 10; i++) {
    const one = client(w, { stream: true }, '')
    await one.saw(/message_delta/)
    const id = await one.requestId
    one.leave()
    await w.settled()
    const row = await w.usage(id)
    assert.equal(row.costMicro, truthMicro(billOf(w, row)))
  }
  await assertClean(w)
})

test('a client that does not read holds up its own stream only, and little memory', async (t) => {
  const w = await world(t, { creditMicro: 1_000_000_000 })
  // 64 MB of answer: more than any socket buffers.
  const body = JSON.stringify({
    model: 'claude-sonnet-4-6',
    max_tokens: 60_000,
    stream: true,
    messages: [{ role: 'user', content: 'Write a lot.' }],
  })
  const huge = Array.from({ length: 8 }, () => {
    const socket = connect(Number(new URL(w.url).port), '127.0.0.1')
    socket.on('error', () => {})
    socket.write(
      `POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: ${w.key}\r\n` +
        'x-sandbox: pings=100000,output_tokens=50000,delta_tokens=1\r\n' +
        `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    )
    socket.pause()
    return socket
  })
  await until(() => w.sandbox.counters.inFlight === 8, 'all run')
  // Others come through meanwhile.
  for (let i = 0; i < 20; i++) {
    const response = await w.post({ stream: i % 2 === 0 })
    assert.equal(response.status, 200)
    await response.arrayBuffer()
  }
  assert.equal(w.sandbox.counters.inFlight, 8, 'upstream is held back as well')
  assert.equal((await w.store.listOpenHolds()).length, 8)
  // The one who begins to read after all gets everything.
  const reader = huge[0]
  let received = 0
  let tail = ''
  reader.on('data', (chunk) => {
    received += chunk.length
    tail = (tail + chunk.toString('latin1')).slice(-200)
  })
  reader.resume()
  await until(() => tail.includes('message_stop'), 'the answer ends')
  assert.ok(received > 4_000_000, `${received}`)
  const closed = huge.map((socket) => once(socket, 'close'))
  for (const socket of huge) socket.destroy()
  await Promise.all(closed)
  await assertClean(w)
  const { rows } = await w.store.listUsage({ limit: 100 })
  assert.equal(rows.filter((row) => row.httpStatus === 499).length, 7)
})

test('who stays has no policy applied', async (t) => {
  const w = await world(t)
  const response = await w.post({ stream: true })
  await response.text()
  const row = await w.usage(response.headers.get('x-cc-request-id') ?? '')
  assert.equal(row.onDisconnect, null)
})

test('with `finish` a stream is read to its end and billed exactly', async (t) => {
  const w = await policy(t, { kind: 'finish' })
  const one = client(w, { stream: true }, 'output_tokens=150,token_rate=400')
  await one.saw(/content_block_delta/)
  one.leave()
  const row = await onlyRow(w)
  const bill = billOf(w, row)
  assert.equal(bill.outcome, 'complete')
  assert.deepEqual(
    [row.status, row.httpStatus, row.source, row.onDisconnect],
    ['complete', 499, 'exact', 'finish'],
  )
  assert.equal(row.costMicro, truthMicro(bill))
  await assertClean(w)
})

test('with `finish` a stream that has not begun is made all the same', async (t) => {
  const w = await policy(t, { kind: 'finish' })
  const one = client(w, { stream: true }, 'first_byte_ms=200,output_tokens=50')
  await until(() => w.sandbox.counters.inFlight === 1, 'upstream has it')
  one.leave()
  const row = await onlyRow(w)
  assert.deepEqual([row.status, row.source, row.onDisconnect], ['complete', 'exact', 'finish'])
  assert.equal(row.costMicro, truthMicro(billOf(w, row)))
  await assertClean(w)
})

test('finishing up to so many tokens or so long stops there and bills what it proved', async (t) => {
  const limits = [
    { tokens: 60, ms: null },
    { tokens: null, ms: 300 },
  ]
  for (const limit of limits) {
    const w = await policy(t, { kind: 'finish_up_to', ...limit })
    const one = client(w, { stream: true }, 'output_tokens=450,token_rate=200')
    await one.saw(/content_block_delta/)
    one.leave()
    const row = await onlyRow(w)
    const bill = billOf(w, row)
    assert.equal(bill.outcome, 'client_left')
    assert.deepEqual(
      [row.status, row.source, row.onDisconnect],
      ['interrupted', 'partial', 'finish_up_to'],
    )
    assert.ok(row.tokens.output >= 30 && row.tokens.output < 300, `${row.tokens.output}`)
    assert.ok(row.costMicro >= provenMicro(bill))
    await assertClean(w)
  }
})

test('a short rest of a stream is finished within its limit', async (t) => {
  const w = await policy(t, { kind: 'finish_up_to', tokens: 400, ms: 10_000 })
  const one = client(w, { stream: true }, 'output_tokens=80,token_rate=400')
  await one.saw(/content_block_delta/)
  one.leave()
  const row = await onlyRow(w)
  assert.deepEqual([row.status, row.source], ['complete', 'exact'])
  await assertClean(w)
})

test('a key’s own policy replaces the server’s', async (t) => {
  const w = await policy(t, { kind: 'finish' }, { key: { onDisconnect: { kind: 'cancel' } } })
  const one = client(w, { stream: true }, 'output_tokens=400,token_rate=200')
  await one.saw(/content_block_delta/)
  one.leave()
  const row = await onlyRow(w)
  assert.deepEqual([row.status, row.onDisconnect], ['interrupted', 'cancel'])
  await assertClean(w)
})

test('a stream that goes on without its client ends when its wallet does', async (t) => {
  const w = await world(t, {
    creditMicro: 9_000,
    config: (config) => ({
      ...config,
      billing: { ...config.billing, onDisconnect: { kind: 'finish' }, holdStepTokens: 200 },
    }),
  })
  const body = { stream: true, max_tokens: 20_000 }
  const one = client(w, body, 'output_tokens=3000,token_rate=2000')
  await one.saw(/content_block_delta/)
  one.leave()
  const row = await onlyRow(w)
  assert.deepEqual(
    [row.status, row.httpStatus, row.errorCode, row.onDisconnect],
    ['interrupted', 499, 'insufficient_credit', 'finish'],
  )
  assert.ok((await w.wallet()).balanceMicro > -3_500)
  await assertClean(w)
})
