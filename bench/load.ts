// The load generator: raw sockets, one request at a time per connection.
// Closed loop: as fast as answers come. Open loop: at fixed times, whatever the answers do.

import { Connection } from './connection.ts'
import { startMetronome } from './metronome.ts'
import { Samples } from './samples.ts'

/** What to send, where, and when the measured part begins and ends. */
export interface LoadPlan {
  readonly port: number
  /** One whole request, head and body. */
  readonly request: Buffer
  readonly warmupMs: number
  readonly windowMs: number
  /** Called at the borders of the measured window, to read the proxy's CPU clock. */
  readonly onStart?: () => void
  readonly onEnd?: () => void
}

/** What was measured between the borders. */
export interface LoadResult {
  readonly requests: number
  /** Answers other than 200, broken answers, lost connections, answers that never came. */
  readonly failed: number
  /** First reason of a failure, for people; empty when there was none. */
  readonly reason: string
  readonly events: number
  readonly bytes: number
  readonly seconds: number
  /** Requests per second that were attained. */
  readonly rate: number
  readonly eventRate: number
  readonly p50Ms: number
  readonly p99Ms: number
}

class Window {
  readonly latencies = new Samples()
  requests = 0
  failed = 0
  reason = ''
  events = 0
  bytes = 0
  open = false
  #startMs = 0
  #endMs = 0
  readonly #plan: LoadPlan

  constructor(plan: LoadPlan) {
    this.#plan = plan
  }

  start(): void {
    this.open = true
    this.#startMs = performance.now()
    this.#plan.onStart?.()
  }

  end(): void {
    this.open = false
    this.#endMs = performance.now()
    this.#plan.onEnd?.()
  }

