import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeThinking } from '../../../src/dialects/openai/thinking-carrier.ts'
import { translator } from '../../../src/dialects/openai-responses/translator.ts'
import { answerOf, contextWith, openAnswer, sse, translated } from './world.ts'

const MODEL = 'claude-opus-5-5'
const HI = { role: 'user', content: 'Hi' }

test('a request is not changed by its translation, and its answer repeats it as it came', () => {
  const marked = { type: 'input_text', text: 'x', cache_control: { type: 'ephemeral' } }
  const tool = (name: string) => ({
    name,
    input_schema: { type: 'object' },
    cache_control: { type: 'ephemeral' },
  })
  const request = {
    model: MODEL,
    instructions: 'Be brief.',
    // Six markers are more than upstream takes.
    tools: [tool('a'), tool('b')],
    input: [{ role: 'user', content: [marked, marked, marked, marked] }],
    metadata: { run: '7' },
  }
  const before = structuredClone(request)
  const answer = openAnswer(translated(request))
  answer.push(sse(answerOf([{ text: ['Hi'] }])))
  assert.deepEqual(request, before)
  const { tools, metadata, instructions } = JSON.parse(answer.body() ?? '')
  const { tools: sent, metadata: run, instructions: told } = before
  assert.deepEqual(
    { tools, metadata, instructions },
    { tools: sent, metadata: run, instructions: told },
  )
})

test('arguments go up as the model wrote them, to the last digit', () => {
  const text = '{"a": 12345678901234567890, "2": 1.0, "1": 1e400}'
  const call = { type: 'function_call', call_id: 'c1', name: 'f', arguments: text }
  const output = { type: 'function_call_output', call_id: 'c1', output: 'ok' }
  assert.ok(
    translated({ model: MODEL, input: [HI, call, output] }).body.includes(`"input":${text}`),
  )
})

test('a name that two namespaces have stays as it is where no namespace is told', () => {
  const inner = [{ type: 'function', name: 'f' }]
  const tools = [
    { type: 'namespace', name: 'a', tools: inner },
    { type: 'namespace', name: 'b', tools: inner },
    { type: 'namespace', name: 'c', tools: [{ type: 'function', name: 'g' }] },
  ]
  const call = (name: string, more = {}) => [
    { type: 'function_call', call_id: name, name, arguments: '{}', ...more },
    { type: 'function_call_output', call_id: name, output: 'ok' },
  ]
  const input = [HI, ...call('f'), ...call('g'), ...call('f2', { name: 'f', namespace: 'b' })]
  const { messages } = JSON.parse(translated({ model: MODEL, input, tools }).body)
  const names = messages
    .filter(({ role }: { role: string }) => role === 'assistant')
    .map(({ content }: { content: { name: string }[] }) => content[0].name)
  assert.deepEqual(names, ['f', 'c__g', 'b__f'])
})

test('thinking alone is nothing to go on with, an answer’s text is', () => {
  const lastRole = (...items: object[]) => {
    const { body } = translated({ model: 'claude-haiku-4-5', input: [HI, ...items] })
    return JSON.parse(body).messages.at(-1).role
  }
  const thinking = { type: 'thinking', thinking: 'Hm.', signature: 'sig' }
  const encrypted_content = encodeThinking(thinking, 'claude-haiku-4-5')
  const reasoning = { type: 'reasoning', summary: [], encrypted_content }
  const text = { role: 'assistant', content: 'It is' }
  assert.equal(lastRole(reasoning), 'user')
  assert.equal(lastRole(reasoning, text), 'assistant')
  assert.equal(lastRole(text), 'assistant')
})

