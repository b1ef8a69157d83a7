// A worker that ticks at exact times. Node's own timers count in whole milliseconds, which is half
// the period at 500 requests per second; a futex with a time-out is late by some 0.05 ms.

import { parentPort, Worker, workerData } from 'node:worker_threads'

/** Calls `onTick` at every multiple of `periodMs` after `startMs` (of `performance.timeOrigin`). */
export function startMetronome(
  timing: { readonly startEpochMs: number; readonly periodMs: number },
  onTick: () => void,
): () => Promise<void> {
  const stop = new Int32Array(new SharedArrayBuffer(4))
  const worker = new Worker(new URL(import.meta.url), { workerData: { ...timing, stop } })
  worker.on('message', onTick)
  return async () => {
    Atomics.store(stop, 0, 1)
    Atomics.notify(stop, 0)
    await worker.terminate()
  }
}

interface Timing {
  readonly startEpochMs: number
  readonly periodMs: number
  readonly stop: Int32Array
}

// Whoever imports this module inside another worker brings other data.
const timing = workerData as Timing | null
if (parentPort !== null && timing?.stop instanceof Int32Array) {
  const { startEpochMs, periodMs, stop } = timing
  const nowMs = () => performance.timeOrigin + performance.now()
  let tick = 0
  while (Atomics.load(stop, 0) === 0) {
    const waitMs = startEpochMs + tick * periodMs - nowMs()
    if (waitMs > 0 && Atomics.wait(stop, 0, 0, waitMs) !== 'timed-out') break
    parentPort.postMessage(tick)
    tick = Math.max(tick + 1, Math.floor((nowMs() - startEpochMs) / periodMs))
  }
}
