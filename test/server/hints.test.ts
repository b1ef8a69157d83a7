import assert from 'node:assert/strict'
import { test } from 'node:test'
import { postOpenAi } from '../support/openai.ts'
import { type World, world } from '../support/world.ts'

const CHAT = '/v1/chat/completions'
const CHAT_BODY = { model: 'claude-sonnet-4-6', messages: [{ role: 'user', content: 'Hi' }] }

interface Said {
  readonly error: { readonly message: string; readonly code: string | null }
}

async function refused(w: World, path: string, body: unknown, key = w.key) {
  const response = await postOpenAi({ url: w.url, key }, path, body)
  const { error } = (await response.json()) as Said
  return { status: response.status, ...error }
}

test('ready is who has an account that may serve; resting ones change nothing', async (t) => {
  const ready = async (w: World) => {
    const response = await fetch(`${w.url}/readyz`)
    return [response.status, (await response.text()).trim()]
  }
  assert.deepEqual(await ready(await world(t, { accounts: ['one'] })), [200, 'ready'])
  const none = await world(t, { accounts: [] })
  assert.deepEqual(await ready(none), [503, 'no accounts configured'])
  const disabled = await world(t, { account: () => ({ disabled: true }) })
  assert.deepEqual(await ready(disabled), [503, 'all accounts are disabled'])
  const { status, message } = await refused(disabled, CHAT, CHAT_BODY)
  assert.equal(status, 503)
  assert.match(message, /all accounts are disabled/)
  const one = await world(t, { accounts: ['one'] })
  await (await one.post({}, { 'x-sandbox': 'status=529' })).text()
  assert.deepEqual(await ready(one), [200, 'ready'])
})

test('a base URL without /v1 is explained in the words of its client', async (t) => {
  const w = await world(t)
  for (const path of ['/chat/completions', '/responses']) {
    const { status, code, message } = await refused(w, path, CHAT_BODY)
    assert.deepEqual([status, code], [400, 'wrong_base_url'])
    assert.match(message, /lacks \/v1 .* \S+\/v1 for OpenAI SDKs\./)
  }
  const response = await fetch(`${w.url}/messages`, { method: 'POST', body: '{}' })
  const { error, type } = (await response.json()) as Said & { type: string }
  assert.deepEqual([response.status, type], [400, 'error'])
  assert.match(error.message, /lacks \/v1/)
})

test('only a model of nearly that name is proposed', async (t) => {
  const w = await world(t)
  for (const model of ['nope', 'foo-9', 'gemini', 'GPT-4O', 'gpt-4o-mini', 'x'])
    assert.doesNotMatch((await refused(w, CHAT, { ...CHAT_BODY, model })).message, /Did you/, model)
  for (const model of ['claude-sonet-4-6', 'Claude-Sonnet-4.6', 'claude-opus'])
    assert.match((await refused(w, CHAT, { ...CHAT_BODY, model })).message, /Did you mean/, model)
})

test('nobody is sent to the address of the example', async (t) => {
  const w = await world(t, { creditMicro: 0 })
  const { message } = await refused(w, CHAT, CHAT_BODY)
  assert.match(message, /Top up to continue: ask whoever gave you the key\./)
  const own = await world(t, {
    creditMicro: 0,
    config: (config) => ({ ...config, supportEmail: 'help@example.net' }),
  })
  assert.match((await refused(own, CHAT, CHAT_BODY)).message, /: ask help@example\.net\./)
})

test('limits are told as they are, in good grammar', async (t) => {
  const w = await world(t)
  const small = await w.newKey('alice', 'small', {
    spendLimit: { amountMicro: 1_000, period: 'total' },
  })
  const { message } = await refused(w, CHAT, CHAT_BODY, small)
  assert.match(message, /^This request does not fit what is left .* limit of \$0\.001 in total: /)
  const slow = await w.newKey('alice', 'slow', { rpmLimit: 1 })
  await (await postOpenAi({ url: w.url, key: slow }, CHAT, CHAT_BODY)).text()
  assert.match((await refused(w, CHAT, CHAT_BODY, slow)).message, /limit is 1 request per minute\./)
  for (const [body, said] of [
    ['', /JSON: the body is empty\.$/],
    ['[]', /JSON: it must be a JSON object, not /],
  ] as const) {
    const answer = await refused(w, CHAT, body)
    assert.equal(answer.code, 'invalid_json')
    assert.match(answer.message, said)
  }
})
