import type { Micro } from '../core/money.ts'
import type { Rates } from '../core/usage.ts'
import type { BoundFallback, BoundModels } from './bound-models.ts'
import { divideUp, GEO_US, PLAIN, type Ratio } from './cost.ts'
import { type Estimates, FIRST_GUESSES } from './learned.ts'
import type { PriceRow } from './price-table.ts'

/**
 * The one estimate of what a request can cost: from its body, from what receipts have taught,
 * and where neither tells from the cautious constants below. Nothing else in ccgate estimates.
 */

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

/** The largest amount that the books can hold. */
const MOST_MICRO = BigInt(Number.MAX_SAFE_INTEGER)
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
  /** Tokens of the conversation that a thread continues: they lie upstream, before the body's own. */
  readonly historyTokens?: number
  /** The first so many tokens of the prompt lie in the cache of the account that it goes to. */
  readonly warmTokens?: number
}

/** A beginning of the prompt that lies in a cache, as it was written or read last. */
export interface CachedPrefix {
  readonly tokens: number
  /** How much of the prompt comes after it; images of any size are not in it. */
  readonly bytesAfter: number
}

/** How a bound is made; all but the defaults are the caller's to know. */
export interface BoundOptions {
  /** What receipts have taught; default: first guesses. */
  readonly estimates?: Estimates
  /** The operator's mark-up; default 1. */
  readonly markup?: Ratio
  /** Of what can grow while the answer runs, only so much is in the bound; default: all of it. */
  readonly limit?: GrowthLimit
}

/** A part of what an answer may grow to. */
export interface GrowthLimit {
  /** Output tokens of each attempt. */
  readonly outputTokens: number
  /** Rounds of server tools and MCP. */
  readonly rounds: number
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
  /** Of `inputTokens`: these lie in the cache, at their own rate. */
  readonly warmTokens: number
  readonly warmRateMicro: Micro
  readonly outputTokens: number
  readonly outputRateMicro: Micro
  readonly ratio: Ratio
  /** True when a smaller `max_tokens` makes this part cheaper. */
  readonly followsMaxTokens: boolean
}

