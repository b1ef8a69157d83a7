import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { CHAT_FIELDS } from '../../../src/dialects/openai-chat/fields.ts'
import { MODEL, passed, translate } from './world.ts'

const FILE = fileURLToPath(new URL('../../../docs/openai-chat.md', import.meta.url))
const TABLE =
  /(<!-- fields: written by test\/dialects\/openai-chat\/docs.test.ts -->\n)[\s\S]*(<!-- end of fields -->)/

/** `UPDATE_GOLDEN=1` writes the table anew. */
test('the documents name every field, and what becomes of it', () => {
  const rows = Object.entries(CHAT_FIELDS).map(
    ([name, { action, note }]) => `| \`${name}\` | ${action} | ${note} |\n`,
  )
  const table = `| field | | where it goes |\n|---|---|---|\n${rows.join('')}`
  const text = readFileSync(FILE, 'utf8')
  const wanted = text.replace(TABLE, (_, begin, end) => begin + table + end)
  if (process.env.UPDATE_GOLDEN === '1') writeFileSync(FILE, wanted)
  assert.equal(readFileSync(FILE, 'utf8'), wanted)
  assert.ok(wanted.includes(table))
})

/** A value for each mapped field, and for those that only tell of others a request in which they matter. */
const VALUES: Readonly<Record<string, unknown>> = {
  model: 'claude-opus-5',
  messages: [{ role: 'user', content: 'Other' }],
  max_completion_tokens: 7,
  max_tokens: 7,
  temperature: 0.5,
  top_p: 0.5,
  top_k: 5,
  stop: 'END',
  stream: true,
  stream_options: { include_usage: true },
  n: 1,
  tools: [{ type: 'function', function: { name: 'f' } }],
  tool_choice: 'none',
  parallel_tool_calls: false,
  functions: [{ name: 'f' }],
  function_call: 'none',
  response_format: { type: 'json_object' },
  reasoning_effort: 'low',
  reasoning: { effort: 'low' },
  thinking: { type: 'adaptive' },
  user: 'u',
  safety_identifier: 'u',
  service_tier: 'default',
  speed: 'fast',
  cache_control: { type: 'ephemeral' },
  prompt_cache_key: 'k',
  prompt_cache_options: { mode: 'explicit' },
  prompt_cache_retention: '24h',
  web_search_options: {},
  modalities: ['text'],
}

/** Requests in which a field has something to change. */
const BESIDE: Readonly<Record<string, object>> = {
  tool_choice: { tools: VALUES.tools },
  parallel_tool_calls: { tools: VALUES.tools },
  function_call: { functions: VALUES.functions },
}

/** They change the answer, or say what is the case anyway. */
const WITHOUT_TRACE = new Set(['stream', 'stream_options', 'n', 'modalities'])

test('every field does what the table says', () => {
  const basis = { model: 'claude-sonnet-4-5', messages: [{ role: 'user', content: 'Hi' }] }
  for (const [name, { action }] of Object.entries(CHAT_FIELDS)) {
    const request = { ...basis, ...BESIDE[name], [name]: VALUES[name] ?? { any: 'thing' } }
    const translation = translate(request, { webSearch: true })
    if (action === 'refused') {
      assert.equal(translation.kind, 'refused', name)
      continue
    }
    if (translation.kind === 'refused') throw new Error(`${name}: ${translation.message}`)
    assert.equal(translation.ignored.includes(name), action === 'ignored', name)
    const without = passed({ ...basis, ...BESIDE[name] }, { webSearch: true })
    const traces = ({ body, autoCache, autoCacheTtl }: typeof without) =>
      [body, autoCache, autoCacheTtl].join()
    const isTraced = traces(translation) !== traces(without)
    assert.equal(isTraced, action === 'mapped' && !WITHOUT_TRACE.has(name), name)
  }
})

test('fields that nobody knows are told, but not what would break a header', () => {
  const messages = [{ role: 'user', content: 'Hi' }]
  const { ignored } = passed({
    model: MODEL,
    messages,
    'a\r\nb': 1,
    'x,y': 1,
    unknown: 1,
    no: null,
  })
  assert.deepEqual(ignored, ['unknown'])
  const many = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`field_${i}`, i]))
  assert.equal(passed({ model: MODEL, messages, ...many }).ignored.length, 20)
})