  /** Warm-up, then the window; resolves when it has ended. */
  async run(): Promise<void> {
    await sleep(this.#plan.warmupMs)
    this.start()
    await sleep(this.#plan.windowMs)
    this.end()
  }

  fail(reason: string): void {
    this.failed++
    this.reason ||= reason
  }

  result(): LoadResult {
    const seconds = (this.#endMs - this.#startMs) / 1000
    return {
      requests: this.requests,
      failed: this.failed,
      reason: this.reason,
      events: this.events,
      bytes: this.bytes,
      seconds,
      rate: this.requests / seconds,
      eventRate: this.events / seconds,
      p50Ms: this.latencies.percentile(0.5),
      p99Ms: this.latencies.percentile(0.99),
    }
  }
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** Keeps `connections` requests in flight; with `countEvents` also counts events of the answers. */
export async function closedLoop(
  plan: LoadPlan & { readonly connections: number; readonly countEvents?: boolean },
): Promise<LoadResult> {
  const window = new Window(plan)
  let ended = false
  const connections: Connection[] = []
  const start = (): Promise<void> => {
    let sentMs = 0
    const next = () => {
      sentMs = performance.now()
      connection.send(plan.request)
    }
    const connection = new Connection(plan.port, {
      countEvents: plan.countEvents ?? false,
      onData: (events, bytes) => {
        if (!window.open) return
        window.events += events
        window.bytes += bytes
      },
      onAnswer: (failure) => {
        if (window.open && failure === null) {
          window.requests++
          window.latencies.add(performance.now() - sentMs)
        } else if (failure !== null && !ended) window.fail(failure)
        if (!ended) {
          if (failure === null) next()
          else setTimeout(() => !ended && connection.reconnect().then(next, () => {}), 20)
        }
      },
    })
    connections.push(connection)
    return connection.reconnect().then(next)
  }
  try {
    await Promise.all(Array.from({ length: plan.connections }, start))
    await window.run()
  } finally {
    ended = true
    for (const connection of connections) connection.close()
  }
  return window.result()
}

/** What an open loop adds: what it was asked to offer and how late it was itself. */
export interface OpenResult extends LoadResult {
  readonly offered: number
  /** Lateness of the generator's own sends, already inside the latencies. */
  readonly latenessP50Ms: number
}

/**
 * Sends at fixed times and counts latency from the time that was scheduled, so a stall is felt by
 * every request that should have been sent during it.
 */
export async function openLoop(
  plan: LoadPlan & { readonly perSecond: number; readonly maxConnections?: number },
): Promise<OpenResult> {
  const window = new Window(plan)
  const lateness = new Samples()
  const all = new Set<Connection>()
  const idle: { readonly connection: Connection; readonly send: (scheduledMs: number) => void }[] =
    []
  const waiting: number[] = []
  const maxConnections = plan.maxConnections ?? 512
  let ended = false
  let measured = 0
  let answered = 0

  const addConnection = async (): Promise<void> => {
    let scheduledMs = 0
    let counts = false
    const send = (atMs: number) => {
      scheduledMs = atMs
      counts = window.open && atMs >= windowStartMs
      if (counts) {
        measured++
        lateness.add(performance.now() - atMs)
      }
      connection.send(plan.request)
    }
    const free = () => {
      const next = waiting.shift()
      if (next === undefined) idle.push({ connection, send })
      else send(next)
    }
    const connection: Connection = new Connection(plan.port, {
      countEvents: false,
      onData: (_events, bytes) => {
        if (window.open) window.bytes += bytes
      },
      onAnswer: (failure) => {
        if (counts) {
          answered++
          counts = false
          if (failure === null) {
            window.requests++
            window.latencies.add(performance.now() - scheduledMs)
          }
        }
        if (failure !== null && !ended) window.fail(failure)
        if (ended) return
        if (failure === null) free()
        else all.delete(connection)
      },
    })
    all.add(connection)
    await connection.reconnect()
    free()
  }

  let windowStartMs = Number.POSITIVE_INFINITY
  const periodMs = 1000 / plan.perSecond
  let stopTicking: () => Promise<void> = async () => {}
  try {
    await Promise.all(Array.from({ length: 16 }, addConnection))
    const startMs = performance.now() + 60
    let due = 0
    const send = (scheduledMs: number) => {
      for (let free = idle.pop(); free !== undefined; free = idle.pop()) {
        if (free.connection.alive) {
          free.send(scheduledMs)
          return
        }
        all.delete(free.connection)
      }
      waiting.push(scheduledMs)
      if (all.size < maxConnections) {
        addConnection().catch((error: unknown) => window.fail(String(error)))
      }
    }
    stopTicking = startMetronome(
      { startEpochMs: performance.timeOrigin + startMs, periodMs },
      () => {
        const nowMs = performance.now()
        for (; !ended && startMs + due * periodMs <= nowMs; due++) send(startMs + due * periodMs)
      },
    )
    await sleep(startMs - performance.now() + plan.warmupMs)
    windowStartMs = performance.now()
    window.start()
    await sleep(plan.windowMs)
    window.end()
    // Requests of the window that are still under way belong to it: wait for them, within reason.
    for (let i = 0; i < 100 && answered < measured; i++) await sleep(20)
    if (answered < measured) window.fail(`${measured - answered} answers never came`)
  } finally {
    ended = true
    await stopTicking()
    for (const connection of all) connection.close()
  }
  return {
    ...window.result(),
    offered: plan.perSecond,
    latenessP50Ms: lateness.percentile(0.5),
  }
}

/** What a batch of streams adds: gaps between events, and how much of the pace was kept. */
export interface StreamsResult extends LoadResult {
  readonly firstByteP50Ms: number
  readonly gapP50Ms: number
  readonly gapP99Ms: number
  /** Mean of (duration that the pace asks for / duration it took), at most 1. */
  readonly paceKept: number
}

/**
 * Opens `streams` connections, starts a stream on each over `staggerMs`, and waits for all to end.
 * The window is the whole batch; p50 and p99 are durations of whole streams.
 */
export async function streamBatch(
  plan: Omit<LoadPlan, 'warmupMs' | 'windowMs'> & {
    readonly streams: number
    readonly staggerMs: number
    /** How long one stream lasts at its pace. */
    readonly nominalMs: number
    /** Streams that have not ended by then count as failed. */
    readonly deadlineMs: number
  },
): Promise<StreamsResult> {
  const window = new Window({ ...plan, warmupMs: 0, windowMs: 0 })
  const gaps = new Samples()
  const firstBytes = new Samples()
  let pace = 0
  let left = plan.streams
  let ended = false
  const finished = Promise.withResolvers<void>()
  const starts: (() => void)[] = []
  const connections = Array.from({ length: plan.streams }, () => {
    let sentMs = 0
    let lastMs = 0
    const connection: Connection = new Connection(plan.port, {
      countEvents: true,
      onData: (events, bytes) => {
        window.bytes += bytes
        if (events === 0) return
        const nowMs = performance.now()
        window.events += events
        if (lastMs === 0) firstBytes.add(nowMs - sentMs)
        else gaps.add(nowMs - lastMs)
        lastMs = nowMs
      },
      onAnswer: (failure) => {
        if (ended) return
        if (failure === null) {
          const tookMs = performance.now() - sentMs
          window.requests++
          window.latencies.add(tookMs)
          pace += Math.min(1, plan.nominalMs / tookMs)
        } else window.fail(failure)
        left--
        if (left === 0) finished.resolve()
      },
    })
    starts.push(() => {
      sentMs = performance.now()
      connection.send(plan.request)
    })
    return connection
  })
  const deadline = setTimeout(() => finished.resolve(), plan.deadlineMs)
  try {
    await Promise.all(connections.map((connection) => connection.reconnect()))
    window.start()
    const slices = Math.max(1, Math.round(plan.staggerMs / 5))
    const perSlice = Math.ceil(starts.length / slices)
    for (let at = 0; at < starts.length; at += perSlice) {
      for (const start of starts.slice(at, at + perSlice)) start()
      await sleep(plan.staggerMs / slices)
    }
    await finished.promise
    window.end()
  } finally {
    ended = true
    clearTimeout(deadline)
    for (const connection of connections) connection.close()
  }
  for (let i = 0; i < left; i++) window.fail('a stream did not end in time')
  return {
    ...window.result(),
    firstByteP50Ms: firstBytes.percentile(0.5),
    gapP50Ms: gaps.percentile(0.5),
    gapP99Ms: gaps.percentile(0.99),
    paceKept: window.requests === 0 ? 0 : pace / window.requests,
  }
}
