import type { Digest } from './ids.ts'
import { upstreamCallId } from './ids.ts'
import { isDeeperThan, isObject, parseJson, RawJson } from './json.ts'
import { refuse } from './refusal.ts'
import type { Block, CacheControl, UpstreamMessage } from './upstream.ts'
import { continueBlock } from './upstream.ts'

/** A tool call of the history, by the client's id. */
export interface ToolCall {
  readonly id: string
  /** The name that upstream knows. */
  readonly name: string
  readonly input: RawJson
  readonly cacheControl?: CacheControl | null
}

/** One message of a client, its parts already translated, in the client's order. */
export type Turn =
  | { readonly kind: 'system' | 'user'; readonly blocks: readonly Block[] }
  | {
      readonly kind: 'assistant'
      readonly thinking: readonly Block[]
      readonly blocks: readonly Block[]
      readonly calls: readonly ToolCall[]
    }
  | {
      readonly kind: 'result'
      readonly callId: string
      /** A `tool_result` without its `tool_use_id`. */
      readonly block: Block
      /** Called where no call fits: refuses in the words of the client's API. */
      readonly refuseOrphan: () => never
    }

/** How a history is built. */
export interface HistoryOptions {
  readonly midSystem: boolean
  readonly prefill: boolean
  readonly digest: Digest
  /** Answers calls without a result, and drops results without a call, instead of refusing. */
  readonly repair: boolean
  /** Called with the client's ids of calls without a result: refuses in the words of the client's API. */
  readonly refuseUnanswered: (ids: readonly string[]) => never
}

/** The prompt without its tools. */
export interface History {
  readonly system: readonly Block[]
  readonly messages: readonly UpstreamMessage[]
}

/** Objects inside a body may nest 64 levels; an input begins at the sixth. */
const MAX_INPUT_DEPTH = 56

/**
 * A call's arguments as upstream wants them: an object, exactly as the model wrote it. What is no object goes
 * along as text, for leaving the call out would orphan its result.
 */
export function callInput(text: string): RawJson {
  const json = text.trim()
  if (json === '') return new RawJson('{}')
  const value = parseJson(json)
  if (isObject(value) && !isDeeperThan(value, MAX_INPUT_DEPTH)) return new RawJson(json)
  return new RawJson(`{"_raw_arguments":${JSON.stringify(text)}}`)
}

/** The input of a custom tool's call: its text as one member. */
export function customInput(text: string): RawJson {
  return new RawJson(`{"input":${JSON.stringify(text)}}`)
}

/**
 * Turns as upstream accepts them. The result is append-only: what a history
 * gives is a prefix of what the same history gives with an answer and a user's turn behind it, because
 * thinking and caches are bound to every block before them.
 */
export function buildHistory(turns: readonly Turn[], options: HistoryOptions): History {
  const first = turns.findIndex(({ kind }) => kind !== 'system')
  const leading = first === -1 ? turns : turns.slice(0, first)
  const system = leading.flatMap((turn) => (turn.kind === 'system' ? turn.blocks : []))
  const builder = new HistoryBuilder(options)
  for (const turn of turns.slice(leading.length)) builder.add(turn)
  const messages = builder.end()
  if (messages.length > 0) return { system, messages }
  if (system.length === 0)
    refuse('invalid_value', 'messages', "'messages' has no content: all of it is empty.")
  return { system, messages: [{ role: 'user', content: [continueBlock()] }] }
}

/** A call that waits for its result. */
interface OpenCall {
  readonly clientId: string
  readonly upstreamId: string
  result: Block | null
}

/** What stands between two messages of the assistant. */
interface Segment {
  /** The assistant's message before it; null at the start. */
  readonly after: { content: Block[]; readonly calls: readonly OpenCall[] } | null
  /** In order of arrival. */
  readonly results: OpenCall[]
  /** The user's blocks, with the system's among them where the model has no system messages here. */
  readonly blocks: Block[]
  readonly system: Block[]
  hasUser: boolean
  /** Nothing followed the answer but an empty one. */
  wasUntouched: boolean
}

/** The calls of one client id. */
interface CallsOfId {
  /** Those without a result, by the answer they stand in, the nearest last; in order within it. */
  readonly waiting: { readonly segment: Segment; readonly calls: OpenCall[]; next: number }[]
  answered: { readonly call: OpenCall; readonly segment: Segment } | null
}

class HistoryBuilder {
  readonly #options: HistoryOptions
  readonly #segments: Segment[] = [segmentAfter(null)]
  readonly #callsById = new Map<string, CallsOfId>()
  readonly #usedIds = new Set<string>()
  /** How often an id that was valid upstream came so far. */
  readonly #repeats = new Map<string, number>()

  constructor(options: HistoryOptions) {
    this.#options = options
  }

