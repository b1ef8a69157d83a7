// The canned upstream: raw sockets, ready-made bytes, as cheap as Node allows. Run as a process it
// prints its port and ends when its input ends; tests start it in their own process.

import type { AddressInfo, Socket } from 'node:net'
import { createServer } from 'node:net'
import {
  BENCH_HEADER,
  CLOSING_EVENTS,
  eventsIn,
  fullSpeedStream,
  jsonAnswer,
  OPENING_EVENTS,
  type PacedStream,
  pacedStream,
  SMALL_ANSWER,
} from './answers.ts'
import { field, MessageReader } from './wire.ts'

/** What the upstream has answered since it started; `GET /stats` gives the same as JSON. */
export interface UpstreamStats {
  readonly requests: number
  readonly streams: number
  /** Events sent; those of a stream at full speed count when it has been sent whole. */
  readonly events: number
  readonly bodyBytes: number
  /** The upstream's own clock, so that two readings give the rate that it attained. */
  readonly atMs: number
}

/** A running upstream on 127.0.0.1. */
export interface Upstream {
  readonly port: number
  readonly stats: () => UpstreamStats
  readonly close: () => Promise<void>
}

type Plan =
  | { kind: 'small' }
  | { kind: 'stats' }
  | { kind: 'count' }
  | { kind: 'stream'; deltas: number; intervalMs: number }

const SMALL: Plan = { kind: 'small' }

function planOf(head: string): Plan {
  if (head.startsWith('GET /stats ')) return { kind: 'stats' }
  if (head.startsWith('POST /v1/messages/count_tokens')) return { kind: 'count' }
  const hint = field(head, BENCH_HEADER)
  if (hint === null || !hint.startsWith('stream,')) return SMALL
  const [, deltas, intervalMs] = hint.split(',')
  return { kind: 'stream', deltas: Number(deltas), intervalMs: Number(intervalMs) }
}

interface Paced {
  readonly socket: Socket
  readonly parts: PacedStream
  readonly deltas: number
  sent: number
}

/** Streams of one interval, spread over its milliseconds; one timer serves them all. */
class Pacer {
  readonly #slots: Paced[][]
  readonly #onEvents: (count: number) => void
  #timer: NodeJS.Timeout | null = null
  #turn = 0
  #nextSlot = 0
  #live = 0
  #startedMs = 0

  constructor(intervalMs: number, onEvents: (count: number) => void) {
    this.#slots = Array.from({ length: Math.max(1, Math.round(intervalMs)) }, () => [])
    this.#onEvents = onEvents
  }

  add(stream: Paced): void {
    this.#slots[this.#nextSlot]?.push(stream)
    this.#nextSlot = (this.#nextSlot + 1) % this.#slots.length
    this.#live++
    if (this.#timer === null) {
      this.#startedMs = performance.now()
      this.#turn = 0
      this.#timer = setInterval(() => this.#run(), 1)
    }
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  // Every millisecond since the start has its turn, also when the timer came late.
  #run(): void {
    const due = performance.now() - this.#startedMs
    for (; this.#turn <= due && this.#live > 0; this.#turn++) {
      const index = this.#turn % this.#slots.length
      const slot = this.#slots[index] ?? []
      this.#slots[index] = slot.filter((stream) => this.#advance(stream))
    }
    if (this.#live === 0) this.stop()
  }

  #advance(stream: Paced): boolean {
    if (!stream.socket.destroyed && stream.sent < stream.deltas) {
      stream.sent++
      stream.socket.write(stream.parts.delta)
      this.#onEvents(1)
      return true
    }
    this.#live--
    if (!stream.socket.destroyed) {
      stream.socket.write(stream.parts.closing)
      this.#onEvents(CLOSING_EVENTS)
    }
    return false
  }
}

