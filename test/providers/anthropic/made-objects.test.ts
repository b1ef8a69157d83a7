import assert from 'node:assert/strict'
import { test } from 'node:test'
import { madeBy } from '../../../src/providers/anthropic/made-objects.ts'
import { StreamTap } from '../../../src/providers/anthropic/stream-tap.ts'

const output = (id: unknown) => ({ type: 'bash_code_execution_output', file_id: id })
const ran = (...content: unknown[]) => ({
  type: 'bash_code_execution_tool_result',
  tool_use_id: 'srvtoolu_1',
  content: { type: 'bash_code_execution_result', stdout: '{"file_id":"file_0"}', content },
})
const CONTAINER = { id: 'container_1', expires_at: '2026-12-22T00:00:00Z' }
const ENDS_MS = Date.UTC(2026, 11, 22)

test('an answer names its container, the files that its code wrote, and a credit token', () => {
  const made = madeBy({
    container: CONTAINER,
    stop_details: { type: 'refusal', fallback_credit_token: 'secret' },
    content: [
      ran(output('file_1'), output('file_1')),
      { type: 'container_upload', file_id: 'f_2' },
    ],
  })
  assert.deepEqual(made.container, { id: 'container_1', expiresAtMs: ENDS_MS })
  assert.deepEqual(made.files, ['file_1', 'f_2'])
  assert.equal(made.creditToken, 'secret')
})

test('nobody gets a file by having a tool of his own name it', () => {
  const foreign = { type: 'text', text: '', file_id: 'file_9' }
  const made = madeBy({
    content: [
      { type: 'mcp_tool_result', content: [output('file_9')] },
      { type: 'web_fetch_tool_result', content: { content: [output('file_9')] } },
      { type: 'tool_use', input: { file_id: 'file_9' }, content: { content: [output('file_9')] } },
      foreign,
    ],
  })
  assert.deepEqual([made.files, made.container, made.creditToken], [[], null, null])
})

test('what cannot be meant is nothing', () => {
  for (const odd of [null, 7, [], 'x', { id: '' }, { id: 'c'.repeat(201) }, { id: {} }])
    assert.equal(madeBy({ container: odd }).container, null)
  assert.deepEqual(madeBy({ container: { id: 'c', expires_at: 'soon' } }).container, {
    id: 'c',
    expiresAtMs: null,
  })
  assert.deepEqual(
    madeBy({ content: [ran(output(7), null), null, { ...ran(), content: 1 }] }).files,
    [],
  )
  assert.equal(madeBy([]).container, null)
})

test('a stream names the same, wherever it is cut', () => {
  const events = [
    { type: 'message_start', message: { id: 'msg_1', container: null, content: [] } },
    { type: 'content_block_start', index: 0, content_block: ran(output('file_1')) },
    { type: 'content_block_stop', index: 0 },
    { type: 'message_delta', delta: { stop_reason: 'end_turn', container: CONTAINER } },
    { type: 'message_stop' },
  ]
  const text = events.map((one) => `event: ${one.type}\ndata: ${JSON.stringify(one)}\n\n`).join('')
  const bytes = Buffer.from(text)
  for (let at = 0; at <= bytes.length; at += 7) {
    const tap = new StreamTap({ requestedModel: 'm' })
    tap.push(bytes.subarray(0, at), 0)
    tap.push(bytes.subarray(at), 0)
    assert.deepEqual(tap.made.files, ['file_1'])
    assert.deepEqual(tap.made.container, { id: 'container_1', expiresAtMs: ENDS_MS })
  }
})
