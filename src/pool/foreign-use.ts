/** What an answer's headers said of the requests that upstream still grants to an organisation. */
export interface RequestHeadroom {
  readonly limit: number
  readonly remaining: number
  /** When the request left that the answer belongs to, on the monotonic clock. */
  readonly sentMs: number
  /** Whose answer it was: accounts of one organisation may be told limits of their own workspaces. */
  readonly accountId: string
}

/** A fall of the headroom that our own requests do not explain. */
export interface ForeignUse {
  /** Requests that somebody else must have made since the last look. */
  readonly requests: number
  readonly limit: number
}

interface Bucket {
  readonly sent: Departures
  /** What was told last, by account. */
  readonly last: Map<string, RequestHeadroom>
  /** When falls were seen that are not ours. */
  falls: number[]
  toldMs: number
}

/** Smaller falls are noise: answers overtake each other. */
const LEAST_REQUESTS = 5
const LEAST_SHARE = 0.1
/** Looks further apart than this compare nothing: the bucket has been refilled meanwhile. */
const LONGEST_GAP_MS = 60_000
/** So many falls within this time are a pattern. */
const FALLS = 3
const WITHIN_MS = 10 * 60_000
/** Told at most this often. */
const QUIET_MS = 60 * 60_000

/**
 * Notices that a credential is used elsewhere: upstream's own count of what is left falls by more than our
 * requests. Only falls count, and refills are left out, so that what is told is certain; use elsewhere that
 * upstream refills as fast as it happens stays unseen. One bucket per organisation, or account until that is known.
 */
export class ForeignUseWatch {
  readonly #buckets = new Map<string, Bucket>()

  /** One of our own requests leaves. */
  sent(bucket: string, nowMs: number): void {
    this.#of(bucket).sent.add(nowMs)
  }

  /** An answer told of the headroom; a pattern of falls that are not ours is answered, once an hour. */
  observed(bucket: string, now: RequestHeadroom, nowMs: number): ForeignUse | null {
    const state = this.#of(bucket)
    const before = state.last.get(now.accountId)
    // Answers overtake each other: only one that left later says something newer.
    if (before !== undefined && now.sentMs < before.sentMs) return null
    state.last.set(now.accountId, now)
    if (before === undefined || before.limit !== now.limit) return null
    if (now.sentMs - before.sentMs > LONGEST_GAP_MS) return null
    // What left since the earlier request did may have been counted between the two looks.
    const own = state.sent.countSince(before.sentMs)
    const requests = before.remaining - now.remaining - own
    if (requests < Math.max(LEAST_REQUESTS, now.limit * LEAST_SHARE)) return null
    state.falls = [...state.falls.filter((fallMs) => fallMs > nowMs - WITHIN_MS), nowMs]
    if (state.falls.length < FALLS || nowMs - state.toldMs < QUIET_MS) return null
    state.toldMs = nowMs
    return { requests, limit: now.limit }
  }

  #of(name: string): Bucket {
    let bucket = this.#buckets.get(name)
    if (bucket === undefined) {
      const sent = new Departures()
      bucket = { sent, last: new Map(), falls: [], toldMs: Number.NEGATIVE_INFINITY }
      this.#buckets.set(name, bucket)
    }
    return bucket
  }
}

/** When our own requests left. Both questions come with every request, so neither may look at all of them. */
class Departures {
  /** Oldest first; those before `#first` are over. */
  #timesMs: number[] = []
  #first = 0

  add(nowMs: number): void {
    this.#timesMs.push(nowMs)
    while (this.#timesMs[this.#first] < nowMs - 2 * LONGEST_GAP_MS) this.#first++
    if (this.#first * 2 < this.#timesMs.length) return
    this.#timesMs = this.#timesMs.slice(this.#first)
    this.#first = 0
  }

  countSince(sinceMs: number): number {
    let [low, high] = [this.#first, this.#timesMs.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#timesMs[middle] < sinceMs) low = middle + 1
      else high = middle
    }
    return this.#timesMs.length - low
  }
}
