import assert from 'node:assert/strict'
import type { AddressInfo, Server, Socket } from 'node:net'
import { createServer } from 'node:net'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import type { Account } from '../../src/core/model.ts'
import { startAttempt } from '../../src/gateway/attempt.ts'
import { Connections, nothingWasSent, wasTimeout } from '../../src/providers/http.ts'
import { account } from '../support/accounts.ts'

/** A TCP server that does `serve` with each connection; ends with the test. */
async function tcp(
  t: TestContext,
  serve: (socket: Socket) => void,
): Promise<{ port: number; server: Server; seen: { connections: number; bytes: number } }> {
  const sockets = new Set<Socket>()
  const seen = { connections: 0, bytes: 0 }
  const server = createServer((socket) => {
    seen.connections++
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      seen.bytes += chunk.length
    })
    serve(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, server, seen } // it listens on TCP
}

function accountAt(baseUrl: string, more: Partial<Account> = {}): Account {
  return account('acct_1', { baseUrl, allowPrivate: true, ...more })
}

function connections(t: TestContext): Connections {
  const made = new Connections({
    connectMs: 1_000,
    keepAliveMs: 1_000,
    connectionsPerAccount: 4,
    proxy: null,
  })
  t.after(() => made.destroy())
  return made
}

/** The outcome of one real attempt. */
async function attempt(pool: Connections, to: Account) {
  const end = await startAttempt({
    dispatcher: pool.for({ account: to, proxy: null }),
    method: 'POST',
    path: '/v1/messages',
    headers: ['x-api-key', 'k'],
    body: Buffer.from('{}'),
    stream: false,
    model: 'm',
    beginWithinMs: 5_000,
    idleMs: 5_000,
    nowMs: () => performance.now(),
  }).end
  assert.notEqual(end.kind, 'stream')
  return end.kind === 'stream' ? 'stream' : end.outcome.kind
}

const OK = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}'

test('a port where nobody listens was sent nothing', async (t) => {
  const { port, server } = await tcp(t, () => {})
  await new Promise((resolve) => server.close(resolve))
  const to = accountAt(`http://127.0.0.1:${port}`)
  assert.equal(await attempt(connections(t), to), 'unreachable')
})

test('a name that does not exist was sent nothing', async (t) => {
  const to = accountAt('http://does-not-exist.invalid')
  assert.equal(await attempt(connections(t), to), 'unreachable')
})

