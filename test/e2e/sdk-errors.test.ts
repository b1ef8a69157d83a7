import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import Anthropic, { type ClientOptions } from '@anthropic-ai/sdk'
import { makeKeySecret } from '../../src/access/key.ts'
import { ERRORS, type ErrorCode } from '../../src/core/errors.ts'
import { sdkFor, type WatchedCall } from '../support/sdk.ts'
import type { World, WorldOptions } from '../support/world.ts'
import { world } from '../support/world.ts'

const BODY = {
  model: 'claude-sonnet-4-6',
  max_tokens: 50,
  messages: [{ role: 'user' as const, content: 'Hello' }],
}

/** What the SDK throws for a status; other statuses below 500 are a plain `APIError`. */
const CLASSES = new Map<number, new (...args: never[]) => Error>([
  [400, Anthropic.BadRequestError],
  [401, Anthropic.AuthenticationError],
  [403, Anthropic.PermissionDeniedError],
  [404, Anthropic.NotFoundError],
  [429, Anthropic.RateLimitError],
])

/** One way into an error. */
interface Case {
  readonly code: ErrorCode
  /** Tells several ways into one error apart. */
  readonly way?: string
  readonly world?: WorldOptions
  /** Makes it so; may give other options for the client. */
  readonly given?: (
    w: World,
    t: TestContext,
  ) => Promise<ClientOptions | undefined> | ClientOptions | undefined
  readonly act?: (client: Anthropic) => Promise<unknown>
  /** How often the SDK tried again; by default twice where the catalogue says that it helps. */
  readonly retries?: number
  /** `retry-after` in seconds, least and most. */
  readonly waitS?: readonly [least: number, most: number]
}

/** Small limits, for what would take long otherwise. */
const STRICT: WorldOptions = {
  config: (config) => ({
    ...config,
    limits: { ...config.limits, maxBodyBytes: 2_000 },
    upstream: {
      ...config.upstream,
      timeouts: { ...config.upstream.timeouts, firstByteUnaryMs: 150 },
    },
  }),
}

const create = (change: object) => (client: Anthropic) =>
  client.messages.create({ ...BODY, ...change })

