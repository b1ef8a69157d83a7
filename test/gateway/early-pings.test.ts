import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import {
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type ServerResponse,
} from 'node:http'
import { describe, type TestContext, test } from 'node:test'
import type { Config } from '../../src/config/config.ts'
import { outcomeOf, wasKilled } from '../../src/core/outcome.ts'
import { DIALECTS } from '../../src/dialects/index.ts'
import { EarlyPings } from '../../src/gateway/early-pings.ts'
import type { UsageRow } from '../../src/store/store.ts'
import { assertClean, codeOf, eventsOf } from '../support/bills.ts'
import {
  answerEvents,
  eventText,
  openAiFor,
  postOpenAi,
  refuses,
  type ScriptedAnswer,
  scriptedUpstream,
  streams,
  textBlock,
} from '../support/openai.ts'
import { sdkFor } from '../support/sdk.ts'
import { type World, type WorldOptions, world } from '../support/world.ts'

const PING = 'event: ping\ndata: {"type": "ping"}\n\n'
const COMMENT = ': keep-alive\n\n'
const EVENTS = answerEvents([textBlock('Hello')], 'end_turn')
const BODY = {
  model: 'claude-sonnet-4-6',
  max_tokens: 100,
  stream: true,
  messages: [{ role: 'user', content: 'Hello, world!' }],
}
const CHAT = { model: BODY.model, stream: true, messages: BODY.messages }
const RESPONSES = { model: BODY.model, stream: true, input: 'Hello' }

/** A gateway that pings every 50 ms until an answer begins; accounts are asked in the order of their names. */
function pinging(t: TestContext, options: WorldOptions = {}): Promise<World> {
  const names = options.accounts ?? ['one']
  return world(t, {
    accounts: names,
    ...options,
    account: (name) => ({ priority: names.indexOf(name) + 1, ...options.account?.(name) }),
    config: (config) => {
      const set: Config = { ...config, streams: { earlyPingMs: 50 } }
      return options.config?.(set) ?? set
    },
  })
}

/** The answers of upstream, each after so long. */
function after(delayMs: number, answer: ScriptedAnswer): ScriptedAnswer {
  return (response, asked) => void setTimeout(() => answer(response, asked), delayMs)
}

/** A client whose bytes can be read as they come, and that can go away. */
function client(
  w: World,
  body: Record<string, unknown> = {},
  headers: Record<string, string> = {},
) {
  let text = ''
  let wake = () => {}
  let ended: Promise<unknown> = Promise.resolve()
  const call = request(`${w.url}/v1/messages`, {
    method: 'POST',
    headers: { 'x-api-key': w.key, 'anthropic-version': '2023-06-01', ...headers },
    agent: false,
  })
  call.on('error', () => {})
  const head = once(call, 'response').then((args) => {
    const [response] = args as [IncomingMessage]
    response.on('error', () => {})
    response.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      wake()
    })
    ended = new Promise((resolve) => response.once('close', resolve))
    return response
  })
  call.end(JSON.stringify({ ...BODY, ...body }))
  return {
    head,
    text: () => text,
    async saw(pattern: RegExp) {
      while (!pattern.test(text)) await new Promise<void>((resolve) => (wake = resolve))
    },
    async whole() {
      const response = await head
      await ended
      return { status: response.statusCode, headers: response.headers, text }
    },
    leave: () => call.destroy(),
  }
}

/** Splits off what is repeated at the beginning. */
function withoutPings(text: string, ping = PING): { pings: number; rest: string } {
  let pings = 0
  let at = 0
  for (; text.startsWith(ping, at); at += ping.length) pings++
  return { pings, rest: text.slice(at) }
}

/** What was refused without a hold is written while nobody waits. */
async function rowOf(w: World, headers: IncomingHttpHeaders): Promise<UsageRow> {
  const id = String(headers['x-cc-request-id'])
  await until(async () => (await w.store.getUsage(id))?.kind === 'usage', `the usage of ${id}`)
  return w.usage(id)
}

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (await condition()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error(`waited in vain: ${what}`)
}

