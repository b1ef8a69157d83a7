import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertClean, codeOf, eventsOf } from '../support/bills.ts'
import { type World, world } from '../support/world.ts'

async function ask(w: World, key: string, body: Record<string, unknown> = {}, fault = '') {
  const response = await w.post(body, {
    'x-api-key': key,
    ...(fault === '' ? {} : { 'x-sandbox': fault }),
  })
  const text = await response.text()
  return {
    status: response.status,
    code: codeOf(text),
    text,
    headers: response.headers,
    id: response.headers.get('x-cc-request-id') ?? '',
  }
}

/** The events of an account, newest first, once there is one: the daemon writes them down every second. */
async function eventsAt(w: World, account: string) {
  for (let i = 0; i < 300; i++) {
    const events = await w.store.listAccountEvents(w.accountIds[account], 10)
    if (events.length > 0) return events
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error('no event was written')
}

const PERIOD_END = { day: 86_400_000, month: 31 * 86_400_000 }

test('a key stops at its spend limit to the micro-dollar, however many ask at once', async (t) => {
  const w = await world(t)
  const { holdMicro } = await w.usage((await ask(w, w.key, { stream: false })).id)
  const limitMicro = holdMicro * 10
  const spendLimit = { amountMicro: limitMicro, period: 'day' } as const
  const key = await w.newKey('alice', 'limited', { spendLimit })
  w.sandbox.setFault('*', 'first_byte_ms=150,output_tokens=100')
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, i) => ask(w, key, { stream: i % 2 === 0 })),
  )
  const served = answers.filter(({ status }) => status === 200)
  const refused = answers.filter(({ status }) => status === 402)
  assert.equal(served.length + refused.length, 100)
  assert.ok(refused.every(({ code }) => code === 'key_spend_limit'))
  assert.ok(served.length >= 10, `${served.length}`)
  while ((await ask(w, key)).status === 200);
  const rows = await w.store.listUsage({ limit: 1_000, keyId: (await w.usage(served[0].id)).keyId })
  const spent = rows.rows.reduce((sum, row) => sum + row.costMicro, 0)
  assert.ok(spent <= limitMicro && spent > limitMicro - holdMicro, `${spent} of ${limitMicro}`)
  // Another key of the same wallet goes on.
  assert.equal((await ask(w, w.key)).status, 200)
  await assertClean(w)
})

test('the 402 of a spend limit says what it is, what is used, and when it opens again', async (t) => {
  const w = await world(t, { config: (config) => ({ ...config, timeZone: 'Europe/Berlin' }) })
  for (const period of ['day', 'month', 'total'] as const) {
    const spendLimit = { amountMicro: 1_000, period }
    const key = await w.newKey('alice', period, { spendLimit })
    const { status, text, headers } = await ask(w, key)
    assert.equal(status, 402)
    assert.equal(headers.get('x-should-retry'), 'false')
    const { error } = JSON.parse(text) as {
      error: { type: string; message: string; details: Record<string, string | number> }
    }
    assert.equal(error.type, 'billing_error')
    const { resets_at, required_micro, max_tokens_that_fit, ...details } = error.details
    assert.deepEqual(details, {
      error_code: 'key_spend_limit',
      limit_micro: 1_000,
      period,
      spent_micro: 0,
      held_micro: 0,
    })
    assert.ok(Number(required_micro) > 1_000 && Number(max_tokens_that_fit) > 0)
    if (period === 'total') {
      assert.equal(resets_at, undefined)
      assert.match(error.message, /limit of \$0\.001 in total: /)
      continue
    }
    const left = Date.parse(String(resets_at)) - Date.now()
    assert.ok(left > 0 && left <= PERIOD_END[period] + 3_600_000)
    assert.match(
      error.message,
      new RegExp(`\\$0\\.001 per ${period}: .*opens again on .* 00:00 \\(Europe/Berlin\\)`),
    )
    assert.equal(
      (await ask(w, key, { max_tokens: max_tokens_that_fit }, 'output_tokens=1')).status,
      200,
    )
  }
})

test('an empty wallet is told before a full limit', async (t) => {
  const w = await world(t)
  const spendLimit = { amountMicro: 1, period: 'day' } as const
  assert.equal(
    (await ask(w, await w.newKey('poor', 'k', { spendLimit }))).code,
    'insufficient_credit',
  )
})

test('a stream that reaches its key’s limit ends honestly', async (t) => {
  const w = await world(t, {
    config: (config) => ({ ...config, billing: { ...config.billing, holdStepTokens: 200 } }),
  })
  const spendLimit = { amountMicro: 12_000, period: 'month' } as const
  const key = await w.newKey('alice', 'limited', { spendLimit })
  const fault = 'output_tokens=5000,token_rate=3000'
  const { text, id } = await ask(w, key, { stream: true, max_tokens: 20_000 }, fault)
  const last = eventsOf(text).at(-1)
  assert.equal(codeOf(last?.data ?? ''), 'key_spend_limit')
  assert.match(last?.data ?? '', /during this answer.*"limit_micro":12000/)
  const row = await w.usage(id)
  assert.equal(row.errorCode, 'key_spend_limit')
  assert.ok(row.costMicro > 6_000 && row.costMicro < 12_000 + 200 * 15)
  await assertClean(w)
})

