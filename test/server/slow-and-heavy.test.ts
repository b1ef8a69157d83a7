import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { type TestContext, test } from 'node:test'
import { GatewayError } from '../../src/core/errors.ts'
import type { BodyLimits } from '../../src/server/body.ts'
import { ClientGone, readBody } from '../../src/server/body.ts'
import { rawExchange } from '../support/raw-client.ts'
import { assertNothingHappened, assertRefusal } from '../support/refusals.ts'
import { world } from '../support/world.ts'

/** A bare server that reads bodies as the gateway does, with limits of the test's own. */
async function bodyServer(t: TestContext, limits: BodyLimits) {
  const outcomes: string[] = []
  const server = createServer((request, response) => {
    readBody(request, limits).then(
      (body) => {
        outcomes.push(`read ${body.length}`)
        response.end('read')
      },
      (error: unknown) => {
        outcomes.push(error instanceof GatewayError ? error.code : (error as Error).name)
        response.writeHead(408, { connection: 'close' }).end()
      },
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo // a TCP server that listens has one
  return { url: `http://127.0.0.1:${port}`, port, outcomes }
}

test('a body that trickles is given up after its time of grace; a fast one never is', async (t) => {
  const { url, outcomes } = await bodyServer(t, {
    maxBytes: 1_000_000,
    graceMs: 1_000,
    minBytesPerSecond: 1_000,
  })
  const head = 'POST / HTTP/1.1\r\nHost: g\r\nContent-Length: 5000\r\n\r\n'
  const [trickle, whole] = await Promise.all([
    rawExchange(url, [head, 'x'.repeat(400)]),
    rawExchange(url, [head, 'x'.repeat(5_000)]),
  ])
  assert.equal(trickle.answers[0].status, 408)
  assert.equal(whole.answers[0].status, 200)
  assert.deepEqual(outcomes.sort(), ['body_timeout', 'read 5000'])
})

test('a client that leaves in the middle of its body ends the reading', async (t) => {
  const limits = { maxBytes: 1_000_000, graceMs: 60_000, minBytesPerSecond: 1 }
  const { port, outcomes } = await bodyServer(t, limits)
  const socket = connect(port, '127.0.0.1')
  socket.write('POST / HTTP/1.1\r\nHost: g\r\nContent-Length: 5000\r\n\r\nxxx')
  await new Promise((resolve) => setTimeout(resolve, 50))
  socket.destroy()
  while (outcomes.length === 0) await new Promise((resolve) => setTimeout(resolve, 10))
  assert.deepEqual(outcomes, [new ClientGone().name])
})

test('a client that leaves in the middle of its body costs nothing and frees its place', async (t) => {
  const w = await world(t, { key: { concurrencyLimit: 1 } })
  for (let i = 0; i < 3; i++) {
    const socket = connect(Number(new URL(w.url).port), '127.0.0.1')
    socket.write(
      `POST /v1/messages HTTP/1.1\r\nHost: g\r\nx-api-key: ${w.key}\r\nContent-Length: 5000\r\n\r\n{`,
    )
    await new Promise((resolve) => setTimeout(resolve, 30))
    socket.destroy()
    while (w.daemon.inFlight() > 0) await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await assertNothingHappened(w)
  const response = await w.post()
  assert.equal(response.status, 200, await response.text())
})

test('headers that do not arrive in time are answered and the connection ends', async (t) => {
  const w = await world(t, {
    config: (config) => ({ ...config, limits: { ...config.limits, headersTimeoutMs: 1_000 } }),
  })
  const { answers, closed } = await rawExchange(
    w.url,
    `POST /v1/messages HTTP/1.1\r\nHost: g\r\nx-api-key: ${w.key}\r\n`,
    { answers: 2 },
  )
  assert.ok(closed)
  assertRefusal(answers[0], 'body_timeout')
  await assertNothingHappened(w)
})

/** The longest time that the event loop stood still while `work` ran, in ms. */
async function longestPause(work: () => Promise<void>): Promise<number> {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  await work()
  delay.disable()
  return delay.max / 1e6
}

test('JSON bombs are refused without holding the loop as long as a parser would', async (t) => {
  const w = await world(t)
  const size = 16 * 1024 * 1024
  const repeated = (text: string) => text.repeat(size / text.length)
  const bombs = [
    `{"x":[${repeated('{},')}0]}`,
    `{"x":${repeated('[')}`,
    `{"x":${repeated('{"a":')}`,
    `{${repeated('"a":0,')}"b":0}`,
    `{"messages":[${repeated('[],')}0]}`,
    `{"messages":[{"role":"user","content":[${repeated('{"type":"text"},')}0]}]}`,
  ]
  const sizeOf = Buffer.byteLength
  const send = async (body: string) => {
    const { answers } = await rawExchange(w.url, [
      `POST /v1/messages HTTP/1.1\r\nHost: g\r\nx-api-key: ${w.key}\r\nContent-Length: ${sizeOf(body)}\r\n\r\n`,
      body,
    ])
    return answers[0]
  }
  // Measured against what the first of them costs a parser on this machine, now.
  const startedMs = performance.now()
  JSON.parse(bombs[0])
  const parserMs = performance.now() - startedMs
  for (const bomb of bombs) {
    let status = 0
    const pauseMs = await longestPause(async () => {
      const answer = await send(bomb)
      status = answer.status
      const { error_code: code } = assertCode(answer.body)
      assert.ok(['json_too_complex', 'duplicate_json_key', 'invalid_json'].includes(code), code)
    })
    assert.equal(status, 400)
    assert.ok(pauseMs < parserMs, `${pauseMs} ms for ${bomb.slice(0, 20)}, a parser: ${parserMs}`)
  }
  await assertNothingHappened(w)
})

function assertCode(body: string): { error_code: string } {
  return JSON.parse(body).error.details
}
