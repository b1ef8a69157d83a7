// What is measured: each case once per round and target, in turn.

import { eventsIn } from './answers.ts'
import { type Bodies, requestBytes } from './bodies.ts'
import { closedLoop } from './closed-loop.ts'
import type { LoadResult } from './load.ts'
import { type OpenResult, openLoop } from './open-loop.ts'
import { cpuSeconds, memoryMb } from './process.ts'
import { type StreamsResult, streamBatch } from './stream-batch.ts'
import type { Target } from './targets.ts'
import { readStats, type UpstreamStats } from './upstream.ts'

/** A load to put on every target. */
export type Case = {
  readonly name: string
  readonly title: string
  readonly body: keyof Bodies
  /** Where it is sent, if not to `/v1/messages`; the others only pass what they are sent, so they sit it out. */
  readonly ownPath?: string
  /** What CPU is divided by. */
  readonly per: 'request' | 'event'
} & (
  | { readonly kind: 'closed'; readonly connections: number }
  | { readonly kind: 'open'; readonly perSecond: number }
  | { readonly kind: 'paced'; readonly streams: number; readonly intervalMs: number }
  | { readonly kind: 'full_speed'; readonly connections: number; readonly deltas: number }
)

const small = (connections: number): Case => ({
  kind: 'closed',
  name: `small-${connections}`,
  title: `small request, ${connections} connection${connections === 1 ? '' : 's'}`,
  body: 'small',
  per: 'request',
  connections,
})

const paced = (streams: number) => ({
  kind: 'paced' as const,
  name: `streams-${streams}`,
  title: `${streams.toLocaleString('en')} streams of 100 deltas at 20 ms`,
  body: 'stream' as const,
  per: 'event' as const,
  streams,
  intervalMs: 20,
})

const FULL_SPEED = {
  kind: 'full_speed',
  name: 'full-speed',
  title: 'streams of 5,000 deltas at full speed, 4 connections',
  body: 'stream',
  per: 'event',
  connections: 4,
  deltas: 5000,
} as const

/** The same load through the translation of chat completions: the body means the same there. */
const translated = (which: Case): Case => ({
  ...which,
  name: `chat-${which.name}`,
  title: `chat completions: ${which.title}`,
  ownPath: '/v1/chat/completions',
})

/** All cases, in the order of the report. */
export const CASES: readonly Case[] = [
  small(1),
  small(16),
  small(64),
  small(256),
  {
    kind: 'open',
    name: 'open-500',
    title: 'small request, 500 per second, open loop',
    body: 'small',
    per: 'request',
    perSecond: 500,
  },
  {
    kind: 'closed',
    name: 'agent-30k',
    title: '30 KB agent turn, 16 connections',
    body: 'agent',
    per: 'request',
    connections: 16,
  },
  {
    kind: 'closed',
    name: 'text-1m',
    title: '1 MB text body, 8 connections',
    body: 'text',
    per: 'request',
    connections: 8,
  },
  {
    kind: 'closed',
    name: 'images-8m',
    title: '8 MB body with images, 4 connections',
    body: 'images',
    per: 'request',
    connections: 4,
  },
  paced(200),
  translated(paced(200)),
  paced(1000),
  FULL_SPEED,
  translated(FULL_SPEED),
]

/** How long things take. */
export interface Timing {
  readonly windowMs: number
  readonly warmupMs: number
  /** Deltas per paced stream. */
  readonly deltas: number
}

/** One window on one target. */
export interface Measured {
  readonly load: LoadResult
  readonly open: OpenResult | null
  readonly streams: StreamsResult | null
  /** CPU of the proxy per request or event, microseconds; null for the direct path. */
  readonly cpuMicros: number | null
  /** Share of one core that the proxy used. */
  readonly cpuShare: number | null
  readonly memoryMb: number | null
  /** Requests or events per second that the upstream counted in the window. */
  readonly upstreamRate: number
}

