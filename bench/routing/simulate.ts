// A pool, its clients and upstream's cache on a clock of their own: a run of an hour takes seconds.

import { costOf } from '../../src/billing/cost.ts'
import { BUILT_IN_PRICES } from '../../src/billing/prices.ts'
import { NO_TOKENS } from '../../src/core/usage.ts'
import type { Candidate } from '../../src/pool/candidate.ts'
import {
  afterAttempt,
  type Evidence,
  HEALTHY,
  type Health,
  rests,
} from '../../src/pool/cooldown.ts'
import { createPromptCache } from '../../src/sandbox/cache.ts'
import { createRandom } from '../../src/sandbox/random.ts'
import { promptTokens } from '../../src/sandbox/tokens.ts'
import type { Exchange, Strategy } from './strategies.ts'
import { type Conversation, MODEL, type Turn } from './workload.ts'

/** When the simulated clock starts. */
const START_MS = Date.UTC(2026, 10, 22, 9)
const ANSWER_MS = 10_000
const FIRST_TOKEN_MS = 1_000
const REFUSAL_MS = 200
const NO_CONNECTION_MS = 5
const MOST_ATTEMPTS = 3
/** A client whose request failed asks again after so long, as SDKs do. */
const CLIENT_RETRY_MS = 2_000
const MINIMUM_CACHE_TOKENS = 512
/** How long a request waits for an account before its client gets an error. */
export const LONGEST_WAIT_MS = 10_000
/** As the settings are by default. */
const POLICY = {
  overloaded: { firstMs: 2_000, maxMs: 30_000 },
  rateLimited: { firstMs: 5_000, maxMs: 60_000 },
  serverError: { firstMs: 5_000, maxMs: 300_000, tripAfter: 3 },
}

/** What goes wrong and where. */
export interface Trouble {
  /** Share of answers that are a 529. */
  readonly overloaded: number
  /** The account that was busiest so far takes no connection for the middle third of so long. */
  readonly failsForThirdOfMs: number | null
}

/** What a run came to. */
export interface RunFigures {
  readonly strategy: string
  readonly requests: number
  readonly costMicro: number
  /** Without the output, which costs the same everywhere. */
  readonly promptMicro: number
  /** Cache reads by all prompt tokens. */
  readonly readShare: number
  /** Of the busiest account, by requests answered. */
  readonly largestShare: number
  readonly p99WaitMs: number
  /** Requests answered elsewhere than the one before of the same conversation. */
  readonly moved: number
  /** Attempts after the first of a request. */
  readonly retries: number
  readonly clientErrors: number
  /** Answers whose cache reads were not as foretold. */
  readonly mistaken: number
  readonly lastedMs: number
}

interface Place {
  readonly id: string
  readonly concurrencyLimit: number | null
  inFlight: number
  idleSinceMs: number
  health: Health
  answered: number
}

interface Job extends Exchange {
  readonly conversation: Conversation
  readonly at: number
  readonly arrivedMs: number
  attempts: number
  waitsSinceMs: number
}

/** What is simulated. */
export interface RunOptions {
  readonly workload: readonly Conversation[]
  readonly strategy: Strategy
  readonly accounts: number
  readonly concurrencyLimit: number | null
  readonly trouble: Trouble
  readonly seed: number
}

/** Plays all conversations to their end. */
export function simulate(options: RunOptions): RunFigures {
  return new Run(options).play()
}

class Run {
  readonly #options: RunOptions
  readonly #events: Agenda = new Agenda()
  readonly #cache = createPromptCache(() => this.#events.nowMs)
  readonly #random: () => number
  readonly #places: Place[]
  readonly #waiting = new Set<Job>()
  readonly #lastPlace = new Map<string, string>()
  readonly #waitsMs: number[] = []
  #failing: Place | null = null
  #costMicro = 0
  #promptMicro = 0
  #read = 0
  #prompt = 0
  #moved = 0
  #retries = 0
  #clientErrors = 0