const CASES: readonly Case[] = [
  {
    code: 'invalid_json',
    act: (client) =>
      client.post('/v1/messages', {
        body: '{"model":',
        headers: { 'content-type': 'application/json' },
      }),
  },
  {
    code: 'duplicate_json_key',
    act: (client) =>
      client.post('/v1/messages', {
        body: '{"model":"a","model":"b"}',
        headers: { 'content-type': 'application/json' },
      }),
  },
  {
    code: 'json_too_complex',
    act: create({ deep: JSON.parse(`${'['.repeat(70)}${']'.repeat(70)}`) }),
  },
  { code: 'invalid_request', act: create({ max_tokens: 'many' }) },
  { code: 'wrong_base_url', given: (w) => ({ baseURL: `${w.url}/v1` }) },
  {
    code: 'missing_api_key',
    given: () => ({ apiKey: null, defaultHeaders: { authorization: 'Basic eA==' } }),
  },
  { code: 'malformed_api_key', given: (w) => ({ apiKey: w.key.slice(0, 40) }) },
  { code: 'anthropic_key_sent', given: () => ({ apiKey: 'sk-ant-api03-not-a-real-one' }) },
  {
    code: 'conflicting_credentials',
    given: () => ({ defaultHeaders: { 'x-api-key': makeKeySecret() } }),
  },
  { code: 'invalid_api_key', given: () => ({ apiKey: makeKeySecret() }) },
  {
    code: 'revoked_api_key',
    async given(w) {
      const apiKey = await w.newKey('carol', 'lost')
      const found = await w.store.findKey('carol/lost')
      assert.ok(found.kind === 'found')
      await w.store.revokeKey(found.value.id, null, { actor: 'test', nowMs: Date.now() })
      return { apiKey }
    },
  },
  {
    code: 'expired_api_key',
    given: (w) => keyWith(w, 'old', { expiresAtMs: Date.now() - 1_000 }),
  },
  { code: 'insufficient_credit', given: (w) => keyWith(w, 'poor', { creditMicro: 5 }) },
  { code: 'model_not_allowed', given: (w) => keyWith(w, 'few', { models: ['claude-haiku-*'] }) },
  { code: 'model_not_found', act: create({ model: 'claude-none' }) },
  { code: 'route_not_found', act: (client) => client.post('/v1/none', { body: {} }) },
  {
    code: 'usage_not_found',
    act: (client) => client.get('/v1/usage/ccr_01m81v6grjdrpm7p34097ppk9z'),
  },
  { code: 'method_not_allowed', act: (client) => client.get('/v1/messages') },
  {
    code: 'request_too_large',
    world: STRICT,
    act: create({ system: 'x'.repeat(3_000) }),
  },
  {
    code: 'key_rpm_exceeded',
    async given(w) {
      const options = await keyWith(w, 'slow', { rpmLimit: 1, creditMicro: 1_000_000 })
      await w.post({}, { 'x-api-key': options.apiKey })
      return options
    },
    waitS: [59, 60],
  },
  {
    code: 'key_concurrency_exceeded',
    async given(w, t) {
      const options = await keyWith(w, 'narrow', { concurrencyLimit: 1, creditMicro: 1_000_000 })
      const headers = { 'x-api-key': options.apiKey, 'x-sandbox': 'first_token_ms=60000' }
      const running = await w.post({ stream: true }, headers)
      t.after(() => running.body?.cancel())
      return options
    },
    waitS: [1, 1],
  },
  {
    code: 'account_rpm_exceeded',
    way: " by upstream's word",
    given(w) {
      w.sandbox.setFault('*', 'status=429,retry_after=7')
      return undefined
    },
    waitS: [7, 8],
  },
  {
    code: 'account_rpm_exceeded',
    way: " by the operator's limit",
    world: { accountLimits: { rpmLimit: 1 } },
    async given(w) {
      await w.post()
      await w.post()
      return undefined
    },
    waitS: [59, 60],
  },
  {
    code: 'too_many_attempts',
    async given(w) {
      const headers = { 'x-forwarded-for': '192.0.2.7', 'x-api-key': 'wrong' }
      for (let i = 0; i < 20; i++) await w.post({}, headers)
      return { apiKey: 'wrong', defaultHeaders: headers }
    },
    waitS: [1, 4],
  },
  {
    code: 'headers_too_large',
    given: () => ({ defaultHeaders: { 'x-large': 'x'.repeat(20_000) } }),
  },
  {
    code: 'upstream_error',
    way: ' of status 500',
    given(w) {
      w.sandbox.setFault('*', 'status=500')
      return undefined
    },
    waitS: [2, 2],
  },
  {
    code: 'upstream_error',
    way: ' of garbage',
    given(w) {
      w.sandbox.setFault('*', 'body=html')
      return undefined
    },
    waitS: [2, 2],
  },
  {
    code: 'no_healthy_account',
    way: ' when nobody listens',
    async given(w) {
      await w.sandbox.refuse(true)
      return undefined
    },
    waitS: [1, 60],
  },
  {
    // Nothing but a person brings these back, so the SDK must not wait a minute, twice.
    code: 'no_healthy_account',
    way: ' when the keys are revoked',
    given(w) {
      w.sandbox.revoke('one')
      w.sandbox.revoke('two')
      return undefined
    },
    retries: 0,
    waitS: [60, 60],
  },
  {
    code: 'no_healthy_account',
    way: ' when there is no credit',
    async given(w) {
      w.sandbox.setFault('*', 'error=credit_too_low')
      await w.post()
      return undefined
    },
    retries: 0,
    waitS: [60, 60],
  },
  { code: 'no_accounts_configured', world: { accounts: [] }, waitS: [60, 60] },
  {
    code: 'storage_full',
    given(w) {
      w.daemon.storageFull(true)
      return undefined
    },
    waitS: [5, 5],
  },
  {
    code: 'upstream_timeout',
    world: STRICT,
    given(w) {
      w.sandbox.setFault('*', 'at=before_headers,how=stall')
      return undefined
    },
    waitS: [2, 2],
  },
]

test('the official SDK throws every error of the gateway as it is meant', async (t) => {
  // Starting a world takes a moment, so cases share those that are set up alike.
  const worlds = new Map<WorldOptions | undefined, World>()
  for (const one of CASES) {
    const w = worlds.get(one.world) ?? (await world(t, one.world))
    worlds.set(one.world, w)
    await t.test(`${one.code}${one.way ?? ''}`, (t) => assertFails(t, w, one))
    await putRight(w)
  }
})

