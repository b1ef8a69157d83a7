import assert from 'node:assert/strict'
import { test } from 'node:test'
import { repairBody } from '../../../src/dialects/openai/repair.ts'

const BOUND =
  'messages.1.content.0: Invalid `signature` in `thinking` block. The block is bound to a different conversation.'

const user = (text: string) => ({ role: 'user', content: [{ type: 'text', text }] })
const thinking = { type: 'thinking', thinking: 'T', signature: 'S' }
const call = { type: 'tool_use', id: 'c1', name: 'f', input: {} }
const result = { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'c1' }] }

function body(more: object, messages: readonly object[]): string {
  return JSON.stringify({ model: 'm', max_tokens: 1, stream: true, ...more, messages })
}

test('thinking that is bound to another conversation is left out, with what it leaves empty', () => {
  const text = body({ thinking: { type: 'adaptive' } }, [
    user('a'),
    { role: 'assistant', content: [thinking, { type: 'text', text: 'b' }] },
    user('c'),
    { role: 'assistant', content: [{ type: 'redacted_thinking', data: 'R' }] },
    user('d'),
  ])
  const repair = repairBody(text, 400, BOUND)
  assert.equal(repair?.kind, 'without_thinking')
  const repaired = JSON.parse(repair?.body ?? '')
  assert.deepEqual(repaired.thinking, { type: 'adaptive' })
  assert.deepEqual(repaired.messages, [
    user('a'),
    { role: 'assistant', content: [{ type: 'text', text: 'b' }] },
    user('c'),
    user('d'),
  ])
})

test('thinking by budget goes along with its blocks', () => {
  const text = body({ thinking: { type: 'enabled', budget_tokens: 1024 } }, [
    user('a'),
    { role: 'assistant', content: [thinking, call] },
    result,
  ])
  assert.equal(JSON.parse(repairBody(text, 400, BOUND)?.body ?? '').thinking, undefined)
})

test('a history with calls of tools that were not sent gets stubs of them', () => {
  const messages = [user('a'), { role: 'assistant', content: [call] }, result]
  const repair = repairBody(body({}, messages), 400, '`tools` is required when …')
  assert.equal(repair?.kind, 'with_tool_stubs')
  const repaired = JSON.parse(repair?.body ?? '')
  assert.deepEqual(repaired.tools, [{ name: 'f', input_schema: { type: 'object' } }])
  assert.deepEqual(repaired.tool_choice, { type: 'none' })
})

test('nothing is repaired where nothing would change', () => {
  assert.equal(repairBody(body({}, [user('a')]), 400, BOUND), null)
  assert.equal(repairBody(body({}, [user('a')]), 400, 'tools: required'), null)
  assert.equal(repairBody(body({}, [user('a')]), 500, BOUND), null)
  assert.equal(repairBody(body({}, [user('a')]), 400, 'max_tokens: too large'), null)
  assert.equal(repairBody('not JSON', 400, BOUND), null)
})
