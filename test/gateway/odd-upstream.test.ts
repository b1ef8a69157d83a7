import assert from 'node:assert/strict'
import type { OutgoingHttpHeaders } from 'node:http'
import { type TestContext, test } from 'node:test'
import { assertClean, codeOf } from '../support/bills.ts'
import { postOpenAi, scriptedUpstream } from '../support/openai.ts'
import { type World, world } from '../support/world.ts'

const LIMITED = JSON.stringify({
  type: 'error',
  error: { type: 'rate_limit_error', message: 'Too many requests' },
})
const SUCCESSES = ['html', 'error', 'empty', 'not_json', 'array', 'null'].map(
  (one) => `body=${one}`,
)

/** Nobody waits in line, so what an account's rest is told as shows at once. */
async function limitedWorld(t: TestContext, headers: () => OutgoingHttpHeaders): Promise<World> {
  const up = await scriptedUpstream(t, [
    (response) => response.writeHead(429, headers()).end(LIMITED),
  ])
  return world(t, {
    accounts: ['one'],
    account: () => ({ baseUrl: up.url }),
    config: (config) => ({ ...config, queue: { ...config.queue, maxWaitMs: 1 } }),
  })
}

async function clearCooldowns(w: World): Promise<void> {
  for (const id of Object.values(w.accountIds))
    await w.store.clearCooldown(id, { actor: 'test', nowMs: Date.now() })
}

function dateIn(seconds: number): string {
  return new Date(Date.now() + seconds * 1_000).toUTCString()
}

/** What upstream says, and the seconds that its client may be told. */
const WAITS: readonly (readonly [
  string,
  () => OutgoingHttpHeaders,
  least: number,
  most: number,
])[] = [
  ['seconds', () => ({ 'retry-after': '42' }), 41, 42],
  ['half seconds', () => ({ 'retry-after': '1.5' }), 1, 2],
  ['a date', () => ({ 'retry-after': dateIn(42) }), 40, 42],
  ['two headers', () => ({ 'retry-after': ['7', '9'] }), 6, 7],
  ['ms', () => ({ 'retry-after-ms': '2300', 'retry-after': '50' }), 2, 3],
  ['five days', () => ({ 'retry-after': '432000' }), 60, 60],
  ['a date in five days', () => ({ 'retry-after': dateIn(432_000) }), 60, 60],
  ['thirty years', () => ({ 'retry-after': '1000000000' }), 60, 60],
  // Without a usable time the account rests for five seconds at first.
  ['nothing', () => ({}), 1, 5],
  ['a past date', () => ({ 'retry-after': dateIn(-3_600) }), 1, 5],
  ['a negative', () => ({ 'retry-after': '-1' }), 1, 5],
  ['zero', () => ({ 'retry-after': '0' }), 1, 5],
  ['an exponent', () => ({ 'retry-after': '1e9' }), 1, 5],
  ['no number', () => ({ 'retry-after': 'NaN' }), 1, 5],
  ['endless', () => ({ 'retry-after': 'Infinity' }), 1, 5],
  ['a list', () => ({ 'retry-after': '7, 9' }), 1, 7],
  ['400 digits', () => ({ 'retry-after': '9'.repeat(400) }), 1, 60],
]

test('however strangely upstream says when to come again, clients are told 1 to 60 s', async (t) => {
  let headers: OutgoingHttpHeaders = {}
  const w = await limitedWorld(t, () => headers)
  for (const [what, make, least, most] of WAITS) {
    headers = make()
    const first = await w.post()
    // The second is not sent: the account rests.
    for (const response of [first, await w.post()]) {
      assert.ok(response.status === 429 || response.status === 503, `${what}: ${response.status}`)
      const text = response.headers.get('retry-after') ?? ''
      const ms = Number(response.headers.get('retry-after-ms'))
      assert.match(text, /^\d+$/, what)
      assert.ok(Number(text) >= least && Number(text) <= most, `${what}: ${text}`)
      assert.ok(ms > 0 && ms <= 60_000 && Math.ceil(ms / 1_000) === Number(text), `${what}: ${ms}`)
      // Who would have to wait longer is told not to.
      const isLong = most === 60 && least === 60
      if (isLong) assert.equal(response.headers.get('x-should-retry'), 'false', what)
      await response.text()
    }
    const [row] = await rests(w)
    assert.ok((row.untilMs ?? 0) <= Date.now() + 3_600_000, `${what}: at most an hour`)
    await clearCooldowns(w)
  }
  await assertClean(w)
})

async function rests(w: World) {
  for (let i = 0; i < 200; i++) {
    const rows = await w.store.loadHealth()
    if (rows.length > 0) return rows
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error('no rest was written')
}

test('while all rest the answer is 503, and says when the first of them returns', async (t) => {
  const w = await world(t, { accounts: ['late', 'soon', 'never'] })
  const nowMs = Date.now()
  const by = { actor: 'test', nowMs }
  await w.store.setCooldown(w.accountIds.late, nowMs + 50_000, by)
  await w.store.setCooldown(w.accountIds.soon, nowMs + 30_000, by)
  await w.store.setAccountDisabled(w.accountIds.never, { reason: 'test' }, by)
  for (const stream of [false, true]) {
    const response = await w.post({ stream })
    assert.equal(response.status, 503)
    const seconds = Number(response.headers.get('retry-after'))
    assert.ok(seconds > 20 && seconds <= 30, `${seconds}`)
    assert.equal(codeOf(await response.text()), 'no_healthy_account')
  }
  assert.equal(w.sandbox.requests.length, 0)
})

test('no redirect is followed, wherever it leads', async (t) => {
  const elsewhere = await scriptedUpstream(t, [(response) => response.end('{}')])
  const w = await world(t, {
    accounts: ['bad', 'good'],
    account: (name) => ({ priority: name === 'bad' ? 1 : 2 }),
  })
  for (const status of [301, 302, 303, 307, 308]) {
    for (const location of [`${elsewhere.url}/v1/messages`, '/v1/models']) {
      w.sandbox.forget()
      const fault = `redirect=${status},location=${encodeURIComponent(location)}`
      w.sandbox.setFault('bad', fault, { times: 1 })
      const response = await w.post({ stream: status % 2 === 0 })
      assert.equal(response.status, 200, `${status}: ${await response.text()}`)
      assert.equal(w.sandbox.requests.length, 2, `${status}`)
      await clearCooldowns(w)
    }
  }
  assert.equal(elsewhere.requests.length, 0, 'the credential stays where it belongs')
  await assertClean(w)
})

test('a success that is none reroutes translated requests as well', async (t) => {
  const w = await world(t, {
    accounts: ['bad', 'good'],
    account: (name) => ({ priority: name === 'bad' ? 1 : 2 }),
  })
  const messages = [{ role: 'user', content: 'Hello' }]
  for (const [i, fault] of SUCCESSES.entries()) {
    w.sandbox.forget()
    w.sandbox.setFault('bad', fault, { times: 1 })
    const stream = i % 2 === 0
    const body = { model: 'claude-sonnet-4-6', stream, messages }
    const response = await postOpenAi(w, '/v1/chat/completions', body)
    const text = await response.text()
    assert.equal(response.status, 200, `${fault}: ${text}`)
    assert.match(text, stream ? /data: \[DONE\]\n\n$/ : /"object":"chat.completion"/)
    assert.deepEqual(
      w.sandbox.requests.map(({ account }) => account),
      ['bad', 'good'],
      fault,
    )
    await clearCooldowns(w)
  }
  await assertClean(w)
})
