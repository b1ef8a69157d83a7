import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import Anthropic, {
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  RateLimitError,
} from '@anthropic-ai/sdk'
import { png, prose, sandboxFor } from './world.ts'

async function world(t: TestContext) {
  const sandbox = await sandboxFor(t)
  const client = new Anthropic({
    apiKey: sandbox.accounts[0].key,
    baseURL: sandbox.url,
    maxRetries: 0,
  })
  const ask = (content: string) => [{ role: 'user' as const, content }]
  return { sandbox, client, ask }
}

test('the official SDK creates a message', async (t) => {
  const { client, ask, sandbox } = await world(t)
  const message = await client.messages.create({
    model: 'claude-sonnet-4-6',
    max_tokens: 100,
    messages: ask('Tell me a haiku.'),
  })
  assert.deepEqual(message.content, [
    {
      type: 'text',
      text: 'Quiet gateway hums / tokens counted one by one / morning finds the sum',
    },
  ])
  assert.equal(message.stop_reason, 'end_turn')
  assert.equal(message.usage.input_tokens, 14)
  assert.equal(message.usage.output_tokens, 19)
  assert.equal(sandbox.requests[0].headers['anthropic-version'], '2026-10-21')
})

test('the official SDK streams a message and ends with the same content and usage', async (t) => {
  const { client, ask, sandbox } = await world(t)
  const stream = client.messages.stream({
    model: 'claude-opus-5-5',
    max_tokens: 1_000,
    messages: ask('Tell me a haiku.'),
  })
  let text = ''
  for await (const event of stream) {
    if (event.type !== 'content_block_delta') continue
    if (event.delta.type === 'text_delta') text += event.delta.text
  }
  const message = await stream.finalMessage()
  assert.equal(message.content[0].type === 'text' && message.content[0].text, text)
  assert.equal(message.usage.output_tokens, sandbox.billed()[0].usage.output)
})

test('the official SDK runs a tool and gets an answer about its result', async (t) => {
  const { client } = await world(t)
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
  const messages: Anthropic.MessageParam[] = [{ role: 'user', content: 'Weather in Tokyo?' }]
  const model = 'claude-sonnet-4-6'
  const first = await client.messages
    .stream({ model, max_tokens: 500, tools, messages })
    .finalMessage()
  assert.equal(first.stop_reason, 'tool_use')
  const call = first.content.find((block) => block.type === 'tool_use')
  assert.deepEqual(call?.input, { city: 'Tokyo' })
  messages.push({ role: 'assistant', content: first.content })
  messages.push({
    role: 'user',
    content: [{ type: 'tool_result', tool_use_id: call?.id ?? '', content: '18 degrees' }],
  })
  const second = await client.messages.create({ model, max_tokens: 500, tools, messages })
  assert.equal(second.stop_reason, 'end_turn')
  assert.match(JSON.stringify(second.content), /18 degrees/)
})

test('the official SDK sends an image, which costs by its size', async (t) => {
  const { client } = await world(t)
  const image = (width: number, height: number) =>
    client.messages.create({
      model: 'claude-opus-5-5',
      max_tokens: 100,
      messages: [
        {
          role: 'user',
          content: [
            {
              type: 'image',
              source: { type: 'base64', media_type: 'image/png', data: png(width, height) },
            },
            { type: 'text', text: "What's in this image?" },
          ],
        },
      ],
    })
  const small = await image(280, 140)
  const large = await image(560, 141)
  assert.match(JSON.stringify(small.content), /280 x 140/)
  assert.equal(large.usage.input_tokens - small.usage.input_tokens, 20 * 6 - 10 * 5)
})

test('the official SDK writes the prompt cache, and its second call reads it', async (t) => {
  const { client } = await world(t)
  const turn = () =>
    client.messages.create({
      model: 'claude-sonnet-4-6',
      max_tokens: 50,
      system: [{ type: 'text', text: prose(2_000), cache_control: { type: 'ephemeral' } }],
      messages: [{ role: 'user', content: 'And now?' }],
    })
  const first = (await turn()).usage
  const second = (await turn()).usage
  assert.equal(first.cache_creation_input_tokens, 2_000)
  assert.equal(first.cache_creation?.ephemeral_5m_input_tokens, 2_000)
  assert.equal(first.cache_read_input_tokens, 0)
  assert.equal(second.cache_read_input_tokens, 2_000)
  assert.equal(second.cache_creation_input_tokens, 0)
  assert.equal(second.input_tokens, first.input_tokens)
})

