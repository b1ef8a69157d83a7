import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, type TestContext, test } from 'node:test'
import type { Config } from '../../src/config/config.ts'
import { MODELS } from '../../src/sandbox/models.ts'
import { assertClean, codeOf, eventsOf } from '../support/bills.ts'
import { type World, type WorldOptions, world } from '../support/world.ts'

const THREADS = { 'anthropic-beta': 'message-threads-2026-11-02' }
const BY = { actor: 'test', nowMs: 0 }

/** Accounts are asked in the order of their names' priority: the first one is the faulty one. */
function ranked(t: TestContext, options: WorldOptions = {}): Promise<World> {
  const names = options.accounts ?? ['bad', 'good']
  return world(t, {
    accounts: names,
    ...options,
    account: (name) => ({ priority: names.indexOf(name) + 1, ...options.account?.(name) }),
  })
}

/** Names of the accounts that upstream saw requests of, in order. */
function asked(w: World, path = '/v1/messages'): (string | null)[] {
  return w.sandbox.requests.filter((one) => one.path === path).map((one) => one.account)
}

async function ask(w: World, body: Record<string, unknown> = {}, headers = {}) {
  const response = await w.post(body, headers)
  return { response, status: response.status, text: await response.text() }
}

async function clearCooldowns(w: World): Promise<void> {
  for (const id of Object.values(w.accountIds))
    await w.store.clearCooldown(id, { ...BY, nowMs: Date.now() })
}

/** The stored states of an account, once the daemon has written some; `healthy` rows are none. */
async function health(w: World, name: string, count: number) {
  for (let i = 0; i < 200; i++) {
    const rows = await w.store.loadHealth()
    const found = rows.filter((row) => row.accountId === w.accountIds[name])
    if (found.length === count) return found
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`not ${count} states of ${name}: ${JSON.stringify(await w.store.loadHealth())}`)
}

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (await condition()) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`waited in vain: ${what}`)
}

const REFUSALS = [
  ['status=429,retry_after=30', 'rate_limited', 'model'],
  ['error=ramp_limit', 'rate_limited', 'model'],
  ['status=429,retry_after=none,reset=none', 'cooling', 'model'],
  ['status=529', 'cooling', 'model'],
  ['error=invalid_key', 'unauthorized', 'account'],
  ['error=credit_too_low', 'out_of_credit', 'account'],
  ['error=usage_limits', 'out_of_credit', 'account'],
  ['error=workspace_usage_limits', 'out_of_credit', 'account'],
  ['error=spend_limit', 'out_of_credit', 'account'],
  ['error=contract_spend_limit', 'out_of_credit', 'account'],
  ['error=billing', 'out_of_credit', 'account'],
  ['error=organization_on_hold', 'disabled_upstream', 'account'],
  ['error=organization_disabled', 'disabled_upstream', 'account'],
] as const

