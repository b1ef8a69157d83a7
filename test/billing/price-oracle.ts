import type { StoredChange } from '../../src/billing/price-changes.ts'
import type { ModelPrice, PriceRow } from '../../src/billing/price-table.ts'
import { BUILT_IN_PRICES } from '../../src/billing/prices.ts'
import type { TokenCounts, Usage } from '../../src/core/usage.ts'

/** What the oracle needs of a price. */
type Priced = Pick<PriceRow, 'rates' | 'fastRates' | 'longPrompt' | 'inferenceGeo'>

/** When the answer was admitted, and what people had changed. */
interface Circumstances {
  readonly atMs: number
  readonly changes?: readonly StoredChange[]
  readonly markup?: readonly [numerator: number, denominator: number]
}

/**
 * A second opinion on `costOf`, written from the published rules and in another way: one fraction per token
 * class, each with its own ratios, reduced as it goes; prices found by reading the built-in rows and the
 * changes from the start, without the table that is made of them.
 */
export function oracleCostMicro(usage: Usage, circumstances: Circumstances): bigint {
  const entries =
    usage.iterations.length > 0
      ? usage.iterations
      : [{ type: 'message', model: null, tokens: usage.tokens }]
  let total = new Fraction(0n, 1n)
  entries.forEach((entry, index) => {
    const attempts = ['message', 'fallback_message']
    if (attempts.includes(entry.type) && entry.tokens.output === 0) {
      const following = entries.slice(index + 1).map((later) => later.type)
      const nextAttempt = following.find((type) => attempts.includes(type))
      if (nextAttempt === 'fallback_message') return
      if (nextAttempt === undefined && usage.stopReason === 'refusal' && !usage.hasContent) return
    }
    const row = oracleRow(entry.model ?? usage.model, usage.speed, circumstances)
    for (const [tokenClass, tokens] of Object.entries(entry.tokens)) {
      const rate = oracleRate(row, entry.tokens, tokenClass as keyof TokenCounts, usage.speed)
      let cost = new Fraction(BigInt(tokens), 1_000_000n).times(BigInt(rate), 1n)
      if (usage.inferenceGeo === 'us' && row.inferenceGeo) cost = cost.times(11n, 10n)
      if (usage.serviceTier === 'batch') cost = cost.times(1n, 2n)
      total = total.plus(cost)
    }
  })
  const [numerator, denominator] = circumstances.markup ?? [1, 1]
  return total
    .plus(new Fraction(10_000n * BigInt(usage.webSearchRequests), 1n))
    .times(BigInt(numerator), BigInt(denominator))
    .ceil()
}

function oracleRow(model: string, speed: string | null, circumstances: Circumstances): Priced {
  const named = priceOfName(model, circumstances)
  if (named !== null) return named
  const stand = lastChange('*', circumstances)?.value as { readonly priceAs: string } | undefined
  if (stand) return priceOfName(stand.priceAs, circumstances) as Priced // both are built in
  return dearest(speed, circumstances)
}

/** The last change of a subject that has begun; of those that began together the one made last. */
function lastChange(
  subject: string,
  { changes = [], atMs }: Circumstances,
): StoredChange | undefined {
  let last: StoredChange | undefined
  for (const change of changes) {
    if (change.subject !== subject || change.effectiveAtMs > atMs) continue
    if (last === undefined || change.effectiveAtMs >= last.effectiveAtMs) last = change
  }
  return last
}

function priceOfName(name: string, circumstances: Circumstances): Priced | null {
  const past = BUILT_IN_PRICES.rows.filter((row) => row.effectiveAtMs <= circumstances.atMs)
  const builtIn = past.findLast((row) => row.id === name || row.aliases.includes(name)) ?? null
  const id = builtIn?.id ?? name
  const change = lastChange(id, circumstances)
  if (change === undefined) return builtIn
  if (change.value !== null) return pricedBy(change)
  if (builtIn !== null) return builtIn
  // Taken back, and never built in: its last price stays.
  const { changes = [] } = circumstances
  const earlier = changes.filter(
    (other) => other !== change && other.effectiveAtMs < change.effectiveAtMs,
  )
  const before = lastChange(id, { ...circumstances, changes: earlier })
  return before === undefined ? null : priceOfName(id, { ...circumstances, changes: earlier })
}

function pricedBy(change: StoredChange): Priced {
  const price = change.value as ModelPrice
  return {
    rates: price.rates,
    fastRates: price.fastRates ?? null,
    longPrompt: price.longPrompt ?? null,
    inferenceGeo: price.inferenceGeo,
  }
}

/** The dearest output, then input and cache classes, of the models that upstream still has. */
function dearest(speed: string | null, circumstances: Circumstances): Priced {
  const served = BUILT_IN_PRICES.rows.filter((row) => row.status !== 'retired')
  const ids = new Set(served.map((row) => row.id))
  for (const { subject, kind } of circumstances.changes ?? []) {
    const isBack = lastChange(subject, circumstances)?.value === null
    const isOld = BUILT_IN_PRICES.rows.some((row) => row.id === subject)
    if (kind === 'price' && subject !== '*' && !isOld && !isBack) ids.add(subject)
  }
  const candidates = [...ids].flatMap((id) => priceOfName(id, circumstances) ?? [])
  const fast = candidates.filter((row) => row.fastRates !== null)
  const isFast = speed === 'fast' && fast.length > 0
  const classes = ['output', 'input', 'cacheWrite1h', 'cacheWrite5m', 'cacheRead'] as const
  const ratesOf = (row: Priced) =>
    (isFast ? row.fastRates : null) ?? row.longPrompt?.rates ?? row.rates
  return (isFast ? fast : candidates).reduce((best, row) => {
    const name = classes.find((each) => ratesOf(row)[each] !== ratesOf(best)[each])
    return name !== undefined && ratesOf(row)[name] > ratesOf(best)[name] ? row : best
  })
}

function oracleRate(
  row: Priced,
  { input, cacheRead, cacheWrite5m, cacheWrite1h }: TokenCounts,
  tokenClass: keyof TokenCounts,
  speed: string | null,
): number {
  if (speed === 'fast' && row.fastRates) return row.fastRates[tokenClass]
  const prompt = input + cacheRead + cacheWrite5m + cacheWrite1h
  return row.longPrompt && prompt > row.longPrompt.aboveTokens
    ? row.longPrompt.rates[tokenClass]
    : row.rates[tokenClass]
}

class Fraction {
  readonly numerator: bigint
  readonly denominator: bigint
  constructor(numerator: bigint, denominator: bigint) {
    const divisor = gcd(numerator, denominator)
    this.numerator = numerator / divisor
    this.denominator = denominator / divisor
  }
  plus(other: Fraction): Fraction {
    return new Fraction(
      this.numerator * other.denominator + other.numerator * this.denominator,
      this.denominator * other.denominator,
    )
  }
  times(numerator: bigint, denominator: bigint): Fraction {
    return new Fraction(this.numerator * numerator, this.denominator * denominator)
  }
  ceil(): bigint {
    const whole = this.numerator / this.denominator
    return whole * this.denominator === this.numerator ? whole : whole + 1n
  }
}

function gcd(a: bigint, b: bigint): bigint {
  return b === 0n ? a : gcd(b, a % b)
}
