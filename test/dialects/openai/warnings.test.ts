import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TranslationSettings } from '../../../src/dialects/dialect.ts'
import { WARNINGS, WARNINGS_OF } from '../../../src/dialects/openai/warnings.ts'
import { passed } from '../openai-chat/world.ts'
import { translated } from '../openai-responses/world.ts'

const HI = [{ role: 'user', content: 'Hi' }]

function chat(fields: object, settings: Partial<TranslationSettings> = {}) {
  return passed({ model: 'claude-opus-5-5', messages: HI, ...fields }, settings)
}

function responses(fields: object) {
  return translated({ model: 'claude-opus-5-5', input: 'Hi', ...fields })
}

const call = (parameters: unknown, strict = false) => [
  { type: 'function', function: { name: 'f', parameters, strict } },
]
const object = (properties: object) => ({ type: 'object', properties })
const format = (schema: object) => ({
  response_format: { type: 'json_schema', json_schema: { name: 'n', strict: true, schema } },
})
const MAP = { type: 'object', additionalProperties: { type: 'string' } }
const TEXT = { type: 'string' }
const BUDGET_MODEL = 'claude-haiku-4-5'

/** For every word a request that brings it, in chat or in the Responses API. */
const EXAMPLES = {
  'max-tokens-lowered': [
    chat({ max_tokens: 1_000_000 }),
    responses({ max_output_tokens: 1_000_000 }),
  ],
  'temperature-lowered': [chat({ model: BUDGET_MODEL, temperature: 1.5 })],
  'blank-stop-dropped': [chat({ stop: ['\n'] }), chat({ stop: ['END', ' '] })],
  'thinking-left-out': [
    chat({ model: BUDGET_MODEL, reasoning_effort: 'high', max_tokens: 900 }),
    chat({ model: 'claude-3-haiku', reasoning_effort: 'low' }),
    responses({ model: BUDGET_MODEL, reasoning: { effort: 'high' }, max_output_tokens: 900 }),
  ],
  'thinking-stays-on': [chat({ model: 'claude-fable-5-1', reasoning_effort: 'none' })],
  'thinking-budget-changed': [
    chat({ model: BUDGET_MODEL, reasoning: { max_tokens: 5 } }),
    chat({ reasoning: { max_tokens: 5_000 } }),
  ],
  'effort-lowered': [chat({ model: 'claude-opus-4-6', reasoning_effort: 'xhigh' })],
  'format-in-words': [
    chat(format(object({ map: MAP }))),
    chat({ response_format: { type: 'json_object' } }),
    responses({ text: { format: { type: 'json_schema', name: 'n', schema: MAP } } }),
  ],
  'schema-keywords-in-words': [
    chat(format(object({ a: { type: 'string', pattern: 'x' } }))),
    chat({ tools: call(object({ a: { type: 'string', pattern: 'x' } }), true) }),
  ],
  'strict-tools-degraded': [chat({ tools: call(MAP, true) })],
  'tool-alternatives-merged': [chat({ tools: call({ anyOf: [object({ a: TEXT })] }) })],
  'grammar-in-words': [
    chat({
      tools: [
        {
          type: 'custom',
          custom: { name: 'c', format: { type: 'grammar', grammar: { definition: 'x' } } },
        },
      ],
    }),
  ],
  'forced-tool-choice-degraded': [
    chat({ tools: call(object({})), tool_choice: 'required' }),
    responses({ tool_choice: { type: 'web_search' } }),
  ],
  'allowed-tools-not-enforced': [
    chat({ tools: call(object({})), tool_choice: { type: 'allowed_tools' } }),
    responses({ tool_choice: { type: 'allowed_tools', mode: 'auto', tools: [] } }),
  ],
  'cache-markers-changed': [
    chat({
      messages: [
        {
          role: 'user',
          content: Array.from({ length: 5 }, (_, i) => ({
            type: 'text',
            text: `${i}`,
            cache_control: { type: 'ephemeral' },
          })),
        },
      ],
    }),
  ],
  'tool-dropped': [
    responses({ tools: [{ type: 'web_search' }] }),
    responses({ tools: [{ type: 'web_search_preview_2025_03_11' }] }),
    responses({ tools: [{ type: 'image_generation' }] }),
  ],
  'item-dropped': [responses({ input: [{ type: 'compaction' }, ...HI] })],
} as const satisfies Record<keyof typeof WARNINGS | keyof typeof WARNINGS_OF, unknown>

test('every word of the headers has a request that brings it, and that alone', () => {
  for (const [word, translations] of Object.entries(EXAMPLES))
    for (const { warnings } of translations)
      assert.deepEqual(
        warnings.map((said) => said.replace(/:.*/, '')),
        [word],
      )
  assert.deepEqual(
    Object.keys(EXAMPLES).toSorted(),
    [...Object.keys(WARNINGS), ...Object.keys(WARNINGS_OF)].toSorted(),
  )
})

