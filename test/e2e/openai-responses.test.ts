import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createOpenAI } from '@ai-sdk/openai'
import { generateText, stepCountIs, streamText } from 'ai'
import type OpenAI from 'openai'
import { zodResponsesFunction, zodTextFormat } from 'openai/helpers/zod'
import { z } from 'zod'
import {
  answerEvents,
  assertSameNumbers,
  openAiFor,
  postOpenAi,
  requestIdIn,
  type ScriptedEvent,
  scriptedUpstream,
  streams,
  textBlock,
  toolBlock,
} from '../support/openai.ts'
import { type World, type WorldOptions, world } from '../support/world.ts'

const MODEL = 'claude-opus-5-5'
const PATCH = '*** Begin Patch\n+"é" \\ 😀\n*** End Patch'
const PATCH_JSON = JSON.stringify({ input: PATCH })
const WEB_SEARCH: WorldOptions['config'] = (config) => ({
  ...config,
  openAi: { ...config.openAi, webSearch: true },
})

const calls = (...blocks: Parameters<typeof answerEvents>[0]) =>
  answerEvents(blocks, 'tool_use', MODEL)
const says = (...text: readonly string[]) => answerEvents([textBlock(...text)], 'end_turn', MODEL)

/** A world whose upstream gives these answers in their order, and what it is sent. */
async function answering(
  t: Parameters<typeof world>[0],
  answers: readonly (readonly ScriptedEvent[])[],
  options: WorldOptions = {},
) {
  const { url, requests } = await scriptedUpstream(t, answers.map(streams))
  const w = await world(t, { account: () => ({ baseUrl: url }), accounts: ['one'], ...options })
  return { w, requests }
}

/** An answer that searched the web once, and what it found. */
const SEARCHED: readonly ScriptedEvent[] = calls(
  textBlock('Let me look. '),
  {
    start: { type: 'server_tool_use', id: 'srvtoolu_1', name: 'web_search', input: {} },
    deltas: [{ type: 'input_json_delta', partial_json: '{"query":"sun over Bern"}' }],
  },
  {
    start: {
      type: 'web_search_tool_result',
      tool_use_id: 'srvtoolu_1',
      content: [{ type: 'web_search_result', url: 'https://example.com/a', title: 'A' }],
    },
    deltas: [],
  },
  {
    start: { type: 'text', text: '' },
    deltas: [
      {
        type: 'citations_delta',
        citation: {
          type: 'web_search_result_location',
          url: 'https://example.com/a',
          title: 'A',
          cited_text: 'sunny',
          encrypted_index: 'x',
        },
      },
      { type: 'text_delta', text: 'It is sunny.' },
    ],
  },
).map((event) =>
  event.type === 'message_delta' ? { ...event, delta: { stop_reason: 'end_turn' } } : event,
)

test('what the SDK parses of an answer is an object of its schema, and arguments of its tool', async (t) => {
  const { w, requests } = await answering(t, [
    says('{"city":"Bern",', '"degrees":18}'),
    calls(toolBlock('toolu_1', 'get_weather', '{"city"', ':"Bern"}')),
  ])
  const client = openAiFor(w)
  const Weather = z.object({ city: z.string(), degrees: z.number().min(-90) })
  const parsed = await client.responses.parse({
    model: MODEL,
    input: 'Weather in Bern?',
    text: { format: zodTextFormat(Weather, 'weather') },
  })
  assert.deepEqual(parsed.output_parsed, { city: 'Bern', degrees: 18 })
  const sent = requests[0].body.output_config as { readonly format: { readonly type: string } }
  assert.equal(sent.format.type, 'json_schema')
  const City = z.object({ city: z.string() })
  const called = await client.responses.parse({
    model: MODEL,
    input: 'Weather in Bern?',
    tools: [zodResponsesFunction({ name: 'get_weather', parameters: City })],
  })
  const [call] = called.output
  assert.ok(call.type === 'function_call')
  assert.deepEqual(call.parsed_arguments, { city: 'Bern' })
  assert.equal(Object(requests[1].body.tools)[0].strict, true)
})

