import assert from 'node:assert/strict'
import { test } from 'node:test'
import Database from 'better-sqlite3'
import { rebuildCost } from '../../src/billing/cost.ts'
import type { UsageRow } from '../../src/store/store.ts'
import { assertClean, codeOf, truthMicro } from '../support/bills.ts'
import { type World, world } from '../support/world.ts'

async function ask(w: World, body: Record<string, unknown> = {}, fault = '', key = w.key) {
  const response = await w.post(body, {
    'x-api-key': key,
    ...(fault === '' ? {} : { 'x-sandbox': fault }),
  })
  const text = await response.text()
  const id = response.headers.get('x-cc-request-id') ?? ''
  return { response, status: response.status, text, id }
}

async function lookUp(w: World, id: string, key = w.key) {
  const response = await fetch(`${w.url}/v1/usage/${id}`, { headers: { 'x-api-key': key } })
  assert.equal(response.status, 200)
  return (await response.json()) as { status: string; cost_micro: number | null; source: string }
}

/** What upstream's book says of this request; µ$. */
function truthOf(w: World, row: UsageRow): number {
  const bill = w.sandbox.billed().find((one) => one.requestId === row.upstreamRequestId)
  assert.ok(bill, 'upstream knows the request')
  return truthMicro(bill)
}

test('upstream sees a request only while its hold is open in the database', async (t) => {
  const arrivals: number[] = []
  let openHolds = () => -1
  const w = await world(t, {
    sandbox: {
      // The sandbox reads its clock when a request arrives.
      nowMs: () => {
        arrivals.push(openHolds())
        return Date.now()
      },
    },
  })
  const db = new Database(w.databaseFile, { readonly: true })
  t.after(() => db.close())
  const count = db.prepare<[], { open: number }>(
    `SELECT count(*) AS open FROM holds WHERE state = 'open'`,
  )
  openHolds = () => count.get()?.open ?? -1
  for (let i = 0; i < 10; i++) {
    const seen = arrivals.length
    assert.equal(openHolds(), 0)
    const { status } = await ask(w, { stream: i % 2 === 0 })
    assert.equal(status, 200)
    assert.equal(arrivals[seen], 1)
    // Closed before the last byte went out.
    assert.equal(openHolds(), 0)
  }
})

test('402 says what is needed, what is there and which max_tokens would fit; that one fits', async (t) => {
  const w = await world(t, { creditMicro: 1_000 })
  const { response, status, text } = await ask(w)
  assert.equal(status, 402)
  assert.equal(codeOf(text), 'insufficient_credit')
  assert.equal(response.headers.get('x-should-retry'), 'false')
  const { error } = JSON.parse(text) as {
    error: { type: string; message: string; details: Record<string, number> }
  }
  assert.equal(error.type, 'billing_error')
  const { required_micro, available_micro, max_tokens_that_fit } = error.details
  assert.equal(available_micro, 1_000)
  assert.ok(required_micro > 1_000)
  assert.ok(max_tokens_that_fit > 0 && max_tokens_that_fit < 100)
  assert.match(error.message, /\$0\.001/)
  assert.equal(w.sandbox.counters.messages, 0)
  assert.equal((await ask(w, { max_tokens: 99 })).status, 402)
  assert.equal((await ask(w, { max_tokens: max_tokens_that_fit }, 'output_tokens=1')).status, 200)
  await assertClean(w)
})

test('who cannot pay gets 402, not 503, also when no account could serve', async (t) => {
  const w = await world(t, { creditMicro: 100, accounts: ['one'] })
  await w.store.setAccountDisabled(
    w.accountIds.one,
    { reason: null },
    { actor: 'test', nowMs: Date.now() },
  )
  assert.equal((await ask(w)).status, 402)
})

