import assert from 'node:assert/strict'

/** An event of a Responses stream. */
export type StreamEvent = Readonly<Record<string, unknown>> & {
  readonly type: string
  readonly sequence_number: number
}

/** An output item, as far as these tests read it. */
interface Item {
  readonly id: string
  readonly type: string
  readonly status: string
  readonly [member: string]: unknown
}

interface Response {
  readonly id: string
  readonly status: string
  readonly output: readonly Item[]
}

/** Reads the events of a stream; each has a name, the same in `type`, and nothing besides. */
export function eventsOf(stream: string): StreamEvent[] {
  assert.ok(stream.endsWith('\n\n'))
  return stream
    .slice(0, -2)
    .split('\n\n')
    .map((text) => {
      const match = /^event: (\S+)\ndata: ([^\n]*)$/.exec(text)
      assert.ok(match, `not an event: ${text.slice(0, 200)}`)
      const event: StreamEvent = JSON.parse(match[2])
      assert.equal(event.type, match[1])
      return event
    })
}

const TERMINAL = new Set(['response.completed', 'response.incomplete', 'response.failed'])

/** What an item grows to out of its deltas. */
interface Growing {
  readonly item: Item
  text: string
  hasPart: boolean
  isDone: boolean
}

/**
 * Plays a client that trusts nothing but the order of events: an item is added before it grows and a part
 * before its text, what grows is what is done, and the end repeats it. Answers the final response.
 */
export function playLifecycle(events: readonly StreamEvent[]): Response {
  const open = new Map<unknown, Growing>()
  const [created, inProgress] = events as unknown as { type: string; response: Response }[]
  assert.deepEqual(
    [created.type, inProgress.type],
    ['response.created', 'response.in_progress'],
    'a stream begins with these two',
  )
  for (const [i, event] of events.entries()) {
    assert.equal(event.sequence_number, i)
    assert.equal(TERMINAL.has(event.type), i === events.length - 1, `${event.type} at ${i}`)
    if (i < 2 || TERMINAL.has(event.type)) continue
    if (event.type === 'response.output_item.added') {
      assert.equal(event.output_index, open.size)
      const item = event.item as Item
      open.set(event.output_index, { item, text: '', hasPart: false, isDone: false })
      continue
    }
    const growing = open.get(event.output_index)
    assert.ok(growing !== undefined && !growing.isDone, `${event.type} of no open item`)
    grow(growing, event)
  }
  const { response } = events.at(-1) as unknown as { response: Response }
  assert.equal(response.id, created.response.id)
  assert.equal(events.at(-1)?.type, `response.${response.status}`)
  for (const [index, growing] of open) endOf(growing, response.output[Number(index)])
  assert.equal(response.output.length, open.size)
  return response
}

function grow(growing: Growing, event: StreamEvent): void {
  const { item } = growing
  if (event.type === 'response.output_item.done') {
    const done = event.item as Item
    assert.equal(done.id, item.id)
    assert.equal(textOf(done), growing.text)
    growing.isDone = true
    return
  }
  assert.equal(event.item_id, item.id)
  if (event.type.endsWith('part.added')) growing.hasPart = true
  if (!event.type.endsWith('.delta')) return
  assert.ok(growing.hasPart || item.type.endsWith('_call'), `${event.type} without a part`)
  growing.text += event.delta
}

/** Only an item that was cut, or stood open when all failed, may lack its end. */
function endOf(growing: Growing, last: Item): void {
  assert.equal(last.id, growing.item.id)
  assert.equal(textOf(last), growing.text)
  if (!growing.isDone) assert.equal(last.status, 'incomplete')
}

/** Everything of an item that comes in deltas. */
function textOf(item: Item): string {
  const parts = (item.summary ?? item.content ?? []) as { text?: string; refusal?: string }[]
  const written = parts.map(({ text, refusal }) => text ?? refusal ?? '').join('')
  return String(item.arguments ?? item.input ?? written)
}
