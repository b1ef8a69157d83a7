import type { Usage } from '../../core/usage.ts'
import { parseEvent, SseFramer } from '../../wire/sse.ts'
import { plainWord } from './classify.ts'
import { beginsWith, deltaHead, NO_HEAD, textBytes } from './delta-text.ts'
import type { Json } from './json.ts'
import { isJson, recordOf } from './json.ts'
import { MadeObjects } from './made-objects.ts'
import type { StreamUsage } from './usage.ts'
import {
  addRounds,
  mergeMessageDelta,
  mergeMessageStart,
  messageIdOf,
  noStreamUsage,
} from './usage.ts'

/** The error event of a stream that upstream broke off. */
export interface StreamError {
  /** Upstream's error type, such as `overloaded_error`; `api_error` when unreadable. */
  readonly type: string
  readonly message: string
  /** Offset in the upstream stream where the event begins: compare with `bytesSeen`. */
  readonly offset: number
}

/** What was produced so far: feeds the estimate for a cut stream. */
export interface OutputSoFar {
  /** UTF-8 bytes of text, tool input and shown thinking, unescaped. */
  readonly visibleBytes: number
  /** The last cumulative `output_tokens` of a `message_delta`; before one, 0. */
  readonly seenOutputTokens: number
  /** Whether any thinking block of this stream showed no text. */
  readonly omittedThinking: boolean
  /** Sum of `thinking_delta.estimated_tokens` (sent only where the client's betas ask for it). */
  readonly thinkingEstimatedTokens: number
  /** How long thinking blocks without text have been open, closed ones included. */
  readonly omittedThinkingMs: number
  /** Tools that upstream has run itself: after each it reads the grown prompt again. */
  readonly serverToolUses: number
}

const EVENT_FIELD = Buffer.from('event: ')

/** The event types that matter here; everything else passes unread. */
type Kind =
  | 'message_start'
  | 'message_delta'
  | 'message_stop'
  | 'content_block_start'
  | 'content_block_delta'
  | 'content_block_stop'
  | 'error'
  | 'other'

const KINDS = new Set<string>([
  'message_start',
  'message_delta',
  'message_stop',
  'content_block_start',
  'content_block_delta',
  'content_block_stop',
  'error',
])

/** Reads along while the relay passes upstream's bytes; see `push`. */
export class StreamTap {
  /** `message_start` was seen. */
  started = false
  /** `started` became true during the last `push`. */
  startedJust = false
  /** `message_stop` was seen whole: the answer is complete. */
  ended = false
  /** Upstream's `msg_…`; null before `message_start`. */
  messageId: string | null = null
  errorEvent: StreamError | null = null
  /** What upstream keeps since, of all rounds. */
  readonly made = new MadeObjects()
  /** Length of all chunks pushed. */
  bytesSeen = 0
  readonly #framer = new SseFramer()
  #usage: StreamUsage
  /** Of the rounds before this one; null in the first. */
  #before: Usage | null = null
  /** Where `message_stop` begins in the stream. */
  #stopOffset = Number.POSITIVE_INFINITY
  #isIncomplete = false
  #visibleBytes = 0
  #estimatedTokens = 0
  #nowMs = 0
  #isThinking = false
  #hasShownThinking = false
  #thinkingSinceMs: number | null = null
  #omittedMs = 0
  #hasOmitted = false
  #serverToolUses = 0
  /** What the deltas of the open block begin with, up to their text; empty until one was parsed. */
  #deltaHead: Buffer = NO_HEAD

  constructor(options: { readonly requestedModel: string }) {
    this.#usage = noStreamUsage(options.requestedModel)
  }