test('a custom tool of the SDK gets its text, streamed and whole, and its output goes back', async (t) => {
  const { w, requests } = await answering(t, [
    calls(toolBlock('toolu_1', 'apply_patch', PATCH_JSON.slice(0, 31), PATCH_JSON.slice(31))),
    calls(toolBlock('toolu_1', 'apply_patch', PATCH_JSON)),
    says('Done.'),
  ])
  const client = openAiFor(w)
  const grammar = { type: 'grammar' as const, syntax: 'regex' as const, definition: '.*' }
  const tools = [{ type: 'custom' as const, name: 'apply_patch', format: grammar }]
  const question = { role: 'user' as const, content: 'Patch it.' }
  const stream = client.responses.stream({ model: MODEL, input: [question], tools })
  let text = ''
  stream.on('event', (event) => {
    if (event.type === 'response.custom_tool_call_input.delta') text += event.delta
  })
  const streamed = await stream.finalResponse()
  assert.equal(text, PATCH)
  const whole = await client.responses.create({ model: MODEL, input: [question], tools })
  for (const { output } of [streamed, whole]) {
    const [call] = output
    assert.ok(call.type === 'custom_tool_call')
    assert.deepEqual([call.name, call.input, call.call_id], ['apply_patch', PATCH, 'toolu_1'])
  }
  const input = [
    question,
    ...(whole.output as OpenAI.Responses.ResponseInputItem[]),
    { type: 'custom_tool_call_output' as const, call_id: 'toolu_1', output: 'ok' },
  ]
  const last = await client.responses.create({ model: MODEL, input, tools })
  assert.equal(last.output_text, 'Done.')
  assert.deepEqual(Object(requests[2].body.messages)[1].content, [
    { type: 'tool_use', id: 'toolu_1', name: 'apply_patch', input: { input: PATCH } },
  ])
})

test('the SDK sees a web search with its query, its place among the text, and its sources', async (t) => {
  const { w } = await answering(t, [SEARCHED], { config: WEB_SEARCH })
  const client = openAiFor(w)
  const request = { model: MODEL, input: 'Sun?', tools: [{ type: 'web_search' as const }] }
  const answers = [
    await client.responses.create(request),
    await client.responses.stream(request).finalResponse(),
  ]
  for (const response of answers) {
    const [before, search, after] = response.output
    assert.deepEqual(
      response.output.map(({ type }) => type),
      ['message', 'web_search_call', 'message'],
    )
    assert.ok(before.type === 'message' && after.type === 'message')
    assert.ok(search.type === 'web_search_call')
    assert.equal(Object(search).action.query, 'sun over Bern')
    const [part] = after.content
    assert.ok(part.type === 'output_text')
    assert.deepEqual(part.annotations, [
      {
        type: 'url_citation',
        start_index: 0,
        end_index: 'It is sunny.'.length,
        url: 'https://example.com/a',
        title: 'A',
      },
    ])
    await assertSameNumbers(w, requestIdIn(response.id), response.usage)
  }
})

test('the AI SDK runs a custom tool in a loop, and names the sources of a search', async (t) => {
  const { w } = await answering(
    t,
    [calls(toolBlock('toolu_1', 'write', PATCH_JSON)), says('Written.'), SEARCHED],
    { config: WEB_SEARCH },
  )
  const openai = createOpenAI({ apiKey: w.key, baseURL: `${w.url}/v1` })
  const model = openai.responses(MODEL)
  const providerOptions = { openai: { store: false } }
  const written: string[] = []
  const write = openai.tools.customTool({
    execute: async (text: string) => {
      written.push(text)
      return 'ok'
    },
  })
  const looped = streamText({
    model,
    prompt: 'Write it.',
    stopWhen: stepCountIs(3),
    providerOptions,
    tools: { write },
  })
  assert.equal(await looped.text, 'Written.')
  assert.deepEqual(written, [PATCH])
  const searched = await generateText({
    model,
    prompt: 'Sun?',
    providerOptions,
    tools: { web_search: openai.tools.webSearch() },
  })
  assert.equal(searched.text, 'Let me look. It is sunny.')
  assert.deepEqual(
    searched.sources.map((source) => (source.sourceType === 'url' ? source.url : null)),
    ['https://example.com/a'],
  )
})

