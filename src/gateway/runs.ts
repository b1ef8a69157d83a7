import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { Micro } from '../core/money.ts'
import type { StreamClient } from './client-stream.ts'
import type { Call } from './exchange.ts'

/** A whole answer as another client can still get it. */
export interface WholeAnswer {
  readonly status: number
  /** Upstream's. */
  readonly headers: IncomingHttpHeaders
  readonly accountId: string
  readonly body: readonly Buffer[]
  /** The wallet after the charge; null when that is not known. */
  readonly balanceMicro: Micro | null
}

/** How an answer ended for the client that joined it. */
export interface Joined {
  readonly status: 'complete' | 'interrupted' | 'left'
  readonly errorCode: string | null
}

/** Gives a running answer to a new client; resolves when it is over for that client, null when it cannot have it. */
export type Adopt = (client: StreamClient) => Promise<Joined | null>

/** An answer whose client is gone, for a retry to join. */
export interface AbandonedRun {
  /** The request that has the bill. */
  readonly requestId: string
  /** Streams: takes the answer over, from its beginning; null for answers that come whole. */
  readonly adopt: Adopt | null
  /** The answer once it is whole and paid for; null when there will be none. */
  readonly whole: Promise<WholeAnswer | null>
  /** Told by whomever runs it; what is told after the first time changes nothing. */
  readonly end: (answer: WholeAnswer | null) => void
}

/** How much is kept for retries, and how long. */
const KEEP_MS = 60_000
const MOST_RUNS = 1_000
const MOST_BYTES = 64 * 1024 * 1024

interface Entry {
  readonly run: AbandonedRun
  readonly keyId: string
  bytes: number
  timer: NodeJS.Timeout | null
}

/**
 * The abandoned runs: answers that are still made, or have just been, for clients that did not wait. A
 * retry by the same key of the same bytes on the same route gets that answer and no second bill.
 */
export class Runs {
  readonly #entries = new Map<string, Entry>()
  /** How many entries a key has: without any, nothing of a retry is hashed. */
  readonly #perKey = new Map<string, number>()
  #bytes = 0

  /** Keeps a run that its client has left, until a minute after its end. */
  abandon(call: Call, identity: Uint8Array, adopt: Adopt | null): AbandonedRun {
    const name = nameOf(call, identity)
    let tell: (answer: WholeAnswer | null) => void = () => {}
    const whole = new Promise<WholeAnswer | null>((resolve) => {
      tell = resolve
    })
    let isOver = false
    const run: AbandonedRun = {
      requestId: call.requestId,
      adopt,
      whole,
      end: (answer) => {
        if (isOver) return
        isOver = true
        tell(answer)
        if (this.#entries.get(name)?.run !== run) return
        if (answer === null) this.#remove(name)
        else this.#keep(name, answer)
      },
    }
    this.#remove(name)
    this.#entries.set(name, { run, keyId: call.live.key.id, bytes: 0, timer: null })
    this.#perKey.set(call.live.key.id, (this.#perKey.get(call.live.key.id) ?? 0) + 1)
    if (this.#entries.size > MOST_RUNS) this.#removeOldest()
    return run
  }

  /** The run that a retry may join; null when there is none. One that can be adopted is handed out once. */
  find(call: Call, identity: Uint8Array): AbandonedRun | null {
    if (!call.isRetry || !this.#perKey.has(call.live.key.id)) return null
    const name = nameOf(call, identity)
    const entry = this.#entries.get(name)
    if (entry === undefined) return null
    if (entry.run.adopt !== null && entry.timer === null) this.#remove(name)
    return entry.run
  }

  /** How many there are of this key. */
  countOf(keyId: string): number {
    return this.#perKey.get(keyId) ?? 0
  }

  /** How many are kept, and their bytes. */
  get size(): { readonly runs: number; readonly bytes: number } {
    return { runs: this.#entries.size, bytes: this.#bytes }
  }

  #keep(name: string, answer: WholeAnswer): void {
    const entry = this.#entries.get(name)
    if (entry === undefined) return
    entry.bytes = answer.body.reduce((sum, part) => sum + part.length, 0)
    this.#bytes += entry.bytes
    entry.timer = setTimeout(() => {
      if (this.#entries.get(name) === entry) this.#remove(name)
    }, KEEP_MS)
    entry.timer.unref()
    while (this.#bytes > MOST_BYTES) this.#removeOldest()
  }

  #removeOldest(): void {
    const [oldest] = this.#entries.keys()
    this.#remove(oldest)
  }

  #remove(name: string): void {
    const entry = this.#entries.get(name)
    if (entry === undefined) return
    this.#entries.delete(name)
    this.#bytes -= entry.bytes
    if (entry.timer !== null) clearTimeout(entry.timer)
    const left = (this.#perKey.get(entry.keyId) ?? 1) - 1
    if (left > 0) this.#perKey.set(entry.keyId, left)
    else this.#perKey.delete(entry.keyId)
  }
}

/** Headers that make another request of the same bytes. */
const TELLING = new Set(['anthropic-version', 'anthropic-beta', 'idempotency-key'])

function nameOf(call: Call, identity: Uint8Array): string {
  const hash = createHash('sha256')
  hash.update(`${call.live.key.id}\n${call.target}\n`)
  const { rawHeaders } = call
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i].toLowerCase()
    if (TELLING.has(name)) hash.update(`${name}: ${rawHeaders[i + 1]}\n`)
  }
  return hash.update('\n').update(identity).digest('base64')
}
