import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  answerEvents,
  eventText,
  openAiFor,
  postOpenAi,
  refuses,
  requestIdIn,
  type ScriptedAnswer,
  scriptedUpstream,
  streams,
  textBlock,
  toolBlock,
} from '../support/openai.ts'
import { type WorldOptions, world } from '../support/world.ts'

const MODEL = 'claude-sonnet-4-6'
const CHAT = '/v1/chat/completions'
const ask = (content: string) => [{ role: 'user', content }]
const chat = (more: object = {}) => ({ model: MODEL, messages: ask('Hello'), ...more })

/** A world whose accounts are all this upstream. */
async function scripted(
  t: TestContext,
  answers: readonly ScriptedAnswer[],
  options: WorldOptions = {},
) {
  const upstream = await scriptedUpstream(t, answers)
  const w = await world(t, { ...options, account: () => ({ baseUrl: upstream.url }) })
  return { w, upstream }
}

const HELLO = answerEvents([textBlock('Hel', 'lo')], 'end_turn')

/** Everything that a stream said, `data` lines parsed. */
async function linesOf(response: Response): Promise<readonly unknown[]> {
  const text = await response.text()
  return text
    .split('\n')
    .filter((line) => line.startsWith('data: '))
    .map((line) => (line === 'data: [DONE]' ? 'DONE' : JSON.parse(line.slice(6))))
}

test('every error has OpenAI’s shape from the first check on, and nothing is sent or held', async (t) => {
  const w = await world(t, { creditMicro: 0 })
  const anonymous = { url: w.url, key: 'nonsense' }
  const cases: readonly (readonly [Promise<Response>, number, string | null])[] = [
    [postOpenAi(anonymous, CHAT, chat()), 401, 'invalid_api_key'],
    [postOpenAi(w, CHAT, '{"model":'), 400, 'invalid_json'],
    [postOpenAi(w, CHAT, '[]'), 400, 'invalid_json'],
    [postOpenAi(w, CHAT, '{"model":"a","model":"b","messages":[]}'), 400, 'duplicate_json_key'],
    [postOpenAi(w, CHAT, { model: MODEL }), 400, 'missing_required_parameter'],
    [postOpenAi(w, CHAT, chat({ n: 2 })), 400, 'unsupported_value'],
    [postOpenAi(w, CHAT, chat({ model: 'nobody' })), 404, 'model_not_found'],
    [postOpenAi(w, CHAT, chat()), 402, 'insufficient_quota'],
    [postOpenAi(w, `/${CHAT}`, chat()), 402, 'insufficient_quota'],
    [postOpenAi(w, `${CHAT}/`, chat()), 402, 'insufficient_quota'],
    [postOpenAi(w, '/v1/responses', { model: MODEL, input: 'Hi' }), 402, 'insufficient_quota'],
    [
      postOpenAi(w, '/v1/responses', { model: MODEL, input: 'Hi', previous_response_id: 'resp_1' }),
      400,
      'previous_response_not_found',
    ],
    [postOpenAi(w, '/v1/responses/compact', {}), 404, 'not_found'],
    [postOpenAi(w, '/v1/responses/resp_1/cancel', {}), 404, 'not_found'],
    [postOpenAi(w, '/v1/embeddings', {}), 404, 'not_found'],
    [fetch(`${w.url}${CHAT}`), 405, 'method_not_allowed'],
    [fetch(`${w.url}/v1/responses/resp_1`), 404, 'not_found'],
    [fetch(`${w.url}${CHAT}`, { method: 'PUT' }), 405, 'method_not_allowed'],
  ]
  for (const [pending, status, code] of cases) {
    const response = await pending
    const body = (await response.json()) as { readonly error: Record<string, unknown> }
    assert.deepEqual(Object.keys(body), ['error'])
    assert.deepEqual(Object.keys(body.error).sort(), ['code', 'message', 'param', 'type'])
    assert.deepEqual([response.status, body.error.code], [status, code], JSON.stringify(body))
    assert.equal(response.headers.get('x-should-retry'), 'false')
    assert.match(response.headers.get('x-request-id') ?? '', /^ccr_/)
    assert.equal(response.headers.get('x-request-id'), response.headers.get('x-cc-request-id'))
  }
  assert.equal(w.sandbox.counters.messages, 0)
  assert.deepEqual(await w.wallet(), { balanceMicro: 0, heldMicro: 0 })
  const accounts = await w.store.listAccounts(Date.now())
  assert.ok(accounts.every((account) => !JSON.stringify(account).includes('cooling')))
})

