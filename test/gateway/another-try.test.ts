import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Config } from '../../src/config/config.ts'
import { type Store, StoreError } from '../../src/store/store.ts'
import { assertClean } from '../support/bills.ts'
import {
  answerEvents,
  eventText,
  postOpenAi,
  type ScriptedAnswer,
  scriptedUpstream,
  streams,
  textBlock,
} from '../support/openai.ts'
import { type WorldOptions, world } from '../support/world.ts'

const CHAT = '/v1/chat/completions'
const MODEL = 'claude-sonnet-4-6'
const BODY = { model: MODEL, messages: [{ role: 'user', content: 'Hello' }] }
const WHOLE = answerEvents([textBlock('Hel', 'lo')], 'end_turn')
const BEGUN = WHOLE.slice(0, 4)
const OVERLOADED = { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }

/** Breaks off in the middle. */
const cut: ScriptedAnswer = (response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.write(eventText(BEGUN))
  setTimeout(() => response.destroy(), 20)
}
const refused: ScriptedAnswer = (response) => response.writeHead(500).end()

/** Accounts that are all this upstream. */
async function scripted(t: TestContext, answers: readonly ScriptedAnswer[], options = {}) {
  const upstream = await scriptedUpstream(t, answers)
  const all: WorldOptions = { account: () => ({ baseUrl: upstream.url }), ...options }
  return { w: await world(t, all), upstream }
}

test('a whole answer that breaks off is made by another account, and only that one is paid', async (t) => {
  const left = streams(BEGUN)
  const broke = streams([...BEGUN, OVERLOADED])
  for (const first of [cut, left, broke, streams(WHOLE.slice(0, -1))]) {
    const { w, upstream } = await scripted(t, [first, streams(WHOLE)])
    for (const [path, body] of [
      [CHAT, BODY],
      ['/v1/responses', { model: MODEL, input: 'Hello' }],
    ] as const) {
      // The second request finds an upstream that is well.
      const response = await postOpenAi(w, path, body)
      assert.equal(response.status, 200, await response.clone().text())
      assert.match(await response.text(), /Hello/)
      const row = await w.usage(response.headers.get('x-cc-request-id') ?? '')
      assert.equal(response.headers.get('x-cc-cost-micro'), String(row.costMicro))
      if (path !== CHAT) continue
      assert.equal(upstream.requests.length, 2)
      assert.deepEqual(upstream.requests[0].body, upstream.requests[1].body)
      assert.deepEqual([row.status, row.httpStatus, row.source], ['complete', 200, 'exact'])
      const [lost, made] = row.attempts
      assert.equal(row.attempts.length, 2)
      assert.notEqual(lost.accountId, made.accountId)
      assert.equal(row.accountId, made.accountId)
      assert.equal(response.headers.get('x-cc-account-id'), made.accountId)
      assert.deepEqual([lost.httpStatus, made.outcome], [200, 'ok'])
      assert.ok(lost.listCostMicro > 0, 'what upstream takes for it is the operator’s loss')
      assert.equal((await w.wallet()).balanceMicro, 10_000_000 - row.costMicro)
      const held = row.holdSteps.map(({ amountMicro }) => amountMicro)
      const [opened, exact] = held
      assert.ok(exact < opened)
      assert.deepEqual(held, [opened, exact, opened, exact], 'each try began with as much')
    }
    await assertClean(w)
  }
})

test('it is tried once more, not again and again, and never after another such failure', async (t) => {
  const accounts = ['a', 'b', 'c']
  for (const answers of [
    [cut, cut],
    [refused, cut],
    [cut, refused],
  ] as const) {
    const { w, upstream } = await scripted(t, [...answers, streams(WHOLE)], { accounts })
    const response = await postOpenAi(w, CHAT, BODY)
    assert.equal(response.status, 502)
    assert.notEqual(response.headers.get('x-should-retry'), 'false')
    await response.text()
    assert.equal(upstream.requests.length, 2)
    const row = await w.usage(response.headers.get('x-cc-request-id') ?? '')
    assert.deepEqual([row.status, row.httpStatus, row.costMicro], ['rejected', 502, 0])
    assert.equal(row.holdMicro, row.holdSteps.at(-1)?.amountMicro)
    const cuts = row.attempts.filter(({ httpStatus }) => httpStatus === 200)
    assert.ok(cuts.length > 0 && cuts.every(({ listCostMicro }) => listCostMicro > 0))
    assert.deepEqual(await w.wallet(), { balanceMicro: 10_000_000, heldMicro: 0 })
    await assertClean(w)
  }
})

test('overload in the middle, twice: the other try was the last one', async (t) => {
  const broke = streams([...BEGUN, OVERLOADED])
  const { w, upstream } = await scripted(t, [broke, broke, streams(WHOLE)], {
    accounts: ['a', 'b', 'c'],
  })
  const response = await postOpenAi(w, CHAT, BODY)
  assert.ok(response.status >= 500, await response.text())
  assert.equal(upstream.requests.length, 2)
  assert.equal((await w.wallet()).heldMicro, 0)
  await assertClean(w)
})

