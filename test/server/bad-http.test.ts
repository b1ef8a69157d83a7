import assert from 'node:assert/strict'
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { test } from 'node:test'
import type { ErrorCode } from '../../src/core/errors.ts'
import type { RawAnswer } from '../support/raw-client.ts'
import { rawExchange } from '../support/raw-client.ts'
import { assertRefusal, nothingFromNow } from '../support/refusals.ts'
import type { World } from '../support/world.ts'
import { world } from '../support/world.ts'

const BODY = JSON.stringify({
  model: 'claude-sonnet-4-6',
  max_tokens: 100,
  messages: [{ role: 'user', content: 'Hello' }],
})
const LENGTH = `Content-Length: ${Buffer.byteLength(BODY)}\r\n`

type Part = (w: World, assertNothing: () => Promise<void>) => Promise<void>
const parts: (readonly [what: string, run: Part])[] = []

/** A part of the one test at the end: starting a world takes a moment, so all share one. */
function part(what: string, run: Part): void {
  parts.push([what, run])
}

function head(method: string, target: string, lines: readonly string[]): string {
  return `${method} ${target} HTTP/1.1\r\nHost: gateway\r\n${lines.map((line) => `${line}\r\n`).join('')}`
}

/** A POST of a good body with these header lines. */
function post(lines: readonly string[], target = '/v1/messages'): string {
  return `${head('POST', target, lines)}${LENGTH}\r\n${BODY}`
}

/** Two of the same over one connection: both are answered when the connection stays in step. */
async function twice(w: World, text: string): Promise<readonly RawAnswer[]> {
  const { answers, closed } = await rawExchange(w.url, [text, text], { answers: 2 })
  assert.equal(answers.length, 2, `closed: ${closed}`)
  return answers
}

part('wrong paths are 404 in our shape, /v1 twice is explained', async (w, assertNothing) => {
  const key = `x-api-key: ${w.key}`
  for (const target of [
    '/v1/messages/',
    '//v1/messages',
    '/v1//messages',
    '/v1/%6dessages',
    '/v1/messages%2f',
    '/v1/./messages',
    '/v1/%2e/messages',
    '/v1/models/../messages',
    '/V1/messages',
    '/v1/messages;x=1',
    '/v1/completions',
    '/v1/messages/batches',
    '/__proto__',
    '/v1/usage/',
    '/v1/models/',
    '*',
    'http://other.example/v1/messages',
    'https://gateway/v1/messages',
    `/v1/${'x'.repeat(4_000)}`,
  ]) {
    for (const answer of await twice(w, post([key], target))) {
      const { error } = assertRefusal(answer, 'route_not_found')
      assert.ok(error.message.length < 300)
    }
  }
  for (const answer of await twice(w, post([key], '/v1/v1/messages?beta=true'))) {
    const { error } = assertRefusal(answer, 'wrong_base_url')
    assert.match(error.message, /\/v1 twice/)
  }
  await assertNothing()
})

part(
  'wrong methods are 405 and name the right ones, OPTIONS too; HEAD is GET without a body',
  async (w, assertNothing) => {
    const key = `x-api-key: ${w.key}`
    for (const method of ['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND']) {
      for (const answer of await twice(w, `${head(method, '/v1/messages', [key])}\r\n`)) {
        assertRefusal(answer, 'method_not_allowed')
        assert.equal(answer.headers.get('allow'), 'POST')
      }
    }
    const [models] = await twice(w, post([key], '/v1/models'))
    assertRefusal(models, 'method_not_allowed')
    assert.equal(models.headers.get('allow'), 'GET, HEAD')

    for (const [target, status] of [
      ['/v1/models', '200'],
      ['/v1/models/claude-sonnet-4-6', '200'],
      ['/v1/models/none', '404'],
      ['/v1/usage/ccr_none', '404'],
      ['/healthz', '200'],
      ['/v1/messages', '405'],
      ['/nowhere', '404'],
    ]) {
      const both = `${head('HEAD', target, [key])}\r\n${head('GET', '/healthz', [])}\r\n`
      const { text } = await rawExchange(w.url, both, {
        withinMs: 10_000,
        answers: 99,
        onText: (text, write) => {
          if (text.endsWith('ok\n')) write('\r\nnot http\r\n\r\n')
        },
      })
      const [first, second] = text.split(/(?=HTTP\/1\.1 )/)
      assert.ok(first.startsWith(`HTTP/1.1 ${status} `), `${target}: ${first}`)
      assert.match(first, /\r\ncontent-length: [1-9]\d*\r\n/i)
      assert.match(first, /\r\n\r\n$/)
      assert.match(second, /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nok\n$/)
    }
    await assertNothing()
  },
)

