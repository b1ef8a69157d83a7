import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { MODELS } from '../../src/sandbox/models.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { type Body, post, question, sandboxFor } from './world.ts'

test('any sandbox key makes its account; other keys are a 401 without ids of an account', async (t) => {
  const sandbox = await sandboxFor(t)
  const ask = async (headers: { [name: string]: string }) => {
    const response = await fetch(`${sandbox.url}/v1/messages`, {
      method: 'POST',
      headers: { 'anthropic-version': '2023-06-01', ...headers },
      body: JSON.stringify(question('Hello')),
    })
    return { response, body: JSON.parse(await response.text()) }
  }
  const made = await ask({ 'x-api-key': 'sk-ant-sandbox-new' })
  assert.equal(made.response.status, 200)
  assert.equal(
    sandbox.account('new').organizationId,
    made.response.headers.get('anthropic-organization-id'),
  )
  const bearer = await ask({ authorization: 'Bearer sk-ant-sandbox-new' })
  assert.equal(
    bearer.response.headers.get('anthropic-workspace-id'),
    sandbox.account('new').workspaceId,
  )

  const unknown = await ask({ 'x-api-key': 'sk-ant-api03-somebody-else' })
  assert.equal(unknown.response.status, 401)
  assert.equal(unknown.body.error.message, 'invalid x-api-key')
  assert.equal(unknown.response.headers.get('anthropic-organization-id'), null)
  assert.match(unknown.response.headers.get('request-id') ?? '', /^req_011C/)
  assert.equal((await ask({})).body.error.message, 'x-api-key header is required')
  sandbox.revoke('new')
  assert.equal((await ask({ 'x-api-key': 'sk-ant-sandbox-new' })).response.status, 401)
  sandbox.restore('new')
  assert.equal((await ask({ 'x-api-key': 'sk-ant-sandbox-new' })).response.status, 200)
})

test('keys can name an organisation and a workspace to share', async (t) => {
  const sandbox = await sandboxFor(t)
  const of = (key: string) => sandbox.account(`sk-ant-sandbox-${key}`)
  assert.equal(of('a_org_acme').organizationId, of('b_org_acme').organizationId)
  assert.notEqual(of('a_org_acme').workspaceId, of('b_org_acme').workspaceId)
  assert.equal(of('c_org_acme_ws_main').workspaceId, of('d_org_acme_ws_main').workspaceId)
  assert.notEqual(of('e').organizationId, of('f').organizationId)
  assert.ok(sandbox.accounts[0].key.startsWith('sk-ant-api03-'))
  assert.equal(sandbox.accounts[0].key.length, 108)
  assert.notEqual(sandbox.accounts[0].key.slice(-4), sandbox.accounts[1].key.slice(-4))
})

test('answers carry what a gateway must strip, and the limits of organisation and model', async (t) => {
  const sandbox = await sandboxFor(t, { limits: { requests: 50 } })
  const response = await post(sandbox, question('Hello'))
  for (const name of ['set-cookie', 'server', 'cf-ray', 'alt-svc', 'anthropic-organization-id']) {
    assert.ok(response.headers.get(name), name)
  }
  for (const kind of ['requests', 'input-tokens', 'output-tokens', 'tokens']) {
    for (const part of ['limit', 'remaining', 'reset']) {
      assert.ok(response.headers.get(`anthropic-ratelimit-${kind}-${part}`), kind)
    }
  }
  assert.equal(response.headers.get('anthropic-ratelimit-requests-remaining'), '49')
})

test('a limit is shared by an organisation, separate by model class, and refills', async (t) => {
  let nowMs = 1_000_000
  const sandbox = await sandboxFor(t, {
    nowMs: () => nowMs,
    limits: { requests: 3 },
    accounts: [
      { name: 'a', organization: 'acme' },
      { name: 'b', organization: 'acme' },
      { name: 'c' },
    ],
  })
  const ask = (account: string, model = 'claude-sonnet-4-6') => {
    const key = { 'x-api-key': sandbox.account(account).key }
    return post(sandbox, { ...question('Hello'), model }, key)
  }
  for (const account of ['a', 'b', 'a']) assert.equal((await ask(account)).status, 200)
  const limited = await ask('b')
  assert.equal(limited.status, 429)
  assert.equal(limited.headers.get('retry-after'), '20')
  assert.equal(limited.headers.get('anthropic-ratelimit-requests-remaining'), '0')
  assert.equal((await ask('b', 'claude-sonnet-4-5')).status, 429)
  assert.equal((await ask('b', 'claude-opus-5')).status, 200)
  assert.equal((await ask('c')).status, 200)
  nowMs += 20_000
  assert.equal((await ask('b')).status, 200)
  assert.equal(sandbox.billed().length, 6)
})

