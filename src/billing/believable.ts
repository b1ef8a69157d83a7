import type { TokenCounts, Usage, UsageIteration } from '../core/usage.ts'
import type { PriceRow } from './price-table.ts'

/** What is known of a request whose answer is to be billed. */
export interface KnownOfRequest {
  /** Of the model that answered. */
  readonly row: PriceRow
  readonly maxTokens: number
  /** The prompt as the cost bound has it. */
  readonly boundInputTokens: number
  /** The output that the hold pays for. */
  readonly heldOutputTokens: number
  /** Server tools and the like read the prompt again and again: one window does not bound them. */
  readonly growsInRounds: boolean
}

/** So many windows and longest answers are believed of a request that grows in rounds. */
const MOST_ROUNDS = 64

/**
 * Upstream's figures, but for those that no answer to this request can have: a prompt longer than the model's
 * window, an output longer than the model writes, no prompt at all beside figures that were unusable. What
 * stands in for these is what was reserved, so that nonsense costs no more than that; each counts as an anomaly.
 */
export function believableUsage(usage: Usage, known: KnownOfRequest): Usage {
  let changed = 0
  const rounds = known.growsInRounds ? MOST_ROUNDS : 1
  const check = (tokens: TokenCounts): TokenCounts => {
    let believed = tokens
    if (promptOf(tokens) > known.row.contextWindow * rounds) {
      changed++
      believed = { ...believed, ...NO_PROMPT, input: known.boundInputTokens }
    }
    if (tokens.output > known.row.maxOutput * rounds) {
      changed++
      believed = { ...believed, output: Math.min(known.maxTokens, known.heldOutputTokens) }
    }
    return believed
  }
  let tokens = check(usage.tokens)
  if (usage.anomalies > 0 && promptOf(tokens) === 0 && usage.iterations.length === 0) {
    tokens = { ...tokens, input: known.boundInputTokens }
  }
  const iterations = usage.iterations.map(
    (entry): UsageIteration => ({ ...entry, tokens: check(entry.tokens) }),
  )
  if (changed === 0 && tokens === usage.tokens) return usage
  return { ...usage, tokens, iterations, anomalies: usage.anomalies + changed }
}

const NO_PROMPT = { input: 0, cacheRead: 0, cacheWrite5m: 0, cacheWrite1h: 0 }

function promptOf({ input, cacheRead, cacheWrite5m, cacheWrite1h }: TokenCounts): number {
  return input + cacheRead + cacheWrite5m + cacheWrite1h
}
