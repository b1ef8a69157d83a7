import { invariant } from '../core/invariant.ts'
import type { Micro } from '../core/money.ts'
import type { Receipt, ReceiptLine, TokenCounts, Usage, UsageIteration } from '../core/usage.ts'
import { type PriceRow, type PriceTable, priceOf, priceVersionAt } from './price-table.ts'

/** A fraction of two positive integers. */
export type Ratio = readonly [numerator: number, denominator: number]

/** 1/1. */
export const PLAIN: Ratio = [1, 1]
/** What `inference_geo: "us"` multiplies tokens by, on models that know it. */
export const GEO_US: Ratio = [11, 10]
/** What the batch API multiplies tokens by. */
export const BATCH: Ratio = [1, 2]

/** When, and how, the priced request was admitted. */
export interface CostOptions {
  /** Time of admission: the rows in force then are used. */
  readonly atMs: number
  /** Absent: what the answer's `service_tier` says. */
  readonly batch?: boolean
  /** The operator's mark-up on tokens and fees; absent: 1. */
  readonly markup?: Ratio
}

/**
 * Prices an answer by what the answer says: model, speed, region, iterations. Total: a model without a
 * price costs what is configured for such, else what the dearest one costs, and its line says so. About 0.15 µs for a plain answer.
 */
export function costOf(usage: Usage, table: PriceTable, options: CostOptions): Receipt {
  const plain = (options.batch ?? usage.serviceTier === 'batch') ? BATCH : PLAIN
  const regional: Ratio = [plain[0] * GEO_US[0], plain[1] * GEO_US[1]]
  const entries = entriesOf(usage)
  const priced = entries.map((entry) => priceEntry(entry, usage, table, options.atMs))
  const isRegional = usage.inferenceGeo === 'us' && priced.some(({ row }) => row.inferenceGeo)
  const declined = declinedEntries(entries, usage)
  const lines = priced.map(({ row, line }, index): ReceiptLine => {
    const note = declined.has(index) ? 'declined_before_output' : line.note
    // A model that knows no regions is not dearer in one, whatever the request's other models are.
    return isRegional && !row.inferenceGeo ? { ...line, note, ratio: plain } : { ...line, note }
  })
  const receipt = {
    priceVersion: priceVersionAt(table, options.atMs),
    lines,
    ratio: isRegional ? regional : plain,
    webSearchRequests: usage.webSearchRequests,
    feesMicro: usage.webSearchRequests * table.webSearchMicro,
  }
  const listCostMicro = rebuildCost(receipt)
  const { markup = PLAIN } = options
  if (markup[0] === markup[1]) return { ...receipt, costMicro: listCostMicro }
  const marked = { ...receipt, markup }
  return { ...marked, costMicro: rebuildCost(marked), listCostMicro }
}

/** The cost that a receipt's own figures make: one exact sum of tokens and fees, rounded up once. */
export function rebuildCost(receipt: Omit<Receipt, 'costMicro' | 'listCostMicro'>): Micro {
  let plain = 0n
  let own: readonly [bigint, bigint] = [0n, 1n]
  for (const line of receipt.lines) {
    if (line.note === 'declined_before_output') continue
    const sum = lineSum(line)
    if (line.ratio === undefined) plain += sum
    else own = plus(own, [sum * BigInt(line.ratio[0]), BigInt(line.ratio[1])])
  }
  const [ratioNumerator, ratioDenominator] = receipt.ratio
  const [numerator, denominator] = plus(own, [
    plain * BigInt(ratioNumerator),
    BigInt(ratioDenominator),
  ])
  const [markupNumerator, markupDenominator] = receipt.markup ?? PLAIN
  const whole = denominator * 1_000_000n
  const costMicro = Number(
    divideUp(
      (numerator + BigInt(receipt.feesMicro) * whole) * BigInt(markupNumerator),
      whole * BigInt(markupDenominator),
    ),
  )
  invariant(Number.isSafeInteger(costMicro) && costMicro >= 0, 'a cost is a safe, positive integer')
  return costMicro
}

/** Quotient of two integers, rounded up; the divisor is positive. */
export function divideUp(numerator: bigint, denominator: bigint): bigint {
  return (numerator + denominator - 1n) / denominator
}