test('there is no other try beyond the attempts of the config, or without a budget', async (t) => {
  const retry = (so: Partial<Config['retry']>) => ({
    config: (c: Config): Config => ({ ...c, retry: { ...c.retry, ...so } }),
  })
  const one = await scripted(t, [cut, streams(WHOLE)], retry({ maxAttempts: 1 }))
  const response = await postOpenAi(one.w, CHAT, BODY)
  assert.equal(response.status, 502, await response.text())
  assert.equal(one.upstream.requests.length, 1)
  await assertClean(one.w)
  // A few further attempts a second are free of the budget.
  const { w, upstream } = await scripted(t, [cut], retry({ budgetPercent: 0 }))
  await Promise.all(Array.from({ length: 40 }, () => postOpenAi(w, CHAT, BODY)))
  assert.ok(upstream.requests.length < 80, `${upstream.requests.length} attempts`)
})

test('nor of a prompt whose size nobody knows', async (t) => {
  const { w, upstream } = await scripted(t, [refused, cut, streams(WHOLE)])
  const image_url = { url: 'https://example.com/a.png' }
  const content = [{ type: 'image_url', image_url }]
  const response = await postOpenAi(w, CHAT, {
    model: MODEL,
    messages: [{ role: 'user', content }],
  })
  assert.equal(response.status, 502, await response.text())
  assert.deepEqual(
    upstream.requests.map(({ path }) => path),
    ['/v1/messages/count_tokens', '/v1/messages'],
  )
  await assertClean(w)
})

test('while the hold grows there is no other try', async (t) => {
  const [start, ...rest] = BEGUN
  const long = {
    ...start,
    message: { ...(start.message as object), usage: { input_tokens: 90_000, output_tokens: 1 } },
  }
  const cutLong: ScriptedAnswer = (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(eventText([long, ...rest]))
    setTimeout(() => response.destroy(), 50)
  }
  const { w, upstream } = await scripted(t, [cutLong, streams(WHOLE)], {
    daemonStore: (store: Store): Store => ({
      ...store,
      async resizeHold(requestId, deltaMicro) {
        if (deltaMicro > 0) await new Promise((resolve) => setTimeout(resolve, 300))
        return store.resizeHold(requestId, deltaMicro)
      },
    }),
  })
  const response = await postOpenAi(w, CHAT, BODY)
  assert.equal(response.status, 502, await response.text())
  assert.equal(upstream.requests.length, 1)
  await w.settled()
  assert.equal((await w.wallet()).heldMicro, 0)
})

test('a stream that has reached its client is never begun anew', async (t) => {
  const { w, upstream } = await scripted(t, [cut, streams(WHOLE)])
  const response = await postOpenAi(w, CHAT, { ...BODY, stream: true })
  assert.match(await response.text(), /"error"/)
  assert.equal(upstream.requests.length, 1)
  await assertClean(w)
})

test('who has no credit for a second try gets the error of the first', async (t) => {
  const { w, upstream } = await scripted(t, [
    (response, asked) => {
      // Meanwhile the wallet is emptied by what else its user does.
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(eventText(BEGUN))
      void takeAll().then(() => response.destroy())
      assert.equal(asked.body.stream, true)
    },
    streams(WHOLE),
  ])
  const takeAll = async () => {
    // The hold was given back as far as the prompt is exact by now: that part is spent elsewhere.
    await new Promise((resolve) => setTimeout(resolve, 100))
    const wallet = await w.store.getWallet(w.userId)
    const amountMicro = -((wallet?.balanceMicro ?? 0) - (wallet?.heldMicro ?? 0))
    const entry = { id: 'led_01jdq9jw0a0000000000000000', userId: w.userId, amountMicro }
    await w.store.addCredit(
      { ...entry, type: 'adjust', ref: null, note: null },
      { actor: 'test', nowMs: Date.now() },
    )
  }
  const response = await postOpenAi(w, CHAT, BODY)
  assert.equal(response.status, 502)
  await response.text()
  assert.equal(upstream.requests.length, 1)
  assert.equal((await w.wallet()).heldMicro, 0)
  await assertClean(w)
  // The slot that had been taken for it is free again.
  const rich = await w.newKey('bob', 'desk', { creditMicro: 1_000_000 })
  const next = await postOpenAi({ url: w.url, key: rich }, CHAT, BODY)
  assert.equal(next.status, 200, await next.text())
  const [{ candidates }] = (await w.usage(next.headers.get('x-cc-request-id') ?? '')).trail
  assert.deepEqual(
    candidates.map(({ inFlight }) => inFlight),
    [0, 0],
  )
})

