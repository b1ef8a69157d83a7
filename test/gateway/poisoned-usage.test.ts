import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { assertClean } from '../support/bills.ts'
import type { RawRequest } from '../support/raw-upstream.ts'
import { rawUpstream } from '../support/raw-upstream.ts'
import { type World, world } from '../support/world.ts'

/**
 * Usage that upstream cannot mean. The answer is the client's all the same; the bill never gives money
 * back, stays within what was held, is never free where something was delivered, and is marked and counted.
 */

type Fields = Readonly<Record<string, unknown>>

/** What a healthy answer says, and the text of it: 40 tokens of 4 bytes. */
const SAID = { input_tokens: 300, cache_read_input_tokens: 50, cache_creation_input_tokens: 20 }
const TEXT = 'four'.repeat(40)
const OUTPUT = 37
/** claude-sonnet-4-6: micro-dollars per token. */
const INPUT_MICRO = Math.ceil(300 * 3 + 50 * 0.3 + 20 * 3.75)
const OUTPUT_MICRO = 15

const COUNTS = [...Object.keys(SAID), 'output_tokens']
const NO_COUNTS: Readonly<Record<string, unknown>> = {
  negative: -1,
  'very negative': -1e12,
  fractional: 37.5,
  huge: 100_000_001,
  'beyond integers': 1e300,
  'a string of digits': '37',
  'a word': 'many',
  yes: true,
  'a list': [37],
  'an object': { tokens: 37 },
}
const NO_USAGE: Readonly<Record<string, unknown>> = {
  absent: undefined,
  null: null,
  'a string': 'lots',
  'a number': 7,
  'a list': [],
  empty: {},
}

interface Case {
  readonly name: string
  /** Of `message_start`, or of a whole answer. */
  readonly first: unknown
  /** Of each `message_delta`, in order; not used for a whole answer. */
  readonly deltas: readonly unknown[]
  /** Null and absent are no fault where the meaning is plain. */
  readonly isFault: boolean
  /** What the figures that can be used prove; the output is estimated where it has none. */
  readonly leastMicro: number
}

const START: Fields = { ...SAID, output_tokens: 1 }
const WHOLE: Fields = { ...SAID, output_tokens: OUTPUT }
const DELTA: Fields = { output_tokens: OUTPUT }
const PROVEN = INPUT_MICRO + OUTPUT * OUTPUT_MICRO

/** Cases of a whole answer: each count and the whole object. */
function wholeCases(): Case[] {
  const cases: Case[] = []
  const add = (name: string, first: unknown, isFault = true, leastMicro = 1) =>
    cases.push({ name, first, deltas: [], isFault, leastMicro })
  for (const [what, value] of Object.entries(NO_COUNTS))
    for (const field of COUNTS) add(`${field} ${what}`, { ...WHOLE, [field]: value })
  for (const [what, value] of Object.entries(NO_USAGE)) add(`usage ${what}`, value)
  for (const field of ['input_tokens', 'output_tokens']) {
    add(`${field} null`, { ...WHOLE, [field]: null })
    add(`${field} absent`, { ...WHOLE, [field]: undefined })
  }
  const plain = INPUT_MICRO + OUTPUT * OUTPUT_MICRO
  add('cache counts null', { ...WHOLE, cache_creation: null, server_tool_use: null }, false, plain)
  add('searches negative', { ...WHOLE, server_tool_use: { web_search_requests: -3 } })
  add('searches huge', { ...WHOLE, server_tool_use: { web_search_requests: 99_999 } })
  add('writes split negative', { ...WHOLE, cache_creation: { ephemeral_1h_input_tokens: -5 } })
  add('iterations a word', { ...WHOLE, iterations: 'one' }, true, plain)
  const bad = [{ type: 'message', input_tokens: -4, output_tokens: 2 }]
  add('iterations negative', { ...WHOLE, iterations: bad }, true, plain)
  return cases
}

/** Cases of a stream: in its start, in its deltas, and figures that shrink between them. */
function streamCases(): Case[] {
  const cases: Case[] = []
  const add = (
    name: string,
    first: unknown,
    deltas: readonly unknown[],
    isFault = true,
    leastMicro = INPUT_MICRO,
  ) => cases.push({ name, first, deltas, isFault, leastMicro })
  for (const [what, value] of Object.entries(NO_COUNTS)) {
    for (const field of COUNTS) {
      const least = OUTPUT * OUTPUT_MICRO
      add(`start: ${field} ${what}`, { ...START, [field]: value }, [DELTA], true, least)
      add(`delta: ${field} ${what}`, START, [{ ...DELTA, [field]: value }])
    }
  }
  for (const [what, value] of Object.entries(NO_USAGE)) {
    add(`start: usage ${what}`, value, [DELTA], true, OUTPUT * OUTPUT_MICRO)
    // A last total that never comes: the output is estimated, so the bill is partial.
    add(
      `delta: usage ${what}`,
      START,
      [value],
      what !== 'absent' && what !== 'null' && what !== 'empty',
    )
  }
  add('delta: null keeps what was said', START, [{ ...DELTA, input_tokens: null }], false, PROVEN)
  add('delta: absent keeps what was said', START, [DELTA], false, PROVEN)
  add('deltas replace, they do not add', START, [{ output_tokens: 9 }, DELTA], false, PROVEN)
  add('output shrinks', START, [DELTA, { output_tokens: 2 }], true, PROVEN)
  add('output shrinks to nothing', START, [DELTA, { output_tokens: 0 }], true, PROVEN)
  add('input shrinks', START, [{ ...DELTA, input_tokens: 1 }], true, PROVEN)
  add('cache reads shrink', START, [{ ...DELTA, cache_read_input_tokens: 0 }], true, PROVEN)
  return cases
}

