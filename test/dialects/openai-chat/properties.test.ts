import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Answer } from './answers.ts'
import { answer, eventsOf } from './answers.ts'
import { runFuzz, runStreamFuzz } from './fuzz.ts'
import type { ChatMessage } from './histories.ts'
import { history, nextTurn } from './histories.ts'
import { brokenRule } from './rules.ts'
import type { Upstream } from './world.ts'
import { answerTo, passed, payloadsOf, sse, upstreamOf } from './world.ts'

/** One model of every kind: with system messages inside or not, with prefill or not. */
const MODELS = ['claude-opus-5-5', 'claude-sonnet-5', 'claude-sonnet-4-5', 'claude-opus-4-8']

const TOOLS = [{ type: 'function', function: { name: 'f' } }]

test('a history translates to a prefix of itself with an answer and a further turn', () => {
  fc.assert(
    fc.property(fc.constantFrom(...MODELS), history, nextTurn, (model, before, more) => {
      fc.pre(!isSystemBeforeNothing(before, more))
      const shorter = upstreamOf({ model, messages: before, tools: TOOLS })
      const longer = upstreamOf({ model, messages: [...before, ...more], tools: TOOLS })
      assert.deepEqual(longer.system, shorter.system)
      assert.deepEqual(longer.tools, shorter.tools)
      const blocks = flat(shorter)
      assert.deepEqual(flat(longer).slice(0, blocks.length), blocks)
    }),
    { numRuns: 1_500 },
  )
})

test('every translated history keeps the rules of upstream', () => {
  fc.assert(
    fc.property(fc.constantFrom(...MODELS), history, (model, messages) => {
      checkRules(upstreamOf({ model, messages, tools: TOOLS }), model)
    }),
    { numRuns: 1_500 },
  )
})

test('the same request gives the same bytes', () => {
  fc.assert(
    fc.property(history, (messages) => {
      const request = { model: MODELS[0], messages, tools: TOOLS }
      assert.equal(passed(structuredClone(request)).body, passed(request).body)
    }),
    { numRuns: 200 },
  )
})

test('an answer comes back upstream as it was: thinking, text, calls, in their order', () => {
  fc.assert(
    fc.property(answer, fc.boolean(), (blocks, isStreamed) => {
      const request = {
        model: MODELS[0],
        messages: [{ role: 'user', content: 'Go' }],
        tools: TOOLS,
      }
      const message = isStreamed
        ? joined(payloadsOf(streamed(request, blocks).written))
        : wholeMessage(request, blocks)
      const results = (message.tool_calls ?? []).map(({ id }) => ({
        role: 'tool',
        tool_call_id: id,
        content: 'ok',
      }))
      const messages: ChatMessage[] = [...request.messages, { ...message }, ...results]
      const back = upstreamOf({
        ...request,
        messages: [...messages, { role: 'user', content: '.' }],
      })
      assert.deepEqual(back.messages[1]?.content ?? [], canonical(blocks))
    }),
    { numRuns: 500 },
  )
})

/** Requests whose answers are written differently. */
const WISHES: readonly object[] = [
  { tools: TOOLS },
  { tools: TOOLS, response_format: { type: 'json_object' } },
  { tools: TOOLS, reasoning: { exclude: true } },
  { tools: TOOLS, web_search_options: {} },
  { tools: [{ type: 'custom', custom: { name: 'f' } }] },
  { functions: [{ name: 'f' }] },
]

test('the pieces of a stream are the whole answer, however upstream’s bytes are cut', () => {
  const cuts = fc.array(fc.nat(), { maxLength: 12 })
  const reasons = fc.constantFrom(undefined, 'max_tokens', 'refusal', 'stop_sequence', 'new_reason')
  fc.assert(
    fc.property(answer, cuts, fc.constantFrom(...WISHES), reasons, (blocks, at, wish, reason) => {
      const messages = [{ role: 'user', content: 'Go' }]
      const stream_options = { include_usage: true }
      const request = { model: MODELS[0], messages, stream_options, ...wish }
      const upstream = sse(eventsOf(blocks, reason))
      const bytes = Buffer.byteLength(upstream)
      const places = at.map((cut) => cut % bytes).sort((x, y) => x - y)
      const streaming = passed({ ...request, stream: true }, { webSearch: true })
      const { written } = answerTo(streaming, upstream)
      assert.equal(answerTo(streaming, upstream, places).written, written)
      const { answer: opened } = answerTo(passed(request, { webSearch: true }), upstream)
      const whole = JSON.parse(opened.body() ?? 'null')
      const payloads = payloadsOf(written)
      assert.equal(payloads.pop(), '[DONE]')
      const last = payloads.pop() as { choices: unknown[]; usage: unknown }
      assert.deepEqual([last.choices, last.usage], [[], whole.usage])
      const [{ message, finish_reason }] = whole.choices
      const pieces = joined(payloads)
      for (const name of ['content', 'tool_calls', 'function_call', 'refusal'] as const)
        assert.deepEqual(pieces[name] ?? null, message[name] ?? null, name)
      assert.equal(pieces.reasoning_content, message.reasoning_content)
      assert.equal(Object(payloads.at(-1)).choices[0].finish_reason, finish_reason)
    }),
    { numRuns: 1_000 },
  )
})

