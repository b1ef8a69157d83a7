import type { Dispatcher } from 'undici'
import type { Connections } from '../../src/providers/http.ts'
import { BlockWriter } from '../../src/sandbox/block-writer.ts'
import type { Fault } from '../../src/sandbox/faults.ts'
import { messageBody, messageFrames } from '../../src/sandbox/stream.ts'
import { lognormal } from '../support/random.ts'
import type { VirtualTime } from './virtual-time.ts'

/** What upstream really did for one request: the truth that bills are compared with. */
export interface Served {
  readonly account: string
  readonly model: string
  readonly input: number
  readonly cacheRead: number
  readonly cacheWrite5m: number
  /** Output produced so far, and in all when it is whole. */
  output: number
  /** All of it left upstream. */
  isWhole: boolean
  /** Its figures were spoiled on purpose. */
  readonly isPoisoned: boolean
}

type Fate =
  | 'ok'
  | 'refuse'
  | 'reset_before'
  | 'status'
  | 'garbage'
  | 'break'
  | 'stall'
  | 'error_event'
  | 'poison'

const STATUSES = [400, 401, 402, 403, 404, 413, 429, 500, 502, 503, 504, 529]
const ERROR_TYPES: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  529: 'overloaded_error',
}
const POISONS: readonly NonNullable<Fault['usage']>[] = [
  'negative',
  'huge',
  'string',
  'float',
  'null',
  'shrinking',
  'missing',
]

/** Bytes of a body that make a token, at least. */
const LEAST_PER_TOKEN = 2.4

/** An upstream without sockets: answers, breaks and lies as a seed says, in virtual time. */
export class SimulatedUpstream {
  /** By upstream's request id. */
  readonly served = new Map<string, Served>()
  /** Share of requests that go wrong. */
  faultShare = 0.2
  readonly #time: VirtualTime
  readonly #random: () => number
  #count = 0

  constructor(time: VirtualTime, random: () => number) {
    this.#time = time
    this.#random = random
  }

