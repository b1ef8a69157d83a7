// Ways to choose an account. Ours is the code of src/pool; the others are what gateways usually do.

import type { Fingerprint } from '../core/fingerprint.ts'
import { Affinity, ownerNumber, type SentPrompt, type Warmth } from '../pool/affinity.ts'
import { type Candidate, waitOf } from '../pool/candidate.ts'
import { select } from '../pool/select.ts'
import { scopeIdOf } from '../pool/weigh.ts'
import { createRandom, hash32 } from '../sandbox/random.ts'
import type { Caller, Moment, Pick } from './desk.ts'
import { leastBusyOf } from './least-busy.ts'

/** A caller with its prompt. */
export interface Prompting extends Caller {
  readonly customer: string
  /** As ours sees it; the others never ask. */
  readonly print: () => Fingerprint
}

/** A way to choose. */
export interface Strategy {
  readonly name: string
  /** Answers whose cache reads were not as foretold; 0 where nobody foretells. */
  readonly mistaken: () => number
  /** Whether a 529 for this request is tried once more on the same account. */
  staysAt(prompting: Prompting, accountId: string): boolean
  pick(candidates: readonly Candidate[], prompting: Prompting, moment: Moment): Pick
  /** An attempt left for the account; answers what to call when its answer begins. */
  sent(candidate: Candidate, prompting: Prompting, nowMs: number): Began
}

/** Called with what the cache did, when the answer begins. */
export type Began = (read: number, written: number, nowMs: number) => void

const CARELESS = { mistaken: () => 0, staysAt: () => false, sent: () => () => {} }

/** One after the other, each as often as its weight says and never twice where others are due. */
export function roundRobin(): Strategy {
  const credit = new Map<string, number>()
  return {
    ...CARELESS,
    name: 'round robin',
    pick(candidates, { tried }) {
      const able = candidates.filter((one) => !tried.has(one.id) && waitOf(one) === 0)
      let due: Candidate | null = null
      for (const one of able) {
        const own = (credit.get(one.id) ?? 0) + one.weight
        credit.set(one.id, own)
        if (due === null || own > (credit.get(due.id) ?? 0)) due = one
      }
      if (due === null) return waitFor(candidates, tried)
      const turn = able.reduce((sum, { weight }) => sum + weight, 0)
      credit.set(due.id, (credit.get(due.id) ?? 0) - turn)
      return { kind: 'account', id: due.id }
    },
  }
}

/** The least in flight by weight. */
export function leastBusy(): Strategy {
  return {
    ...CARELESS,
    name: 'least busy',
    pick(candidates, { tried }) {
      const choice = leastBusyOf(candidates, tried)
      return choice.kind === 'account' ? choice : { kind: 'wait', forMs: choice.retryAfterMs }
    },
  }
}

/** Every customer has an account, by weight, and the next ones in order where it cannot. */
export function stickyByKey(): Strategy {
  return {
    ...CARELESS,
    name: 'sticky by key',
    pick(candidates, { tried, customer }) {
      const first = seatOf(candidates, customer)
      for (let k = 0; k < candidates.length; k++) {
        const one = candidates[(first + k) % candidates.length]
        if (!tried.has(one.id) && waitOf(one) === 0) return { kind: 'account', id: one.id }
      }
      return waitFor(candidates, tried)
    },
  }
}

function seatOf(candidates: readonly Candidate[], customer: string): number {
  let seat = hash32(customer) % candidates.reduce((sum, { weight }) => sum + weight, 0)
  return candidates.findIndex(({ weight }) => {
    seat -= weight
    return seat < 0
  })
}

/** What the choice is told of prices and of the model. */
export interface OursOptions {
  readonly seed: number
  readonly rewriteMicroPerMTok: number
  readonly minimumTokens: number
}

/** Slots of the table: enough for some thousand conversations at the same time. */
const SLOTS = 16_384

/** Bound, warm, balanced. */
export function ours(options: OursOptions): Strategy {
  const affinity = new Affinity({ slots: SLOTS, boundSlots: 64 })
  const random = createRandom(options.seed)
  const known = new WeakMap<Prompting, Warmth>()
  let mistaken = 0
  return {
    name: 'ccgate',
    mistaken: () => mistaken,
    staysAt: (prompting, accountId) =>
      known.get(prompting)?.warm.some(({ workspace }) => workspace === accountId) === true,
    pick(candidates, prompting, { nowMs, waitedMs, longestWaitMs }) {
      const print = prompting.print()
      const warmth = affinity.find(print, ownerNumber(prompting.customer), nowMs)
      known.set(prompting, warmth)
      const { tried, again } = prompting
      const { rewriteMicroPerMTok } = options
      const promptTokens = (print.sizes.at(-1) ?? 0) / 4
      const facts = { tags: null, bound: null, warm: warmth.warm, promptTokens }
      const demand = { tried, again, ...facts, rewriteMicroPerMTok, waitedMs, longestWaitMs }
      const decision = select(candidates, demand, random)
      if (decision.kind === 'account') return { kind: 'account', id: decision.id }
      return decision.kind === 'wait'
        ? { kind: 'wait', forMs: decision.forMs, at: decision.id }
        : { kind: 'wait', forMs: decision.retryAfterMs }
    },
    sent(candidate, prompting, sentAtMs) {
      const sent: SentPrompt = {
        prompt: prompting.print(),
        warmth: known.get(prompting) ?? { warm: [], bound: null },
        workspace: scopeIdOf(candidate, 'workspace'),
        organization: scopeIdOf(candidate, 'organization'),
        owner: ownerNumber(prompting.customer),
        sentAtMs,
        minimumTokens: options.minimumTokens,
        bindsThinking: false,
      }
      return (cacheReadTokens, cacheWriteTokens, nowMs) => {
        const lesson = affinity.began(sent, { cacheReadTokens, cacheWriteTokens }, nowMs)
        if (lesson !== 'as_foretold') mistaken++
      }
    },
  }
}

/** The soonest that any of the untried can serve. */
function waitFor(candidates: readonly Candidate[], tried: ReadonlySet<string>): Pick {
  let forMs: number | null = null
  for (const one of candidates) {
    const waitMs = tried.has(one.id) ? null : waitOf(one)
    if (waitMs !== null && (forMs === null || waitMs < forMs)) forMs = waitMs
  }
  return { kind: 'wait', forMs }
}
