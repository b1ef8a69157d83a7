import { outputSoFar, partialUsage } from '../billing/cut-stream.ts'
import type { Usage } from '../core/usage.ts'
import { contentBytes, hasUsableInput, readUsage } from '../providers/anthropic/usage.ts'
import type { Exchange } from './exchange.ts'
import type { Gateway } from './gateway.ts'
import { answeringRow } from './stream-usage.ts'

/**
 * What a whole answer used: upstream's figures. Where they are missing or cannot be meant, what was
 * delivered is not free: the output is estimated from the content as for a cut stream, the input is the
 * bound's, so that the bill stays within the hold and never below the usable figures.
 */
export function unaryUsage({ learned }: Gateway, exchange: Exchange, json: unknown): Usage {
  const usage = readUsage(json, exchange.request.model)
  if (usage.anomalies === 0) return usage
  const output = outputSoFar(
    {
      visibleBytes: contentBytes(json),
      seenOutputTokens: usage.tokens.output,
      thinkingEstimatedTokens: 0,
      thinkingOpenMs: 0,
      maxTokens: exchange.request.maxTokens,
      row: answeringRow(exchange, usage),
      speed: usage.speed,
    },
    learned,
    'middle',
  )
  const estimated = partialUsage(usage, output)
  // Usable iterations are what is priced, whatever the totals beside them say.
  if (hasUsableInput(json) || usage.iterations.length > 0) return estimated
  const { tokens } = estimated
  const boundInput = exchange.meter?.bound.parts[0].inputTokens ?? 0
  const input = boundInput - tokens.cacheRead - tokens.cacheWrite5m - tokens.cacheWrite1h
  return { ...estimated, tokens: { ...tokens, input: Math.max(tokens.input, input) } }
}
