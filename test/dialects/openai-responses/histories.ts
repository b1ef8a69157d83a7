import fc from 'fast-check'
import type { Piece } from './world.ts'
import { answerOf, openAnswer, sse, translated } from './world.ts'

/** An item of `input`. */
export type Item = Readonly<Record<string, unknown>>

export const TOOLS = [
  { type: 'function', name: 'f' },
  { type: 'custom', name: 'c' },
  { type: 'namespace', name: 'n', tools: [{ type: 'function', name: 'g' }] },
]

const words = fc.stringMatching(/^[a-z]{1,6}( [a-z]{1,4}){0,2} ?$/)
const split = fc.array(words, { minLength: 1, maxLength: 3 })
const inputs = fc.constantFrom('', '{}', '{"a":1}', '{"b": 1.50, "a": "\\u00e9\\n"}')
const customInputs = fc.constantFrom('{"input":""}', '{"input": "a\\n\\"b\\" \\ud83d\\ude00"}')

const call = fc.oneof(
  fc.tuple(fc.constantFrom('f', 'n__g'), inputs),
  fc.tuple(fc.constant('c'), customInputs),
)

/** The pieces of an answer: thinking, text and calls, in the orders that models write. */
export const pieces: fc.Arbitrary<Piece[]> = fc
  .tuple(
    fc.array(
      fc.oneof(
        fc.record({ text: split }),
        fc.record({ thinking: fc.oneof(split, fc.constant([])), signature: words }),
        fc.record({ redacted: words }),
      ),
      { maxLength: 4 },
    ),
    fc.array(call, { maxLength: 3 }),
    fc.nat(),
  )
  .map(([blocks, calls, cut]): Piece[] => [
    ...blocks,
    ...calls.map(([name, json], i) => {
      const at = json.length === 0 ? 0 : cut % json.length
      return { call: `toolu_${cut}_${i}`, name, json: [json.slice(0, at), json.slice(at)] }
    }),
  ])
  .filter((list) => list.length > 0)

/** What our own answer with these pieces is, as items. */
export function outputOf(list: readonly Piece[], requestId: string): readonly Item[] {
  const request = translated({ model: 'claude-opus-5-5', input: 'x', tools: TOOLS })
  const answer = openAnswer(request, requestId)
  answer.push(sse(answerOf(list)))
  return JSON.parse(answer.body() ?? '').output
}

const content = fc.oneof(
  words,
  fc
    .tuple(fc.array(fc.constantFrom(' ', '', 'q'), { maxLength: 2 }), words)
    .map(([before, last]) => [...before, last].map((text) => ({ type: 'input_text', text }))),
)
const user = content.map((it): Item[] => [{ type: 'message', role: 'user', content: it }])
const developer = content.map((it): Item[] => [{ role: 'developer', content: it }])
const clientAnswer = words.map((it): Item[] => [{ role: 'assistant', content: it }])
const otherItem = fc.constantFrom<Item[]>(
  [{ type: 'web_search_call', id: 'ws_1', status: 'completed' }],
  [{ type: 'reasoning', id: 'rs_other', summary: [], encrypted_content: 'gAAAA' }],
  [{ type: 'message', role: 'user', content: ' ' }],
)

/** One of our answers, and the outputs of its calls in any order, with something between them. */
function answered(requestId: fc.Arbitrary<string>) {
  return fc
    .tuple(pieces, requestId, fc.boolean(), fc.option(fc.oneof(user, developer), { nil: [] }))
    .map(([list, id, isTurned, between]): Item[] => {
      const output = outputOf(list, id)
      const results = output.flatMap(({ type, call_id }): Item[] => {
        if (type === 'function_call')
          return [{ type: 'function_call_output', call_id, output: 'r' }]
        if (type !== 'custom_tool_call') return []
        return [{ type: 'custom_tool_call_output', call_id, output: [] }]
      })
      if (isTurned) results.reverse()
      return [...output, ...results.slice(0, 1), ...between, ...results.slice(1)]
    })
}

const anyId = fc.nat(999_999).map((n) => `ccr_${String(n).padStart(26, '0')}`)

/** A conversation, wherever it may stop; every call in it has its output. */
export const history: fc.Arbitrary<Item[]> = fc
  .tuple(
    fc.oneof(user, developer, clientAnswer),
    fc.array(fc.oneof(user, developer, clientAnswer, otherItem, answered(anyId)), { maxLength: 6 }),
  )
  .map(([first, rest]) => [...first, ...rest.flat()])

/** Our answer to a history, and what the client says next. */
export const nextTurn: fc.Arbitrary<Item[]> = fc
  .tuple(answered(fc.constant(`ccr_${'9'.repeat(26)}`)), user)
  .map(([answer, said]) => [...answer, ...said])