part('CONNECT and upgrades open nothing', async (w, assertNothing) => {
  const connect = await rawExchange(w.url, 'CONNECT other.example:443 HTTP/1.1\r\nHost: o\r\n\r\n')
  assert.equal(connect.answers.length, 1, connect.text)
  assertRefusal(connect.answers[0], 'route_not_found')
  const upgrade = post(['Connection: Upgrade', 'Upgrade: websocket', 'x-api-key: nobody'])
  const { answers } = await rawExchange(w.url, upgrade)
  assertRefusal(answers[0], 'malformed_api_key')
  await assertNothing()
})

part(
  'each way to present a wrong key has its own 401, and the key is not repeated',
  async (w, assertNothing) => {
    const other = await w.newKey('bob', 'phone')
    const unknown = await unknownKey()
    const changed = `${w.key.slice(0, 20)}${w.key[20] === 'a' ? 'b' : 'a'}${w.key.slice(21)}`
    const sentToUs = `sk-ant-api03-${'Canary'.repeat(15)}AA`
    const cases: readonly (readonly [ErrorCode, ...string[]])[] = [
      ['missing_api_key'],
      ['missing_api_key', 'x-api-key:'],
      ['missing_api_key', 'Authorization: Bearer'],
      ['missing_api_key', 'Authorization: Basic dXNlcjpwYXNz'],
      ['malformed_api_key', `x-api-key: ${w.key.slice(0, -1)}`],
      ['malformed_api_key', 'x-api-key: cc_user_'],
      ['malformed_api_key', `x-api-key: ${w.key}x`],
      ['malformed_api_key', `x-api-key: ${changed}`],
      ['malformed_api_key', `x-api-key: ${w.key.toUpperCase()}`],
      ['malformed_api_key', `x-api-key: "${w.key}"`],
      ['malformed_api_key', 'x-api-key: sk-proj-other-service'],
      ['malformed_api_key', `x-api-key: ${'k'.repeat(9_000)}`],
      ['malformed_api_key', 'x-api-key: \xfc\xff'],
      ['anthropic_key_sent', `x-api-key: ${sentToUs}`],
      ['anthropic_key_sent', `Authorization: Bearer ${sentToUs}`],
      ['invalid_api_key', `x-api-key: ${unknown}`],
      ['conflicting_credentials', `x-api-key: ${w.key}`, `Authorization: Bearer ${other}`],
      ['conflicting_credentials', `x-api-key: ${w.key}`, `Authorization: Bearer ${sentToUs}`],
      ['conflicting_credentials', `x-api-key: ${w.key}`, `x-api-key: ${other}`],
      [
        'conflicting_credentials',
        `Authorization: Bearer ${w.key}`,
        `Authorization: Bearer ${other}`,
      ],
    ]
    for (const [code, ...lines] of cases) {
      for (const answer of await twice(w, post(lines))) {
        assertRefusal(answer, code)
        for (const secret of [w.key, other, unknown, changed, sentToUs]) {
          assert.ok(!answer.body.includes(secret.slice(8, 40)), `${lines.join()}: ${answer.body}`)
        }
      }
    }
    await assertNothing()
  },
)

part('the same key sent twice is one key, however it is sent', async (w) => {
  for (const lines of [
    [`x-api-key: ${w.key}`, `Authorization: Bearer ${w.key}`],
    [`x-api-key: ${w.key}`, `X-API-KEY: ${w.key}`],
    [`authorization: bearer ${w.key}`, `Authorization: Bearer ${w.key}`],
    [`x-api-key:   ${w.key}  `],
    [`Authorization: BEARER   ${w.key}`],
  ]) {
    for (const answer of await twice(w, post(lines))) assert.equal(answer.status, 200, lines.join())
  }
  for (const up of w.sandbox.requests) {
    assert.equal(up.headers.authorization, undefined)
    assert.ok(!JSON.stringify(up.rawHeaders).includes(w.key))
  }
})

