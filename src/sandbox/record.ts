import type { SandboxUsage } from './usage.ts'

/** A request as it arrived. */
export interface RecordedRequest {
  readonly method: string
  /** With the query, as sent. */
  readonly path: string
  /** Lower-case names; repeated headers joined by a comma. */
  readonly headers: { readonly [name: string]: string }
  readonly rawHeaders: readonly string[]
  readonly body: Buffer
  /** Name of the account; null: none. */
  readonly account: string | null
  /** ms since the epoch. */
  readonly atMs: number
  readonly requestId: string
}

/** What upstream would put on its bill for one request: its own truth, whatever it reported. */
export interface BilledRequest {
  readonly requestId: string
  readonly messageId: string
  readonly account: string
  readonly requestedModel: string
  /** The model that served in the end. */
  readonly model: string
  readonly usage: SandboxUsage
  /**
   * `complete`; `cut` by a fault after the headers; `lost`: done, but the answer never left;
   * `client_left`: what was made until the caller went away (all of it when not streaming).
   */
  readonly outcome: 'complete' | 'cut' | 'lost' | 'client_left'
  /** False: refused before any output, shown in usage and not billed. */
  readonly isCharged: boolean
  readonly stream: boolean
  readonly atMs: number
}

/** Sums over all charged requests of an account, in tokens. */
export interface BilledTotals {
  readonly requests: number
  readonly input: number
  readonly output: number
  readonly cacheRead: number
  readonly cacheWrite5m: number
  readonly cacheWrite1h: number
  readonly webSearches: number
}

export interface Counters {
  requests: number
  messages: number
  countTokens: number
  models: number
  refusedKeys: number
  /** Requests whose answer was spoiled on purpose. */
  faults: number
  inFlight: number
  peakInFlight: number
  connections: number
  /** Thinking blocks dropped because another organisation had made them. */
  droppedThinking: number
  readonly byStatus: { [status: number]: number }
}

/** Keeps the last things, dropping the oldest. */
export interface Ring<T> {
  add(item: T, bytes?: number): void
  all(): readonly T[]
  clear(): void
}

/** A ring of at most `most` items and about `mostBytes` bytes. */
export function createRing<T>(most: number, mostBytes = Number.POSITIVE_INFINITY): Ring<T> {
  let items: { readonly item: T; readonly bytes: number }[] = []
  let total = 0
  return {
    add(item, bytes = 0) {
      items.push({ item, bytes })
      total += bytes
      // Dropping in bulk keeps adding cheap.
      if (items.length <= most * 1.25 && total <= mostBytes) return
      let from = Math.max(0, items.length - most)
      let kept = 0
      for (let i = items.length - 1; i >= from; i--) {
        kept += items[i].bytes
        if (kept > mostBytes && i < items.length - 1) from = i + 1
      }
      items = items.slice(from)
      total = items.reduce((sum, entry) => sum + entry.bytes, 0)
    },
    all: () => items.slice(-most).map((entry) => entry.item),
    clear() {
      items = []
      total = 0
    },
  }
}

/** The bills by account, with sums that never forget. */
export interface BillBook {
  add(bill: BilledRequest): void
  list(account?: string): readonly BilledRequest[]
  totals(account?: string): BilledTotals
  clear(): void
}

const NOTHING: BilledTotals = {
  requests: 0,
  input: 0,
  output: 0,
  cacheRead: 0,
  cacheWrite5m: 0,
  cacheWrite1h: 0,
  webSearches: 0,
}

/** An empty bill book that lists at most `most` requests and sums all. */
export function createBills(most: number): BillBook {
  const ring = createRing<BilledRequest>(most)
  const sums = new Map<string, BilledTotals>()
  return {
    add(bill) {
      ring.add(bill)
      if (!bill.isCharged) return
      sums.set(
        bill.account,
        plus(sums.get(bill.account) ?? NOTHING, { requests: 1, ...bill.usage }),
      )
    },
    list(account) {
      const bills = ring.all()
      return account === undefined ? bills : bills.filter((bill) => bill.account === account)
    },
    totals(account) {
      if (account !== undefined) return sums.get(account) ?? NOTHING
      return [...sums.values()].reduce(plus, NOTHING)
    },
    clear() {
      ring.clear()
      sums.clear()
    },
  }
}

function plus(a: BilledTotals, b: BilledTotals): BilledTotals {
  return {
    requests: a.requests + b.requests,
    input: a.input + b.input,
    output: a.output + b.output,
    cacheRead: a.cacheRead + b.cacheRead,
    cacheWrite5m: a.cacheWrite5m + b.cacheWrite5m,
    cacheWrite1h: a.cacheWrite1h + b.cacheWrite1h,
    webSearches: a.webSearches + b.webSearches,
  }
}