test('a key that burns too fast rests; no other key does, and it is told once', async (t) => {
  const w = await world(t)
  const { costMicro } = await w.usage((await ask(w, w.key)).id)
  const key = await w.newKey('alice', 'fast', { burnLimitMicro: costMicro * 3 })
  const answers = []
  for (let i = 0; i < 8; i++) answers.push(await ask(w, key, { stream: i % 2 === 0 }))
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 200, 429, 429, 429, 429, 429],
  )
  const refused = answers[4]
  assert.equal(refused.code, 'key_burn_rate_exceeded')
  const wait = Number(refused.headers.get('retry-after'))
  assert.ok(wait > 50 && wait <= 60, `${wait}`)
  assert.match(refused.text, /spent \$0\.\d+ within a minute/)
  assert.equal((await ask(w, w.key)).status, 200)
  // Counting is free, and goes on.
  const count = await fetch(`${w.url}/v1/messages/count_tokens`, {
    method: 'POST',
    headers: { 'x-api-key': key },
    body: JSON.stringify({
      model: 'claude-sonnet-4-6',
      messages: [{ role: 'user', content: 'x' }],
    }),
  })
  assert.equal(count.status, 200)
  assert.equal(w.log.filter((line) => line.includes('key.burn_rate')).length, 1)
})

test('an account at its cap gets no new request, and keeps the streams it has', async (t) => {
  const w = await world(t, {
    account: (name) => ({ priority: name === 'one' ? 1 : 2 }),
  })
  const first = await ask(w, w.key, { stream: true })
  const row = await w.usage(first.id)
  assert.equal(row.accountId, w.accountIds.one)
  assert.equal(row.attempts[0].listCostMicro, row.costMicro)
  const second = await w.usage((await ask(w, w.key)).id)
  // Room for one more request, by what it may cost, besides the two there were.
  const dayCapMicro = row.costMicro + second.costMicro + second.holdMicro + 100
  await w.store.updateAccount(w.accountIds.one, { dayCapMicro }, { actor: 't', nowMs: Date.now() })
  const running = w.post({ stream: true }, { 'x-sandbox': 'output_tokens=60,token_rate=200' })
  const response = await running
  const beside = await ask(w, w.key)
  assert.equal((await w.usage(beside.id)).accountId, w.accountIds.two, 'what runs is reserved')
  assert.equal(eventsOf(await response.text()).at(-1)?.event, 'message_stop')
  assert.equal(response.headers.get('x-cc-account-id'), w.accountIds.one)
  for (let i = 0; i < 3; i++) {
    const { id, status } = await ask(w, w.key)
    assert.equal(status, 200)
    const next = await w.usage(id)
    if (next.accountId === w.accountIds.two) break
    assert.ok(i < 2, 'the cap is reached')
  }
  const [event] = await eventsAt(w, 'one')
  assert.equal(event.kind, 'cap_reached')
  assert.match(event.message, /^no room for a request of up to \$0\.\d+: cap of \$0\.\d+\/day$/)
  assert.equal(w.log.filter((line) => line.includes('account.cap_reached')).length, 1)

  // What was spent is known after a restart, from the store.
  await w.restart()
  assert.equal((await w.usage((await ask(w, w.key)).id)).accountId, w.accountIds.two)
  await w.store.updateAccount(
    w.accountIds.two,
    { monthCapMicro: 1 },
    { actor: 't', nowMs: Date.now() },
  )
  const none = await ask(w, w.key)
  assert.deepEqual([none.status, none.code], [503, 'account_cap_reached'])
  const told = ['retry-after', 'x-should-retry'].map((name) => none.headers.get(name))
  assert.deepEqual(told, ['60', 'false'])
  await assertClean(w)
})

test('what a failed try may have cost us stands in its line of the receipt', async (t) => {
  const w = await world(t)
  w.sandbox.setFault('one', 'at=before_headers,how=reset')
  w.sandbox.setFault('two', 'at=before_headers,how=reset')
  const failed = await ask(w, w.key)
  assert.equal(failed.status, 502)
  const row = await w.usage(failed.id)
  assert.equal(row.costMicro, 0)
  assert.ok(row.attempts.every(({ listCostMicro }) => listCostMicro > 0))
  w.sandbox.clearFaults()
  w.sandbox.setFault('*', 'status=429')
  const limited = await w.usage((await ask(w, w.key)).id)
  assert.ok(limited.attempts.every(({ listCostMicro }) => listCostMicro === 0))
})

test('answers that do not stream say what they cost and what is left', async (t) => {
  const w = await world(t, {
    config: (config) => ({ ...config, billing: { ...config.billing, markup: [6, 5] } }),
  })
  const { headers, id } = await ask(w, w.key)
  const row = await w.usage(id)
  const { balanceMicro } = await w.wallet()
  assert.equal(headers.get('x-cc-cost-micro'), String(row.costMicro))
  assert.equal(headers.get('x-cc-balance-micro'), String(balanceMicro))
  assert.deepEqual(row.receipt?.markup, [6, 5])
  assert.equal(row.costMicro, Math.ceil(((row.receipt?.listCostMicro ?? 0) * 6) / 5 - 1e-9))
  assert.equal(row.attempts[0].listCostMicro, row.receipt?.listCostMicro)
  const refused = await ask(w, w.key, { max_tokens: 100 }, 'status=400')
  assert.equal(refused.status, 400)
  assert.equal(refused.headers.get('x-cc-cost-micro'), '0')
  assert.equal(refused.headers.get('x-cc-balance-micro'), String(balanceMicro))
  const stream = await ask(w, w.key, { stream: true })
  assert.equal(stream.headers.get('x-cc-cost-micro'), null)
  await assertClean(w)
})
