import assert from 'node:assert/strict'
import { test } from 'node:test'
import { post, question, sandboxFor } from './world.ts'

const TOOLS = [{ type: 'code_execution_20260120', name: 'code_execution' }]
const ACCOUNTS = [{ name: 'a' }, { name: 'b' }]
const FILE = /"file_id":"(file_\w+)"/

async function textOf(response: Promise<Response>): Promise<string> {
  return (await response).text()
}

test('containers and files live in the workspace that made them', async (t) => {
  const sandbox = await sandboxFor(t, { accounts: ACCOUNTS })
  const keyOf = (name: string) => ({ 'x-api-key': sandbox.account(name).key })
  const first = JSON.parse(
    await textOf(post(sandbox, question('Go', { tools: TOOLS }), keyOf('a'))),
  )
  const container = first.container.id
  assert.match(container, /^container_/)
  assert.ok(Date.parse(first.container.expires_at) > Date.now())
  const [, file] = FILE.exec(JSON.stringify(first)) ?? []
  const upload = { role: 'user', content: [{ type: 'container_upload', file_id: file }] }
  for (const body of [
    question('Go on', { container }),
    question('Go on', { container: { id: container }, tools: TOOLS, stream: true }),
    question('', { messages: [upload] }),
  ]) {
    const own = await post(sandbox, body, keyOf('a'))
    assert.equal(own.status, 200)
    if ('container' in body) assert.ok((await own.text()).includes(container))
    const foreign = await post(sandbox, body, keyOf('b'))
    assert.equal(foreign.status, 404)
    assert.match(JSON.parse(await foreign.text()).error.message, /^(Container|File) not found: /)
  }
  const { max_tokens: _, ...counted } = question('', { messages: [upload] })
  const path = '/v1/messages/count_tokens'
  assert.equal((await post(sandbox, counted, keyOf('b'), path)).status, 404)
})

test('a stream tells of a new container at its end', async (t) => {
  const sandbox = await sandboxFor(t, { accounts: ACCOUNTS })
  const body = question('Go', { tools: TOOLS, stream: true })
  const events = (await (await post(sandbox, body)).text()).split('\n\n')
  const told = events
    .filter((text) => text.includes('"container_'))
    .map((text) => text.split('\n')[0])
  assert.deepEqual(told, ['event: message_delta'])
})

test('diagnostics and credit are compared within the workspace', async (t) => {
  const sandbox = await sandboxFor(t, { accounts: ACCOUNTS })
  const beta = { 'anthropic-beta': 'fallback-credit-2026-07-01' }
  const keyOf = (name: string) => ({ ...beta, 'x-api-key': sandbox.account(name).key })
  const ask = async (name: string, more: object, fault = 'status=200') => {
    const headers = { ...keyOf(name), 'x-sandbox': fault }
    return JSON.parse(await textOf(post(sandbox, question('Hi', { ...more }), headers)))
  }
  const first = await ask('a', { diagnostics: { previous_message_id: null } })
  assert.deepEqual(first.diagnostics, { cache_miss_reason: null })
  const next = { diagnostics: { previous_message_id: first.id } }
  assert.equal((await ask('a', next)).diagnostics.cache_miss_reason, null)
  const { type } = (await ask('b', next)).diagnostics.cache_miss_reason
  assert.equal(type, 'previous_message_not_found')

  const refused = await ask('a', {}, 'decline=before')
  const fallback_credit_token = refused.stop_details.fallback_credit_token
  const used = async (name: string) =>
    (await ask(name, { fallback_credit_token })).usage.fallback_credit
  assert.equal((await used('b')).status.type, 'not_applied')
  assert.equal((await used('a')).status.type, 'redeemed')
  assert.equal((await used('a')).status.type, 'not_applied')
})
