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

const JPEG = '/9j/4AAQSkZJRgABAQ=='

/** What is no text: images of both kinds, a PDF, a block of Anthropic's own. */
const medium = fc.constantFrom<object>(
  { type: 'image_url', image_url: { url: `data:image/png;base64,${JPEG}`, detail: 'low' } },
  { type: 'image_url', image_url: { url: 'https://example.com/a.png' } },
  { type: 'file', file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,JVBERi0=' } },
  { type: 'image', source: { type: 'url', url: 'https://example.com/b.png' } },
)

/** Media among texts, some of which are blank. */
const mixed = fc.array(
  fc.oneof(
    medium,
    fc.oneof(words, fc.constant(' ')).map((text) => ({ type: 'text', text })),
  ),
  { minLength: 1, maxLength: 3 },
)

const user = fc
  .oneof({ weight: 3, arbitrary: content }, { weight: 1, arbitrary: mixed })
  .map((it): ChatMessage[] => [{ role: 'user', content: it }])
const emptyUser = fc.constant<ChatMessage[]>([{ role: 'user', content: '  ' }])

/** What models sometimes answer: nothing. */
const emptyAnswer = fc
  .constantFrom<unknown>(null, '', ' ', [], [{ type: 'text', text: '' }])
  .map((it): ChatMessage[] => [{ role: 'assistant', content: it }])

/** An instruction, also in the middle of a conversation. */
const system = fc
  .tuple(fc.constantFrom('system', 'developer'), content)
  .map(([role, it]): ChatMessage[] => [{ role, content: it }])

const FORMAT = { format: 'anthropic-claude-v1' }

/** Thinking that came back: signed, in fragments, hidden, without a signature, another model's. */
const thinking = fc.option(
  fc.array(
    fc.oneof(
      fc
        .tuple(words, words)
        .map(([text, signature]) => [{ type: 'reasoning.text', text, signature, ...FORMAT }]),
      fc.tuple(words, words).map(([text, signature]) => [
        { type: 'reasoning.text', text, ...FORMAT },
        { type: 'reasoning.text', text, ...FORMAT },
        { type: 'reasoning.text', text: '', signature, ...FORMAT },
      ]),
      words.map((data) => [{ type: 'reasoning.encrypted', data, ...FORMAT }]),
      words.map((text) => [{ type: 'reasoning.text', text, ...FORMAT }]),
      words.map((text) => [{ type: 'reasoning.text', text, signature: 's', format: 'other-v1' }]),
    ),
    { minLength: 1, maxLength: 2 },
  ),
  { nil: undefined },
)

/** As `reasoning_details`: the fragments of a block have its index. */
const details = thinking.map((blocks) =>
  blocks?.flatMap((fragments, index) => fragments.map((fragment) => ({ ...fragment, index }))),
)

const plainAnswer = fc
  .tuple(content, details, fc.boolean())
  .map(([it, reasoning_details, isRefusal]): ChatMessage[] => [
    {
      role: 'assistant',
      ...(isRefusal && typeof it === 'string' ? { content: null, refusal: it } : { content: it }),
      ...(reasoning_details ? { reasoning_details } : {}),
    },
  ])

/** Ids that come again, and ids that upstream refuses. */
const callId = fc.constantFrom('c1', 'c2', 'c3', 'functions.f:0', 'call-ü', 'toolu_01')
const callArguments = fc.constantFrom('', '{}', '{"a":1}', '{bad', '[1]', '{"b": 1.50, "a": null}')

/** An answer with calls, what stands between them and their results, and the results in any order. */
const callAnswer = fc
  .tuple(
    fc.option(content, { nil: null }),
    details,
    fc.uniqueArray(callId, { minLength: 1, maxLength: 3 }),
    fc.array(callArguments, { minLength: 3, maxLength: 3 }),
    fc.array(fc.oneof(user, system, emptyAnswer), { maxLength: 1 }),
    fc.boolean(),
    fc.array(fc.oneof(words, mixed), { minLength: 3, maxLength: 3 }),
  )
  .map(([text, reasoning_details, ids, texts, between, isTurned, contents]): ChatMessage[] => {
    const tool_calls = ids.map((id, i) =>
      texts[i] === '[1]'
        ? { id, type: 'custom', custom: { name: 'g', input: texts[i] } }
        : { id, type: 'function', function: { name: 'f', arguments: texts[i] } },
    )
    const results = ids.map(
      (id, i): ChatMessage => ({ role: 'tool', tool_call_id: id, content: contents[i] }),
    )
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

/** A call of the older format, with its result. */
const functionAnswer = fc.tuple(callArguments, words).map(([text, result]): ChatMessage[] => [
  { role: 'assistant', content: null, function_call: { name: 'f', arguments: text } },
  { role: 'function', name: 'f', content: result },
])

/** A whole conversation, wherever it may stop; every call in it has its result. */
export const history: fc.Arbitrary<ChatMessage[]> = fc
  .tuple(
    fc.array(system, { maxLength: 2 }),
    fc.oneof(
      content.map((it): ChatMessage[] => [{ role: 'user', content: it }]),
      plainAnswer,
    ),
    fc.array(
      fc.oneof(
        { weight: 4, arbitrary: user },
        { weight: 4, arbitrary: plainAnswer },
        { weight: 4, arbitrary: callAnswer },
        { weight: 2, arbitrary: system },
        { weight: 1, arbitrary: emptyUser },
        { weight: 2, arbitrary: emptyAnswer },
        { weight: 1, arbitrary: functionAnswer },
      ),
      { maxLength: 8 },
    ),
  )
  .map(([first, opening, rest]) => [...first.flat(), ...opening, ...rest.flat()])

/** What may follow a history: an answer, with the results of its calls, and perhaps more of the user. */
export const nextTurn: fc.Arbitrary<ChatMessage[]> = fc.oneof(
  fc.tuple(plainAnswer, user).map((turns) => turns.flat()),
  fc.tuple(emptyAnswer, user).map((turns) => turns.flat()),
  fc.tuple(callAnswer, fc.option(user, { nil: [] })).map((turns) => turns.flat()),
  fc.tuple(functionAnswer, user).map((turns) => turns.flat()),
)
