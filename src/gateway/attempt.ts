import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import type { AttemptOutcome } from '../core/attempt-outcome.ts'
import { classify, outcomeOfErrorEvent, readError } from '../providers/anthropic/classify.ts'
import { StreamTap } from '../providers/anthropic/stream-tap.ts'
import { nothingWasSent, wasTimeout } from '../providers/http.ts'

/** One try: what is sent where, and how long it may take. */
export interface AttemptRequest {
  readonly dispatcher: Dispatcher
  readonly method: 'POST' | 'GET'
  readonly path: string
  /** Flat names and values. */
  readonly headers: string[]
  readonly body: Uint8Array | null
  readonly stream: boolean
  readonly model: string
  /** Until the answer begins: headers and, of a stream, `message_start`. Of a unary answer: all of it. */
  readonly beginWithinMs: number
  /** Longest silence inside an answer. */
  readonly idleMs: number
  readonly nowMs: () => number
  /** Of the rounds before, where this one goes on with a paused answer. */
  readonly tap?: StreamTap
}

/** How a try ended, or began to flow. Nothing of it has reached the client yet. */
export type AttemptEnd =
  /** A whole answer; `outcome` says whose business it is. */
  | {
      readonly kind: 'answer'
      readonly outcome: AttemptOutcome
      readonly status: number
      readonly headers: IncomingHttpHeaders
      readonly body: Buffer
      /** The parsed body of a 2xx. */
      readonly json: unknown
    }
  | { readonly kind: 'stream'; readonly stream: LiveStream }
  | {
      readonly kind: 'failed'
      readonly outcome: AttemptOutcome
      readonly timedOut: boolean
      /** `beginWithinMs` is over; `unreachable` then means that no connection was free for so long. */
      readonly ranOut: boolean
      /** Upstream said so, by a status or an event, rather than fall silent or break off. */
      readonly isStated: boolean
    }

/** How much of a chunk may go where. */
export interface ChunkPart {
  /** Bytes that may go to the client now; the rest waits for the settlement. */
  readonly safe: number
  /** Bytes that end events; what follows is the beginning of an unfinished one. */
  readonly whole: number
}

/** Where a flowing stream goes. */
export interface StreamSink {
  /** `safe` and `whole` count the chunk's leading bytes. */
  data(chunk: Buffer, part: ChunkPart): void
  /** Upstream ended the body properly. */
  end(): void
  /** Upstream broke off; `reason` is for people. */
  broken(reason: string): void
}

/** A stream whose `message_start` is here. `attach` once, at once. */
export interface LiveStream {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly upstreamRequestId: string | null
  readonly tap: StreamTap
  attach(sink: StreamSink): void
  pause(): void
  resume(): void
  /** Stops the upstream request; the sink hears nothing more. */
  abort(): void
}

/** A started try that can be called off. */
export interface RunningAttempt {
  readonly end: Promise<AttemptEnd>
  abort(): void
}

/** No real answer is larger; one that is counts as garbage. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024

/** Sends one request upstream. */
export function startAttempt(request: AttemptRequest): RunningAttempt {
  const call = new UpstreamCall(request)
  request.dispatcher.dispatch(
    {
      path: request.path,
      method: request.method,
      headers: request.headers,
      body: request.body,
      // Our own timer covers the time until the answer begins, and does so exactly.
      headersTimeout: 0,
      bodyTimeout: request.idleMs,
    },
    call,
  )
  return { end: call.ended, abort: () => call.abort() }
}

type EarlyEvent = { readonly chunk: Buffer; readonly part: ChunkPart } | { readonly broken: string }

class UpstreamCall implements Dispatcher.DispatchHandler, LiveStream {
  readonly ended: Promise<AttemptEnd>
  readonly tap: StreamTap
  status = 0
  headers: IncomingHttpHeaders = {}
  upstreamRequestId: string | null = null
  readonly #request: AttemptRequest
  #resolve: (end: AttemptEnd) => void = () => {}
  #controller: Dispatcher.DispatchController | null = null
  #timer: NodeJS.Timeout | null
  #phase: 'waiting' | 'collecting' | 'priming' | 'flowing' | 'over' = 'waiting'
  #aborted = false
  #timedOut = false
  #chunks: Buffer[] = []
  #bytes = 0
  #sink: StreamSink | null = null
  /** What came between the answer's beginning and `attach`. */
  #early: (EarlyEvent | 'end')[] = []

