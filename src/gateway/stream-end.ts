import type { Usage } from '../core/usage.ts'
import type { StreamTap } from '../providers/anthropic/stream-tap.ts'
import type { Exchange } from './exchange.ts'
import type { Gateway } from './gateway.ts'
import { learnFromStream } from './lessons.ts'
import { noteObjects } from './objects.ts'
import { isStreamed } from './ready-request.ts'
import { type Closed, receiptOf, settle, voidHold } from './settle.ts'
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
  noteObjects(gateway, exchange, tap.made, tap.messageId)
  if (tap.exact) learnFromStream(gateway, exchange, tap, { startedMs, nowMs })
  const usage = endedUsage(gateway, exchange, tap)
  // All of it goes out after this.
  const isUnsent = !isStreamed(exchange) && !exchange.clientGone
  if (isUnsent) exchange.firstByteMs = nowMs
  return settle(gateway, exchange, usage, tap.exact ? 'exact' : 'partial', {
    status: tap.errorEvent === null ? 'complete' : 'interrupted',
    httpStatus: exchange.clientGone ? 499 : 200,
    errorCode: tap.errorEvent?.type ?? null,
    isUnsent,
  })
}

/** What a stream used that upstream has ended. */
export function endedUsage(gateway: Gateway, exchange: Exchange, tap: StreamTap): Usage {
  // Where upstream's figures cannot be used, the output itself tells about how much it was.
  return tap.exact
    ? tap.usage()
    : cutStreamUsage(gateway, exchange, tap, gateway.clock.monotonicMs())
}

/** How a cut stream ended for its client. */
export interface CutEnding {
  readonly errorCode: string | null
  /** What the client gets instead of an answer, where nothing of one has reached it. */
  readonly httpStatus: number
  /** The client gets nothing of what was made, and nobody but upstream or we are to blame. */
  readonly isLost: boolean
}

/** Settles a stream that broke off, or was stopped, by what it has proved: `usage`. */
export async function settleCut(
  gateway: Gateway,
  exchange: Exchange,
  { tap, usage }: { readonly tap: StreamTap; readonly usage: Usage },
  { errorCode, httpStatus, isLost }: CutEnding,
): Promise<Closed> {
  noteObjects(gateway, exchange, tap.made, tap.messageId)
  if (isLost) {
    noteLoss(exchange, usage)
    const seen = exchange.clientGone ? 499 : httpStatus
    return voidHold(gateway, exchange, { httpStatus: seen, errorCode })
  }
  return settle(gateway, exchange, usage, 'partial', {
    status: 'interrupted',
    httpStatus: exchange.clientGone ? 499 : httpStatus,
    errorCode,
  })
}

/** Of a stream that broke off and that nobody gets anything of: its try says what upstream takes for it. */
export function noteLost(gateway: Gateway, exchange: Exchange, tap: StreamTap): void {
  noteLoss(exchange, cutStreamUsage(gateway, exchange, tap, gateway.clock.monotonicMs()))
}

/** What upstream takes for it all the same is written with the try. */
function noteLoss(exchange: Exchange, usage: Usage): void {
  const { attempts } = exchange
  const last = attempts.at(-1)
  if (last === undefined) return
  const { listCostMicro, costMicro } = receiptOf(exchange, usage)
  attempts[attempts.length - 1] = { ...last, listCostMicro: listCostMicro ?? costMicro }
}