test('a schema that a grammar would empty is told in words, whatever leaves it open', () => {
  const open: readonly object[] = [
    object({ translations: MAP }),
    object({ any: { type: 'object' } }),
    object({ maybe: { type: ['object', 'null'] } }),
    { ...object({ a: TEXT }), additionalProperties: true },
    { ...object({ a: TEXT }), patternProperties: { '^x': TEXT } },
    { ...object({ a: TEXT }), allOf: [object({ b: TEXT })] },
    { ...object({ a: TEXT }), oneOf: [object({ b: TEXT }), object({ c: TEXT })] },
    { allOf: [{ $ref: '#/$defs/a' }, { $ref: '#/$defs/a' }], $defs: { a: object({ a: TEXT }) } },
    { type: 'object', anyOf: [object({ a: TEXT }), object({ b: TEXT })] },
  ]
  for (const schema of open) {
    const { body, warnings } = chat(format(schema))
    assert.deepEqual(warnings, ['format-in-words'], JSON.stringify(schema))
    const { output_config: config, system } = JSON.parse(body)
    assert.equal(config, undefined)
    assert.ok(system[0].text.endsWith(JSON.stringify(schema)))
  }
  const closed: readonly object[] = [
    object({ a: TEXT, list: { type: 'array', items: object({ b: TEXT }) } }),
    object({ nothing: object({}) }),
    { type: 'object', additionalProperties: false },
    { anyOf: [object({ a: TEXT }), object({ b: TEXT })] },
    object({ a: { allOf: [{ $ref: '#/$defs/a' }], description: 'x' } }),
    object({ a: { anyOf: [{ $ref: '#/$defs/a' }, { type: 'null' }] } }),
  ]
  for (const schema of closed) {
    const { body, warnings } = chat(format(schema))
    assert.deepEqual(warnings, [], JSON.stringify(schema))
    assert.equal(JSON.parse(body).output_config.format.type, 'json_schema')
  }
})

test('what asks for something and gets nothing is told; what asks for nothing is not', () => {
  const told = (fields: object) => chat(fields).ignored
  assert.deepEqual(told({ temperature: 0.2, top_p: 0.5, top_k: 3 }), [
    'temperature',
    'top_p',
    'top_k',
  ])
  assert.deepEqual(told({ model: BUDGET_MODEL, temperature: 1.5, top_p: 0.5 }), ['top_p'])
  assert.deepEqual(told({ model: BUDGET_MODEL, temperature: 0.5, reasoning_effort: 'low' }), [
    'temperature',
  ])
  for (const service_tier of ['flex', 'priority'])
    assert.deepEqual(told({ service_tier }), ['service_tier'])
  assert.deepEqual(chat({ service_tier: 'priority' }, { priorityIsFast: true }).ignored, [])
  assert.deepEqual(told({ messages: [{ ...HI[0], name: 'Ann' }] }), ['messages.name'])
  const functions = [{ name: 'g' }]
  assert.deepEqual(told({ functions }), [])
  assert.deepEqual(told({ tools: call(object({})), functions }), ['functions'])
  assert.deepEqual(
    told({
      thinking: { type: 'disabled' },
      reasoning_effort: 'none',
      reasoning: { max_tokens: 9 },
    }),
    ['reasoning_effort', 'reasoning.max_tokens'],
  )
  const idle = {
    frequency_penalty: 0,
    presence_penalty: 0,
    logprobs: false,
    top_logprobs: 0,
    store: false,
    logit_bias: {},
    metadata: {},
    verbosity: 'medium',
    temperature: 1,
    top_p: 1,
    service_tier: 'auto',
    stop: [''],
    stream_options: { include_obfuscation: false },
  }
  const { ignored, warnings } = chat(idle)
  assert.deepEqual([ignored, warnings], [[], []])
})

test('so it is in the Responses API, whose answer repeats what went up', () => {
  const wish = { text: { verbosity: 'low' }, reasoning: { context: 'all_turns', effort: 'low' } }
  const include = ['reasoning.encrypted_content', 'message.output_text.logprobs']
  assert.deepEqual(
    responses({ ...wish, include, store: true, temperature: 0.5, service_tier: 'flex' }).ignored,
    ['store', 'text.verbosity', 'reasoning.context', 'include', 'temperature', 'service_tier'],
  )
  const idle = {
    truncation: 'disabled',
    top_logprobs: 0,
    store: false,
    metadata: {},
    include: ['reasoning.encrypted_content'],
    text: { verbosity: 'medium' },
    stream_options: { include_obfuscation: false },
    temperature: 1,
  }
  assert.deepEqual(responses(idle).ignored, [])
})