describe('early pings', { concurrency: 3 }, () => {
  test('come until the answer begins, which then comes byte for byte', async (t) => {
    const up = await scriptedUpstream(t, [after(230, streams(EVENTS))])
    const w = await pinging(t, { account: () => ({ baseUrl: up.url }) })
    const { status, headers, text } = await client(w).whole()
    const { pings, rest } = withoutPings(text)
    assert.equal(status, 200)
    assert.ok(pings >= 2, `${pings}`)
    assert.equal(rest, eventText(EVENTS))
    assert.match(headers['content-type'] ?? '', /^text\/event-stream/)
    assert.equal(headers['cache-control'], 'no-store')
    assert.equal(headers['x-accel-buffering'], 'no')
    assert.equal(headers['request-id'], headers['x-cc-request-id'])
    assert.equal(headers['x-cc-account-id'], undefined, 'it was not known')
    await w.settled()
    const row = await rowOf(w, headers)
    assert.deepEqual([row.status, row.httpStatus, row.errorCode], ['complete', 200, null])
    assert.equal(row.upstreamRequestId, 'req_scripted')
    assert.ok((row.firstByteMs ?? 0) >= 200, 'pings are no first byte')
    await assertClean(w)
  })

  test('are not sent where the answer begins in time, and none unless they are wished', async (t) => {
    const up = await scriptedUpstream(t, [streams(EVENTS), after(150, streams(EVENTS))])
    const account = () => ({ baseUrl: up.url })
    const w = await pinging(t, {
      account,
      config: (c) => ({ ...c, streams: { earlyPingMs: 60_000 } }),
    })
    const quick = await client(w).whole()
    assert.equal(quick.text, eventText(EVENTS))
    assert.equal(quick.headers['x-cc-account-id'], w.accountIds.one)
    assert.equal(quick.headers['request-id'], 'req_scripted')
    const usual = await world(t, { accounts: ['one'], account })
    const slow = await client(usual).whole()
    assert.equal(slow.text, eventText(EVENTS))
    assert.equal(slow.headers['x-cc-account-id'], usual.accountIds.one)
  })

  test('end with the first event, however slow the others are', async (t) => {
    const slow: ScriptedAnswer = (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(eventText(EVENTS.slice(0, 1)))
      setTimeout(() => response.end(eventText(EVENTS.slice(1))), 250)
    }
    const up = await scriptedUpstream(t, [after(120, slow), slow])
    const w = await pinging(t, { account: () => ({ baseUrl: up.url }) })
    const late = withoutPings((await client(w).whole()).text)
    assert.ok(late.pings >= 1)
    assert.equal(late.rest, eventText(EVENTS))
    assert.equal((await client(w).whole()).text, eventText(EVENTS))
  })

  test('never come to who waits for a whole answer', async (t) => {
    const w = await pinging(t)
    const late = { 'x-sandbox': 'first_byte_ms=200' }
    const { headers, text } = await client(w, { stream: false }, late).whole()
    assert.equal(JSON.parse(text).type, 'message')
    assert.equal(headers['x-cc-account-id'], w.accountIds.one)
    const chat = await postOpenAi(w, '/v1/chat/completions', { ...CHAT, stream: false }, late)
    assert.equal(((await chat.json()) as { object: string }).object, 'chat.completion')
    await assertClean(w)
  })

  test('an account that fails after them is no end: the next one serves', async (t) => {
    const w = await pinging(t, { accounts: ['bad', 'good'] })
    for (const fault of ['status=529', 'status=500', 'body=html', 'at=before_headers,how=reset']) {
      w.sandbox.forget()
      w.sandbox.setFault('bad', `first_byte_ms=150,${fault}`, { times: 1 })
      const { status, headers, text } = await client(w).whole()
      const { pings, rest } = withoutPings(text)
      assert.ok(status === 200 && pings >= 1, `${fault}: ${text}`)
      assert.equal(eventsOf(rest)[0].event, 'message_start', fault)
      assert.equal(eventsOf(rest).at(-1)?.event, 'message_stop', fault)
      await w.settled()
      const row = await rowOf(w, headers)
      assert.equal(row.attempts.length, 2, fault)
      assert.equal(row.accountId, w.accountIds.good)
      await w.store.clearCooldown(w.accountIds.bad, { actor: 'test', nowMs: Date.now() })
    }
    await assertClean(w)
  })

  test('when all fail the stream ends with the error that would have been the answer', async (t) => {
    const w = await pinging(t, { accounts: ['bad', 'worse'] })
    const fault = { 'x-sandbox': 'first_byte_ms=120,status=500' }
    const { status, headers, text } = await client(w, {}, fault).whole()
    const { pings, rest } = withoutPings(text)
    const [event, ...more] = eventsOf(rest)
    assert.ok(status === 200 && pings >= 1)
    assert.deepEqual([event.event, more], ['error', []])
    const body = JSON.parse(event.data)
    assert.equal(body.type, 'error')
    assert.equal(body.error.type, 'api_error')
    assert.equal(codeOf(event.data), 'upstream_error')
    assert.match(
      body.error.message,
      /^Upstream failed: Anthropic answered 500 \(\w+\), on 2 accounts\./,
    )
    assert.equal(body.request_id, headers['x-cc-request-id'])
    await w.settled()
    const row = await rowOf(w, headers)
    assert.deepEqual(
      [row.status, row.httpStatus, row.errorCode, row.costMicro],
      ['interrupted', 200, 'upstream_error', 0],
    )
    assert.equal((await w.wallet()).balanceMicro, 10_000_000)
    await assertClean(w)
  })

  test('a fault of ours among them is told as such, and is no death of the gateway', async (t) => {
    const w = await pinging(t, {
      accounts: ['bad', 'good'],
      daemonStore: (store) => ({
        ...store,
        noteProgress(note) {
          if (note.progress === null) throw new TypeError('a second try cannot be noted')
          store.noteProgress(note)
        },
      }),
    })
    w.sandbox.setFault('bad', 'first_byte_ms=120,status=500', { times: 1 })
    const { status, headers, text } = await client(w).whole()
    const { pings, rest } = withoutPings(text)
    assert.ok(status === 200 && pings >= 1)
    assert.equal(codeOf(eventsOf(rest)[0].data), 'internal_error')
    await w.settled()
    const row = await rowOf(w, headers)
    assert.deepEqual(
      [row.status, row.httpStatus, row.errorCode],
      ['interrupted', 200, 'internal_error'],
    )
    assert.equal(wasKilled(row), false)
    assert.equal(w.daemon.inFlight(), 0)
    await assertClean(w)
  })

  test('do not begin any more once it has failed, however long the row of that takes', async (t) => {
    const w = await pinging(t, {
      daemonStore: (store) => ({
        ...store,
        async voidHold(record) {
          await new Promise((resolve) => setTimeout(resolve, 200))
          return store.voidHold(record)
        },
      }),
    })
    const { status, headers } = await client(w, {}, { 'x-sandbox': 'status=500' }).whole()
    assert.equal(status, 502)
    const row = await rowOf(w, headers)
    assert.deepEqual([row.status, row.httpStatus], ['rejected', 502])
    await assertClean(w)
  })

  test('what upstream refuses is an event in its own words', async (t) => {
    const up = await scriptedUpstream(t, [
      after(120, refuses(400, 'invalid_request_error', 'messages: no good')),
      after(120, (response) => response.writeHead(413).end('<html>too large</html>')),
    ])
    const w = await pinging(t, { account: () => ({ baseUrl: up.url }) })
    const own = await client(w).whole()
    const [refused] = eventsOf(withoutPings(own.text).rest)
    assert.equal(own.status, 200)
    assert.deepEqual(JSON.parse(refused.data), {
      type: 'error',
      error: { type: 'invalid_request_error', message: 'messages: no good' },
    })
    const row = await rowOf(w, own.headers)
    assert.deepEqual(
      [row.status, row.httpStatus, row.errorCode],
      ['interrupted', 200, 'invalid_request_error'],
    )
    assert.equal(outcomeOf(row), 'refused')
    const html = eventsOf(withoutPings((await client(w).whole()).text).rest)
    assert.equal(JSON.parse(html[0].data).error.type, 'request_too_large')
    await assertClean(w)
  })

  test('clients of OpenAI’s formats get comments, their answer, or their kind of error', async (t) => {
    const up = await scriptedUpstream(t, [
      after(120, streams(EVENTS)),
      after(120, streams(EVENTS)),
      after(120, refuses(400, 'invalid_request_error', 'messages: no good')),
      after(120, refuses(400, 'invalid_request_error', 'messages: no good')),
      after(120, (response) => response.destroy()),
    ])
    const w = await pinging(t, { account: () => ({ baseUrl: up.url }) })
    const ask = async (path: string, body: object) => {
      const response = await postOpenAi(w, path, body)
      const { pings, rest } = withoutPings(await response.text(), COMMENT)
      assert.ok(response.status === 200 && pings >= 1, rest)
      assert.equal(response.headers.get('x-request-id'), response.headers.get('x-cc-request-id'))
      return rest
    }
    assert.match(
      await ask('/v1/chat/completions', CHAT),
      /^data: \{"id":"chatcmpl-.*\[DONE\]\n\n$/s,
    )
    assert.match(await ask('/v1/responses', RESPONSES), /^event: response\.created.*completed/s)
    assert.equal(
      await ask('/v1/chat/completions', CHAT),
      'data: {"error":{"message":"messages: no good","type":"invalid_request_error","param":null,"code":null}}\n\n',
    )
    const failed = await ask('/v1/responses', RESPONSES)
    assert.match(failed, /^event: response\.failed\ndata: .*"code":"invalid_prompt".*\n\n$/)
    assert.match(await ask('/v1/responses', RESPONSES), /^event: response\.failed\n.*server_error/)
    assert.match(await ask('/v1/chat/completions', CHAT), /^data: \{"error":.*"upstream_error"/)
    await assertClean(w)
  })

  test('official SDKs wait through them, and throw what came instead of an answer', async (t) => {
    const up = await scriptedUpstream(t, [
      after(120, streams(EVENTS)),
      after(120, streams(EVENTS)),
      after(120, (response) => response.writeHead(500).end()),
    ])
    const w = await pinging(t, { account: () => ({ baseUrl: up.url }) })
    const { client: anthropic } = sdkFor(w, { maxRetries: 0 })
    const openai = openAiFor(w)
    const asked = {
      model: BODY.model,
      max_tokens: 100,
      messages: [{ role: 'user' as const, content: 'Hi' }],
    }
    const chat = { model: BODY.model, messages: asked.messages, stream: true as const }
    const message = await anthropic.messages.stream(asked).finalMessage()
    assert.equal(message.stop_reason, 'end_turn')
    let said = ''
    for await (const chunk of await openai.chat.completions.create(chat))
      said += chunk.choices[0]?.delta.content ?? ''
    assert.equal(said, 'Hello')
    await assert.rejects(anthropic.messages.stream(asked).finalMessage(), /upstream_error/)
    await assert.rejects(async () => {
      for await (const _ of await openai.chat.completions.create(chat)) assert.fail('no chunk')
    }, /Upstream failed: Anthropic answered 5/)
    const responses = await openai.responses.create({
      model: BODY.model,
      input: 'Hi',
      stream: true,
    })
    const types: string[] = []
    for await (const event of responses) types.push(event.type)
    assert.deepEqual(types, ['response.failed'])
    await assertClean(w)
  })

  test('come in the line for an account as well', async (t) => {
    const w = await pinging(t, { accountLimits: { concurrencyLimit: 1 } })
    const first = client(w, {}, { 'x-sandbox': 'first_byte_ms=300' })
    await until(() => w.sandbox.counters.inFlight === 1, 'the account is taken')
    const second = client(w)
    await second.saw(/ping/)
    assert.equal(w.sandbox.requests.length, 1, 'it waits')
    assert.equal((await w.store.listOpenHolds()).length, 1, 'without a hold of its own')
    for (const { text } of [await first.whole(), await second.whole()])
      assert.equal(eventsOf(text).at(-1)?.event, 'message_stop')
    await assertClean(w)
  })

  test('who cannot be paid or served when the line ends is told so in the stream', async (t) => {
    const w = await pinging(t, {
      accountLimits: { concurrencyLimit: 1 },
      key: { spendLimit: { period: 'total', amountMicro: 3_000 } },
      config: (config) => ({ ...config, queue: { ...config.queue, maxWaitMs: 1_200 } }),
    })
    const first = client(
      w,
      { max_tokens: 120 },
      { 'x-sandbox': 'first_byte_ms=200,output_tokens=120' },
    )
    await until(() => w.sandbox.counters.inFlight === 1, 'the account is taken')
    const unpaid = await client(w, { max_tokens: 120 }).whole()
    const [error] = eventsOf(withoutPings(unpaid.text).rest)
    assert.equal(unpaid.status, 200)
    assert.equal(codeOf(error.data), 'key_spend_limit')
    assert.match(error.data, /Nothing was charged/)
    await first.whole()

    const rich = { 'x-api-key': await w.newKey('bob', 'desk', { creditMicro: 1_000_000 }) }
    const long = client(w, {}, { ...rich, 'x-sandbox': 'first_byte_ms=3000' })
    await until(() => w.sandbox.counters.inFlight === 1, 'the account is taken again')
    const unserved = await client(w, {}, rich).whole()
    const [none] = eventsOf(withoutPings(unserved.text).rest)
    assert.equal(codeOf(none.data), 'account_rpm_exceeded')
    const row = await rowOf(w, unserved.headers)
    assert.deepEqual([row.status, row.httpStatus], ['interrupted', 200])
    long.leave()
    await assertClean(w)
  })

  test('what is refused before it waits has its own status, however long that took', async (t) => {
    const w = await pinging(t)
    const poor = await w.newKey('poor', 'desk')
    // Nothing of this is known before the body is here, and that comes after the first ping would be due.
    const late = async (body: Record<string, unknown>, key: string) => {
      const call = request(`${w.url}/v1/messages`, {
        method: 'POST',
        headers: { 'x-api-key': key },
      })
      const text = JSON.stringify({ ...BODY, ...body })
      call.write(text.slice(0, 5))
      setTimeout(() => call.end(text.slice(5)), 120)
      const [response] = (await once(call, 'response')) as [IncomingMessage]
      response.resume()
      return response.statusCode
    }
    assert.equal(await late({}, poor), 402)
    assert.equal(await late({ model: 'none' }, w.key), 404)
    assert.equal(await late({ max_tokens: 'x' }, w.key), 400)
  })

  test('a client that leaves among them leaves no hold behind', async (t) => {
    const w = await pinging(t)
    const one = client(w, {}, { 'x-sandbox': 'first_byte_ms=5000' })
    const { headers } = await one.head
    one.leave()
    await until(() => w.sandbox.counters.inFlight === 0, 'upstream is aborted')
    await w.settled()
    const row = await rowOf(w, headers)
    assert.deepEqual([row.httpStatus, row.costMicro, row.source], [499, 0, 'none'])
    await assertClean(w)
  })

  test('a client that leaves the line among them is not sent on', async (t) => {
    const w = await pinging(t, { accountLimits: { concurrencyLimit: 1 } })
    const first = client(w, {}, { 'x-sandbox': 'first_byte_ms=300' })
    await until(() => w.sandbox.counters.inFlight === 1, 'the account is taken')
    const second = client(w)
    await second.saw(/ping/)
    second.leave()
    await first.whole()
    await w.settled()
    assert.equal(w.sandbox.requests.length, 1)
    await assertClean(w)
  })

  test('a retry that joins an answer which has not begun gets them too', async (t) => {
    const w = await pinging(t, {
      config: (c) => ({ ...c, billing: { ...c.billing, onDisconnect: { kind: 'finish' } } }),
    })
    const first = client(w, {}, { 'x-sandbox': 'first_byte_ms=600' })
    await first.saw(/ping/)
    first.leave()
    await new Promise((resolve) => setTimeout(resolve, 30))
    const retry = { 'x-stainless-retry-count': '1' }
    const { headers, text } = await client(w, {}, retry).whole()
    const { pings, rest } = withoutPings(text)
    assert.ok(pings >= 1, text)
    assert.equal(eventsOf(rest)[0].event, 'message_start')
    assert.equal(eventsOf(rest).at(-1)?.event, 'message_stop')
    assert.equal(w.sandbox.requests.length, 1)
    const row = await rowOf(w, headers)
    assert.equal(row.costMicro, 0)
    assert.ok(row.joinedRequestId !== null)
    await assertClean(w)

    // What it was to join comes to nothing: then it is a request of its own, in the stream that has begun.
    const doomed = client(w, { max_tokens: 90 }, { 'x-sandbox': 'first_byte_ms=400,status=400' })
    await doomed.saw(/ping/)
    doomed.leave()
    await new Promise((resolve) => setTimeout(resolve, 30))
    const again = await client(w, { max_tokens: 90 }, retry).whole()
    assert.equal(eventsOf(again.text).at(-1)?.event, 'message_stop')
    assert.ok((await rowOf(w, again.headers)).costMicro > 0)
    await assertClean(w)
  })

  test('a stop ends them with an event', async (t) => {
    const w = await pinging(t)
    const one = client(w, {}, { 'x-sandbox': 'first_byte_ms=60000' })
    await one.saw(/ping/)
    const stopped = w.stop(100)
    const { headers, text } = await one.whole()
    const [error] = eventsOf(withoutPings(text).rest)
    assert.equal(error.event, 'error')
    assert.equal(codeOf(error.data), 'draining')
    await stopped
    const row = await rowOf(w, headers)
    assert.deepEqual([row.status, row.httpStatus, row.errorCode], ['interrupted', 200, 'draining'])
    await assertClean(w)
  })
})

test('who takes no bytes is sent no more of them until it does', async () => {
  const { response, written } = heldUp()
  const pings = pingsTo(response, { everyMs: 1 })
  pings.allow()
  await until(() => written.length === 2, 'the head and one ping')
  await new Promise((resolve) => setTimeout(resolve, 20))
  assert.deepEqual(written, ['head 200', PING])
  response.emit('drain')
  await until(() => written.length === 3, 'another one')
  pings.end()
})

test('the time of waiting counts from the request on, not from when they may begin', async () => {
  const { response, written } = heldUp()
  const pings = pingsTo(response, { everyMs: 60_000, nowMs: 59_990 })
  pings.allow()
  await until(() => written.length === 2, 'the head and one ping')
  pings.end()
})

test('who forbids them stops those alone that have not begun, and an end is for good', async () => {
  const { response, written } = heldUp()
  const pings = pingsTo(response, { everyMs: 20 })
  pings.allow()
  pings.forbid()
  await new Promise((resolve) => setTimeout(resolve, 60))
  assert.deepEqual(written, [])
  pings.allow()
  await until(() => written.length === 2, 'the head and one ping')
  pings.forbid()
  response.emit('drain')
  await until(() => written.length === 3, 'another one')
  pings.end()
  pings.allow()
  response.emit('drain')
  await new Promise((resolve) => setTimeout(resolve, 60))
  assert.equal(written.length, 3)
})

function pingsTo(response: ServerResponse, so: { everyMs: number; nowMs?: number }): EarlyPings {
  return new EarlyPings({
    call: { arrivedMs: 0, dialect: DIALECTS['/v1/messages'], response },
    clock: { nowMs: () => 0, monotonicMs: () => so.nowMs ?? 0 },
    everyMs: so.everyMs,
    head: () => [],
  })
}

/** A client that is full after each write until it is drained. */
function heldUp() {
  const written: string[] = []
  const fake = Object.assign(new EventEmitter(), {
    destroyed: false,
    writableNeedDrain: false,
    writeHead: (status: number) => written.push(`head ${status}`),
    write(text: string) {
      written.push(text)
      fake.writableNeedDrain = true
      return false
    },
  })
  fake.on('drain', () => {
    fake.writableNeedDrain = false
  })
  return { response: fake as unknown as ServerResponse, written } // what pings use of it
}
