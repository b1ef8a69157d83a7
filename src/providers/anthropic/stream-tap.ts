import type { Usage } from '../../core/usage.ts'

/** The error event of a stream that upstream broke off. */
export interface StreamError {
  /** Upstream's error type, such as `overloaded_error`; `api_error` when unreadable. */
  readonly type: string
  readonly message: string
  /** Offset in the upstream stream where the event begins: compare with `bytesSeen`. */
  readonly offset: number
}

/** What was produced so far: feeds the estimate for a cut stream (M15). */
export interface OutputSoFar {
  /** UTF-8 bytes of text, tool input and shown thinking. */
  readonly visibleBytes: number
  /** The last cumulative `output_tokens` of a `message_delta`; before one, 0. */
  readonly seenOutputTokens: number
  /** A thinking block that has shown no text is open now. */
  readonly omittedThinkingOpen: boolean
  /** Whether any thinking block of this stream showed no text. */
  readonly omittedThinking: boolean
  /** Sum of `thinking_delta.estimated_tokens` (sent only where the client's betas ask for it). */
  readonly thinkingEstimatedTokens: number
  /** How long thinking blocks without text have been open, closed ones included. */
  readonly omittedThinkingMs: number
}

/** Reads along while the relay passes upstream's bytes; see `push`. */
export class StreamTap {
  /** `message_start` was seen. */
  started = false
  /** `started` became true during the last `push`. */
  startedJust = false
  /** `message_stop` was seen whole: the answer is complete. */
  ended = false
  errorEvent: StreamError | null = null
  /** `message_start.message.id`, or null. */
  upstreamMessageId: string | null = null
  /** Length of all chunks pushed. */
  bytesSeen = 0

  constructor(options: { readonly requestedModel: string }) {
    void options
  }

  /**
   * Reads a chunk and answers how many of its first bytes may go to the client now: all, until
   * `message_stop` begins; from there on everything waits for the settle commit.
   */
  push(chunk: Buffer, nowMs: number): number {
    return chunk.length + nowMs * 0
  }

  /** Usage so far. Exact only when `exact`. */
  usage(): Usage {
    throw new Error('not yet')
  }

  /** The stream ended properly and every figure of it was usable. */
  get exact(): boolean {
    return false
  }

  /** What was produced until `nowMs`. */
  outputSoFar(nowMs: number): OutputSoFar {
    throw new Error(`not yet ${nowMs}`)
  }

  /** Bytes of an unfinished event that the tap keeps. */
  get bufferedBytes(): number {
    return 0
  }
}