part('headers that try to inject or to choose do neither', async (w) => {
  const { answers } = await rawExchange(
    w.url,
    post([
      `x-api-key: ${w.key}`,
      'Host: other.example',
      'X-Forwarded-Host: other.example',
      'X-Forwarded-For: 10.0.0.1',
      'X-Base-Url: http://other.example',
      'X-CC-Account-Id: acct_forged',
      'X-CC-Request-Id: ccr_forged',
      'request-id: forged',
      'Cookie: a=b',
      'Transfer-Encoding:',
      'anthropic-workspace-id: wrkspc_other',
    ]),
  )
  // An empty Transfer-Encoding beside a length is how requests are smuggled.
  assertRefusal(answers[0], 'invalid_request')
  const fine = await rawExchange(
    w.url,
    post([
      `x-api-key: ${w.key}`,
      'X-Forwarded-Host: other.example',
      'X-CC-Account-Id: acct_forged',
      'X-CC-Request-Id: ccr_forged',
      'request-id: forged',
      'Cookie: a=b',
      'anthropic-workspace-id: wrkspc_other',
      'anthropic-version: 2023-06-01\tx',
    ]),
  )
  const [answer] = fine.answers
  assert.notEqual(answer.headers.get('x-cc-request-id'), 'ccr_forged')
  assert.notEqual(answer.headers.get('x-cc-account-id'), 'acct_forged')
  const up = w.sandbox.requests[w.sandbox.requests.length - 1]
  for (const name of ['cookie', 'x-forwarded-host', 'anthropic-workspace-id']) {
    assert.equal(up.headers[name], undefined, name)
  }
})