  /** In place of the connections of `providers/http.ts`. */
  get connections(): Connections {
    const one = (account: { readonly id: string }) =>
      ({
        dispatch: (
          options: { path: string; body: Uint8Array },
          handler: Dispatcher.DispatchHandler,
        ) => {
          new Answering(this.#time, this.#random, handler).begin(this.#plan(account.id, options))
          return true
        },
      }) as unknown as Dispatcher
    // The gateway asks it for dispatchers and nothing else.
    return { for: one, keepOnly() {}, destroy: async () => {} } as unknown as Connections
  }

  #plan(account: string, options: { path: string; body: Uint8Array }): Plan {
    const body = JSON.parse(Buffer.from(options.body).toString('utf8')) as {
      model: string
      max_tokens?: number
      stream?: boolean
      cache_control?: object
    }
    const id = `req_${++this.#count}`
    const isCount = options.path.includes('count_tokens')
    if (isCount) {
      // Never less than the prompt will have.
      const text = JSON.stringify({
        input_tokens: Math.ceil(options.body.length / LEAST_PER_TOKEN),
      })
      return {
        id,
        fate: 'ok',
        status: 200,
        stream: false,
        frames: [{ text, tokens: 0 }],
        served: null,
        perSecond: 100,
      }
    }
    const fate = this.#fate()
    const status = fate === 'status' ? pick(STATUSES, this.#random) : 200
    const stream = body.stream === true
    const { frames, served } = this.#write(account, body, options.body.length, fate, stream)
    this.served.set(id, served)
    return { id, fate, status, stream, frames, served, perSecond: lognormal(this.#random, 70, 0.5) }
  }

  #fate(): Fate {
    if (this.#random() >= this.faultShare) return 'ok'
    return pick(
      [
        'refuse',
        'reset_before',
        'status',
        'status',
        'garbage',
        'break',
        'break',
        'stall',
        'error_event',
        'poison',
      ],
      this.#random,
    )
  }

  #write(
    account: string,
    body: { model: string; max_tokens?: number; cache_control?: object },
    bytes: number,
    fate: Fate,
    stream: boolean,
  ): { frames: readonly Piece[]; served: Served } {
    const random = this.#random
    const perToken = LEAST_PER_TOKEN + random() * 1.7
    const writer = new BlockWriter({
      maxTokens: body.max_tokens ?? 0,
      stopSequences: [],
      // Few, large steps: a simulation counts its time in events.
      deltaTokens: 150,
      perToken,
      tellsEstimates: random() < 0.5,
      organizationId: 'org',
      modelId: body.model,
      random,
    })
    if (random() < 0.5) writer.thinking(Math.ceil(lognormal(random, 600, 1)), 'omitted')
    writer.text('word '.repeat(Math.ceil((lognormal(random, 1_500, 1.4) * perToken) / 5)))
    const prompt = Math.max(1, Math.ceil(bytes / perToken))
    const cacheRead = random() < 0.5 ? Math.floor(prompt * 0.8) : 0
    const written = body.cache_control !== undefined ? 0.95 : cacheRead > 0 ? 0.5 : 0
    const cacheWrite5m = Math.floor((prompt - cacheRead) * written)
    const input = prompt - cacheRead - cacheWrite5m
    const isPoisoned = fate === 'poison'
    const fault: Fault = isPoisoned ? { usage: pick(POISONS, random) } : {}
    const usage = {
      input,
      output: writer.spent,
      thinking: writer.thinkingSpent,
      cacheRead,
      cacheWrite5m,
      cacheWrite1h: 0,
      webSearches: 0,
      serviceTier: 'standard',
      inferenceGeo: 'global',
      speed: 'standard',
      iterations: null,
    }
    const answer = {
      id: `msg_${this.#count}`,
      model: body.model,
      finalModel: body.model,
      blocks: writer.blocks,
      stopReason: writer.stopReason,
      stopSequence: null,
      stopDetails: null,
      usageAtStart: { ...usage, output: 0 },
      usage,
      isFree: false,
    }
    const served = {
      account,
      model: body.model,
      input,
      cacheRead,
      cacheWrite5m,
      output: 0,
      isWhole: false,
      isPoisoned,
    }
    const frames = stream
      ? messageFrames(answer, fault, {})
      : [{ text: messageBody(answer, fault, {}), tokens: usage.output }]
    return { frames, served }
  }
}

interface Piece {
  readonly text: string
  readonly tokens: number
}

interface Plan {
  readonly id: string
  readonly fate: Fate
  readonly status: number
  readonly stream: boolean
  readonly frames: readonly Piece[]
  readonly served: Served | null
  readonly perSecond: number
}

/** One answer on its way, event by event; stands still while the gateway pauses it. */
class Answering {
  readonly #time: VirtualTime
  readonly #random: () => number
  readonly #handler: Dispatcher.DispatchHandler
  readonly #controller: Dispatcher.DispatchController
  #isOver = false
  #isPaused = false
  #resume: (() => void) | null = null

  constructor(time: VirtualTime, random: () => number, handler: Dispatcher.DispatchHandler) {
    this.#time = time
    this.#random = random
    this.#handler = handler
    this.#controller = {
      abort: (error: Error) => {
        if (this.#isOver) return
        this.#isOver = true
        // As a real connection does it: never within the call.
        this.#time.after(0, () => handler.onResponseError?.(this.#controller, error))
      },
      pause: () => {
        this.#isPaused = true
      },
      resume: () => {
        this.#isPaused = false
        this.#resume?.()
      },
    } as unknown as Dispatcher.DispatchController
  }

  begin(plan: Plan): void {
    this.#later(1 + this.#random() * 10, () => {
      if (plan.fate === 'refuse') {
        this.#fail('ECONNREFUSED')
        return
      }
      this.#handler.onRequestStart?.(this.#controller, {})
      this.#later(lognormal(this.#random, 400, 0.8), () => this.#answer(plan))
    })
  }

