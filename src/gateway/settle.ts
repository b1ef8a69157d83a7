import { setTimeout as sleep } from 'node:timers/promises'
import { costOf } from '../billing/cost.ts'
import { outputSoFar, partialUsage } from '../billing/cut-stream.ts'
import { FIRST_GUESSES } from '../billing/learned.ts'
import { findPrice } from '../billing/price-table.ts'
import { ERRORS } from '../core/errors.ts'
import type { UsageRecord } from '../core/model.ts'
import type { Usage, UsageSource } from '../core/usage.ts'
import type { StreamTap } from '../providers/anthropic/stream-tap.ts'
import { type SettleResult, StoreError } from '../store/store.ts'
import type { Exchange } from './exchange.ts'
import { usageRecord } from './exchange.ts'
import type { Gateway } from './gateway.ts'
import { storeFailure } from './store-failure.ts'

/** How an exchange that produced something ended, for the client. */
export interface Ending {
  readonly status: 'complete' | 'interrupted'
  readonly httpStatus: number
  readonly errorCode: string | null
  /** Nothing has reached the client: when the store cannot take the charge now, there will be none. */
  readonly isUnsent?: boolean
}

/** How long a settlement that the store could not take waits before it is tried again. */
const RETRY_MS = 1_000

/**
 * Charges what upstream counted, at the prices of admission, and closes the hold; the wallet's balance after.
 * Resolves when it is durable. A repeat changes nothing. Rejects when the store cannot take it now: then
 * it is tried again in the background, so that nothing delivered goes unbilled, and nothing else is billed.
 */
export async function settle(
  gateway: Gateway,
  exchange: Exchange,
  usage: Usage,
  source: UsageSource,
  { isUnsent = false, ...ending }: Ending,
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
  const charge = () => gateway.store.settleHold(record)
  if (!isUnsent) return close(gateway, exchange, record, charge)
  await close(gateway, exchange, record, charge, (error) => {
    const { code } = storeFailure(error)
    exchange.firstByteMs = null
    const end = { httpStatus: ERRORS[code].status, errorCode: code }
    return () => gateway.store.voidHold(voidRecord(gateway, exchange, end))
  })
}

/** Closes the hold without a charge; the usage row says what happened. */
export async function voidHold(
  gateway: Gateway,
  exchange: Exchange,
  end: { httpStatus: number; errorCode: string | null },
): Promise<void> {
  const record = voidRecord(gateway, exchange, end)
  await close(gateway, exchange, record, () => gateway.store.voidHold(record))
}

function voidRecord(
  gateway: Gateway,
  exchange: Exchange,
  end: { httpStatus: number; errorCode: string | null },
): UsageRecord {
  const nowMs = gateway.clock.monotonicMs()
  return usageRecord(exchange, nowMs, { status: 'rejected', source: 'none', ...end })
}

/** What a stream that broke off used: exact input, estimated output (M15). */
export function cutStreamUsage(exchange: Exchange, tap: StreamTap, nowMs: number): Usage {
  const started = tap.usage()
  const seen = tap.outputSoFar(nowMs)
  // The last total came with the stop reason: nothing was produced after it, and no estimate is better.
  if (started.stopReason !== null && seen.seenOutputTokens > 0) return started
  const row =
    findPrice(exchange.pricesOf, started.model, exchange.call.arrivedAtMs) ?? exchange.price
  const output = outputSoFar(
    {
      visibleBytes: seen.visibleBytes,
      seenOutputTokens: seen.seenOutputTokens,
      thinkingEstimatedTokens: seen.thinkingEstimatedTokens,
      thinkingOpenMs: seen.omittedThinkingMs,
      maxTokens: exchange.request.maxTokens,
      row,
      speed: started.speed,
    },
    FIRST_GUESSES,
    'middle',
  )
  return partialUsage(started, output)
}

type Write = () => Promise<SettleResult>

/** `write` closes the hold; `late` says how to close it when that failed, if not by the same write. */
async function close(
  gateway: Gateway,
  exchange: Exchange,
  record: UsageRecord,
  write: Write,
  late: (error: StoreError) => Write = () => write,
): Promise<void> {
  if (!exchange.holdOpen) return
  exchange.holdOpen = false
  const { requestId } = record
  try {
    const result = await write()
    if (result.kind === 'already_closed') gateway.log.warn({ requestId }, 'hold.already_closed')
  } catch (error) {
    gateway.log.error({ requestId, err: error }, 'settle.failed')
    if (mayComeRight(gateway, error)) {
      const settling = keepTrying(gateway, requestId, late(error))
      gateway.late.add(settling)
      void settling.finally(() => gateway.late.delete(settling))
    }
    throw error
  }
  logExchange(gateway, record)
}

/** Tries until the hold is closed, or until no try can help: then the next start closes it. */
async function keepTrying(gateway: Gateway, requestId: string, write: Write): Promise<void> {
  for (;;) {
    await sleep(RETRY_MS, undefined, { ref: false })
    try {
      await write()
      gateway.log.info({ requestId }, 'settle.recovered')
      return
    } catch (error) {
      if (mayComeRight(gateway, error)) continue
      gateway.log.error({ requestId, err: error }, 'settle.failed')
      return
    }
  }
}

/** Whether the same write may succeed later; what breaks an invariant ends admission. */
function mayComeRight(gateway: Gateway, error: unknown): error is StoreError {
  if (error instanceof StoreError)
    return error.reason === 'busy' || error.reason === 'full' || error.reason === 'overloaded'
  gateway.stopAdmission(error instanceof Error ? error : new Error(String(error)))
  return false
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
