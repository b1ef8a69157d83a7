/** Timers that can all be stopped at once, so that nothing outlives `close`. */
export interface Timers {
  /** Calls `act` once after `ms`; 0 is after the current input and output. */
  after(ms: number, act: () => void): void
  stopAll(): void
}

/** An empty set of timers. */
export function createTimers(): Timers {
  const running = new Set<NodeJS.Timeout>()
  let isStopped = false
  return {
    after(ms, act) {
      if (isStopped) return
      if (ms <= 0) {
        setImmediate(() => {
          if (!isStopped) act()
        })
        return
      }
      const timer = setTimeout(() => {
        running.delete(timer)
        act()
      }, ms)
      running.add(timer)
    },
    stopAll() {
      isStopped = true
      for (const timer of running) clearTimeout(timer)
      running.clear()
    },
  }
}
