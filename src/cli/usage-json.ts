import { usageView } from '../core/usage-view.ts'
import type { PendingUsage, UsageRow, UsageSummaryRow } from '../store/store.ts'
import type { Json } from './records.ts'

/** The fields of `GET /v1/usage/{id}`, then what only operators see. */
export function usageJson(row: UsageRow): Json {
  return {
    object: 'usage',
    ...usageView(row),
    user: row.userName,
    key_id: row.keyId,
    dialect: row.dialect,
    account: row.accountName,
    attempts: row.attempts.map((attempt) => ({
      account_id: attempt.accountId,
      account: row.accountNames[attempt.accountId] ?? null,
      outcome: attempt.outcome,
      reason: attempt.reason ?? null,
      http_status: attempt.httpStatus,
      duration_ms: attempt.durationMs,
      upstream_request_id: attempt.upstreamRequestId,
      // Records of the first schema did not keep it.
      list_cost_micro: attempt.listCostMicro ?? null,
    })),
    routing: row.trail.map((choice) => ({
      because: choice.because,
      account_id: choice.accountId,
      bound:
        choice.bound === null
          ? null
          : { scope: choice.bound.scope, id: choice.bound.id, left: choice.bound.isLeft },
      left:
        choice.left === null
          ? null
          : {
              account_id: choice.left.accountId,
              warm_tokens: choice.left.warmTokens,
              because: choice.left.because,
            },
      candidates: choice.candidates.map((one) => ({
        account_id: one.accountId,
        account: row.accountNames[one.accountId] ?? null,
        state: one.state,
        wait_ms: one.waitMs,
        in_flight: one.inFlight,
        load_limit: one.loadLimit,
        warm_tokens: one.warmTokens,
        headroom: one.headroom,
        score: one.score,
      })),
      others: choice.others,
      waited_ms: choice.waitedMs,
    })),
    list_cost_micro:
      row.receipt === null ? null : (row.receipt.listCostMicro ?? row.receipt.costMicro),
    anomalies: row.anomalies,
    first_byte_ms: row.firstByteMs,
    duration_ms: row.durationMs,
    gateway_ms: row.gatewayUs / 1000,
    ip: row.clientIp,
    client: row.clientAgent,
  }
}

/** As `usageJson`, with what the open hold already proves. */
export function pendingJson(pending: PendingUsage, userName: string | null): Json {
  const { hold } = pending
  const tokens = hold.progress?.tokens
  return {
    object: 'usage',
    ...usageView(pending),
    input_tokens: tokens?.input ?? null,
    output_tokens: tokens?.output ?? null,
    cache_read_input_tokens: tokens?.cacheRead ?? null,
    cache_creation: {
      ephemeral_5m_input_tokens: tokens?.cacheWrite5m ?? null,
      ephemeral_1h_input_tokens: tokens?.cacheWrite1h ?? null,
    },
    model: hold.progress?.responseModel ?? hold.model,
    user: userName,
    key_id: hold.keyId,
  }
}

/** Sums as reports and daily exports show them. */
export function totalsJson(row: UsageSummaryRow): Json {
  return {
    requests: row.requests,
    errors: row.errors,
    refused: row.refused,
    input_tokens: row.tokens.input,
    output_tokens: row.tokens.output,
    cache_read_input_tokens: row.tokens.cacheRead,
    cache_creation_5m: row.tokens.cacheWrite5m,
    cache_creation_1h: row.tokens.cacheWrite1h,
    cost_micro: row.costMicro,
    list_cost_micro: row.listCostMicro,
    cache_read_saved_micro: row.cache.readSavedMicro,
    cache_write_extra_micro: row.cache.writeExtraMicro,
    routing_lost_micro: row.cache.lostMicro,
  }
}
