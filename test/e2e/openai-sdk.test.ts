import assert from 'node:assert/strict'
import { test } from 'node:test'
import OpenAI from 'openai'
import { png, prose } from '../sandbox/world.ts'
import {
  answerEvents,
  assertSameNumbers,
  openAiFor,
  requestIdIn,
  scriptedUpstream,
  streams,
  textBlock,
  toolBlock,
} from '../support/openai.ts'
import { type World, world } from '../support/world.ts'

const MODEL = 'claude-sonnet-4-6'
const HAIKU = 'Quiet gateway hums / tokens counted one by one / morning finds the sum'
const ask = (content: string) => [{ role: 'user' as const, content }]

const WEATHER = {
  type: 'function' as const,
  function: {
    name: 'get_weather',
    description: 'Look up current weather',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string' } },
      required: ['city'],
    },
  },
}

/** The last body that reached upstream. */
function lastBody(w: World): Record<string, unknown> {
  return JSON.parse(String(w.sandbox.requests.at(-1)?.body))
}

test('chat completions answer in text, whole and streamed, and the receipt has the same numbers', async (t) => {
  const w = await world(t)
  const client = openAiFor(w)
  const request = { model: MODEL, messages: ask('Tell me a haiku.') }
  const { data, response } = await client.chat.completions.create(request).withResponse()
  assert.equal(data.choices[0].message.content, HAIKU)
  assert.equal(data.choices[0].finish_reason, 'stop')
  // What the SDK reads as the request's id.
  assert.equal(response.headers.get('x-request-id'), requestIdIn(data.id))
  await assertSameNumbers(w, requestIdIn(data.id), data.usage)
  const cost = Number(response.headers.get('x-cc-cost-micro'))
  assert.equal(cost, (await w.usage(requestIdIn(data.id))).costMicro)
  const { balanceMicro, heldMicro } = await w.wallet()
  assert.equal(Number(response.headers.get('x-cc-balance-micro')), balanceMicro)
  assert.equal(heldMicro, 0)

  const stream = client.chat.completions.stream({
    ...request,
    stream_options: { include_usage: true },
  })
  const streamed = await stream.finalChatCompletion()
  assert.equal(streamed.choices[0].message.content, HAIKU)
  await assertSameNumbers(w, requestIdIn(streamed.id), streamed.usage)
  const row = await w.usage(requestIdIn(streamed.id))
  assert.deepEqual([row.dialect, row.stream], ['openai-chat', true])
  assert.equal((await w.usage(requestIdIn(data.id))).stream, false)
  // Upstream streams in any case, with the version that knows what clients send.
  for (const sent of w.sandbox.requests) {
    assert.equal(JSON.parse(String(sent.body)).stream, true)
    assert.equal(sent.headers['anthropic-version'], '2023-06-01')
    assert.equal(sent.headers.authorization, undefined)
    assert.equal(
      Object.keys(sent.headers).filter((name) => name.startsWith('x-stainless')).length,
      0,
    )
  }
})

test('without include_usage a stream says nothing of usage, and is paid all the same', async (t) => {
  const w = await world(t)
  const stream = await openAiFor(w).chat.completions.create({
    model: MODEL,
    stream: true,
    messages: ask('Tell me a haiku.'),
  })
  let id = ''
  for await (const chunk of stream) {
    id = chunk.id
    assert.equal('usage' in chunk, false)
  }
  const row = await w.usage(requestIdIn(id))
  assert.ok(row.costMicro > 0)
})

test('responses answer in text, whole and streamed, and the receipt has the same numbers', async (t) => {
  const w = await world(t)
  const client = openAiFor(w)
  const request = { model: MODEL, input: 'Tell me a haiku.' }
  const response = await client.responses.create(request)
  assert.equal(response.output_text, HAIKU)
  assert.equal(response.status, 'completed')
  await assertSameNumbers(w, requestIdIn(response.id), response.usage)

  const streamed = await client.responses.stream(request).finalResponse()
  assert.equal(streamed.output_text, HAIKU)
  await assertSameNumbers(w, requestIdIn(streamed.id), streamed.usage)
  assert.equal((await w.usage(requestIdIn(streamed.id))).dialect, 'openai-responses')
})

