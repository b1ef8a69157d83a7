import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import { ListenError, listenAt } from '../../src/daemon/listen-at.ts'
import { world } from '../support/world.ts'

const ANYWHERE = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const

/** `name{labels}` and its value, of everything that is ours. */
async function read(address: string): Promise<Map<string, number>> {
  const text = await (await fetch(`http://${address}/metrics`)).text()
  return new Map(
    text
      .split('\n')
      .filter((line) => line.startsWith('ccgate_'))
      .map((line) => {
        const at = line.lastIndexOf(' ')
        return [line.slice(0, at), Number(line.slice(at + 1))]
      }),
  )
}

test('metrics count what the usage rows say: answers, tokens, money, the cache, reroutes', async (t) => {
  const w = await world(t, { config: (config) => ({ ...config, metricsListen: ANYWHERE }) })
  const at = w.daemon.metricsAddress ?? ''
  const system = [
    { type: 'text', text: 'word '.repeat(4_000), cache_control: { type: 'ephemeral' } },
  ]
  for (const k of [1, 2, 3]) {
    const answer = await w.post({ system, messages: [{ role: 'user', content: `turn ${k}` }] })
    assert.equal(answer.status, 200)
    await answer.text()
  }
  await (await w.post({ max_tokens: -1 })).text()
  await w.settled()
  const rows = (await w.store.listUsage({ limit: 10 })).rows
  const seen = await read(at)
  const sum = (of: (row: (typeof rows)[number]) => number) =>
    rows.reduce((total, row) => total + of(row), 0)
  assert.equal(
    seen.get('ccgate_requests_total{api="anthropic",status="200",outcome="ok"}'),
    rows.filter((row) => row.httpStatus === 200).length,
  )
  assert.equal(
    seen.get('ccgate_tokens_total{kind="cache_read"}'),
    sum(({ tokens }) => tokens.cacheRead),
  )
  assert.equal(
    seen.get('ccgate_tokens_total{kind="cache_write_5m"}'),
    sum(({ tokens }) => tokens.cacheWrite5m),
  )
  const dollars = (name: string) => Math.round((seen.get(name) ?? 0) * 1_000_000)
  assert.equal(
    dollars('ccgate_charged_dollars_total'),
    sum(({ costMicro }) => costMicro),
  )
  const summary = await w.store.summarizeUsage({ by: ['model'], timeZone: 'UTC' })
  const [cache] = summary.map((row) => row.cache).filter((worth) => worth.readSavedMicro > 0)
  assert.ok(cache.readSavedMicro > cache.writeExtraMicro, 'a cache that is read pays')
  assert.equal(dollars('ccgate_cache_read_saved_dollars_total'), cache.readSavedMicro)
  assert.equal(dollars('ccgate_cache_write_extra_dollars_total'), cache.writeExtraMicro)
  const prompt = sum(({ tokens }) => tokens.input + tokens.cacheRead + tokens.cacheWrite5m)
  assert.equal(seen.get('ccgate_cache_hit_ratio'), sum(({ tokens }) => tokens.cacheRead) / prompt)
  assert.equal(seen.get('ccgate_accounts{state="healthy"}'), 2)
  assert.equal(seen.get('ccgate_requests_running'), 0)
  assert.equal(seen.get('ccgate_open'), 1)
})

test('a reroute and what it lost are counted under the reason', async (t) => {
  const w = await world(t, { config: (config) => ({ ...config, metricsListen: ANYWHERE }) })
  const system = [
    { type: 'text', text: 'word '.repeat(4_000), cache_control: { type: 'ephemeral' } },
  ]
  const first = await w.post({ system })
  await first.text()
  await w.settled()
  const served = first.headers.get('x-cc-account-id')
  const [home] = Object.entries(w.accountIds).find(([, id]) => id === served) ?? ['one']
  w.sandbox.revoke(home)
  await (await w.post({ system })).text()
  await w.settled()
  const seen = await read(w.daemon.metricsAddress ?? '')
  assert.equal(seen.get('ccgate_reroutes_total{reason="unauthorized"}'), 1)
  assert.equal(seen.get('ccgate_reroutes_total{reason="ok"}'), undefined)
  assert.equal(seen.get(`ccgate_attempts_total{account="${home}",outcome="unauthorized"}`), 1)
  const [{ cache }] = await w.store.summarizeUsage({ by: ['model'], timeZone: 'UTC' })
  assert.ok(cache.lostMicro > 0)
  const lost = seen.get('ccgate_routing_lost_dollars_total') ?? 0
  assert.equal(Math.round(lost * 1_000_000), cache.lostMicro)
})