// They mostly wait, each in a world of its own.
describe('rerouting', { concurrency: 4 }, () => {
  test('what is the matter with an account never reaches the client while another can serve', async (t) => {
    // A sick account for each refusal, with a model of its own, so that all can be seen at once.
    const sick = REFUSALS.map((_, i) => `sick-${i}`)
    const w = await ranked(t, {
      accounts: [...sick, 'good'],
      account: (name) => (name === 'good' ? {} : { models: [MODELS[sick.indexOf(name)].id] }),
    })
    for (const [i, [fault]] of REFUSALS.entries()) {
      w.sandbox.forget()
      w.sandbox.setFault(sick[i], fault)
      for (const stream of [false, true]) {
        const { status, text } = await ask(w, { stream, model: MODELS[i].id })
        assert.equal(status, 200, `${fault}: ${text}`)
      }
      // The second request did not try the sick account again.
      assert.deepEqual(asked(w), [sick[i], 'good', 'good'], fault)
    }
    for (const [i, [fault, state, scope]] of REFUSALS.entries()) {
      const [row] = await health(w, sick[i], 1)
      assert.equal(row.state, state, fault)
      assert.equal(row.modelClass === '' ? 'account' : 'model', scope, fault)
    }
    assert.deepEqual(await health(w, 'good', 0), [])
    await assertClean(w)
  })

  test('three server errors in a row rest an account; each of them was served elsewhere', async (t) => {
    const w = await ranked(t)
    for (const fault of ['status=500', 'status=503', 'at=before_headers,how=reset', 'body=html']) {
      w.sandbox.forget()
      w.sandbox.setFault('bad', fault)
      for (let i = 0; i < 5; i++)
        assert.equal((await ask(w, { stream: i % 2 === 0 })).status, 200, fault)
      const thrice = ['bad', 'good', 'bad', 'good', 'bad', 'good']
      assert.deepEqual(asked(w), [...thrice, 'good', 'good'], fault)
      if (fault === 'status=500') assert.equal((await health(w, 'bad', 1))[0].state, 'cooling')
      await clearCooldowns(w)
    }
    await assertClean(w)
  })

  test('what upstream answers as a success and is none is served by another account', async (t) => {
    const w = await ranked(t)
    const faults = ['html', 'error', 'empty', 'not_json', 'array', 'null'].map(
      (body) => `body=${body}`,
    )
    for (const fault of [...faults, 'redirect=307', 'redirect=302,location=/v1/models']) {
      for (const stream of [false, true]) {
        w.sandbox.forget()
        w.sandbox.setFault('bad', fault)
        const { status, text } = await ask(w, { stream })
        assert.equal(status, 200, `${fault}: ${text}`)
        assert.match(text, stream ? /message_stop/ : /"type":"message"/)
        assert.deepEqual(asked(w), ['bad', 'good'], fault)
        // A redirect is never followed: it would carry the credential elsewhere.
        assert.equal(w.sandbox.requests.length, 2, fault)
        await clearCooldowns(w)
      }
    }
    await assertClean(w)
  })

  test('a stream that begins with an error event is served by another account', async (t) => {
    // The sandbox begins its streams well, so this upstream is one of its own.
    let calls = 0
    const server = createServer((request, response) => {
      request.resume()
      calls++
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.end(
        'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n',
      )
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.after(() => server.close())
    const { port } = server.address() as AddressInfo // it listens on TCP
    const account = (name: string) =>
      name === 'bad' ? { baseUrl: `http://127.0.0.1:${port}` } : {}
    const w = await ranked(t, { account })
    const { status, text } = await ask(w, { stream: true })
    assert.equal(status, 200)
    assert.equal(eventsOf(text)[0].event, 'message_start')
    assert.equal(eventsOf(text).at(-1)?.event, 'message_stop')
    assert.doesNotMatch(text, /overloaded/)
    assert.equal(calls, 1)
    await ask(w, { stream: true })
    assert.equal(calls, 1, 'it rests')
    assert.equal((await health(w, 'bad', 1))[0].reason, 'stream began with overloaded_error')
    await assertClean(w)
  })

  test('at most three accounts are tried, none of them twice', async (t) => {
    const w = await ranked(t, { accounts: ['a', 'b', 'c', 'd', 'e'] })
    w.sandbox.setFault('*', 'status=401')
    const { status, text, response } = await ask(w)
    assert.equal(status, 503)
    assert.equal(codeOf(text), 'no_healthy_account')
    assert.equal(response.headers.get('retry-after'), '1')
    assert.deepEqual(asked(w), ['a', 'b', 'c'])
    const row = await w.usage(response.headers.get('x-cc-request-id') ?? '')
    assert.deepEqual(
      row.attempts.map((attempt) => [attempt.accountId, attempt.outcome, attempt.httpStatus]),
      ['a', 'b', 'c'].map((name) => [w.accountIds[name], 'unauthorized', 401]),
    )
    await assertClean(w)
  })

  test('529s of two organisations are the model: no third is asked, and only the first rests', async (t) => {
    const hasty = (config: Config) => ({ ...config, queue: { ...config.queue, maxWaitMs: 100 } })
    const w = await ranked(t, { accounts: ['a', 'b', 'c'], config: hasty })
    w.sandbox.setFault('*', 'status=529')
    const { status, text, response } = await ask(w)
    assert.equal(status, 502)
    assert.equal(codeOf(text), 'upstream_error')
    assert.equal(response.headers.get('retry-after'), '2')
    assert.deepEqual(asked(w), ['a', 'b'])
    await health(w, 'a', 1)
    assert.deepEqual(await health(w, 'b', 0), [])
    await assertClean(w)
  })

  test('when all are at their limit the answer is 429 with the soonest reset, tried or not', async (t) => {
    const w = await ranked(t)
    w.sandbox.setFault('bad', 'status=429,retry_after=40')
    w.sandbox.setFault('good', 'status=429,retry_after=20')
    for (let i = 0; i < 2; i++) {
      const { status, text, response } = await ask(w)
      assert.equal(status, 429)
      assert.equal(codeOf(text), 'account_rpm_exceeded')
      const seconds = Number(response.headers.get('retry-after'))
      assert.ok(seconds > 10 && seconds <= 20, `${seconds}`)
      assert.equal(response.headers.get('x-should-retry'), null)
    }
    assert.deepEqual(asked(w), ['bad', 'good'])
    await clearCooldowns(w)
    w.sandbox.setFault('bad', 'status=429,retry_after=600')
    w.sandbox.setFault('good', 'status=429,retry_after=600')
    const { response } = await ask(w)
    assert.equal(response.headers.get('retry-after'), '60')
    assert.equal(response.headers.get('x-should-retry'), 'false')
    await assertClean(w)
  })

  test('an account rests as long as upstream said, and then serves again', async (t) => {
    const w = await ranked(t)
    const restedMs = async (fault: string, leastMs: number) => {
      w.sandbox.forget()
      w.sandbox.setFault('bad', fault, { times: 1 })
      const startedMs = performance.now()
      assert.equal((await ask(w)).status, 200)
      await until(async () => {
        assert.equal((await ask(w)).status, 200)
        return asked(w).filter((name) => name === 'bad').length === 2
      }, 'the account comes back')
      assert.ok(performance.now() - startedMs >= leastMs, fault)
    }
    await restedMs('status=429,retry_after=1', 990)
    // The first rest of an overloaded account is between one and two seconds by default.
    await restedMs('status=529', 990)
  })

  test('states survive a restart; a new credential ends what the old one earned', async (t) => {
    const w = await ranked(t, { accounts: ['limited', 'revoked', 'good'] })
    w.sandbox.setFault('limited', 'status=429,retry_after=300')
    w.sandbox.revoke('revoked')
    assert.equal((await ask(w)).status, 200)
    assert.deepEqual(asked(w), ['limited', 'revoked', 'good'])
    await w.restart()
    w.sandbox.forget()
    assert.equal((await ask(w)).status, 200)
    assert.deepEqual(asked(w), ['good'])

    w.sandbox.clearFaults()
    w.sandbox.restore('revoked')
    const id = w.accountIds.revoked
    const sealed = (await w.store.loadAccounts()).find((one) => one.account.id === id)?.sealed
    assert.ok(sealed)
    const credential = { sealed, last4: 'wxyz', fingerprint: '000000' }
    await w.store.rotateCredential(id, credential, { ...BY, nowMs: Date.now() })
    w.sandbox.forget()
    assert.equal((await ask(w)).status, 200)
    assert.deepEqual(asked(w), ['revoked'])
    await w.store.clearCooldown(w.accountIds.limited, { ...BY, nowMs: Date.now() })
    w.sandbox.forget()
    assert.equal((await ask(w)).status, 200)
    assert.deepEqual(asked(w), ['limited'])
  })

  test('an ambiguous failure is sent again once, a refusal until accounts run out', async (t) => {
    const w = await ranked(t, { accounts: ['a', 'b', 'c'] })
    w.sandbox.setFault('a', 'status=500')
    w.sandbox.setFault('b', 'at=before_headers,how=reset')
    const twice = await ask(w)
    assert.equal(twice.status, 502)
    assert.deepEqual(asked(w), ['a', 'b'])

    w.sandbox.forget()
    w.sandbox.setFault('b', 'status=529')
    assert.equal((await ask(w)).status, 200)
    assert.deepEqual(asked(w), ['a', 'b', 'c'])
    await assertClean(w)
  })

  const SIDE_EFFECTS: readonly (readonly [string, Record<string, unknown>])[] = [
    ['mcp_servers', { mcp_servers: [{ type: 'url', url: 'https://example.com/mcp', name: 'x' }] }],
    ['code execution', { tools: [{ type: 'code_execution_20260120', name: 'code_execution' }] }],
    ['a container', { container: { skills: [{ type: 'anthropic', skill_id: 'pptx' }] } }],
  ]

  test('a request with effects on a server is sent again after a refusal only', async (t) => {
    const w = await ranked(t, { creditMicro: 1_000_000_000 })
    for (const [what, body] of SIDE_EFFECTS) {
      w.sandbox.forget()
      w.sandbox.setFault('bad', 'status=500', { times: 1 })
      const failed = await ask(w, body)
      assert.equal(failed.status, 502, `${what}: ${failed.text}`)
      assert.deepEqual(asked(w), ['bad'], what)

      w.sandbox.forget()
      w.sandbox.setFault('bad', 'status=529', { times: 1 })
      await ask(w, body)
      assert.deepEqual(asked(w), ['bad', 'good'], what)
      await clearCooldowns(w)
    }
    await assertClean(w)
  })

  test('a thread is never continued on another account', async (t) => {
    const w = await ranked(t, { creditMicro: 1_000_000_000 })
    const begun = { model: 'claude-sonnet-5', thread: { type: 'create' } }
    for (const fault of ['status=429,retry_after=1', 'status=529', 'status=500', 'status=401']) {
      const first = await ask(w, begun, THREADS)
      assert.equal(first.status, 200, first.text)
      const { id } = JSON.parse(first.text)
      const [home] = asked(w).slice(-1)
      w.sandbox.forget()
      w.sandbox.setFault(home ?? '', fault, { times: 1 })
      const body = { ...begun, thread: { type: 'continue', previous_message_id: id } }
      const { status } = await ask(w, body, THREADS)
      assert.notEqual(status, 200, fault)
      assert.deepEqual(asked(w), [home], fault)
      await clearCooldowns(w)
    }
    await assertClean(w)
  })

  const HIS_OR_OURS = [
    ['error=permission', 403],
    ['error=model_not_found', 404],
    ['error=data_retention', 400],
    ['error=unknown_beta', 400],
  ] as const

  test('what may be the account or the request is tried elsewhere; who is to blame shows there', async (t) => {
    const w = await ranked(t)
    for (const [fault, upstreamStatus] of HIS_OR_OURS) {
      const headers = { 'anthropic-beta': 'a-beta-2026-01-01' }
      // All say so: the client gets the answer as it came, and nobody rests.
      w.sandbox.forget()
      w.sandbox.setFault('*', fault)
      for (let i = 1; i <= 2; i++) {
        const { status, text, response } = await ask(w, {}, headers)
        assert.equal(status, upstreamStatus, `${fault}: ${text}`)
        assert.equal(codeOf(text), null)
        const { request_id } = JSON.parse(text) as { request_id: string }
        assert.match(request_id, /^req_/, 'the body is upstream’s, unchanged')
        assert.equal(response.headers.get('request-id'), request_id)
        assert.equal(response.headers.get('x-cc-account-id'), w.accountIds.good)
        assert.equal(asked(w).length, 2 * i, `${fault}: both are asked each time`)
      }
      // Another one serves: so it was the account, which then rests for this model alone.
      w.sandbox.forget()
      w.sandbox.setFault('*', null)
      w.sandbox.setFault('bad', fault)
      for (let i = 0; i < 2; i++) assert.equal((await ask(w)).status, 200, fault)
      assert.deepEqual(asked(w), ['bad', 'good', 'good'], fault)
      await ask(w, { model: 'claude-opus-5' })
      assert.deepEqual(asked(w).slice(3), ['bad', 'good'], 'another model is another matter')
      w.sandbox.clearFaults()
      await clearCooldowns(w)
    }
    await assertClean(w)
  })

  test('a refused answer takes no more of an account’s own rate than the attempt did', async (t) => {
    const w = await ranked(t, { accounts: ['only'], accountLimits: { rpmLimit: 4 } })
    w.sandbox.setFault('only', 'error=permission')
    const statuses = []
    for (let i = 0; i < 5; i++) statuses.push((await ask(w)).status)
    assert.deepEqual(statuses, [403, 403, 403, 403, 429])
  })

  test('the client’s own faults rest nobody', async (t) => {
    const w = await ranked(t)
    for (const fault of ['status=400', 'status=413', 'status=404', 'status=422', 'status=409']) {
      w.sandbox.setFault('bad', fault)
      for (let i = 0; i < 12; i++) {
        const { status } = await ask(w)
        assert.equal(status, Number(fault.slice(7)))
      }
    }
    assert.deepEqual([...new Set(asked(w))], ['bad'])
    w.sandbox.clearFaults()
    assert.equal((await ask(w)).status, 200)
    assert.equal(asked(w).at(-1), 'bad')
    await assertClean(w)
  })

  test('an account that a person rests, or takes out, is not asked from the next request on', async (t) => {
    const w = await ranked(t)
    const now = () => ({ ...BY, nowMs: Date.now() })
    await w.store.setCooldown(w.accountIds.bad, Date.now() + 60_000, now())
    await ask(w)
    await w.store.clearCooldown(w.accountIds.bad, now())
    await ask(w)
    await w.store.setAccountDisabled(w.accountIds.bad, { reason: 'test' }, now())
    await ask(w)
    await w.store.setAccountDisabled(w.accountIds.bad, null, now())
    await ask(w)
    await w.store.removeAccount(w.accountIds.bad, now())
    await ask(w)
    assert.deepEqual(asked(w), ['good', 'bad', 'good', 'bad', 'good'])
    await w.store.removeAccount(w.accountIds.good, now())
    const { status, text } = await ask(w)
    assert.equal(status, 503)
    assert.equal(codeOf(text), 'no_accounts_configured')
  })

  const eager = (config: Config): Config => ({
    ...config,
    cooldown: { ...config.cooldown, probeEveryMs: 300 },
  })

  test('free probes bring back refused keys and accounts that were paid for', async (t) => {
    const w = await ranked(t, { accounts: ['revoked', 'broke', 'good'], config: eager })
    w.sandbox.revoke('revoked')
    w.sandbox.setFault('broke', 'error=credit_too_low')
    assert.equal((await ask(w)).status, 200)
    assert.deepEqual(asked(w), ['revoked', 'broke', 'good'])
    // Probes go on while nothing is better, and never as messages.
    await until(
      () =>
        asked(w, '/v1/models').includes('revoked') &&
        asked(w, '/v1/messages/count_tokens').includes('broke'),
      'both are probed',
    )
    assert.deepEqual(asked(w), ['revoked', 'broke', 'good'])
    w.sandbox.restore('revoked')
    w.sandbox.clearFaults()
    for (const name of ['revoked', 'broke']) {
      await until(async () => {
        w.sandbox.forget()
        assert.equal((await ask(w)).status, 200)
        return asked(w)[0] === name
      }, `${name} serves again`)
      await w.store.setAccountDisabled(
        w.accountIds[name],
        { reason: 'seen' },
        { ...BY, nowMs: Date.now() },
      )
    }
    await until(() => w.log.some((line) => line.includes('account.recovered')), 'the log tells')
  })

  test('what the client has stopped waiting for is not sent on', async (t) => {
    const w = await ranked(t, { accounts: ['a', 'b', 'c'] })
    w.sandbox.setFault('a', 'at=before_headers,how=stall')
    const { status, text } = await ask(w, {}, { 'x-stainless-timeout': '1' })
    assert.equal(status, 504, text)
    assert.equal(codeOf(text), 'upstream_timeout')
    assert.deepEqual(asked(w), ['a'])
    await assertClean(w)
  })

  test('a request whose body took longer than its client waits is not sent at all', async (t) => {
    const w = await ranked(t)
    const body = JSON.stringify({
      model: 'claude-sonnet-4-6',
      max_tokens: 50,
      messages: [{ role: 'user', content: 'Hello' }],
    })
    const call = request(`${w.url}/v1/messages`, {
      method: 'POST',
      headers: { 'x-api-key': w.key, 'x-stainless-timeout': '0.2' },
    })
    call.write(body.slice(0, 10))
    setTimeout(() => call.end(body.slice(10)), 300)
    const [response] = (await once(call, 'response')) as [IncomingMessage]
    assert.equal(response.statusCode, 504)
    response.resume()
    assert.deepEqual(asked(w), [])
    await assertClean(w)
  })
})