test('a tool is called, streamed and whole, and its result is answered', async (t) => {
  const w = await world(t)
  const client = openAiFor(w)
  const messages: OpenAI.ChatCompletionMessageParam[] = ask('Weather in Tokyo?')
  const first = await client.chat.completions
    .stream({ model: MODEL, messages, tools: [WEATHER] })
    .finalChatCompletion()
  assert.equal(first.choices[0].finish_reason, 'tool_calls')
  const { message } = first.choices[0]
  const call = message.tool_calls?.[0]
  assert.deepEqual(call?.type === 'function' ? JSON.parse(call.function.arguments) : null, {
    city: 'Tokyo',
  })
  messages.push(message, { role: 'tool', tool_call_id: call?.id ?? '', content: '18 degrees' })
  const second = await client.chat.completions.create({ model: MODEL, messages, tools: [WEATHER] })
  assert.match(second.choices[0].message.content ?? '', /18 degrees/)
  await assertSameNumbers(w, requestIdIn(second.id), second.usage)
})

test('a tool of the Responses API is called, and its output is answered', async (t) => {
  const w = await world(t)
  const client = openAiFor(w)
  const { function: weather } = WEATHER
  const tools = [{ type: 'function' as const, strict: false, ...weather }]
  const input: OpenAI.Responses.ResponseInput = [{ role: 'user', content: 'Weather in Tokyo?' }]
  const first = await client.responses.stream({ model: MODEL, input, tools }).finalResponse()
  const call = first.output.find((item) => item.type === 'function_call')
  assert.deepEqual(JSON.parse(call?.arguments ?? ''), { city: 'Tokyo' })
  // What came goes back, as clients without stored responses do it.
  const items = first.output as OpenAI.Responses.ResponseInputItem[]
  const output = '18 degrees'
  input.push(...items, { type: 'function_call_output', call_id: call?.call_id ?? '', output })
  const second = await client.responses.create({ model: MODEL, input, tools })
  assert.match(second.output_text, /18 degrees/)
})

test('calls in parallel come apart, in both APIs', async (t) => {
  const events = answerEvents(
    [
      textBlock('Both ', 'at once.'),
      toolBlock('toolu_1', 'get_weather', '{"city":', '"Oslo"}'),
      toolBlock('toolu_2', 'get_weather', '{"ci', 'ty":"Rome"}'),
    ],
    'tool_use',
  )
  const { url } = await scriptedUpstream(t, [streams(events)])
  const w = await world(t, { account: () => ({ baseUrl: url }) })
  const client = openAiFor(w)
  const request = { model: MODEL, messages: ask('Oslo and Rome?'), tools: [WEATHER] }
  const answers = [
    await client.chat.completions.create(request),
    await client.chat.completions.stream(request).finalChatCompletion(),
  ]
  for (const { choices } of answers) {
    const { content, tool_calls: calls } = choices[0].message
    assert.equal(content, 'Both at once.')
    assert.deepEqual(
      calls?.map((call) => (call.type === 'function' ? [call.id, call.function.arguments] : null)),
      [
        ['toolu_1', '{"city":"Oslo"}'],
        ['toolu_2', '{"city":"Rome"}'],
      ],
    )
  }
  const { function: weather } = WEATHER
  const response = await client.responses
    .stream({
      model: MODEL,
      input: 'Both?',
      tools: [{ type: 'function', strict: false, ...weather }],
    })
    .finalResponse()
  assert.deepEqual(
    response.output.map((item) => (item.type === 'function_call' ? item.call_id : item.type)),
    ['message', 'toolu_1', 'toolu_2'],
  )
})