test('a whole answer with poisoned usage: no credit, no absurd bill, marked and counted', (t) =>
  tryAll(t, wholeCases(), false))

test('a stream with poisoned usage: no credit, no absurd bill, marked and counted', (t) =>
  tryAll(t, streamCases(), true))

async function tryAll(t: TestContext, cases: readonly Case[], stream: boolean): Promise<void> {
  const upstream = await rawUpstream(t, (request, socket) => answer(cases, request, socket))
  const w = await world(t, {
    accounts: ['one'],
    account: () => ({ baseUrl: upstream.url }),
    creditMicro: 100_000_000,
  })
  let spentMicro = 0
  const problems: string[] = []
  for (const [index, one] of cases.entries()) {
    const wrong = await tryOne(w, one, index, stream)
    problems.push(...wrong.problems.map((line) => `${one.name}: ${line}`))
    spentMicro += wrong.costMicro
  }
  assert.deepEqual(problems, [], `${problems.length} findings in ${cases.length} cases`)
  await assertClean(w)
  assert.deepEqual(await w.wallet(), { balanceMicro: 100_000_000 - spentMicro, heldMicro: 0 })
  assert.ok(w.daemon.stoppedBecause() === null)
  t.diagnostic(`${cases.length} cases`)
}

async function tryOne(
  w: World,
  one: Case,
  index: number,
  stream: boolean,
): Promise<{ costMicro: number; problems: string[] }> {
  const problems: string[] = []
  const check = (isTrue: boolean, what: string) => {
    if (!isTrue) problems.push(what)
  }
  const before = await w.wallet()
  const prompt = `${index} ${'Words of a prompt. '.repeat(40)}`
  const body = { stream, messages: [{ role: 'user', content: prompt }] }
  const response = await w.post(body)
  const text = await response.text()
  check(response.status === 200, `status ${response.status}`)
  check(text.includes(TEXT), 'the answer is not passed on')
  const row = await w.usage(response.headers.get('x-cc-request-id') ?? '')
  const { costMicro, holdMicro, source, anomalies, status, tokens } = row
  const seen = `cost ${costMicro}, hold ${holdMicro}, tokens ${Object.values(tokens)}`
  check(status === 'complete', `row ${status}`)
  check(
    Number.isSafeInteger(costMicro) && costMicro >= one.leastMicro,
    `below ${one.leastMicro}: ${seen}`,
  )
  check(costMicro <= holdMicro, `above the hold: ${seen}`)
  check(
    Object.values(tokens).every((count) => Number.isSafeInteger(count) && count >= 0),
    `tokens: ${seen}`,
  )
  const isMissing = stream && !one.isFault && one.leastMicro !== PROVEN
  check(source === (one.isFault || isMissing ? 'partial' : 'exact'), `source ${source}`)
  check(one.isFault ? anomalies > 0 : anomalies === 0, `${anomalies} anomalies`)
  if (!one.isFault && !isMissing) check(costMicro === PROVEN, `not ${PROVEN}: ${seen}`)
  const after = await w.wallet()
  check(after.balanceMicro === before.balanceMicro - costMicro, 'wallet and row differ')
  return { costMicro, problems }
}

/** The prompt begins with the number of its case. */
function answer(cases: readonly Case[], request: RawRequest, socket: Socket): void {
  const asked = JSON.parse(request.body.toString('utf8')) as {
    readonly stream: boolean
    readonly messages: readonly { readonly content: string }[]
  }
  const { first, deltas } = cases[Number.parseInt(asked.messages[0].content, 10)]
  const message = {
    id: 'msg_poisoned',
    type: 'message',
    role: 'assistant',
    model: 'claude-sonnet-4-6',
    stop_reason: asked.stream ? null : 'end_turn',
  }
  const whole = { ...message, content: [{ type: 'text', text: TEXT }], usage: first }
  const event = (type: string, fields: Fields) =>
    `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`
  const body = !asked.stream
    ? JSON.stringify(whole)
    : [
        event('message_start', { message: { ...message, content: [], usage: first } }),
        event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
        event('content_block_delta', { index: 0, delta: { type: 'text_delta', text: TEXT } }),
        event('content_block_stop', { index: 0 }),
        ...deltas.map((usage, index) => {
          const isLast = index === deltas.length - 1
          return event('message_delta', { delta: isLast ? { stop_reason: 'end_turn' } : {}, usage })
        }),
        event('message_stop', {}),
      ].join('')
  const type = asked.stream ? 'text/event-stream' : 'application/json'
  socket.write(
    `HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\nrequest-id: req_poisoned\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}
