import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createOpenAI } from '@ai-sdk/openai'
import { HumanMessage, ToolMessage } from '@langchain/core/messages'
import { ChatOpenAI } from '@langchain/openai'
import { APICallError, generateText, jsonSchema, Output, stepCountIs, streamText, tool } from 'ai'
import { requestIdIn } from '../support/openai.ts'
import { type World, world } from '../support/world.ts'

const MODEL = 'claude-sonnet-4-6'
const HAIKU = 'Quiet gateway hums / tokens counted one by one / morning finds the sum'

interface City {
  readonly city: string
}

const CITY = jsonSchema<City>({
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
})

/** Both ways in which the AI SDK speaks to OpenAI. */
function models(w: World, name = MODEL, headers: Record<string, string> = {}) {
  const provider = createOpenAI({ apiKey: w.key, baseURL: `${w.url}/v1`, headers })
  return { chat: provider.chat(name), responses: provider.responses(name) }
}

function langchain(w: World, useResponsesApi: boolean, headers: Record<string, string> = {}) {
  return new ChatOpenAI({
    model: MODEL,
    apiKey: w.key,
    useResponsesApi,
    maxRetries: 0,
    streamUsage: true,
    configuration: { baseURL: `${w.url}/v1`, defaultHeaders: headers },
  })
}

test('the AI SDK gets text and usage, whole and streamed, from both APIs', async (t) => {
  const w = await world(t)
  for (const model of Object.values(models(w))) {
    const prompt = 'Tell me a haiku.'
    const whole = await generateText({ model, prompt })
    assert.equal(whole.text, HAIKU)
    assert.equal(whole.finishReason, 'stop')
    const stream = streamText({ model, prompt })
    let text = ''
    for await (const piece of stream.textStream) text += piece
    assert.equal(text, HAIKU)
    const usage = await stream.usage
    const row = await w.usage(requestIdIn((await stream.response).id))
    assert.deepEqual([usage.inputTokens, usage.outputTokens], [row.tokens.input, row.tokens.output])
    assert.deepEqual(
      [whole.usage.inputTokens, whole.usage.outputTokens],
      [row.tokens.input, row.tokens.output],
    )
  }
})

test('the AI SDK runs a tool in a loop, streamed, with both APIs', async (t) => {
  const w = await world(t)
  for (const model of Object.values(models(w))) {
    const asked: string[] = []
    const stream = streamText({
      model,
      prompt: 'Weather in Tokyo?',
      stopWhen: stepCountIs(3),
      // Else it refers to what it takes for stored.
      providerOptions: { openai: { store: false } },
      tools: {
        get_weather: tool({
          description: 'Look up current weather',
          inputSchema: CITY,
          execute: async ({ city }: City) => {
            asked.push(city)
            return '18 degrees'
          },
        }),
      },
    })
    assert.match(await stream.text, /18 degrees/)
    assert.deepEqual(asked, ['Tokyo'])
  }
})

test('the AI SDK gets an object of a schema from both APIs', async (t) => {
  const w = await world(t)
  for (const model of Object.values(models(w))) {
    const output = Output.object({ schema: CITY })
    const answer = await generateText({ model, prompt: 'Weather in Tokyo?', output })
    assert.deepEqual(Object.keys(answer.output), ['city'])
  }
})

test('the AI SDK carries reasoning of the Responses API into the next turn', async (t) => {
  const w = await world(t)
  const { responses: model } = models(w, 'claude-opus-5-5')
  const providerOptions = {
    openai: {
      forceReasoning: true,
      reasoningEffort: 'high',
      reasoningSummary: 'auto',
      store: false,
      include: ['reasoning.encrypted_content'],
    },
  }
  const first = await generateText({ model, prompt: 'Think, please.', providerOptions })
  assert.ok(first.reasoningText !== undefined && first.reasoningText !== '')
  const messages = [
    { role: 'user' as const, content: 'Think, please.' },
    ...first.response.messages,
    { role: 'user' as const, content: 'And again.' },
  ]
  await generateText({ model, messages, providerOptions })
  const sent = JSON.parse(String(w.sandbox.requests.at(-1)?.body))
  assert.equal(sent.messages[1].content[0].type, 'thinking')
})