test('a picture arrives whole', async (t) => {
  const w = await world(t)
  const client = openAiFor(w)
  const url = `data:image/png;base64,${png(280, 140)}`
  const chat = await client.chat.completions.create({
    model: MODEL,
    messages: [
      {
        role: 'user',
        content: [
          { type: 'text', text: 'What is in this image?' },
          { type: 'image_url', image_url: { url } },
        ],
      },
    ],
  })
  assert.match(chat.choices[0].message.content ?? '', /280 x 140/)
  const response = await client.responses.create({
    model: MODEL,
    input: [
      {
        role: 'user',
        content: [
          { type: 'input_text', text: 'What is in this image?' },
          { type: 'input_image', image_url: url, detail: 'auto' },
        ],
      },
    ],
  })
  assert.match(response.output_text, /280 x 140/)
  await assertSameNumbers(w, requestIdIn(response.id), response.usage)
})

test('an answer keeps to a JSON schema, in both APIs', async (t) => {
  const w = await world(t)
  const client = openAiFor(w)
  const schema = {
    type: 'object',
    properties: { city: { type: 'string' }, degrees: { type: 'integer' } },
    required: ['city', 'degrees'],
    additionalProperties: false,
  }
  const chat = await client.chat.completions.create({
    model: MODEL,
    messages: ask('Weather in Tokyo?'),
    response_format: {
      type: 'json_schema',
      json_schema: { name: 'weather', strict: true, schema },
    },
  })
  const response = await client.responses.create({
    model: MODEL,
    input: 'Weather in Tokyo?',
    text: { format: { type: 'json_schema', name: 'weather', strict: true, schema } },
  })
  for (const text of [chat.choices[0].message.content, response.output_text]) {
    const answer = JSON.parse(text ?? '')
    assert.deepEqual(Object.keys(answer), ['city', 'degrees'])
  }
  assert.deepEqual(Object.keys(Object(lastBody(w).output_config)), ['format'])
})

test('thinking is shown, goes round unchanged, and its tokens are told and paid', async (t) => {
  const w = await world(t)
  const client = openAiFor(w)
  const messages: OpenAI.ChatCompletionMessageParam[] = ask('Weather in Tokyo?')
  const request = { model: 'claude-opus-5-5', reasoning_effort: 'high' as const, tools: [WEATHER] }
  const first = await client.chat.completions.create({ ...request, messages })
  const { message } = first.choices[0]
  assert.ok((first.usage?.completion_tokens_details?.reasoning_tokens ?? 0) > 0)
  await assertSameNumbers(w, requestIdIn(first.id), first.usage)
  const details = Object(message).reasoning_details
  assert.equal(details[0].type, 'reasoning.text')
  const id = message.tool_calls?.[0].id ?? ''
  messages.push(message, { role: 'tool', tool_call_id: id, content: '18 degrees' })
  await client.chat.completions.create({ ...request, messages })
  const sent = Object(lastBody(w)).messages[1].content[0]
  assert.deepEqual(sent, {
    type: 'thinking',
    thinking: details[0].text,
    signature: details[0].signature,
  })
})

test('reasoning items of the Responses API carry the thinking round', async (t) => {
  const w = await world(t)
  const client = openAiFor(w)
  const request = {
    model: 'claude-opus-5-5',
    reasoning: { effort: 'high' as const, summary: 'auto' as const },
    include: ['reasoning.encrypted_content' as const],
    store: false,
  }
  const first = await client.responses
    .stream({ ...request, input: 'Think, please.' })
    .finalResponse()
  const [item] = first.output
  assert.equal(item.type, 'reasoning')
  const input: OpenAI.Responses.ResponseInput = [{ role: 'user', content: 'Think, please.' }]
  const items = first.output as OpenAI.Responses.ResponseInputItem[]
  input.push(...items, { role: 'user', content: 'And again.' })
  const second = await client.responses.create({ ...request, input })
  assert.equal(second.status, 'completed')
  const sent = Object(lastBody(w)).messages[1].content[0]
  assert.equal(sent.type, 'thinking')
  assert.ok(sent.signature.length > 10)
})

