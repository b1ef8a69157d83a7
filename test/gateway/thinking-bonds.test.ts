import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type World, world } from '../support/world.ts'

const RICH = { creditMicro: 1_000_000_000 }
/** Each account of these is an organisation of its own. */
const NAMES = ['one', 'two', 'three', 'four']
const MODEL = 'claude-sonnet-5-5'

type Message = { readonly role: string; readonly content: unknown }

/** One turn of a conversation as its client has it; the answer joins it. */
async function turn(w: World, messages: Message[], key: string) {
  messages.push({ role: 'user', content: `Turn ${messages.length}` })
  const response = await w.post(
    { model: MODEL, max_tokens: 2_000, messages },
    { 'x-api-key': key, 'x-sandbox': 'thinking=summarized,thinking_tokens=20' },
  )
  const text = await response.text()
  assert.equal(response.status, 200, text)
  messages.push({ role: 'assistant', content: JSON.parse(text).content })
  const { trail } = await w.usage(response.headers.get('x-cc-request-id') ?? '')
  return { account: w.sandbox.requests.at(-1)?.account, bound: trail[0].bound }
}

test('thinking binds the conversation of its owner; the same words of another customer are bound to nothing of it', async (t) => {
  const w = await world(t, { accounts: NAMES, ...RICH })
  const bob = await w.newKey('bob', 'k', RICH)
  const alices: Message[] = []
  const first = await turn(w, alices, w.key)
  assert.equal(first.bound, null)
  // Whoever got hold of all that she said and was told, signatures too, gets no more than the words.
  const stolen = [...alices]
  const home = await turn(w, alices, w.key)
  assert.equal(home.account, first.account)
  assert.equal(home.bound?.scope, 'organization')
  const places = new Set<unknown>()
  for (let i = 0; i < 6; i++) {
    const copy = [...stolen]
    const once = await w.newKey(`thief${i}`, 'k', RICH)
    const { account, bound } = await turn(w, copy, once)
    assert.equal(bound, null)
    places.add(account)
    // From here on it is a conversation of theirs, at their place.
    const next = await turn(w, copy, once)
    assert.equal(next.account, account)
    assert.notEqual(next.bound, null)
  }
  assert.ok(places.size > 1, 'they are sent anywhere')
  assert.ok(w.sandbox.counters.droppedThinking > 0, 'elsewhere the thinking is nothing')

  // Neither they nor a restart change where hers lives.
  for (const isRestarted of [false, true]) {
    if (isRestarted) await w.restart()
    const dropped = w.sandbox.counters.droppedThinking
    const { account, bound } = await turn(w, alices, w.key)
    assert.equal(account, first.account)
    assert.deepEqual(bound, { scope: 'organization', id: home.bound?.id, isLeft: false })
    assert.equal(w.sandbox.counters.droppedThinking, dropped)
  }
  const another = await turn(w, [...stolen], bob)
  assert.equal(another.bound, null)
})

test('a second key of the same owner finds the way home, who comes after a deleted owner does not', async (t) => {
  const w = await world(t, { accounts: NAMES, ...RICH })
  const messages: Message[] = []
  const { account } = await turn(w, messages, w.key)
  const second = await w.newKey('alice', 'second')
  const found = await turn(w, [...messages], second)
  assert.equal(found.account, account)
  assert.notEqual(found.bound, null)
  const by = { actor: 'test', nowMs: Date.now() }
  const forfeit = { id: 'led_00000000000000000000000000', note: null }
  await w.settled()
  const gone = await w.store.deleteUser(w.userId, { forfeit }, by)
  assert.equal(gone.kind, 'deleted')
  const heir = await w.newKey('alice-again', 'k', RICH)
  assert.equal((await turn(w, [...messages], heir)).bound, null)
})
