import assert from 'node:assert/strict'
import { test } from 'node:test'
import { requestHeadersUp, responseHeadersDown } from '../../src/wire/headers.ts'

const HERE = { workspaceId: null }

test('credentials, cookies, forwarding and hop-by-hop headers stay here', () => {
  const stays = [
    'Authorization',
    'X-Api-Key',
    'Cookie',
    'Host',
    'Content-Length',
    'Content-Type',
    'Accept-Encoding',
    'Expect',
    'Connection',
    'Keep-Alive',
    'Transfer-Encoding',
    'TE',
    'Trailer',
    'Upgrade',
    'Proxy-Authorization',
    'Via',
    'Forwarded',
    'X-Forwarded-For',
    'X-Forwarded-Proto',
    'CF-Ray',
    'CF-Connecting-IP',
    'X-Real-IP',
    'True-Client-IP',
    'Proxy-Connection',
    'Proxy-Custom',
    'X-CC-Request-Id',
  ]
  assert.deepEqual(
    requestHeadersUp(
      stays.flatMap((name) => [name, 'value']),
      HERE,
    ),
    [],
  )
})

test('versions, betas, SDK headers and headers nobody knows yet pass as they were spelled', () => {
  const passes = [
    'anthropic-version',
    '2026-10-21',
    'Anthropic-Beta',
    'a-1,b-2',
    'User-Agent',
    'Anthropic/JS 1.12.0',
    'X-Stainless-Lang',
    'js',
    'x-claude-code-session-id',
    's',
    'accept',
    'application/json',
    'anthropic-from-the-future',
    'x',
    'anthropic-beta',
    'c-3',
  ]
  assert.deepEqual(requestHeadersUp(passes, HERE), passes)
})

test('what Connection names is dropped in both directions', () => {
  const raw = ['Connection', 'close, X-Secret', 'x-secret', '1', 'x-public', '2']
  assert.deepEqual(requestHeadersUp(raw, HERE), ['x-public', '2'])
  assert.deepEqual(responseHeadersDown(raw), ['x-public', '2'])
})

test("a workspace id passes only when it is the account's own", () => {
  const raw = ['anthropic-workspace-id', 'wrkspc_1']
  assert.deepEqual(requestHeadersUp(raw, HERE), [])
  assert.deepEqual(requestHeadersUp(raw, { workspaceId: 'wrkspc_2' }), [])
  assert.deepEqual(requestHeadersUp(raw, { workspaceId: 'wrkspc_1' }), raw)
})

test("what describes the operator's account does not go down; everything else does", () => {
  const raw = [
    'content-type',
    'application/json',
    'request-id',
    'req_1',
    'retry-after',
    '3',
    'x-should-retry',
    'false',
    'x-from-the-future',
    'yes',
    'set-cookie',
    'a=b',
    'server',
    'cloudflare',
    'cf-ray',
    'x',
    'alt-svc',
    'h3',
    'anthropic-ratelimit-requests-remaining',
    '1',
    'anthropic-priority-input-tokens-limit',
    '1',
    'anthropic-fast-input-tokens-limit',
    '1',
    'anthropic-organization-id',
    'o',
    'anthropic-workspace-id',
    'w',
    'transfer-encoding',
    'chunked',
    'x-cc-account-id',
    'forged',
  ]
  assert.deepEqual(responseHeadersDown(raw), raw.slice(0, 10))
})
