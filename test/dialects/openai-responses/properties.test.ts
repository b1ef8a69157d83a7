import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { brokenRule } from '../openai-chat/rules.ts'
import { fuzzRequests, fuzzStreams } from './fuzz.ts'
import type { Item } from './histories.ts'
import { history, nextTurn, outputOf, pieces, TOOLS } from './histories.ts'
import { eventsOf, playLifecycle } from './lifecycle.ts'
import type { Piece } from './world.ts'
import { answerOf, openAnswer, REQUEST_ID, sse, translated } from './world.ts'

/** One model of every kind: with system messages inside or not, with prefill or not. */
const MODELS = ['claude-opus-5-5', 'claude-sonnet-5', 'claude-sonnet-4-5', 'claude-opus-4-8']

/** An upstream body, as far as these tests read it. */
type Upstream = Parameters<typeof brokenRule>[0]

function upstreamOf(model: string, input: readonly Item[]): Upstream {
  return JSON.parse(translated({ model, input, tools: TOOLS }).body)
}

test('a history translates to a prefix of itself with an answer and a further turn', () => {
  fc.assert(
    fc.property(fc.constantFrom(...MODELS), history, nextTurn, (model, before, more) => {
      const shorter = upstreamOf(model, before)
      const longer = upstreamOf(model, [...before, ...more])
      assert.deepEqual(longer.system, shorter.system)
      assert.deepEqual(longer.tools, shorter.tools)
      const blocks = flat(shorter)
      assert.deepEqual(flat(longer).slice(0, blocks.length), blocks)
    }),
    { numRuns: 1_000 },
  )
})

test('every translated history keeps the rules of upstream', () => {
  fc.assert(
    fc.property(fc.constantFrom(...MODELS), history, (model, input) => {
      assert.equal(brokenRule(upstreamOf(model, input), model), null)
    }),
    { numRuns: 1_000 },
  )
})

test('the same request gives the same bytes', () => {
  fc.assert(
    fc.property(history, (input) => {
      const request = { model: MODELS[0], input, tools: TOOLS }
      assert.equal(translated(structuredClone(request)).body, translated(request).body)
    }),
    { numRuns: 200 },
  )
})

test('an answer goes back upstream as it came: thinking, text and calls, in their order', () => {
  fc.assert(
    fc.property(pieces, (list) => {
      const output = outputOf(list, REQUEST_ID)
      const results = output.flatMap(({ type, call_id }) => {
        const isCall = type === 'function_call' || type === 'custom_tool_call'
        return isCall ? [{ type: `${type}_output`, call_id, output: 'ok' }] : []
      })
      const user = { role: 'user', content: 'x' }
      const { messages } = upstreamOf(MODELS[0], [user, ...output, ...results, user])
      assert.deepEqual(messages[1].content, canonical(list))
    }),
    { numRuns: 500 },
  )
})

test('a stream is the same however upstream’s bytes are cut, and ends in the whole answer', () => {
  const reasons = fc.constantFrom('end_turn', 'tool_use', 'max_tokens', 'refusal', 'new_reason')
  const cuts = fc.array(fc.nat(), { maxLength: 12 })
  fc.assert(
    fc.property(pieces, reasons, cuts, (list, reason, at) => {
      const bytes = sse(answerOf(list, reason))
      const stream = streamed(bytes, [])
      const places = at.map((cut) => cut % bytes.length).sort((a, b) => a - b)
      assert.equal(streamed(bytes, places), stream)
      const whole = openAnswer(translated({ model: MODELS[0], input: 'x', tools: TOOLS }))
      whole.push(bytes)
      assert.deepEqual(playLifecycle(eventsOf(stream)), JSON.parse(whole.body() ?? ''))
    }),
    { numRuns: 500 },
  )
})

test('a stream that upstream cuts anywhere ends in one failed response', () => {
  fc.assert(
    fc.property(pieces, fc.nat(), (list, cut) => {
      const events = answerOf(list)
      const some = events.slice(0, 1 + (cut % (events.length - 1)))
      const answer = openAnswer(request())
      const written = answer.push(sse(some)).toString()
      assert.equal(answer.state, 'open')
      const last = answer.fail?.({
        status: 502,
        code: 'upstream_interrupted',
        types: { anthropic: 'api_error', openai: 'server_error' },
        message: 'The answer stopped.',
        field: null,
        details: {},
        requestId: REQUEST_ID,
      })
      const response = playLifecycle(eventsOf(`${written}${last}`))
      assert.equal(response.status, 'failed')
      assert.equal(answer.push(sse(events)).length, 0, 'nothing follows the end')
    }),
    { numRuns: 300 },
  )
})

test('whatever JSON comes is translated or refused, and what is translated keeps the rules', () => {
  const { problems, passed } = fuzzRequests({ runs: 5_000, seed: 20_261_122 })
  assert.deepEqual(problems, [])
  assert.ok(passed > 1_500, `only ${passed} bodies were translated: the others say little`)
})

test('whatever upstream streams, nothing throws, and no end is made up', () => {
  assert.deepEqual(fuzzStreams({ runs: 2_000, seed: 20_261_122 }).problems, [])
})

function request() {
  return translated({ model: MODELS[0], input: 'x', tools: TOOLS, stream: true })
}

function streamed(bytes: Buffer, places: readonly number[]): string {
  const answer = openAnswer(request())
  let written = ''
  let from = 0
  for (const place of [...places, bytes.length]) {
    written += answer.push(bytes.subarray(from, place)).toString()
    from = place
  }
  return written
}

function flat({ messages }: Upstream): unknown[] {
  return messages.flatMap(({ role, content }) => content.map((block) => ({ role, block })))
}

/** The blocks of an answer as they go back: text that adjoins is one. */
function canonical(list: readonly Piece[]): unknown[] {
  const blocks: { type: string; text?: string }[] = []
  for (const piece of list) {
    const last = blocks.at(-1)
    if ('text' in piece) {
      const text = piece.text.join('')
      if (last?.type === 'text') last.text += text
      else blocks.push({ type: 'text', text })
    } else blocks.push(canonicalBlock(piece))
  }
  return blocks
}

function canonicalBlock(piece: Piece): { type: string } {
  if ('thinking' in piece) {
    const block = { thinking: piece.thinking.join(''), signature: piece.signature }
    return { type: 'thinking', ...block }
  }
  if ('redacted' in piece) return { type: 'redacted_thinking', ...{ data: piece.redacted } }
  assert.ok('call' in piece)
  const block = { id: piece.call, name: piece.name, input: JSON.parse(piece.json.join('') || '{}') }
  return { type: 'tool_use', ...block }
}
