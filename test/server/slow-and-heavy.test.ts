import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { test } from 'node:test'
import { rawExchange } from '../support/raw-client.ts'
import { assertRefusal, nothingFromNow } from '../support/refusals.ts'
import { world } from '../support/world.ts'

test('a client that leaves in the middle of its body costs nothing and frees its place', async (t) => {
  const w = await world(t, { key: { concurrencyLimit: 1 } })
  const assertNothing = await nothingFromNow(w)
  for (let i = 0; i < 3; i++) {
    const socket = connect(Number(new URL(w.url).port), '127.0.0.1')
    socket.write(
      `POST /v1/messages HTTP/1.1\r\nHost: g\r\nx-api-key: ${w.key}\r\nContent-Length: 5000\r\n\r\n{`,
    )
    await new Promise((resolve) => setTimeout(resolve, 30))
    socket.destroy()
    while (w.daemon.inFlight() > 0) await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await assertNothing()
  const response = await w.post()
  assert.equal(response.status, 200, await response.text())
})

test('headers that do not arrive in time are answered and the connection ends', async (t) => {
  const w = await world(t, {
    config: (config) => ({ ...config, limits: { ...config.limits, headersTimeoutMs: 1_000 } }),
  })
  const assertNothing = await nothingFromNow(w)
  const { answers, closed } = await rawExchange(
    w.url,
    `POST /v1/messages HTTP/1.1\r\nHost: g\r\nx-api-key: ${w.key}\r\n`,
    { answers: 2 },
  )
  assert.ok(closed)
  assertRefusal(answers[0], 'body_timeout')
  await assertNothing()
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
  const assertNothing = await nothingFromNow(w)
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
  await assertNothing()
})

function assertCode(body: string): { error_code: string } {
  return JSON.parse(body).error.details
}
