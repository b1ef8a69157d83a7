import type { DecisionTrail, TrailCandidate } from '../core/decision-trail.ts'
import type { Micro } from '../core/money.ts'
import type { Rates, Receipt, ReceiptLine } from '../core/usage.ts'

/**
 * What prompt caches did to a request's cost: micro-dollars at list price, whole ones, none below 0. Figures for
 * people, that nobody owes: so they are rounded, and kept for good as such.
 */
export interface CacheValue {
  /** Reading from the cache instead of sending the same tokens as plain input. */
  readonly readSavedMicro: Micro
  /** What writing into the cache cost above plain input. */
  readonly writeExtraMicro: Micro
  /** The part of the prompt that an account held which might have served, and that was paid anew at another. */
  readonly lostMicro: Micro
}

/** What of a usage record tells the worth of its cache. */
export interface PricedAnswer {
  readonly receipt: Receipt | null
  readonly trail: readonly DecisionTrail[]
  readonly accountId: string | null
}

const NOTHING: CacheValue = { readSavedMicro: 0, writeExtraMicro: 0, lostMicro: 0 }
/** States in which a warm account could not have been asked at all: nothing was lost to the choice. */
const NOT_ALLOWED: ReadonlySet<TrailCandidate['state']> = new Set([
  'other_model',
  'other_tags',
  'out_of_scope',
])

/**
 * Reads from a receipt and its decision trail what the cache was worth. What was lost is counted only as far
 * as the request paid for tokens that it might have read.
 */
export function cacheValueOf({ receipt, trail, accountId }: PricedAnswer): CacheValue {
  if (receipt === null) return NOTHING
  let saved = 0
  let extra = 0
  let read = 0
  let anew = 0
  for (const line of receipt.lines) {
    if (line.note === 'declined_before_output') continue
    const { tokens, rates } = line
    const [above, below] = line.ratio ?? receipt.ratio
    const written =
      tokens.cacheWrite5m * (rates.cacheWrite5m - rates.input) +
      tokens.cacheWrite1h * (rates.cacheWrite1h - rates.input)
    saved += (tokens.cacheRead * (rates.input - rates.cacheRead) * above) / below
    extra += (written * above) / below
    read += tokens.cacheRead
    anew += tokens.input + tokens.cacheWrite5m + tokens.cacheWrite1h
  }
  const missed = Math.min(anew, missedTokens(trail, accountId, read))
  const lost = missed > 0 ? missed * rewriteRate(receipt) : 0
  if (saved === 0 && extra === 0 && lost === 0) return NOTHING
  return { readSavedMicro: micro(saved), writeExtraMicro: micro(extra), lostMicro: micro(lost) }
}

/** Tokens that were warm at an account which might have served, beyond what this answer read. */
function missedTokens(
  trail: readonly DecisionTrail[],
  accountId: string | null,
  readTokens: number,
): number {
  const last = trail.at(-1)
  if (last === undefined || accountId === null || last.accountId !== accountId) return 0
  let warmest = 0
  let own = 0
  for (const { accountId: id, warmTokens, state } of last.candidates) {
    if (id === accountId) own = warmTokens
    else if (warmTokens > warmest && !NOT_ALLOWED.has(state)) warmest = warmTokens
  }
  return warmest - Math.max(own, readTokens)
}

/** By how much a token paid anew was dearer than one read, in the main line of the receipt. */
function rewriteRate(receipt: Receipt): number {
  const [line] = receipt.lines
  if (line === undefined) return 0
  const [above, below] = line.ratio ?? receipt.ratio
  return (Math.max(0, paidRate(line) - line.rates.cacheRead) * above) / below
}

function paidRate({ tokens, rates }: ReceiptLine): Rates['input'] {
  if (tokens.cacheWrite1h > tokens.cacheWrite5m) return rates.cacheWrite1h
  return tokens.cacheWrite5m > 0 ? rates.cacheWrite5m : rates.input
}

function micro(perMillion: number): Micro {
  return Math.max(0, Math.round(perMillion / 1_000_000))
}
