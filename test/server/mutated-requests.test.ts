import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseAnswers } from '../support/raw-client.ts'
import { world } from '../support/world.ts'

const BODY = JSON.stringify({
  model: 'claude-sonnet-4-6',
  max_tokens: 20,
  messages: [{ role: 'user', content: 'Hello' }],
})

/** Sends bytes, ends its side, and answers what came until the other side ended too. */
function sendAndEnd(port: number, bytes: Buffer): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(text))
    socket.on('end', () => socket.destroy())
    socket.end(bytes)
  })
}

test('a request with bytes changed, lost or doubled never breaks anything', async (t) => {
  const w = await world(t)
  const port = Number(new URL(w.url).port)
  const good = Buffer.from(
    `POST /v1/messages?beta=true HTTP/1.1\r\nHost: gateway\r\nx-api-key: ${w.key}\r\n` +
      `anthropic-version: 2023-06-01\r\ncontent-type: application/json\r\nConnection: close\r\n` +
      `Content-Length: ${BODY.length}\r\n\r\n${BODY}`,
  )
  const change = fc.record({
    at: fc.nat(good.length - 1),
    remove: fc.nat(12),
    insert: fc.oneof(
      fc.uint8Array({ maxLength: 6 }),
      fc
        .constantFrom(
          '\r\n',
          '\r\n\r\n',
          '\0',
          ',',
          '"',
          '{',
          ':',
          ' ',
          '%2e',
          '\u00e9',
          'x: y\r\n',
        )
        .map((text) => new Uint8Array(Buffer.from(text))),
    ),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
      let bytes = good
      for (const { at, remove, insert } of changes) {
        bytes = Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)])
      }
      const text = await sendAndEnd(port, bytes)
      for (const { status, headers } of parseAnswers(text)) {
        assert.ok(status >= 200 && status < 500, text)
        assert.match(headers.get('x-cc-request-id') ?? '', /^ccr_/, text)
      }
    }),
    { numRuns: 400 },
  )
  await w.settled()
  const report = await w.store.checkLedger(Date.now())
  assert.deepEqual(report.violations, [])
  assert.equal(w.daemon.inFlight(), 0)
  assert.equal((await w.post()).status, 200)
  assert.doesNotMatch(w.log.join(''), /request\.failed|internal_error|"level":"fatal"/)
})