test('the official SDK shows summarized thinking, streamed and whole', async (t) => {
  const { client, ask } = await world(t)
  const request = {
    model: 'claude-opus-5-5',
    max_tokens: 4_000,
    thinking: { type: 'adaptive' as const, display: 'summarized' as const },
    messages: ask('Why?'),
  }
  for (const message of [
    await client.messages.create(request),
    await client.messages.stream(request).finalMessage(),
  ]) {
    const [thinking, text] = message.content
    assert.ok(thinking.type === 'thinking' && thinking.thinking.length > 0)
    assert.ok(thinking.signature.length > 0)
    assert.equal(text.type, 'text')
    const { usage } = message
    assert.ok((usage.output_tokens_details?.thinking_tokens ?? 0) > 0)
    assert.ok(usage.output_tokens > (usage.output_tokens_details?.thinking_tokens ?? 0))
  }
})

test('the official SDK counts tokens as a message is counted', async (t) => {
  const { client, ask, sandbox } = await world(t)
  const request = { model: 'claude-haiku-4-5', system: 'Be brief.', messages: ask('How are you?') }
  const counted = await client.messages.countTokens(request)
  const message = await client.messages.create({ ...request, max_tokens: 10 })
  assert.equal(counted.input_tokens, message.usage.input_tokens)
  assert.equal(sandbox.billed().length, 1)
})

test('the official SDK pages through the models and resolves an alias', async (t) => {
  const { client } = await world(t)
  const ids: string[] = []
  for await (const model of client.models.list({ limit: 5 })) ids.push(model.id)
  assert.equal(new Set(ids).size, ids.length)
  assert.ok(ids.includes('claude-sonnet-4-6'))
  const model = await client.models.retrieve('claude-haiku-4-5')
  assert.equal(model.id, 'claude-haiku-4-5-20251001')
  assert.equal(model.capabilities?.thinking.types.enabled.supported, true)
})

test('the official SDK throws its typed errors', async (t) => {
  const { client, ask, sandbox } = await world(t)
  const create = (model = 'claude-sonnet-4-6', extra = {}) =>
    client.messages.create({ model, max_tokens: 10, messages: ask('Hello'), ...extra })
  await assert.rejects(create('claude-2'), NotFoundError)
  await assert.rejects(create('claude-sonnet-4-6', { colour: 'red' }), (error) => {
    assert.ok(error instanceof BadRequestError)
    assert.match(error.message, /colour: Extra inputs are not permitted/)
    assert.match(error.requestID ?? '', /^req_/)
    return true
  })
  sandbox.setFault('demo-a', { status: 429, retryAfter: '7' })
  await assert.rejects(create(), (error) => {
    assert.ok(error instanceof RateLimitError)
    assert.equal(error.headers.get('retry-after'), '7')
    return true
  })
  sandbox.setFault('demo-a', 'status=529')
  await assert.rejects(create(), InternalServerError)
  sandbox.revoke('demo-a')
  await assert.rejects(create(), AuthenticationError)
})

test('the official SDK reports an error in the middle of a stream', async (t) => {
  const { client, ask, sandbox } = await world(t)
  sandbox.setFault('*', 'error_event=overloaded_error')
  const stream = client.messages.stream({
    model: 'claude-sonnet-4-6',
    max_tokens: 100,
    messages: ask('Tell me a haiku.'),
  })
  await assert.rejects(stream.finalMessage(), /Overloaded/)
  assert.equal(sandbox.billed()[0].outcome, 'cut')
})

test('the official SDK searches the web, and the fee is in the usage', async (t) => {
  const { client, ask, sandbox } = await world(t)
  const message = await client.messages
    .stream({
      model: 'claude-sonnet-4-6',
      max_tokens: 500,
      tools: [{ type: 'web_search_20250305', name: 'web_search' }],
      messages: ask('What is new?'),
    })
    .finalMessage()
  assert.equal(message.usage.server_tool_use?.web_search_requests, 1)
  assert.deepEqual(
    message.content.map((block) => block.type),
    ['server_tool_use', 'web_search_tool_result', 'text'],
  )
  assert.equal(sandbox.totals().webSearches, 1)
})

test('the official SDK continues a message thread', async (t) => {
  const { client, ask } = await world(t)
  const betas = ['message-threads-2026-08-12']
  const base = { model: 'claude-opus-5-5', max_tokens: 100, betas }
  const first = await client.beta.messages.create({
    ...base,
    system: 'Be brief.',
    messages: ask('Tell me a haiku.'),
    thread: { type: 'create' },
  })
  const second = () =>
    client.beta.messages.create({
      ...base,
      messages: ask('Another haiku.'),
      thread: { type: 'continue', previous_message_id: first.id },
    })
  assert.ok((await second()).usage.input_tokens > first.usage.input_tokens + 19)
  await assert.rejects(second(), (error) => {
    assert.ok(error instanceof BadRequestError)
    assert.match(JSON.stringify(error.error), /thread_already_continued/)
    return true
  })
})