test('a store that cannot hold for a second try is what the client and its row are told of', async (t) => {
  const { w, upstream } = await scripted(t, [cut, streams(WHOLE)], {
    daemonStore: (store: Store): Store => ({
      ...store,
      async resizeHold(requestId, deltaMicro) {
        if (deltaMicro > 0) throw new StoreError('overloaded', 'too much to write')
        return store.resizeHold(requestId, deltaMicro)
      },
    }),
  })
  const response = await postOpenAi(w, CHAT, BODY)
  assert.equal(response.status, 503, await response.text())
  assert.equal(upstream.requests.length, 1)
  const row = await w.usage(response.headers.get('x-cc-request-id') ?? '')
  assert.deepEqual([row.status, row.httpStatus, row.errorCode], ['rejected', 503, 'overloaded'])
  assert.equal((await w.wallet()).heldMicro, 0)
  await assertClean(w)
})

test('a client that leaves during the second try leaves no hold behind', async (t) => {
  const failsLate: ScriptedAnswer = (response) => void setTimeout(() => response.destroy(), 500)
  const { w, upstream } = await scripted(t, [cut, failsLate])
  const leaving = new AbortController()
  const pending = postOpenAi(w, CHAT, BODY, {}, leaving.signal)
  while (upstream.requests.length < 2) await new Promise((resolve) => setTimeout(resolve, 10))
  const [hold] = await w.store.listOpenHolds()
  assert.equal(hold.progress?.tokens.input, 0, 'after a crash nothing of the first would be billed')
  leaving.abort()
  await assert.rejects(pending)
  await w.settled()
  await assertClean(w)
  assert.equal((await w.wallet()).balanceMicro, 10_000_000)
  const [row] = (await w.store.listUsage({ limit: 1 })).rows
  assert.deepEqual([row.httpStatus, row.costMicro, row.attempts.length], [499, 0, 2])
})

test('a stop ends the second try as it ends the first', async (t) => {
  const { w, upstream } = await scripted(t, [cut, () => {}])
  const pending = postOpenAi(w, CHAT, BODY)
  while (upstream.requests.length < 2) await new Promise((resolve) => setTimeout(resolve, 10))
  const stopped = w.stop(50)
  assert.equal((await pending).status, 503)
  await stopped
  await assertClean(w)
})

test('who has joined the answer of its own first try is told when that breaks off', async (t) => {
  let breakOff = () => {}
  const begins: ScriptedAnswer = (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(eventText(BEGUN))
    breakOff = () => response.destroy()
  }
  const { w, upstream } = await scripted(t, [begins, streams(WHOLE)], {
    config: (c: Config) => ({ ...c, billing: { ...c.billing, onDisconnect: { kind: 'finish' } } }),
  })
  const leaving = new AbortController()
  const first = postOpenAi(w, CHAT, BODY, {}, leaving.signal)
  const begun = async () => (await w.store.listOpenHolds())[0]?.progress != null
  while (!(await begun())) await new Promise((resolve) => setTimeout(resolve, 10))
  leaving.abort()
  await assert.rejects(first)
  await new Promise((resolve) => setTimeout(resolve, 200))
  const retry = postOpenAi(w, CHAT, BODY, { 'x-stainless-retry-count': '1' })
  await new Promise((resolve) => setTimeout(resolve, 100))
  assert.equal(upstream.requests.length, 1, 'it has joined')
  breakOff()
  const joined = await retry
  assert.equal(joined.status, 502)
  await joined.text()
  assert.equal((await postOpenAi(w, CHAT, BODY)).status, 200)
  const row = await w.usage(joined.headers.get('x-cc-request-id') ?? '')
  assert.deepEqual([row.status, row.httpStatus, row.costMicro], ['rejected', 502, 0])
  assert.ok(row.joinedRequestId !== null)
  await assertClean(w)
})

test('a client that leaves during the second try may have its answer by a retry', async (t) => {
  const late: ScriptedAnswer = (response, asked) =>
    void setTimeout(() => streams(WHOLE)(response, asked), 500)
  const { w, upstream } = await scripted(t, [cut, late], {
    config: (c: Config) => ({ ...c, billing: { ...c.billing, onDisconnect: { kind: 'finish' } } }),
  })
  const leaving = new AbortController()
  const first = postOpenAi(w, CHAT, BODY, {}, leaving.signal)
  while (upstream.requests.length < 2) await new Promise((resolve) => setTimeout(resolve, 10))
  leaving.abort()
  await assert.rejects(first)
  await new Promise((resolve) => setTimeout(resolve, 100))
  const joined = await postOpenAi(w, CHAT, BODY, { 'x-stainless-retry-count': '1' })
  assert.equal(joined.status, 200)
  assert.match(await joined.text(), /Hello/)
  assert.equal(upstream.requests.length, 2)
  await w.settled()
  const { rows } = await w.store.listUsage({ limit: 5 })
  const costs = rows.map(({ costMicro }) => costMicro).filter((micro) => micro > 0)
  assert.equal(costs.length, 1, 'one of them is billed')
  assert.equal((await w.wallet()).balanceMicro, 10_000_000 - costs[0])
  await assertClean(w)
})