test('the shape of models goes by who calls, not by how the key is sent (C57)', async (t) => {
  const w = await world(t)
  const models = async (headers: Record<string, string>) =>
    (await (await fetch(`${w.url}/v1/models`, { headers })).json()) as Record<string, unknown>
  const bearer = { authorization: `Bearer ${w.key}` }
  assert.equal((await models(bearer)).object, 'list')
  assert.equal((await models({ ...bearer, 'anthropic-version': '2023-06-01' })).has_more, false)
  assert.ok('first_id' in (await models({ 'x-api-key': w.key })))
  const unknown = await fetch(`${w.url}/v1/nothing`, { headers: bearer })
  assert.deepEqual(Object.keys(Object(await unknown.json())), ['error'])
  const other = await fetch(`${w.url}/v1/nothing`, { headers: { 'x-api-key': w.key } })
  assert.ok('request_id' in Object(await other.json()))
})

test('where the operator does not want them, OpenAI’s paths do not exist', async (t) => {
  const w = await world(t, {
    config: (config) => ({ ...config, openAi: { ...config.openAi, enabled: false } }),
  })
  const response = await postOpenAi(w, CHAT, chat())
  assert.equal(response.status, 404)
  assert.ok('request_id' in Object(await response.json()))
  const models = await fetch(`${w.url}/v1/models`, {
    headers: { authorization: `Bearer ${w.key}` },
  })
  assert.ok('first_id' in Object(await models.json()))
})

test('what happens to our credentials is not the client’s business (C58, C59)', async (t) => {
  for (const fault of ['status=401', 'error=credit_too_low']) {
    const w = await world(t)
    w.sandbox.setFault('one', fault)
    for (let i = 0; i < 4; i++) {
      const response = await postOpenAi(w, CHAT, chat())
      assert.equal(response.status, 200, await response.text())
    }
    w.sandbox.setFault('two', fault)
    const none = await postOpenAi(w, CHAT, chat())
    assert.ok(none.status === 502 || none.status === 503, String(none.status))
    const { error } = Object(await none.json())
    assert.equal(error.type, 'server_error')
    assert.doesNotMatch(error.message, /401|credit balance/i)
  }
})

test('a refusal of upstream’s comes in OpenAI’s words, and costs nothing', async (t) => {
  const { w } = await scripted(t, [
    refuses(400, 'invalid_request_error', 'prompt is too long: 9 tokens > 8 maximum'),
    refuses(413, 'request_too_large', 'Request exceeds the maximum size'),
  ])
  const long = await postOpenAi(w, CHAT, chat({ stream: true }))
  assert.equal(long.status, 400)
  assert.match(long.headers.get('content-type') ?? '', /application\/json/)
  assert.equal(Object(await long.json()).error.code, 'context_length_exceeded')
  assert.equal(long.headers.get('x-should-retry'), 'false')
  assert.equal(long.headers.get('request-id'), 'req_refused')
  const large = await postOpenAi(w, '/v1/responses', { model: MODEL, input: 'Hi' })
  assert.equal(large.status, 413)
  assert.equal(Object(await large.json()).error.code, 'request_too_large')
  assert.deepEqual(await w.wallet(), { balanceMicro: 10_000_000, heldMicro: 0 })
})

test('thinking that upstream no longer takes is left out, once, on the same account (C60)', async (t) => {
  const bound =
    'messages.1.content.0: Invalid `signature` in `thinking` block. The block is bound to a different conversation.'
  const { w, upstream } = await scripted(t, [
    refuses(400, 'invalid_request_error', bound),
    streams(HELLO),
    refuses(400, 'invalid_request_error', bound),
  ])
  const detail = {
    type: 'reasoning.text',
    text: 'Hm',
    signature: 'c2ln',
    format: 'anthropic-claude-v1',
  }
  const history = [
    ...ask('Hello'),
    { role: 'assistant', content: 'Hi', reasoning_details: [{ ...detail, index: 0 }] },
    ...ask('And?'),
  ]
  const response = await postOpenAi(w, CHAT, chat({ messages: history }))
  assert.equal(response.status, 200)
  const [first, second] = upstream.requests
  assert.equal(first.headers['x-api-key'], second.headers['x-api-key'])
  assert.match(JSON.stringify(first.body), /"thinking":"Hm"/)
  assert.doesNotMatch(JSON.stringify(second.body), /"thinking":"Hm"/)
  const row = await w.usage(response.headers.get('x-cc-request-id') ?? '')
  assert.deepEqual(
    row.attempts.map(({ outcome }) => outcome),
    ['client_fault', 'ok'],
  )
  // A second refusal is the client's to know.
  const again = await postOpenAi(w, CHAT, chat({ messages: history }))
  assert.equal(again.status, 400)
  assert.equal(upstream.requests.length, 4)
  assert.equal((await w.wallet()).heldMicro, 0)
})

