import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { SseEvent } from '../../src/wire/sse.ts'
import { MAX_EVENT_BYTES, parseEvent, SseFramer } from '../../src/wire/sse.ts'

interface Framed extends SseEvent {
  readonly offset: number
}

/** Frames a stream that arrives in these chunks. */
function frame(chunks: readonly Buffer[]): Framed[] {
  const framer = new SseFramer()
  const events: Framed[] = []
  for (const chunk of chunks) {
    framer.push(chunk)
    while (framer.next()) {
      const { buffer, start, end, offset } = framer
      events.push({ ...parseEvent(buffer, start, end), offset })
    }
  }
  return events
}

function cut(stream: Buffer, positions: readonly number[]): Buffer[] {
  const cuts = [0, ...positions.map((p) => p % (stream.length + 1)), stream.length]
  cuts.sort((a, b) => a - b)
  return cuts.slice(1).map((end, k) => stream.subarray(cuts[k], end))
}

/** A stream by the letter of the standard, line by line. */
function reference(stream: Buffer): SseEvent[] {
  const events: SseEvent[] = []
  let event = ''
  let data: string[] = []
  let hasLine = false
  const lines = stream
    .toString()
    .replace(/^\ufeff/, '')
    .split(/\r\n|\n|\r/)
  for (const line of lines.slice(0, -1)) {
    if (line === '') {
      if (hasLine) events.push({ event, data: data.length === 0 ? null : data.join('\n') })
      event = ''
      data = []
      hasLine = false
      continue
    }
    hasLine = true
    const [, field = '', value = ''] = /^([^:]*)(?:: ?(.*))?$/su.exec(line) ?? []
    if (field === 'event') event = value
    if (field === 'data') data.push(value)
  }
  return events
}

const SAMPLES: readonly [string, string][] = [
  ['LF', 'event: a\ndata: {"t":"héllo 😀"}\n\ndata: x\n\nevent: b\ndata: y\n\n'],
  ['CR LF', 'event: a\r\ndata: 1\r\n\r\ndata: 2\r\n\r\n'],
  ['CR', 'event: a\rdata: 1\r\rdata: 2\r\r'],
  ['mixed ends', 'event: a\r\ndata: 1\n\r\ndata: 2\r\r\n\ndata: 3\n\rdata: 4\r\n\n'],
  ['comments and odd fields', ': hi\n\nid: 7\nretry: 5\ndata\ndata:\ndata:  z\n\n:only\n\n'],
  ['several data lines', 'data: a\ndata: b\nevent: late\n\n'],
  ['byte order mark and blank lines', '\ufeffdata: a\n\n\n\n\ndata: b\n\n\n'],
  ['unfinished end', 'data: a\n\ndata: b\n'],
]

test('events are those of the standard, wherever the stream is cut in two', () => {
  for (const [name, text] of SAMPLES) {
    const stream = Buffer.from(text)
    const expected = reference(stream)
    const whole = frame([stream])
    assert.deepEqual(
      whole.map(({ event, data }) => ({ event, data })),
      expected,
      name,
    )
    for (let at = 0; at <= stream.length; at++) {
      assert.deepEqual(frame([stream.subarray(0, at), stream.subarray(at)]), whole, `${name} ${at}`)
    }
    assert.deepEqual(frame(Array.from(stream, (byte) => Buffer.from([byte]))), whole, name)
  }
})

test('random streams give the same events for every chunking, and those of the standard', () => {
  const piece = fc.constantFrom(
    ...['\n', '\n', '\n\n', '\r', '\r\n', 'data: ', 'event: ', 'x', 'é', '😀', ':', ' ', 'data'],
  )
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 30 }),
      fc.array(fc.nat(), { maxLength: 6 }),
      fc.boolean(),
      (pieces, cuts, onlyLf) => {
        const text = pieces.join('')
        const stream = Buffer.from(onlyLf ? text.replaceAll('\r', '') : text)
        const whole = frame([stream])
        assert.deepEqual(frame(cut(stream, cuts)), whole)
        assert.deepEqual(
          whole.map(({ event, data }) => ({ event, data })),
          reference(stream),
        )
      },
    ),
    { numRuns: 5000 },
  )
})

test('an offset is where the first line of its event begins', () => {
  for (const [, text] of SAMPLES) {
    const stream = Buffer.from(text)
    for (const { offset } of frame([stream])) {
      assert.ok(stream[offset] !== 0x0a && stream[offset] !== 0x0d)
      assert.ok(offset === 0 || stream[offset - 1] === 0x0a || stream[offset - 1] === 0x0d)
    }
  }
})

test('an event over 8 MiB passes, marked, and the stream goes on behind it', () => {
  const big = Buffer.alloc(MAX_EVENT_BYTES + 1, 'x')
  const stream = Buffer.concat([
    Buffer.from('data: a\n\nevent: big\ndata: '),
    big,
    Buffer.from('\n\ndata: b\n\n'),
  ])
  const chunkings = [[stream], cut(stream, [5_000_000, 20, 8_388_650]), cut(stream, [15])]
  for (const chunks of chunkings) {
    const framer = new SseFramer()
    const seen: unknown[] = []
    let mostCarried = 0
    for (const chunk of chunks) {
      framer.push(chunk)
      while (framer.next()) {
        const { event, data } = parseEvent(framer.buffer, framer.start, framer.end)
        seen.push([event, framer.oversized, framer.oversized ? null : data, framer.offset])
        mostCarried = Math.max(mostCarried, framer.buffer.length)
      }
    }
    assert.deepEqual(seen, [
      ['', false, 'a', 0],
      ['big', true, null, 9],
      ['', false, 'b', stream.length - 9],
    ])
  }
})

test('an event of exactly 8 MiB is read', () => {
  const stream = Buffer.alloc(MAX_EVENT_BYTES, 'x')
  stream.write('data: ')
  stream.write('\n\n', stream.length - 2)
  const framer = new SseFramer()
  framer.push(stream)
  assert.equal(framer.next(), true)
  assert.equal(framer.oversized, false)
  assert.equal(framer.end - framer.start, MAX_EVENT_BYTES)
})

test('an unfinished event is counted, and not kept with the chunk it came in', () => {
  const framer = new SseFramer()
  framer.push(Buffer.from('data: a\n\ndata: un'))
  while (framer.next());
  assert.equal(framer.carriedBytes, 8)
  framer.push(Buffer.from('done\n\n'))
  assert.equal(framer.next(), true)
  assert.equal(parseEvent(framer.buffer, framer.start, framer.end).data, 'undone')
  assert.equal(framer.next(), false)
  assert.equal(framer.carriedBytes, 0)
})
