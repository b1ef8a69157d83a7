import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createRandom } from '../../src/sandbox/random.ts'
import { bytesPerToken, imageSize, textTokens } from '../../src/sandbox/tokens.ts'
import { fillerText } from '../../src/sandbox/words.ts'
import { png, post, prose, question, sandboxFor } from './world.ts'

const text = fc.string({ minLength: 1, maxLength: 300, unit: 'grapheme' }).filter((s) => s !== '')

const bodies = fc.record({
  model: fc.constantFrom('claude-sonnet-4-6', 'claude-opus-5-5', 'claude-haiku-4-5'),
  system: fc.oneof(
    text,
    fc.array(
      text.map((item) => ({ type: 'text', text: item })),
      { maxLength: 3 },
    ),
  ),
  tools: fc.array(
    fc.record({ name: fc.constant('t'), input_schema: fc.constant({ type: 'object' }) }),
  ),
  messages: fc
    .array(text, { minLength: 1, maxLength: 5 })
    .map((texts) => texts.map((content) => ({ role: 'user', content }))),
})

test('count_tokens gives what a message reports, for any prompt and any drawn tokenizer', async (t) => {
  const sandbox = await sandboxFor(t, { bytesPerToken: [2.4, 4.1], seed: 11 })
  await fc.assert(
    fc.asyncProperty(bodies, async (body) => {
      const counting = await post(sandbox, body, {}, '/v1/messages/count_tokens')
      const counted = JSON.parse(await counting.text()).input_tokens
      const answer = await post(sandbox, { ...body, max_tokens: 20 })
      assert.equal(counted, JSON.parse(await answer.text()).usage.input_tokens)
    }),
    { numRuns: 60 },
  )
})

test('a drawn tokenizer stays within its range, differs by conversation, and keeps through it', () => {
  const drawn = { bytesPerToken: [2.4, 4.1], seed: 3 } as const
  const first = { role: 'user', content: 'Hello' }
  const later = [first, { role: 'assistant', content: 'Hi' }, { role: 'user', content: 'More' }]
  assert.equal(
    bytesPerToken(drawn, { messages: [first] }),
    bytesPerToken(drawn, { messages: later }),
  )
  const values = Array.from({ length: 50 }, (_, i) =>
    bytesPerToken(drawn, { messages: [{ role: 'user', content: `Hello ${i}` }] }),
  )
  assert.ok(values.every((value) => value >= 2.4 && value <= 4.1))
  assert.ok(new Set(values).size > 40)
})

test('filler text has exactly the bytes and tokens that were asked for', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 3_000 }),
      fc.double({ min: 2.4, max: 4.1, noNaN: true }),
      (tokens, perToken) => {
        const filler = fillerText(Math.floor(tokens * perToken), createRandom(tokens))
        assert.equal(Buffer.byteLength(filler), Math.floor(tokens * perToken))
        assert.equal(textTokens(filler, perToken), tokens)
      },
    ),
  )
})

test('image sizes are read from PNG, GIF, JPEG and WEBP', () => {
  assert.deepEqual(imageSize(png(640, 480)), { width: 640, height: 480 })
  const gif = Buffer.alloc(40)
  gif.write('GIF89a')
  gif.writeUInt16LE(320, 6)
  gif.writeUInt16LE(200, 8)
  assert.deepEqual(imageSize(gif.toString('base64')), { width: 320, height: 200 })
  // Start, an APP0 segment of 16 bytes, then the frame header: height before width.
  const jpeg = Buffer.concat([
    Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 16]),
    Buffer.alloc(14),
    Buffer.from([0xff, 0xc0, 0, 17, 8, 0x01, 0x90, 0x02, 0x58, 3]),
    Buffer.alloc(20),
  ])
  assert.deepEqual(imageSize(jpeg.toString('base64')), { width: 600, height: 400 })
  const webp = Buffer.alloc(40)
  webp.write('RIFF')
  webp.write('WEBPVP8X', 8)
  webp.writeUIntLE(1023, 24, 3)
  webp.writeUIntLE(767, 27, 3)
  assert.deepEqual(imageSize(webp.toString('base64')), { width: 1024, height: 768 })
  assert.equal(imageSize('AAAA'), null)
  assert.equal(imageSize(''), null)
})

test('images are capped by the model, and documents count by their pages or text', async (t) => {
  const sandbox = await sandboxFor(t)
  const count = async (model: string, block: object) => {
    const messages = [{ role: 'user', content: [block] }]
    const response = await post(sandbox, { model, messages }, {}, '/v1/messages/count_tokens')
    return JSON.parse(await response.text()).input_tokens - 9
  }
  const image = {
    type: 'image',
    source: { type: 'base64', media_type: 'image/png', data: png(8000, 8000) },
  }
  assert.equal(await count('claude-opus-5-5', image), 4_784)
  assert.equal(await count('claude-sonnet-4-6', image), 1_568)
  const plain = {
    type: 'document',
    source: { type: 'text', media_type: 'text/plain', data: prose(321) },
  }
  assert.equal(await count('claude-opus-5-5', plain), 321)
  const pdf = {
    type: 'document',
    source: { type: 'base64', media_type: 'application/pdf', data: 'A'.repeat(160_000) },
  }
  assert.equal(await count('claude-opus-5-5', pdf), 3 * 2_000)
  const result = { type: 'tool_result', tool_use_id: 't', content: [image] }
  assert.equal(await count('claude-opus-5-5', result), 4_788)
})

test('iterations can hold tokens that the top level leaves out', async (t) => {
  const sandbox = await sandboxFor(t)
  const ask = async (kind: string) => {
    const wanted = { 'x-sandbox': `iterations=${kind},service_tier=priority` }
    return JSON.parse(await (await post(sandbox, question('A haiku'), wanted)).text()).usage
  }
  const advised = await ask('advisor')
  assert.equal(advised.output_tokens, 19)
  assert.equal(advised.service_tier, 'priority')
  assert.deepEqual(
    advised.iterations.map((item: { type: string; model: string; output_tokens: number }) => [
      item.type,
      item.model,
      item.output_tokens,
    ]),
    [
      ['message', 'claude-sonnet-4-6', 19],
      ['advisor_message', 'claude-opus-5-5', 250],
    ],
  )
  const compacted = await ask('compaction')
  assert.equal(compacted.iterations[0].model, undefined)
  assert.equal(sandbox.billed()[1].usage.iterations?.[0].output, 300)
})

test('the same seed and the same requests give the same bytes', async (t) => {
  const run = async () => {
    const sandbox = await sandboxFor(t, { seed: 42, nowMs: () => 1_000_000 })
    const texts: string[] = []
    for (const wanted of ['output_tokens=80', 'thinking=summarized', 'thinking=redacted']) {
      const response = await post(sandbox, question('Hello', { stream: true }), {
        'x-sandbox': wanted,
      })
      texts.push(`${response.headers.get('request-id')} ${await response.text()}`)
    }
    return texts
  }
  assert.deepEqual(await run(), await run())
})