test('a TLS handshake that fails, in whatever way, was sent nothing', async (t) => {
  const ways: Record<string, (socket: Socket) => void> = {
    'closed at once': (socket) => socket.end(),
    'reset at once': (socket) => socket.resetAndDestroy(),
    'reset after the hello': (socket) => socket.once('data', () => socket.resetAndDestroy()),
    'no TLS there': (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'),
    garbage: (socket) => socket.end('\u0000garbage\u0000'),
  }
  for (const [name, serve] of Object.entries(ways)) {
    const { port } = await tcp(t, serve)
    const to = accountAt(`https://127.0.0.1:${port}`)
    assert.equal(await attempt(connections(t), to), 'unreachable', name)
  }
})

test('a connection that breaks after the request left may have been billed', async (t) => {
  const ways: Record<string, (socket: Socket) => void> = {
    closed: (socket) => socket.once('data', () => socket.end()),
    reset: (socket) => socket.once('data', () => socket.resetAndDestroy()),
    garbage: (socket) => socket.once('data', () => socket.end('garbage\r\n\r\n')),
    'half an answer': (socket) => socket.once('data', () => socket.end(OK.slice(0, -1))),
  }
  for (const [name, serve] of Object.entries(ways)) {
    const { port, seen } = await tcp(t, serve)
    const to = accountAt(`http://127.0.0.1:${port}`)
    assert.equal(await attempt(connections(t), to), 'server_error', name)
    assert.ok(seen.bytes > 0)
  }
})

test('names that lead inwards are refused at connect time, unless that is allowed', async (t) => {
  const { port, seen } = await tcp(t, (socket) => socket.on('data', () => socket.write(OK)))
  const guarded = accountAt(`http://localhost:${port}`, { allowPrivate: false })
  assert.equal(await attempt(connections(t), guarded), 'unreachable')
  assert.equal(seen.connections, 0, 'not even a connection is made')
  const open = accountAt(`http://localhost:${port}`, { allowPrivate: true })
  assert.equal(await attempt(connections(t), open), 'ok')
})

test('an address that leads inwards is refused as well, though it needs no look-up', async (t) => {
  const { port, seen } = await tcp(t, (socket) => socket.on('data', () => socket.write(OK)))
  for (const host of ['127.0.0.1', '[::ffff:127.0.0.1]', '0.0.0.0']) {
    const guarded = accountAt(`http://${host}:${port}`, { allowPrivate: false })
    assert.equal(await attempt(connections(t), guarded), 'unreachable', host)
  }
  assert.equal(seen.connections, 0)
})

test('taking the permission back takes effect on the next request', async (t) => {
  const { port } = await tcp(t, (socket) => socket.on('data', () => socket.write(OK)))
  const pool = connections(t)
  const open = accountAt(`http://localhost:${port}`)
  assert.equal(await attempt(pool, open), 'ok')
  assert.equal(await attempt(pool, { ...open, allowPrivate: false }), 'unreachable')
})

test('an account keeps its connections, and gets new ones with a new origin', async (t) => {
  const { port, seen } = await tcp(t, (socket) => socket.on('data', () => socket.write(OK)))
  const pool = connections(t)
  const to = accountAt(`http://127.0.0.1:${port}`)
  for (let i = 0; i < 3; i++) {
    assert.equal(await attempt(pool, to), 'ok')
    // A connection is free again one turn after its answer.
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.equal(seen.connections, 1)
  const of = (changed: Partial<Account>) =>
    pool.for({ account: { ...to, ...changed }, proxy: null })
  assert.equal(of({}), of({ note: 'renamed' }))
  assert.notEqual(of({}), of({ id: 'acct_2' }))
  const other = of({})
  assert.notEqual(other, of({ baseUrl: `http://127.0.0.2:${port}` }))
})

test('connections of accounts that are gone end, the others stay', async (t) => {
  const { port } = await tcp(t, (socket) => socket.on('data', () => socket.write(OK)))
  const pool = connections(t)
  const one = accountAt(`http://127.0.0.1:${port}`)
  const two = accountAt(`http://127.0.0.1:${port}`, { id: 'acct_2' })
  const of = (account: Account) => pool.for({ account, proxy: null })
  const kept = of(one)
  const gone = of(two)
  pool.keepOnly(new Set(['acct_1']))
  assert.equal(of(one), kept)
  assert.notEqual(of(two), gone)
  assert.equal(await attempt(pool, one), 'ok')
})

test('silence is told apart from a broken connection', () => {
  const withCode = (code: string) => Object.assign(new Error('x'), { code })
  assert.equal(wasTimeout(withCode('UND_ERR_BODY_TIMEOUT')), true)
  assert.equal(wasTimeout(withCode('UND_ERR_HEADERS_TIMEOUT')), true)
  assert.equal(wasTimeout(withCode('UND_ERR_SOCKET')), false)
  assert.equal(wasTimeout(new Error('x')), false)
})

test('a connect time-out was sent nothing; a reset may have been', () => {
  const withCode = (code: string) => Object.assign(new Error('x'), { code })
  for (const code of ['UND_ERR_CONNECT_TIMEOUT', 'EAI_AGAIN', 'CERT_HAS_EXPIRED', 'EPRIVATE'])
    assert.equal(nothingWasSent(withCode(code)), true, code)
  for (const code of ['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET', 'ETIMEDOUT', 'HPE_INVALID_CONSTANT'])
    assert.equal(nothingWasSent(withCode(code)), false, code)
  assert.equal(nothingWasSent(new Error('x')), false)
})
