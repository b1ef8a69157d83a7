import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertClean, codeOf } from '../support/bills.ts'
import { type World, world } from '../support/world.ts'

const MARK = { cache_control: { type: 'ephemeral' } }
const RICH = { creditMicro: 1_000_000_000 }

/** A conversation of its own: a long system prompt, and a mark that moves along. */
function conversation(w: World, name: string) {
  const system = [{ type: 'text', text: `You are ${name}. ${'Be kind. '.repeat(1_500)}`, ...MARK }]
  const messages: object[] = []
  return async (headers: Record<string, string> = {}) => {
    const text = `Turn ${messages.length} of ${name}. ${'Well, well. '.repeat(40)}`
    messages.push({ role: 'user', content: [{ type: 'text', text, ...MARK }] })
    const asked = messages.map((message, i) =>
      i < messages.length - 1 ? withoutMark(message) : message,
    )
    const response = await w.post({ model: 'claude-opus-5', system, messages: asked }, headers)
    const answer = await response.text()
    messages.push({ role: 'assistant', content: 'Yes.' })
    const id = response.headers.get('x-cc-request-id') ?? ''
    const read = /"cache_read_input_tokens":\s*(\d+)/.exec(answer)?.[1] ?? '0'
    return { status: response.status, answer, id, cacheRead: Number(read) }
  }
}

function withoutMark(message: object): object {
  const { content, ...rest } = message as { content: unknown }
  if (!Array.isArray(content)) return message
  return { ...rest, content: content.map(({ cache_control: _mark, ...block }) => block) }
}

/** Names of the accounts that messages went to. */
function asked(w: World): readonly (string | null)[] {
  return w.sandbox.requests
    .filter(({ path }) => path === '/v1/messages')
    .map(({ account }) => account)
}

const NAMES = ['one', 'two', 'three', 'four']

test('a conversation stays where its prompt is cached, also after a restart', async (t) => {
  const w = await world(t, { accounts: NAMES, ...RICH })
  const talks = ['Ann', 'Bob', 'Cid', 'Dan', 'Eve', 'Fay'].map((name) => conversation(w, name))
  const homes: (string | null)[] = []
  for (const talk of talks) {
    assert.equal((await talk()).cacheRead, 0)
    homes.push(asked(w).at(-1) ?? null)
  }
  assert.ok(new Set(homes).size > 1, 'conversations are spread')
  for (let turn = 1; turn < 4; turn++) {
    if (turn === 3) await w.restart()
    for (const [k, talk] of talks.entries()) {
      const { cacheRead, id } = await talk()
      assert.equal(asked(w).at(-1), homes[k], `turn ${turn} of ${k}`)
      assert.ok(cacheRead > 1_000, `${cacheRead} tokens read`)
      const [choice] = (await w.usage(id)).trail
      assert.equal(choice.because, 'warm')
      assert.ok(choice.candidates[0].warmTokens > 1_000)
      assert.equal(choice.candidates.length, 4)
    }
  }
  await assertClean(w)
})

test('a 529 for a warm prompt is tried once more where it is warm, for a cold one at once elsewhere', async (t) => {
  const w = await world(t, { accounts: NAMES, ...RICH })
  const talk = conversation(w, 'Ann')
  await talk()
  const [home] = asked(w)
  w.sandbox.forget()
  w.sandbox.setFault(home ?? '', 'status=529', { times: 1 })
  const { status, id } = await talk()
  assert.equal(status, 200)
  assert.deepEqual(asked(w), [home, home])
  const { attempts, trail } = await w.usage(id)
  assert.deepEqual(
    attempts.map(({ outcome }) => outcome),
    ['overloaded', 'ok'],
  )
  assert.equal(trail.length, 2)

  w.sandbox.forget()
  w.sandbox.setFault('*', 'status=529', { times: 1 })
  assert.equal((await w.post()).status, 200)
  const [first, second] = asked(w)
  assert.notEqual(second, first)
  await assertClean(w)
})

