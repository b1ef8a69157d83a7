import type { HoldMeter } from '../billing/hold-meter.ts'
import type { Micro } from '../core/money.ts'
import type { LiveAccount } from '../pool/pool.ts'
import type { Exchange } from './exchange.ts'
import type { Gateway } from './gateway.ts'
import { ownPrefix, type Route, type ThinBond, workspaceOf } from './route.ts'

/** How a request would be held at an account whose cache holds the beginning of its prompt. */
export interface ThinOffer {
  readonly meter: HoldMeter
  readonly bond: ThinBond
}

/**
 * The thin hold of a request at this account; null where its prompt is not warm there, or not for sure. Only what
 * its own user wrote counts: a refusal costs nothing, so whoever has next to no credit could learn from being let in
 * which prompts others use. A key with a spend limit has none either: that is never gone beyond. Nor has a request
 * that has upstream leave out parts of its prompt: the cache is then cold from there on.
 */
export function thinOffer(
  gateway: Gateway,
  exchange: Exchange,
  { meter, account, route }: { meter: HoldMeter; account: LiveAccount; route: Route },
): ThinOffer | null {
  const workspace = workspaceOf(gateway, account.account.id)
  return offerIn(gateway, exchange, { meter, route, workspace })
}

/**
 * Where the wallet has room for a thin hold, when that is not at the account whose slot the request has: warm accounts
 * are left when they are busy. null: nowhere, or the request comes from there.
 */
export function thinElsewhere(
  gateway: Gateway,
  exchange: Exchange,
  so: { meter: HoldMeter; route: Route; refusal: { availableMicro: Micro } },
): ThinBond | null {
  const { thin, state, warmth } = so.route
  // What upstream keeps for it is where it came from.
  if (thin !== null || state?.strength === 'hard') return null
  if (!gateway.thinHolds.isFree(exchange.call)) return null
  for (const { workspace } of warmth.warm) {
    const offer = offerIn(gateway, exchange, { ...so, workspace })
    if (offer !== null && offer.meter.openMicro <= so.refusal.availableMicro) return offer.bond
  }
  return null
}

/** Whether a thin hold may be had somewhere, with so much available, so that waiting for an account makes sense. */
export function mayBeThin(
  gateway: Gateway,
  { call, request, meter }: Exchange,
  route: Route,
  availableMicro: Micro,
): boolean {
  if (meter === null || call.live.key.spendLimit !== null || request.facts.mayClear) return false
  if (meter.growsInRounds || !meter.mayFit(availableMicro)) return false
  return route.warmth.warm.some(({ workspace }) => ownPrefix(gateway, route, workspace) !== null)
}

function offerIn(
  gateway: Gateway,
  { call, request }: Exchange,
  { meter, route, workspace }: { meter: HoldMeter; route: Route; workspace: string },
): ThinOffer | null {
  if (call.live.key.spendLimit !== null || request.facts.mayClear) return null
  const prefix = ownPrefix(gateway, route, workspace)
  if (prefix === null) return null
  const { sizes } = route.prompt
  const bytesAfter = (sizes.at(-1) ?? 0) - sizes[prefix.at]
  const thin = meter.thin({ tokens: prefix.tokens, bytesAfter })
  return thin === null ? null : { meter: thin, bond: { workspace, at: prefix.at } }
}