  #answer(plan: Plan): void {
    const { fate, status, id, stream } = plan
    if (fate === 'reset_before') {
      this.#fail('ECONNRESET')
      return
    }
    if (fate === 'status') {
      const type = ERROR_TYPES[status] ?? 'api_error'
      const text = JSON.stringify({
        type: 'error',
        error: { type, message: 'No.' },
        request_id: id,
      })
      const retry: Record<string, string> =
        status === 429 && this.#random() < 0.5 ? { 'retry-after': '3' } : {}
      this.#whole(status, { 'content-type': 'application/json', 'request-id': id, ...retry }, text)
      return
    }
    if (fate === 'garbage') {
      this.#whole(200, { 'content-type': 'text/html' }, '<html>busy</html>')
      return
    }
    const type = stream ? 'text/event-stream; charset=utf-8' : 'application/json'
    this.#handler.onResponseStart?.(
      this.#controller,
      200,
      { 'content-type': type, 'request-id': id },
      'OK',
    )
    const last =
      fate === 'break' || fate === 'stall' || fate === 'error_event'
        ? Math.floor(this.#random() * plan.frames.length)
        : plan.frames.length
    this.#frame(plan, 0, last)
  }

  #frame(plan: Plan, index: number, last: number): void {
    const { served, frames, fate, perSecond, stream } = plan
    const frame = frames[index]
    if (index >= last && fate !== 'ok' && fate !== 'poison') {
      this.#breakOff(plan, frame)
      return
    }
    if (frame === undefined) {
      if (served !== null) served.isWhole = true
      this.#isOver = true
      this.#handler.onResponseEnd?.(this.#controller, {})
      return
    }
    this.#later((frame.tokens * 1_000) / perSecond, () => {
      if (served !== null) served.output += frame.tokens
      const bytes = Buffer.from(frame.text)
      // Some events arrive in two pieces.
      const cut = stream && this.#random() < 0.1 ? Math.floor(this.#random() * bytes.length) : 0
      if (cut > 0) this.#handler.onResponseData?.(this.#controller, bytes.subarray(0, cut))
      if (!this.#isOver) this.#handler.onResponseData?.(this.#controller, bytes.subarray(cut))
      this.#frame(plan, index + 1, last)
    })
  }

  #breakOff({ fate, id }: Plan, frame: Piece | undefined): void {
    if (fate === 'stall') {
      // The idle limit of the connection ends it.
      this.#later(180_000, () => this.#fail('UND_ERR_BODY_TIMEOUT'))
      return
    }
    if (fate === 'error_event') {
      const type = pick(['overloaded_error', 'api_error', 'rate_limit_error'], this.#random)
      const data = JSON.stringify({
        type: 'error',
        error: { type, message: 'No.' },
        request_id: id,
      })
      this.#handler.onResponseData?.(
        this.#controller,
        Buffer.from(`event: error\ndata: ${data}\n\n`),
      )
      if (this.#isOver) return
      this.#isOver = true
      this.#handler.onResponseEnd?.(this.#controller, {})
      return
    }
    const half = Buffer.from(frame?.text ?? '')
    this.#handler.onResponseData?.(
      this.#controller,
      half.subarray(0, Math.floor(half.length * this.#random())),
    )
    this.#fail('ECONNRESET')
  }

  #whole(status: number, headers: Record<string, string>, text: string): void {
    this.#handler.onResponseStart?.(this.#controller, status, headers, '')
    if (this.#isOver) return
    this.#handler.onResponseData?.(this.#controller, Buffer.from(text))
    if (this.#isOver) return
    this.#isOver = true
    this.#handler.onResponseEnd?.(this.#controller, {})
  }

  #fail(code: string): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#handler.onResponseError?.(this.#controller, Object.assign(new Error(code), { code }))
  }

  /** Goes on after so long, unless it was ended; waits while it is paused. */
  #later(ms: number, go: () => void): void {
    this.#time.after(ms, () => {
      if (this.#isOver) return
      if (!this.#isPaused) {
        go()
        return
      }
      this.#resume = () => {
        this.#resume = null
        this.#time.after(0, () => {
          if (!this.#isOver) go()
        })
      }
    })
  }
}

function pick<T>(list: readonly T[], random: () => number): T {
  return list[Math.floor(random() * list.length)] as T // the index is inside the list
}
