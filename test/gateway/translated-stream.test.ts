import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import { GatewayError } from '../../src/core/errors.ts'
import { DEFAULT_TRANSLATION_SETTINGS, type Dialect } from '../../src/dialects/dialect.ts'
import { capabilitiesOf, DIALECTS } from '../../src/dialects/index.ts'
import { ClientStream } from '../../src/gateway/client-stream.ts'
import { TranslatedStream } from '../../src/gateway/translated-stream.ts'
import { wireError } from '../../src/server/reply.ts'
import { answerEvents, eventText, textBlock } from '../support/openai.ts'

/** A client whose bytes can be read. */
class Client extends EventEmitter {
  text = ''
  destroyed = false
  writableFinished = false
  writableLength = 0
  write(bytes: Buffer): boolean {
    this.text += bytes.toString()
    return true
  }
  end(bytes?: Buffer): void {
    if (bytes !== undefined) this.write(bytes)
  }
}

const CLOSED = { costMicro: 7, balanceMicro: 8, receipt: null }

/** A translated stream of chat completions, and its clock. */
function streamOf(stream: boolean) {
  const dialect: Dialect = DIALECTS['/v1/chat/completions']
  const { translator } = dialect
  assert.ok(translator !== undefined)
  const translation = translator.translate(
    { model: 'claude-opus-5-5', stream, messages: [{ role: 'user', content: 'Hi' }] },
    {
      keyId: 'key_1',
      digest: { sha1: (text) => text, sha256: (text) => text },
      modelOf: (id) => ({ id, capabilities: capabilitiesOf(id) }),
      settings: DEFAULT_TRANSLATION_SETTINGS,
    },
  )
  assert.ok(translation.kind === 'ok')
  const response = new Client()
  const heads: unknown[] = []
  const failures: GatewayError[] = []
  const client = new ClientStream({
    client: {
      response: response as unknown as ServerResponse, // what a client stream uses of it
      writeHead: (head) => heads.push(head),
      replyError: (error) => failures.push(error),
    },
    head: { status: 200, headers: {}, accountId: 'acct_1', length: null, cost: null },
    recording: null,
    events: { left: () => {}, full: () => {}, drained: () => {} },
  })
  client.open()
  const clock = { nowMs: 0 }
  const contact = { publicUrl: 'http://test', supportEmail: 'a@example.com' }
  const describe = (error: GatewayError) => wireError(error, 'ccr_1', contact, 'stream')
  const answer = translation.openAnswer({ requestId: 'ccr_1', createdS: 1 })
  const translated = new TranslatedStream({
    client,
    answer,
    format: { stream, translator },
    ping: dialect.ping,
    upstream: { headers: { 'request-id': 'req_1' }, accountId: 'acct_1' },
    nowMs: () => clock.nowMs,
    describe,
    renderError: (error) => dialect.renderStreamError(describe(error)),
    brokenOff: () => {
      throw new Error('not asked for')
    },
  })
  return { translated, client, response, heads, failures, clock }
}

const EVENTS = eventText(answerEvents([textBlock('Hel', 'lo')], 'end_turn'))
const STOP = EVENTS.indexOf('event: message_stop')

/** Feeds `EVENTS` from one place to another, as the tap would part them. */
function feed({ translated }: ReturnType<typeof streamOf>, from: number, to: number): void {
  const chunk = Buffer.from(EVENTS.slice(from, to))
  const safe = Math.max(0, Math.min(chunk.length, to < EVENTS.length ? chunk.length : STOP - from))
  translated.take(chunk, { safe, whole: chunk.length })
}

test('silence is filled with comments, between events and never inside one', () => {
  for (let cut = EVENTS.indexOf('Hel'); cut < STOP; cut += 7) {
    const stream = streamOf(true)
    feed(stream, 0, cut)
    stream.translated.tick(14_000)
    assert.equal(stream.response.text.includes('keep-alive'), false)
    stream.translated.tick(15_000)
    stream.translated.tick(16_000)
    stream.clock.nowMs = 16_000
    feed(stream, cut, EVENTS.length)
    stream.translated.release(CLOSED)
    stream.client.finish()
    const events = stream.response.text.split('\n\n')
    assert.equal(events.filter((event) => event === ': keep-alive').length, 1)
    for (const event of events) assert.match(event, /^(: keep-alive|data: (\{.*\}|\[DONE\])|)$/)
    assert.equal(events.at(-2), 'data: [DONE]')
  }
})

test('the ending waits for the settlement, however upstream’s bytes are cut', () => {
  for (let cut = 1; cut < EVENTS.length; cut += 5) {
    const stream = streamOf(true)
    feed(stream, 0, cut)
    feed(stream, cut, EVENTS.length)
    assert.equal(stream.response.text.includes('finish_reason":"stop'), false)
    stream.translated.release(CLOSED)
    stream.client.finish()
    assert.match(stream.response.text, /finish_reason":"stop".*\n\ndata: \[DONE\]\n\n$/)
  }
})

test('an ending that could not be settled becomes an error', () => {
  const stream = streamOf(true)
  feed(stream, 0, EVENTS.length)
  stream.translated.endWith(new GatewayError('store_unavailable'), null)
  stream.client.finish()
  assert.equal(stream.response.text.includes('[DONE]'), false)
  assert.match(stream.response.text, /data: \{"error":\{"message":"The gateway cannot record/)

  const whole = streamOf(false)
  feed(whole, 0, EVENTS.length)
  whole.translated.endWith(new GatewayError('store_unavailable'), null)
  whole.client.finish()
  assert.deepEqual(
    [whole.failures.map(({ code }) => code), whole.response.text],
    [['store_unavailable'], ''],
  )
})

test('a whole answer is one body behind one head, with its cost', () => {
  const stream = streamOf(false)
  feed(stream, 0, EVENTS.length)
  assert.deepEqual([stream.heads, stream.response.text], [[], ''])
  stream.translated.release(CLOSED)
  stream.client.finish()
  const { text } = stream.response
  assert.equal(JSON.parse(text).choices[0].message.content, 'Hello')
  assert.deepEqual(stream.heads, [
    {
      status: 200,
      headers: { 'content-type': 'application/json', 'request-id': 'req_1' },
      accountId: 'acct_1',
      length: text.length,
      cost: CLOSED,
    },
  ])
})