function lineSum({ tokens, rates }: ReceiptLine): bigint {
  return (
    BigInt(tokens.input) * BigInt(rates.input) +
    BigInt(tokens.output) * BigInt(rates.output) +
    BigInt(tokens.cacheRead) * BigInt(rates.cacheRead) +
    BigInt(tokens.cacheWrite5m) * BigInt(rates.cacheWrite5m) +
    BigInt(tokens.cacheWrite1h) * BigInt(rates.cacheWrite1h)
  )
}

// Denominators are few (1, 2, 10, 20), so the common one stays small over any number of lines.
function plus(
  a: readonly [bigint, bigint],
  b: readonly [bigint, bigint],
): readonly [bigint, bigint] {
  if (a[1] % b[1] === 0n) return [a[0] + b[0] * (a[1] / b[1]), a[1]]
  return [a[0] * b[1] + b[0] * a[1], a[1] * b[1]]
}

function priceEntry(entry: UsageIteration, usage: Usage, table: PriceTable, atMs: number) {
  const model = entry.model ?? usage.model
  const speed = usage.speed === 'fast' ? 'fast' : 'standard'
  const { row, note } = priceOf(table, model, atMs, speed)
  const { tier, rates } = tierOf(row, entry.tokens, usage.speed)
  const line: ReceiptLine = { model, tier, tokens: entry.tokens, rates, note }
  return { row, line }
}

// A fast answer has no prompt-length step. A model without a fast price runs, and bills, at standard.
function tierOf(
  row: PriceRow,
  tokens: TokenCounts,
  speed: string | null,
): Pick<ReceiptLine, 'tier' | 'rates'> {
  if (speed === 'fast' && row.fastRates !== null) return { tier: 'fast', rates: row.fastRates }
  if (row.longPrompt !== null && promptTokens(tokens) > row.longPrompt.aboveTokens) {
    return { tier: 'long_prompt', rates: row.longPrompt.rates }
  }
  return { tier: 'standard', rates: row.rates }
}

function promptTokens(tokens: TokenCounts): number {
  return tokens.input + tokens.cacheRead + tokens.cacheWrite5m + tokens.cacheWrite1h
}

function isAttempt(entry: UsageIteration): boolean {
  return entry.type === 'message' || entry.type === 'fallback_message'
}

// Free: an attempt without output that a fallback took over, and a final refusal without any content.
function declinedEntries(entries: readonly UsageIteration[], usage: Usage): ReadonlySet<number> {
  const declined = new Set<number>()
  let isTakenOver = usage.stopReason === 'refusal' && !usage.hasContent
  for (let index = entries.length - 1; index >= 0; index--) {
    const entry = entries[index]
    if (entry === undefined || !isAttempt(entry)) continue
    if (isTakenOver && entry.tokens.output === 0) declined.add(index)
    isTakenOver = entry.type === 'fallback_message'
  }
  return declined
}

// With iterations the top-level counts say nothing new: they are a part of the iterations' sum.
function entriesOf(usage: Usage): readonly UsageIteration[] {
  if (usage.iterations.length === 0) {
    return [{ type: 'message', model: null, tokens: usage.tokens, splitUnknown: false }]
  }
  return usage.iterations.some((entry) => entry.splitUnknown)
    ? splitWrites(usage.iterations, usage.tokens.cacheWrite1h)
    : usage.iterations
}

/**
 * Iterations may leave out which of their cache writes live an hour. The answer's total of those is known:
 * what the split entries do not explain goes to the others in order, first to those of the total.
 */
function splitWrites(
  iterations: readonly UsageIteration[],
  totalWrite1h: number,
): readonly UsageIteration[] {
  const serving = iterations.findLast((entry) => entry.type === 'fallback_message')
  const inTotal = (entry: UsageIteration) =>
    serving === undefined ? entry.type === 'message' : entry === serving
  let left = totalWrite1h
  for (const entry of iterations) {
    if (inTotal(entry) && !entry.splitUnknown) left -= entry.tokens.cacheWrite1h
  }
  const split = [...iterations]
  for (const firstPass of [true, false]) {
    for (const [index, entry] of iterations.entries()) {
      if (!entry.splitUnknown || inTotal(entry) !== firstPass) continue
      const cacheWrite1h = Math.max(0, Math.min(left, entry.tokens.cacheWrite5m))
      left -= cacheWrite1h
      const cacheWrite5m = entry.tokens.cacheWrite5m - cacheWrite1h
      split[index] = { ...entry, tokens: { ...entry.tokens, cacheWrite5m, cacheWrite1h } }
    }
  }
  return split
}
