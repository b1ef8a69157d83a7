import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { parseAnswers, rawExchange } from '../support/raw-client.ts'
import type { RawRequest } from '../support/raw-upstream.ts'
import { rawUpstream, valuesOf } from '../support/raw-upstream.ts'
import { world } from '../support/world.ts'

/** A body that no program of ours would write: unknown members everywhere, odd spelling of the known. */
const ODD_BODY = Buffer.from(
  '\r\n { "mod\\u0065l" : "claude-sonnet-4-6",\t"max_tokens":1.00e2, "stream" :false,\n' +
    '"big": 123456789012345678901234567890.000, "tiny":1e-400, "field_of_tomorrow":{"a":[{}, [], null]},' +
    '"messages":[{"role":"user","content":[{"type":"block_of_tomorrow","x":"\\ud83d\\ude00 \\/ 😀"},' +
    '{"type":"text","text":"Grüße\\u0000","cache_control":null,"new":1}],"mood":"kind"}],' +
    '"tools":[{"name":"t","input_schema":{"type":"object"},"later":true}], "metadata":{"user_id":"u","k":[]}}\n\n',
)

const ODD_ANSWER = Buffer.from(
  '{ "id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-6",\n' +
    ' "content":[{"type":"block_of_tomorrow","deep":{"n":1.50}},{"type":"text","text":"\\u00fc ü"}],' +
    '"stop_reason":"reason_of_tomorrow","usage":{"input_tokens":7,"output_tokens":5,"new_tokens":3},"later":[] }\n',
)

const ODD_HEADERS = [
  ['X-Api-Key', '{key}'],
  ['ANTHROPIC-Beta', 'tomorrow-2027-01-01,message-threads-2026-08-12'],
  ['anthropic-beta', 'second-line-2027-02-02'],
  ['Anthropic-Header-Of-Tomorrow', 'a; b="c", d'],
  ['X-Stainless-Lang', 'js'],
  ['User-Agent', 'odd/1.0 (\xfcml\xe4ut)'],
  ['x-empty', ''],
  ['Accept', 'application/json'],
] as const

function requestText(path: string, key: string, headers: readonly (readonly [string, string])[]) {
  const lines = headers.map(([name, value]) => `${name}: ${value.replace('{key}', key)}\r\n`)
  return Buffer.concat([
    Buffer.from(
      `POST ${path} HTTP/1.1\r\nHost: gateway\r\n${lines.join('')}` +
        `Content-Length: ${ODD_BODY.length}\r\n\r\n`,
      'latin1',
    ),
    ODD_BODY,
  ])
}

async function oddWorld(t: TestContext, answer: (request: RawRequest) => string | Buffer) {
  const upstream = await rawUpstream(t, (request, socket) => socket.write(answer(request)))
  const w = await world(t, { accounts: ['one'], account: () => ({ baseUrl: upstream.url }) })
  return { w, upstream }
}

const ODD_ANSWER_HEAD =
  'HTTP/1.1 200 OK\r\nContent-Type: application/json; v=2\r\nRequest-Id: req_odd\r\n' +
  'Header-Of-Tomorrow: yes; since="2027", \xe9t\xe9\r\nX-Twice: 1\r\nX-Twice: 2\r\n' +
  'Anthropic-Not-Yet: 1\r\nCache-Control: private\r\nSet-Cookie: a=b\r\nServer: edge\r\nCF-Ray: 1\r\n' +
  'Anthropic-Organization-Id: org_secret\r\nAnthropic-Workspace-Id: wrkspc_secret\r\n' +
  'Anthropic-RateLimit-Requests-Limit: 50\r\nX-CC-Account-Id: acct_forged\r\nConnection: X-Hop\r\nX-Hop: 1\r\n' +
  `Content-Length: ${ODD_ANSWER.length}\r\n\r\n`

