const MINUTE_MS = 60_000

/** Tokens that a request took of its account's tokens per minute, and when. */
export interface TokenUse {
  readonly atMs: number
  readonly tokens: number
}

/**
 * Whether an account's tokens per minute are used up: a bucket of `limit` that refills continuously, and that requests
 * may overdraw. `uses` in any order; what is older than they are is taken for refilled.
 */
export function isUsedUp(uses: readonly TokenUse[], limit: number, nowMs: number): boolean {
  let used = 0
  let atMs = Number.NEGATIVE_INFINITY
  const until = (thenMs: number) => {
    used = Math.max(0, used - ((thenMs - atMs) / MINUTE_MS) * limit)
    atMs = thenMs
  }
  for (const use of uses.toSorted((a, b) => a.atMs - b.atMs)) {
    until(use.atMs)
    used += use.tokens
  }
  until(Math.max(atMs, nowMs))
  return used >= limit
}
