import { cacheValueOf } from '../billing/cache-value.ts'
import type { UsageRecord } from '../core/model.ts'
import type { Gateway } from './gateway.ts'

/** Tells whoever watches that an exchange has ended: metrics, and the log where the operator wants its line. */
export function tellEnded(gateway: Gateway, record: UsageRecord): void {
  gateway.metrics?.ended(record, cacheValueOf(record))
  logExchange(gateway, record)
}

function logExchange(gateway: Gateway, record: UsageRecord): void {
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