for (const version of ['2023-06-01', '2026-10-21']) {
  test(`what is not understood passes unchanged in both directions (version ${version})`, async (t) => {
    const { w, upstream } = await oddWorld(t, () =>
      Buffer.concat([Buffer.from(ODD_ANSWER_HEAD, 'latin1'), ODD_ANSWER]),
    )
    const path = '/v1/messages?beta=true&x=%2F%2e&&y'
    const headers = [...ODD_HEADERS, ['anthropic-version', version] as const]
    const { answers } = await rawExchange(w.url, requestText(path, w.key, headers))
    const [answer] = answers

    // Up: target, body and every header but the credential, as they were.
    const [up] = upstream.requests
    assert.equal(up.requestLine, `POST ${path} HTTP/1.1`)
    assert.ok(up.body.equals(ODD_BODY))
    for (const [name, value] of headers) {
      if (name === 'X-Api-Key') continue
      assert.ok(
        up.headers.some(([known, sent]) => known === name && sent === value),
        `${name} arrived as it was sent: ${up.head}`,
      )
    }
    assert.deepEqual(valuesOf(up.headers, 'x-api-key'), [w.sandbox.account('one').key])
    assert.deepEqual(valuesOf(up.headers, 'authorization'), [])
    assert.deepEqual(valuesOf(up.headers, 'content-type'), ['application/json'])
    assert.deepEqual(valuesOf(up.headers, 'accept-encoding'), ['identity'])
    assert.deepEqual(valuesOf(up.headers, 'host'), [new URL(upstream.url).host])
    assert.ok(!up.head.includes(w.key))

    // Down: body and unknown headers as they were; what describes the operator's account stays.
    assert.equal(answer.status, 200)
    assert.ok(Buffer.from(answer.body, 'latin1').equals(ODD_ANSWER))
    assert.equal(answer.headers.get('content-type'), 'application/json; v=2')
    assert.equal(answer.headers.get('header-of-tomorrow'), 'yes; since="2027", \xe9t\xe9')
    assert.equal(answer.headers.get('x-twice'), '1, 2')
    assert.equal(answer.headers.get('anthropic-not-yet'), '1')
    assert.equal(answer.headers.get('request-id'), 'req_odd')
    assert.equal(answer.headers.get('cache-control'), 'no-store')
    assert.equal(answer.headers.get('x-cc-account-id'), w.accountIds.one)
    for (const name of ['set-cookie', 'server', 'cf-ray', 'x-hop', 'anthropic-organization-id']) {
      assert.equal(answer.headers.get(name), undefined, name)
    }
    for (const name of ['anthropic-workspace-id', 'anthropic-ratelimit-requests-limit']) {
      assert.equal(answer.headers.get(name), undefined, name)
    }
    const usage = await w.usage(answer.headers.get('x-cc-request-id') ?? '')
    assert.deepEqual(
      [usage.tokens.input, usage.tokens.output, usage.source, usage.stream],
      [7, 5, 'exact', false],
    )
  })
}

test("upstream's own error about the request passes unchanged in status and bytes", async (t) => {
  const body =
    '{"type":"error", "error":{"type":"invalid_request_error","message":"field_of_tomorrow: no",' +
    '"details":{"error_code":"odd"}},"request_id":"req_1"}'
  const { w } = await oddWorld(
    t,
    () =>
      'HTTP/1.1 422 Whatever\r\ncontent-type: application/json\r\nrequest-id: req_1\r\n' +
      `x-should-retry: false\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  )
  const response = await w.post()
  assert.equal(response.status, 422)
  assert.equal(await response.text(), body)
  assert.equal(response.headers.get('request-id'), 'req_1')
  assert.equal(response.headers.get('x-should-retry'), 'false')
  const usage = await w.usage(response.headers.get('x-cc-request-id') ?? '')
  assert.deepEqual(
    [usage.status, usage.httpStatus, usage.costMicro, usage.upstreamRequestId],
    ['rejected', 422, 0, 'req_1'],
  )
  assert.deepEqual(await w.wallet(), { balanceMicro: 10_000_000, heldMicro: 0 })
})

test('a stream in chunks of upstream, with odd events, passes byte for byte', async (t) => {
  const stream = Buffer.from(
    'event: message_start\ndata: {"type":"message_start","message":{"id":"m","model":"claude-sonnet-4-6",' +
      '"usage":{"input_tokens":9,"output_tokens":1}}}\n\n' +
      'id: 7\nretry: 10\nevent: event_of_tomorrow\ndata: {"type":\ndata: "event_of_tomorrow"}\n\n' +
      'data: {"type":"content_block_start","index":0,"content_block":{"type":"block_of_tomorrow"}}\n\n' +
      ': only a comment\n\n\n\n' +
      'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"odd_delta","ü":"é"}}\n\n' +
      'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"odd"},"usage":{"output_tokens":4}}\n\n' +
      'event: message_stop\ndata: {"type":"message_stop"}\n\n: and a last word\n\n',
  )
  const { w } = await oddWorld(t, () => {
    const chunks: Buffer[] = [
      Buffer.from(
        'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n',
      ),
    ]
    for (let at = 0; at < stream.length; at += 37) {
      const part = stream.subarray(at, at + 37)
      chunks.push(Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n'))
    }
    return Buffer.concat([...chunks, Buffer.from('0\r\n\r\n')])
  })
  const body = JSON.stringify({
    model: 'claude-sonnet-4-6',
    max_tokens: 100,
    stream: true,
    messages: [{ role: 'user', content: 'Hello' }],
  })
  const { text } = await rawExchange(
    w.url,
    `POST /v1/messages HTTP/1.1\r\nHost: g\r\nx-api-key: ${w.key}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  )
  const [answer] = parseAnswers(text)
  assert.ok(Buffer.from(answer.body, 'latin1').equals(stream), answer.body)
  // Upstream named none, so the id of support's first question is ours.
  assert.equal(answer.headers.get('request-id'), answer.headers.get('x-cc-request-id'))
  const usage = await w.usage(answer.headers.get('x-cc-request-id') ?? '')
  assert.deepEqual(
    [usage.tokens.input, usage.tokens.output, usage.source, usage.status],
    [9, 4, 'exact', 'complete'],
  )
})
