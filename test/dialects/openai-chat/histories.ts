import fc from 'fast-check'

/** A message of a chat as a client sends it. */
export interface ChatMessage {
  readonly role: string
  readonly [field: string]: unknown
}

const words = fc.stringMatching(/^[a-z]{1,6}( [a-z]{1,4}){0,2} ?$/)

/** Text as clients send it: a string, parts, some of them empty; never nothing at all. */
const content = fc.oneof(
  words,
  fc
    .tuple(fc.array(fc.oneof(words, fc.constant(' '), fc.constant('')), { maxLength: 2 }), words)
    .map(([before, last]) => [...before, last].map((text) => ({ type: 'text', text }))),
)

const user = content.map((it): ChatMessage[] => [{ role: 'user', content: it }])
const emptyUser = fc.constant<ChatMessage[]>([{ role: 'user', content: '  ' }])

/** An instruction, also in the middle of a conversation. */
const system = fc
  .tuple(fc.constantFrom('system', 'developer'), content)
  .map(([role, it]): ChatMessage[] => [{ role, content: it }])

const thinking = fc.option(
  fc
    .tuple(words, words)
    .map(([text, signature]) => [
      { type: 'reasoning.text', text, signature, format: 'anthropic-claude-v1', index: 0 },
    ]),
  { nil: undefined },
)

const plainAnswer = fc
  .tuple(content, thinking)
  .map(([it, reasoning_details]): ChatMessage[] => [
    { role: 'assistant', content: it, ...(reasoning_details ? { reasoning_details } : {}) },
  ])

/** Ids that come again, and ids that upstream refuses. */
const callId = fc.constantFrom('c1', 'c2', 'c3', 'functions.f:0', 'call-ü', 'toolu_01')
const callArguments = fc.constantFrom('', '{}', '{"a":1}', '{bad', '[1]', '{"b": 1.50, "a": null}')

/** An answer with calls, what stands between them and their results, and the results in any order. */
const callAnswer = fc
  .tuple(
    fc.option(content, { nil: null }),
    thinking,
    fc.uniqueArray(callId, { minLength: 1, maxLength: 3 }),
    fc.array(callArguments, { minLength: 3, maxLength: 3 }),
    fc.array(fc.oneof(user, system), { maxLength: 1 }),
    fc.boolean(),
  )
  .map(([text, reasoning_details, ids, texts, between, isTurned]): ChatMessage[] => {
    const tool_calls = ids.map((id, i) => ({
      id,
      type: 'function',
      function: { name: 'f', arguments: texts[i] },
    }))
    const results = ids.map((id): ChatMessage => ({ role: 'tool', tool_call_id: id, content: id }))
    if (isTurned) results.reverse()
    const [first, ...others] = results
    const answer = { role: 'assistant', content: text, tool_calls }
    return [
      reasoning_details ? { ...answer, reasoning_details } : answer,
      first,
      ...between.flat(),
      ...others,
    ]
  })

/** A whole conversation, wherever it may stop; every call in it has its result. */
export const history: fc.Arbitrary<ChatMessage[]> = fc
  .tuple(
    fc.array(system, { maxLength: 2 }),
    fc.oneof(user, user, plainAnswer),
    fc.array(
      fc.oneof(
        { weight: 4, arbitrary: user },
        { weight: 4, arbitrary: plainAnswer },
        { weight: 4, arbitrary: callAnswer },
        { weight: 2, arbitrary: system },
        { weight: 1, arbitrary: emptyUser },
      ),
      { maxLength: 8 },
    ),
  )
  .map(([first, opening, rest]) => [...first.flat(), ...opening, ...rest.flat()])

/** What may follow a history: an answer, with the results of its calls, and perhaps more of the user. */
export const nextTurn: fc.Arbitrary<ChatMessage[]> = fc.oneof(
  fc.tuple(plainAnswer, user).map((turns) => turns.flat()),
  fc.tuple(callAnswer, fc.option(user, { nil: [] })).map((turns) => turns.flat()),
)
