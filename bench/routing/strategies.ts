// Ways to choose an account. Ours is the code of src/pool; the others are what gateways usually do.

import { isUtf8 } from 'node:buffer'
import type { Fingerprint } from '../../src/core/fingerprint.ts'
import { Affinity, ownerNumber, type SentPrompt, type Warmth } from '../../src/pool/affinity.ts'
import { type Candidate, waitOf } from '../../src/pool/candidate.ts'
import { select } from '../../src/pool/select.ts'
import { scopeIdOf } from '../../src/pool/weigh.ts'
import { createRandom, hash32 } from '../../src/sandbox/random.ts'
import { fingerprint } from '../../src/wire/fingerprint.ts'
import { inspect } from '../../src/wire/inspect.ts'
import { hashKey } from '../../src/wire/keyed-hash.ts'
import { leastBusyOf } from './least-busy.ts'
import type { Turn } from './workload.ts'

/** One client request, from its arrival to its answer's end. */
export interface Exchange {
  readonly turn: Turn
  readonly customer: string
  readonly tried: Set<string>
  again: string | null
  waitedMs: number
}

/** Where the next attempt goes, or when to ask again. */
export type Pick =
  | { readonly kind: 'account'; readonly id: string }
  | { readonly kind: 'wait'; readonly forMs: number | null }

/** A way to choose. */
export interface Strategy {
  readonly name: string
  /** Answers whose cache reads were not as foretold; 0 where nobody foretells. */
  readonly mistaken: () => number
  /** Whether a 529 for this exchange is tried once more on the same account. */
  staysAt(exchange: Exchange, accountId: string): boolean
  pick(candidates: readonly Candidate[], exchange: Exchange, nowMs: number): Pick
  /** An attempt left for the account; answers what to call when its answer begins. */
  sent(candidate: Candidate, exchange: Exchange, nowMs: number): Began
}

/** Called with what the cache did, when the answer begins. */
export type Began = (read: number, written: number, nowMs: number) => void

const CARELESS = { mistaken: () => 0, staysAt: () => false, sent: () => () => {} }

/** One after the other. */
export function roundRobin(): Strategy {
  let last = -1
  return {
    ...CARELESS,
    name: 'round robin',
    pick(candidates, { tried }) {
      for (let k = 1; k <= candidates.length; k++) {
        const at = (last + k) % candidates.length
        if (tried.has(candidates[at].id) || waitOf(candidates[at]) !== 0) continue
        last = at
        return { kind: 'account', id: candidates[at].id }
      }
      return waitFor(candidates, tried)
    },
  }
}

/** The least in flight. */
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

/** Every customer has an account, and the next ones in order where it cannot. */
export function stickyByKey(): Strategy {
  return {
    ...CARELESS,
    name: 'sticky by key',
    pick(candidates, { tried, customer }) {
      const first = hash32(customer) % candidates.length
      for (let k = 0; k < candidates.length; k++) {
        const one = candidates[(first + k) % candidates.length]
        if (!tried.has(one.id) && waitOf(one) === 0) return { kind: 'account', id: one.id }
      }
      return waitFor(candidates, tried)
    },
  }
}

const KEY = hashKey(Uint8Array.from({ length: 16 }, (_, k) => k * 37 + 5))
const prints = new WeakMap<Turn, Fingerprint>()

function printOf(turn: Turn): Fingerprint {
  const known = prints.get(turn)
  if (known !== undefined) return known
  const bytes = Buffer.from(JSON.stringify(turn.body))
  const seen = inspect(bytes, { isUtf8 })
  if (seen.kind !== 'ok') throw new Error(`the bench made a body that is ${seen.kind}`)
  const print = fingerprint(bytes, seen.facts, KEY)
  prints.set(turn, print)
  return print
}

/** What the choice is told of prices and of the model. */
export interface OursOptions {
  readonly seed: number
  readonly rewriteMicroPerMTok: number
  readonly minimumTokens: number
  readonly longestWaitMs: number
}

/** Bound, warm, balanced. */
export function ours(options: OursOptions): Strategy {
  const affinity = new Affinity({ slots: 16_384, boundSlots: 64 })
  const random = createRandom(options.seed)
  const known = new WeakMap<Exchange, Warmth>()
  let mistaken = 0
  return {
    name: 'ccgate',
    mistaken: () => mistaken,
    staysAt: (exchange, accountId) =>
      known.get(exchange)?.warm.some(({ workspace }) => workspace === accountId) === true,
    pick(candidates, exchange, nowMs) {
      const prompt = printOf(exchange.turn)
      const warmth = affinity.find(prompt, ownerNumber(exchange.customer), nowMs)
      known.set(exchange, warmth)
      const decision = select(
        candidates,
        {
          tried: exchange.tried,
          again: exchange.again,
          tags: null,
          bound: null,
          warm: warmth.warm,
          promptTokens: (prompt.sizes.at(-1) ?? 0) / 4,
          rewriteMicroPerMTok: options.rewriteMicroPerMTok,
          waitedMs: exchange.waitedMs,
          longestWaitMs: options.longestWaitMs,
        },
        random,
      )
      if (decision.kind === 'account') return { kind: 'account', id: decision.id }
      if (decision.kind === 'wait') return { kind: 'wait', forMs: decision.forMs }
      return { kind: 'wait', forMs: decision.retryAfterMs }
    },
    sent(candidate, exchange, sentAtMs) {
      const prompt = printOf(exchange.turn)
      const owner = ownerNumber(exchange.customer)
      const sent: SentPrompt = {
        prompt,
        warmth: known.get(exchange) ?? { warm: [], bound: null },
        workspace: scopeIdOf(candidate, 'workspace'),
        organization: scopeIdOf(candidate, 'organization'),
        owner,
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
