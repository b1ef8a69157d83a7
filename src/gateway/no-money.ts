import { hourLabel, windowOf } from '../core/calendar.ts'
import { GatewayError } from '../core/errors.ts'
import { idTimeMs } from '../core/ids.ts'
import { invariant } from '../core/invariant.ts'
import type { SpendPeriod } from '../core/model.ts'
import { formatUsdExact, formatUsdFull, type Micro } from '../core/money.ts'
import type { KeyLimitReached, Window } from '../store/store.ts'
import type { Call, Exchange } from './exchange.ts'
import type { Gateway } from './gateway.ts'
import { isStreamed } from './ready-request.ts'

/** What a request needs before it may leave, and the `max_tokens` with which it would fit; null: none. */
export interface Need {
  readonly requiredMicro: Micro
  /** More may be needed while it runs. */
  readonly isFirstStep: boolean
  readonly fits: number | null
}

/** What an answer came to that stops for want of money. */
interface Made {
  readonly outputTokens: number
  readonly costMicro: Micro
}

interface Delivered extends Made {
  /** false: the client wanted it whole, and has nothing of it. */
  readonly isDelivered: boolean
}

/** The spend limit that a key has reached. */
interface ReachedLimit extends Omit<KeyLimitReached, 'kind'> {
  readonly period: SpendPeriod
  readonly window: Window | null
  readonly timeZone: string
}

/** Why there is no money for a request, or for more of its answer. */
export type NoRoom =
  | { readonly kind: 'insufficient_credit'; readonly availableMicro: Micro }
  | KeyLimitReached

/** The most that may be held in addition; below zero for an overdrawn wallet. */
export function roomOf(noRoom: NoRoom): Micro {
  return noRoom.kind === 'insufficient_credit'
    ? noRoom.availableMicro
    : noRoom.limitMicro - noRoom.spentMicro - noRoom.heldMicro
}

/** The 402 of a request that cannot be paid for: what it needs, what there is. */
export function cannotBegin(
  gateway: Gateway,
  { call }: Exchange,
  need: Need,
  noRoom: NoRoom,
): GatewayError {
  return noRoom.kind === 'insufficient_credit'
    ? insufficientCredit(need, noRoom.availableMicro)
    : keySpendLimit(need, limitOf(gateway, call, noRoom))
}

/** Ends a stream that cannot be paid for any further: what was delivered, and what it cost. */
export function cannotGoOn(
  gateway: Gateway,
  exchange: Exchange,
  made: Made,
  noRoom: NoRoom,
): GatewayError {
  const { call } = exchange
  const delivered = { ...made, isDelivered: isStreamed(exchange) }
  return noRoom.kind === 'insufficient_credit'
    ? creditRanOut(delivered, noRoom.availableMicro)
    : limitRanOut(delivered, limitOf(gateway, call, noRoom))
}

/** The window of the key's spend limit that the call was made in, by its id; null without a limit. */
export function limitWindow({ policy }: Gateway, { live, requestId }: Call): Window | null {
  const { spendLimit } = live.key
  if (spendLimit === null) return null
  const madeAtMs = idTimeMs(requestId)
  invariant(madeAtMs !== null, 'a request has an id of ours')
  return windowOf(spendLimit.period, madeAtMs, policy.timeZone)
}

function limitOf(gateway: Gateway, call: Call, reached: KeyLimitReached): ReachedLimit {
  return {
    ...reached,
    period: call.live.key.spendLimit?.period ?? 'total',
    window: limitWindow(gateway, call),
    timeZone: gateway.policy.timeZone,
  }
}

// What single requests cost has all six decimals, as on receipts; a balance as many as it needs.

/** The 402 of a wallet that cannot pay for what a request may cost. */
function insufficientCredit(need: Need, availableMicro: Micro) {
  const { requiredMicro, fits } = need
  return new GatewayError('insufficient_credit', {
    facts: {
      available: formatUsdFull(availableMicro),
      required: requiredText(need),
      fits: fits === null ? '' : `It would fit with max_tokens ${fits}. `,
    },
    details: {
      required_micro: requiredMicro,
      available_micro: availableMicro,
      ...(fits === null ? {} : { max_tokens_that_fit: fits }),
    },
  })
}

function keySpendLimit(need: Need, limit: ReachedLimit): GatewayError {
  const { requiredMicro, fits } = need
  const leftMicro = Math.max(0, limit.limitMicro - limit.spentMicro - limit.heldMicro)
  return new GatewayError('key_spend_limit', {
    facts: {
      limit: limitText(limit),
      available: formatUsdFull(leftMicro),
      required: requiredText(need),
      opens: opensText(limit),
    },
    details: {
      ...limitDetails(limit),
      required_micro: requiredMicro,
      ...(fits === null ? {} : { max_tokens_that_fit: fits }),
    },
  })
}

function creditRanOut(delivered: Delivered, availableMicro: Micro): GatewayError {
  return new GatewayError('insufficient_credit', {
    facts: {
      bill: billText(delivered),
    },
    details: { ...deliveredDetails(delivered), available_micro: availableMicro },
  })
}

function limitRanOut(delivered: Delivered, limit: ReachedLimit): GatewayError {
  return new GatewayError('key_spend_limit', {
    facts: {
      limit: limitText(limit),
      bill: billText(delivered),
      opens: opensText(limit),
    },
    details: { ...limitDetails(limit), ...deliveredDetails(delivered) },
  })
}

function billText({ outputTokens, costMicro, isDelivered }: Delivered): string {
  const charged = `${formatUsdExact(costMicro)} for ${outputTokens} output tokens`
  return isDelivered
    ? `You pay only for what was delivered: ${charged}`
    : `What was made of it is charged, ${charged}, though none of it could be delivered: with "stream": true you get all that you pay for`
}

function requiredText({ requiredMicro, isFirstStep }: Need): string {
  return `${formatUsdExact(requiredMicro)}${isFirstStep ? ' to begin with' : ''}`
}

function limitText({ limitMicro, period }: ReachedLimit): string {
  const amount = formatUsdFull(limitMicro)
  return period === 'total' ? `${amount} in total` : `${amount} per ${period}`
}

function opensText({ period, window, timeZone }: ReachedLimit): string {
  return period === 'total' || window === null
    ? ''
    : `It opens again on ${hourLabel(window.untilMs, timeZone)} (${timeZone}). `
}

function limitDetails({ limitMicro, period, spentMicro, heldMicro, window }: ReachedLimit) {
  return {
    limit_micro: limitMicro,
    period,
    spent_micro: spentMicro,
    held_micro: heldMicro,
    ...(period === 'total' || window === null
      ? {}
      : { resets_at: new Date(window.untilMs).toISOString() }),
  }
}

function deliveredDetails({ outputTokens, costMicro }: Delivered) {
  return { output_tokens: outputTokens, cost_micro: costMicro }
}