test('upstream’s free count decides where the cheap bound is too high', async (t) => {
  const content = 'What a long prompt this is. '.repeat(400)
  const messages = [{ role: 'user', content }]
  const w = await world(t, { creditMicro: 15_000 })
  const { status, text, id } = await ask(w, { messages })
  assert.equal(status, 200, text)
  assert.equal(w.sandbox.counters.countTokens, 1)
  const row = await w.usage(id)
  assert.ok(row.costMicro <= row.holdMicro && row.holdMicro < 15_000)

  // Where the cheap bound fits, nobody counts; where even one token would not fit, nobody counts either.
  await w.newKey('rich', 'k', { creditMicro: 1_000_000 })
  const rich = await w.newKey('rich', 'k2')
  assert.equal((await ask(w, { messages }, '', rich)).status, 200)
  const poor = await w.newKey('poor', 'k', { creditMicro: 100 })
  assert.equal((await ask(w, { messages }, '', poor)).status, 402)
  assert.equal(w.sandbox.counters.countTokens, 1)

  // A count that does not help is one count and a 402.
  const short = await w.newKey('short', 'k', { creditMicro: 3_000 })
  const refused = await ask(w, { messages }, '', short)
  assert.equal(refused.status, 402)
  assert.equal(w.sandbox.counters.countTokens, 2)
  await assertClean(w)
})

test('inputs of unknown size are counted; without a count the whole window is held', async (t) => {
  const data = Buffer.from(`%PDF-1.4 ${'x'.repeat(2_000)}`).toString('base64')
  const source = { type: 'base64', media_type: 'application/pdf', data }
  const messages = [{ role: 'user', content: [{ type: 'document', source }] }]
  const w = await world(t, { creditMicro: 100_000 })
  const { status, text, id } = await ask(w, { messages })
  assert.equal(status, 200, text)
  assert.equal(w.sandbox.counters.countTokens, 1)
  assert.ok((await w.usage(id)).holdMicro < 100_000)

  w.sandbox.setFault('*', 'status=500', { path: 'count_tokens' })
  const blind = await ask(w, { messages })
  assert.equal(blind.status, 402)
  const { error } = JSON.parse(blind.text) as { error: { details: { required_micro: number } } }
  assert.ok(error.details.required_micro > 500_000, 'a window of sonnet is dear')
  const rich = await w.newKey('rich', 'k', { creditMicro: 50_000_000 })
  assert.equal((await ask(w, { messages }, '', rich)).status, 200)
  await assertClean(w)
})

test('a hundred requests at once never have more out than the credit of ten', async (t) => {
  const w = await world(t)
  const hold = (await w.usage((await ask(w, { stream: false })).id)).holdMicro
  const key = await w.newKey('bob', 'k', { creditMicro: hold * 10 })
  w.sandbox.setFault('*', 'first_byte_ms=150')
  const results = await Promise.all(
    Array.from({ length: 100 }, (_, i) => ask(w, { stream: i % 2 === 0 }, '', key)),
  )
  const served = results.filter(({ status }) => status === 200)
  assert.equal(served.length + results.filter(({ status }) => status === 402).length, 100)
  assert.ok(served.length >= 10)
  assert.equal(w.sandbox.counters.peakInFlight, 10)
  await assertClean(w)
  const rows = await Promise.all(served.map(({ id }) => w.usage(id)))
  const wallet = await w.store.getWallet(rows[0].userId)
  const spent = rows.reduce((sum, row) => sum + row.costMicro, 0)
  assert.equal(wallet?.balanceMicro, hold * 10 - spent)
  assert.ok(wallet.balanceMicro >= 0)
})

test('what it truly cost is charged, above the hold too; below zero nothing more is admitted', async (t) => {
  const w = await world(t, { creditMicro: 5_000 })
  const { status, id } = await ask(w, {}, 'searches=3')
  assert.equal(status, 200)
  const row = await w.usage(id)
  assert.ok(row.costMicro > row.holdMicro)
  assert.equal(row.costMicro, truthOf(w, row))
  assert.equal((await w.wallet()).balanceMicro, 5_000 - row.costMicro)
  const { status: next, text } = await ask(w, { max_tokens: 1 })
  assert.equal(next, 402)
  assert.match(text, /"available_micro":-/)
  await assertClean(w)
})

const POISONS = ['missing', 'negative', 'huge', 'string', 'null', 'float'] as const
const STREAM_POISONS = [...POISONS, 'absent_delta', 'absent_start', 'shrinking'] as const

