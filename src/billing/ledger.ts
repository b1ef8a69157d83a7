import { ID_PREFIX } from '../core/ids.ts'
import { invariant } from '../core/invariant.ts'
import type { Hold, UsageRecord } from '../core/model.ts'
import { MAX_GRANT_MICRO, type Micro } from '../core/money.ts'
import { NO_TOKENS, type Receipt, type Usage } from '../core/usage.ts'

/** What a wallet holds; `available = balanceMicro - heldMicro`. */
export interface Balance {
  readonly balanceMicro: Micro
  /** Reserved by open holds; never below zero. */
  readonly heldMicro: Micro
}

/** The largest amount, up or down, that any stored figure may have. */
export const MAX_STORED_MICRO: Micro = Number.MAX_SAFE_INTEGER

/** An open hold older than this (ms) is stale: a stream may run 60 minutes after waiting 10 for its start. */
export const LONGEST_REQUEST_MS = 75 * 60_000

/** True for an integer that a wallet or a ledger entry may store. */
export function isStorable(micro: Micro): boolean {
  return Number.isSafeInteger(micro)
}

/** What new requests may still reserve; below zero when settled costs exceeded their holds. */
export function availableMicro(balance: Balance): Micro {
  return balance.balanceMicro - balance.heldMicro
}

export type Admission =
  | { readonly kind: 'held'; readonly after: Balance }
  | { readonly kind: 'insufficient_credit'; readonly availableMicro: Micro }

/** The admission rule: a hold opens only where all of it is available. */
export function admit(before: Balance, amountMicro: Micro): Admission {
  invariant(isStorable(amountMicro) && amountMicro >= 0, 'a hold is an integer of at least 0')
  const available = availableMicro(before)
  if (available < amountMicro) return { kind: 'insufficient_credit', availableMicro: available }
  return { kind: 'held', after: { ...before, heldMicro: before.heldMicro + amountMicro } }
}

/** Closes a hold with its true cost, which may exceed the hold and take the balance below zero. */
export function settle(before: Balance, amounts: { holdMicro: Micro; costMicro: Micro }): Balance {
  const { holdMicro, costMicro } = amounts
  invariant(isStorable(costMicro) && costMicro >= 0, 'a cost is an integer of at least 0')
  const after = {
    balanceMicro: before.balanceMicro - costMicro,
    heldMicro: before.heldMicro - holdMicro,
  }
  invariant(after.heldMicro >= 0, 'a wallet holds at least each of its open holds')
  invariant(isStorable(after.balanceMicro), 'a balance stays a safe integer')
  return after
}

export type Resizing =
  /** `holdMicro`: the whole hold now. */
  | { readonly kind: 'resized'; readonly after: Balance; readonly holdMicro: Micro }
  | { readonly kind: 'insufficient_credit'; readonly availableMicro: Micro }

/** Grows an open hold where all of the growth is available, or gives back a part of it. */
export function resize(before: Balance, change: { holdMicro: Micro; deltaMicro: Micro }): Resizing {
  const { deltaMicro } = change
  const holdMicro = change.holdMicro + deltaMicro
  invariant(isStorable(deltaMicro) && isStorable(holdMicro), 'holds change by integers')
  invariant(holdMicro >= 0, 'a hold gives back at most all of it')
  const available = availableMicro(before)
  if (deltaMicro > 0 && available < deltaMicro) {
    return { kind: 'insufficient_credit', availableMicro: available }
  }
  const after = { ...before, heldMicro: before.heldMicro + deltaMicro }
  invariant(after.heldMicro >= 0, 'a wallet holds at least each of its open holds')
  return { kind: 'resized', after, holdMicro }
}

/** What the window of a key's spend limit has seen. */
export interface Spending {
  readonly spentMicro: Micro
  readonly heldMicro: Micro
}

/** Whether a key may hold so much more: what it spent and holds never exceeds its limit by holds. */
export function fitsLimit(spending: Spending, limitMicro: Micro, amountMicro: Micro): boolean {
  return spending.spentMicro + spending.heldMicro + amountMicro <= limitMicro
}

export type CreditEffect =
  | { readonly kind: 'added'; readonly after: Balance }
  | { readonly kind: 'insufficient' }
  | { readonly kind: 'out_of_range' }

/** What a grant or an adjustment does; `insufficient` when it would take more than is available. */
export function credit(
  before: Balance,
  entry: { type: 'grant' | 'adjust'; amountMicro: Micro; allowNegative: boolean },
): CreditEffect {
  const { amountMicro } = entry
  const size = entry.type === 'grant' ? amountMicro : Math.abs(amountMicro)
  if (!isStorable(amountMicro) || size <= 0 || size > MAX_GRANT_MICRO) {
    return { kind: 'out_of_range' }
  }
  const after = { ...before, balanceMicro: before.balanceMicro + amountMicro }
  if (!isStorable(after.balanceMicro)) return { kind: 'out_of_range' }
  if (amountMicro < 0 && availableMicro(after) < 0 && !entry.allowNegative) {
    return { kind: 'insufficient' }
  }
  return { kind: 'added', after }
}

