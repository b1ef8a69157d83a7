import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertClean } from '../support/bills.ts'
import { scriptedUpstream } from '../support/openai.ts'
import { type World, world } from '../support/world.ts'

const TOOLS = [{ type: 'code_execution_20260120', name: 'code_execution' }]
const RICH = { creditMicro: 1_000_000_000 }
const BETA = { 'anthropic-beta': 'fallback-credit-2026-07-01' }
/** Each account of these is an organisation, and so a workspace, of its own. */
const NAMES = ['one', 'two', 'three']

async function ask(w: World, body: object, headers: Record<string, string> = {}) {
  const response = await w.post({ model: 'claude-sonnet-5', ...body }, { ...BETA, ...headers })
  const text = await response.text()
  return { status: response.status, text, id: response.headers.get('x-cc-request-id') ?? '' }
}

/** Runs code: its container, the file that it wrote, and the account that did it. */
async function runCode(w: World, stream: boolean, headers: Record<string, string> = {}) {
  const { text } = await ask(w, { tools: TOOLS, stream }, headers)
  const [container] = /container_011C\w+/.exec(text) ?? ['']
  const [file] = /file_011C\w+/.exec(text) ?? ['']
  assert.ok(container !== '' && file !== '', text)
  return { container, file, account: w.sandbox.requests.at(-1)?.account ?? '' }
}

function upload(file: string) {
  const content = [
    { type: 'container_upload', file_id: file },
    { type: 'text', text: 'Read it.' },
  ]
  return [{ role: 'user', content }]
}

function errorOf(text: string) {
  return JSON.parse(text).error
}

/** What somebody is told of an id, whichever it is. */
function told(text: string, id: string): string {
  return text.replaceAll(id, 'ID').replaceAll(/ccr_\w+/g, 'REQUEST')
}

for (const stream of [false, true]) {
  test(`a container and its files are gone on with where they are, also after a restart (stream: ${stream})`, async (t) => {
    const w = await world(t, { accounts: NAMES, ...RICH })
    const made = []
    for (let i = 0; i < 4; i++) made.push(await runCode(w, stream))
    assert.ok(new Set(made.map(({ account }) => account)).size > 1, 'runs are spread')
    for (const isRestarted of [false, true]) {
      if (isRestarted) await w.restart()
      for (const { container, file, account } of made) {
        for (const body of [
          { container, stream },
          { container: { id: container }, tools: TOOLS, stream },
          { messages: upload(file), stream },
          { container, messages: upload(file), stream },
        ]) {
          const { status, text, id } = await ask(w, body)
          assert.equal(status, 200, text)
          assert.equal(w.sandbox.requests.at(-1)?.account, account)
          const { trail } = await w.usage(id)
          assert.equal(trail[0].because, 'bound')
          assert.equal(trail[0].bound?.scope, 'workspace')
        }
      }
    }
    await assertClean(w)
  })
}

test('what is foreign, unknown, expired or out of reach is one and the same 404, and nothing is sent', async (t) => {
  const w = await world(t, { accounts: ['one', 'two'], ...RICH })
  const { container, file, account } = await runCode(w, false)
  const mallory = { 'x-api-key': await w.newKey('mallory', 'k', RICH) }
  const sameUser = { 'x-api-key': await w.newKey('alice2', 'k', RICH) }
  const before = await w.wallet()
  w.sandbox.forget()
  const refusals = async (headers: Record<string, string>, ids = { container, file }) => {
    const texts = []
    for (const body of [{ container: ids.container }, { messages: upload(ids.file) }]) {
      const { status, text } = await ask(w, body, headers)
      assert.equal(status, 404, text)
      assert.equal(errorOf(text).type, 'not_found_error')
      texts.push(told(told(text, ids.container), ids.file))
    }
    return texts
  }
  const foreign = await refusals(mallory)
  assert.match(foreign[0], /Container not found: ID/)
  assert.match(foreign[1], /File not found: ID/)
  assert.deepEqual(await refusals(sameUser), foreign)
  const unknown = { container: 'container_011Cnever', file: 'file_011Cnever' }
  assert.deepEqual(await refusals({}, unknown), foreign)
  const by = { actor: 'test', nowMs: Date.now() }
  await w.store.setAccountDisabled(w.accountIds[account], { reason: null }, by)
  assert.deepEqual(await refusals({}), foreign)
  await w.store.removeAccount(w.accountIds[account], by)
  assert.deepEqual(await refusals({}), foreign)
  assert.equal(w.sandbox.requests.length, 0)
  assert.deepEqual(await w.wallet(), before)
  await assertClean(w)
})