test('usage that cannot be true is never believed, and marked', async (t) => {
  const w = await world(t)
  for (const usage of POISONS) {
    const { status, id } = await ask(w, {}, `usage=${usage},output_tokens=80`)
    assert.equal(status, 200)
    const row = await w.usage(id)
    assert.equal(row.source, 'partial', usage)
    assert.ok(row.anomalies > 0, usage)
    assert.ok(row.costMicro >= 0 && row.costMicro <= row.holdMicro, `${usage} ${row.costMicro}`)
    assert.ok(Object.values(row.tokens).every((count) => Number.isInteger(count) && count >= 0))
  }
  for (const usage of STREAM_POISONS) {
    const { status, id, text } = await ask(w, { stream: true }, `usage=${usage},output_tokens=80`)
    assert.equal(status, 200)
    assert.match(text, /event: message_stop/, 'the client’s answer is none the worse for it')
    const row = await w.usage(id)
    assert.equal(row.status, 'complete')
    if (usage !== 'absent_start') assert.equal(row.source, 'partial', usage)
    assert.ok(row.costMicro <= row.holdMicro, usage)
    // Eighty tokens were delivered: the text itself says about how many.
    assert.ok(row.tokens.output >= 40 && row.tokens.output <= 100, `${usage} ${row.tokens.output}`)
  }
  await assertClean(w)
})

test('fees, iterations, speed and region are billed by what the answer says', async (t) => {
  const w = await world(t, { creditMicro: 100_000_000 })
  const web = { tools: [{ type: 'web_search_20250305', name: 'web_search', max_uses: 5 }] }
  const rows: (readonly [string, Record<string, unknown>, string])[] = [
    ['two searches', web, 'searches=2'],
    ['plain iterations', {}, 'iterations=plain'],
    ['compaction', {}, 'iterations=compaction'],
    ['advice', {}, 'iterations=advisor'],
    ['fast', { model: 'claude-opus-5' }, 'speed=fast'],
    ['in the US', { model: 'claude-opus-5' }, 'geo=us'],
    ['fast in the US', { model: 'claude-opus-5' }, 'geo=us,speed=fast'],
    [
      'asked for the US, not served there',
      { model: 'claude-opus-5', inference_geo: 'us' },
      'geo=global',
    ],
    ['another model', {}, 'answer_model=claude-opus-5'],
    ['refused before output', {}, 'decline=before'],
    ['refused in the middle', {}, 'decline=mid'],
  ]
  for (const [what, body, fault] of rows) {
    for (const stream of [true, false]) {
      const { status, text, id } = await ask(w, { ...body, stream }, fault)
      assert.equal(status, 200, `${what}: ${text}`)
      const row = await w.usage(id)
      assert.equal(row.costMicro, truthOf(w, row), `${what} stream=${stream}`)
      assert.equal(row.source, 'exact', what)
      assert.ok(row.receipt !== null)
      assert.equal(rebuildCost(row.receipt), row.costMicro, 'the receipt adds up')
    }
  }
  await assertClean(w)
})

test('a model without a price in the answer costs what the dearest one costs', async (t) => {
  const w = await world(t)
  const { id } = await ask(w, {}, 'answer_model=claude-unheard-of')
  const row = await w.usage(id)
  assert.equal(row.receipt?.lines[0].note, 'model_unknown_dearest_price')
  const usual = await w.usage((await ask(w)).id)
  assert.ok(row.costMicro > usual.costMicro)
})

test('usage is pending while a request runs and complete once its last byte is here', async (t) => {
  const w = await world(t)
  const response = await w.post(
    { stream: true },
    { 'x-sandbox': 'output_tokens=40,token_rate=100' },
  )
  const id = response.headers.get('x-cc-request-id') ?? ''
  const pending = await lookUp(w, id)
  assert.equal(pending.status, 'pending')
  assert.equal(pending.cost_micro, null)
  await response.text()
  const done = await lookUp(w, id)
  assert.equal(done.status, 'complete')
  assert.equal(done.source, 'exact')
  for (let i = 0; i < 20; i++) {
    const { id: next } = await ask(w, { stream: i % 2 === 0 })
    assert.equal((await lookUp(w, next)).status, 'complete')
  }
  // Another key of the same user may read it, another user may not.
  const desktop = await w.newKey('alice', 'desktop')
  assert.equal((await lookUp(w, id, desktop)).status, 'complete')
  const mallory = await w.newKey('mallory', 'k')
  const foreign = await fetch(`${w.url}/v1/usage/${id}`, { headers: { 'x-api-key': mallory } })
  assert.equal(foreign.status, 404)
})