test('whatever JSON comes is translated or refused, and what is translated keeps the rules', () => {
  const { problems, passed: count } = runFuzz({ runs: 5_000, seed: 20_261_122 })
  assert.deepEqual(problems, [])
  assert.ok(count > 1_000, `only ${count} bodies were translated: the others say little`)
})

test('whatever upstream streams, nothing throws, and no ending is made up', () => {
  assert.deepEqual(runStreamFuzz({ runs: 3_000, seed: 20_261_122 }).problems, [])
})

function streamed(request: object, blocks: Answer, cuts: readonly number[] = []) {
  return answerTo(passed({ ...request, stream: true }), sse(eventsOf(blocks)), cuts)
}

interface Called {
  readonly name: string
  arguments: string
}

interface Call {
  readonly id: string
  readonly type: string
  readonly function?: Called
  readonly custom?: { readonly name: string; input: string }
}

/** An assistant message of OpenAI's, as far as these tests read it. */
interface AssistantMessage {
  readonly role: string
  readonly content: string | null
  readonly reasoning_content?: string
  readonly reasoning_details?: readonly unknown[]
  readonly tool_calls?: readonly Call[]
  readonly function_call?: Called
  readonly refusal?: string
}

function wholeMessage(request: object, blocks: Answer): AssistantMessage {
  const { answer: opened } = answerTo(passed(request), sse(eventsOf(blocks)))
  return JSON.parse(opened.body() ?? 'null').choices[0].message
}

/** What a client makes of the chunks: it adds strings, and calls by their index. */
function joined(payloads: readonly unknown[]): AssistantMessage {
  let content = ''
  let reasoning = ''
  const details: unknown[] = []
  let refusal = ''
  let functionCall: Called | undefined
  const calls: Call[] = []
  for (const payload of payloads) {
    if (payload === '[DONE]') break
    const [choice] = (payload as { choices: { delta: Record<string, never> }[] }).choices
    if (choice === undefined) continue
    const { delta } = choice as {
      delta: {
        content?: string
        reasoning_content?: string
        reasoning_details?: unknown[]
        refusal?: string
        function_call?: Partial<Called>
        tool_calls?: (Partial<Call> & { index: number })[]
      }
    }
    content += delta.content ?? ''
    reasoning += delta.reasoning_content ?? ''
    details.push(...(delta.reasoning_details ?? []))
    for (const { index, ...call } of delta.tool_calls ?? []) {
      if (call.id !== undefined) {
        assert.equal(index, calls.length, 'calls are numbered from 0 without a gap')
        calls.push(structuredClone(call) as Call)
        continue
      }
      const { function: called, custom } = calls[index]
      if (called !== undefined) called.arguments += call.function?.arguments ?? ''
      if (custom !== undefined) custom.input += call.custom?.input ?? ''
    }
    refusal += delta.refusal ?? ''
    if (delta.function_call === undefined) continue
    functionCall ??= { name: delta.function_call.name ?? '', arguments: '' }
    functionCall.arguments += delta.function_call.arguments ?? ''
  }
  return {
    role: 'assistant',
    content: content === '' ? null : content,
    ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
    ...(details.length === 0 ? {} : { reasoning_details: details }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
    ...(refusal === '' ? {} : { refusal }),
    ...(functionCall === undefined ? {} : { function_call: functionCall }),
  }
}

/** The blocks of an answer as a client can give them back: all text is one, thinking first, then text, then calls. */
function canonical(blocks: Answer): unknown[] {
  const text = blocks.map((block) => (block.type === 'text' ? block.pieces.join('') : '')).join('')
  return [
    ...blocks.flatMap((block): unknown[] =>
      block.type === 'thinking'
        ? [{ type: 'thinking', thinking: block.pieces.join(''), signature: block.signature }]
        : block.type === 'redacted_thinking'
          ? [{ type: 'redacted_thinking', data: block.data }]
          : [],
    ),
    ...(text.trim() === '' ? [] : [{ type: 'text', text }]),
    ...blocks.flatMap((block) =>
      block.type === 'tool_use'
        ? [{ type: 'tool_use', id: block.id, name: 'f', input: JSON.parse(block.json || '{}') }]
        : [],
    ),
  ]
}

/**
 * Whether nothing was answered to a turn with a system message in it. That message has gone up behind the turn,
 * no user's message may follow it there, and no answer is made up to stand between the two.
 */
function isSystemBeforeNothing(
  before: readonly ChatMessage[],
  more: readonly ChatMessage[],
): boolean {
  if (isEmptyAnswer(more[0]) === false) return false
  const run = before.slice(before.findLastIndex((it) => isEmptyAnswer(it) === false) + 1)
  return run.some(({ role }) => role === 'system' || role === 'developer')
}

/** Null where it is no answer at all. */
function isEmptyAnswer({ role, content, ...rest }: ChatMessage): boolean | null {
  if (role !== 'assistant') return null
  const texts = Array.isArray(content) ? content.map(({ text }) => text) : [content ?? '']
  return Object.keys(rest).length === 0 && texts.join('').trim() === ''
}

function flat({ messages }: Upstream): unknown[] {
  return messages.flatMap(({ role, content }) => content.map((block) => ({ role, block })))
}

function checkRules(upstream: Upstream, model: string): void {
  const problem = brokenRule(upstream, model)
  assert.equal(problem, null)
}