test('a stream is cut for want of money with what was delivered paid, in both formats', async (t) => {
  const w = await world(t, {
    creditMicro: 30_000,
    config: (config) => ({ ...config, billing: { ...config.billing, holdStepTokens: 256 } }),
  })
  const headers = { 'x-sandbox': 'output_tokens=4000,token_rate=8000' }
  const stream = await postOpenAi(w, CHAT, chat({ stream: true, max_tokens: 5_000 }), headers)
  assert.equal(stream.status, 200)
  const lines = await linesOf(stream)
  const last = Object(lines.at(-1))
  assert.equal(last.error.code, 'insufficient_quota')
  assert.match(last.error.message, /^Your credit ran out/)
  assert.equal(lines.includes('DONE'), false)
  assert.ok(lines.length > 10)
  await w.settled()
  const row = await w.usage(stream.headers.get('x-cc-request-id') ?? '')
  assert.deepEqual([row.status, row.errorCode], ['interrupted', 'insufficient_credit'])
  assert.ok(row.costMicro > 0)

  const poor = { url: w.url, key: await w.newKey('bob', 'x', { creditMicro: 30_000 }) }
  const response = await postOpenAi(
    poor,
    '/v1/responses',
    { model: MODEL, input: 'Hi', stream: true, max_output_tokens: 5_000 },
    headers,
  )
  const failed = Object((await linesOf(response)).at(-1))
  assert.equal(failed.type, 'response.failed')
  assert.equal(failed.response.error.code, 'insufficient_quota')

  // Who waits for a whole answer gets a 402: nothing has gone out yet.
  const carol = { url: w.url, key: await w.newKey('carol', 'x', { creditMicro: 30_000 }) }
  const whole = await postOpenAi(carol, CHAT, chat({ max_tokens: 5_000 }), headers)
  assert.equal(whole.status, 402)
  const { error } = Object(await whole.json())
  assert.match(error.message, /^Your credit ran out.*for \d+ output tokens/)
  assert.equal((await w.usage(whole.headers.get('x-cc-request-id') ?? '')).httpStatus, 402)
})

test('a whole answer that upstream breaks off is no answer, and costs nothing', async (t) => {
  const cut: ScriptedAnswer = (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(eventText(HELLO.slice(0, 4)))
    setTimeout(() => response.destroy(), 20)
  }
  const said = [
    ...HELLO.slice(0, 4),
    { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } },
  ]
  const unended = HELLO.slice(0, -1)
  const { w } = await scripted(t, [cut, streams(said), streams(unended)], { accounts: ['one'] })
  const statuses: number[] = []
  for (let i = 0; i < 3; i++) {
    const response = await postOpenAi(w, CHAT, chat())
    statuses.push(response.status)
    const { error } = Object(await response.json())
    assert.ok(['server_error', 'overloaded_error'].includes(error.type), JSON.stringify(error))
    assert.notEqual(response.headers.get('x-should-retry'), 'false')
    const row = await w.usage(response.headers.get('x-cc-request-id') ?? '')
    assert.equal(row.costMicro, 0)
    // What upstream takes for it is the operator's loss.
    assert.ok((row.attempts.at(-1)?.listCostMicro ?? 0) > 0)
  }
  assert.deepEqual(statuses, [502, 503, 502])
  assert.deepEqual(await w.wallet(), { balanceMicro: 10_000_000, heldMicro: 0 })
})

test('no success is made up: a stream that upstream leaves open ends in an error (C43, C44, C56)', async (t) => {
  const said = [
    ...HELLO.slice(0, 4),
    { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } },
  ]
  for (const answer of [streams(said), streams(HELLO.slice(0, -1))]) {
    const { w } = await scripted(t, [answer])
    const lines = await linesOf(await postOpenAi(w, CHAT, chat({ stream: true })))
    assert.ok(Object(lines.at(-1)).error !== undefined)
    assert.equal(lines.filter((line) => Object(line).error !== undefined).length, 1)
    assert.equal(JSON.stringify(lines).includes('"finish_reason":"stop"'), false)
    assert.equal(lines.includes('DONE'), false)
    await w.settled()
    assert.ok((await w.wallet()).balanceMicro < 10_000_000)
  }
  for (const answer of [streams(said), streams(HELLO.slice(0, -1))]) {
    const { w } = await scripted(t, [answer])
    const body = { model: MODEL, input: 'Hi', stream: true }
    const lines = await linesOf(await postOpenAi(w, '/v1/responses', body))
    const types = lines.map((line) => String(Object(line).type))
    assert.equal(types.at(-1), 'response.failed')
    assert.equal(types.filter((type) => type === 'response.failed').length, 1)
    assert.equal(types.includes('response.completed') || types.includes('error'), false)
    await w.settled()
  }
})

