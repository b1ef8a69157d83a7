import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createIdMaker } from '../../src/core/ids.ts'
import { type Store, StoreError } from '../../src/store/store.ts'
import { assertClean, codeOf, eventsOf, truthMicro } from '../support/bills.ts'
import { postOpenAi } from '../support/openai.ts'
import { type World, world } from '../support/world.ts'

const MODEL = 'claude-sonnet-4-6'
const MARK = { cache_control: { type: 'ephemeral' } }
/** 400 KB: about 108,000 tokens, $0.41 to write and $0.03 to read. */
const BOOK = 'Once upon a time there was a long book. '.repeat(10_000)
const SMALL_MICRO = 300_000

const makeId = createIdMaker(
  (count) => crypto.getRandomValues(new Uint8Array(count)),
  () => Date.now(),
)

/** A conversation about a book, with a mark that moves along. */
function conversation(w: World) {
  const system = [{ type: 'text', text: BOOK, ...MARK }]
  const messages: { role: string; content: object[] }[] = []
  return async (
    headers: Record<string, string> = {},
    more: Record<string, unknown> = {},
    begun: () => void = () => {},
  ) => {
    const text = `Question ${messages.length}. ${'And then? '.repeat(20)}`
    const asked = [...messages, { role: 'user', content: [{ type: 'text', text, ...MARK }] }]
    const body = { model: MODEL, max_tokens: 500, stream: true, system, messages: asked, ...more }
    const response = await w.post(body, headers)
    begun()
    const answer = await response.text()
    if (response.status === 200) {
      messages.push({ role: 'user', content: [{ type: 'text', text }] })
      messages.push({ role: 'assistant', content: [{ type: 'text', text: 'Yes.' }] })
    }
    const id = response.headers.get('x-cc-request-id') ?? ''
    const last = eventsOf(answer).at(-1)?.data ?? ''
    return { status: response.status, id, code: codeOf(answer) ?? codeOf(last), answer }
  }
}

/** A conversation with its first turn behind it, and the wallet small from then on. */
async function warmAndPoor(w: World) {
  const talk = conversation(w)
  assert.equal((await talk()).status, 200)
  await setBalance(w, SMALL_MICRO)
  w.sandbox.forget()
  return talk
}

async function setBalance(w: World, micro: number): Promise<void> {
  const { balanceMicro } = await w.wallet()
  const entry = { id: makeId('entry'), userId: w.userId, ref: null, note: null }
  const by = { actor: 'test', nowMs: Date.now() }
  const amountMicro = micro - balanceMicro
  await w.store.addCredit({ ...entry, type: 'adjust', amountMicro, allowNegative: true }, by)
}

/** What its receipt says of how much too little may have been held; undefined: nothing. */
async function riskOf(w: World, id: string): Promise<number | undefined> {
  return (await w.usage(id)).holdSteps[0]?.thinRiskMicro
}

/** Accounts that messages went to. */
function asked(w: World): readonly (string | null)[] {
  return w.sandbox.requests
    .filter(({ path }) => path === '/v1/messages')
    .map(({ account }) => account)
}

