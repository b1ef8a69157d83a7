import type { ServerResponse } from 'node:http'
import type { BurnShare } from '../access/burn-window.ts'
import type { LiveKey } from '../access/keyring.ts'
import type { BoundModels } from '../billing/bound-models.ts'
import type { HoldMeter } from '../billing/hold-meter.ts'
import type { PriceRow, PriceTable } from '../billing/price-table.ts'
import type { DecisionTrail } from '../core/decision-trail.ts'
import type { Attempt, DisconnectPolicy, Fraction, HoldStep, UsageRecord } from '../core/model.ts'
import type { Micro } from '../core/money.ts'
import { NO_TOKENS } from '../core/usage.ts'
import type { Dialect, InferenceRequest } from '../dialects/dialect.ts'
import type { ReadyRequest } from './ready-request.ts'

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
  /** It says that it may be another try of an earlier request. */
  readonly isRetry: boolean
}

/** One client request on its way through the steps; each step fills in its part. */
export interface Exchange extends ReadyRequest {
  readonly call: Call
  readonly models: BoundModels
  /** That of the requested model. */
  readonly price: PriceRow
  /** The table of admission, for models that the answer names. */
  readonly pricesOf: PriceTable
  /** Of admission. */
  readonly markup: Fraction
  /** How large its hold has to be; null until that is known. */
  meter: HoldMeter | null
  holdOpen: boolean
  /** A hold was opened for it: its one usage row is written when that is closed, by whomever. */
  wasHeld: boolean
  /** The hold as it is now. */
  heldMicro: Micro
  readonly holdSteps: HoldStep[]
  /** Its part of what its key burns; null where nobody watches that. */
  burn: BurnShare | null
  readonly attempts: Attempt[]
  /** Why each went where it went. */
  readonly trail: DecisionTrail[]
  accountId: string | null
  upstreamRequestId: string | null
  /** When the first attempt left, on the monotonic clock. */
  leftMs: number | null
  /** When the first byte of the answer went to the client, on the monotonic clock. */
  firstByteMs: number | null
  clientGone: boolean
  /** What was applied when the client went away. */
  onDisconnect: DisconnectPolicy['kind'] | null
}

/** An exchange at its beginning: nothing held, nothing tried. */
export function beginExchange(
  call: Call,
  ready: ReadyRequest,
  priced: Pick<Exchange, 'models' | 'pricesOf' | 'markup'>,
): Exchange {
  return {
    call,
    ...ready,
    ...priced,
    price: priced.models.row,
    meter: null,
    holdOpen: false,
    wasHeld: false,
    heldMicro: 0,
    holdSteps: [],
    burn: null,
    attempts: [],
    trail: [],
    accountId: null,
    upstreamRequestId: null,
    leftMs: null,
    firstByteMs: null,
    clientGone: false,
    onDisconnect: null,
  }
}

/** What of an exchange its usage record tells, besides how it ended. */
type Recorded = Pick<
  Exchange,
  | 'call'
  | 'format'
  | 'heldMicro'
  | 'holdSteps'
  | 'onDisconnect'
  | 'accountId'
  | 'upstreamRequestId'
  | 'attempts'
  | 'trail'
  | 'leftMs'
  | 'firstByteMs'
> & { readonly request: Pick<InferenceRequest, 'model' | 'stream'> }

/** A request that never became an exchange, for its usage record. */
export function neverBegun(call: Call, request: Recorded['request']): Recorded {
  return {
    call,
    request,
    format: null,
    heldMicro: 0,
    holdSteps: [],
    onDisconnect: null,
    accountId: null,
    upstreamRequestId: null,
    attempts: [],
    trail: [],
    leftMs: null,
    firstByteMs: null,
  }
}

/** What every usage record of this exchange has in common; `end` says how it ended. */
export function usageRecord(
  exchange: Recorded,
  nowMonotonicMs: number,
  end: Pick<UsageRecord, 'status' | 'httpStatus' | 'errorCode' | 'source'> & Partial<UsageRecord>,
): UsageRecord {
  const { call, request } = exchange
  return {
    requestId: call.requestId,
    userId: call.live.key.userId,
    keyId: call.live.key.id,
    dialect: call.dialect.api,
    model: request.model,
    responseModel: null,
    stream: exchange.format?.stream ?? request.stream,
    tokens: NO_TOKENS,
    webSearchRequests: 0,
    costMicro: 0,
    receipt: null,
    holdMicro: exchange.heldMicro,
    holdSteps: exchange.holdSteps,
    onDisconnect: exchange.onDisconnect,
    joinedRequestId: null,
    anomalies: 0,
    accountId: exchange.accountId,
    upstreamRequestId: exchange.upstreamRequestId,
    attempts: exchange.attempts,
    trail: exchange.trail,
    createdAtMs: call.arrivedAtMs,
    firstByteMs:
      exchange.firstByteMs === null ? null : Math.round(exchange.firstByteMs - call.arrivedMs),
    durationMs: Math.round(nowMonotonicMs - call.arrivedMs),
    gatewayUs: gatewayUsOf(exchange, nowMonotonicMs),
    clientIp: call.clientIp,
    clientAgent: call.clientAgent,
    ...end,
  }
}

/** From the arrival until the first try left, in microseconds; the line for its account is no time of the gateway. */
function gatewayUsOf({ call, leftMs, trail }: Recorded, nowMonotonicMs: number): number {
  // Until it left it had stood in line for its first account alone; who never left, for all that it ever did.
  const lines = leftMs === null ? trail : trail.slice(0, 1)
  const waitedMs = lines.reduce((sum, choice) => sum + choice.waitedMs, 0)
  return Math.round(Math.max(0, (leftMs ?? nowMonotonicMs) - call.arrivedMs - waitedMs) * 1_000)
}
