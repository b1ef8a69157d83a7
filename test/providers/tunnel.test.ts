import assert from 'node:assert/strict'
import type { AddressInfo, Socket } from 'node:net'
import { createServer } from 'node:net'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { startAttempt } from '../../src/gateway/attempt.ts'
import { Connections } from '../../src/providers/http.ts'
import { httpProxy, socksProxy } from '../support/proxies.ts'

const OK = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}'

/** A target that answers every request; `seen` is what reached it. */
async function target(t: TestContext, serve?: (socket: Socket, chunk: Buffer) => void) {
  const seen = { connections: 0, bytes: Buffer.alloc(0) }
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    seen.connections++
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      seen.bytes = Buffer.concat([seen.bytes, chunk])
      if (serve === undefined) socket.write(OK)
      else serve(socket, chunk)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, seen } // it listens on TCP
}

function connections(t: TestContext, proxy: string | null = null): Connections {
  const made = new Connections({
    connectMs: 1_000,
    keepAliveMs: 1_000,
    connectionsPerAccount: 4,
    proxy,
  })
  t.after(() => made.destroy())
  return made
}

/** How one attempt for an account at `baseUrl` ended, and why. */
async function attempt(
  pool: Connections,
  to: { readonly baseUrl: string; readonly proxy?: string; readonly allowPrivate?: boolean },
): Promise<string> {
  const account = { id: 'acct_1', baseUrl: to.baseUrl, allowPrivate: to.allowPrivate ?? true }
  const end = await startAttempt({
    dispatcher: pool.for({ account, proxy: to.proxy ?? null }),
    method: 'POST',
    path: '/v1/messages',
    headers: ['x-twice', 'a', 'x-twice', 'b'],
    body: Buffer.from('{}'),
    stream: false,
    model: 'm',
    beginWithinMs: 5_000,
    idleMs: 5_000,
    nowMs: () => performance.now(),
  }).end
  assert.notEqual(end.kind, 'stream')
  if (end.kind === 'stream') return 'stream'
  const { kind, reason } = end.outcome
  return reason === '' ? kind : `${kind}: ${reason}`
}

