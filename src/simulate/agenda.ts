/** When simulated clocks start: a midnight, so that hours can be told. */
export const START_MS = Date.UTC(2026, 10, 22)
/** How many events are played before timers and signals of the real world get a turn. */
const EVENTS_PER_TURN = 5_000

/** A simulated clock and what is to happen on it, in the order of time; what is added first comes first at equal times. */
export class Agenda {
  readonly startMs: number
  /** On the wall clock. */
  nowMs: number
  readonly #heap: { readonly atMs: number; readonly order: number; readonly act: () => void }[] = []
  #order = 0

  constructor(startMs: number) {
    this.startMs = startMs
    this.nowMs = startMs
  }

  /** Both clocks: nobody sets the simulated one. */
  get clock(): { readonly nowMs: () => number; readonly monotonicMs: () => number } {
    return { nowMs: () => this.nowMs, monotonicMs: () => this.nowMs - this.startMs }
  }

  /** `act` happens at that time, or now where it has passed. */
  add(atMs: number, act: () => void): void {
    const heap = this.#heap
    heap.push({ atMs, order: this.#order++, act })
    for (let at = heap.length - 1; at > 0; ) {
      const parent = (at - 1) >> 1
      if (!isBefore(heap[at], heap[parent])) break
      ;[heap[at], heap[parent]] = [heap[parent], heap[at]]
      at = parent
    }
  }

  /** Plays until nothing is left, or `untilMs`; after each event come the microtasks that it began. */
  async run(untilMs = Number.POSITIVE_INFINITY): Promise<void> {
    for (let played = 1; (this.#heap[0]?.atMs ?? Number.POSITIVE_INFINITY) <= untilMs; played++) {
      const next = this.#take()
      if (next === undefined) return
      this.nowMs = Math.max(this.nowMs, next.atMs)
      next.act()
      await undefined
      if (played % EVENTS_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve))
    }
  }

  #take() {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined || heap.length === 0) return first
    heap[0] = last
    for (let at = 0; ; ) {
      let least = at
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < heap.length && isBefore(heap[child], heap[least])) least = child
      }
      if (least === at) return first
      ;[heap[at], heap[least]] = [heap[least], heap[at]]
      at = least
    }
  }
}

function isBefore(
  a: { readonly atMs: number; readonly order: number },
  b: { readonly atMs: number; readonly order: number },
): boolean {
  return a.atMs === b.atMs ? a.order < b.order : a.atMs < b.atMs
}
