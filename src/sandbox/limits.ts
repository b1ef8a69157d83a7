/** Limits per minute of one organisation and model class. */
export interface RateLimits {
  readonly requests: number
  readonly inputTokens: number
  readonly outputTokens: number
}

export type LimitName = keyof RateLimits

export type TakeResult =
  | { readonly kind: 'taken' }
  | { readonly kind: 'limited'; readonly name: LimitName; readonly retryAfterSeconds: number }

/** Token buckets, refilled continuously, one set per organisation and model class. */
export interface LimitBook {
  /** Takes one request and its input, or says which limit stands in the way. */
  take(organizationId: string, rateClass: string, inputTokens: number): TakeResult
  /** Output is known only afterwards, so its bucket may run below zero. */
  spendOutput(organizationId: string, rateClass: string, tokens: number): void
  /** The `anthropic-ratelimit-*` headers as they are now. */
  headers(organizationId: string, rateClass: string): { [name: string]: string }
}

type Levels = { [K in LimitName]: number } & { updatedMs: number }

const NAMES = ['requests', 'inputTokens', 'outputTokens'] as const

/** An empty book; all buckets start full. */
export function createLimits(limits: RateLimits, nowMs: () => number): LimitBook {
  const buckets = new Map<string, Levels>()

  function levels(organizationId: string, rateClass: string): Levels {
    const id = `${organizationId} ${rateClass}`
    const now = nowMs()
    let bucket = buckets.get(id)
    if (!bucket) {
      bucket = { ...limits, updatedMs: now }
      buckets.set(id, bucket)
    }
    const minutes = Math.max(0, now - bucket.updatedMs) / 60_000
    for (const name of NAMES) {
      bucket[name] = Math.min(limits[name], bucket[name] + limits[name] * minutes)
    }
    bucket.updatedMs = now
    return bucket
  }

  return {
    take(organizationId, rateClass, inputTokens) {
      const bucket = levels(organizationId, rateClass)
      // A prompt larger than the whole bucket may go when the bucket is full.
      const needs = {
        requests: 1,
        inputTokens: Math.min(inputTokens, limits.inputTokens),
        outputTokens: 1,
      }
      for (const name of NAMES) {
        const missing = needs[name] - bucket[name]
        if (missing <= 1e-6) continue
        const seconds = Math.ceil((missing / limits[name]) * 60)
        return { kind: 'limited', name, retryAfterSeconds: Math.max(1, seconds) }
      }
      bucket.requests -= 1
      bucket.inputTokens -= inputTokens
      return { kind: 'taken' }
    },
    spendOutput(organizationId, rateClass, tokens) {
      levels(organizationId, rateClass).outputTokens -= tokens
    },
    headers(organizationId, rateClass) {
      const bucket = levels(organizationId, rateClass)
      const now = bucket.updatedMs
      const resetAt = (level: number, limit: number) => {
        const ms = now + Math.max(0, ((limit - level) / limit) * 60_000)
        return new Date(Math.ceil(ms / 1000) * 1000).toISOString().replace('.000Z', 'Z')
      }
      const round = (level: number, step: number) => {
        return String(Math.max(0, Math.floor(level / step) * step))
      }
      const bothLevel = bucket.inputTokens + bucket.outputTokens
      const bothLimit = limits.inputTokens + limits.outputTokens
      const rows: readonly (readonly [string, number, number, number])[] = [
        ['requests', bucket.requests, limits.requests, 1],
        ['input-tokens', bucket.inputTokens, limits.inputTokens, 1_000],
        ['output-tokens', bucket.outputTokens, limits.outputTokens, 1_000],
        ['tokens', bothLevel, bothLimit, 1_000],
      ]
      const headers: { [name: string]: string } = {}
      for (const [name, level, limit, step] of rows) {
        headers[`anthropic-ratelimit-${name}-limit`] = String(limit)
        // Small limits would round to nothing.
        const grain = limit < 100_000 ? 1 : step
        headers[`anthropic-ratelimit-${name}-remaining`] = round(level, grain)
        headers[`anthropic-ratelimit-${name}-reset`] = resetAt(level, limit)
      }
      return headers
    },
  }
}
