import type { Micro } from '../core/money.ts'
import type { Rates } from '../core/usage.ts'
import type { BoundFallback, BoundModels } from './bound-models.ts'
import { divideUp, GEO_US, PLAIN, type Ratio } from './cost.ts'
import type { PriceRow } from './price-table.ts'

/**
 * The one estimate of what a request can cost (M10, M11). Before there are receipts to learn
 * from, its figures are the cautious constants below; nothing else in ccgate estimates.
 */

/** Bytes of prose, code or JSON per token, at the cautious end. */
export const PROSE_BYTES_PER_TOKEN = 2
/** What upstream adds to every prompt around roles and turns. */
export const REQUEST_OVERHEAD_TOKENS = 64
/** What upstream adds when there are tools (its own instructions for using them). */
export const TOOLS_OVERHEAD_TOKENS = 1_024
/** Uses of a server tool when the request names no `max_uses`. */
export const DEFAULT_TOOL_USES = 10
/** What one use of a server tool or MCP server adds to the prompt of the next round. */
export const TOOL_RESULT_TOKENS = 16_384
/** The longest output expected of a compaction, or of one piece of advice that has no limit of its own. */
export const SIDE_OUTPUT_TOKENS = 16_384

/** Largest `max_uses` taken at its word; keeps amounts far from the bounds of `Micro`. */
const MAX_TOOL_USES = 1_000_000
/** The newer tokenizer counts the same text about 30 % higher; models of this image cap have it. */
const NEWER_IMAGE_CAP = 4_784

/** What is known about a request's body before it leaves. */
export interface BoundInput {
  /** All bytes of the body that are neither image data nor dense text. */
  readonly textBytes: number
  /** Bytes of base64, hex and the like inside text: one token each. */
  readonly denseBytes: number
  readonly images: number
  /** True with a PDF, a URL, a file id or a thread continue: the body does not tell the prompt's size. */
  readonly unknownInput: boolean
  /** The dearest cache write the body asks for; for a thread continue `1h`, as its history is not here. */
  readonly cacheWrites: 'none' | '5m' | '1h'
  /** As requested; 0 is valid (cache pre-warm). */
  readonly maxTokens: number
  readonly hasTools: boolean
  readonly serverTools: readonly ServerTool[]
  /** True with `mcp_servers`. */
  readonly mcp: boolean
  /** True when the request may compact its context, which is one more pass over it. */
  readonly compaction: boolean
  /** True when the request asks for speed `fast`. */
  readonly fast: boolean
  /** `unknown` when the request leaves it to the workspace. */
  readonly geo: 'us' | 'global' | 'unknown'
  /** What the free count endpoint said about this body and the requested model. */
  readonly countedInputTokens?: number
}

/** A tool that upstream runs by itself; advisers are not among them (see `BoundModels`). */
export interface ServerTool {
  readonly kind: 'web_search' | 'other'
  /** null: not limited by the request. */
  readonly maxUses: number | null
}

/** What one model may cost of a request. */
export interface BoundPart {
  readonly model: string
  readonly role: 'request' | 'fallback' | 'compaction' | 'advisor'
  readonly inputTokens: number
  /** The dearest input class that applies, per million tokens. */
  readonly inputRateMicro: Micro
  readonly outputTokens: number
  readonly outputRateMicro: Micro
  readonly ratio: Ratio
  /** True when a smaller `max_tokens` makes this part cheaper. */
  readonly followsMaxTokens: boolean
}

/** The most that a request can cost: `ceil(sum(part) / 1e6) + fees`. */
export interface Bound {
  readonly amountMicro: Micro
  /** Sums over the parts. */
  readonly inputTokens: number
  readonly outputTokens: number
  readonly parts: readonly BoundPart[]
  readonly feesMicro: Micro
  /** False when the context window stands in for an unknown prompt: counting may bring it down. */
  readonly inputKnown: boolean
}

