import type { Hold, UsageRecord } from './model.ts'

/** A usage record or a running request, with the key's name. */
export type ViewedUsage =
  | (UsageRecord & { readonly kind: 'usage'; readonly keyName: string })
  | { readonly kind: 'pending'; readonly hold: Hold; readonly keyName: string }

/** What `GET /v1/usage/{id}` answers; `ccgate usage show --json` has the same fields first. */
export function usageView(usage: ViewedUsage) {
  if (usage.kind === 'pending') {
    const { hold } = usage
    return {
      request_id: hold.requestId,
      input_tokens: null,
      output_tokens: null,
      cache_read_input_tokens: null,
      cache_creation: null,
      cost_micro: null,
      model: hold.model,
      status: 'pending' as const,
      created_at: new Date(hold.openedAtMs).toISOString(),
      stream: hold.stream,
      upstream_request_id: hold.progress?.upstreamRequestId ?? null,
      account_id: hold.accountId,
      key: usage.keyName,
      http_status: null,
      error_code: null,
      source: null,
      hold_micro: hold.amountMicro,
      price_version: null,
    }
  }
  const { tokens } = usage
  return {
    request_id: usage.requestId,
    input_tokens: tokens.input,
    output_tokens: tokens.output,
    cache_read_input_tokens: tokens.cacheRead,
    cache_creation: {
      ephemeral_5m_input_tokens: tokens.cacheWrite5m,
      ephemeral_1h_input_tokens: tokens.cacheWrite1h,
    },
    cost_micro: usage.costMicro,
    model: usage.responseModel ?? usage.model,
    status: usage.status,
    created_at: new Date(usage.createdAtMs).toISOString(),
    stream: usage.stream,
    upstream_request_id: usage.upstreamRequestId,
    account_id: usage.accountId,
    key: usage.keyName,
    http_status: usage.httpStatus,
    error_code: usage.errorCode,
    source: usage.source,
    hold_micro: usage.holdMicro,
    price_version: usage.receipt?.priceVersion ?? null,
  }
}