  constructor(options: RunOptions) {
    this.#options = options
    this.#random = createRandom(options.seed ^ 0x5eed)
    this.#places = Array.from({ length: options.accounts }, (_, k) => ({
      id: `account ${k}`,
      concurrencyLimit: options.concurrencyLimit,
      inFlight: 0,
      idleSinceMs: 0,
      health: HEALTHY,
      answered: 0,
    }))
  }

  play(): RunFigures {
    for (const one of this.#options.workload) this.#begin(one, START_MS + one.startMs)
    this.#events.run()
    const requests = this.#waitsMs.length
    const waits = this.#waitsMs.toSorted((a, b) => a - b)
    return {
      strategy: this.#options.strategy.name,
      requests,
      costMicro: this.#costMicro,
      promptMicro: this.#promptMicro,
      readShare: this.#read / this.#prompt,
      largestShare: Math.max(...this.#places.map(({ answered }) => answered)) / requests,
      p99WaitMs: waits[Math.ceil(0.99 * requests) - 1] ?? 0,
      moved: this.#moved,
      retries: this.#retries,
      clientErrors: this.#clientErrors,
      mistaken: this.#options.strategy.mistaken(),
      lastedMs: this.#events.nowMs - START_MS,
    }
  }

  #begin(conversation: Conversation, atMs: number): void {
    this.#events.add(atMs, () => this.#ask(conversation, 0))
  }

  #ask(conversation: Conversation, at: number): void {
    const turn = conversation.turns[at]
    for (const helper of turn.helpers) this.#begin(helper, this.#events.nowMs)
    this.#choose({
      conversation,
      at,
      turn,
      customer: conversation.customer,
      arrivedMs: this.#events.nowMs,
      tried: new Set(),
      again: null,
      waitedMs: 0,
      attempts: 0,
      waitsSinceMs: 0,
    })
  }

  #choose(job: Job): void {
    const { nowMs } = this.#events
    const candidates = this.#places.map((place) => candidateOf(place, nowMs))
    const pick = this.#options.strategy.pick(candidates, job, nowMs)
    if (pick.kind === 'account') {
      this.#send(job, this.#place(pick.id))
      return
    }
    if (pick.forMs === null || job.waitedMs >= LONGEST_WAIT_MS) {
      this.#fail(job)
      return
    }
    job.waitsSinceMs = nowMs
    this.#waiting.add(job)
    const forMs = Math.max(1, Math.min(pick.forMs, LONGEST_WAIT_MS - job.waitedMs))
    this.#events.add(nowMs + forMs, () => {
      if (job.waitsSinceMs === nowMs && this.#waiting.has(job)) this.#wake(job)
    })
  }

  #send(job: Job, place: Place): void {
    const { nowMs } = this.#events
    job.attempts++
    if (job.attempts > 1) this.#retries++
    job.again = null
    const candidate = candidateOf(place, nowMs)
    place.inFlight++
    place.idleSinceMs = nowMs
    if (this.#isDown(place)) {
      this.#refused(job, place, { kind: 'unreachable', afterMs: NO_CONNECTION_MS, status: null })
    } else if (this.#random() < this.#options.trouble.overloaded) {
      this.#refused(job, place, { kind: 'overloaded', afterMs: REFUSAL_MS, status: 529 })
    } else this.#answer(job, place, candidate)
  }

  #answer(job: Job, place: Place, candidate: Candidate): void {
    const sentAtMs = this.#events.nowMs
    const { turn, conversation } = job
    const began = this.#options.strategy.sent(candidate, job, sentAtMs)
    const result = this.#cache.use({
      workspaceId: place.id,
      modelId: MODEL,
      minCacheTokens: MINIMUM_CACHE_TOKENS,
      body: turn.body,
      parts: turn.parts,
    })
    if (result.kind === 'refused') throw new Error('the bench made a body that upstream refuses')
    const { use } = result
    this.#waitsMs.push(sentAtMs - job.arrivedMs)
    this.#book(turn, use)
    const before = this.#lastPlace.get(conversation.id)
    if (before !== undefined && before !== place.id) this.#moved++
    this.#lastPlace.set(conversation.id, place.id)
    place.answered++
    this.#events.add(sentAtMs + FIRST_TOKEN_MS, () => {
      // That an answer begins is what health goes by: its end, much later, says nothing more of overload.
      this.#observe(place, { kind: 'ok', status: 200, sentAtMs })
      use.began()
      began(use.readTokens, use.write5mTokens + use.write1hTokens, this.#events.nowMs)
    })
    this.#events.add(sentAtMs + ANSWER_MS, () => {
      this.#release(place)
      const next = job.at + 1
      if (next >= conversation.turns.length) return
      this.#events.add(this.#events.nowMs + conversation.thinkMs, () =>
        this.#ask(conversation, next),
      )
    })
  }

  #refused(
    job: Job,
    place: Place,
    how: { kind: 'unreachable' | 'overloaded'; afterMs: number; status: number | null },
  ): void {
    const sentAtMs = this.#events.nowMs
    this.#events.add(sentAtMs + how.afterMs, () => {
      this.#observe(place, { kind: how.kind, status: how.status, sentAtMs })
      const isFirst = !job.tried.has(place.id)
      job.tried.add(place.id)
      if (how.kind === 'overloaded' && isFirst && this.#options.strategy.staysAt(job, place.id)) {
        job.again = place.id
      }
      this.#release(place)
      if (job.attempts >= MOST_ATTEMPTS) this.#fail(job)
      else this.#choose(job)
    })
  }

  #fail(job: Job): void {
    this.#clientErrors++
    this.#events.add(this.#events.nowMs + CLIENT_RETRY_MS, () => {
      job.tried.clear()
      job.again = null
      job.waitedMs = 0
      job.attempts = 0
      this.#choose(job)
    })
  }

  #release(place: Place): void {
    place.inFlight--
    // Whoever waits may take the slot: the longest waiting first.
    for (const job of [...this.#waiting]) {
      if (place.concurrencyLimit !== null && place.inFlight >= place.concurrencyLimit) break
      this.#wake(job)
    }
  }

  #wake(job: Job): void {
    this.#waiting.delete(job)
    job.waitedMs += this.#events.nowMs - job.waitsSinceMs
    this.#choose(job)
  }

  #observe(
    place: Place,
    what: { kind: Evidence['kind']; status: number | null; sentAtMs: number },
  ): void {
    place.health = afterAttempt(
      place.health,
      {
        kind: what.kind,
        reason: what.kind,
        httpStatus: what.status,
        upstreamRequestId: null,
        restMs: null,
        keyId: null,
        sentAtMs: what.sentAtMs,
      },
      { nowMs: this.#events.nowMs, jitter: this.#random(), policy: POLICY },
    )
  }

  #isDown(place: Place): boolean {
    const { failsForThirdOfMs } = this.#options.trouble
    if (failsForThirdOfMs === null) return false
    const sinceMs = this.#events.nowMs - START_MS
    if (sinceMs < failsForThirdOfMs / 3 || sinceMs >= (failsForThirdOfMs * 2) / 3) return false
    this.#failing ??= this.#places.reduce((a, b) => (b.answered > a.answered ? b : a))
    return place === this.#failing
  }

  #book(
    turn: Turn,
    use: { readTokens: number; write5mTokens: number; write1hTokens: number },
  ): void {
    const prompt = promptTokens(turn.parts)
    const tokens = {
      ...NO_TOKENS,
      input: prompt - use.readTokens - use.write5mTokens - use.write1hTokens,
      cacheRead: use.readTokens,
      cacheWrite5m: use.write5mTokens,
      cacheWrite1h: use.write1hTokens,
    }
    this.#read += use.readTokens
    this.#prompt += prompt
    this.#promptMicro += priceOf(tokens)
    this.#costMicro += priceOf({ ...tokens, output: turn.outputTokens })
  }

  #place(id: string): Place {
    const place = this.#places.find((one) => one.id === id)
    if (place === undefined) throw new Error(`no such account: ${id}`)
    return place
  }
}

