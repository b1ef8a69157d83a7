import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createOpenAI } from '@ai-sdk/openai'
import { Output, streamText } from 'ai'
import type { ScriptedEvent } from '../support/openai.ts'
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
import { world } from '../support/world.ts'

const MODEL = 'claude-opus-5'
const HI = [{ role: 'user' as const, content: 'Hi' }]

/** A world whose upstream gives these answers in their order, the last one for ever. */
async function scripted(t: TestContext, answers: readonly (readonly ScriptedEvent[])[]) {
  const upstream = await scriptedUpstream(t, answers.map(streams))
  const w = await world(t, { account: () => ({ baseUrl: upstream.url }) })
  const sent = () => upstream.requests.at(-1)?.body ?? {}
  return { w, client: openAiFor(w), sent }
}

const CITY = {
  type: 'object',
  properties: { city: { type: 'string', minLength: 1 }, near: { type: ['string', 'null'] } },
  required: ['city', 'near'],
  additionalProperties: false,
}
const FORMAT = {
  type: 'json_schema' as const,
  json_schema: { name: 'city', strict: true, schema: CITY },
}
const OSLO = { city: 'Oslo', near: null }

test('parse() and stream() give the object of a schema, and throw where it was refused or cut', async (t) => {
  const refusal = answerEvents([], 'refusal')
  const { client, sent } = await scripted(t, [
    answerEvents([textBlock('{"city":"Os', 'lo","near":null}')], 'end_turn'),
    answerEvents([textBlock('{"city":"Os', 'lo","near":null}')], 'end_turn'),
    refusal,
    refusal,
    answerEvents([textBlock('{"city":"Os')], 'max_tokens'),
  ])
  const request = { model: MODEL, messages: HI, response_format: FORMAT }
  const parse = async () => (await client.chat.completions.parse(request)).choices[0].message.parsed
  const stream = async () => {
    const final = await client.chat.completions.stream(request).finalChatCompletion()
    return final.choices[0].message.parsed
  }
  assert.deepEqual(await parse(), OSLO)
  assert.deepEqual(await stream(), OSLO)
  assert.deepEqual(Object(sent().output_config).format.schema.properties.city, {
    type: 'string',
    description: 'minLength: 1',
  })
  await assert.rejects(parse, /content filter/)
  await assert.rejects(stream, /content filter/)
  await assert.rejects(parse, /length limit/)
})

test('runTools() runs calls in parallel and goes on with their results, streamed too', async (t) => {
  const calls = answerEvents(
    [textBlock('Both.'), toolBlock('toolu_1', 'add', '{"n":', '1}'), toolBlock('toolu_2', 'add')],
    'tool_use',
  )
  const done = answerEvents([textBlock('done')], 'end_turn')
  const { client, sent } = await scripted(t, [calls, done, calls, done])
  for (const stream of [true, false] as const) {
    const asked: unknown[] = []
    const tool = {
      type: 'function' as const,
      function: {
        name: 'add',
        description: 'Adds.',
        parameters: { type: 'object', properties: { n: { type: 'integer' } } },
        parse: JSON.parse,
        function: (args: unknown) => {
          asked.push(args)
          return 'ok'
        },
      },
    }
    const request = { model: MODEL, messages: HI, tools: [tool] }
    const runner = stream
      ? client.chat.completions.runTools({ ...request, stream: true })
      : client.chat.completions.runTools(request)
    assert.equal(await runner.finalContent(), 'done')
    assert.deepEqual(asked, [{ n: 1 }, {}])
    const { messages } = Object(sent())
    assert.deepEqual(
      messages.map(({ role, content }: { role: string; content: { type: string }[] }) =>
        [role, ...content.map(({ type }) => type)].join(' '),
      ),
      ['user text', 'assistant text tool_use tool_use', 'user tool_result tool_result'],
    )
  }
})

test('a custom tool gets its text, and functions of the older format their one call', async (t) => {
  const { client, w } = await scripted(t, [
    answerEvents(
      [toolBlock('toolu_1', 'sql', '{"inp', 'ut":"SELECT \\"a\\"', '\\n1"}')],
      'tool_use',
    ),
  ])
  const tools = [{ type: 'custom' as const, custom: { name: 'sql', description: 'SQL' } }]
  const request = { model: MODEL, messages: HI, tools }
  const whole = await client.chat.completions.create(request)
  let input = ''
  // The SDK's types of chunks know no custom tools.
  for await (const { choices } of await client.chat.completions.create({
    ...request,
    stream: true,
  }))
    for (const call of choices[0].delta.tool_calls ?? [])
      input += (call as { readonly custom?: { readonly input: string } }).custom?.input ?? ''
  const [call] = whole.choices[0].message.tool_calls ?? []
  assert.equal(call.type === 'custom' && call.custom.input, 'SELECT "a"\n1')
  assert.equal(input, 'SELECT "a"\n1')
  await assertSameNumbers(w, requestIdIn(whole.id), whole.usage)

  const older = await scripted(t, [
    answerEvents([textBlock('Well.'), toolBlock('toolu_1', 'f', '{"a":', '1}')], 'tool_use'),
  ])
  const functions = [{ name: 'f', parameters: { type: 'object', properties: {} } }]
  const legacy = { model: MODEL, messages: HI, functions, function_call: { name: 'f' } }
  const streamed = await older.client.chat.completions.stream(legacy).finalChatCompletion()
  for (const { choices } of [await older.client.chat.completions.create(legacy), streamed]) {
    assert.equal(choices[0].finish_reason, 'function_call')
    assert.deepEqual(choices[0].message.function_call, { name: 'f', arguments: '{"a":1}' })
  }
  const choice = { type: 'tool', name: 'f', disable_parallel_tool_use: true }
  assert.deepEqual(older.sent().tool_choice, choice)
})

test('JSON without a schema has no fence, streamed too', async (t) => {
  const { w, client } = await scripted(t, [
    answerEvents([textBlock('``', '`json\n{"city":', '"Oslo"}', '\n`', '``\n')], 'end_turn'),
  ])
  const model = createOpenAI({ apiKey: w.key, baseURL: `${w.url}/v1` }).chat(MODEL)
  const streamed = streamText({ model, prompt: 'JSON', output: Output.json() })
  assert.deepEqual(await streamed.output, { city: 'Oslo' })
  const whole = await client.chat.completions.create({
    model: MODEL,
    messages: HI,
    response_format: { type: 'json_object' },
  })
  assert.equal(whole.choices[0].message.content, '{"city":"Oslo"}')
})