test('a refusal reaches the SDK as such, and ends the answer early', async (t) => {
  const events = answerEvents([textBlock('Sure, ')], 'refusal', MODEL).map((event) =>
    event.type === 'message_delta'
      ? {
          ...event,
          delta: { stop_reason: 'refusal', stop_details: { explanation: 'This is not allowed.' } },
        }
      : event,
  )
  const { w } = await answering(t, [events])
  const client = openAiFor(w)
  const request = { model: MODEL, input: 'Do harm.' }
  const answers = [
    await client.responses.create(request),
    await client.responses.stream(request).finalResponse(),
  ]
  for (const { status, incomplete_details: details, output } of answers) {
    assert.deepEqual([status, details?.reason], ['incomplete', 'content_filter'])
    const [message] = output
    assert.ok(message.type === 'message')
    assert.deepEqual(
      message.content.map((part) => (part.type === 'refusal' ? part.refusal : part.text)),
      ['Sure, ', 'This is not allowed.'],
    )
  }
})

/** What no answer can come of: the body, and how the error is told. */
const BAD: readonly (readonly [unknown, string, string | null])[] = [
  ['', 'invalid_json', null],
  ['{"model":', 'invalid_json', null],
  ['[]', 'invalid_json', null],
  ['null', 'invalid_json', null],
  [`{"input":${'['.repeat(80)}${']'.repeat(80)}}`, 'json_too_complex', null],
  [{ model: 5 }, 'invalid_value', 'model'],
  [{ model: '' }, 'missing_required_parameter', 'model'],
  [{ input: undefined }, 'missing_required_parameter', 'input'],
  [{ input: 5 }, 'invalid_value', 'input'],
  [{ input: '' }, 'invalid_value', 'input'],
  [{ input: [] }, 'invalid_value', 'input'],
  [{ input: ['Hi'] }, 'invalid_value', 'input[0]'],
  [{ input: [{}] }, 'missing_required_parameter', 'input[0].type'],
  [{ input: [{ type: 5 }] }, 'invalid_value', 'input[0].type'],
  [{ input: [{ type: 'message', content: 'x' }] }, 'missing_required_parameter', 'input[0].role'],
  [{ input: [{ role: 'user', content: 5 }] }, 'invalid_value', 'input[0].content'],
  [
    { input: [{ role: 'user', content: [{ type: 'input_text' }] }] },
    'missing_required_parameter',
    'input[0].content[0].text',
  ],
  [
    { input: [{ role: 'user', content: [{ type: 'input_image', image_url: 'http://x/' }] }] },
    'invalid_value',
    'input[0].content[0].image_url',
  ],
  [
    { input: [{ type: 'agent_message', content: [{ type: 'input_image', image_url: 'x' }] }] },
    'unsupported_value',
    'input[0].content[0].type',
  ],
  [
    { input: [{ type: 'function_call', name: 'f' }] },
    'missing_required_parameter',
    'input[0].call_id',
  ],
  [
    { input: [{ type: 'function_call', call_id: 'c', name: 'f', arguments: {} }] },
    'invalid_value',
    'input[0].arguments',
  ],
  [{ input: [{ type: 'function_call', call_id: 'c', name: 'f' }] }, 'invalid_value', 'input'],
  [{ input: [{ type: 'function_call_output', call_id: 'c' }] }, 'invalid_value', 'input'],
  [{ input: [{ type: 'hologram' }] }, 'invalid_value', 'input[0].type'],
  [{ input: [{ type: 'compaction_trigger' }] }, 'unsupported_value', 'input[0].type'],
  [{ input: [{ type: 'item_reference', id: 'x' }] }, 'unsupported_value', 'input[0].type'],
  [{ previous_response_id: 'resp_1' }, 'previous_response_not_found', 'previous_response_id'],
  [{ conversation: { id: 'conv_1' } }, 'unsupported_parameter', 'conversation'],
  [{ prompt: { id: 'pmpt_1' } }, 'unsupported_parameter', 'prompt'],
  [{ background: true }, 'unsupported_parameter', 'background'],
  [{ context_management: [] }, 'unsupported_parameter', 'context_management'],
  [{ instructions: 5 }, 'invalid_value', 'instructions'],
  [{ max_output_tokens: 0 }, 'invalid_value', 'max_output_tokens'],
  [{ temperature: 3 }, 'invalid_value', 'temperature'],
  [{ stream: 'yes' }, 'invalid_value', 'stream'],
  [{ reasoning: { effort: 'heroic' } }, 'invalid_value', 'reasoning.effort'],
  [{ text: { format: { type: 'xml' } } }, 'invalid_value', 'text.format.type'],
  [
    { text: { format: { type: 'json_schema' } } },
    'missing_required_parameter',
    'text.format.schema',
  ],
  [{ tools: {} }, 'invalid_value', 'tools'],
  [{ tools: [{ type: 'function' }] }, 'missing_required_parameter', 'tools[0].name'],
  [{ tools: [{ type: 'mcp' }] }, 'unsupported_value', 'tools[0].type'],
  [
    { tools: [{ type: 'namespace', name: 'n', tools: [{ type: 'mcp' }] }] },
    'unsupported_value',
    'tools[0].tools[0].type',
  ],
  [{ tool_choice: 'maybe' }, 'invalid_value', 'tool_choice'],
  [
    { tools: [{ type: 'function', name: 'f' }], tool_choice: { type: 'function', name: 'g' } },
    'invalid_value',
    'tool_choice',
  ],
]