/** Takes back whatever a case has done to upstream and to the accounts. */
async function putRight(w: World): Promise<void> {
  w.sandbox.clearFaults()
  await w.sandbox.refuse(false)
  w.daemon.storageFull(false)
  for (const [name, id] of Object.entries(w.accountIds)) {
    w.sandbox.restore(name)
    await w.store.clearCooldown(id, { actor: 'test', nowMs: Date.now() })
  }
}

/** Options for a client with a key of its own user. */
async function keyWith(w: World, name: string, options: Parameters<World['newKey']>[2]) {
  return { apiKey: await w.newKey(name, name, options) }
}

async function assertFails(t: TestContext, w: World, one: Case): Promise<void> {
  const { code, act = create({}) } = one
  const options = await one.given?.(w, t)
  const before = await w.wallet()
  const { client, calls } = sdkFor(w, options)
  await assert.rejects(act(client), (error) => {
    assertTypedError(error, code, calls)
    return true
  })
  const expected = one.retries ?? (ERRORS[code].retryable ? 2 : 0)
  assert.equal(calls.length, 1 + expected, 'how often the SDK tried')
  for (const call of calls) assertWait(call, one, expected > 0)
  assert.equal((await w.wallet()).balanceMicro, before.balanceMicro, 'nothing was charged')
}

function assertTypedError(error: unknown, code: ErrorCode, calls: readonly WatchedCall[]): void {
  const row = ERRORS[code]
  assert.ok(error instanceof Anthropic.APIError, String(error))
  const kind =
    CLASSES.get(row.status) ??
    (row.status >= 500 ? Anthropic.InternalServerError : Anthropic.APIError)
  assert.ok(error instanceof kind, `${error.constructor.name} for ${row.status}`)
  assert.equal(error.errorCode, code, error.message)
  assert.deepEqual([error.status, error.type], [row.status, row.anthropic])
  assert.match(error.requestID ?? '', /^ccr_/)
  assert.equal(error.requestID, calls.at(-1)?.headers.get('x-cc-request-id'))
  assert.ok((error.apiMessage ?? '').length > 10)
  assert.doesNotMatch(error.apiMessage ?? '', /\{\w+\}|undefined|sandbox/)
  if (code === 'insufficient_credit') {
    const { available_micro, required_micro } = Object(error.details)
    assert.ok(available_micro === 5 && required_micro > 5)
  }
}

function assertWait(call: WatchedCall, one: Case, helps: boolean): void {
  const after = call.headers.get('retry-after')
  if (one.waitS === undefined) assert.equal(after, null)
  else {
    const [least, most] = one.waitS
    assert.ok(Number(after) >= least && Number(after) <= most, `retry-after ${after}`)
  }
  assert.equal(call.headers.get('x-should-retry'), helps ? null : 'false')
}

test("upstream's own refusals reach the SDK unchanged, with Anthropic's request id", async (t) => {
  const w = await world(t)
  const { client, calls } = sdkFor(w)
  await assert.rejects(create({ colour: 'red' })(client), (error) => {
    assert.ok(error instanceof Anthropic.BadRequestError)
    assert.match(error.message, /colour: Extra inputs are not permitted/)
    assert.equal(error.requestID, w.sandbox.requests[0].requestId)
    return true
  })
  assert.equal(calls.length, 1)
  assert.match(calls[0].headers.get('x-cc-request-id') ?? '', /^ccr_/)
  assert.match(calls[0].headers.get('x-cc-account-id') ?? '', /^acct_/)
})

test('an error in the middle of a stream is thrown, and what was delivered is billed', async (t) => {
  const w = await world(t)
  const { client, calls } = sdkFor(w)
  for (const [fault, code] of [
    ['error_event=overloaded_error', null],
    ['at=mid_event,how=reset', 'upstream_interrupted'],
    ['at=before_message_stop,how=close', 'upstream_interrupted'],
  ] as const) {
    w.sandbox.setFault('*', `${fault},output_tokens=60`)
    const stream = client.messages.stream({ ...BODY, max_tokens: 500 })
    await assert.rejects(stream.finalMessage(), (error) => {
      assert.ok(error instanceof Anthropic.APIError, String(error))
      assert.equal(error.errorCode, code)
      return true
    })
    const id = calls.at(-1)?.headers.get('x-cc-request-id') ?? ''
    await w.settled()
    const usage = await w.usage(id)
    assert.deepEqual([usage.status, usage.httpStatus], ['interrupted', 200])
    assert.ok(usage.costMicro > 0 && usage.tokens.output > 0)
  }
  assert.equal(calls.length, 3, 'no stream that had begun was asked again')
})