test("a count is bound as well: nobody learns the size of another user's file", async (t) => {
  const w = await world(t, { accounts: NAMES, ...RICH })
  const { file, account } = await runCode(w, false)
  const count = (key: string) =>
    fetch(`${w.url}/v1/messages/count_tokens`, {
      method: 'POST',
      headers: { 'x-api-key': key },
      body: JSON.stringify({ model: 'claude-sonnet-5', messages: upload(file) }),
    })
  for (let i = 0; i < 3; i++) {
    assert.equal((await count(w.key)).status, 200)
    assert.equal(w.sandbox.requests.at(-1)?.account, account)
  }
  w.sandbox.forget()
  assert.equal((await count(await w.newKey('mallory', 'k', RICH))).status, 404)
  assert.equal(w.sandbox.requests.length, 0)
})

test('another account of the same workspace serves as well, and is where to go when the first is gone', async (t) => {
  const shared = { organization: 'acme', workspace: 'main' }
  const accounts = [{ name: 'one', ...shared }, { name: 'two', ...shared }, { name: 'far' }]
  const w = await world(t, { accounts: ['one', 'two', 'far'], sandbox: { accounts }, ...RICH })
  // Each has told its workspace once.
  w.sandbox.setFault('*', 'first_byte_ms=30')
  await Promise.all(Array.from({ length: 6 }, () => ask(w, {})))
  w.sandbox.setFault('*', null)
  const made = []
  while (made.length === 0) {
    const one = await runCode(w, false)
    if (one.account !== 'far') made.push(one)
  }
  const [{ container, account }] = made
  const by = { actor: 'test', nowMs: Date.now() }
  await w.store.removeAccount(w.accountIds[account], by)
  const { status, text } = await ask(w, { container })
  assert.equal(status, 200, text)
  assert.equal(w.sandbox.requests.at(-1)?.account, account === 'one' ? 'two' : 'one')
})

test('things of two workspaces in one request are refused before anything is sent', async (t) => {
  const w = await world(t, { accounts: NAMES, ...RICH })
  const a = await runCode(w, false)
  let b = await runCode(w, false)
  while (b.account === a.account) b = await runCode(w, false)
  w.sandbox.forget()
  const { status, text } = await ask(w, { container: a.container, messages: upload(b.file) })
  assert.equal(status, 400)
  assert.ok(errorOf(text).message.includes(a.container), text)
  assert.ok(errorOf(text).message.includes(b.file), text)
  const thread = { 'anthropic-beta': 'message-threads-2026-11-02' }
  for (let i = 0; i < 20; i++) {
    const created = await ask(w, { thread: { type: 'create' } }, thread)
    const [message] = /msg_\w+/.exec(created.text) ?? ['']
    const isApart = w.sandbox.requests.at(-1)?.account !== a.account
    w.sandbox.forget()
    const goesOn = { type: 'continue', previous_message_id: message }
    const refused = await ask(w, { thread: goesOn, messages: upload(a.file) }, thread)
    assert.equal(refused.status, isApart ? 400 : 200, refused.text)
    assert.equal(w.sandbox.requests.length, isApart ? 0 : 1)
    if (isApart) return
  }
  assert.fail('no thread began elsewhere')
})

test('more files than any request may have are refused before anybody looks for them', async (t) => {
  const w = await world(t, { accounts: ['one'], ...RICH })
  const named = (count: number) => [
    {
      role: 'user',
      content: Array.from({ length: count }, (_, i) => upload(`f_${i}`)[0].content[0]),
    },
  ]
  const most = await ask(w, { messages: named(1_000) })
  assert.equal(most.status, 404, most.text)
  const more = await ask(w, { messages: named(1_001) })
  assert.equal(more.status, 400, more.text)
  assert.match(errorOf(more.text).message, /more than 1000 different files/)
  assert.equal(w.sandbox.requests.length, 0)
})

