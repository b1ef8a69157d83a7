import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertClean } from '../support/bills.ts'
import { type World, world } from '../support/world.ts'

const BETA = { 'anthropic-beta': 'message-threads-2026-11-02' }
const LONG = 'A long story about nothing much. '.repeat(3_000)

async function turn(w: World, body: Record<string, unknown>, key = w.key) {
  const response = await w.post(
    { model: 'claude-sonnet-5', ...body },
    { ...BETA, 'x-api-key': key },
  )
  const text = await response.text()
  const id = response.headers.get('x-cc-request-id') ?? ''
  const message = /"id":"(msg_[^"]+)"/.exec(text)?.[1] ?? ''
  return { status: response.status, text, id, message }
}

for (const stream of [false, true]) {
  test(`what a thread has come to is the size of the request that continues it (stream: ${stream})`, async (t) => {
    const w = await world(t, { accounts: ['one'], creditMicro: 100_000_000 })
    const messages = [{ role: 'user', content: LONG }]
    const first = await turn(w, { messages, stream, thread: { type: 'create' } })
    assert.equal(first.status, 200, first.text)
    const made = await w.usage(first.id)
    const news = [{ role: 'user', content: 'Go on.' }]
    const thread = { type: 'continue', previous_message_id: first.message }
    const second = await turn(w, { messages: news, stream, thread })
    assert.equal(second.status, 200, second.text)
    const row = await w.usage(second.id)
    assert.ok(row.costMicro <= row.holdMicro, `${row.costMicro} of ${row.holdMicro}`)
    const [opened] = row.holdSteps
    // The whole window of this model is more than $3.
    assert.ok(opened.amountMicro < 300_000, `${opened.amountMicro}`)
    assert.ok(opened.amountMicro > made.costMicro / 4)
    // The next turn continues the answer of the second one.
    const next = { type: 'continue', previous_message_id: second.message }
    const third = await w.usage((await turn(w, { messages: news, stream, thread: next })).id)
    assert.ok(third.costMicro <= third.holdMicro && third.holdSteps[0].amountMicro < 300_000)
    assert.equal(w.sandbox.counters.countTokens, 0)
    await assertClean(w)
  })
}

test('a thread of another user, an unknown one, and one whose account is gone are the same 404', async (t) => {
  const w = await world(t, { accounts: ['one'], creditMicro: 100_000_000 })
  const messages = [{ role: 'user', content: LONG }]
  const { message } = await turn(w, { messages, thread: { type: 'create' } })
  const mallory = await w.newKey('mallory', 'k', { creditMicro: 100_000_000 })
  const news = [{ role: 'user', content: 'Go on.' }]
  w.sandbox.forget()
  const refused = async (id: string, key: string, type = 'continue') => {
    const thread = { type, previous_message_id: id }
    const { status, text } = await turn(w, { messages: news, thread }, key)
    assert.equal(status, 404)
    return text.replaceAll(id, 'ID').replace(/ccr_\w+/, 'REQUEST')
  }
  const foreign = await refused(message, mallory)
  for (const type of ['create', 'a later invention'])
    assert.equal(await refused(message, mallory, type), foreign)
  // Clients know it by this code, and send the whole conversation again.
  assert.equal(JSON.parse(foreign).error.type, 'not_found_error')
  assert.equal(JSON.parse(foreign).error.details.error_code, 'thread_not_found')
  assert.equal(await refused('msg_01abc', w.key), foreign)
  assert.equal(w.sandbox.requests.length, 0)
  const by = { actor: 'test', nowMs: Date.now() }
  await w.store.setAccountDisabled(w.accountIds.one, { reason: null }, by)
  assert.equal(await refused(message, w.key), foreign)
})