function priceOf(tokens: typeof NO_TOKENS): number {
  const usage = {
    model: MODEL,
    tokens,
    iterations: [],
    webSearchRequests: 0,
    speed: null,
    inferenceGeo: null,
    serviceTier: null,
    stopReason: 'end_turn',
    hasContent: true,
    anomalies: 0,
  }
  return costOf(usage, BUILT_IN_PRICES, { atMs: START_MS }).costMicro
}

function candidateOf(place: Place, nowMs: number): Candidate {
  const { health } = place
  const isResting = rests(health, nowMs)
  const forMs = health.untilMs === null ? null : health.untilMs - nowMs
  return {
    id: place.id,
    priority: 1,
    weight: 1,
    inFlight: place.inFlight,
    concurrencyLimit: place.concurrencyLimit,
    rpmWaitMs: 0,
    rest: isResting ? { kind: 'unhealthy', forMs } : null,
    servesModel: true,
    idleMs: place.idleSinceMs === 0 ? Number.POSITIVE_INFINITY : nowMs - place.idleSinceMs,
  }
}

/** What is to happen, in the order of its time; what is added first comes first at equal times. */
class Agenda {
  nowMs = START_MS
  readonly #heap: { atMs: number; order: number; act: () => void }[] = []
  #order = 0

  add(atMs: number, act: () => void): void {
    const heap = this.#heap
    heap.push({ atMs, order: this.#order++, act })
    for (let at = heap.length - 1; at > 0; ) {
      const parent = (at - 1) >> 1
      if (!isBefore(heap[at], heap[parent])) break
      ;[heap[at], heap[parent]] = [heap[parent], heap[at]]
      at = parent
    }
  }

  run(): void {
    for (let next = this.#take(); next !== undefined; next = this.#take()) {
      this.nowMs = next.atMs
      next.act()
    }
  }

  #take() {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined || heap.length === 0) return first
    heap[0] = last
    for (let at = 0; ; ) {
      let least = at
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < heap.length && isBefore(heap[child], heap[least])) least = child
      }
      if (least === at) return first
      ;[heap[at], heap[least]] = [heap[least], heap[at]]
      at = least
    }
  }
}

function isBefore(
  a: { readonly atMs: number; readonly order: number },
  b: { readonly atMs: number; readonly order: number },
): boolean {
  return a.atMs === b.atMs ? a.order < b.order : a.atMs < b.atMs
}