part(
  'broken HTTP gets our error in one piece, and the connection ends',
  async (w, assertNothing) => {
    const key = `x-api-key: ${w.key}\r\n`
    const start = 'POST /v1/messages HTTP/1.1\r\n'
    const cases: readonly (readonly [what: string, text: string])[] = [
      ['no HTTP at all', 'hello\r\n\r\n'],
      ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
      ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
      ['a raw line feed in a header', `${start}Host: g\r\nx: a\nb\r\n${key}${LENGTH}\r\n${BODY}`],
      ['a NUL in a header', `${start}Host: g\r\nx: a\0b\r\n${key}${LENGTH}\r\n${BODY}`],
      ['a CR in a header', `${start}Host: g\r\nx: a\rb: c\r\n${key}${LENGTH}\r\n${BODY}`],
      [
        'a folded header',
        `${start}Host: g\r\nx: a\r\n b\r\n${key}${LENGTH}\r\n${BODY}`.replace(
          '\r\n b',
          '\r\n\x01b',
        ),
      ],
      [
        'a blank before the colon',
        `${start}Host: g\r\nx-api-key : ${w.key}\r\n${LENGTH}\r\n${BODY}`,
      ],
      ['a blank in a name', `${start}Host: g\r\nx y: 1\r\n${key}${LENGTH}\r\n${BODY}`],
      ['two lengths', `${start}Host: g\r\n${key}${LENGTH}Content-Length: 1\r\n\r\n${BODY}`],
      [
        'a length and chunks',
        `${start}Host: g\r\n${key}${LENGTH}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      ],
      ['a negative length', `${start}Host: g\r\n${key}Content-Length: -1\r\n\r\n`],
      ['a length in hex', `${start}Host: g\r\n${key}Content-Length: 0x10\r\n\r\n`],
      ['an endless length', `${start}Host: g\r\n${key}Content-Length: ${'9'.repeat(40)}\r\n\r\n`],
      [
        'an unknown coding',
        `${start}Host: g\r\n${key}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n`,
      ],
      ['no Host', `${start}${key}${LENGTH}\r\n${BODY}`],
      [
        'a space in the target',
        `POST /v1/mess ages HTTP/1.1\r\nHost: g\r\n${key}${LENGTH}\r\n${BODY}`,
      ],
    ]
    for (const [what, text] of cases) {
      const bytes = Buffer.from(text, 'latin1')
      const { answers, closed } = await rawExchange(w.url, bytes, { answers: 2 })
      assert.equal(answers.length, 1, `${what}: ${answers.length} answers`)
      assert.ok(closed, what)
      assertRefusal(answers[0], 'invalid_request')
      assert.equal(answers[0].headers.get('connection'), 'close')
    }
    const chunk = `${start}Host: g\r\n${key}Transfer-Encoding: chunked\r\n\r\nzz\r\n`
    const { answers, closed } = await rawExchange(w.url, chunk, { answers: 2 })
    assert.ok(closed && answers.length <= 1)
    await assertNothing()
  },
)

part('too many or too large headers are 431 in our shape', async (w, assertNothing) => {
  const key = `x-api-key: ${w.key}`
  const many = Array.from({ length: 10_000 }, (_, i) => `x-${i}: ${i}`)
  for (const lines of [
    [key, ...many],
    [key, `x-large: ${'x'.repeat(20_000)}`],
    [`x-api-key: ${'k'.repeat(1_000_000)}`],
  ]) {
    const { answers, closed } = await rawExchange(w.url, post(lines), { answers: 2 })
    assert.ok(closed)
    assert.equal(answers.length, 1)
    assertRefusal(answers[0], 'headers_too_large')
  }
  const target = await rawExchange(w.url, post([key], `/v1/${'x'.repeat(20_000)}`), { answers: 2 })
  assertRefusal(target.answers[0], 'headers_too_large')
  await assertNothing()
  // Those that pass are all seen: the key stands behind them.
  const small = Array.from({ length: 900 }, () => 'a:b')
  const { answers } = await rawExchange(w.url, post([...small, key]))
  assert.equal(answers[0].status, 200, answers[0].body)
})

part(
  'a client that waits for 100-continue is told only when its request is admitted',
  async (w, assertNothing) => {
    const expect = 'Expect: 100-continue'
    const refused = await rawExchange(
      w.url,
      `${head('POST', '/v1/messages', ['x-api-key: wrong', expect])}${LENGTH}\r\n`,
      { answers: 2 },
    )
    assert.ok(refused.closed)
    assert.equal(refused.answers.length, 1)
    assertRefusal(refused.answers[0], 'malformed_api_key')

    const declared = `Content-Length: ${33 * 1024 * 1024}`
    const large = await rawExchange(
      w.url,
      `${head('POST', '/v1/messages', [`x-api-key: ${w.key}`, expect, declared])}\r\n`,
      { answers: 2 },
    )
    assert.deepEqual(
      large.answers.map((answer) => answer.status),
      [413],
    )
    assertRefusal(large.answers[0], 'request_too_large')
    await assertNothing()

    let isSent = false
    const taken = await rawExchange(
      w.url,
      `${head('POST', '/v1/messages', [`x-api-key: ${w.key}`, expect])}${LENGTH}\r\n`,
      {
        answers: 2,
        onText: (text, write) => {
          if (!isSent && text.startsWith('HTTP/1.1 100 ')) write(BODY)
          isSent ||= text.startsWith('HTTP/1.1 100 ')
        },
      },
    )
    assert.deepEqual(
      taken.answers.map((answer) => answer.status),
      [100, 200],
    )
    const unknown = await rawExchange(w.url, post([`x-api-key: ${w.key}`, 'Expect: miracles']))
    assert.equal(unknown.answers[0].status, 200)
    assert.equal(w.sandbox.requests.at(-1)?.headers.expect, undefined)
  },
)

part('pipelined requests are answered in order, each once', async (w) => {
  const key = `x-api-key: ${w.key}`
  const before = w.sandbox.counters.requests
  const texts = [
    post([key]),
    post([key], '/v1/messages/'),
    post(['x-api-key: wrong']),
    post([key]),
    `${head('GET', '/healthz', [])}\r\n`,
  ]
  const { answers } = await rawExchange(w.url, texts.join(''), { answers: texts.length })
  assert.deepEqual(
    answers.map((answer) => answer.status),
    [200, 404, 401, 200, 200],
  )
  assert.equal(w.sandbox.counters.requests - before, 2)
  await w.settled()
})

part('HTTP/1.0, as some proxies speak it, gets whole answers and streams', async (w) => {
  for (const [stream, end] of [
    [false, '}'],
    [true, 'event: message_stop\ndata: {"type":"message_stop"}\n\n'],
  ] as const) {
    const body = JSON.stringify({ ...JSON.parse(BODY), stream })
    const { text, closed } = await rawExchange(
      w.url,
      `POST /v1/messages HTTP/1.0\r\nx-api-key: ${w.key}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      { answers: 99 },
    )
    assert.ok(closed)
    assert.match(text, /^HTTP\/1\.1 200 /)
    assert.doesNotMatch(text, /transfer-encoding/i)
    assert.ok(text.endsWith(end), text)
  }
})

part('nonsense behind a running stream does not write into it', async (w) => {
  const body = JSON.stringify({ ...JSON.parse(BODY), stream: true })
  const text =
    `${head('POST', '/v1/messages', [`x-api-key: ${w.key}`, 'x-sandbox: output_tokens=60,token_rate=300'])}` +
    `Content-Length: ${body.length}\r\n\r\n${body}`
  let isSent = false
  const { text: got } = await rawExchange(w.url, text, {
    answers: 99,
    onText: (soFar, write) => {
      if (!isSent && soFar.includes('content_block_delta')) write('not http\r\n\r\n')
      isSent ||= soFar.includes('content_block_delta')
    },
  })
  assert.ok(isSent)
  assert.equal(got.match(/HTTP\/1\.1/g)?.length, 1, got)
  await w.settled()
})