  /**
   * Reads a chunk and answers how many of its first bytes may go to the client now: all, until
   * `message_stop` begins; from there on everything waits for the settle commit.
   */
  push(chunk: Buffer, nowMs: number): number {
    const before = this.bytesSeen
    this.bytesSeen += chunk.length
    this.startedJust = false
    this.#nowMs = nowMs
    const framer = this.#framer
    framer.push(chunk)
    while (framer.next()) this.#event()
    return Math.min(chunk.length, Math.max(0, this.#stopOffset - before))
  }

  /** Usage so far, of all rounds. Exact only when `exact`. */
  usage(): Usage {
    if (this.#before === null) return this.#usage
    return this.started ? addRounds(this.#before, this.#usage) : this.#before
  }

  /** The answer is paused (`pause_turn`): the stream of its next round follows, and what both use is added up. */
  nextRound(): void {
    if (!this.exact) this.#isIncomplete = true
    this.#before = { ...this.usage(), stopReason: null }
    this.#usage = noStreamUsage(this.#before.model)
    this.#stopOffset = Number.POSITIVE_INFINITY
    this.started = false
    this.ended = false
    // Its prompt is read again, as after a tool.
    this.#serverToolUses++
  }

  /** The stream ended properly and every figure of it was usable. */
  get exact(): boolean {
    const { deltas, anomalies } = this.#usage
    const isWhole = this.started && this.ended && this.errorEvent === null
    return isWhole && deltas > 0 && anomalies === 0 && !this.#isIncomplete
  }

  /** What was produced until `nowMs`. */
  outputSoFar(nowMs: number): OutputSoFar {
    const isOpen = this.#thinkingSinceMs !== null && !this.#hasShownThinking
    const openMs = isOpen && this.#thinkingSinceMs !== null ? nowMs - this.#thinkingSinceMs : 0
    return {
      visibleBytes: this.#visibleBytes,
      seenOutputTokens:
        (this.#before?.tokens.output ?? 0) +
        (this.#usage.deltas === 0 ? 0 : this.#usage.tokens.output),
      omittedThinking: isOpen || this.#hasOmitted,
      thinkingEstimatedTokens: this.#estimatedTokens,
      omittedThinkingMs: this.#omittedMs + openMs,
      serverToolUses: this.#serverToolUses,
    }
  }

  /** Bytes of an unfinished event that the tap keeps. */
  get bufferedBytes(): number {
    return this.#framer.carriedBytes
  }

  #event(): void {
    const { buffer, start, end, oversized } = this.#framer
    if (this.ended) return
    if (oversized) {
      this.#isIncomplete = true
      return
    }
    // Nearly all events are deltas that differ from the block's first one only in their text.
    if (this.#deltaHead.length > 0 && beginsWith(buffer, start, end, this.#deltaHead)) {
      const bytes = textBytes(buffer, start + this.#deltaHead.length, end)
      if (bytes >= 0) {
        this.#visibleBytes += bytes
        return
      }
    }
    this.#read(buffer, start, end)
  }

  #read(buffer: Buffer, start: number, end: number): void {
    const kind = kindOf(buffer, start, end)
    if (kind === 'other' || kind === 'content_block_stop') {
      if (kind === 'content_block_stop') this.#closeBlock()
      return
    }
    if (kind === 'message_stop') {
      this.ended = true
      this.#stopOffset = Math.min(this.#stopOffset, this.#framer.offset)
      return
    }
    const event = jsonOf(parseEvent(buffer, start, end).data)
    if (event === null) {
      this.#isIncomplete = true
      if (kind !== 'error') return
    }
    this.#take(kind, event ?? {}, buffer, start, end)
  }

  #take(kind: Kind, event: Json, buffer: Buffer, start: number, end: number): void {
    switch (kind) {
      case 'message_start': {
        // A second one could only take back what the first one said.
        if (this.started) {
          this.#isIncomplete = true
          return
        }
        this.startedJust = true
        this.started = true
        this.messageId = messageIdOf(event.message)
        this.made.message(recordOf(event.message))
        this.#usage = mergeMessageStart(this.#usage, event)
        return
      }
      case 'message_delta':
        this.#usage = mergeMessageDelta(this.#usage, event)
        this.made.delta(recordOf(event.delta))
        return
      case 'error': {
        // Nothing is made after it: from here on what was produced is the same at any time.
        this.#closeBlock()
        const error = recordOf(event.error)
        this.errorEvent ??= {
          type: typeof error.type === 'string' ? plainWord(error.type) : 'api_error',
          message: typeof error.message === 'string' ? error.message : '',
          offset: this.#framer.offset,
        }
        return
      }
      case 'content_block_start':
        this.#openBlock(recordOf(event.content_block))
        return
      case 'content_block_delta':
        this.#takeDelta(recordOf(event.delta), buffer, start, end)
        return
    }
  }

  #openBlock(block: Json): void {
    this.#closeBlock()
    this.made.block(block)
    if (block.type !== 'fallback') this.#usage = { ...this.#usage, hasContent: true }
    if (block.type === 'server_tool_use' || block.type === 'mcp_tool_use') this.#serverToolUses++
    // A block of these kinds may arrive whole, or begin with some of its text.
    if (typeof block.text === 'string') this.#visibleBytes += Buffer.byteLength(block.text)
    if (block.type === 'redacted_thinking' && typeof block.data === 'string') {
      this.#visibleBytes += Math.floor(block.data.length * 0.75)
    }
    this.#isThinking = block.type === 'thinking'
    this.#deltaHead = NO_HEAD
    if (!this.#isThinking) return
    this.#thinkingSinceMs = this.#nowMs
    this.#hasShownThinking = typeof block.thinking === 'string' && block.thinking !== ''
    if (typeof block.thinking === 'string') this.#visibleBytes += Buffer.byteLength(block.thinking)
  }

  #closeBlock(): void {
    if (this.#thinkingSinceMs !== null && !this.#hasShownThinking) {
      this.#hasOmitted = true
      this.#omittedMs += this.#nowMs - this.#thinkingSinceMs
    }
    this.#thinkingSinceMs = null
    this.#isThinking = false
    this.#deltaHead = NO_HEAD
  }

  #takeDelta(delta: Json, buffer: Buffer, start: number, end: number): void {
    const text = textOfDelta(delta)
    if (text !== null) this.#visibleBytes += Buffer.byteLength(text)
    if (this.#isThinking) {
      if (typeof delta.thinking === 'string' && delta.thinking !== '') this.#hasShownThinking = true
      const { estimated_tokens: estimate } = delta
      if (typeof estimate === 'number' && estimate > 0 && estimate < 1e8) {
        this.#estimatedTokens += Math.floor(estimate)
      }
      return
    }
    if (text !== null)
      this.#deltaHead = deltaHead(buffer.subarray(start, end), Buffer.byteLength(text))
  }
}

/** The event's type: by its `event` line, or where there is none by the `type` in its data. */
function kindOf(buffer: Buffer, start: number, end: number): Kind {
  if (
    buffer.compare(
      EVENT_FIELD,
      0,
      EVENT_FIELD.length,
      start,
      Math.min(end, start + EVENT_FIELD.length),
    ) === 0
  ) {
    let lineEnd = start + EVENT_FIELD.length
    while (lineEnd < end && buffer[lineEnd] !== 10 && buffer[lineEnd] !== 13) lineEnd++
    return kindNamed(buffer.toString('latin1', start + EVENT_FIELD.length, lineEnd))
  }
  const { event, data } = parseEvent(buffer, start, end)
  if (event !== '') return kindNamed(event)
  const type = jsonOf(data)?.type
  return typeof type === 'string' ? kindNamed(type) : 'other'
}

function kindNamed(name: string): Kind {
  return KINDS.has(name) ? (name as Kind) : 'other' // KINDS holds exactly the other members of Kind
}

function textOfDelta(delta: Json): string | null {
  if (typeof delta.text === 'string') return delta.text
  if (typeof delta.partial_json === 'string') return delta.partial_json
  return typeof delta.thinking === 'string' ? delta.thinking : null
}

function jsonOf(data: string | null): Json | null {
  if (data === null) return null
  try {
    const value: unknown = JSON.parse(data)
    return isJson(value) ? value : null
  } catch {
    return null
  }
}
