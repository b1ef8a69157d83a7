import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import { assertClean, codeOf, eventsOf, provenMicro, truthMicro } from '../support/bills.ts'
import { type World, world } from '../support/world.ts'

const SLOW = 'output_tokens=100,token_rate=200'
const ENDLESS = 'output_tokens=90,token_rate=2'

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (await condition()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error(`waited in vain: ${what}`)
}

/** Nothing is open, the money is right, and the run is marked as over. */
async function assertStopped(w: World): Promise<void> {
  assert.deepEqual(await w.store.listOpenHolds(), [])
  await assertClean(w)
  assert.equal((await w.store.listBoots())[0].state, 'stopped')
}

test('streams and answers under way end as if nothing were, newcomers are turned away', async (t) => {
  const w = await world(t)
  const stream = await w.post({ stream: true }, { 'x-sandbox': SLOW })
  const unary = w.post({}, { 'x-sandbox': 'first_byte_ms=300' })
  await until(() => w.sandbox.counters.inFlight === 2, 'both run')
  const stopped = w.stop(10_000)
  await until(
    () =>
      w.post().then(
        ({ status }) => status === 503,
        () => true,
      ),
    'nobody new comes in',
  )
  await until(async () => (await w.store.listBoots())[0].state === 'draining', 'it says so')
  assert.match(await stream.text(), /event: message_stop/)
  assert.equal((await unary).status, 200)
  await stopped
  await assertStopped(w)
  const { rows } = await w.store.listUsage({ limit: 10 })
  const served = rows.filter(({ httpStatus }) => httpStatus === 200)
  assert.equal(served.length, 2)
  for (const row of served) {
    const bill = w.sandbox.billed().find((one) => one.requestId === row.upstreamRequestId)
    assert.ok(bill)
    assert.equal(row.costMicro, truthMicro(bill))
  }
})

test('what is not done by the end of the grace is cut: an error, and a bill for what was delivered', async (t) => {
  const w = await world(t)
  const stream = await w.post({ stream: true }, { 'x-sandbox': ENDLESS })
  const waiting = w.post({ stream: true }, { 'x-sandbox': 'first_byte_ms=60000' })
  const unary = w.post({}, { 'x-sandbox': 'first_byte_ms=60000' })
  await until(() => w.sandbox.counters.inFlight === 3, 'all run')
  const stopped = w.stop(100)
  const text = await stream.text()
  const last = eventsOf(text).at(-1)
  assert.equal(last?.event, 'error')
  assert.equal(codeOf(last?.data ?? ''), 'draining')
  assert.doesNotMatch(text, /message_stop/)
  for (const response of [await waiting, await unary]) {
    assert.equal(response.status, 503)
    assert.equal(response.headers.get('retry-after'), '3')
    assert.equal(codeOf(await response.text()), 'draining')
  }
  await stopped
  await assertStopped(w)
  const row = await w.usage(stream.headers.get('x-cc-request-id') ?? '')
  assert.equal(row.status, 'interrupted')
  assert.equal(row.source, 'partial')
  const bill = w.sandbox.billed().find((one) => one.requestId === row.upstreamRequestId)
  assert.ok(bill)
  assert.ok(row.costMicro >= provenMicro(bill) && row.costMicro <= row.holdMicro)
  const { balanceMicro } = await w.wallet()
  assert.equal(balanceMicro, 10_000_000 - row.costMicro, 'what never began costs nothing')
})

test('a second signal cuts at once, with the same last words', async (t) => {
  const w = await world(t)
  const stream = await w.post({ stream: true }, { 'x-sandbox': ENDLESS })
  const stopped = w.stop(600_000)
  w.daemon.cut()
  assert.equal(codeOf(eventsOf(await stream.text()).at(-1)?.data ?? ''), 'draining')
  await stopped
  await assertStopped(w)
})

test('an answer whose client has left is still read and billed before the store closes', async (t) => {
  const w = await world(t)
  const leaving = new AbortController()
  const left = fetch(`${w.url}/v1/messages`, {
    method: 'POST',
    signal: leaving.signal,
    headers: { 'x-api-key': w.key, 'x-sandbox': 'first_byte_ms=400' },
    body: JSON.stringify({
      model: 'claude-sonnet-4-6',
      max_tokens: 50,
      messages: [{ role: 'user', content: 'Hello' }],
    }),
  }).catch(() => {})
  await until(() => w.sandbox.counters.inFlight === 1, 'it runs')
  leaving.abort()
  await left
  await w.stop(10_000)
  await assertStopped(w)
  const { rows } = await w.store.listUsage({ limit: 1 })
  assert.equal(rows[0].source, 'exact')
  assert.equal(rows[0].costMicro, truthMicro(w.sandbox.billed()[0]))
})

test('clients that neither read nor finish sending do not keep a stop waiting', async (t) => {
  const w = await world(t)
  const port = Number(new URL(w.url).port)
  const head = `POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: ${w.key}\r\n`
  const body = JSON.stringify({
    model: 'claude-sonnet-4-6',
    max_tokens: 60_000,
    stream: true,
    messages: [{ role: 'user', content: 'Write a lot.' }],
  })
  const deaf = connect(port, '127.0.0.1')
  deaf.on('error', () => {})
  deaf.pause()
  deaf.write(
    `${head}x-sandbox: pings=100000,output_tokens=50000,delta_tokens=1\r\n` +
      `content-length: ${body.length}\r\n\r\n${body}`,
  )
  const slow = connect(port, '127.0.0.1')
  slow.on('error', () => {})
  slow.write(`${head}content-length: 1000\r\n\r\n{"model"`)
  await until(() => w.sandbox.counters.inFlight === 1, 'one runs')
  await w.stop(50)
  await assertStopped(w)
  deaf.destroy()
  slow.destroy()
})
