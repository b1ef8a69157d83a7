import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { connect } from 'node:net'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { GatewayError } from '../../src/core/errors.ts'
import { ClientGone, readBody } from '../../src/server/body.ts'

const LIMITS = { maxBytes: 2_097_152, graceMs: 10_000, minBytesPerSecond: 16 * 1024 }

type Read = (request: IncomingMessage) => Promise<Buffer>

/** A server whose every request is given to `read`; `ended` tells how that went. */
async function world(t: TestContext, read: Read = (request) => readBody(request, LIMITS)) {
  const results: Promise<Buffer | Error>[] = []
  let waiting: (() => void)[] = []
  const server = createServer((request, response) => {
    const result = read(request).catch((error: Error) => error)
    results.push(result)
    void result.then(() => response.end())
    for (const resolve of waiting) resolve()
    waiting = []
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const sockets: Socket[] = []
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo // it listens on TCP
  return {
    async open(head: readonly string[]): Promise<Socket> {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true })
      sockets.push(socket)
      socket.on('error', () => {})
      socket.resume()
      socket.write(`POST / HTTP/1.1\r\nhost: x\r\n${head.join('\r\n')}\r\n\r\n`)
      return socket
    },
    async ended(): Promise<Buffer | Error> {
      if (results.length === 0) await new Promise<void>((resolve) => waiting.push(resolve))
      return results[results.length - 1]
    },
  }
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

test('the body comes out as it came in, however it was cut', async (t) => {
  const body = Buffer.from(Array.from({ length: 3_000 }, (_, i) => (i * 31) & 255))
  for (const pieces of [1, 2, 7]) {
    const { open, ended } = await world(t)
    const socket = await open([`content-length: ${body.length}`])
    const size = Math.ceil(body.length / pieces)
    for (let at = 0; at < body.length; at += size) {
      socket.write(body.subarray(at, at + size))
      await pause(2)
    }
    assert.deepEqual(await ended(), body, `${pieces} pieces`)
  }
})

test('chunked, empty and small bodies are read alike', async (t) => {
  const rows: [head: string[], sent: string, body: string][] = [
    [['transfer-encoding: chunked'], '3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n', 'abcdefg'],
    [['content-length: 0'], '', ''],
    [[], '', ''],
    [['transfer-encoding: chunked'], '0\r\n\r\n', ''],
    [['content-length: 2'], '{}', '{}'],
  ]
  for (const [head, sent, body] of rows) {
    const { open, ended } = await world(t)
    const socket = await open(head)
    socket.write(sent)
    assert.equal(String(await ended()), body, JSON.stringify(head))
  }
})

test('a body of exactly the limit passes, one byte more does not, declared or not', async (t) => {
  const limit = 1_000
  const read: Read = (request) => readBody(request, { ...LIMITS, maxBytes: limit })
  for (const extra of [0, 1]) {
    const bytes = 'x'.repeat(limit + extra)
    for (const isChunked of [false, true]) {
      const { open, ended } = await world(t, read)
      const head = isChunked ? 'transfer-encoding: chunked' : `content-length: ${bytes.length}`
      const socket = await open([head])
      socket.write(isChunked ? `${bytes.length.toString(16)}\r\n${bytes}\r\n0\r\n\r\n` : bytes)
      const result = await ended()
      if (extra === 0) assert.equal(String(result).length, limit)
      else assert.ok(result instanceof GatewayError && result.code === 'request_too_large')
    }
  }
})

test('a declared size is refused before one byte of it came', async (t) => {
  const { open, ended } = await world(t)
  await open([`content-length: ${33 * 1_048_576}`])
  const result = await ended()
  assert.ok(result instanceof GatewayError)
  assert.deepEqual(
    [result.code, result.facts.size, result.facts.limit],
    ['request_too_large', '33', '2'],
  )
})

test('a body just over the limit is not said to be as large as the limit', async (t) => {
  const { open, ended } = await world(t)
  await open([`content-length: ${LIMITS.maxBytes + 1}`])
  const result = await ended()
  assert.ok(result instanceof GatewayError)
  assert.deepEqual([result.facts.size, result.facts.limit], ['2.1', '2'])
})

test('a body slower than its pace is given up after the time of grace', async (t) => {
  const slow = { maxBytes: 10_000, graceMs: 1_000, minBytesPerSecond: 1_000 }
  const { open, ended } = await world(t, (request) => readBody(request, slow))
  const socket = await open(['content-length: 5000'])
  socket.write('x'.repeat(999))
  const result = await ended()
  assert.ok(result instanceof GatewayError)
  assert.deepEqual([result.code, result.facts.seconds], ['body_timeout', 1])
})

test('a client that leaves in the middle is gone, whether it closes or resets', async (t) => {
  for (const way of ['destroy', 'resetAndDestroy'] as const) {
    const { open, ended } = await world(t)
    const socket = await open(['content-length: 100'])
    socket.write('half')
    await pause(20)
    socket[way]()
    assert.ok((await ended()) instanceof ClientGone, way)
  }
})

test('a client that left before anybody began to read is gone at once', {
  timeout: 5_000,
}, async (t) => {
  const { open, ended } = await world(t, async (request) => {
    await new Promise((resolve) => request.once('close', resolve))
    // With no pace to run out, only the absence itself can end this.
    return readBody(request, { ...LIMITS, graceMs: 3_600_000 })
  })
  const socket = await open(['content-length: 100'])
  socket.write('half')
  await pause(20)
  socket.destroy()
  assert.ok((await ended()) instanceof ClientGone)
})