test('a prompt is cached by either way of asking, and the answer tells what was read and written', async (t) => {
  const w = await world(t, { accounts: ['one'] })
  const client = openAiFor(w)
  const system = prose(2_000, 'for all ')
  const turn = async () => {
    const { usage, id } = await client.chat.completions.create({
      model: MODEL,
      prompt_cache_key: 'conversation-1',
      messages: [{ role: 'system', content: system }, ...ask('And now?')],
    })
    await assertSameNumbers(w, requestIdIn(id), usage)
    return usage?.prompt_tokens_details?.cached_tokens ?? -1
  }
  assert.equal(await turn(), 0)
  assert.ok((await turn()) > 1_900)
})

test('a conversation that goes on is cached by itself; a prompt that comes once is not', async (t) => {
  const w = await world(t, { accounts: ['one'] })
  const client = openAiFor(w)
  const messages: OpenAI.ChatCompletionMessageParam[] = [
    { role: 'system', content: prose(2_000, 'for all ') },
  ]
  const figures: (readonly (number | undefined)[])[] = []
  for (const question of ['One?', 'Two?', 'Three?', 'Four?']) {
    messages.push({ role: 'user', content: question })
    const { choices, usage, id } = await client.chat.completions.create({ model: MODEL, messages })
    await assertSameNumbers(w, requestIdIn(id), usage)
    messages.push(choices[0].message)
    const details = usage?.prompt_tokens_details
    figures.push([details?.cache_write_tokens, details?.cached_tokens])
  }
  const [first, second, third, fourth] = figures
  assert.deepEqual(first, [0, 0])
  assert.ok((second[0] ?? 0) > 1_900 && second[1] === 0, String(second))
  assert.ok((third[1] ?? 0) > 1_900 && (third[0] ?? 0) < 100, String(third))
  assert.ok((fourth[1] ?? 0) > (third[1] ?? 0), String(fourth))

  for (const tail of ['a', 'b', 'c']) {
    const once = [messages[0], { role: 'user' as const, content: `Classify: ${tail}` }]
    const { usage } = await client.chat.completions.create({ model: MODEL, messages: once })
    assert.equal(usage?.prompt_tokens_details?.cache_write_tokens, 0)
  }
})

test('the SDK throws its own errors, with our status, code and request id', async (t) => {
  const w = await world(t, { creditMicro: 0 })
  const request = { model: MODEL, messages: ask('Hello') }
  const broke: unknown = await openAiFor(w)
    .chat.completions.create(request)
    .catch((e) => e)
  assert.ok(broke instanceof OpenAI.APIError)
  assert.deepEqual(
    [broke.status, broke.code, broke.type],
    [402, 'insufficient_quota', 'insufficient_quota'],
  )
  assert.match(broke.requestID ?? '', /^ccr_/)
  assert.equal(w.sandbox.counters.messages, 0)

  const wrong = openAiFor({ url: w.url, key: `${w.key.slice(0, -1)}x` })
  const unknown: unknown = await wrong.responses
    .create({ model: MODEL, input: 'Hi' })
    .catch((e) => e)
  assert.ok(unknown instanceof OpenAI.AuthenticationError)
  assert.equal(unknown.code, 'invalid_api_key')

  const rich = {
    url: w.url,
    key: await w.newKey('bob', 'x', { creditMicro: 5_000_000, rpmLimit: 3 }),
  }
  const client = openAiFor(rich)
  const missing: unknown = await client.chat.completions
    .create({ ...request, model: 'claude-none' })
    .catch((e) => e)
  assert.ok(missing instanceof OpenAI.NotFoundError)
  assert.deepEqual([missing.code, missing.param], ['model_not_found', 'model'])
  const bad: unknown = await client.chat.completions.create({ ...request, n: 2 }).catch((e) => e)
  assert.ok(bad instanceof OpenAI.BadRequestError)
  assert.deepEqual([bad.code, bad.param], ['unsupported_value', 'n'])
  await client.chat.completions.create(request)
  const limited: unknown = await client.chat.completions.create(request).catch((e) => e)
  assert.ok(limited instanceof OpenAI.RateLimitError)
  assert.equal(limited.code, 'rate_limit_exceeded')
  assert.equal(limited.headers?.get('x-ratelimit-limit-requests'), '3')
  assert.equal(limited.headers?.get('x-ratelimit-remaining-requests'), '0')
  assert.match(limited.headers?.get('x-ratelimit-reset-requests') ?? '', /^(\d+ms|\d+s|\d+m\d+s)$/)
})

