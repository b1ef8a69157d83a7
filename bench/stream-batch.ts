// Many streams at once, each read to its end.

import { Connection } from './connection.ts'
import { type LoadPlan, type LoadResult, sleep, Window } from './load.ts'
import { Samples } from './samples.ts'

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