/** Starts the canned upstream on a free port. */
export async function startUpstream(): Promise<Upstream> {
  const counts = { requests: 0, streams: 0, events: 0, bodyBytes: 0 }
  const stats = (): UpstreamStats => ({ ...counts, atMs: performance.now() })
  const pacers = new Map<number, Pacer>()
  const paced = new Map<number, PacedStream>()
  const fullSpeed = new Map<number, readonly Buffer[]>()
  const sockets = new Set<Socket>()

  const startStream = (socket: Socket, deltas: number, intervalMs: number) => {
    counts.streams++
    if (intervalMs === 0) {
      const writes = fullSpeed.get(deltas) ?? fullSpeedStream(deltas)
      fullSpeed.set(deltas, writes)
      pump(socket, writes, 0, () => {
        counts.events += eventsIn(deltas)
      })
      return
    }
    const parts = paced.get(deltas) ?? pacedStream(deltas)
    paced.set(deltas, parts)
    let pacer = pacers.get(intervalMs)
    if (pacer === undefined) {
      pacer = new Pacer(intervalMs, (count) => {
        counts.events += count
      })
      pacers.set(intervalMs, pacer)
    }
    socket.write(parts.opening)
    counts.events += OPENING_EVENTS
    pacer.add({ socket, parts, deltas, sent: 0 })
  }

  const answer = (socket: Socket, plan: Plan) => {
    switch (plan.kind) {
      case 'small':
        counts.requests++
        socket.write(SMALL_ANSWER)
        return
      case 'stats':
        socket.write(jsonAnswer(stats()))
        return
      case 'count':
        socket.write(jsonAnswer({ input_tokens: 25 }))
        return
      case 'stream':
        counts.requests++
        startStream(socket, plan.deltas, plan.intervalMs)
        return
    }
  }

  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    let plan: Plan = SMALL
    let bodyBytes = 0
    // A request in one piece that equals the one before it needs no second look.
    let known: Buffer | null = null
    let knownPlan: Plan = SMALL
    let knownBytes = 0
    const reader = new MessageReader({
      onHead: (head) => {
        plan = planOf(head)
        bodyBytes = 0
      },
      onBody: (bytes) => {
        bodyBytes += bytes.length
      },
      onEnd: () => {
        counts.bodyBytes += bodyBytes
        answer(socket, plan)
      },
      onBroken: () => socket.destroy(),
    })
    socket.on('data', (bytes: Buffer) => {
      const whole = reader.idle
      if (whole && known?.equals(bytes)) {
        counts.bodyBytes += knownBytes
        answer(socket, knownPlan)
        return
      }
      const before = counts.bodyBytes
      reader.feed(bytes)
      const single = whole && reader.idle && plan.kind !== 'stats'
      known = single ? bytes : null
      knownPlan = plan
      knownBytes = counts.bodyBytes - before
    })
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, resolve)
  })
  return {
    port: (server.address() as AddressInfo).port, // a TCP server's address is never a string
    stats,
    close: async () => {
      for (const pacer of pacers.values()) pacer.stop()
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Writes piece after piece, as fast as the reader takes them. */
function pump(socket: Socket, writes: readonly Buffer[], from: number, onDone: () => void): void {
  let at = from
  while (at < writes.length) {
    if (socket.destroyed) return
    const room = socket.write(writes[at] as Buffer) // `at` is below the length
    at++
    if (!room && at < writes.length) {
      const next = at
      socket.once('drain', () => pump(socket, writes, next, onDone))
      return
    }
  }
  onDone()
}

/** Reads the counters of an upstream that runs as its own process. */
export async function readStats(port: number): Promise<UpstreamStats> {
  const answer = await fetch(`http://127.0.0.1:${port}/stats`)
  return (await answer.json()) as UpstreamStats // our own upstream wrote it
}

if (import.meta.main) {
  const upstream = await startUpstream()
  process.stdout.write(`${upstream.port}\n`)
  process.stdin.resume()
  process.stdin.on('end', () => process.exit(0))
}
