import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { createServer, request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { clientAddress } from '../../src/server/client-address.ts'

/** A request as far as addresses go. */
function from(peer: string | undefined, forwardedFor?: string, destroyed = false): IncomingMessage {
  const headers = forwardedFor === undefined ? {} : { 'x-forwarded-for': forwardedFor }
  const localAddress = peer === undefined ? undefined : '10.0.0.1'
  // The parts that are read; a whole message needs a connection, see the last tests.
  return { headers, socket: { remoteAddress: peer, localAddress, destroyed } } as IncomingMessage
}

const PROXIES = ['10.0.0.0/8', '192.0.2.1', '2001:db8:ffff::/48']
const behindProxies = clientAddress(PROXIES)
const direct = clientAddress([])

test('without a trusted proxy the peer is the client, whatever it writes into its headers', () => {
  fc.assert(
    fc.property(fc.ipV4(), fc.oneof(fc.ipV4(), fc.ipV6(), fc.string()), (peer, forged) => {
      assert.equal(direct.of(from(peer, forged)), peer)
    }),
  )
})

test('a client behind trusted proxies cannot choose its address', () => {
  const outside = fc.ipV4().filter((ip) => !/^(10\.|192\.0\.2\.1$)/.test(ip))
  const inside = fc.nat({ max: 255 }).map((n) => `10.1.2.${n}`)
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          fc.ipV4(),
          fc.ipV6(),
          fc.string().filter((s) => !s.includes(',')),
        ),
      ),
      outside,
      fc.array(inside, { maxLength: 3 }),
      inside,
      (forged, real, hops, peer) => {
        const chain = [...forged, real, ...hops].join(', ')
        assert.equal(behindProxies.of(from(peer, chain)), real)
      },
    ),
  )
})

test('chains as they occur', () => {
  const rows: [peer: string, chain: string | undefined, client: string][] = [
    ['203.0.113.7', undefined, '203.0.113.7'],
    ['203.0.113.7', '198.51.100.1', '203.0.113.7'],
    ['10.0.0.5', '198.51.100.1', '198.51.100.1'],
    ['10.0.0.5', '1.2.3.4, 198.51.100.1', '198.51.100.1'],
    ['10.0.0.5', '198.51.100.1, 10.9.9.9', '198.51.100.1'],
    ['10.0.0.5', ' 198.51.100.1 ,10.9.9.9 ', '198.51.100.1'],
    ['10.0.0.5', undefined, '10.0.0.5'],
    ['10.0.0.5', '10.2.2.2, 10.3.3.3', '10.2.2.2'],
    ['10.0.0.5', 'unknown', '10.0.0.5'],
    ['10.0.0.5', '', '10.0.0.5'],
    ['10.0.0.5', '198.51.100.1:4711', '10.0.0.5'],
    ['10.0.0.5', '127.0.0.1', '127.0.0.1'],
    ['2001:db8:ffff::1', '2001:db8:1::9', '2001:db8:1::9'],
    ['2001:db8:fffe::1', '2001:db8:1::9', '2001:db8:fffe::1'],
    ['192.0.2.1', '198.51.100.1', '198.51.100.1'],
    ['192.0.2.2', '198.51.100.1', '192.0.2.2'],
    ['::ffff:10.0.0.5', '198.51.100.1', '198.51.100.1'],
    ['::ffff:203.0.113.7', '198.51.100.1', '203.0.113.7'],
    ['10.0.0.5', '198.51.100.1, ::ffff:10.9.9.9', '198.51.100.1'],
    ['10.0.0.5', '::ffff:198.51.100.1', '198.51.100.1'],
  ]
  for (const [peer, chain, client] of rows)
    assert.equal(behindProxies.of(from(peer, chain)), client, `${peer} with ${chain}`)
})

test('failures are counted for everybody but a bare loopback', () => {
  assert.equal(direct.counted(from('127.0.0.1')), null)
  assert.equal(direct.counted(from('::1')), null)
  assert.equal(direct.counted(from('::ffff:127.0.0.1')), null)
  assert.equal(direct.counted(from('203.0.113.7')), '203.0.113.7')
  assert.equal(direct.counted(from('127.0.0.1', '198.51.100.1')), '127.0.0.1')
  const local = clientAddress(['127.0.0.1'])
  assert.equal(local.counted(from('127.0.0.1', '198.51.100.1')), '198.51.100.1')
})

test('a connection that is gone proves nothing about its sender', () => {
  assert.equal(direct.of(from(undefined, '198.51.100.1', true)), null)
  // A TCP connection that the peer reset has no peer address left, but still one of its own.
  const reset = from(undefined, '198.51.100.1')
  Object.assign(reset.socket, { localAddress: '10.0.0.1' })
  assert.equal(direct.of(reset), null)
})

test('on a Unix socket the proxy in front is believed, and nobody is exempt behind it', async (t) => {
  const seen: (string | null)[] = []
  const server = createServer((request, response) => {
    seen.push(direct.of(request), direct.counted(request))
    response.end()
  })
  const path = join(tmpdir(), `ccgate-test-${process.pid}-${Math.random().toString(36).slice(2)}`)
  await new Promise<void>((resolve) => server.listen(path, resolve))
  t.after(() => server.close())
  const get = (headers: Record<string, string>) =>
    new Promise<void>((resolve, reject) => {
      const message = httpRequest({ socketPath: path, headers, agent: false }, (answer) => {
        answer.resume()
        answer.on('end', resolve)
      })
      message.on('error', reject)
      message.end()
    })
  await get({})
  await get({ 'x-forwarded-for': '1.2.3.4, 198.51.100.1' })
  assert.deepEqual(seen, [null, null, '198.51.100.1', '198.51.100.1'])
})

test('several X-Forwarded-For lines are one chain', async (t) => {
  const loopback = clientAddress(['127.0.0.1'])
  let client: string | null = ''
  const server = createServer((request, response) => {
    client = loopback.of(request)
    response.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const socket = connect(port, '127.0.0.1')
  socket.end(
    'GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 198.51.100.1\r\nConnection: close\r\n\r\n',
  )
  await new Promise((resolve) => socket.resume().on('close', resolve))
  assert.equal(client, '198.51.100.1')
})
