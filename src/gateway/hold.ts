import { maxTokensThatFit } from '../billing/bound.ts'
import { HoldMeter } from '../billing/hold-meter.ts'
import { GatewayError } from '../core/errors.ts'
import type { Micro } from '../core/money.ts'
import type { LiveAccount } from '../pool/pool.ts'
import { boundInputOf } from './bound-input.ts'
import { countTokens } from './count-tokens.ts'
import type { Exchange } from './exchange.ts'
import type { Gateway } from './gateway.ts'
import { cannotBegin, limitWindow, type Need, type NoRoom, roomOf } from './no-money.ts'
import { isStreamed } from './ready-request.ts'
import type { Route } from './route.ts'
import { continuesThread } from './scalars.ts'
import { thinElsewhere, thinOffer } from './thin-offer.ts'
import { historyTokens } from './threads.ts'
import { upstreamWords } from './upstream-words.ts'

/** How large the hold of an exchange has to be: the whole bound, or the first step of an answer that streams. */
export async function meterOf(gateway: Gateway, exchange: Exchange): Promise<HoldMeter> {
  const { call, request, models, pricesOf, markup } = exchange
  const history = await historyTokens(gateway, call, request.facts)
  return new HoldMeter({
    input: boundInputOf(request, history),
    models,
    options: { estimates: gateway.learned, markup },
    table: pricesOf,
    atMs: call.arrivedAtMs,
    mode: request.stream ? gateway.policy.hold : 'full',
    stepTokens: gateway.policy.holdStepTokens,
  })
}

/**
 * Reserves what the meter says before anything leaves: first by the cheap bound; where the body
 * does not tell its size, or the cheap bound does not fit but a counted one might, upstream's free count
 * is asked once, but not about a thread, of which it would see the news alone. Where the wallet has no room for
 * that either, a thin hold is tried; `elsewhere` when it may only be had where the prompt is warm, to which the route
 * is bound then. Throws `insufficient_credit` or `key_spend_limit` with what is needed, what is there and what
 * would fit; `upstream_error` where only a count could tell that it fits and upstream is too busy for one.
 */
export async function holdCredit(
  gateway: Gateway,
  exchange: Exchange,
  meter: HoldMeter,
  { account, route }: { readonly account: LiveAccount; readonly route: Route },
): Promise<'held' | 'elsewhere'> {
  let sized = meter
  let isCounted = meter.isCounted || continuesThread(exchange.request.facts)
  let uncounted: string | null = null
  const count = async () => {
    isCounted = true
    const counted = await countTokens(gateway, exchange, account)
    if (counted.kind === 'not_now') uncounted = counted.reason
    if (counted.kind !== 'counted') return false
    sized = meter.counted(counted.tokens)
    return true
  }
  if (!meter.bound.inputKnown && !isCounted) await count()
  let refusal = await tryHold(gateway, exchange, sized, account)
  if (refusal !== null && !isCounted && meter.mayFit(roomOf(refusal)) && (await count()))
    refusal = await tryHold(gateway, exchange, sized, account)
  if (refusal === null) {
    route.thin = null
    return 'held'
  }
  if (refusal.kind === 'insufficient_credit') {
    const offered = { meter: sized, account, route }
    if (await holdThin(gateway, exchange, offered)) return 'held'
    const bond = thinElsewhere(gateway, exchange, { meter: sized, route, refusal })
    if (bond !== null) {
      route.thin = bond
      return 'elsewhere'
    }
  }
  if (uncounted !== null && meter.mayFit(roomOf(refusal))) throw cannotCount(uncounted)
  throw cannotBegin(gateway, exchange, needOf(sized, roomOf(refusal)), refusal)
}

/** Whether it can be paid for is not known: clients try that again, and would not try a 402. */
function cannotCount(reason: string): GatewayError {
  const facts = { upstream: upstreamWords(reason) }
  return new GatewayError('upstream_error', { facts, retryAfterMs: 2_000 })
}

/** What a request needs to begin, and what would fit into `roomMicro`. */
export function needOf({ bound, openMicro }: HoldMeter, roomMicro: Micro): Need {
  const fits = maxTokensThatFit(bound, roomMicro)
  return { requiredMicro: openMicro, isFirstStep: openMicro < bound.amountMicro, fits }
}

/** Opens a thin hold; false where there can be none, or where the wallet has no room for it. */
async function holdThin(
  gateway: Gateway,
  exchange: Exchange,
  offered: { readonly meter: HoldMeter; readonly account: LiveAccount; readonly route: Route },
): Promise<boolean> {
  const { call } = exchange
  const offer = thinOffer(gateway, exchange, offered)
  if (offer === null || !gateway.thinHolds.take(call)) return false
  let isHeld = false
  try {
    isHeld = (await tryHold(gateway, exchange, offer.meter, offered.account)) === null
  } finally {
    if (!isHeld) gateway.thinHolds.release(call)
  }
  if (isHeld) offered.route.thin = offer.bond
  else exchange.meter = offered.meter
  return isHeld
}

async function tryHold(
  gateway: Gateway,
  exchange: Exchange,
  meter: HoldMeter,
  account: LiveAccount,
): Promise<NoRoom | null> {
  const { call, request } = exchange
  exchange.meter = meter
  const result = await gateway.store.openHold({
    requestId: call.requestId,
    userId: call.live.key.userId,
    keyId: call.live.key.id,
    bootId: gateway.bootId,
    accountId: account.account.id,
    model: request.model,
    stream: isStreamed(exchange),
    amountMicro: meter.openMicro,
    markup: exchange.markup,
    limitWindow: limitWindow(gateway, call),
    openedAtMs: call.arrivedAtMs,
  })
  if (result.kind !== 'held') return result
  exchange.holdOpen = true
  exchange.wasHeld = true
  exchange.heldMicro = meter.openMicro
  const nowMs = gateway.clock.monotonicMs()
  exchange.holdSteps.push({
    kind: 'opened',
    amountMicro: meter.openMicro,
    afterMs: Math.round(nowMs - call.arrivedMs),
    ...(meter.isThin ? { thinRiskMicro: meter.riskMicro } : {}),
  })
  if (call.live.key.burnLimitMicro !== null)
    exchange.burn = call.live.burn.begin(meter.openMicro, nowMs)
  return null
}
