/** The pieces of an event stream, as upstream writes them. */
type Event = readonly [name: string, data: Readonly<Record<string, unknown>>]

const delta = (index: number, fields: Readonly<Record<string, unknown>>): Event => [
  'content_block_delta',
  { type: 'content_block_delta', index, delta: fields },
]
const start = (index: number, block: Readonly<Record<string, unknown>>): Event => [
  'content_block_start',
  { type: 'content_block_start', index, content_block: block },
]
const stop = (index: number): Event => ['content_block_stop', { type: 'content_block_stop', index }]

const EVENTS: readonly Event[] = [
  [
    'message_start',
    {
      type: 'message_start',
      message: {
        model: 'claude-sonnet-4-6',
        id: 'msg_01CapturedMultiBlock',
        type: 'message',
        role: 'assistant',
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: {
          input_tokens: 472,
          cache_creation_input_tokens: 900,
          cache_read_input_tokens: 2_048,
          cache_creation: { ephemeral_5m_input_tokens: 600, ephemeral_1h_input_tokens: 300 },
          output_tokens: 2,
          service_tier: 'standard',
          inference_geo: 'global',
        },
      },
    },
  ],
  start(0, { type: 'thinking', thinking: '', signature: '' }),
  ['ping', { type: 'ping' }],
  delta(0, { type: 'thinking_delta', thinking: 'Weigh "both" sides: \\ and \n.' }),
  delta(0, { type: 'signature_delta', signature: 'EqQBCgIYAhIM1gbcDa9GJwZA2b3h' }),
  stop(0),
  start(1, { type: 'text', text: '' }),
  delta(1, { type: 'text_delta', text: 'Grüße, 東京! 👩‍👩‍👧 ' }),
  delta(1, { type: 'text_delta', text: 'data: event: message_stop\n\n\r\n' }),
  ['ping', { type: 'ping' }],
  delta(1, { type: 'text_delta', text: '\u2028 ends.' }),
  stop(1),
  ['event_of_tomorrow', { type: 'event_of_tomorrow', usage: { output_tokens: 9_999 } }],
  start(2, { type: 'tool_use', id: 'toolu_01', name: 'get_weather', input: {} }),
  delta(2, { type: 'input_json_delta', partial_json: '' }),
  delta(2, { type: 'input_json_delta', partial_json: '{"city": "東' }),
  delta(2, { type: 'input_json_delta', partial_json: '京"}' }),
  stop(2),
  [
    'message_delta',
    {
      type: 'message_delta',
      delta: { stop_reason: 'tool_use', stop_sequence: null },
      usage: { output_tokens: 187 },
    },
  ],
  ['message_stop', { type: 'message_stop' }],
]

/** What the stream says it used. */
export const CAPTURED_TOKENS = {
  input: 472,
  output: 187,
  cacheRead: 2_048,
  cacheWrite5m: 600,
  cacheWrite1h: 300,
}

/** A whole answer with thinking, text and a tool call, with pings, comments and an unknown event. */
export function capturedStream(lineEnd: '\n' | '\r\n'): Buffer {
  const parts = EVENTS.map(
    ([name, data]) => `event: ${name}${lineEnd}data: ${JSON.stringify(data)}${lineEnd}${lineEnd}`,
  )
  parts.splice(3, 0, `: a comment, as proxies send${lineEnd}${lineEnd}`)
  return Buffer.from(parts.join(''))
}