test('what cannot be answered is refused with the field that is wrong, and nothing else happens', async (t) => {
  const w = await world(t)
  for (const [body, code, param] of BAD) {
    const sent = typeof body === 'string' ? body : { model: MODEL, input: 'Hi', ...Object(body) }
    for (const stream of typeof body === 'string' ? [false] : [false, true]) {
      const request = stream ? { stream, ...Object(sent) } : sent
      const response = await postOpenAi(w, '/v1/responses', request)
      const { error, ...rest } = (await response.json()) as { readonly error: object }
      const { message, ...said } = error as { readonly message: string }
      const told = { type: 'invalid_request_error', param, code }
      assert.deepEqual([response.status, said, rest], [400, told, {}], JSON.stringify(body))
      assert.ok(message.length > 10 && message.length < 400)
      assert.equal(response.headers.get('x-should-retry'), 'false')
    }
  }
  await assertUntouched(w)
})

test('what has no effect is told in the head, and is answered', async (t) => {
  const w = await world(t)
  const response = await postOpenAi(w, '/v1/responses', {
    model: MODEL,
    input: 'Hi',
    store: true,
    background: false,
    include: ['message.output_text.logprobs', 5],
    truncation: 'auto',
    previous_response_id: null,
    conversation: null,
    max_tool_calls: 3,
    stream_options: { include_obfuscation: false },
    prompt_cache_key: 5,
    somebody_elses: {},
  })
  assert.equal(response.status, 200)
  assert.equal(
    response.headers.get('x-cc-ignored-params'),
    'store, truncation, max_tool_calls, somebody_elses, include',
  )
  const said = (await response.json()) as OpenAI.Responses.Response
  assert.deepEqual([said.status, Object(said).store, said.max_tool_calls], ['completed', false, 3])
})

/** Nothing was sent, held or charged, and no account rests. */
async function assertUntouched(w: World): Promise<void> {
  assert.equal(w.sandbox.counters.messages, 0)
  assert.deepEqual(await w.store.listOpenHolds(), [])
  assert.deepEqual(await w.wallet(), { balanceMicro: 10_000_000, heldMicro: 0 })
  const accounts = await w.store.listAccounts(Date.now())
  assert.ok(accounts.every((account) => !JSON.stringify(account).includes('cooling')))
}
