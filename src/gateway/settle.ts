import { costOf } from '../billing/cost.ts'
import { outputSoFar, partialUsage } from '../billing/cut-stream.ts'
import { findPrice } from '../billing/price-table.ts'
import { InvariantError } from '../core/invariant.ts'
import type { UsageRecord } from '../core/model.ts'
import type { Usage, UsageSource } from '../core/usage.ts'
import type { StreamTap } from '../providers/anthropic/stream-tap.ts'
import { StoreError } from '../store/store.ts'
import type { Exchange } from './exchange.ts'
import { usageRecord } from './exchange.ts'
import type { Gateway } from './gateway.ts'

/** How an exchange that produced something ended, for the client. */
export interface Ending {
  readonly status: 'complete' | 'interrupted'
  readonly httpStatus: number
  readonly errorCode: string | null
}

/** How long a settlement that the store could not take waits before it is tried again. */
const RETRY_MS = 1_000

/**
 * Charges what upstream counted, at the prices of admission, and closes the hold; the wallet's balance after.
 * Resolves when it is durable. A repeat changes nothing. Rejects when the store cannot take it now: then
 * it is tried again in the background, so that nothing delivered goes unbilled.
 */
export async function settle(
  gateway: Gateway,
  exchange: Exchange,
  usage: Usage,
  source: UsageSource,
  ending: Ending,
): Promise<void> {
  const receipt = costOf(usage, gateway.prices, { atMs: exchange.call.arrivedAtMs })
  const record = usageRecord(exchange, gateway.clock.monotonicMs(), {
    ...ending,
    source: usage.anomalies > 0 && source === 'exact' ? 'partial' : source,
    responseModel: usage.model,
    tokens: usage.tokens,
    webSearchRequests: usage.webSearchRequests,
    costMicro: receipt.costMicro,
    receipt,
    anomalies: usage.anomalies,
  })
  await close(gateway, exchange, record, 'settle')
}

/** Closes the hold without a charge; the usage row says what happened. */
export async function voidHold(
  gateway: Gateway,
  exchange: Exchange,
  end: { httpStatus: number; errorCode: string | null },
): Promise<void> {
  const record = usageRecord(exchange, gateway.clock.monotonicMs(), {
    status: 'rejected',
    source: 'none',
    ...end,
  })
  await close(gateway, exchange, record, 'void')
}

/** What a stream that broke off used: exact input, estimated output (M15). */
export function cutStreamUsage(exchange: Exchange, tap: StreamTap, nowMs: number): Usage {
  const started = tap.usage()
  const seen = tap.outputSoFar(nowMs)
  // The last total came with the stop reason: nothing was produced after it, and no estimate is better.
  if (started.stopReason !== null && seen.seenOutputTokens > 0) return started
  const row =
    findPrice(exchange.pricesOf, started.model, exchange.call.arrivedAtMs) ?? exchange.price
  const output = outputSoFar({
    visibleBytes: seen.visibleBytes,
    seenOutputTokens: seen.seenOutputTokens,
    thinkingEstimatedTokens: seen.thinkingEstimatedTokens,
    thinkingOpenMs: seen.omittedThinkingMs,
    maxTokens: exchange.request.maxTokens,
    row,
    speed: started.speed,
  })
  return partialUsage(started, output)
}

async function close(
  gateway: Gateway,
  exchange: Exchange,
  record: UsageRecord,
  act: 'settle' | 'void',
): Promise<void> {
  if (!exchange.holdOpen) return
  exchange.holdOpen = false
  const attempt = () =>
    act === 'settle' ? gateway.store.settleHold(record) : gateway.store.voidHold(record)
  try {
    const result = await attempt()
    if (result.kind === 'already_closed') {
      gateway.log.warn({ requestId: record.requestId }, 'hold.already_closed')
    }
  } catch (error) {
    gateway.log.error({ requestId: record.requestId, err: error }, 'settle.failed')
    if (error instanceof InvariantError) gateway.stopAdmission(error)
    else if (!(error instanceof StoreError && error.reason === 'closed'))
      retryLater(gateway, record, attempt)
    throw error
  }
  logExchange(gateway, record)
}

function retryLater(gateway: Gateway, record: UsageRecord, attempt: () => Promise<unknown>): void {
  const timer = setTimeout(() => {
    attempt().then(
      () => gateway.log.info({ requestId: record.requestId }, 'settle.recovered'),
      () => retryLater(gateway, record, attempt),
    )
  }, RETRY_MS)
  timer.unref()
}

/** The one line of an exchange, where the operator wants it. */
export function logExchange(gateway: Gateway, record: UsageRecord): void {
  const { access } = gateway.policy
  const failed = record.httpStatus >= 400 || record.status === 'interrupted'
  if (access === 'off' || (access === 'errors' && !failed)) return
  const line = {
    requestId: record.requestId,
    userId: record.userId,
    keyId: record.keyId,
    model: record.model,
    accountId: record.accountId,
    status: record.httpStatus,
    code: record.errorCode,
    costMicro: record.costMicro,
    inputTokens: record.tokens.input,
    outputTokens: record.tokens.output,
    cacheReadTokens: record.tokens.cacheRead,
    stream: record.stream,
    rerouted: Math.max(0, record.attempts.length - 1),
    firstByteMs: record.firstByteMs,
    durationMs: record.durationMs,
    gatewayUs: record.gatewayUs,
  }
  gateway.log.info(line, record.status === 'rejected' ? 'request.rejected' : 'request.done')
}