/** Puts one case on one target for one window. */
export async function measure(
  which: Case,
  target: Target,
  bodies: Bodies,
  timing: Timing,
  upstreamPort: number,
): Promise<Measured> {
  let before: Promise<UpstreamStats> | null = null
  let after: Promise<UpstreamStats> | null = null
  let cpuBefore = 0
  let cpuAfter = 0
  const { pid, port, key } = target
  const common = {
    port,
    warmupMs: timing.warmupMs,
    windowMs: timing.windowMs,
    onStart: () => {
      before = readStats(upstreamPort)
      if (pid !== null) cpuBefore = cpuSeconds(pid)
    },
    onEnd: () => {
      if (pid !== null) cpuAfter = cpuSeconds(pid)
      after = readStats(upstreamPort)
    },
  }
  const body = bodies[which.body]
  const request = (bench?: string) =>
    requestBytes({
      port,
      key,
      body,
      ...(bench === undefined ? {} : { bench }),
      ...(which.ownPath === undefined ? {} : { path: which.ownPath }),
    })
  let load: LoadResult
  let open: OpenResult | null = null
  let streams: StreamsResult | null = null
  switch (which.kind) {
    case 'closed':
      load = await closedLoop({ ...common, request: request(), connections: which.connections })
      break
    case 'open':
      open = await openLoop({ ...common, request: request(), perSecond: which.perSecond })
      load = open
      break
    case 'full_speed':
      load = await closedLoop({
        ...common,
        request: request(`stream,${which.deltas},0`),
        connections: which.connections,
        countEvents: true,
      })
      break
    case 'paced':
      streams = await streamBatch({
        ...common,
        request: request(`stream,${timing.deltas},${which.intervalMs}`),
        streams: which.streams,
        staggerMs: Math.min(500, which.streams),
        nominalMs: (timing.deltas + 1) * which.intervalMs,
        deadlineMs: timing.deltas * which.intervalMs * 5 + 5000,
      })
      load = streams
      break
  }
  const units = which.per === 'event' ? load.events : load.requests
  const usedSeconds = cpuAfter - cpuBefore
  const rate = await attained(which.per, before, after)
  return {
    load,
    open,
    streams,
    cpuMicros: pid === null ? null : (usedSeconds * 1e6) / units,
    cpuShare: pid === null ? null : usedSeconds / load.seconds,
    memoryMb: pid === null ? null : memoryMb(pid).now,
    upstreamRate: rate,
  }
}

async function attained(
  per: Case['per'],
  before: Promise<UpstreamStats> | null,
  after: Promise<UpstreamStats> | null,
): Promise<number> {
  const [first, last] = await Promise.all([before, after])
  if (first === null || last === null) return Number.NaN
  const count = per === 'event' ? last.events - first.events : last.requests - first.requests
  return (count * 1000) / (last.atMs - first.atMs)
}

/** Memory of a fresh process: idle, and with many streams open. */
export interface MemoryResult {
  readonly idleMb: number
  readonly streamsMb: number
  readonly kbPerStream: number
  readonly streams: number
  readonly failed: number
}

/** Measures a fresh target: at rest, then with `streams` slow streams open at once. */
export async function measureMemory(
  target: Target,
  bodies: Bodies,
  want: { readonly streams: number; readonly restMs: number; readonly openMs: number },
): Promise<MemoryResult> {
  const pid = target.pid
  if (pid === null) throw new Error('the direct path has no process')
  await new Promise((resolve) => setTimeout(resolve, want.restMs))
  const idleMb = memoryMb(pid).now
  const intervalMs = 200
  const deltas = Math.round(want.openMs / intervalMs)
  let most = 0
  const sampler = setInterval(() => {
    most = Math.max(most, memoryMb(pid).now)
  }, 100)
  try {
    const done = await streamBatch({
      port: target.port,
      request: requestBytes({
        port: target.port,
        key: target.key,
        body: bodies.stream,
        bench: `stream,${deltas},${intervalMs}`,
      }),
      streams: want.streams,
      staggerMs: 1000,
      nominalMs: deltas * intervalMs,
      deadlineMs: want.openMs * 3 + 5000,
    })
    const missing = want.streams * eventsIn(deltas) - done.events
    return {
      idleMb,
      streamsMb: most,
      kbPerStream: ((most - idleMb) * 1000) / want.streams,
      streams: want.streams,
      failed: done.failed + (missing === 0 ? 0 : 1),
    }
  } finally {
    clearInterval(sampler)
  }
}