  constructor(request: AttemptRequest) {
    this.#request = request
    this.tap = request.tap ?? new StreamTap({ requestedModel: request.model })
    this.ended = new Promise((resolve) => {
      this.#resolve = resolve
    })
    this.#timer = setTimeout(() => {
      this.#timedOut = true
      if (this.#controller === null) {
        const outcome = this.#outcome('unreachable', 'no free connection in time')
        this.#finish({ kind: 'failed', timedOut: true, ranOut: true, isStated: false, outcome })
        return
      }
      this.#fail('timeout', { timedOut: true, ranOut: true })
      this.#controller.abort(new Error('the answer did not begin in time'))
    }, request.beginWithinMs)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#aborted || this.#timedOut) controller.abort(new Error('called off'))
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
  ): void {
    // 1xx answers come first and mean nothing here.
    if (status < 200) return
    this.status = status
    this.headers = headers
    const id = headers['request-id']
    this.upstreamRequestId = typeof id === 'string' ? id.slice(0, 128) : null
    const isStream = status === 200 && this.#request.stream && isEventStream(headers)
    this.#phase = isStream ? 'priming' : 'collecting'
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#phase === 'flowing') {
      const part = this.#read(chunk)
      if (this.#sink !== null) this.#sink.data(chunk, part)
      else this.#early.push({ chunk, part })
    } else if (this.#phase === 'collecting') {
      this.#collect(chunk)
    } else if (this.#phase === 'priming') {
      this.#prime(chunk)
    }
  }

  onResponseEnd(): void {
    if (this.#phase === 'flowing') {
      this.#phase = 'over'
      if (this.#sink !== null) this.#sink.end()
      else this.#early.push('end')
    } else if (this.#phase === 'collecting') {
      this.#answer()
    } else if (this.#phase === 'priming') {
      this.#fail('stream ended before it began')
    }
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#phase === 'flowing') {
      this.#phase = 'over'
      const reason = wasTimeout(error) ? 'fell silent' : 'closed the connection'
      if (this.#sink !== null) this.#sink.broken(reason)
      else this.#early.push({ broken: reason })
      return
    }
    if (this.#phase === 'over') return
    // Without a controller the request never got as far as a connection: refused, no such name, TLS.
    const unsent = this.#controller === null || nothingWasSent(error)
    if (this.#phase === 'waiting' && unsent) {
      this.#finish({
        kind: 'failed',
        timedOut: false,
        ranOut: false,
        isStated: false,
        outcome: this.#outcome('unreachable', `no connection (${codeOf(error)})`),
      })
      return
    }
    const timedOut = this.#timedOut || wasTimeout(error)
    this.#fail(timedOut ? 'timeout' : `connection broke (${codeOf(error)})`, { timedOut })
  }

  attach(sink: StreamSink): void {
    this.#sink = sink
    const early = this.#early
    this.#early = []
    for (const event of early) {
      // What it was told may have made it stop the stream.
      if (this.#sink !== sink) return
      if (event === 'end') sink.end()
      else if ('broken' in event) sink.broken(event.broken)
      else sink.data(event.chunk, event.part)
    }
  }

  pause(): void {
    this.#controller?.pause()
  }

  resume(): void {
    this.#controller?.resume()
  }

  abort(): void {
    if (this.#aborted) return
    this.#aborted = true
    const wasOpen = this.#phase !== 'over'
    if (wasOpen && this.#phase !== 'flowing') {
      this.#finish({
        kind: 'failed',
        timedOut: false,
        ranOut: false,
        isStated: false,
        outcome: this.#outcome('abandoned', 'called off'),
      })
    }
    this.#phase = 'over'
    this.#sink = null
    if (wasOpen) this.#controller?.abort(new Error('called off'))
  }

  #collect(chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#bytes > MAX_ANSWER_BYTES) {
      this.#fail('answer too large')
      this.#controller?.abort(new Error('answer too large'))
      return
    }
    this.#chunks.push(chunk)
  }

  /** Until `message_start` is here another account may still serve, so nothing goes out before. */
  #prime(chunk: Buffer): void {
    const part = this.#read(chunk)
    const { tap } = this
    if (tap.errorEvent !== null && !tap.started) {
      const { type } = tap.errorEvent
      const outcome = this.#outcome(outcomeOfErrorEvent(type), `stream began with ${type}`)
      this.#finish({ kind: 'failed', timedOut: false, ranOut: false, isStated: true, outcome })
      this.#controller?.abort(new Error('stream began with an error'))
      return
    }
    if (!tap.started) {
      this.#collect(chunk)
      return
    }
    this.#phase = 'flowing'
    this.#clearTimer()
    // `message_start` is the first event, so what came before it goes out with it.
    for (const before of this.#chunks) {
      this.#early.push({ chunk: before, part: { safe: before.length, whole: before.length } })
    }
    this.#chunks = []
    this.#early.push({ chunk, part })
    this.#resolve({ kind: 'stream', stream: this })
  }

  #read(chunk: Buffer): ChunkPart {
    const safe = this.tap.push(chunk, this.#request.nowMs())
    return { safe, whole: Math.max(0, chunk.length - this.tap.bufferedBytes) }
  }

  #answer(): void {
    const { status, headers } = this
    const body =
      this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks, this.#bytes)
    this.#chunks = []
    if (status >= 200 && status < 300) {
      const json = this.#request.stream ? undefined : parseAnswer(body)
      if (json === undefined) {
        this.#fail(`${status} without a usable answer`)
        return
      }
      this.#finish({
        kind: 'answer',
        outcome: this.#outcome('ok', ''),
        status,
        headers,
        body,
        json,
      })
      return
    }
    const outcome = classify({ status, headers, body: body.toString('utf8'), nowMs: Date.now() })
    this.#finish({ kind: 'answer', outcome, status, headers, body, json: null })
  }

  /** No whole answer came. The status and headers of an error stand all the same, where they tell enough. */
  #fail(reason: string, { timedOut = false, ranOut = false } = {}): void {
    const told = this.#phase === 'collecting' && this.status >= 400 ? this.#toldByHead() : null
    if (told !== null && told.kind !== 'client_fault') {
      const isStated = true
      this.#finish({ kind: 'failed', timedOut: false, ranOut: false, isStated, outcome: told })
      return
    }
    const outcome =
      told === null
        ? this.#outcome('server_error', reason)
        : this.#outcome('client_fault', `${this.status} ${reason}`)
    this.#finish({ kind: 'failed', timedOut, ranOut, isStated: told !== null, outcome })
  }

  /** What an error without its text says: `client_fault` where only the text would tell whose fault it is. */
  #toldByHead(): AttemptOutcome {
    const { status, headers } = this
    const told = classify({ status, headers, body: '', nowMs: Date.now() })
    return told.kind === 'forbidden' ? { ...told, kind: 'client_fault' } : told
  }

  #finish(end: AttemptEnd): void {
    if (this.#phase === 'over') return
    this.#phase = 'over'
    this.#clearTimer()
    this.#resolve(end)
  }

  #clearTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  #outcome(kind: AttemptOutcome['kind'], reason: string): AttemptOutcome {
    return {
      kind,
      reason,
      httpStatus: this.status === 0 ? null : this.status,
      upstreamRequestId: this.upstreamRequestId,
      restMs: null,
    }
  }
}

function isEventStream(headers: IncomingHttpHeaders): boolean {
  return String(headers['content-type'] ?? '')
    .toLowerCase()
    .startsWith('text/event-stream')
}

/** The answer as an object; undefined for HTML, half a body, or an error in a success's clothes. */
function parseAnswer(body: Buffer): unknown {
  let json: unknown
  try {
    json = JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return undefined
  if ('error' in json && readError(body.toString('utf8')).type !== null) return undefined
  return json
}

function codeOf(error: Error & { code?: string }): string {
  // A proxy says more than a code.
  if (error.code === 'EPROXY') return error.message
  return error.code ?? error.name
}