async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  const lastMs = Date.now() + 10_000
  while (!(await isTrue())) {
    assert.ok(Date.now() < lastMs, 'it never came')
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

test('a cached conversation goes on until its small wallet is nearly empty, a restart between', async (t) => {
  const w = await world(t, { accounts: ['one', 'two', 'three'], creditMicro: 1_000_000 })
  const talk = await warmAndPoor(w)
  let turns = 0
  let lastMicro = 0
  for (;;) {
    if (turns === 2) await w.restart()
    const { status, id, code } = await talk()
    if (status !== 200) {
      assert.equal(code, 'insufficient_credit')
      break
    }
    turns++
    const { costMicro, holdSteps, source } = await w.usage(id)
    const [opened, corrected] = holdSteps
    assert.ok((opened.thinRiskMicro ?? 0) > SMALL_MICRO, 'the prompt written anew would cost more')
    assert.ok(opened.amountMicro < 60_000, `${opened.amountMicro}`)
    assert.equal(corrected.kind, 'corrected')
    assert.ok(costMicro <= corrected.amountMicro && costMicro <= opened.amountMicro)
    assert.equal(source, 'exact')
    lastMicro = costMicro
  }
  assert.ok(turns >= 6, `${turns} turns`)
  const { balanceMicro } = await w.wallet()
  assert.ok(balanceMicro >= 0 && balanceMicro < 2 * lastMicro, `${balanceMicro} are left`)
  // What was refused has left nothing behind.
  await setBalance(w, SMALL_MICRO)
  assert.equal((await talk()).status, 200)
  await assertClean(w)
})

test('a wallet has one thin hold at a time, until the answer has begun', async (t) => {
  const w = await world(t, { accounts: ['one'], creditMicro: 1_000_000 })
  const talk = await warmAndPoor(w)
  const first = talk({ 'x-sandbox': 'first_byte_ms=1000' })
  await until(() => asked(w).length > 0)
  const [second, third] = await Promise.all([talk(), talk()])
  assert.deepEqual([second.status, third.status], [402, 402])
  assert.equal(second.code, 'insufficient_credit')
  assert.equal((await first).status, 200)
  assert.equal(asked(w).length, 1)

  // Of many at once one is let in.
  w.sandbox.setFault('*', 'first_byte_ms=1000')
  const many = await Promise.all(Array.from({ length: 5 }, () => talk()))
  assert.deepEqual(many.map(({ status }) => status).sort(), [200, 402, 402, 402, 402])
  w.sandbox.clearFaults()

  // As soon as it is exact it is a hold like others.
  const { promise: begun, resolve } = Promise.withResolvers<void>()
  const slow = talk({ 'x-sandbox': 'first_token_ms=500' }, {}, resolve)
  await begun
  const meanwhile = await talk()
  assert.equal(meanwhile.status, 200)
  assert.equal((await slow).status, 200)
  assert.ok(((await riskOf(w, meanwhile.id)) ?? 0) > 0)
  await assertClean(w)
})

test('where the cache is cold after all, the charge is exact and the overdraft at most as printed', async (t) => {
  let skewMs = 0
  const nowMs = () => Date.now() + skewMs
  const w = await world(t, { accounts: ['one', 'two'], creditMicro: 1_000_000, sandbox: { nowMs } })
  for (const stream of [true, false]) {
    await setBalance(w, 1_000_000)
    const talk = await warmAndPoor(w)
    skewMs += 600_000
    const { status, id, code } = await talk(
      { 'x-sandbox': 'output_tokens=400,token_rate=400' },
      { stream },
    )
    assert.equal(status, 200)
    assert.equal(code, stream ? 'insufficient_credit' : null)
    await w.settled()
    const row = await w.usage(id)
    const riskMicro = row.holdSteps[0]?.thinRiskMicro ?? 0
    assert.ok(row.tokens.cacheRead === 0 && row.tokens.cacheWrite5m > 100_000)
    const { balanceMicro } = await w.wallet()
    assert.equal(balanceMicro, SMALL_MICRO - row.costMicro)
    assert.ok(balanceMicro < 0 && -balanceMicro <= riskMicro, `${balanceMicro}, ${riskMicro}`)
    assert.ok(row.costMicro - row.holdSteps[0].amountMicro <= riskMicro)
    const bill = w.sandbox.billed().find((one) => one.requestId === row.upstreamRequestId)
    assert.ok(bill)
    if (stream) assert.ok(row.costMicro <= truthMicro(bill), 'no output is billed that never came')
    else assert.equal(row.costMicro, truthMicro(bill))
    if (stream) assert.deepEqual([row.status, row.errorCode], ['interrupted', code])
    // A wallet below zero pays for nothing, however warm.
    assert.equal((await talk()).status, 402)
  }
  await assertClean(w)
})

test('while what a cold prompt cost is not settled yet, its wallet has no other thin hold', async (t) => {
  let skewMs = 0
  let isFull = false
  const w = await world(t, {
    accounts: ['one'],
    creditMicro: 1_000_000,
    sandbox: { nowMs: () => Date.now() + skewMs },
    daemonStore: (store): Store => ({
      ...store,
      settleHold: (record) =>
        isFull ? Promise.reject(new StoreError('full', 'disk full')) : store.settleHold(record),
    }),
  })
  const talk = await warmAndPoor(w)
  skewMs += 600_000
  isFull = true
  const cold = await talk()
  assert.equal(cold.code, 'store_unavailable')
  // What is held still is little, so the wallet looks as if it could pay for one more.
  const { balanceMicro, heldMicro } = await w.wallet()
  assert.ok(balanceMicro - heldMicro > 200_000)
  assert.equal((await talk()).status, 402)
  isFull = false
  await w.settled()
  const row = await w.usage(cold.id)
  const { balanceMicro: leftMicro } = await w.wallet()
  assert.equal(leftMicro, SMALL_MICRO - row.costMicro)
  assert.ok(-leftMicro <= (row.holdSteps[0]?.thinRiskMicro ?? 0))
  await assertClean(w)
})

test('what others wrote into the cache lets nobody overdraw', async (t) => {
  const w = await world(t, { accounts: ['one'], creditMicro: 1_000_000 })
  const talk = await warmAndPoor(w)
  const bob = await w.newKey('bob', 'k', { creditMicro: SMALL_MICRO })
  const refused = await talk({ 'x-api-key': bob })
  assert.equal(refused.status, 402)
  // A balance has the decimals that it needs, the cost of a single request has six.
  assert.match(refused.answer, /: \$0\.30 available, this request may cost up to \$0\.\d{6}\. Top/)
  assert.equal(asked(w).length, 0)
  // A second key of the same wallet may go on with it.
  const phone = await w.newKey('alice', 'phone')
  const { status, id } = await talk({ 'x-api-key': phone })
  assert.equal(status, 200)
  assert.ok(((await riskOf(w, id)) ?? 0) > 0)
})

test('a spend limit is never gone beyond: keys that have one get no thin hold', async (t) => {
  const w = await world(t, { accounts: ['one'], creditMicro: 1_000_000 })
  const talk = await warmAndPoor(w)
  const spendLimit = { amountMicro: 100_000_000, period: 'month' } as const
  const limited = await w.newKey('alice', 'limited', { spendLimit })
  assert.equal((await talk({ 'x-api-key': limited })).code, 'insufficient_credit')
  assert.equal((await talk()).status, 200)
})

test('a prompt that upstream is to clear is not the one that is cached: it gets no thin hold', async (t) => {
  const w = await world(t, { accounts: ['one'], creditMicro: 1_000_000 })
  const talk = await warmAndPoor(w)
  const headers = { 'anthropic-beta': 'context-management-2025-06-27' }
  const edited = (edit: object) => talk(headers, { context_management: { edits: [edit] } })
  assert.equal((await edited({ type: 'clear_tool_uses_20250919' })).code, 'insufficient_credit')
  assert.equal(asked(w).length, 0)
  const { status, id } = await edited({ type: 'clear_thinking_20251015', keep: 'all' })
  assert.equal(status, 200)
  assert.ok(((await riskOf(w, id)) ?? 0) > 0)
})

test('a thin hold pays for warm accounts alone: where they fail, no other is asked', async (t) => {
  const w = await world(t, { accounts: ['one', 'two', 'three'], creditMicro: 1_000_000 })
  const talk = await warmAndPoor(w)
  await talk()
  const [home] = asked(w)
  w.sandbox.forget()
  w.sandbox.setFault(home ?? '', 'status=529', { times: 1 })
  assert.equal((await talk()).status, 200)
  assert.deepEqual(asked(w), [home, home])

  w.sandbox.forget()
  const before = await w.wallet()
  w.sandbox.setFault(home ?? '', 'status=500')
  const failed = await talk()
  assert.deepEqual([failed.status, failed.code], [502, 'upstream_error'])
  assert.deepEqual(asked(w), [home])
  assert.deepEqual(await w.wallet(), before)
  // Who can pay for the rewriting moves on.
  await setBalance(w, 1_000_000)
  assert.equal((await talk()).status, 200)
  assert.notEqual(asked(w).at(-1), home)
  await assertClean(w)
})

test('who has enough for a warm prompt alone waits in line for its account', async (t) => {
  const w = await world(t, {
    accounts: ['one'],
    accountLimits: { concurrencyLimit: 1 },
    creditMicro: 1_000_000,
  })
  const talk = await warmAndPoor(w)
  const bob = await w.newKey('bob', 'k', { creditMicro: 1_000_000 })
  const slow = w.post({}, { 'x-api-key': bob, 'x-sandbox': 'first_byte_ms=200' })
  await until(() => asked(w).length > 0)
  assert.equal((await talk()).status, 200)
  assert.equal((await slow).status, 200)

  // Whoever could not even pay for that has nothing to wait for.
  w.sandbox.forget()
  await setBalance(w, -1)
  let isOver = false
  const long = w.post({}, { 'x-api-key': bob, 'x-sandbox': 'first_byte_ms=1500' }).finally(() => {
    isOver = true
  })
  await until(() => asked(w).length > 0)
  assert.equal((await talk()).status, 402)
  assert.equal(isOver, false)
  await long
  await assertClean(w)
})

test('who can pay where the prompt is warm alone goes there, however busy it is', async (t) => {
  const w = await world(t, { accounts: ['one', 'two'], creditMicro: 1_000_000 })
  const talk = await warmAndPoor(w)
  await talk()
  const [home] = asked(w)
  const bob = await w.newKey('bob', 'k', { creditMicro: 100_000_000 })
  const slow = Array.from({ length: 8 }, () =>
    talk({ 'x-api-key': bob, 'x-sandbox': 'first_byte_ms=1500' }),
  )
  await until(() => asked(w).length === 9)
  assert.deepEqual(new Set(asked(w)), new Set([home]))
  const { status, id } = await talk()
  assert.equal(status, 200)
  assert.equal(asked(w).at(-1), home)
  const { trail, holdSteps } = await w.usage(id)
  assert.ok((holdSteps[0]?.thinRiskMicro ?? 0) > 0)
  assert.deepEqual(
    trail.map(({ bound }) => bound?.scope),
    ['workspace'],
  )
  for (const { status } of await Promise.all(slow)) assert.equal(status, 200)

  // Where that account rests for long, the client is told to come again, and not to pay.
  w.sandbox.setFault(home ?? '', 'status=429,retry_after=40', { times: 1 })
  assert.equal((await talk({ 'x-api-key': bob })).status, 200)
  const later = await talk()
  assert.deepEqual([later.status, later.code], [429, 'account_rpm_exceeded'])
  await assertClean(w)
})

test('who could perhaps pay is not told to while upstream is too busy to count', async (t) => {
  const w = await world(t, { accounts: ['one', 'two'], creditMicro: 1_000_000 })
  const talk = conversation(w)
  // The cheap bound of a first turn is above this; whether its tokens are, only a count could tell.
  await setBalance(w, 450_000)
  w.sandbox.setFault('*', 'status=529', { path: 'count_tokens' })
  const busy = await talk()
  assert.deepEqual([busy.status, busy.code], [502, 'upstream_error'])
  assert.match(busy.answer, /Upstream failed: Anthropic answered 529 \(overloaded_error\)\. Please/)
  assert.equal(asked(w).length, 0, 'it was the count that was refused')
  // What no count could make fit is no question.
  await setBalance(w, 500)
  assert.equal((await talk()).code, 'insufficient_credit')
  w.sandbox.clearFaults()
  await setBalance(w, 450_000)
  assert.equal((await talk()).code, 'insufficient_credit', 'now it is known')
  // Nor while nobody is there to count.
  w.sandbox.setFault('*', 'status=429,retry_after=40')
  const bob = await w.newKey('bob', 'k', { creditMicro: 100_000_000 })
  await talk({ 'x-api-key': bob })
  assert.equal((await talk()).code, 'account_rpm_exceeded')
  await assertClean(w)
})

test('who is given credit on the way to the warm account may go anywhere after all', async (t) => {
  let topUp: (() => Promise<void>) | null = null
  const w = await world(t, {
    accounts: ['one', 'two'],
    creditMicro: 1_000_000,
    daemonStore: (store): Store => ({
      ...store,
      openHold: async (hold) => {
        const result = await store.openHold(hold)
        // The request is on its way to where the prompt is warm: it was refused with its prompt counted.
        if (result.kind === 'insufficient_credit' && hold.amountMicro < 500_000) {
          const now = topUp
          topUp = null
          await now?.()
        }
        return result
      },
    }),
  })
  const talk = await warmAndPoor(w)
  await talk()
  const [home] = asked(w)
  const bob = await w.newKey('bob', 'k', { creditMicro: 100_000_000 })
  const slow = Array.from({ length: 8 }, () =>
    talk({ 'x-api-key': bob, 'x-sandbox': 'first_byte_ms=1500' }),
  )
  await until(() => asked(w).length === 9)
  topUp = () => setBalance(w, 2_000_000)
  w.sandbox.setFault(home ?? '', 'status=500', { times: 1 })
  const { status, id } = await talk()
  assert.equal(topUp, null)
  assert.equal(status, 200)
  assert.equal(await riskOf(w, id), undefined)
  const { attempts } = await w.usage(id)
  assert.deepEqual(
    attempts.map(({ accountId }) => accountId === w.accountIds[home ?? '']),
    [true, false],
  )
  await Promise.all(slow)
  await assertClean(w)
})

test('another try of a thin answer needs all that it may cost, for no cache is sure any more', async (t) => {
  const w = await world(t, { accounts: ['one', 'two'], creditMicro: 1_000_000 })
  const ask = async () => {
    const content = [{ type: 'text', text: BOOK, ...MARK }]
    const body = { model: MODEL, max_tokens: 500, messages: [{ role: 'user', content }] }
    const response = await postOpenAi(w, '/v1/chat/completions', body)
    await response.text()
    return { status: response.status, id: response.headers.get('x-cc-request-id') ?? '' }
  }
  assert.equal((await ask()).status, 200)
  await setBalance(w, SMALL_MICRO)
  w.sandbox.forget()
  w.sandbox.setFault('*', 'at=mid_event,how=reset', { times: 1 })
  const { status, id } = await ask()
  assert.equal(status, 502)
  assert.equal(asked(w).length, 1)
  const row = await w.usage(id)
  assert.ok((row.holdSteps[0]?.thinRiskMicro ?? 0) > SMALL_MICRO)
  assert.deepEqual([row.status, row.costMicro], ['rejected', 0])
  assert.ok(row.attempts[0].listCostMicro > 0)
  assert.deepEqual(await w.wallet(), { balanceMicro: SMALL_MICRO, heldMicro: 0 })
  // Its place is free again.
  assert.equal((await ask()).status, 200)
  await assertClean(w)
})
