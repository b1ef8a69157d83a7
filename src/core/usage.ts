import type { Micro } from './money.ts'

/** Tokens by price class. `output` includes thinking; `input` excludes everything cached. */
export interface TokenCounts {
  readonly input: number
  readonly output: number
  readonly cacheRead: number
  readonly cacheWrite5m: number
  readonly cacheWrite1h: number
}

export const NO_TOKENS: TokenCounts = {
  input: 0,
  output: 0,
  cacheRead: 0,
  cacheWrite5m: 0,
  cacheWrite1h: 0,
}

/** One entry of upstream's `usage.iterations`. */
export interface UsageIteration {
  /** `message`, `compaction`, `advisor_message`, `fallback_message`, or a kind yet to come. */
  readonly type: string
  /** null: the model of the answer. */
  readonly model: string | null
  readonly tokens: TokenCounts
  /** True when upstream left the 5m/1h split out; all writes are then in `cacheWrite5m`. */
  readonly splitUnknown: boolean
}

/** What upstream said an answer used, validated: every count is an integer from 0 to 100,000,000. */
export interface Usage {
  /** The model that the answer names; falls back to the requested one. */
  readonly model: string
  readonly tokens: TokenCounts
  readonly iterations: readonly UsageIteration[]
  readonly webSearchRequests: number
  readonly speed: string | null
  readonly inferenceGeo: string | null
  readonly serviceTier: string | null
  readonly stopReason: string | null
  /** False when the answer has no content at all (a refusal before output is then free). */
  readonly hasContent: boolean
  /** How many figures were absent where required, negative, huge or not integers, and were replaced. */
  readonly anomalies: number
}

/** Where the figures of a usage record come from. */
export type UsageSource = 'exact' | 'partial' | 'recovered' | 'none'

/** Micro-dollars per million tokens, by class. */
export interface Rates {
  readonly input: Micro
  readonly output: Micro
  readonly cacheRead: Micro
  readonly cacheWrite5m: Micro
  readonly cacheWrite1h: Micro
}

/** One priced line of a receipt: these tokens at these rates. */
export interface ReceiptLine {
  readonly model: string
  readonly tier: 'standard' | 'fast' | 'long_prompt'
  readonly tokens: TokenCounts
  readonly rates: Rates
  /** Why the line costs nothing or was priced unusually; null for a plain line. */
  readonly note:
    | 'declined_before_output'
    | 'model_unknown_dearest_price'
    | 'model_unknown_configured_price'
    | null
  /** Replaces the receipt's ratio for this line: set where a fallback's or adviser's model differs. */
  readonly ratio?: readonly [numerator: number, denominator: number]
}

/** All that made a cost: `ceil((sum(tokens x rates) x ratio / 1e6 + fees) x markup)` rebuilds it bit for bit. */
export interface Receipt {
  readonly priceVersion: string
  readonly lines: readonly ReceiptLine[]
  /** Product of the ratios that applied (geo, batch), as a fraction. */
  readonly ratio: readonly [numerator: number, denominator: number]
  readonly webSearchRequests: number
  readonly feesMicro: Micro
  /** What the sum of tokens and fees is multiplied by, before the one rounding; absent: 1. */
  readonly markup?: readonly [numerator: number, denominator: number]
  readonly costMicro: Micro
  /** The same without the mark-up: what upstream takes for it at list price. Absent: `costMicro`. */
  readonly listCostMicro?: Micro
}