/**
 * The full hold of a request. Input: bytes or the counted figure, at most the context window, since a
 * longer prompt is an error that costs nothing. Server tools and MCP re-read a growing prompt once per
 * use: the sum of those rounds, again at most one window, because all but the news of each round is read
 * from the cache at a tenth of the price or less. Regions and speed count as the dearer of what may apply.
 */
export function costBound(input: BoundInput, models: BoundModels): Bound {
  const toolUses = input.serverTools.map((tool) => uses(tool.maxUses))
  const rounds = sum(toolUses) + (input.mcp ? DEFAULT_TOOL_USES : 0)
  const searches = sum(toolUses.filter((_, i) => input.serverTools[i]?.kind === 'web_search'))
  const attempts: readonly BoundFallback[] = [
    { row: models.row, maxTokens: null, fast: input.fast },
    ...models.fallbacks,
  ]
  // An answer names one speed for all its iterations.
  const fast = attempts.some((attempt) => attempt.fast)
  const parts: BoundPart[] = []
  for (const [index, { row, maxTokens }] of attempts.entries()) {
    // A fallback that takes over in mid-answer reads what was written before.
    const written = index === 0 ? 0 : Math.min(input.maxTokens, models.row.maxOutput)
    const prompt = promptBound(input, row, models.row) + written
    const inputTokens = grownInput(prompt, rounds, row)
    const outputTokens = Math.min(maxTokens ?? input.maxTokens, row.maxOutput)
    const role = index === 0 ? 'request' : 'fallback'
    const followsMaxTokens = maxTokens === null
    parts.push(
      partOf({ role, inputTokens, outputTokens, followsMaxTokens }, row, input, fast, rounds),
    )
  }
  if (input.compaction) {
    const { row } = models
    const inputTokens = grownInput(promptBound(input, row, row), rounds, row)
    const outputTokens = Math.min(SIDE_OUTPUT_TOKENS, row.maxOutput)
    const part = { role: 'compaction', inputTokens, outputTokens, followsMaxTokens: false } as const
    parts.push(partOf(part, row, input, fast, rounds))
  }
  for (const { row, maxUses, maxTokens } of models.advisors) {
    const times = uses(maxUses)
    const prompt = promptBound(input, row, models.row) + Math.min(input.maxTokens, row.maxOutput)
    const inputTokens = Math.min(prompt, row.contextWindow) * times
    const outputTokens = Math.min(maxTokens ?? SIDE_OUTPUT_TOKENS, row.maxOutput) * times
    const part = { role: 'advisor', inputTokens, outputTokens, followsMaxTokens: false } as const
    parts.push(partOf(part, row, input, fast, rounds))
  }
  const feesMicro = searches * models.webSearchMicro
  return {
    amountMicro: amountOf(parts, feesMicro, Number.POSITIVE_INFINITY),
    inputTokens: sum(parts.map((part) => part.inputTokens)),
    outputTokens: sum(parts.map((part) => part.outputTokens)),
    parts,
    feesMicro,
    inputKnown: !input.unknownInput || input.countedInputTokens !== undefined,
  }
}

/** The same bound with the prompt's size as the free count endpoint gave it. */
export function tighterBound(
  input: BoundInput,
  models: BoundModels,
  countedInputTokens: number,
): Bound {
  return costBound({ ...input, countedInputTokens }, models)
}

/** The largest `max_tokens`, at most the requested one, whose bound fits; null when not even 1 does. */
export function maxTokensThatFit(bound: Bound, availableMicro: Micro): number | null {
  const following = bound.parts.filter((part) => part.followsMaxTokens)
  let fits = 0
  let tooMany = 1 + Math.max(0, ...following.map((part) => part.outputTokens))
  while (tooMany - fits > 1) {
    const maxTokens = Math.floor((fits + tooMany) / 2)
    if (amountOf(bound.parts, bound.feesMicro, maxTokens) <= availableMicro) fits = maxTokens
    else tooMany = maxTokens
  }
  return fits === 0 ? null : fits
}

// ── input ────────────────────────────────────────────────────────────────────────────────────────

