// The canned upstream's answers, as ready-made bytes: one small message, and event streams.

/** Model that every request of the bench names and every answer repeats. */
export const BENCH_MODEL = 'claude-sonnet-4-6'

/** Header by which a request asks for a stream: `stream,<deltas>,<interval ms, 0 = full speed>`. */
export const BENCH_HEADER = 'x-bench'

/** Bytes of one write of a stream at full speed, before chunk framing. */
const FULL_SPEED_WRITE_BYTES = 32 * 1024

const usage = (outputTokens: number) => ({
  input_tokens: 25,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
  cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
  output_tokens: outputTokens,
  service_tier: 'standard',
})

const message = (content: readonly unknown[], stopReason: string | null, outputTokens: number) => ({
  id: 'msg_01BenchBenchBenchBench0',
  type: 'message',
  role: 'assistant',
  model: BENCH_MODEL,
  content,
  stop_reason: stopReason,
  stop_sequence: null,
  usage: usage(outputTokens),
})

const event = (type: string, data: object): string =>
  `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`

const OPENING =
  event('message_start', { message: message([], null, 1) }) +
  event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }) +
  event('ping', {})
const DELTA = event('content_block_delta', {
  index: 0,
  delta: { type: 'text_delta', text: ' a few words of an answer' },
})
const closing = (deltas: number) =>
  event('content_block_stop', { index: 0 }) +
  event('message_delta', {
    delta: { stop_reason: 'end_turn', stop_sequence: null },
    usage: { output_tokens: deltas * 6 + 1 },
  }) +
  event('message_stop', {})

/** Events before the first delta and after the last one. */
export const OPENING_EVENTS = 3
export const CLOSING_EVENTS = 3

/** Events that a stream of so many deltas holds in all. */
export const eventsIn = (deltas: number): number => OPENING_EVENTS + deltas + CLOSING_EVENTS

const chunk = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`

const head = (fields: readonly string[]): string =>
  `${['HTTP/1.1 200 OK', 'request-id: req_011CBenchBenchBenchBench', ...fields].join('\r\n')}\r\n\r\n`

/** A whole answer with a length, as bytes on the wire. */
export function jsonAnswer(value: unknown): Buffer {
  const body = JSON.stringify(value)
  return Buffer.from(
    head(['content-type: application/json', `content-length: ${Buffer.byteLength(body)}`]) + body,
  )
}

/** The small answer to a request that does not stream. */
export const SMALL_ANSWER: Buffer = jsonAnswer(
  message([{ type: 'text', text: 'Hello! How can I help you today?' }], 'end_turn', 12),
)

const STREAM_HEAD = head([
  'content-type: text/event-stream; charset=utf-8',
  'cache-control: no-cache',
  'transfer-encoding: chunked',
])

/** The parts of a paced stream: one write each for opening, every delta, and closing. */
export interface PacedStream {
  readonly opening: Buffer
  readonly delta: Buffer
  readonly closing: Buffer
}

/** Bytes of a paced stream of so many deltas, HTTP head and chunk framing included. */
export function pacedStream(deltas: number): PacedStream {
  return {
    opening: Buffer.from(STREAM_HEAD + chunk(OPENING)),
    delta: Buffer.from(chunk(DELTA)),
    closing: Buffer.from(`${chunk(closing(deltas))}0\r\n\r\n`),
  }
}

/** Writes of a stream at full speed: events cross the borders of chunks, as they do in life. */
export function fullSpeedStream(deltas: number): readonly Buffer[] {
  const text = OPENING + DELTA.repeat(deltas) + closing(deltas)
  const writes: Buffer[] = [Buffer.from(STREAM_HEAD)]
  for (let at = 0; at < text.length; at += FULL_SPEED_WRITE_BYTES) {
    writes.push(Buffer.from(chunk(text.slice(at, at + FULL_SPEED_WRITE_BYTES))))
  }
  writes.push(Buffer.from('0\r\n\r\n'))
  return writes
}
