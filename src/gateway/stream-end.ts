import type { Usage } from '../core/usage.ts'
import type { StreamTap } from '../providers/anthropic/stream-tap.ts'
import type { Exchange } from './exchange.ts'
import type { Gateway } from './gateway.ts'
import { learnFromStream } from './lessons.ts'
import { type Closed, settle } from './settle.ts'
import { cutStreamUsage } from './stream-usage.ts'

/**
 * Settles a stream that upstream has ended itself, with `message_stop` or with an error event. `startedMs` null:
 * how long it took teaches nothing.
 */
export function settleEnded(
  gateway: Gateway,
  exchange: Exchange,
  tap: StreamTap,
  startedMs: number | null,
): Promise<Closed> {
  const nowMs = gateway.clock.monotonicMs()
  if (tap.exact) learnFromStream(gateway, exchange, tap, { startedMs, nowMs })
  // Where upstream's figures cannot be used, the output itself tells about how much it was.
  const usage = tap.exact ? tap.usage() : cutStreamUsage(gateway, exchange, tap, nowMs)
  return settle(gateway, exchange, usage, tap.exact ? 'exact' : 'partial', {
    status: tap.errorEvent === null ? 'complete' : 'interrupted',
    httpStatus: exchange.clientGone ? 499 : 200,
    errorCode: tap.errorEvent?.type ?? null,
  })
}

/** Settles a stream that broke off, or was stopped, by what it has proved. */
export async function settleCut(
  gateway: Gateway,
  exchange: Exchange,
  tap: StreamTap,
  errorCode: string | null,
): Promise<{ readonly closed: Closed; readonly usage: Usage }> {
  const usage = cutStreamUsage(gateway, exchange, tap, gateway.clock.monotonicMs())
  const closed = await settle(gateway, exchange, usage, 'partial', {
    status: 'interrupted',
    httpStatus: exchange.clientGone ? 499 : 200,
    errorCode,
  })
  return { closed, usage }
}