test('20,000 tools, items, calls and agents’ messages do not hold the loop', () => {
  const many = Array.from({ length: 20_000 }, (_, i) => i)
  const start = process.cpuUsage()
  const requests = [
    { tools: many.map((i) => ({ type: 'function', name: `bad name ${i}` })) },
    {
      tools: many.map((i) => ({
        type: 'namespace',
        name: `n${i}`,
        tools: [{ type: 'function', name: 'f' }],
      })),
      input: [
        HI,
        ...many.map(() => ({ type: 'function_call', call_id: 'same', name: 'f' })),
        ...many.map(() => ({ type: 'function_call_output', call_id: 'same', output: 'ok' })),
      ],
    },
    {
      input: [
        HI,
        ...many.map((i) => ({
          type: 'additional_tools',
          tools: [{ type: 'custom', name: `f${i}` }],
        })),
        ...many.map((i) => ({ role: 'assistant', id: `msg_${i}_0`, content: 'x' })),
        ...many.map(() => ({
          type: 'agent_message',
          content: [{ type: 'encrypted_content', encrypted_content: `gAAAA${'x'.repeat(99)}!` }],
        })),
        ...many.map(() => ({ type: 'reasoning', encrypted_content: 'cc1.e30' })),
      ],
    },
  ]
  for (const request of requests) {
    const body = { model: MODEL, input: [HI], ...request }
    assert.equal(translator.translate(body, contextWith()).kind, 'ok')
  }
  const { user } = process.cpuUsage(start)
  // Far above what it takes; quadratic work would be far above this again.
  assert.ok(user < 5_000_000, `took ${user} µs`)
})

test('refusals for what is not stored say what to do instead', () => {
  const problem = (fields: object) => {
    const outcome = translator.translate({ model: MODEL, input: 'Hi', ...fields }, contextWith())
    return outcome.kind === 'refused' ? outcome.message : 'passed'
  }
  const previous = problem({ previous_response_id: 'resp_1' })
  assert.match(previous, /^Previous response with id 'resp_1' not found\. .*whole conversation/)
  assert.match(previous, /'store': false/)
  assert.match(problem({ input: [{ type: 'item_reference', id: 'msg_1' }] }), /'store': false/)
  assert.match(problem({ conversation: 'conv_1' }), /whole conversation in 'input'/)
  assert.match(problem({ context_management: [] }), /shorten 'input'/)
  assert.match(problem({ max_output_tokens: '100' }), /Invalid type .* must be a whole number\./)
  assert.match(problem({ max_output_tokens: 0 }), /at least 1/)
})

test('loose JSON loses its fence however it is cut; of a fence alone an empty part stays', () => {
  const wish = { model: MODEL, input: 'Hi', text: { format: { type: 'json_object' } } }
  const shown = (pieces: readonly string[], stopReason = 'end_turn') => {
    const answer = openAnswer(translated({ ...wish, stream: true }))
    const events = answer.push(sse(answerOf([{ text: pieces }], stopReason))).toString()
    const data = events.split('\n').flatMap((line) => /^data: (.*)/.exec(line)?.[1] ?? [])
    const parsed = data.map((json) => JSON.parse(json))
    const said = parsed.filter(({ type }) => type === 'response.output_text.delta')
    const { content } = parsed.at(-1).response.output[0]
    assert.equal(said.map(({ delta }) => delta).join(''), content[0].text)
    return content.map(({ text }: { text: string }) => text)
  }
  assert.deepEqual(shown(['`', '``js', 'on\n{"a"', ': 1}\n', '``', '`']), ['{"a": 1}'])
  assert.deepEqual(shown(['{"a": 1}']), ['{"a": 1}'])
  assert.deepEqual(shown(['``']), ['``'])
  assert.deepEqual(shown(['```json\n'], 'max_tokens'), [''])
})

test('an answer repeats the sampling that went up', () => {
  const echo = (fields: object) => {
    const answer = openAnswer(translated({ input: 'Hi', ...fields }))
    answer.push(sse(answerOf([{ text: ['Hi'] }])))
    const { temperature, top_p } = JSON.parse(answer.body() ?? '')
    return [temperature, top_p]
  }
  assert.deepEqual(echo({ model: MODEL, temperature: 0.5, top_p: 0.5 }), [null, null])
  assert.deepEqual(echo({ model: 'claude-haiku-4-5', temperature: 1.5, top_p: 0.5 }), [1, null])
  assert.deepEqual(echo({ model: 'claude-haiku-4-5', top_p: 0.5 }), [null, 0.5])
})