test('input over the limit waits, and cached input does not count', async (t) => {
  let nowMs = 1_000_000
  const sandbox = await sandboxFor(t, { nowMs: () => nowMs, limits: { inputTokens: 4_000 } })
  const body = question('Hello', {
    system: [{ type: 'text', text: 'x'.repeat(9_000), cache_control: { type: 'ephemeral' } }],
  })
  assert.equal((await post(sandbox, body)).status, 200)
  for (let i = 0; i < 5; i++) assert.equal((await post(sandbox, body)).status, 200)
  assert.equal((await post(sandbox, question('y'.repeat(9_000)))).status, 429)
  nowMs += 60_000
  assert.equal((await post(sandbox, question('y'.repeat(9_000)))).status, 200)
})

test('thinking made by another organisation is dropped without a word, where models bind it', async (t) => {
  const sandbox = await sandboxFor(t, { accounts: [{ name: 'a' }, { name: 'b' }] })
  const turn = async (account: string, model: string, messages: unknown) => {
    const key = { 'x-api-key': sandbox.account(account).key }
    const beta = { 'anthropic-beta': 'thinking-binding-controls-2026-08-01' }
    const body = { model, max_tokens: 900, thinking: { type: 'adaptive' }, messages }
    return JSON.parse(await (await post(sandbox, body, { ...key, ...beta })).text())
  }
  const ask = { role: 'user', content: 'Why?' }
  for (const [model, dropped] of [
    ['claude-sonnet-5-5', 1],
    ['claude-opus-5-5', 0],
  ] as const) {
    const first = await turn('a', model, [ask])
    const history = [ask, { role: 'assistant', content: first.content }, ask]
    const home = await turn('a', model, history)
    const away = await turn('b', model, history)
    const thinking = first.usage.output_tokens_details.thinking_tokens
    assert.equal(home.usage.input_tokens - away.usage.input_tokens, dropped * thinking)
    assert.equal(sandbox.counters.droppedThinking, dropped || 1)
    assert.equal(away.input_transformations?.length ?? 0, dropped)
  }
})

test('bodies that upstream refuses are refused with its status and words', async (t) => {
  const sandbox = await sandboxFor(t)
  const cases: readonly (readonly [Body, number, RegExp])[] = [
    [{ model: undefined }, 400, /^model: Field required/],
    [{ max_tokens: undefined }, 400, /^max_tokens: Field required/],
    [{ messages: undefined }, 400, /^messages: Field required/],
    [{ messages: [] }, 400, /at least one message is required/],
    [{ model: 'claude-opus-3' }, 404, /^model: claude-opus-3$/],
    [{ max_tokens: 200_000 }, 400, /200000 > 128000, which is the maximum allowed/],
    [{ max_tokens: '5' }, 400, /valid integer/],
    [{ flavour: 'sweet' }, 400, /^flavour: Extra inputs are not permitted/],
    [{ thread: { type: 'create' } }, 400, /^thread: Extra inputs are not permitted/],
    [{ stream: true, max_tokens: 0 }, 400, /max_tokens: 0/],
    [{ messages: [{ role: 'robot', content: 'x' }] }, 400, /messages\.0\.role/],
    [{ messages: [{ role: 'assistant', content: 'x' }] }, 400, /prefill/],
    [{ thinking: { type: 'enabled', budget_tokens: 9 } }, 400, /at least 1024/],
    [{ thinking: { type: 'between_tools' } }, 400, /not supported by claude-sonnet-4-6/],
    [{ tools: [{ name: 'x' }] }, 400, /tools\.0\.input_schema: Field required/],
    [{ speed: 'fast' }, 400, /fast mode is not available/],
    [{ model: 'claude-haiku-4-5', inference_geo: 'us' }, 400, /inference_geo/],
    [{ model: 'claude-opus-5-5', temperature: 1 }, 400, /temperature/],
    [{ model: 'claude-opus-5-5', tool_choice: { type: 'any' } }, 400, /tool_choice/],
  ]
  for (const [change, status, message] of cases) {
    const response = await post(sandbox, question('Hello', change))
    const body = JSON.parse(await response.text())
    assert.equal(response.status, status, JSON.stringify(change))
    assert.match(body.error.message, message)
    assert.equal(body.request_id, response.headers.get('request-id'))
  }
  assert.equal((await post(sandbox, '{"model":')).status, 400)
  assert.equal((await post(sandbox, '[]')).status, 400)
  const versions = { 'anthropic-version': '1999-01-01' }
  assert.equal((await post(sandbox, question('Hello'), versions)).status, 400)
  const newer = { 'anthropic-version': '2026-10-21' }
  assert.equal((await post(sandbox, question('Hello', { temperature: 1 }), newer)).status, 400)
  assert.equal((await post(sandbox, question('Hello', { temperature: 1 }))).status, 200)
  assert.equal(sandbox.billed().length, 1)
})

