// The two hot records as flat tuples in the order of their columns: what is bound to the statements is
// also what crosses the thread border, so nothing is taken apart and put together again on the way.
import type { Attempt, Hold, HoldProgress, UsageRecord } from '../../core/model.ts'
import type { Receipt, UsageSource } from '../../core/usage.ts'
import type { NewHold } from '../store.ts'

type Cell = string | number | null
export type Tuple = readonly Cell[]

export const HOLD_COLUMNS =
  'request_id, user_id, key_id, boot_id, account_id, model, stream, amount_micro, opened_at_ms'

/** A new hold in the order of `HOLD_COLUMNS`. */
export function holdTuple(hold: NewHold): Tuple {
  return [
    hold.requestId,
    hold.userId,
    hold.keyId,
    hold.bootId,
    hold.accountId,
    hold.model,
    hold.stream ? 1 : 0,
    hold.amountMicro,
    hold.openedAtMs,
  ]
}

/** Where `holdTuple` keeps what the operations need. */
export const HOLD_AT = { requestId: 0, userId: 1, amountMicro: 7 } as const

export const USAGE_COLUMNS = `request_id, user_id, key_id, cost_micro, created_at_ms, client_ip, duration_ms,
  account_id, model, http_status, stream, attempt_count, input_tokens, output_tokens, cache_read_tokens,
  cache_write_5m_tokens, cache_write_1h_tokens, dialect, response_model, status, error_code,
  web_search_requests, receipt, hold_micro, source, anomalies, upstream_request_id, attempts,
  first_byte_ms, gateway_us, client_agent`

/** A usage record in the order of `USAGE_COLUMNS`. */
export function usageTuple(record: UsageRecord): Tuple {
  const { tokens, attempts } = record
  return [
    record.requestId,
    record.userId,
    record.keyId,
    record.costMicro,
    record.createdAtMs,
    record.clientIp,
    record.durationMs,
    record.accountId,
    record.model,
    record.httpStatus,
    record.stream ? 1 : 0,
    attempts.length,
    tokens.input,
    tokens.output,
    tokens.cacheRead,
    tokens.cacheWrite5m,
    tokens.cacheWrite1h,
    record.dialect,
    record.responseModel,
    record.status,
    record.errorCode,
    record.webSearchRequests,
    record.receipt === null ? null : JSON.stringify(record.receipt),
    record.holdMicro,
    record.source,
    record.anomalies,
    record.upstreamRequestId,
    attempts.length === 0 ? '[]' : JSON.stringify(attempts),
    record.firstByteMs,
    record.gatewayUs,
    record.clientAgent,
  ]
}

/** Where `usageTuple` keeps what the operations need. */
export const USAGE_AT = {
  requestId: 0,
  userId: 1,
  keyId: 2,
  costMicro: 3,
  createdAtMs: 4,
  clientIp: 5,
  durationMs: 6,
} as const

/** A row of `usage`. */
export interface UsageDetails {
  readonly seq: number
  readonly request_id: string
  readonly user_id: string
  readonly key_id: string
  readonly cost_micro: number
  readonly created_at_ms: number
  readonly client_ip: string | null
  readonly account_id: string | null
  readonly model: string
  readonly http_status: number
  readonly stream: number
  readonly attempt_count: number
  readonly input_tokens: number
  readonly output_tokens: number
  readonly cache_read_tokens: number
  readonly cache_write_5m_tokens: number
  readonly cache_write_1h_tokens: number
  readonly dialect: string
  readonly response_model: string | null
  readonly status: UsageRecord['status']
  readonly error_code: string | null
  readonly web_search_requests: number
  readonly receipt: string | null
  readonly hold_micro: number
  readonly source: UsageSource
  readonly anomalies: number
  readonly upstream_request_id: string | null
  readonly attempts: string
  readonly first_byte_ms: number | null
  readonly duration_ms: number
  readonly gateway_us: number
  readonly client_agent: string | null
}

/** The record that `usageTuple` was made from. */
export function toUsageRecord(row: UsageDetails): UsageRecord {
  return {
    requestId: row.request_id,
    userId: row.user_id,
    keyId: row.key_id,
    dialect: row.dialect,
    model: row.model,
    responseModel: row.response_model,
    stream: row.stream === 1,
    status: row.status,
    httpStatus: row.http_status,
    errorCode: row.error_code,
    tokens: {
      input: row.input_tokens,
      output: row.output_tokens,
      cacheRead: row.cache_read_tokens,
      cacheWrite5m: row.cache_write_5m_tokens,
      cacheWrite1h: row.cache_write_1h_tokens,
    },
    webSearchRequests: row.web_search_requests,
    costMicro: row.cost_micro,
    receipt: row.receipt === null ? null : (JSON.parse(row.receipt) as Receipt),
    holdMicro: row.hold_micro,
    source: row.source,
    anomalies: row.anomalies,
    accountId: row.account_id,
    upstreamRequestId: row.upstream_request_id,
    attempts: JSON.parse(row.attempts) as Attempt[],
    createdAtMs: row.created_at_ms,
    firstByteMs: row.first_byte_ms,
    durationMs: row.duration_ms,
    gatewayUs: row.gateway_us,
    clientIp: row.client_ip,
    clientAgent: row.client_agent,
  }
}

/** A row of `holds`. */
export interface HoldRow {
  readonly request_id: string
  readonly user_id: string
  readonly key_id: string
  readonly boot_id: string
  readonly account_id: string | null
  readonly model: string
  readonly stream: number
  readonly amount_micro: number
  readonly opened_at_ms: number
  readonly state: Hold['state']
  readonly phase: Hold['phase']
  readonly progress: string | null
}

export function toHold(row: HoldRow): Hold {
  return {
    requestId: row.request_id,
    userId: row.user_id,
    keyId: row.key_id,
    bootId: row.boot_id,
    accountId: row.account_id,
    model: row.model,
    stream: row.stream === 1,
    amountMicro: row.amount_micro,
    state: row.state,
    openedAtMs: row.opened_at_ms,
    phase: row.phase,
    progress: row.progress === null ? null : (JSON.parse(row.progress) as HoldProgress),
  }
}