test('the AI SDK reports a stream that breaks, and an empty wallet without trying again', async (t) => {
  const w = await world(t)
  const headers = { 'x-sandbox': 'at=mid_event,how=close,output_tokens=60' }
  const parts: string[] = []
  const errors: unknown[] = []
  const { chat } = models(w, MODEL, headers)
  const stream = streamText({
    model: chat,
    prompt: 'Hello',
    onError: ({ error }) => {
      errors.push(error)
    },
  })
  for await (const part of stream.fullStream) parts.push(part.type)
  assert.ok(parts.includes('error'), parts.join(' '))
  assert.equal(errors.length, 1)

  const poor = { ...w, key: await w.newKey('bob', 'poor'), url: w.url }
  const before = w.sandbox.counters.messages
  for (const model of Object.values(models(poor))) {
    const error: unknown = await generateText({ model, prompt: 'Hello' }).catch((e) => e)
    assert.ok(APICallError.isInstance(error), String(error))
    assert.equal(error.statusCode, 402)
    assert.equal(error.isRetryable, false)
    assert.match(error.message, /Insufficient credit/)
  }
  assert.equal(w.sandbox.counters.messages, before)
})

test('LangChain gets text and usage, whole and streamed, from both APIs', async (t) => {
  const w = await world(t)
  for (const useResponsesApi of [false, true]) {
    const model = langchain(w, useResponsesApi)
    const whole = await model.invoke('Tell me a haiku.')
    assert.equal(whole.text, HAIKU)
    assert.equal(whole.usage_metadata?.input_tokens, 14)
    let text = ''
    let output = 0
    for await (const piece of await model.stream('Tell me a haiku.')) {
      text += piece.text
      output += piece.usage_metadata?.output_tokens ?? 0
    }
    assert.equal(text, HAIKU)
    assert.equal(output, whole.usage_metadata?.output_tokens)
  }
})

test('LangChain calls a tool and goes on with its result, streamed too', async (t) => {
  const w = await world(t)
  const weather = {
    type: 'function' as const,
    function: {
      name: 'get_weather',
      parameters: {
        type: 'object',
        properties: { city: { type: 'string' } },
        required: ['city'],
      },
    },
  }
  for (const useResponsesApi of [false, true]) {
    const model = langchain(w, useResponsesApi).bindTools([weather])
    const question = new HumanMessage('Weather in Tokyo?')
    const chunks = await model.stream([question])
    let called: Awaited<ReturnType<typeof model.invoke>> | undefined
    for await (const chunk of chunks) called = called === undefined ? chunk : called.concat(chunk)
    const call = called?.tool_calls?.[0]
    assert.deepEqual([call?.name, call?.args], ['get_weather', { city: 'Tokyo' }])
    assert.ok(called !== undefined)
    const result = new ToolMessage({ content: '18 degrees', tool_call_id: call?.id ?? '' })
    const answer = await model.invoke([question, called, result])
    assert.match(answer.text, /18 degrees/)
  }
})

test('LangChain gets an object of a schema, and throws what breaks', async (t) => {
  const w = await world(t)
  const schema = {
    title: 'weather',
    type: 'object',
    properties: { city: { type: 'string' } },
    required: ['city'],
    additionalProperties: false,
  }
  const structured = langchain(w, false).withStructuredOutput(schema, { method: 'jsonSchema' })
  assert.deepEqual(Object.keys(await structured.invoke('Weather in Tokyo?')), ['city'])
  const headers = { 'x-sandbox': 'at=mid_event,how=close,output_tokens=60' }
  const model = langchain(w, false, headers)
  await assert.rejects(async () => {
    for await (const _ of await model.stream('Hello')) void _
  })
})

test('what LangChain says was used is what the receipt says', async (t) => {
  const w = await world(t)
  const { id, usage_metadata: usage } = await langchain(w, false).invoke('Tell me a haiku.')
  const row = await w.usage(requestIdIn(id ?? ''))
  assert.equal(usage?.input_tokens, row.tokens.input)
  assert.equal(usage?.output_tokens, row.tokens.output)
})