export type RefundEffect =
  | { readonly kind: 'added'; readonly after: Balance }
  /** More than is left of the charge, or nothing is left. */
  | { readonly kind: 'too_much' }
  | { readonly kind: 'out_of_range' }

/** Gives back a part of a charge; all refunds of a charge sum to at most the charge. All amounts positive. */
export function refund(
  before: Balance,
  amounts: { amountMicro: Micro; chargeMicro: Micro; refundedMicro: Micro },
): RefundEffect {
  const { amountMicro, chargeMicro, refundedMicro } = amounts
  const leftMicro = chargeMicro - refundedMicro
  invariant(refundedMicro >= 0 && leftMicro >= 0, 'refunds of a charge sum to at most the charge')
  if (leftMicro === 0 || amountMicro > leftMicro) return { kind: 'too_much' }
  if (!isStorable(amountMicro) || amountMicro <= 0) return { kind: 'out_of_range' }
  const after = { ...before, balanceMicro: before.balanceMicro + amountMicro }
  return isStorable(after.balanceMicro) ? { kind: 'added', after } : { kind: 'out_of_range' }
}

/** Takes a balance to zero, from either side; `amountMicro` is the entry's, 0 where there is none to make. */
export function forfeit(before: Balance): { amountMicro: Micro; after: Balance } {
  invariant(before.heldMicro === 0, 'what is held is not forfeited')
  return { amountMicro: 0 - before.balanceMicro, after: { ...before, balanceMicro: 0 } }
}

/** The id of a request's charge: the request's own ULID, so that a request can be charged only once. */
export function chargeIdOf(requestId: string): string {
  invariant(requestId.startsWith(ID_PREFIX.request), 'a charge belongs to a request id')
  return ID_PREFIX.entry + requestId.slice(ID_PREFIX.request.length)
}

/** How an orphaned hold ends: with a charge for what its row proves, or without one. */
export type Recovery =
  | { readonly kind: 'settle'; readonly record: UsageRecord }
  | { readonly kind: 'void'; readonly record: UsageRecord }

/**
 * Decides about the hold of a process that died. Only what the row proves is billed: without
 * `message_start` nothing, after it the numbers written last, at the prices and mark-up of admission.
 */
export function recover(
  hold: Hold,
  facts: { price: (usage: Usage, hold: Hold) => Receipt; nowMs: number },
): Recovery {
  invariant(hold.state === 'open', 'only open holds are recovered')
  const { progress } = hold
  if (hold.phase !== 'started' || progress === null) {
    return { kind: 'void', record: recordOf(hold, { receipt: null, nowMs: facts.nowMs }) }
  }
  const receipt = facts.price(
    {
      model: progress.responseModel,
      tokens: progress.tokens,
      iterations: [],
      webSearchRequests: 0,
      speed: progress.speed,
      inferenceGeo: progress.inferenceGeo,
      serviceTier: null,
      stopReason: null,
      hasContent: true,
      anomalies: 0,
    },
    hold,
  )
  return { kind: 'settle', record: recordOf(hold, { receipt, nowMs: facts.nowMs }) }
}

function recordOf(hold: Hold, facts: { receipt: Receipt | null; nowMs: number }): UsageRecord {
  const progress = facts.receipt === null ? null : hold.progress
  return {
    requestId: hold.requestId,
    userId: hold.userId,
    keyId: hold.keyId,
    dialect: 'anthropic',
    model: hold.model,
    responseModel: progress?.responseModel ?? null,
    stream: hold.stream,
    status: 'interrupted',
    // A stream that had started carried its 200 already; anything else died without an answer.
    httpStatus: progress !== null && hold.stream ? 200 : 500,
    errorCode: 'internal_error',
    tokens: progress?.tokens ?? NO_TOKENS,
    webSearchRequests: facts.receipt?.webSearchRequests ?? 0,
    costMicro: facts.receipt?.costMicro ?? 0,
    receipt: facts.receipt,
    holdMicro: hold.amountMicro,
    // The steps were in the memory of the process that died.
    holdSteps: [],
    onDisconnect: null,
    joinedRequestId: null,
    trail: [],
    source: facts.receipt === null ? 'none' : 'recovered',
    anomalies: 0,
    accountId: hold.accountId,
    upstreamRequestId: progress?.upstreamRequestId ?? null,
    attempts: [],
    createdAtMs: hold.openedAtMs,
    firstByteMs: null,
    durationMs: Math.max(0, facts.nowMs - hold.openedAtMs),
    gatewayUs: 0,
    clientIp: null,
    clientAgent: null,
  }
}