test('over many different answers the gateway bills to the micro-dollar what upstream does', async (t) => {
  const w = await world(t, {
    accounts: ['a', 'b', 'c'],
    creditMicro: 1_000_000_000,
    sandbox: { accounts: ['a', 'b', 'c'].map((name) => ({ name })), bytesPerToken: [2.4, 4.1] },
  })
  const system = [
    {
      type: 'text',
      text: 'You are a careful assistant who follows all rules. '.repeat(120),
      cache_control: { type: 'ephemeral' },
    },
  ]
  const hour = [{ ...system[0], cache_control: { type: 'ephemeral', ttl: '1h' } }]
  const tool = { name: 'look', description: 'Looks', input_schema: { type: 'object' } }
  const kinds: (readonly [Record<string, unknown>, string])[] = [
    [{}, ''],
    [{ system }, ''],
    [{ system: hour }, ''],
    [{ tools: [tool] }, ''],
    [{ model: 'claude-opus-5', max_tokens: 4_000 }, 'thinking=omitted,thinking_tokens=900'],
    [{ model: 'claude-haiku-4-5-20251001', max_tokens: 2_000 }, 'output_tokens=1500'],
    [{ max_tokens: 500 }, 'message_deltas=4,output_tokens=400'],
    [{}, 'chunk=7,crlf'],
    [{}, 'geo=us,iterations=compaction'],
    [{ model: 'claude-sonnet-5' }, 'unknown_event,unknown_block,pings=3,comments'],
  ]
  const ids = await Promise.all(
    Array.from({ length: 150 }, async (_, i) => {
      const [body, fault] = kinds[i % kinds.length]
      const { status, text, id } = await ask(w, { ...body, stream: i % 3 !== 0 }, fault)
      assert.equal(status, 200, `${fault}: ${text}`)
      return id
    }),
  )
  await assertClean(w)
  let billedMicro = 0
  for (const [i, id] of ids.entries()) {
    const row = await w.usage(id)
    assert.equal(row.costMicro, truthOf(w, row), JSON.stringify(kinds[i % kinds.length]))
    assert.equal(row.source, 'exact')
    assert.ok(row.costMicro <= row.holdMicro || kinds[i % kinds.length][1].includes('iterations'))
    billedMicro += row.costMicro
  }
  const upstreamMicro = w.sandbox.billed().reduce((sum, bill) => sum + truthMicro(bill), 0)
  assert.equal(billedMicro, upstreamMicro)
  assert.equal((await w.wallet()).balanceMicro, 1_000_000_000 - upstreamMicro)
  assert.ok(w.sandbox.totals().cacheRead > 0 && w.sandbox.totals().cacheWrite1h > 0)
})

test('an answer without usable figures is charged by its content, within the hold', async (t) => {
  const w = await world(t, { creditMicro: 100_000_000 })
  const row = async (fault: string) =>
    w.usage((await ask(w, { max_tokens: 500 }, `output_tokens=400${fault}`)).id)
  const whole = await row('')
  for (const usage of ['missing', 'negative', 'huge', 'string', 'null', 'float']) {
    const found = await row(`,usage=${usage}`)
    assert.equal(found.source, 'partial', usage)
    assert.ok(found.tokens.output >= 100 && found.tokens.output <= 500, usage)
    assert.ok(found.tokens.input >= whole.tokens.input, usage)
    assert.ok(found.costMicro > whole.costMicro / 4, usage)
    assert.ok(found.costMicro <= found.holdMicro, usage)
  }
  await assertClean(w)
})
