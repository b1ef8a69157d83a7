/** What translating OpenAI's formats costs alone: `node --import tsx bench/translate.ts`. */

import { createHash, hash } from 'node:crypto'
import type { TranslationContext, Translator } from '../src/dialects/dialect.ts'
import { DEFAULT_TRANSLATION_SETTINGS } from '../src/dialects/dialect.ts'
import { capabilitiesOf } from '../src/dialects/openai/capabilities.ts'
import { openaiChat } from '../src/dialects/openai-chat/index.ts'
import { StreamTap } from '../src/providers/anthropic/stream-tap.ts'

const ROUNDS = 12
const MODEL = 'claude-opus-5-5'

const context: TranslationContext = {
  keyId: 'key_1',
  digest: { sha1: (text) => hash('sha1', text), sha256: (text) => hash('sha256', text) },
  modelOf: (name) => ({ id: name, capabilities: capabilitiesOf(name) }),
  settings: DEFAULT_TRANSLATION_SETTINGS,
}

const chat = openaiChat.translator as Translator

/** The fastest of several rounds, in microseconds per call: the others measure the machine. */
function fastestUs(calls: number, call: () => void): number {
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < ROUNDS; round++) {
    const startMs = performance.now()
    for (let k = 0; k < calls; k++) call()
    best = Math.min(best, ((performance.now() - startMs) * 1000) / calls)
  }
  return best
}

function say(what: string, us: number): void {
  const text = us < 100 ? `${us.toFixed(2)} µs` : `${(us / 1000).toFixed(2)} ms`
  process.stdout.write(`${what.padEnd(60)}${text.padStart(12)}\n`)
}

/** A conversation with calls, their results and thinking, of 100 messages and about 200 KB. */
function conversation(): object {
  const file = '  1\timport x from "y"\n  2\tconst a = 1;\n'.repeat(150)
  const tools = Array.from({ length: 12 }, (_, k) => ({
    type: 'function',
    function: {
      name: `tool_${k}`,
      description: 'Reads a file from the disk.\n'.repeat(10),
      parameters: { type: 'object', properties: { path: { type: 'string' } }, required: ['path'] },
    },
  }))
  const messages: object[] = [{ role: 'system', content: 'You are an agent.\n'.repeat(100) }]
  for (let k = 0; messages.length < 100; k++) {
    const signature = createHash('sha512').update(String(k)).digest('base64')
    messages.push({
      role: 'assistant',
      content: 'I look.',
      reasoning_details: [
        { type: 'reasoning.text', text: 'Hm.', signature, format: 'anthropic-claude-v1', index: 0 },
      ],
      tool_calls: [
        {
          id: `call_${k}`,
          type: 'function',
          function: { name: 'tool_1', arguments: '{"path":"/a"}' },
        },
      ],
    })
    messages.push({ role: 'tool', tool_call_id: `call_${k}`, content: file.slice(0, 3_600) })
    if (k % 5 === 4) messages.push({ role: 'user', content: 'Go on, please.' })
  }
  const last = messages.at(-1) as { role: string; tool_calls?: unknown }
  if (last.tool_calls !== undefined) messages.pop()
  return { model: MODEL, messages, tools, stream: true, reasoning_effort: 'high' }
}

function mustPass(json: unknown) {
  const translation = chat.translate(json, context)
  if (translation.kind === 'refused') throw new Error(translation.message)
  return translation
}

function measureRequests(): void {
  const text = JSON.stringify(conversation())
  const json: unknown = JSON.parse(text)
  const count = (json as { messages: unknown[] }).messages.length
  const size = `${Math.round(text.length / 1024)} KB, ${count} messages`
  say(
    `JSON.parse of a chat request (${size})`,
    fastestUs(40, () => JSON.parse(text)),
  )
  say(
    'its translation to upstream’s text',
    fastestUs(40, () => mustPass(json)),
  )
  say(
    'both, from the client’s text',
    fastestUs(40, () => mustPass(JSON.parse(text))),
  )
}

/** One call each: what matters is how long the loop stands still the first time. */
function measureLimits(): void {
  const ask = { model: MODEL, messages: [{ role: 'user', content: 'Hi' }] }
  const many = Array.from({ length: 20_000 }, (_, i) => i)
  const named = (name: (i: number) => string) =>
    many.map((i) => ({
      type: 'function',
      function: { name: name(i), parameters: { properties: { x: { type: 'string' } } } },
    }))
  let deep: object = { type: 'string', minLength: 1 }
  for (let i = 0; i < 28; i++) deep = { type: 'object', properties: { p: deep }, minProperties: 1 }
  const wide = Object.fromEntries(many.map((i) => [`p${i}`, { type: 'string', minLength: i }]))
  const format = (schema: object) => ({
    response_format: { type: 'json_schema', json_schema: { name: 'x', schema } },
  })
  const strict = (schema: object) => ({
    tools: Array.from({ length: 20 }, (_, i) => ({
      type: 'function',
      function: { name: `s${i}`, strict: true, parameters: schema },
    })),
  })
  const cases: readonly (readonly [string, object])[] = [
    ['20,000 tools', { ...ask, tools: named((i) => `tool_${i}`) }],
    ['20,000 tools whose names must be mapped', { ...ask, tools: named((i) => `tool ${i}`) }],
    ['a schema of 56 levels', { ...ask, ...format(deep) }],
    ['a schema of 20,000 members', { ...ask, ...format({ type: 'object', properties: wide }) }],
    ['20 strict tools of 56 levels', { ...ask, ...strict(deep) }],
  ]
  for (const [what, json] of cases) {
    const startMs = performance.now()
    mustPass(json)
    say(what, (performance.now() - startMs) * 1000)
  }
}

function measureStream(): void {
  const event = (data: { type: string; [member: string]: unknown }) =>
    `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`
  const head = [
    event({
      type: 'message_start',
      message: { id: 'msg_1', model: MODEL, usage: { input_tokens: 9 } },
    }),
    event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }),
  ].join('')
  const delta = event({
    type: 'content_block_delta',
    index: 0,
    delta: { type: 'text_delta', text: ' a piece of \\"text\\"' },
  })
  const { openAnswer } = mustPass({
    model: MODEL,
    messages: [{ role: 'user', content: 'Hi' }],
    stream: true,
    stream_options: { include_usage: true },
  })
  for (const perChunk of [1, 20]) {
    const chunk = Buffer.from(delta.repeat(perChunk))
    const answer = openAnswer({ requestId: 'ccr_1', createdS: 1 })
    answer.push(Buffer.from(head + delta))
    const tap = new StreamTap({ requestedModel: MODEL })
    tap.push(Buffer.from(head + delta), 0)
    const calls = Math.round(200_000 / perChunk)
    const tapUs = fastestUs(calls, () => tap.push(chunk, 0)) / perChunk
    const answerUs = fastestUs(calls, () => answer.push(chunk)) / perChunk
    say(`the tap alone, per event of a text, ${perChunk} a chunk`, tapUs)
    say(`translation beside it, per event, ${perChunk} a chunk`, answerUs)
  }
}

measureLimits()
measureRequests()
measureStream()
