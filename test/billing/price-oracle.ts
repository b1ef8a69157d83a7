import type { PriceRow, PriceTable } from '../../src/billing/price-table.ts'
import type { TokenCounts, Usage } from '../../src/core/usage.ts'

/**
 * A second opinion on `costOf`, written from the published rules and in another way: one fraction per
 * token class, each with its own ratios, reduced as it goes; rows found by scanning the table.
 */
export function oracleCostMicro(usage: Usage, table: PriceTable, atMs: number): bigint {
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
    const row = oracleRow(entry.model ?? usage.model, usage.speed, table, atMs)
    for (const [tokenClass, tokens] of Object.entries(entry.tokens)) {
      const rate = oracleRate(row, entry.tokens, tokenClass as keyof TokenCounts, usage.speed)
      let cost = new Fraction(BigInt(tokens), 1_000_000n).times(BigInt(rate), 1n)
      if (usage.inferenceGeo === 'us' && row.inferenceGeo) cost = cost.times(11n, 10n)
      if (usage.serviceTier === 'batch') cost = cost.times(1n, 2n)
      total = total.plus(cost)
    }
  })
  return total.ceil() + 10_000n * BigInt(usage.webSearchRequests)
}

function oracleRow(model: string, speed: string | null, table: PriceTable, atMs: number): PriceRow {
  const past = table.rows.filter((row) => row.effectiveAtMs <= atMs)
  const named = past.findLast((row) => row.id === model || row.aliases.includes(model))
  if (named !== undefined) return named
  const dearestId = speed === 'fast' ? 'claude-fable-5-2' : 'claude-fable-5'
  return past.find((row) => row.id === dearestId) as PriceRow // the table has both
}

function oracleRate(
  row: PriceRow,
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
