import assert from 'node:assert/strict'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { createServer, getCACertificates, setDefaultCACertificates } from 'node:tls'
import { startAttempt } from '../../src/gateway/attempt.ts'
import { Connections } from '../../src/providers/http.ts'
import { httpProxy, socksProxy } from '../support/proxies.ts'
import { TEST_CERTIFICATE, TEST_CERTIFICATE_KEY } from '../support/test-certificate.ts'

const OK = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}'
const CREDENTIAL = 'sk-of-the-account'

/** An upstream in TLS with the test certificate; `heard` is all that it was told inside. */
async function tlsTarget(t: TestContext) {
  const seen = { heard: '' }
  const server = createServer({ cert: TEST_CERTIFICATE, key: TEST_CERTIFICATE_KEY }, (socket) => {
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      seen.heard += chunk.toString('latin1')
      socket.write(OK)
    })
    t.after(() => socket.destroy())
  })
  server.on('tlsClientError', () => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return { port: (server.address() as AddressInfo).port, seen } // it listens on TCP
}

async function attempt(t: TestContext, baseUrl: string, proxy: string): Promise<string> {
  const policy = { connectMs: 2_000, keepAliveMs: 1_000, connectionsPerAccount: 1, proxy: null }
  const pool = new Connections(policy)
  t.after(() => pool.destroy())
  const account = { id: 'acct_1', baseUrl, allowPrivate: true }
  const { end } = startAttempt({
    dispatcher: pool.for({ account, proxy }),
    method: 'POST',
    path: '/v1/messages',
    headers: ['x-api-key', CREDENTIAL],
    body: Buffer.from('{}'),
    stream: false,
    model: 'm',
    beginWithinMs: 5_000,
    idleMs: 5_000,
    nowMs: () => performance.now(),
  })
  const ended = await end
  assert.notEqual(ended.kind, 'stream')
  if (ended.kind === 'stream') return 'stream'
  return `${ended.outcome.kind} ${ended.outcome.reason}`.trim()
}

/** Every way through a proxy, to it in TLS and in clear. */
async function ways(t: TestContext) {
  return [
    { proxy: await httpProxy(t), scheme: 'http', host: '127.0.0.1' },
    { proxy: await httpProxy(t, { isTls: true }), scheme: 'https', host: 'localhost' },
    { proxy: await socksProxy(t), scheme: 'socks5', host: '127.0.0.1' },
  ].map(({ proxy, scheme, host }) => ({
    scheme,
    proxy,
    url: `${scheme}://${host}:${proxy.port}`,
  }))
}

// In this order: from the second test on the certificate is trusted.
test('an upstream that nobody vouches for gets no credential, whatever proxy leads there', async (t) => {
  for (const { scheme, url, proxy } of await ways(t)) {
    const { port, seen } = await tlsTarget(t)
    const ended = await attempt(t, `https://upstream.test:${port}`, url)
    // A proxy that shows such a certificate itself is asked for nothing: it might not be the one that is meant.
    const whose = scheme === 'https' ? 'proxy unreachable: ' : ''
    const reason = `no connection (${whose}DEPTH_ZERO_SELF_SIGNED_CERT)`
    assert.equal(ended, `unreachable ${reason}`, scheme)
    assert.equal(proxy.asked.length, scheme === 'https' ? 0 : 1)
    assert.equal(seen.heard, '', scheme)
  }
})

test('one that shows a trusted certificate gets it, in TLS inside the tunnel; one for another name does not', async (t) => {
  const before = getCACertificates('default')
  setDefaultCACertificates([...before, TEST_CERTIFICATE])
  t.after(() => setDefaultCACertificates(before))
  for (const { scheme, url, proxy } of await ways(t)) {
    const { port, seen } = await tlsTarget(t)
    assert.equal(await attempt(t, `https://upstream.test:${port}`, url), 'ok', scheme)
    assert.match(seen.heard, new RegExp(CREDENTIAL))
    seen.heard = ''
    const other = await attempt(t, `https://other.test:${port}`, url)
    assert.match(other, /^unreachable no connection \(ERR_TLS_CERT_ALTNAME_INVALID\)$/, scheme)
    assert.equal(seen.heard, '', scheme)
    assert.deepEqual(proxy.asked, [`upstream.test:${port}`, `other.test:${port}`], scheme)
  }
})