function promptBound(input: BoundInput, row: PriceRow, counted: PriceRow): number {
  if (input.countedInputTokens !== undefined) {
    // The endpoint's figure is an estimate by the requested model's tokenizer.
    const tokens = input.countedInputTokens * (isNewer(row) && !isNewer(counted) ? 4 / 3 : 1)
    return Math.min(row.contextWindow, Math.ceil(tokens * 1.01) + REQUEST_OVERHEAD_TOKENS)
  }
  if (input.unknownInput) return row.contextWindow
  const usesTools = input.hasTools || input.serverTools.length > 0 || input.mcp
  const tokens =
    Math.ceil(input.textBytes / PROSE_BYTES_PER_TOKEN) +
    input.denseBytes +
    input.images * row.imageTokenCap +
    REQUEST_OVERHEAD_TOKENS +
    (usesTools ? TOOLS_OVERHEAD_TOKENS : 0)
  return Math.min(row.contextWindow, tokens)
}

function isNewer(row: PriceRow): boolean {
  return row.imageTokenCap >= NEWER_IMAGE_CAP
}

function grownInput(prompt: number, rounds: number, row: PriceRow): number {
  const growth = (TOOL_RESULT_TOKENS * rounds * (rounds + 1)) / 2
  return Math.min(row.contextWindow, prompt * (rounds + 1) + growth)
}

function uses(maxUses: number | null): number {
  return Math.max(0, Math.min(maxUses ?? DEFAULT_TOOL_USES, MAX_TOOL_USES))
}

// ── rates ────────────────────────────────────────────────────────────────────────────────────────

function partOf(
  part: Pick<BoundPart, 'role' | 'inputTokens' | 'outputTokens' | 'followsMaxTokens'>,
  row: PriceRow,
  input: BoundInput,
  fast: boolean,
  rounds: number,
): BoundPart {
  const tiers: Rates[] = [row.rates]
  if (row.longPrompt !== null && part.inputTokens > row.longPrompt.aboveTokens) {
    tiers.push(row.longPrompt.rates)
  }
  if (fast && row.fastRates !== null) tiers.push(row.fastRates)
  // Server tools write to the 5-minute cache on their own.
  const writes = input.cacheWrites === 'none' && rounds > 0 ? '5m' : input.cacheWrites
  return {
    ...part,
    model: row.id,
    inputRateMicro: Math.max(...tiers.map((rates) => dearestInput(rates, writes))),
    outputRateMicro: Math.max(...tiers.map((rates) => rates.output)),
    ratio: row.inferenceGeo && input.geo !== 'global' ? GEO_US : PLAIN,
  }
}

function dearestInput(rates: Rates, writes: BoundInput['cacheWrites']): Micro {
  const base = Math.max(rates.input, rates.cacheRead)
  if (writes === 'none') return base
  const short = Math.max(base, rates.cacheWrite5m)
  return writes === '5m' ? short : Math.max(short, rates.cacheWrite1h)
}

function amountOf(parts: readonly BoundPart[], feesMicro: Micro, maxTokens: number): Micro {
  let numerator = 0n
  let denominator = 1n
  for (const part of parts) {
    const output = part.followsMaxTokens
      ? Math.min(part.outputTokens, maxTokens)
      : part.outputTokens
    const tokensMicro =
      BigInt(part.inputTokens) * BigInt(part.inputRateMicro) +
      BigInt(output) * BigInt(part.outputRateMicro)
    const [ratioNumerator, ratioDenominator] = part.ratio
    // Two ratios exist (1 and 11/10), so the common denominator is 1 or 10.
    if (denominator % BigInt(ratioDenominator) !== 0n) {
      numerator *= BigInt(ratioDenominator)
      denominator *= BigInt(ratioDenominator)
    }
    numerator += (tokensMicro * BigInt(ratioNumerator) * denominator) / BigInt(ratioDenominator)
  }
  return Number(divideUp(numerator, denominator * 1_000_000n)) + feesMicro
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
