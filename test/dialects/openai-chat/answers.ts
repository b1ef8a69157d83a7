import fc from 'fast-check'

/** The blocks of an answer, in the pieces in which upstream streams them. */
export type Answer = readonly (
  | { readonly type: 'text'; readonly pieces: readonly string[] }
  | { readonly type: 'thinking'; readonly pieces: readonly string[]; readonly signature: string }
  | { readonly type: 'redacted_thinking'; readonly data: string }
  | { readonly type: 'tool_use'; readonly id: string; readonly json: string; readonly cut: number }
)[]

/** Text with everything that JSON must escape, and with halves of characters never cut apart. */
const piece = fc.string({ unit: 'binary', maxLength: 12 }).filter((text) => text.isWellFormed())
const pieces = fc.array(
  fc.oneof(piece, fc.constantFrom('a', '"', '\\', '\n', '\\"', ' 😀', '```', '```json\n', '\n```')),
  {
    maxLength: 5,
  },
)
const signature = fc.base64String({ minLength: 4, maxLength: 12 })

const json = fc.oneof(
  fc.constant(''),
  fc.dictionary(fc.string({ maxLength: 4 }), fc.jsonValue({ maxDepth: 2 })).map((value) =>
    // A member of this name would set the prototype of what the tests parse, not of what is translated.
    JSON.stringify(value).includes('__proto__') ? '{}' : JSON.stringify(value),
  ),
)

/** A random answer; ids of its calls are unique. */
export const answer: fc.Arbitrary<Answer> = fc
  .array(
    fc.oneof(
      fc.record({ type: fc.constant('text' as const), pieces }),
      fc.record({ type: fc.constant('thinking' as const), pieces, signature }),
      fc.record({ type: fc.constant('redacted_thinking' as const), data: signature }),
      fc.record({ type: fc.constant('tool_use' as const), json, cut: fc.nat(30) }),
    ),
    { maxLength: 5 },
  )
  .map((blocks) =>
    blocks.map((block, i) => (block.type === 'tool_use' ? { ...block, id: `toolu_${i}` } : block)),
  )

/** The answer as upstream's events; it stops for this reason, else for that which fits. */
export function eventsOf(blocks: Answer, reason?: string): unknown[] {
  const calls = blocks.some(({ type }) => type === 'tool_use')
  const usage = { input_tokens: 10, cache_read_input_tokens: 5, output_tokens: 1 }
  const message = { id: 'msg_1', role: 'assistant', model: 'claude-opus-5-5', content: [], usage }
  return [
    { type: 'message_start', message },
    ...blocks.flatMap((block, index) => [
      { type: 'content_block_start', index, content_block: startOf(block) },
      ...deltasOf(block).map((delta) => ({ type: 'content_block_delta', index, delta })),
      { type: 'content_block_stop', index },
    ]),
    {
      type: 'message_delta',
      delta: { stop_reason: reason ?? (calls ? 'tool_use' : 'end_turn') },
      usage: { output_tokens: 9 },
    },
    { type: 'message_stop' },
  ]
}

function startOf(block: Answer[number]): object {
  const { type } = block
  if (type === 'text') return { type, text: '' }
  if (type === 'thinking') return { type, thinking: '', signature: '' }
  if (type === 'redacted_thinking') return { type, data: block.data }
  return { type, id: block.id, name: 'f', input: {} }
}

function deltasOf(block: Answer[number]): object[] {
  switch (block.type) {
    case 'text':
      return block.pieces.map((text) => ({ type: 'text_delta', text }))
    case 'thinking':
      return [
        ...block.pieces.map((thinking) => ({ type: 'thinking_delta', thinking })),
        { type: 'signature_delta', signature: block.signature },
      ]
    case 'redacted_thinking':
      return []
    default:
      return ['', block.json.slice(0, block.cut), block.json.slice(block.cut)].map(
        (partial_json) => ({ type: 'input_json_delta', partial_json }),
      )
  }
}
