import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withNotices } from '../../src/tui/watched-accounts.ts'
import { assertClean } from '../support/bills.ts'
import { type World, world } from '../support/world.ts'

const REQUESTS_PER_MINUTE = 60

/** Upstream's limits as they are, with one account whose organisation has few requests per minute. */
function limited(t: Parameters<typeof world>[0]): Promise<World> {
  const limits = { requests: REQUESTS_PER_MINUTE }
  return world(t, {
    accounts: ['main'],
    sandbox: { accounts: [{ name: 'main' }], limits },
  })
}

async function ours(w: World, model = 'claude-sonnet-4-6'): Promise<void> {
  const response = await w.post({ model, max_tokens: 5 })
  assert.equal(response.status, 200)
  await response.text()
}

/** Somebody else's requests with the same credential, straight to upstream. */
async function others(w: World, requests: number): Promise<void> {
  const headers = {
    'x-api-key': w.sandbox.account('main').key,
    'anthropic-version': '2023-06-01',
    'content-type': 'application/json',
  }
  const messages = [{ role: 'user', content: 'x' }]
  const body = JSON.stringify({ model: 'claude-sonnet-4-6', max_tokens: 5, messages })
  for (let i = 0; i < requests; i++) {
    const url = `${w.sandbox.url}/v1/messages`
    const response = await fetch(url, { method: 'POST', headers, body })
    assert.equal(response.status, 200)
    await response.text()
  }
}

/** The events of the account, once the daemon has written down what it knows. */
async function eventsOf(w: World) {
  await w.stop(5_000)
  return w.store.listAccountEvents(w.accountIds.main, 10)
}

test('a credential that somebody else uses too is told: event, log line and what people see', async (t) => {
  const w = await limited(t)
  // The first tells which organisation it is, the second what is left there.
  await ours(w)
  await ours(w)
  for (let i = 0; i < 3; i++) {
    await others(w, 10)
    await ours(w)
  }
  const events = await eventsOf(w)
  assert.deepEqual(
    events.map(({ kind }) => kind),
    ['credential_used_elsewhere'],
  )
  assert.match(events[0].message, /^its key is used elsewhere too \(about ([7-9]|10) requests\)$/)
  const lines = w.log.filter((line) => line.includes('account.credential_used_elsewhere'))
  assert.equal(lines.length, 1)
  assert.equal(JSON.parse(lines[0]).level, 'warn')
  const now = { nowMs: Date.now(), timeZone: 'UTC' }
  const [account] = await withNotices(w.store, await w.store.listAccounts(now.nowMs), now)
  assert.equal(account.notices.foreignUse?.message, events[0].message)
})

test('our own requests are nobody else, in parallel and one by one, for models with limits of their own', async (t) => {
  const w = await limited(t)
  await ours(w)
  for (let i = 0; i < 4; i++) {
    await Promise.all(Array.from({ length: 8 }, () => ours(w)))
    await ours(w, 'claude-haiku-4-5')
  }
  assert.deepEqual(await eventsOf(w), [])
  await assertClean(w)
})