  add(turn: Turn): void {
    const segment = this.#segments[this.#segments.length - 1]
    switch (turn.kind) {
      case 'user':
        for (const block of turn.blocks) segment.blocks.push(block)
        if (turn.blocks.length > 0) segment.hasUser = true
        return
      case 'system':
        for (const block of turn.blocks)
          (this.#options.midSystem ? segment.system : segment.blocks).push(block)
        return
      case 'assistant':
        this.#assistant(turn, segment)
        return
      case 'result':
        this.#result(turn)
    }
  }

  #assistant(turn: Extract<Turn, { kind: 'assistant' }>, before: Segment): void {
    if (turn.thinking.length + turn.blocks.length + turn.calls.length === 0) {
      // An empty answer is left out, but it was an answer: the turn before it has ended.
      if (needsContinue(before)) {
        // Where the answer turns out not to be empty, nothing will stand between the two.
        before.wasUntouched = isUntouched(before)
        before.blocks.unshift(continueBlock())
        before.hasUser = true
      }
      return
    }
    const calls: OpenCall[] = []
    const content = [...turn.thinking, ...turn.blocks]
    for (const call of turn.calls) {
      const upstreamId = this.#upstreamId(call.id)
      calls.push({ clientId: call.id, upstreamId, result: null })
      const marker = call.cacheControl ? { cache_control: call.cacheControl } : {}
      content.push({
        type: 'tool_use',
        id: upstreamId,
        name: call.name,
        input: call.input,
        ...marker,
      })
    }
    const segment = segmentAfter({ content, calls })
    this.#segments.push(segment)
    for (const call of calls) this.#await(call, segment)
  }

  #await(call: OpenCall, segment: Segment): void {
    const known = this.#callsById.get(call.clientId) ?? { waiting: [], answered: null }
    this.#callsById.set(call.clientId, known)
    const group = known.waiting.at(-1)
    if (group?.segment === segment) group.calls.push(call)
    else known.waiting.push({ segment, calls: [call], next: 0 })
  }

  /** Upstream wants every id once; a repeated one is numbered. */
  #upstreamId(clientId: string): string {
    const plain = upstreamCallId(clientId, this.#options.digest)
    let id = plain
    let n = this.#repeats.get(plain) ?? 1
    for (; this.#usedIds.has(id); n++) id = `${plain}_${n + 1}`
    this.#repeats.set(plain, n)
    this.#usedIds.add(id)
    return id
  }

  #result(turn: Extract<Turn, { kind: 'result' }>): void {
    const known = this.#callsById.get(turn.callId)
    const group = known?.waiting.at(-1)
    if (known !== undefined && group !== undefined) {
      const { segment, calls } = group
      const call = calls[group.next++]
      if (group.next === calls.length) known.waiting.pop()
      segment.results.push(call)
      call.result = withCallId(turn.block, call.upstreamId)
      known.answered = { call, segment }
      return
    }
    // A second result for a call of the running turn replaces the first; older turns stay as they were sent.
    const latest = this.#segments[this.#segments.length - 1]
    const answered = known?.answered
    if (answered?.segment === latest)
      answered.call.result = withCallId(turn.block, answered.call.upstreamId)
    else if (!this.#options.repair) turn.refuseOrphan()
  }

  end(): UpstreamMessage[] {
    this.#answerAll()
    const messages: UpstreamMessage[] = []
    const { prefill } = this.#options
    this.#segments.forEach((segment, i) => {
      const isLast = i === this.#segments.length - 1
      if (segment.after !== null) {
        // In prefill the text must not end in a blank; the same when the next turn is another answer.
        if (prefill && (segment.wasUntouched || isUntouched(segment)))
          segment.after.content = trimmedEnd(segment.after.content)
        messages.push({ role: 'assistant', content: segment.after.content })
      }
      // Upstream goes on with text alone: nothing else may stand last.
      const endsInText = segment.after?.content.at(-1)?.type === 'text'
      const isPrefill = isLast && prefill && isUntouched(segment) && endsInText
      const isStart = segment.after === null && !isLast && segment.blocks.length === 0
      const content: Block[] = segment.results.map(({ result }) => result as Block)
      if (isStart || (needsContinue(segment) && !isPrefill)) content.push(continueBlock())
      for (const block of segment.blocks) content.push(block)
      if (content.length > 0) messages.push({ role: 'user', content })
      else if (segment.system.length > 0)
        messages.push({ role: 'user', content: [continueBlock()] })
      if (segment.system.length > 0) messages.push({ role: 'system', content: segment.system })
    })
    return messages
  }

  /** Every call needs a result directly after it; upstream refuses the history otherwise. */
  #answerAll(): void {
    const unanswered: string[] = []
    for (const segment of this.#segments) {
      for (const call of segment.after?.calls ?? []) {
        if (call.result !== null) continue
        unanswered.push(call.clientId)
        call.result = {
          type: 'tool_result',
          tool_use_id: call.upstreamId,
          is_error: true,
          content: 'No result was recorded for this tool call.',
        }
        segment.results.push(call)
      }
    }
    if (unanswered.length > 0 && !this.#options.repair) this.#options.refuseUnanswered(unanswered)
  }
}

function segmentAfter(after: Segment['after']): Segment {
  const nothing = { results: [], blocks: [], system: [] }
  return { after, ...nothing, hasUser: false, wasUntouched: false }
}

/** An answer without calls that no user's turn follows. */
function needsContinue(segment: Segment): boolean {
  return segment.after !== null && segment.after.calls.length === 0 && !segment.hasUser
}

/** Nothing at all follows the answer. */
function isUntouched(segment: Segment): boolean {
  return needsContinue(segment) && segment.blocks.length === 0 && segment.system.length === 0
}

function withCallId(block: Block, id: string): Block {
  const { type, ...rest } = block
  return { type, tool_use_id: id, ...rest }
}

function trimmedEnd(content: readonly Block[]): Block[] {
  const last = content.at(-1)
  if (last?.type !== 'text' || typeof last.text !== 'string') return [...content]
  return [...content.slice(0, -1), { ...last, text: last.text.trimEnd() }]
}
