import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { codeOf } from '../support/bills.ts'
import { rawUpstream } from '../support/raw-upstream.ts'
import { world } from '../support/world.ts'

test('an answer that its client does not read keeps the slot of its key', async (t) => {
  const text = 'x'.repeat(20_000_000)
  const answer = JSON.stringify({
    id: 'msg_1',
    type: 'message',
    model: 'claude-sonnet-4-6',
    content: [{ type: 'text', text }],
    stop_reason: 'end_turn',
    usage: { input_tokens: 1, output_tokens: 1 },
  })
  const upstream = await rawUpstream(t, (_request, socket) => {
    socket.write(
      `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${answer.length}\r\n\r\n`,
    )
    socket.write(answer)
  })
  const w = await world(t, {
    accounts: ['one'],
    account: () => ({ baseUrl: upstream.url }),
    key: { concurrencyLimit: 1 },
  })
  const body = JSON.stringify({
    model: 'claude-sonnet-4-6',
    max_tokens: 10,
    messages: [{ role: 'user', content: 'x' }],
  })
  const deaf = connect(Number(new URL(w.url).port), '127.0.0.1')
  deaf.on('error', () => {})
  deaf.pause()
  deaf.write(
    `POST /v1/messages HTTP/1.1\r\nhost: a\r\nx-api-key: ${w.key}\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  )
  for (let i = 0; i < 200 && (await w.store.listUsage({ limit: 1 })).rows.length === 0; i++)
    await sleep(20)
  await w.settled()
  await sleep(50)
  const second = await w.post()
  assert.equal(second.status, 429)
  assert.equal(codeOf(await second.text()), 'key_concurrency_exceeded')
  deaf.destroy()
  await sleep(200)
  const third = await w.post()
  assert.equal(third.status, 200)
  await third.arrayBuffer()
  const fourth = await w.post()
  assert.equal(fourth.status, 200, 'an answer that was read holds nothing')
  await fourth.arrayBuffer()
})