test('requests go through the proxies of an account, which resolve its name, with unchanged headers', async (t) => {
  const ways = {
    http: await httpProxy(t),
    'http with a login': await httpProxy(t, { login: 'bob:p@ss:w%rd' }),
    socks5: await socksProxy(t),
    'socks5, byte by byte': await socksProxy(t, { isSlow: true }),
    'socks5 with a login': await socksProxy(t, { login: 'bob:p@ss:w%rd' }),
    'socks5 with a login, byte by byte': await socksProxy(t, { login: 'bob:', isSlow: true }),
  }
  const logins: Record<string, string> = {
    'http with a login': 'bob:p%40ss%3Aw%25rd@',
    'socks5 with a login': 'bob:p%40ss%3Aw%25rd@',
    'socks5 with a login, byte by byte': 'bob@',
  }
  for (const [name, proxy] of Object.entries(ways)) {
    const { port, seen } = await target(t)
    const scheme = name.split(/[ ,]/)[0]
    const url = `${scheme}://${logins[name] ?? ''}127.0.0.1:${proxy.port}`
    const pool = connections(t)
    const to = { baseUrl: `http://upstream.test:${port}`, proxy: url }
    for (let i = 0; i < 2; i++) {
      assert.equal(await attempt(pool, to), 'ok', name)
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.deepEqual(proxy.asked, [`upstream.test:${port}`], `${name}: one tunnel is kept`)
    const text = seen.bytes.toString()
    assert.match(text, /^POST \/v1\/messages HTTP\/1\.1\r\nhost: upstream\.test:\d+\r\n/i)
    assert.match(text, /x-twice: a\r\nx-twice: b\r\n/)
    assert.doesNotMatch(text, /proxy|bob/i)
  }
})

test('addresses go through SOCKS 5 as what they are', async (t) => {
  const proxy = await socksProxy(t)
  const { port } = await target(t)
  const url = `socks5://127.0.0.1:${proxy.port}`
  const pool = connections(t)
  assert.equal(await attempt(pool, { baseUrl: `http://127.0.0.1:${port}`, proxy: url }), 'ok')
  assert.equal(await attempt(pool, { baseUrl: `http://[fd00::1:2]:${port}`, proxy: url }), 'ok')
  const v6 = 'fd000000000000000000000000010002'
  assert.deepEqual(proxy.asked, [`127.0.0.1:${port}`, `${v6}:${port}`])
})

test('a name that SOCKS 5 has no room for is refused, and not sent cut', async (t) => {
  const proxy = await socksProxy(t)
  const url = `socks5://127.0.0.1:${proxy.port}`
  const label = 'a'.repeat(63)
  const name = [label, label, label, label].join('.')
  assert.equal(
    await attempt(connections(t), { baseUrl: `http://${name}.test`, proxy: url }),
    'unreachable: no connection (proxy takes no name as long as this)',
  )
  assert.deepEqual(proxy.asked, [])
})

test('the proxy of the configuration serves accounts without one of their own', async (t) => {
  const [shared, own] = [await httpProxy(t), await socksProxy(t)]
  const { port } = await target(t)
  const baseUrl = `http://upstream.test:${port}`
  const pool = connections(t, `http://127.0.0.1:${shared.port}`)
  assert.equal(await attempt(pool, { baseUrl }), 'ok')
  assert.deepEqual([shared.asked.length, own.asked.length], [1, 0])
  // Another proxy is another set of connections, from the next request on.
  assert.equal(await attempt(pool, { baseUrl, proxy: `socks5://127.0.0.1:${own.port}` }), 'ok')
  assert.deepEqual([shared.asked.length, own.asked.length], [1, 1])
})

/** The name that a TLS client says hello to; null when these bytes are no hello. */
function helloTo(bytes: Buffer, name: string): boolean {
  return bytes[0] === 0x16 && bytes[1] === 3 && bytes.includes(name)
}

test('TLS with the target is made inside the tunnel, under its name', async (t) => {
  const ways = { http: await httpProxy(t), socks5: await socksProxy(t) }
  for (const [scheme, proxy] of Object.entries(ways)) {
    const { port, seen } = await target(t, (socket) => socket.end())
    const to = {
      baseUrl: `https://upstream.test:${port}`,
      proxy: `${scheme}://127.0.0.1:${proxy.port}`,
    }
    assert.match(await attempt(connections(t), to), /^unreachable: /, scheme)
    assert.ok(helloTo(seen.bytes, 'upstream.test'), scheme)
  }
})

test('a target that is silent behind its proxy is waited for no longer than any other', async (t) => {
  const ways = { http: await httpProxy(t), socks5: await socksProxy(t) }
  for (const [scheme, proxy] of Object.entries(ways)) {
    const { port } = await target(t, () => {})
    const to = {
      baseUrl: `https://upstream.test:${port}`,
      proxy: `${scheme}://127.0.0.1:${proxy.port}`,
    }
    const ended = await attempt(connections(t), to)
    assert.equal(ended, 'unreachable: no connection (UND_ERR_CONNECT_TIMEOUT)', scheme)
  }
})

test('an https proxy is spoken to in TLS, under its own name', async (t) => {
  const { port, seen } = await target(t, (socket) => socket.end())
  const to = { baseUrl: 'http://upstream.test', proxy: `https://localhost:${port}` }
  assert.match(
    await attempt(connections(t), to),
    /^unreachable: no connection \(proxy unreachable: /,
  )
  assert.ok(helloTo(seen.bytes, 'localhost'))
})

test('a proxy that refuses was sent nothing for upstream, and its reason holds no secret', async (t) => {
  const { port: here, seen } = await target(t)
  const login = 'bob:secret-word'
  const asking = await httpProxy(t, { login })
  const http = (port: number) => `http://127.0.0.1:${port}`
  const socks = (port: number, more = '') => `socks5://${more}127.0.0.1:${port}`
  const silent = await target(t, () => {})
  const hangsUp = await target(t, (socket) => socket.destroy())
  const speaksHttp = await target(t, (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  const speaksOther = await target(t, (socket) => socket.end('220 mail.example.com ready\r\n'))
  const refused: readonly (readonly [url: string, reason: string])[] = [
    [http(asking.port), 'proxy refused: 407'],
    [`http://bob:other@127.0.0.1:${asking.port}`, 'proxy refused: 407'],
    [http((await httpProxy(t, { status: 503 })).port), 'proxy refused: 503'],
    [http(speaksOther.port), 'proxy refused: it does not speak HTTP'],
    [http(silent.port), 'proxy did not answer in time'],
    [http(hangsUp.port), 'proxy broke off (ECONNRESET)'],
    [socks((await socksProxy(t, { login })).port), 'proxy refused: it wants another login'],
    [socks((await socksProxy(t, { login })).port, 'bob:x@'), 'proxy refused: user or password'],
    [socks((await socksProxy(t, { reply: 2 })).port), 'proxy refused: not allowed by its rules'],
    [socks((await socksProxy(t, { reply: 99 })).port), 'proxy refused: reply 99'],
    [socks(speaksHttp.port), 'proxy refused: it does not speak SOCKS 5'],
    [socks(silent.port), 'proxy did not answer in time'],
    [socks(hangsUp.port), 'proxy broke off'],
    [socks(1), 'proxy unreachable: ECONNREFUSED'],
  ]
  await Promise.all(
    refused.map(async ([proxy, reason]) => {
      const to = { baseUrl: `http://127.0.0.1:${here}`, proxy }
      assert.equal(
        await attempt(connections(t), to),
        `unreachable: no connection (${reason})`,
        proxy,
      )
    }),
  )
  assert.equal(seen.connections, 0)
})

test('an address that leads inwards is refused before any proxy is asked', async (t) => {
  const proxy = await httpProxy(t)
  const { port, seen } = await target(t)
  const to = { proxy: `http://127.0.0.1:${proxy.port}`, allowPrivate: false }
  const inside = ['localhost', 'a.localhost.', 'metadata.google.internal', 'db']
  for (const host of ['127.0.0.1', '[::ffff:127.0.0.1]', '169.254.169.254', ...inside]) {
    const ended = await attempt(connections(t), { ...to, baseUrl: `http://${host}:${port}` })
    assert.equal(ended, 'unreachable: no connection (EPRIVATE)', host)
  }
  assert.deepEqual([proxy.asked.length, seen.connections], [0, 0])
  // A name is the proxy's to resolve, in the proxy's network.
  const named = { ...to, baseUrl: `http://upstream.test:${port}` }
  assert.equal(await attempt(connections(t), named), 'ok')
})
