// What every kind of load has in common: its plan, its measured window, its result.

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

/** The measured part of a run: opened and closed by the clock, filled by the loops. */
export class Window {
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

/** Waits. */
export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))