test('a client that leaves stops its stream, and pays for what was made', async (t) => {
  const w = await world(t)
  const headers = { 'x-sandbox': 'output_tokens=2000,token_rate=400' }
  const leaving = new AbortController()
  const pending = postOpenAi(w, CHAT, chat({ stream: true }), headers, leaving.signal)
  await (await pending).body?.getReader().read()
  leaving.abort()
  await w.settled()
  const bills = [...w.sandbox.billed('one'), ...w.sandbox.billed('two')]
  assert.deepEqual(
    bills.map(({ outcome }) => outcome),
    ['client_left'],
  )
  assert.ok((await w.wallet()).balanceMicro < 10_000_000)
})

test('a retry joins the run that its client left, streamed and whole, and pays nothing', async (t) => {
  for (const stream of [true, false]) {
    const w = await world(t, { key: { onDisconnect: { kind: 'finish' } } })
    const headers = { 'x-sandbox': 'output_tokens=120,token_rate=200' }
    const body = chat({ stream })
    const leaving = new AbortController()
    const pending = postOpenAi(w, CHAT, body, headers, leaving.signal)
    if (stream) await (await pending).body?.getReader().read()
    else await sleep(200)
    leaving.abort()
    await pending.catch(() => {})
    await sleep(50)
    const retry = { ...headers, 'x-stainless-retry-count': '1' }
    // The same bytes for another shape of answer are another request.
    const other = await postOpenAi(w, CHAT, chat({ stream: !stream }), retry)
    assert.equal(other.headers.get('x-cc-joined-request-id'), null)
    await other.text()
    const joined = await postOpenAi(w, CHAT, body, retry)
    assert.match(joined.headers.get('x-cc-joined-request-id') ?? '', /^ccr_/)
    if (stream) assert.equal((await linesOf(joined)).at(-1), 'DONE')
    else {
      assert.equal(Object(await joined.json()).choices[0].finish_reason, 'stop')
      assert.equal(joined.headers.get('x-cc-cost-micro'), '0')
    }
    assert.equal(w.sandbox.counters.messages, 2)
    // Its row is written by the way.
    await sleep(100)
    const row = await w.usage(joined.headers.get('x-cc-request-id') ?? '')
    assert.deepEqual([row.costMicro, row.stream, row.dialect], [0, stream, 'openai-chat'])
  }
})

test('the same key pays the same for the same answer in each format', async (t) => {
  const w = await world(t)
  const own = await w.post({ max_tokens: 1_000 })
  const translated = await postOpenAi(w, CHAT, {
    model: MODEL,
    max_tokens: 1_000,
    messages: ask('Hello, world!'),
  })
  assert.equal(translated.headers.get('x-cc-cost-micro'), own.headers.get('x-cc-cost-micro'))
  const [first, second] = await Promise.all(
    [own, translated].map(({ headers }) => w.usage(headers.get('x-cc-request-id') ?? '')),
  )
  assert.deepEqual(first.tokens, second.tokens)
  assert.deepEqual(first.receipt, second.receipt)
})

test('what is sent up is translated whole, and tells upstream nothing about the client’s SDK', async (t) => {
  const { w, upstream } = await scripted(t, [streams(HELLO)])
  await openAiFor(w).chat.completions.create(
    { model: MODEL, messages: [{ role: 'user', content: 'Hi' }], user: 'alice@example.com' },
    { headers: { 'anthropic-beta': 'interleaved-thinking-2025-05-14,files-api-2025-04-14' } },
  )
  const [{ path, headers, body }] = upstream.requests
  assert.equal(path, '/v1/messages')
  assert.equal(headers['anthropic-version'], '2023-06-01')
  assert.equal(headers['anthropic-beta'], 'interleaved-thinking-2025-05-14')
  assert.equal(headers.authorization, undefined)
  assert.deepEqual(
    Object.keys(headers).filter((name) => /^(x-stainless|openai)/.test(name)),
    [],
  )
  assert.doesNotMatch(JSON.stringify(body), /alice@example/)
  assert.equal(body.stream, true)
})

