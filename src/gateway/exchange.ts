import type { ServerResponse } from 'node:http'
import type { LiveKey } from '../access/keyring.ts'
import type { Bound } from '../billing/bound.ts'
import type { PriceRow, PriceTable } from '../billing/price-table.ts'
import type { Attempt, UsageRecord } from '../core/model.ts'
import { NO_TOKENS } from '../core/usage.ts'
import type { Dialect, InferenceRequest } from '../dialects/dialect.ts'

/** Who calls and how, before anything is known of the body. */
export interface Call {
  readonly requestId: string
  readonly live: LiveKey
  readonly dialect: Dialect
  /** Raw path and query, verbatim. */
  readonly target: string
  /** Node's flat list of names and values, as received. */
  readonly rawHeaders: readonly string[]
  readonly response: ServerResponse
  readonly clientIp: string | null
  readonly clientAgent: string | null
  readonly arrivedAtMs: number
  /** On the monotonic clock. */
  readonly arrivedMs: number
  /** The client's own time-out, if it stated one, in ms. */
  readonly clientTimeoutMs: number | null
}

/** One client request on its way through the steps; each step fills in its part. */
export interface Exchange {
  readonly call: Call
  readonly request: InferenceRequest
  readonly price: PriceRow
  /** The table of admission, for models that the answer names. */
  readonly pricesOf: PriceTable
  bound: Bound | null
  holdOpen: boolean
  /** A hold was opened for it: its one usage row is written when that is closed, by whomever. */
  wasHeld: boolean
  readonly attempts: Attempt[]
  accountId: string | null
  upstreamRequestId: string | null
  /** When the first attempt left, on the monotonic clock. */
  leftMs: number | null
  /** When the first byte of the answer went to the client, on the monotonic clock. */
  firstByteMs: number | null
  clientGone: boolean
}

/** An exchange at its beginning: nothing held, nothing tried. */
export function beginExchange(
  call: Call,
  request: InferenceRequest,
  price: PriceRow,
  pricesOf: PriceTable,
): Exchange {
  return {
    call,
    request,
    price,
    pricesOf,
    bound: null,
    holdOpen: false,
    wasHeld: false,
    attempts: [],
    accountId: null,
    upstreamRequestId: null,
    leftMs: null,
    firstByteMs: null,
    clientGone: false,
  }
}

/** What every usage record of this exchange has in common; `end` says how it ended. */
export function usageRecord(
  exchange: Pick<
    Exchange,
    'call' | 'bound' | 'accountId' | 'upstreamRequestId' | 'attempts' | 'leftMs' | 'firstByteMs'
  > & { readonly request: Pick<InferenceRequest, 'model' | 'stream'> },
  nowMonotonicMs: number,
  end: Pick<UsageRecord, 'status' | 'httpStatus' | 'errorCode' | 'source'> & Partial<UsageRecord>,
): UsageRecord {
  const { call, request } = exchange
  return {
    requestId: call.requestId,
    userId: call.live.key.userId,
    keyId: call.live.key.id,
    dialect: call.dialect.name,
    model: request.model,
    responseModel: null,
    stream: request.stream,
    tokens: NO_TOKENS,
    webSearchRequests: 0,
    costMicro: 0,
    receipt: null,
    holdMicro: exchange.bound?.amountMicro ?? 0,
    anomalies: 0,
    accountId: exchange.accountId,
    upstreamRequestId: exchange.upstreamRequestId,
    attempts: exchange.attempts,
    createdAtMs: call.arrivedAtMs,
    firstByteMs:
      exchange.firstByteMs === null ? null : Math.round(exchange.firstByteMs - call.arrivedMs),
    durationMs: Math.round(nowMonotonicMs - call.arrivedMs),
    gatewayUs: Math.round(((exchange.leftMs ?? nowMonotonicMs) - call.arrivedMs) * 1_000),
    clientIp: call.clientIp,
    clientAgent: call.clientAgent,
    ...end,
  }
}
