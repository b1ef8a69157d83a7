import assert from 'node:assert/strict'
import { test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import { png, prose } from '../sandbox/world.ts'
import { sdkFor } from '../support/sdk.ts'
import type { World } from '../support/world.ts'
import { world } from '../support/world.ts'

const MODEL = 'claude-sonnet-4-6'
const ask = (content: string) => [{ role: 'user' as const, content }]
const HAIKU = 'Quiet gateway hums / tokens counted one by one / morning finds the sum'

/** What a finished request's `GET /v1/usage/{id}` says, as far as it is looked at here. */
interface Receipt {
  readonly input_tokens: number
  readonly output_tokens: number
  readonly cache_read_input_tokens: number
  readonly cache_creation: {
    readonly ephemeral_5m_input_tokens: number
    readonly ephemeral_1h_input_tokens: number
  }
  readonly cost_micro: number
  readonly status: string
  readonly source: string
  readonly stream: boolean
  readonly upstream_request_id: string
  readonly account_id: string
}

/** The usage that the gateway recorded for an answer, by the header that every answer carries. */
async function receiptOf(w: World, response: Response): Promise<Receipt> {
  const id = response.headers.get('x-cc-request-id') ?? ''
  const receipt = await fetch(`${w.url}/v1/usage/${id}`, { headers: { 'x-api-key': w.key } })
  assert.equal(receipt.status, 200)
  return receipt.json() as Promise<Receipt> // what the route promises; each test reads its part
}

/** The figures of a receipt in the words of an answer's `usage`. */
function assertSameUsage(receipt: Receipt, usage: Anthropic.Usage): void {
  assert.deepEqual(
    {
      input_tokens: receipt.input_tokens,
      output_tokens: receipt.output_tokens,
      cache_read_input_tokens: receipt.cache_read_input_tokens,
      cache_creation: receipt.cache_creation,
    },
    {
      input_tokens: usage.input_tokens,
      output_tokens: usage.output_tokens,
      cache_read_input_tokens: usage.cache_read_input_tokens,
      cache_creation: {
        ephemeral_5m_input_tokens: usage.cache_creation?.ephemeral_5m_input_tokens,
        ephemeral_1h_input_tokens: usage.cache_creation?.ephemeral_1h_input_tokens,
      },
    },
  )
  assert.deepEqual([receipt.status, receipt.source], ['complete', 'exact'])
  assert.ok(receipt.cost_micro > 0)
}

test('the official SDK creates a message, with the key as Bearer and as x-api-key', async (t) => {
  const w = await world(t)
  const clients = [
    sdkFor(w),
    sdkFor(w, { apiKey: null, authToken: w.key }),
    sdkFor(w, { apiKey: null, defaultHeaders: { 'x-api-key': w.key, authorization: null } }),
  ]
  for (const { client, calls } of clients) {
    const { data, response, request_id } = await client.messages
      .create({ model: MODEL, max_tokens: 100, messages: ask('Tell me a haiku.') })
      .withResponse()
    assert.deepEqual(data.content, [{ type: 'text', text: HAIKU }])
    assert.equal(data.stop_reason, 'end_turn')
    const receipt = await receiptOf(w, response)
    assertSameUsage(receipt, data.usage)
    assert.equal(calls.length, 1)

    const upstream = w.sandbox.requests.at(-1)
    assert.match(response.headers.get('x-cc-request-id') ?? '', /^ccr_[0-9a-z]{26}$/)
    assert.equal(response.headers.get('request-id'), upstream?.requestId)
    assert.equal(request_id, upstream?.requestId)
    assert.equal(response.headers.get('x-cc-account-id'), w.accountIds[upstream?.account ?? ''])
    assert.equal(receipt.upstream_request_id, upstream?.requestId)
    assert.equal(receipt.account_id, response.headers.get('x-cc-account-id'))
  }
  const kinds = clients.map(({ calls: [call] }) =>
    call.requestHeaders.has('x-api-key')
      ? 'x-api-key'
      : call.requestHeaders.get('authorization')?.slice(0, 7),
  )
  assert.deepEqual(kinds, ['Bearer ', 'Bearer ', 'x-api-key'])
})

test('the official SDK streams a message: events, final content, usage, headers', async (t) => {
  const w = await world(t)
  const { client } = sdkFor(w)
  const stream = client.messages.stream({
    model: 'claude-opus-5-5',
    max_tokens: 1_000,
    messages: ask('Tell me a haiku.'),
  })
  const types: string[] = []
  let text = ''
  for await (const event of stream) {
    if (types.at(-1) !== event.type) types.push(event.type)
    if (event.type !== 'content_block_delta') continue
    if (event.delta.type === 'text_delta') text += event.delta.text
  }
  const message = await stream.finalMessage()
  assert.deepEqual(types, [
    'message_start',
    'content_block_start',
    'content_block_delta',
    'content_block_stop',
    'message_delta',
    'message_stop',
  ])
  assert.equal(text, HAIKU)
  assert.deepEqual(message.content, [{ type: 'text', text }])
  const { response } = await stream.withResponse()
  assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/)
  assert.equal(stream.request_id, w.sandbox.requests[0].requestId)
  const receipt = await receiptOf(w, response)
  assertSameUsage(receipt, message.usage)
  assert.equal(receipt.stream, true)
})

