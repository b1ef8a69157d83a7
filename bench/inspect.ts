/** What the inspection of a body and the stream tap cost alone: `node --import tsx bench/inspect.ts`. */

import { isUtf8 } from 'node:buffer'
import { StreamTap } from '../src/providers/anthropic/stream-tap.ts'
import { inspect } from '../src/wire/inspect.ts'

const ROUNDS = 12

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

function body(content: unknown): Buffer {
  return Buffer.from(
    JSON.stringify({ model: 'm', max_tokens: 8, messages: [{ role: 'user', content }] }),
  )
}

function agentTurn(bytes: number): Buffer {
  const description = 'Reads a file from the disk.\nUse "quotes" and `ticks`.\n- item\n'.repeat(6)
  const properties = { path: { type: 'string', description: 'The path' }, n: { type: 'number' } }
  const input_schema = { type: 'object', properties, required: ['path'] }
  const tools = Array.from({ length: 12 }, (_, k) => ({ name: `T${k}`, description, input_schema }))
  const system = [{ type: 'text', text: 'You are an agent.\n'.repeat(170) }]
  const messages: unknown[] = []
  const turn = { model: 'm', max_tokens: 32_000, stream: true, system, tools, messages }
  const file = '  1\timport x from "y"\n  2\tconst a = 1;\n'.repeat(20)
  for (let k = 0; JSON.stringify(turn).length < bytes; k++) {
    const result = { type: 'tool_result', tool_use_id: `toolu_${k}`, content: file }
    const use = { type: 'tool_use', id: `toolu_${k}`, name: 'Read', input: { path: '/a/b.ts' } }
    messages.push({ role: 'user', content: [result] })
    messages.push({ role: 'assistant', content: [{ type: 'text', text: 'I look.' }, use] })
  }
  return Buffer.from(JSON.stringify(turn))
}

function bomb(start: string, unit: string): Buffer {
  return Buffer.concat([Buffer.from(start), Buffer.alloc(32 * 1024 * 1024, unit)])
}

const base64 = 'QUJD'.repeat(2 * 1024 * 1024)
const source = { type: 'base64', media_type: 'image/png', data: base64 }
const bodies: readonly [string, Buffer][] = [
  ['one line', body('hi')],
  ['30 KB agent turn', agentTurn(30_000)],
  ['300 KB agent turn', agentTurn(300_000)],
  ['1 MB prose', body('The quick brown fox jumps over the lazy dog and '.repeat(20_800))],
  ['1 MB code, an escape every 38 bytes', body('const foo = await something(a)\n'.repeat(31_000))],
  ['1 MB code, an escape every 4 bytes', body('a "b" c\n'.repeat(91_000))],
  ['8 MB image', body([{ type: 'image', source }])],
  ['8 MB base64 as text', body(base64)],
  ['32 MB of {},', bomb('{"b":[', '{},')],
  ['32 MB of [', bomb('{"b":', '[')],
  ['32 MB of blanks', bomb('{', ' ')],
  ['32 MB of escapes', bomb('{"b":"', '\\n')],
]

for (const [name, bytes] of bodies) {
  const calls = Math.max(1, Math.min(2_000, Math.floor((1 << 23) / bytes.length)))
  const us = fastestUs(calls, () => inspect(bytes, { isUtf8 }))
  const nsPerByte = (us * 1000) / bytes.length
  process.stdout.write(`${name.padEnd(38)}${us.toFixed(1).padStart(10)} us`)
  process.stdout.write(`${nsPerByte.toFixed(3).padStart(10)} ns/byte\n`)
}

const DELTAS = 5_000
const sse = (data: { type: string }) => `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`
const delta = sse({
  type: 'content_block_delta',
  ...{ index: 0, delta: { type: 'text_delta', text: ' and so\n on' } },
})
const usage = { input_tokens: 9, output_tokens: 1 }
const stream = Buffer.from(
  sse({ type: 'message_start', ...{ message: { id: 'msg_1', model: 'm', usage } } }) +
    sse({
      type: 'content_block_start',
      ...{ index: 0, content_block: { type: 'text', text: '' } },
    }) +
    delta.repeat(DELTAS) +
    sse({ type: 'message_delta', ...{ usage } }) +
    sse({ type: 'message_stop' }),
)
for (const size of [65_536, 16_384, 1_000, delta.length]) {
  const us = fastestUs(1, () => {
    const tap = new StreamTap({ requestedModel: 'm' })
    for (let p = 0; p < stream.length; p += size) tap.push(stream.subarray(p, p + size), 0)
  })
  const name = `tap, chunks of ${size} bytes`
  process.stdout.write(`${name.padEnd(38)}${(us / DELTAS).toFixed(3).padStart(10)} us/event\n`)
}