test('ends that upstream states are kept, within reason', async (t) => {
  const ends = [
    '2030-01-01T00:00:00Z',
    new Date(Date.now() + 3_600_000).toISOString(),
    'soon',
    null,
  ]
  const up = await scriptedUpstream(
    t,
    ends.map((end, i) => (response) => {
      const container = { id: `container_${i}`, expires_at: end }
      const usage = { input_tokens: 5, output_tokens: 5 }
      response.writeHead(200, { 'content-type': 'application/json' })
      const message = { id: 'msg_1', type: 'message', role: 'assistant', model: 'claude-sonnet-5' }
      response.end(
        JSON.stringify({ ...message, content: [], stop_reason: 'end_turn', usage, container }),
      )
    }),
  )
  const w = await world(t, { accounts: ['one'], account: () => ({ baseUrl: up.url }), ...RICH })
  for (const _ of ends) assert.equal((await ask(w, {})).status, 200)
  const refs = ends.map((_, i) => ({ kind: 'container', id: `container_${i}` }) as const)
  const days = (await w.store.getObjects(refs)).map(({ expiresAtMs }) =>
    Math.round((expiresAtMs - Date.now()) / 86_400_000),
  )
  assert.deepEqual(days, [100, 0, 30, 30])
})

test('a bound request waits for its account, and is told when that cannot serve', async (t) => {
  const w = await world(t, { accounts: ['one', 'two'], ...RICH })
  const { container, account } = await runCode(w, false)
  const by = { actor: 'test', nowMs: Date.now() }
  await w.store.setCooldown(w.accountIds[account], Date.now() + 700, by)
  const waited = await ask(w, { container })
  assert.equal(waited.status, 200)
  assert.equal(w.sandbox.requests.at(-1)?.account, account)
  const [choice] = (await w.usage(waited.id)).trail
  assert.ok(choice.because === 'bound' && choice.waitedMs > 100, `${choice.waitedMs} ms in line`)
  await w.store.setCooldown(w.accountIds[account], Date.now() + 600_000, by)
  w.sandbox.forget()
  const { status, text, id } = await ask(w, { container })
  assert.equal(status, 503)
  assert.match(errorOf(text).message, /kept where no upstream account can serve right now/)
  assert.equal(w.sandbox.requests.length, 0)
  // Rows of refusals are written before the next one that is waited for.
  assert.equal((await ask(w, {})).status, 200)
  const { errorCode, trail } = await w.usage(id)
  assert.equal(errorCode, 'bound_account_unavailable')
  assert.equal(trail.length, 1)
  const states = trail[0].candidates.map(({ state }) => state)
  assert.deepEqual([trail[0].because, ...states], ['none', 'resting', 'out_of_scope'])
})

test('an overloaded account is asked once more by who cannot go elsewhere', async (t) => {
  const w = await world(t, { accounts: ['one', 'two'], ...RICH })
  const { container, file, account } = await runCode(w, false)
  const id = w.accountIds[account]
  for (const body of [{ container }, { messages: upload(file) }]) {
    w.sandbox.setFault(account, 'status=529', { times: 1 })
    const answer = await ask(w, body)
    assert.equal(answer.status, 200, answer.text)
    const { attempts } = await w.usage(answer.id)
    const tries = attempts.map(({ accountId, outcome }) => [accountId, outcome])
    assert.deepEqual(tries, [
      [id, 'overloaded'],
      [id, 'ok'],
    ])
  }
  w.sandbox.setFault(account, 'status=529')
  const answer = await ask(w, { container })
  assert.equal(answer.status, 502, answer.text)
  assert.equal((await w.usage(answer.id)).attempts.length, 2, 'not again and again')
  await assertClean(w)
})

test('a fallback credit token is redeemed where it was given, by whom it was given to', async (t) => {
  const w = await world(t, { accounts: NAMES, ...RICH })
  const mallory = { 'x-api-key': await w.newKey('mallory', 'k', RICH) }
  for (const stream of [false, true, false]) {
    const refused = await ask(w, { stream }, { 'x-sandbox': 'decline=mid' })
    const account = w.sandbox.requests.at(-1)?.account
    const [, token] = /"fallback_credit_token":"(fct_\w+)"/.exec(refused.text) ?? []
    w.sandbox.forget()
    const foreign = await ask(w, { fallback_credit_token: token }, mallory)
    assert.equal(foreign.status, 404)
    assert.ok(!foreign.text.includes(token ?? ''))
    const unknown = await ask(w, { fallback_credit_token: { token: 'fct_1' } })
    assert.equal(told(unknown.text, 'x'), told(foreign.text, 'x'))
    assert.equal(w.sandbox.requests.length, 0)
    const redeemed = await ask(w, { fallback_credit_token: { token, mode: 'full' } })
    assert.match(redeemed.text, /"redeemed"/)
    assert.equal(w.sandbox.requests.at(-1)?.account, account)
    const [object] = await w.store.getObjects([{ kind: 'credit_token', id: token ?? '' }])
    assert.equal(object, undefined, 'only a hash is kept')
  }
})

