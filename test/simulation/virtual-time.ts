/** A timer of the simulated world; what `setTimeout` answers while `VirtualTime` rules. */
class VirtualTimer {
  readonly atMs: number
  readonly order: number
  readonly everyMs: number | null
  readonly run: () => void
  isCleared = false

  constructor(atMs: number, order: number, everyMs: number | null, run: () => void) {
    this.atMs = atMs
    this.order = order
    this.everyMs = everyMs
    this.run = run
  }

  ref(): this {
    return this
  }

  unref(): this {
    return this
  }

  hasRef(): boolean {
    return false
  }

  refresh(): this {
    return this
  }

  [Symbol.toPrimitive](): number {
    return this.order
  }
}

const REAL = {
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  setInterval: globalThis.setInterval,
  clearInterval: globalThis.clearInterval,
  setImmediate: globalThis.setImmediate,
}

/**
 * Time that moves only when told to. While `install`ed, all global timers are its own: hours pass in
 * microseconds, and the same seed gives the same order of everything.
 */
export class VirtualTime {
  /** Since the beginning of the simulation; never goes back. */
  monotonicMs = 0
  /** What the wall clock is off by: a person or a time server may set it. */
  skewMs = 0
  readonly #epochMs: number
  #order = 0
  #timers: VirtualTimer[] = []

  constructor(epochMs: number) {
    this.#epochMs = epochMs
  }

  nowMs(): number {
    return Math.floor(this.#epochMs + this.monotonicMs + this.skewMs)
  }

  install(): void {
    const set =
      (every: boolean) =>
      (run: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) =>
        this.after(ms, () => run(...args), every ? Math.max(1, ms) : null)
    const clear = (timer: unknown) => {
      if (timer instanceof VirtualTimer) timer.isCleared = true
    }
    Object.assign(globalThis, {
      setTimeout: set(false),
      setInterval: set(true),
      clearTimeout: clear,
      clearInterval: clear,
    })
  }

  uninstall(): void {
    Object.assign(globalThis, REAL)
  }

  /** Runs something later; with `everyMs` again and again. */
  after(ms: number, run: () => void, everyMs: number | null = null): VirtualTimer {
    const timer = new VirtualTimer(this.monotonicMs + Math.max(0, ms), this.#order++, everyMs, run)
    this.#insert(timer)
    return timer
  }

  get pending(): number {
    return this.#timers.filter((timer) => !timer.isCleared && timer.everyMs === null).length
  }

  /** Forgets every timer: the process that set them is dead. */
  forgetAll(): void {
    this.#timers = []
  }

  /** Lets this much time pass, timer by timer, each with all that follows from it. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.monotonicMs + ms
    await settled()
    for (
      let next = this.#timers.at(-1);
      next !== undefined && next.atMs <= untilMs;
      next = this.#timers.at(-1)
    ) {
      this.#timers.pop()
      if (next.isCleared) continue
      this.monotonicMs = Math.max(this.monotonicMs, next.atMs)
      next.run()
      if (next.everyMs !== null) {
        this.#insert(
          new VirtualTimer(next.atMs + next.everyMs, this.#order++, next.everyMs, next.run),
        )
      }
      await settled()
    }
    this.monotonicMs = untilMs
  }

  /** Keeps the list sorted, the next timer last. */
  #insert(timer: VirtualTimer): void {
    let low = 0
    let high = this.#timers.length
    while (low < high) {
      const middle = (low + high) >> 1
      const other = this.#timers[middle] as VirtualTimer // the index is inside the list
      const isLater =
        other.atMs > timer.atMs || (other.atMs === timer.atMs && other.order > timer.order)
      if (isLater) low = middle + 1
      else high = middle
    }
    this.#timers.splice(low, 0, timer)
  }
}

/** Waits until every promise that can go on has gone on. */
function settled(): Promise<void> {
  return new Promise((resolve) => REAL.setImmediate(resolve))
}