test('who stands in line is no request that is served; accounts have the words of their list', async (t) => {
  const w = await world(t, {
    accounts: ['one', 'two', 'three'],
    accountLimits: { concurrencyLimit: 1 },
    config: (config) => ({ ...config, metricsListen: ANYWHERE }),
  })
  const at = w.daemon.metricsAddress ?? ''
  w.sandbox.revoke('two')
  w.sandbox.revoke('three')
  const gaugeOf = async (name: string) => (await read(at)).get(name)
  while ((await gaugeOf('ccgate_accounts{state="invalid"}')) !== 2) await (await w.post()).text()
  w.sandbox.setFault('*', 'first_byte_ms=600')
  const answers = [w.post(), w.post(), w.post()]
  let seen = await read(at)
  while (seen.get('ccgate_requests_waiting') !== 2) seen = await read(at)
  assert.equal(seen.get('ccgate_requests_running'), 1)
  assert.equal(seen.get('ccgate_accounts{state="full"}'), 1)
  assert.equal(seen.get('ccgate_accounts{state="healthy"}'), 0)
  for (const answer of await Promise.all(answers)) assert.equal(answer.status, 200)
})

test('metrics tell nothing of customers, and answer nothing else', async (t) => {
  const w = await world(t, { config: (config) => ({ ...config, metricsListen: ANYWHERE }) })
  await (await w.post()).text()
  await (await w.post({ model: 'claude-secret-name' })).text()
  await w.settled()
  const at = `http://${w.daemon.metricsAddress}`
  const text = await (await fetch(`${at}/metrics`)).text()
  for (const secret of ['alice', 'laptop', w.key, w.keyId, w.userId, 'claude-secret-name'])
    assert.ok(!text.includes(secret), secret)
  assert.equal((await fetch(`${at}/v1/messages`)).status, 404)
  assert.equal((await fetch(`${at}/metrics`, { method: 'POST' })).status, 405)
})

test('they can be read from a socket, are off by default, and an address that is taken is said', async (t) => {
  const none = await world(t)
  assert.equal(none.daemon.metricsAddress, null)
  const path = join(none.databaseFile, '..', 'metrics.sock')
  const w = await world(t, {
    config: (config) => ({ ...config, metricsListen: { kind: 'unix', path } }),
  })
  assert.equal(w.daemon.metricsAddress, path)
  const status = await new Promise((resolve, reject) => {
    request({ socketPath: path, path: '/metrics' }, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
      .on('error', reject)
      .end()
  })
  assert.equal(status, 200)
  await assert.rejects(listenAt(createServer(), { kind: 'unix', path }), (error) => {
    assert.ok(error instanceof ListenError)
    assert.deepEqual(error.at, { kind: 'unix', path })
    return true
  })
})

test('every metric of ours is in the docs, and none else', async (t) => {
  const w = await world(t, { config: (config) => ({ ...config, metricsListen: ANYWHERE }) })
  const text = await (await fetch(`http://${w.daemon.metricsAddress}/metrics`)).text()
  const served = [...text.matchAll(/^# TYPE (ccgate_\w+)/gm)].map(([, name]) => name)
  const docs = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8')
  const told = [...docs.matchAll(/^\| `(ccgate_\w+)/gm)].map(([, name]) => name)
  assert.deepEqual(told.toSorted(), served.toSorted())
})