test("diagnostics compare with one's own messages alone; upstream never hears of the others", async (t) => {
  const w = await world(t, { accounts: ['one'], ...RICH })
  const mallory = { 'x-api-key': await w.newKey('mallory', 'k', RICH) }
  const first = await ask(w, { diagnostics: { previous_message_id: null } })
  const [message] = /msg_\w+/.exec(first.text) ?? ['']
  const diagnostics = { previous_message_id: message }
  const own = await ask(w, { diagnostics })
  assert.match(own.text, /"cache_miss_reason":null/)
  w.sandbox.forget()
  const foreign = await ask(w, { diagnostics }, mallory)
  assert.equal(foreign.status, 200)
  assert.match(foreign.text, /previous_message_not_found/)
  const [sent] = w.sandbox.requests
  assert.ok(!sent.body.includes(message))
  assert.equal(
    JSON.parse(sent.body.toString()).diagnostics.previous_message_id.length,
    message.length,
  )
  // However it is spelled.
  const escaped = `\\u006d${message.slice(1)}`
  const body = JSON.stringify({
    model: 'claude-sonnet-5',
    max_tokens: 10,
    messages: [{ role: 'user', content: 'Hi' }],
    diagnostics: { previous_message_id: 'ID' },
  }).replace('"ID"', `"${escaped}"`)
  const odd = await fetch(`${w.url}/v1/messages`, { method: 'POST', headers: mallory, body })
  assert.equal(odd.status, 404)
  assert.equal(w.sandbox.requests.length, 1)
  // What can be no id: upstream says what it thinks of none, and what is cut here is not sent on.
  for (const [id, status] of [
    ['', 200],
    ['previous_message_id', 404],
    ['mésg', 200],
    ['x'.repeat(3_000), 404],
  ] as const) {
    const none = await ask(w, { diagnostics: { more: ['', id], previous_message_id: id } }, mallory)
    assert.equal(none.status, status, none.text)
  }
})

test('a stream that its client leaves has made what it told of', async (t) => {
  const w = await world(t, { accounts: NAMES, ...RICH })
  const response = await w.post(
    { model: 'claude-sonnet-5', tools: TOOLS, stream: true },
    { 'x-sandbox': 'token_rate=60,output_tokens=400' },
  )
  const reader = response.body?.getReader()
  let text = ''
  while (!/file_011C\w+"/.test(text)) {
    const part = await reader?.read()
    text += Buffer.from(part?.value ?? []).toString()
  }
  const account = w.sandbox.requests.at(-1)?.account
  await reader?.cancel()
  await w.settled()
  const [file] = /file_011C\w+/.exec(text) ?? ['']
  const again = await ask(w, { messages: upload(file) })
  assert.equal(again.status, 200, again.text)
  assert.equal(w.sandbox.requests.at(-1)?.account, account)
  await assertClean(w)
})

test("clients of OpenAI's formats name files of nobody: not in their own words, and not in Anthropic's", async (t) => {
  const w = await world(t, { accounts: NAMES, ...RICH })
  const mallory = await w.newKey('mallory', 'k', RICH)
  const { file } = await runCode(w, false)
  w.sandbox.forget()
  const ask = async (path: string, body: object) => {
    const headers = { authorization: `Bearer ${mallory}` }
    const response = await fetch(w.url + path, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
    })
    await response.text()
    return response.status
  }
  const chat = (part: object) =>
    ask('/v1/chat/completions', {
      model: 'claude-sonnet-5',
      messages: [{ role: 'user', content: [part] }],
    })
  assert.equal(await chat({ type: 'file', file: { file_id: file } }), 400)
  const source = { type: 'file', file_id: file }
  assert.ok([400, 404].includes(await chat({ type: 'image', source })))
  assert.ok([400, 404].includes(await chat({ type: 'document', source })))
  assert.ok([400, 404].includes(await chat({ type: 'container_upload', file_id: file })))
  const content = [{ type: 'input_file', file_id: file }]
  const input = [{ role: 'user', content }]
  assert.equal(await ask('/v1/responses', { model: 'claude-sonnet-5', input }), 400)
  assert.equal(w.sandbox.requests.length, 0)
})
