/** One request that waits for an account. */
export interface Waiter {
  readonly keyId: string
  /**
   * What it waits for: requests of one key and one scope are served in the order of their arrival; '' is any
   * account. May change from one attempt to the next.
   */
  readonly scope: string
  /** Tries to get an account now; true when it got one. Called in turn, never from within itself. */
  readonly attempt: () => boolean
  /** Absent: it is always asked. */
  readonly hope?: Hope
}

/** Spares those of one kind their attempts while none of them can succeed: asked once for all of them. */
export interface Hope {
  /** Waiters of one kind may be served by the same accounts. */
  readonly kind: string
  /** Whether any account is free for this kind now. */
  readonly isAnyFree: () => boolean
}

/** Its place in the line. */
export interface Place {
  /** Gives it up, or tells that it was served. */
  leave(): void
}

/** How many may wait. */
export interface RoomLimits {
  readonly maxPerKey: number
  readonly maxLength: number
}

/**
 * The bounded line of requests that wait for accounts. Keys take turns, one request each (deficit round
 * robin whose packets are all of one size, because a slot is what they compete for); within a key the
 * first of each scope may go, so that one that is bound to a full account does not stop those behind it.
 */
export class WaitingRoom {
  readonly #limits: RoomLimits
  /** Keys in the order of their turns. */
  readonly #lines = new Map<string, Set<Waiter>>()
  #size = 0
  #isServing = false
  #isCalled = false

  constructor(limits: RoomLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#size
  }

  /** Whether one of this key and scope waits already: whoever comes now is behind it. */
  isAhead(keyId: string, scope: string): boolean {
    for (const waiter of this.#lines.get(keyId) ?? []) if (waiter.scope === scope) return true
    return false
  }

  /** Gets in line; null when it is full, for this key or for all. */
  join(waiter: Waiter): Place | null {
    const line = this.#lines.get(waiter.keyId) ?? new Set()
    if (line.size >= this.#limits.maxPerKey || this.#size >= this.#limits.maxLength) return null
    line.add(waiter)
    this.#lines.set(waiter.keyId, line)
    this.#size++
    return { leave: () => this.#remove(waiter) }
  }

  /** Something has changed, a slot got free perhaps: everybody who can be served is, key by key. */
  serve(): void {
    if (this.#isServing) {
      this.#isCalled = true
      return
    }
    this.#isServing = true
    try {
      do {
        this.#isCalled = false
        while (this.#serveRound());
      } while (this.#isCalled)
    } finally {
      this.#isServing = false
    }
  }

  /** One turn of every key; false when nobody could be served. */
  #serveRound(): boolean {
    let isAnyServed = false
    /** Which kinds have an account that is free, since the last one was served. */
    let free = new Map<string, boolean>()
    for (const [keyId, line] of [...this.#lines]) {
      const served = firstServed(line, free)
      if (served === null) continue
      isAnyServed = true
      free = new Map()
      this.#remove(served)
      // Its next turn comes after those of all others.
      const rest = this.#lines.get(keyId)
      if (rest === undefined) continue
      this.#lines.delete(keyId)
      this.#lines.set(keyId, rest)
    }
    return isAnyServed
  }

  #remove(waiter: Waiter): void {
    const line = this.#lines.get(waiter.keyId)
    if (line?.delete(waiter) !== true) return
    this.#size--
    if (line.size === 0) this.#lines.delete(waiter.keyId)
  }
}

function firstServed(line: ReadonlySet<Waiter>, free: Map<string, boolean>): Waiter | null {
  const asked = new Set<string>()
  for (const waiter of [...line]) {
    if (asked.has(waiter.scope) || !mayHope(waiter, free)) continue
    if (waiter.attempt()) return waiter
    // As it is now: what it waits for may have become another account.
    asked.add(waiter.scope)
  }
  return null
}

function mayHope({ hope }: Waiter, free: Map<string, boolean>): boolean {
  if (hope === undefined) return true
  const known = free.get(hope.kind)
  if (known !== undefined) return known
  const isFree = hope.isAnyFree()
  free.set(hope.kind, isFree)
  return isFree
}