test('the official SDK runs a tool, streamed, and gets an answer about its result', async (t) => {
  const w = await world(t)
  const { client } = sdkFor(w)
  const tools = [
    {
      name: 'get_weather',
      description: 'Look up current weather',
      input_schema: {
        type: 'object' as const,
        properties: { city: { type: 'string' } },
        required: ['city'],
      },
    },
  ]
  const messages: Anthropic.MessageParam[] = ask('Weather in Tokyo?')
  const first = await client.messages
    .stream({ model: MODEL, max_tokens: 500, tools, messages })
    .finalMessage()
  assert.equal(first.stop_reason, 'tool_use')
  const call = first.content.find((block) => block.type === 'tool_use')
  assert.deepEqual(call?.input, { city: 'Tokyo' })
  messages.push({ role: 'assistant', content: first.content })
  messages.push({
    role: 'user',
    content: [{ type: 'tool_result', tool_use_id: call?.id ?? '', content: '18 degrees' }],
  })
  const { data, response } = await client.messages
    .create({ model: MODEL, max_tokens: 500, tools, messages })
    .withResponse()
  assert.equal(data.stop_reason, 'end_turn')
  assert.match(JSON.stringify(data.content), /18 degrees/)
  assertSameUsage(await receiptOf(w, response), data.usage)
})

test('the official SDK sends a picture, which arrives whole', async (t) => {
  const w = await world(t)
  const { client } = sdkFor(w)
  const source = { type: 'base64' as const, media_type: 'image/png' as const, data: png(280, 140) }
  const { data, response } = await client.messages
    .create({
      model: MODEL,
      max_tokens: 100,
      messages: [
        {
          role: 'user',
          content: [
            { type: 'image', source },
            { type: 'text', text: "What's in this image?" },
          ],
        },
      ],
    })
    .withResponse()
  assert.match(JSON.stringify(data.content), /280 x 140/)
  assertSameUsage(await receiptOf(w, response), data.usage)
})

test('the second call of the official SDK reads the cache, and pays the price of reading', async (t) => {
  const w = await world(t, { accounts: ['one'] })
  const { client } = sdkFor(w)
  for (const ttl of ['5m', '1h'] as const) {
    const cache_control = { type: 'ephemeral' as const, ttl }
    const turn = async () => {
      const { data, response } = await client.messages
        .create({
          model: MODEL,
          max_tokens: 50,
          system: [{ type: 'text', text: prose(2_000, `for ${ttl} `), cache_control }],
          messages: ask('And now?'),
        })
        .withResponse()
      const receipt = await receiptOf(w, response)
      assertSameUsage(receipt, data.usage)
      return receipt
    }
    const first = await turn()
    const second = await turn()
    const written = first.cache_creation[`ephemeral_${ttl}_input_tokens`]
    assert.ok(written > 1_900, String(written))
    assert.equal(first.cache_read_input_tokens, 0)
    assert.equal(second.cache_read_input_tokens, written)
    // Claude Sonnet 4.6: input $3; writes 1.25 and 2 times that, reads a tenth.
    const writeMicro = ttl === '5m' ? 3.75 : 6
    assert.ok(Math.abs(first.cost_micro - second.cost_micro - written * (writeMicro - 0.3)) <= 1)
  }
})