part(
  'bodies that say they are compressed are refused, not guessed at',
  async (w, assertNothing) => {
    for (const coding of ['gzip', 'deflate', 'br', 'zstd']) {
      const [answer] = await twice(w, post([`x-api-key: ${w.key}`, `Content-Encoding: ${coding}`]))
      const { error } = assertRefusal(answer, 'invalid_request')
      assert.match(error.message, /^content-encoding: /)
    }
    await assertNothing()
    const [answer] = await twice(w, post([`x-api-key: ${w.key}`, 'Content-Encoding: identity']))
    assert.equal(answer.status, 200)
  },
)

part(
  'a body of 33 MiB is 413, said before the body is read and while it comes',
  async (w, assertNothing) => {
    const large = Buffer.alloc(33 * 1024 * 1024, 0x20)
    const key = `x-api-key: ${w.key}`
    const declared = `${head('POST', '/v1/messages', [key, `Content-Length: ${large.length}`])}\r\n`
    const early = await rawExchange(w.url, declared)
    const { error } = assertRefusal(early.answers[0], 'request_too_large')
    assert.match(error.message, /33 MiB, the limit is 32 MiB/)

    // Clients that send all before they read must still see the answer, not a broken connection.
    for (const lines of [[`Content-Length: ${large.length}`], ['Transfer-Encoding: chunked']]) {
      const isChunked = lines[0].startsWith('Transfer')
      const bytes = [
        `${head('POST', '/v1/messages', [key, ...lines])}\r\n`,
        ...(isChunked ? [`${large.length.toString(16)}\r\n`, large, '\r\n0\r\n\r\n'] : [large]),
      ]
      const { answers, closed } = await rawExchange(w.url, bytes, {
        answers: 2,
        readsWhenAllIsSent: true,
      })
      assert.equal(answers.length, 1, lines[0])
      assertRefusal(answers[0], 'request_too_large')
      assert.ok(closed)
    }
    const viaNode = await postWithNode(w, large)
    assert.equal(viaNode, 413)
    const viaFetch = await fetch(`${w.url}/v1/messages`, {
      method: 'POST',
      headers: { 'x-api-key': w.key },
      body: large,
    })
    assert.equal(viaFetch.status, 413)
    assert.match(await viaFetch.text(), /request_too_large/)
    await assertNothing()
  },
)

part('a large body with a wrong key gets its 401', async (w, assertNothing) => {
  for (let i = 0; i < 3; i++) {
    const response = await fetch(`${w.url}/v1/messages`, {
      method: 'POST',
      headers: { 'x-api-key': 'wrong' },
      body: Buffer.alloc(8 * 1024 * 1024, 0x20),
    })
    assert.equal(response.status, 401)
    assert.match(await response.text(), /malformed_api_key/)
  }
  await assertNothing()
})

function postWithNode(w: World, body: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      `${w.url}/v1/messages`,
      { method: 'POST', headers: { 'x-api-key': w.key } },
      (response) => {
        response.resume()
        resolve(response.statusCode ?? 0)
      },
    )
    request.on('error', reject)
    request.end(body)
  })
}

test('bad HTTP is answered, and costs nothing', async (t) => {
  const w = await world(t)
  for (const [what, run] of parts) {
    await t.test(what, async () => run(w, await nothingFromNow(w)))
  }
})

async function unknownKey(): Promise<string> {
  const { makeKeySecret } = await import('../../src/access/key.ts')
  return makeKeySecret()
}

test('a client that keeps its side open after CONNECT or broken HTTP is let go, and no stop waits for it', {
  timeout: 10_000,
}, async (t) => {
  const w = await world(t)
  const port = Number(new URL(w.url).port)
  const closed = ['CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n', 'GARBAGE\r\n\r\n'].map(
    (text) =>
      new Promise<string>((resolve) => {
        const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
        let got = ''
        socket.on('data', (chunk) => {
          got += String(chunk)
        })
        socket.on('error', () => {})
        // Never ended by us; without an end from the other side this stays for ever.
        const knocking = setInterval(() => socket.write('x'), 300)
        socket.on('close', () => {
          clearInterval(knocking)
          resolve(got)
        })
        socket.write(text)
      }),
  )
  const answers = await Promise.all(closed)
  assert.match(answers[0], /^HTTP\/1\.1 404 /)
  assert.match(answers[1], /^HTTP\/1\.1 400 /)
  await w.stop(60_000)
})