test('the head tells what had no effect, and what was changed', async (t) => {
  const { w } = await scripted(t, [streams(answerEvents([toolBlock('t1', 'f', '{}')], 'tool_use'))])
  const response = await postOpenAi(w, CHAT, {
    ...chat({ seed: 7, logit_bias: { 5: 1 }, max_tokens: 9_000_000 }),
    tools: [{ type: 'function', function: { name: 'f' } }],
  })
  assert.equal(response.headers.get('x-cc-ignored-params'), 'seed, logit_bias')
  assert.equal(response.headers.get('x-cc-warnings'), 'max-tokens-lowered')
  const answer = Object(await response.json())
  assert.equal(answer.choices[0].finish_reason, 'tool_calls')
  assert.equal((await w.usage(requestIdIn(answer.id))).costMicro > 0, true)
})

/** A search of upstream's own, behind which it pauses. */
function searchRound(id: string, text: string) {
  const result = { type: 'web_search_tool_result', tool_use_id: id, content: [] }
  const search = { type: 'server_tool_use', id, name: 'web_search', input: {} }
  const deltas = [{ type: 'input_json_delta', partial_json: '{"query":"x"}' }]
  return [{ start: search, deltas }, { start: result, deltas: [] }, textBlock(text)]
}

const SEARCHING: WorldOptions = {
  config: (config) => ({ ...config, openAi: { ...config.openAi, webSearch: true } }),
}

test('an answer that upstream pauses goes on, on the same account, and its rounds are one bill', async (t) => {
  for (const stream of [true, false]) {
    const { w, upstream } = await scripted(
      t,
      [
        streams(answerEvents(searchRound('srvtoolu_1', 'First, '), 'pause_turn')),
        streams(answerEvents(searchRound('srvtoolu_2', 'second, '), 'pause_turn')),
        streams(answerEvents([textBlock('third.')], 'end_turn')),
      ],
      SEARCHING,
    )
    const request = chat({
      stream,
      web_search_options: {},
      stream_options: { include_usage: true },
    })
    const response = await postOpenAi(w, CHAT, request)
    const id = response.headers.get('x-cc-request-id') ?? ''
    let text = ''
    let usage: Record<string, unknown> = {}
    if (stream) {
      const lines = (await linesOf(response)).map(Object)
      for (const { choices } of lines) text += choices?.[0]?.delta?.content ?? ''
      usage = lines.at(-2).usage
      assert.equal(lines.filter(({ choices }) => choices?.[0]?.finish_reason === 'stop').length, 1)
      assert.equal(String(lines.at(-1)), 'DONE')
    } else {
      const answer = Object(await response.json())
      text = answer.choices[0].message.content
      usage = answer.usage
      assert.equal(answer.choices[0].finish_reason, 'stop')
    }
    assert.equal(text, 'First, second, third.')
    assert.deepEqual([usage.prompt_tokens, usage.completion_tokens], [60, 90])
    const row = await w.usage(id)
    assert.deepEqual([row.tokens.input, row.tokens.output], [60, 90])
    assert.equal(row.receipt?.lines.length, 3)
    assert.equal(usage.cost_micro, row.costMicro)
    assert.equal(row.source, 'exact')
    assert.equal((await w.wallet()).heldMicro, 0)

    const [first, second, third] = upstream.requests
    assert.equal(new Set(upstream.requests.map(({ headers }) => headers['x-api-key'])).size, 1)
    const history = first.body.messages as readonly unknown[]
    for (const [{ body }, blocks] of [
      [second, 3],
      [third, 6],
    ] as const) {
      const messages = body.messages as readonly { readonly role: string; readonly content: [] }[]
      assert.deepEqual(messages.slice(0, -1), history)
      const last = messages.at(-1)
      assert.deepEqual([last?.role, last?.content.length], ['assistant', blocks])
    }
  }
})

test('an answer is gone on with four times; then, or when that fails, there is an end all the same', async (t) => {
  const pause = streams(answerEvents(searchRound('srvtoolu_1', 'more '), 'pause_turn'))
  const endless = await scripted(t, [pause], SEARCHING)
  const lasting = await postOpenAi(endless.w, CHAT, chat({ web_search_options: {} }))
  const { choices } = Object(await lasting.json())
  assert.equal(choices[0].message.content, 'more '.repeat(5))
  assert.equal(choices[0].finish_reason, 'stop')
  assert.equal(endless.upstream.requests.length, 5)

  const broken = await scripted(t, [pause, refuses(500, 'api_error', 'Oh')], SEARCHING)
  const stream = chat({ stream: true, web_search_options: {} })
  const lines = await linesOf(await postOpenAi(broken.w, CHAT, stream))
  assert.equal(Object(lines.at(-1)).error.type, 'server_error')
  await broken.w.settled()
  const { balanceMicro, heldMicro } = await broken.w.wallet()
  assert.ok(balanceMicro < 10_000_000 && heldMicro === 0)
})
