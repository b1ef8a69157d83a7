import type { Hold, HoldStep, UsageRecord, UsageRefund } from './model.ts'
import type { Micro } from './money.ts'
import type { Rates, Receipt, ReceiptLine, TokenCounts } from './usage.ts'

/** A usage record with what became of its charge, or a running request; with the key's name. */
export type ViewedUsage =
  | (UsageRecord & {
      readonly kind: 'usage'
      readonly keyName: string
      readonly balanceAfterMicro: Micro | null
      readonly refunds: readonly UsageRefund[]
    })
  | { readonly kind: 'pending'; readonly hold: Hold; readonly keyName: string }

/**
 * What `GET /v1/usage/{id}` answers; `ccgate usage show --json` has the same fields first. Customers read it:
 * no names of accounts, no attempts, nothing of what we pay.
 */
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
      requested_model: hold.model,
      web_search_requests: null,
      receipt: null,
      hold_steps: null,
      balance_after_micro: null,
      refunded_micro: null,
      refunds: null,
      on_disconnect: null,
      joined_request_id: null,
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
    requested_model: usage.model,
    web_search_requests: usage.webSearchRequests,
    receipt: usage.receipt === null ? null : receiptView(usage.receipt),
    hold_steps: usage.holdSteps.map(holdStepView),
    balance_after_micro: usage.balanceAfterMicro,
    refunded_micro: refundedMicro(usage.refunds),
    refunds: usage.refunds.map(({ id, amountMicro, createdAtMs }) => ({
      id,
      amount_micro: amountMicro,
      created_at: new Date(createdAtMs).toISOString(),
    })),
    on_disconnect: usage.onDisconnect,
    joined_request_id: usage.joinedRequestId,
  }
}

/** The sum of a request's refunds. */
export function refundedMicro(refunds: readonly UsageRefund[]): Micro {
  return refunds.reduce((sum, refund) => sum + refund.amountMicro, 0)
}

/**
 * All that is needed to do the sum again, without a rule beside it: the cost is
 * `ceil((sum over lines and classes of tokens x price x ratio / 1,000,000 + fees) x markup)`, exactly.
 */
function receiptView(receipt: Receipt) {
  return {
    lines: receipt.lines.map((line) => ({
      model: line.model,
      tier: line.tier,
      note: line.note,
      tokens: classesView(line.tokens),
      prices_micro_per_mtok: classesView(line.rates),
      ratio: lineRatio(receipt, line),
    })),
    fees_micro: receipt.feesMicro,
    markup: receipt.markup ?? [1, 1],
  }
}

/** What a line's tokens are multiplied by beside their price; 0/1 where they are free. */
export function lineRatio(
  receipt: Pick<Receipt, 'ratio'>,
  line: ReceiptLine,
): readonly [numerator: number, denominator: number] {
  return line.note === 'declined_before_output' ? [0, 1] : (line.ratio ?? receipt.ratio)
}

function classesView(of: TokenCounts | Rates) {
  return {
    input: of.input,
    output: of.output,
    cache_read: of.cacheRead,
    cache_write_5m: of.cacheWrite5m,
    cache_write_1h: of.cacheWrite1h,
  }
}

function holdStepView({ kind, amountMicro, afterMs, thinRiskMicro }: HoldStep) {
  return {
    kind,
    amount_micro: amountMicro,
    after_ms: afterMs,
    thin_risk_micro: thinRiskMicro ?? null,
  }
}