/** The most that a request can cost: `ceil((sum(part) / 1e6 + fees) x markup)`. */
export interface Bound {
  readonly amountMicro: Micro
  /** The same without the mark-up: what it takes of an account's own budget. */
  readonly listAmountMicro: Micro
  readonly markup: Ratio
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
export function costBound(
  input: BoundInput,
  models: BoundModels,
  options: BoundOptions = {},
): Bound {
  const { estimates = FIRST_GUESSES, markup = PLAIN, limit = UNLIMITED } = options
  const prompt = (row: PriceRow) => promptBound(input, row, models.row, estimates)
  const toolUses = input.serverTools.map((tool) => uses(tool.maxUses))
  const allRounds = sum(toolUses) + (input.mcp ? DEFAULT_TOOL_USES : 0)
  const rounds = Math.min(allRounds, limit.rounds)
  const allSearches = sum(toolUses.filter((_, i) => input.serverTools[i]?.kind === 'web_search'))
  const searches = Math.min(allSearches, limit.rounds)
  const attempts: readonly BoundFallback[] = [
    { row: models.row, maxTokens: null, fast: input.fast },
    ...models.fallbacks,
  ]
  // An answer names one speed for all its iterations.
  const fast = attempts.some((attempt) => attempt.fast)
  const parts: BoundPart[] = []
  for (const [index, { row, maxTokens }] of attempts.entries()) {
    // A fallback that takes over in mid-answer reads what was written before.
    const written = index === 0 ? 0 : outputOf(input.maxTokens, models.row, limit)
    const inputTokens = grownInput(prompt(row) + written, rounds, row)
    const outputTokens = outputOf(maxTokens ?? input.maxTokens, row, limit)
    const role = index === 0 ? 'request' : 'fallback'
    const followsMaxTokens = maxTokens === null
    parts.push(
      partOf({ role, inputTokens, outputTokens, followsMaxTokens }, row, input, fast, rounds),
    )
  }
  if (input.compaction) {
    const { row } = models
    const inputTokens = grownInput(prompt(row), rounds, row)
    const outputTokens = Math.min(SIDE_OUTPUT_TOKENS, row.maxOutput)
    const part = { role: 'compaction', inputTokens, outputTokens, followsMaxTokens: false } as const
    parts.push(partOf(part, row, input, fast, rounds))
  }
  for (const { row, maxUses, maxTokens } of models.advisors) {
    const times = Math.min(uses(maxUses), limit.rounds)
    const read = prompt(row) + outputOf(input.maxTokens, row, limit)
    const inputTokens = Math.min(read, row.contextWindow) * times
    const outputTokens = Math.min(maxTokens ?? SIDE_OUTPUT_TOKENS, row.maxOutput) * times
    const part = { role: 'advisor', inputTokens, outputTokens, followsMaxTokens: false } as const
    parts.push(partOf(part, row, input, fast, rounds))
  }
  const feesMicro = searches * models.webSearchMicro
  return {
    amountMicro: amountOf(parts, feesMicro, markup),
    listAmountMicro: amountOf(parts, feesMicro, PLAIN),
    markup,
    inputTokens: sum(parts.map((part) => part.inputTokens)),
    outputTokens: sum(parts.map((part) => part.outputTokens)),
    parts,
    feesMicro,
    inputKnown: !input.unknownInput || input.countedInputTokens !== undefined,
  }
}

/** True where the prompt is read, or other models run, again and again: its size shows only at the end. */
export function growsInRounds(input: BoundInput, models: BoundModels): boolean {
  return (
    input.serverTools.length > 0 ||
    input.mcp ||
    input.compaction ||
    models.fallbacks.length > 0 ||
    models.advisors.length > 0
  )
}

/** The same bound with the prompt's size as the free count endpoint gave it. */
export function tighterBound(
  input: BoundInput,
  models: BoundModels,
  countedInputTokens: number,
  options: BoundOptions = {},
): Bound {
  return costBound({ ...input, countedInputTokens }, models, options)
}

/**
 * How many tokens of a counted prompt a cached prefix has without doubt: at most what was cached, and at
 * most what the count leaves when all that comes after is as long as the bound would make it. So a prefix whose
 * length was only guessed cannot make a prompt cheap. 0 where the prompt was not counted, or where what comes
 * after may be longer than its bytes tell.
 */
export function surelyWarm(
  input: BoundInput,
  row: PriceRow,
  { tokens, bytesAfter }: CachedPrefix,
  estimates: Estimates = FIRST_GUESSES,
): number {
  if (input.countedInputTokens === undefined || input.unknownInput) return 0
  const denseBytes = Math.min(input.denseBytes, bytesAfter)
  const tokensAfter =
    Math.ceil((bytesAfter - denseBytes) / estimates.promptBytesPerToken(row.modelClass)) +
    denseBytes +
    input.images * row.imageTokenCap +
    REQUEST_OVERHEAD_TOKENS
  return Math.max(0, Math.min(tokens, input.countedInputTokens - tokensAfter))
}

/** The largest `max_tokens`, at most the requested one, whose bound fits; null when not even 1 does. */
export function maxTokensThatFit(bound: Bound, availableMicro: Micro): number | null {
  const following = bound.parts.filter((part) => part.followsMaxTokens)
  let fits = 0
  let tooMany = 1 + Math.max(0, ...following.map((part) => part.outputTokens))
  while (tooMany - fits > 1) {
    const maxTokens = Math.floor((fits + tooMany) / 2)
    if (amountOf(bound.parts, bound.feesMicro, bound.markup, maxTokens) <= availableMicro)
      fits = maxTokens
    else tooMany = maxTokens
  }
  return fits === 0 ? null : fits
}

// ── input ────────────────────────────────────────────────────────────────────────────────────────

const UNLIMITED: GrowthLimit = {
  outputTokens: Number.POSITIVE_INFINITY,
  rounds: Number.POSITIVE_INFINITY,
}

function outputOf(maxTokens: number, row: PriceRow, limit: GrowthLimit): number {
  return Math.min(maxTokens, row.maxOutput, limit.outputTokens)
}

function promptBound(
  input: BoundInput,
  row: PriceRow,
  counted: PriceRow,
  estimates: Estimates,
): number {
  if (input.countedInputTokens !== undefined) {
    // The endpoint's figure is an estimate by the requested model's tokenizer.
    const tokens = input.countedInputTokens * (isNewer(row) && !isNewer(counted) ? 4 / 3 : 1)
    return Math.min(row.contextWindow, Math.ceil(tokens * 1.01) + REQUEST_OVERHEAD_TOKENS)
  }
  if (input.unknownInput) return row.contextWindow
  const usesTools = input.hasTools || input.serverTools.length > 0 || input.mcp
  const tokens =
    (input.historyTokens ?? 0) +
    Math.ceil(input.textBytes / estimates.promptBytesPerToken(row.modelClass)) +
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
  const warmTokens = part.role === 'request' ? Math.min(input.warmTokens ?? 0, part.inputTokens) : 0
  return {
    ...part,
    model: row.id,
    inputRateMicro: Math.max(...tiers.map((rates) => dearestInput(rates, writes))),
    warmTokens,
    warmRateMicro: Math.max(...tiers.map((rates) => rates.cacheRead)),
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

function amountOf(
  parts: readonly BoundPart[],
  feesMicro: Micro,
  markup: Ratio,
  maxTokens = Number.POSITIVE_INFINITY,
): Micro {
  let numerator = 0n
  let denominator = 1n
  for (const part of parts) {
    const output = part.followsMaxTokens
      ? Math.min(part.outputTokens, maxTokens)
      : part.outputTokens
    const tokensMicro =
      BigInt(part.inputTokens - part.warmTokens) * BigInt(part.inputRateMicro) +
      BigInt(part.warmTokens) * BigInt(part.warmRateMicro) +
      BigInt(output) * BigInt(part.outputRateMicro)
    const [ratioNumerator, ratioDenominator] = part.ratio
    // Two ratios exist (1 and 11/10), so the common denominator is 1 or 10.
    if (denominator % BigInt(ratioDenominator) !== 0n) {
      numerator *= BigInt(ratioDenominator)
      denominator *= BigInt(ratioDenominator)
    }
    numerator += (tokensMicro * BigInt(ratioNumerator) * denominator) / BigInt(ratioDenominator)
  }
  const whole = denominator * 1_000_000n
  const marked = (numerator + BigInt(feesMicro) * whole) * BigInt(markup[0])
  const micro = divideUp(marked, whole * BigInt(markup[1]))
  // More than any wallet can hold: it is refused for want of credit, as an amount that can be stored.
  return micro > MOST_MICRO ? Number(MOST_MICRO) : Number(micro)
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
