import { outputSoFar, partialUsage } from '../billing/cut-stream.ts'
import type { Produced } from '../billing/hold-meter.ts'
import type { End } from '../billing/learned.ts'
import { findPrice, type PriceRow } from '../billing/price-table.ts'
import type { Usage } from '../core/usage.ts'
import type { StreamTap } from '../providers/anthropic/stream-tap.ts'
import type { Exchange } from './exchange.ts'
import type { Gateway } from './gateway.ts'

/** What a stream that broke off used: exact input, estimated output. */
export function cutStreamUsage(
  gateway: Gateway,
  exchange: Exchange,
  tap: StreamTap,
  nowMs: number,
): Usage {
  const started = tap.usage()
  const { seenOutputTokens } = tap.outputSoFar(nowMs)
  // The last total came with the stop reason: nothing was produced after it, and no estimate is better.
  if (started.stopReason !== null && seenOutputTokens > 0) return started
  return partialUsage(started, outputTokens(gateway, exchange, tap, nowMs, 'middle'))
}

/**
 * What a running stream has produced: at the cautious end of the estimates for its hold to run ahead of it,
 * at the middle for what it would be billed now.
 */
export function producedSoFar(
  gateway: Gateway,
  exchange: Exchange,
  tap: StreamTap,
  nowMs: number,
  end: End,
): Produced {
  return {
    outputTokens: outputTokens(gateway, exchange, tap, nowMs, end),
    rounds: tap.outputSoFar(nowMs).serverToolUses,
  }
}

/** The price row of the model that answers. */
export function answeringRow(exchange: Exchange, usage: Usage): PriceRow {
  return findPrice(exchange.pricesOf, usage.model, exchange.call.arrivedAtMs) ?? exchange.price
}

function outputTokens(
  { learned }: Gateway,
  exchange: Exchange,
  tap: StreamTap,
  nowMs: number,
  end: End,
): number {
  const started = tap.usage()
  const seen = tap.outputSoFar(nowMs)
  return outputSoFar(
    {
      visibleBytes: seen.visibleBytes,
      seenOutputTokens: seen.seenOutputTokens,
      thinkingEstimatedTokens: seen.thinkingEstimatedTokens,
      thinkingOpenMs: seen.omittedThinkingMs,
      maxTokens: exchange.request.maxTokens,
      row: answeringRow(exchange, started),
      speed: started.speed,
    },
    learned,
    end,
  )
}
