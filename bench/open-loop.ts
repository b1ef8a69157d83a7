// Requests at fixed times, whatever the answers do.

import { Connection } from './connection.ts'
import { type LoadPlan, type LoadResult, sleep, Window } from './load.ts'
import { startMetronome } from './metronome.ts'
import { Samples } from './samples.ts'

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
