import { outputSoFar, partialUsage } from '../billing/cut-stream.ts'
import { FIRST_GUESSES } from '../billing/learned.ts'
import { findPrice } from '../billing/price-table.ts'
import type { Usage } from '../core/usage.ts'
import { contentBytes, hasUsableInput, readUsage } from '../providers/anthropic/usage.ts'
import type { Exchange } from './exchange.ts'

/**
 * What a whole answer used: upstream's figures. Where they are missing or cannot be meant, what was
 * delivered is not free: the output is estimated from the content as for a cut stream, the input is the
 * bound's, so that the bill stays within the hold and never below the usable figures.
 */
export function unaryUsage(exchange: Exchange, json: unknown): Usage {
  const usage = readUsage(json, exchange.request.model)
  if (usage.anomalies === 0) return usage
  const row = findPrice(exchange.pricesOf, usage.model, exchange.call.arrivedAtMs) ?? exchange.price
  const output = outputSoFar(
    {
      visibleBytes: contentBytes(json),
      seenOutputTokens: usage.tokens.output,
      thinkingEstimatedTokens: 0,
      thinkingOpenMs: 0,
      maxTokens: exchange.request.maxTokens,
      row,
      speed: usage.speed,
    },
    FIRST_GUESSES,
    'middle',
  )
  const estimated = partialUsage(usage, output)
  // Usable iterations are what is priced, whatever the totals beside them say.
  if (hasUsableInput(json) || usage.iterations.length > 0) return estimated
  const { tokens } = estimated
  const boundInput = exchange.bound?.parts[0].inputTokens ?? 0
  const input = boundInput - tokens.cacheRead - tokens.cacheWrite5m - tokens.cacheWrite1h
  return { ...estimated, tokens: { ...tokens, input: Math.max(tokens.input, input) } }
}