test('geography, speed and beta query are taken and answered', async (t) => {
  const sandbox = await sandboxFor(t)
  const body = question('Hello', { model: 'claude-opus-5-5', inference_geo: 'us', speed: 'fast' })
  const response = await post(sandbox, body, {}, '/v1/messages?beta=true')
  const { usage } = JSON.parse(await response.text())
  assert.deepEqual(
    [usage.inference_geo, usage.speed, usage.service_tier],
    ['us', 'fast', 'standard'],
  )
  const older = question('Hello', { model: 'claude-opus-4-6', speed: 'fast' })
  assert.equal(JSON.parse(await (await post(sandbox, older)).text()).usage.speed, 'standard')
  assert.equal(sandbox.requests[0].path, '/v1/messages?beta=true')
})

test('compressed bodies are read, other encodings refused, large bodies stopped at the edge', async (t) => {
  const sandbox = await sandboxFor(t)
  const send = (body: Uint8Array<ArrayBuffer>, headers: { [name: string]: string }) =>
    fetch(`${sandbox.url}/v1/messages`, {
      method: 'POST',
      headers: {
        'x-api-key': sandbox.accounts[0].key,
        'anthropic-version': '2023-06-01',
        ...headers,
      },
      body,
    })
  const packed = new Uint8Array(gzipSync(JSON.stringify(question('Hello'))))
  assert.equal((await send(packed, { 'content-encoding': 'gzip' })).status, 200)
  assert.equal((await send(packed, { 'content-encoding': 'br' })).status, 400)
  const large = await send(new Uint8Array(33 * 1024 * 1024), {})
  assert.equal(large.status, 413)
  assert.equal(JSON.parse(await large.text()).type, undefined)
})

test('other paths, methods and HEAD answer as an API does', async (t) => {
  const sandbox = await sandboxFor(t)
  const ask = (method: string, path: string) =>
    fetch(sandbox.url + path, { method, headers: { 'x-api-key': sandbox.accounts[0].key } })
  assert.equal((await ask('GET', '/v1/nothing')).status, 404)
  assert.equal((await ask('GET', '/v1/messages')).status, 405)
  assert.equal((await ask('HEAD', '/v1/models')).status, 200)
  assert.equal((await ask('GET', '/v1/models/claude-2')).status, 404)
  assert.equal((await ask('GET', '/v1/models/%E0%A4%A')).status, 404)
  const page = JSON.parse(await (await ask('GET', '/v1/models?limit=3')).text())
  assert.equal(page.data.length, 3)
  assert.equal(page.has_more, true)
  const all = JSON.parse(await (await ask('GET', '/v1/models?limit=1000')).text())
  assert.equal(all.data.length, MODELS.length)
  const before = await ask('GET', `/v1/models?limit=2&before_id=${all.data[5].id}`)
  assert.equal(JSON.parse(await before.text()).data[1].id, all.data[4].id)
})

test('an account may offer fewer models and keep no data', async (t) => {
  const accounts = [
    { name: 'a', models: ['claude-opus-5'], dataRetention: false },
    { name: 'b', dataRetention: false },
  ]
  const sandbox = await sandboxFor(t, { accounts })
  assert.equal((await post(sandbox, question('Hello'))).status, 404)
  assert.equal((await post(sandbox, question('Hello', { model: 'claude-opus-5' }))).status, 200)
  const key = { 'x-api-key': sandbox.account('b').key }
  const refused = await post(sandbox, question('Hello', { model: 'claude-fable-5' }), key)
  assert.match(await refused.text(), /must have data retention enabled/)
})

test('the recorded requests hold the bytes and headers that arrived, the latest only', async (t) => {
  const sandbox = await sandboxFor(t, { recordLimit: 5 })
  const body =
    '{"model": "claude-sonnet-4-6",\n  "max_tokens":5,"messages":[{"role":"user","content":"\\u00e9"}]}'
  await post(sandbox, body, { 'x-custom': 'yes' })
  const [recorded] = sandbox.requests
  assert.equal(recorded.body.toString(), body)
  assert.equal(recorded.headers['x-custom'], 'yes')
  assert.equal(recorded.account, 'demo-a')
  for (let i = 0; i < 20; i++) await post(sandbox, question(`${i}`))
  assert.equal(sandbox.requests.length, 5)
  assert.match(sandbox.requests[4].body.toString(), /"19"/)
  assert.equal(sandbox.totals().requests, 21)
})

test('closing ends stalled answers, open streams and slow beginnings', async () => {
  const sandbox = await startSandbox()
  const open = ['at=mid_event,how=stall', 'token_rate=1', 'first_byte_ms=60000'].map((fault) =>
    post(sandbox, question('Hello', { stream: true }), { 'x-sandbox': fault })
      .then((response) => response.text())
      .then(
        () => 'ended',
        () => 'cut',
      ),
  )
  while (sandbox.counters.inFlight < 3) await new Promise((resolve) => setTimeout(resolve, 5))
  await sandbox.close()
  assert.deepEqual(await Promise.all(open), ['cut', 'cut', 'cut'])
  await assert.rejects(post(sandbox, question('Hello')))
})