test('requests wait in line for a slot, and those of all keys get their turn', async (t) => {
  const w = await world(t, { accounts: ['one'], accountLimits: { concurrencyLimit: 2 }, ...RICH })
  const other = await w.newKey('bob', 'k', RICH)
  w.sandbox.setFault('*', 'first_byte_ms=60')
  const order: string[] = []
  const ask = async (name: string, key = w.key) => {
    const response = await w.post({}, { 'x-api-key': key })
    await response.text()
    order.push(name)
    return response.status
  }
  const many = Array.from({ length: 12 }, (_, i) => ask(`a${i}`))
  while (w.sandbox.requests.length < 2) await new Promise((resolve) => setTimeout(resolve, 2))
  const statuses = await Promise.all([...many, ask('bob', other)])
  assert.deepEqual(new Set(statuses), new Set([200]))
  assert.ok(order.indexOf('bob') < 8, order.join(' '))
  assert.equal(w.sandbox.counters.peakInFlight, 2)
  await w.settled()
  // The wait is told as such, and is no time of the gateway.
  const { rows } = await w.store.listUsage({ limit: 20 })
  const waits = rows.map(({ trail }) => trail.reduce((sum, { waitedMs }) => sum + waitedMs, 0))
  const longest = waits.indexOf(Math.max(...waits))
  assert.ok(waits[longest] >= 200, `${waits}`)
  assert.ok(rows[longest].gatewayUs < (waits[longest] * 1_000) / 2, `${rows[longest].gatewayUs}`)
  await assertClean(w)
})

test('who cannot pay is told so at once, and does not wait for an account first', async (t) => {
  const w = await world(t, { accounts: ['one'], accountLimits: { concurrencyLimit: 1 } })
  w.sandbox.setFault('*', 'first_byte_ms=400')
  const poor = await w.newKey('poor', 'k', { creditMicro: 1 })
  const slow = w.post()
  while (w.sandbox.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 2))
  const response = await w.post({}, { 'x-api-key': poor })
  assert.equal(codeOf(await response.text()), 'insufficient_credit')
  assert.equal(w.sandbox.counters.messages, 1)
  assert.equal((await slow).status, 200)
})

test('a client that leaves the line makes room, and nothing is sent or billed for it', async (t) => {
  const w = await world(t, { accounts: ['one'], accountLimits: { concurrencyLimit: 1 }, ...RICH })
  w.sandbox.setFault('*', 'first_byte_ms=300')
  const slow = w.post()
  while (w.sandbox.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 2))
  const left = new AbortController()
  const waiting = fetch(`${w.url}/v1/messages`, {
    method: 'POST',
    headers: { 'x-api-key': w.key, 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'claude-sonnet-4-6',
      max_tokens: 64,
      messages: [{ role: 'user', content: 'Hi' }],
    }),
    signal: left.signal,
  })
  setTimeout(() => left.abort(), 60)
  await assert.rejects(waiting)
  assert.equal((await slow).status, 200)
  await w.settled()
  assert.equal(w.sandbox.counters.messages, 1)
  const { rows } = await w.store.listUsage({ limit: 5 })
  const gone = rows.find(({ httpStatus }) => httpStatus === 499)
  assert.ok((gone?.trail.at(-1)?.waitedMs ?? 0) > 20, 'how long it stood in line is known')
  await assertClean(w)
})

test('a credential that is revoked in the middle of it all is no error for any client', async (t) => {
  const w = await world(t, { accounts: NAMES, ...RICH })
  const talks = Array.from({ length: 8 }, (_, i) => conversation(w, `talk ${i}`))
  for (const talk of talks) await talk()
  const [revoked] = asked(w)
  w.sandbox.setFault(revoked ?? '', 'status=401')
  for (let turn = 0; turn < 3; turn++) {
    const answers = await Promise.all(talks.map((talk) => talk()))
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]))
  }
  assert.deepEqual(w.daemon.counts.accounts, { healthy: 3, resting: 1, disabled: 0 })
  await assertClean(w)
})

test('one key that provokes failures cools one account at most, and others hardly notice', async (t) => {
  const w = await world(t, { accounts: NAMES, ...RICH })
  const good = await w.newKey('bob', 'k', RICH)
  let ok = 0
  let all = 0
  for (let round = 0; round < 30; round++) {
    const bad = w.post({}, { 'x-sandbox': 'status=500' })
    const answers = await Promise.all(NAMES.map(() => w.post({}, { 'x-api-key': good })))
    for (const answer of answers) {
      await answer.text()
      all++
      if (answer.status === 200) ok++
    }
    await (await bad).text()
  }
  assert.ok(ok >= all * 0.99, `${ok} of ${all}`)
  assert.ok(w.daemon.counts.accounts.resting <= 1)
  await assertClean(w)
})