test('the official SDK gets thinking, summarized and omitted, and its tokens are paid', async (t) => {
  const w = await world(t)
  const { client } = sdkFor(w)
  for (const display of ['summarized', 'omitted'] as const) {
    const request = {
      model: 'claude-opus-5-5',
      max_tokens: 4_000,
      thinking: { type: 'adaptive' as const, display },
      messages: ask('Why?'),
    }
    const whole = await client.messages.create(request).withResponse()
    const stream = client.messages.stream(request)
    const streamed = await stream.finalMessage()
    const { response: streamResponse } = await stream.withResponse()
    for (const { data, response } of [whole, { data: streamed, response: streamResponse }]) {
      const [thinking, text] = data.content
      assert.ok(thinking.type === 'thinking' && thinking.signature.length > 0)
      assert.equal(thinking.thinking.length > 0, display === 'summarized')
      assert.equal(text.type, 'text')
      assert.ok((data.usage.output_tokens_details?.thinking_tokens ?? 0) > 0)
      assertSameUsage(await receiptOf(w, response), data.usage)
    }
  }
})

test('the official SDK counts tokens for nothing, as a message is then counted', async (t) => {
  const w = await world(t, { creditMicro: 0 })
  const { client } = sdkFor(w)
  const request = { model: 'claude-haiku-4-5', system: 'Be brief.', messages: ask('How are you?') }
  const { data, response } = await client.messages.countTokens(request).withResponse()
  assert.match(response.headers.get('x-cc-account-id') ?? '', /^acct_/)
  assert.deepEqual(await w.wallet(), { balanceMicro: 0, heldMicro: 0 })
  assert.equal((await w.store.listUsage({ limit: 10 })).total, 0)

  const rich = await w.newKey('bob', 'desk', { creditMicro: 1_000_000 })
  const { client: payer } = sdkFor({ url: w.url, key: rich })
  const message = await payer.messages.create({ ...request, max_tokens: 10 })
  assert.equal(data.input_tokens, message.usage.input_tokens)
})

test('the official SDK pages through the models that its key may use', async (t) => {
  const w = await world(t)
  const { client } = sdkFor(w)
  const ids: string[] = []
  for await (const model of client.models.list({ limit: 3 })) {
    ids.push(model.id)
    assert.equal(model.type, 'model')
    assert.ok(model.display_name.length > 3 && !Number.isNaN(Date.parse(model.created_at)))
  }
  assert.equal(new Set(ids).size, ids.length)
  assert.ok(ids.length > 3 && ids.includes(MODEL))
  const model = await client.models.retrieve('claude-haiku-4-5')
  assert.equal(model.id, 'claude-haiku-4-5-20251001')

  const few = await w.newKey('bob', 'few', { models: ['claude-haiku-*'] })
  const { client: confined } = sdkFor({ url: w.url, key: few })
  const page = await confined.models.list()
  assert.ok(page.data.length > 0 && page.data.every(({ id }) => id.startsWith('claude-haiku-')))
  await assert.rejects(confined.models.retrieve(MODEL), Anthropic.NotFoundError)
})

for (const how of ['abort', 'break'] as const) {
  test(`a stream that the official SDK leaves by ${how} is billed for what was made`, async (t) => {
    const w = await world(t)
    const { client } = sdkFor(w, {
      defaultHeaders: { 'x-sandbox': 'output_tokens=400,token_rate=200' },
    })
    const stream = client.messages.stream({
      model: MODEL,
      max_tokens: 1_000,
      messages: ask('Tell me a long story.'),
    })
    let id = ''
    let text = ''
    const leave = async () => {
      for await (const event of stream) {
        if (event.type === 'message_start') {
          id = (await stream.withResponse()).response.headers.get('x-cc-request-id') ?? ''
        }
        if (event.type === 'content_block_delta' && event.delta.type === 'text_delta') {
          text += event.delta.text
          if (text.length < 60) continue
          if (how === 'break') break
          stream.abort()
        }
      }
    }
    if (how === 'abort') await assert.rejects(leave, Anthropic.APIUserAbortError)
    else await leave()
    await w.settled()
    const usage = await w.usage(id)
    assert.deepEqual(
      [usage.status, usage.source, usage.httpStatus],
      ['interrupted', 'partial', 499],
    )
    assert.ok(usage.tokens.input > 0)
    assert.ok(usage.tokens.output > 5 && usage.tokens.output < 300, String(usage.tokens.output))
    assert.ok(usage.costMicro > 0)
    assert.deepEqual(await w.wallet(), { balanceMicro: 10_000_000 - usage.costMicro, heldMicro: 0 })
    const [billed] = w.sandbox.billed()
    assert.equal(billed.outcome, 'client_left')
  })
}
