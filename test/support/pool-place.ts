import type { OutcomeKind } from '../../src/core/attempt-outcome.ts'
import type { AccountPlan } from '../../src/simulate/account.ts'
import { MinuteCounter } from './minute-counter.ts'

/** Troubles of an account: what its answers are meanwhile. */
export const TROUBLES: readonly OutcomeKind[] = [
  'overloaded',
  'server_error',
  'unreachable',
  'rate_limited',
  'unauthorized',
  'out_of_credit',
]
/** Share of answers that are a 529 for no reason. */
const OVERLOADED_SHARE = 0.01

/** An account of a simulated day, as upstream and the test's own counts see it. */
export interface Place {
  readonly plan: AccountPlan
  /** Our own count of what its RPM, and upstream's limit, would let through. */
  readonly rpm: MinuteCounter | null
  readonly upstream: MinuteCounter | null
  inFlight: number
  /** Answers told of upstream's limit since then; those that had left before may come on top. */
  toldSinceMs: number
  /** One of them had left after that. */
  isKnown: boolean
  /** On their way, though upstream had no room for them. */
  tooMany: number
  trouble: { readonly kind: OutcomeKind; readonly untilMs: number } | null
  wellSinceMs: number
  lastOpenMs: number
  lastUsedMs: number
  begunAtLastUse: number
}

/** The account of that number: limits, weight and priority by chance. */
export function newPlace(k: number, random: () => number, nowMs: number): Place {
  const between = (least: number, most: number) => least + Math.floor(random() * (most - least + 1))
  const rpmLimit = random() < 0.4 ? between(5, 40) : null
  const plan: AccountPlan = {
    name: `acct_${k}`,
    weight: between(1, 3),
    // The first one always serves what all may use.
    priority: k > 0 && random() < 0.2 ? 2 : 1,
    concurrencyLimit: random() < 0.85 ? between(1, 6) : null,
    rpmLimit,
  }
  return {
    plan,
    rpm: rpmLimit === null ? null : new MinuteCounter(rpmLimit, nowMs),
    upstream: random() < 0.3 ? new MinuteCounter(between(10, 60), nowMs) : null,
    inFlight: 0,
    toldSinceMs: Number.POSITIVE_INFINITY,
    isKnown: false,
    tooMany: 0,
    trouble: null,
    wellSinceMs: nowMs,
    lastOpenMs: nowMs,
    lastUsedMs: nowMs,
    begunAtLastUse: 0,
  }
}

/** What is wrong with one more request there, by our own count; null: nothing. */
export function overLimit({ plan, inFlight, rpm }: Place, nowMs: number): string | null {
  if (inFlight > (plan.concurrencyLimit ?? Number.POSITIVE_INFINITY)) {
    return `${plan.name} has ${inFlight} in flight of ${plan.concurrencyLimit}`
  }
  if (rpm?.take(nowMs) !== false) return null
  return `${plan.name} gets more than ${plan.rpmLimit} requests a minute`
}

/** How a request ends there, upstream's limits aside. */
export function outcomeOf(
  { trouble }: Place,
  {
    nowMs,
    isPoison,
    random,
  }: {
    readonly nowMs: number
    readonly isPoison: boolean
    readonly random: () => number
  },
): OutcomeKind {
  if (trouble !== null && trouble.untilMs > nowMs) return trouble.kind
  if (isPoison) return 'server_error'
  return random() < OVERLOADED_SHARE ? 'overloaded' : 'ok'
}