test('a stream that breaks throws in chat, and fails in responses; what was delivered is paid', async (t) => {
  const w = await world(t)
  const broken = { headers: { 'x-sandbox': 'at=mid_event,how=close,output_tokens=60' } }
  const chat: unknown = await openAiFor(w)
    .chat.completions.stream({ model: MODEL, messages: ask('Hello') }, broken)
    .finalChatCompletion()
    .catch((e) => e)
  assert.ok(chat instanceof OpenAI.APIError, String(chat))
  assert.equal(chat.type, 'server_error')

  const response = await openAiFor(w).responses.create(
    { model: MODEL, input: 'Hello', stream: true },
    broken,
  )
  const types: string[] = []
  for await (const event of response) {
    types.push(event.type)
    if (event.type === 'response.failed') assert.equal(event.response.error?.code, 'server_error')
  }
  assert.equal(types.at(-1), 'response.failed')
  await w.settled()
  const { records } = await rows(w)
  assert.equal(records.length, 2)
  for (const { status, costMicro } of records) {
    assert.equal(status, 'interrupted')
    assert.ok(costMicro > 0)
  }
})

test('the list of models is OpenAI’s, with our own names, for what the key may use', async (t) => {
  const w = await world(t, {
    key: { models: ['claude-haiku-*', 'claude-sonnet-4-6'] },
    config: (config) => ({
      ...config,
      models: {
        ...config.models,
        lists: { ...config.models.lists, aliases: { fast: MODEL } },
        openAiNames: { 'gpt-4o': MODEL, 'gpt-*': 'claude-haiku-4-5' },
      },
    }),
  })
  const client = openAiFor(w)
  const ids: string[] = []
  for await (const model of client.models.list()) {
    assert.equal(model.object, 'model')
    ids.push(model.id)
  }
  assert.ok(ids.includes('fast') && ids.includes('gpt-4o') && ids.includes(MODEL), ids.join(' '))
  assert.ok(ids.every((id) => !id.includes('opus') && !id.includes('*')))
  assert.equal((await client.models.retrieve('gpt-4o')).id, 'gpt-4o')
  const none: unknown = await client.models.retrieve('claude-opus-5').catch((e) => e)
  assert.ok(none instanceof OpenAI.NotFoundError)
  assert.equal(none.code, 'model_not_found')
  // The names work, by their own line and by a glob; records have the model that they mean.
  for (const [name, meant] of [
    ['gpt-4o', MODEL],
    ['gpt-5-mini', 'claude-haiku-4-5'],
    ['fast', MODEL],
    [`anthropic/${MODEL}`, MODEL],
  ]) {
    const { id } = await client.chat.completions.create({ model: name, messages: ask('Hi') })
    assert.equal((await w.usage(requestIdIn(id))).model, meant)
  }
})

async function rows(w: World) {
  const ids = w.log
    .map((line) => JSON.parse(line) as { readonly msg?: string; readonly request_id?: string })
    .filter(({ msg }) => msg === 'request.done')
    .map(({ request_id }) => request_id ?? '')
  return { records: await Promise.all(ids.map((id) => w.usage(id))) }
}
