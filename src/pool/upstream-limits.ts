/**
 * What upstream limits per organisation and model class; `tokens` is the tightest of its sums. The two of a Priority
 * Tier limit nothing: beyond them requests are served as others are.
 */
export type LimitName =
  | 'requests'
  | 'tokens'
  | 'input'
  | 'output'
  | 'priority_input'
  | 'priority_output'

/** One limit as an answer's headers told it; upstream refills it within a minute, continuously. */
export interface ToldLimit {
  readonly limit: number
  readonly remaining: number
}

/** A request's part of the limits, from before it is sent until its answer begins. */
export interface Reservation {
  /** The answer has begun: so many tokens of input counted, those read from the cache aside. */
  began(inputTokens: number): void
  /** Nothing of it counted. Does nothing after `began`. */
  giveBack(): void
}

interface Bucket {
  limit: number
  remaining: number
  /** When `remaining` was true, on the monotonic clock. */
  atMs: number
}

interface Buckets {
  readonly byName: Map<LimitName, Bucket>
  /** Requests whose answers have not begun. */
  waiting: number
  /** Some of them were on their way at the same time since the last that was alone: answers tell out of order. */
  isOverlapping: boolean
}

const REFILL_MS = 60_000
const NAMES: readonly LimitName[] = [
  'requests',
  'tokens',
  'input',
  'output',
  'priority_input',
  'priority_output',
]
const LIMITS_NOTHING: ReadonlySet<LimitName> = new Set(['priority_input', 'priority_output'])
const NOTHING: Reservation = { began() {}, giveBack() {} }

/**
 * What is left of upstream's limits, shared by the accounts of one organisation: told by the headers of
 * answers, reserved before a request is sent and corrected when its answer begins, refilled in between. Times
 * are monotonic milliseconds. Nothing is known, and nothing limited, until an answer has told.
 */
export class UpstreamLimits {
  readonly #groups = new Map<string, Buckets>()

  /** Takes what an answer told. */
  told(
    group: string,
    figures: Readonly<Partial<Record<LimitName, ToldLimit>>>,
    nowMs: number,
  ): void {
    const buckets = this.#groups.get(group) ?? {
      byName: new Map(),
      waiting: 0,
      isOverlapping: true,
    }
    this.#groups.set(group, buckets)
    for (const name of NAMES) {
      const figure = figures[name]
      if (figure === undefined) continue
      const known = buckets.byName.get(name)
      // What others have sent meanwhile may not have counted yet: a higher figure is news from one that was alone.
      const isNews = buckets.waiting === 0 && !buckets.isOverlapping
      const ours =
        known === undefined || isNews ? Number.POSITIVE_INFINITY : remainingOf(known, nowMs)
      const remaining = Math.min(figure.remaining, figure.limit, ours)
      buckets.byName.set(name, { limit: figure.limit, remaining, atMs: nowMs })
    }
  }

  /** Sets aside one request and its input; `max_tokens` counts nowhere upstream and is not set aside. */
  reserve(group: string, inputTokens: number, nowMs: number): Reservation {
    const buckets = this.#groups.get(group)
    if (buckets === undefined) return NOTHING
    buckets.isOverlapping = buckets.waiting > 0
    buckets.waiting++
    add(buckets, { requests: -1, ...ofInput(-inputTokens) }, nowMs)
    let isOpen = true
    const close = (atMs: number, tokens: number, requests: number) => {
      if (!isOpen) return
      isOpen = false
      buckets.waiting--
      add(buckets, { requests, ...ofInput(tokens) }, atMs)
    }
    return {
      began: (counted) => close(nowMs, inputTokens - counted, 0),
      giveBack: () => close(nowMs, inputTokens, 1),
    }
  }

  /** The least share, 0 to 1, that is left of any limit; null where nothing is known. */
  share(group: string, nowMs: number): number | null {
    let least: number | null = null
    for (const bucket of this.#groups.get(group)?.byName.values() ?? []) {
      const share = Math.max(0, remainingOf(bucket, nowMs)) / Math.max(1, bucket.limit)
      least = Math.min(least ?? 1, share)
    }
    return least
  }

  /** Until another request fits; 0 is now. */
  waitMs(group: string, nowMs: number): number {
    let longestMs = 0
    for (const [name, bucket] of this.#groups.get(group)?.byName ?? []) {
      if (LIMITS_NOTHING.has(name)) continue
      // One request needs one of each: where tokens are used up, one is the least that must have come back.
      const missing = 1 - remainingOf(bucket, nowMs)
      if (missing <= 0) continue
      const waitMs = (missing / Math.max(1, bucket.limit)) * REFILL_MS
      longestMs = Math.max(longestMs, Math.min(waitMs, REFILL_MS))
    }
    return Math.ceil(longestMs)
  }
}

/** The limits that input counts against. */
function ofInput(tokens: number): Partial<Record<LimitName, number>> {
  return { tokens, input: tokens, priority_input: tokens }
}

function add(
  { byName }: Buckets,
  amounts: Readonly<Partial<Record<LimitName, number>>>,
  nowMs: number,
): void {
  for (const [name, bucket] of byName) {
    const amount = amounts[name] ?? 0
    if (amount === 0) continue
    bucket.remaining = Math.min(bucket.limit, remainingOf(bucket, nowMs) + amount)
    bucket.atMs = Math.max(bucket.atMs, nowMs)
  }
}

function remainingOf({ limit, remaining, atMs }: Bucket, nowMs: number): number {
  return Math.min(limit, remaining + (Math.max(0, nowMs - atMs) / REFILL_MS) * limit)
}
