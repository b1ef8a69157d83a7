// A pool, its clients and upstream's cache on a clock of their own: a day takes seconds.

import { costOf } from '../billing/cost.ts'
import type { PriceTable } from '../billing/price-table.ts'
import type { Account } from '../core/model.ts'
import { NO_TOKENS } from '../core/usage.ts'
import type { Candidate } from '../pool/candidate.ts'
import type { CooldownPolicy, Evidence } from '../pool/cooldown.ts'
import { Pool, type Slot } from '../pool/pool.ts'
import { RetryBudget } from '../pool/retry-budget.ts'
import { createPromptCache } from '../sandbox/cache.ts'
import { createRandom } from '../sandbox/random.ts'
import { promptTokens } from '../sandbox/tokens.ts'
import { type AccountPlan, accountOf } from './account.ts'
import { Agenda } from './agenda.ts'
import { Desk } from './desk.ts'
import { printOf } from './prints.ts'
import type { Prompting, Strategy } from './strategies.ts'
import type { Conversation, Turn } from './workload.ts'

/** When the simulated clock starts: a midnight, so that hours can be told. */
export const START_MS = Date.UTC(2026, 10, 22)
const HOUR_MS = 3_600_000
const REFUSAL_MS = 200
const NO_CONNECTION_MS = 5
const MOST_ATTEMPTS = 3
/** A client whose request failed asks again after so long, as SDKs do. */
const CLIENT_RETRY_MS = 2_000
/** As the settings are by default. */
const LINE = { maxPerKey: 32, maxLength: 1_024 }
const RETRY = { budgetPercent: 20 }
export const POLICY: CooldownPolicy = {
  overloaded: { firstMs: 2_000, maxMs: 30_000 },
  rateLimited: { firstMs: 5_000, maxMs: 60_000 },
  serverError: { firstMs: 5_000, maxMs: 300_000, tripAfter: 3 },
}
/** How long a request waits for an account before its client gets an error. */
export const LONGEST_WAIT_MS = 10_000

/** What goes wrong and where. */
export interface Trouble {
  /** Share of answers that are a 529. */
  readonly overloaded: number
  /** The account that was busiest until then takes no connection for so long. */
  readonly outage: { readonly fromMs: number; readonly forMs: number } | null
}

/** How long upstream takes. */
export interface Pace {
  readonly firstTokenMs: number
  readonly answerMs: number
}

/** What a run came to. */
export interface RunFigures {
  readonly strategy: string
  readonly requests: number
  readonly costMicro: number
  /** Without the output, which costs the same everywhere. */
  readonly promptMicro: number
  /** By hour of the simulated day. */
  readonly hourlyMicro: readonly number[]
  /** Cache reads by all prompt tokens. */
  readonly readShare: number
  /** Requests answered, by account in the order of the plan. */
  readonly shares: readonly number[]
  readonly largestShare: number
  readonly p99WaitMs: number
  readonly longestWaitMs: number
  /** Requests answered elsewhere than the one before of the same conversation. */
  readonly moved: number
  /** Attempts after the first of a request. */
  readonly retries: number
  /** Those of them that went to another account. */
  readonly reroutes: number
  readonly clientErrors: number
  /** Answers whose cache reads were not as foretold. */
  readonly mistaken: number
  readonly lastedMs: number
}

/** What is simulated. */
export interface RunOptions {
  readonly model: string
  readonly prices: PriceTable
  readonly minimumTokens: number
  readonly workload: readonly Conversation[]
  readonly strategy: Strategy
  readonly accounts: readonly AccountPlan[]
  readonly pace: Pace
  readonly trouble: Trouble
  readonly seed: number
}

interface Job extends Prompting {
  readonly conversation: Conversation
  readonly at: number
  readonly turn: Turn
  readonly arrivedMs: number
  attempts: number
  lastAccount: string | null
}

/** Plays all conversations to their end. */
export function simulate(options: RunOptions): Promise<RunFigures> {
  return new Run(options).play()
}

class Run {
  readonly #options: RunOptions
  readonly #agenda = new Agenda(START_MS)
  readonly #cache = createPromptCache(() => this.#agenda.nowMs)
  readonly #random: () => number
  readonly #accounts: readonly Account[]
  readonly #pool: Pool
  readonly #desk: Desk<Job>
  readonly #retryBudget = new RetryBudget(RETRY)
  readonly #answered: Map<string, number>
  readonly #lastPlace = new Map<string, string>()
  readonly #waitsMs: number[] = []
  readonly #hourlyMicro: number[] = []
  readonly #sums = { cost: 0, prompt: 0, read: 0, tokens: 0 }
  readonly #counts = { moved: 0, retries: 0, reroutes: 0, clientErrors: 0 }
  #failing: string | null = null

  constructor(options: RunOptions) {
    const { model, strategy, seed } = options
    this.#options = options
    this.#random = createRandom(seed ^ 0x5eed)
    const agenda = this.#agenda
    this.#accounts = options.accounts.map((plan) => accountOf(plan, START_MS))
    this.#answered = new Map(this.#accounts.map(({ id }) => [id, 0]))
    this.#pool = new Pool({ clock: agenda.clock, random: this.#random, policy: POLICY })
    const live = this.#accounts.map((account) => ({ account, credential: '', proxy: null }))
    this.#pool.reload(live, [])
    this.#desk = new Desk({
      agenda,
      pool: this.#pool,
      model,
      modelClass: model,
      longestWaitMs: LONGEST_WAIT_MS,
      line: LINE,
      pick: (candidates, job, moment) => strategy.pick(candidates, job, moment),
    })
  }

  async play(): Promise<RunFigures> {
    for (const one of this.#options.workload) this.#begin(one, START_MS + one.startMs)
    await this.#agenda.run()
    const requests = this.#waitsMs.length
    const waits = this.#waitsMs.toSorted((a, b) => a - b)
    const shares = [...this.#answered.values()].map((count) => count / Math.max(1, requests))
    const { cost, prompt, read, tokens } = this.#sums
    return {
      ...this.#counts,
      strategy: this.#options.strategy.name,
      requests,
      costMicro: cost,
      promptMicro: prompt,
      hourlyMicro: Array.from({ length: this.#hourlyMicro.length }, (_, hour) =>
        Math.round(this.#hourlyMicro[hour] ?? 0),
      ),
      readShare: read / Math.max(1, tokens),
      shares,
      largestShare: Math.max(...shares),
      p99WaitMs: waits[Math.ceil(0.99 * requests) - 1] ?? 0,
      longestWaitMs: waits.at(-1) ?? 0,
      mistaken: this.#options.strategy.mistaken(),
      lastedMs: this.#agenda.nowMs - START_MS,
    }
  }

  #begin(conversation: Conversation, atMs: number): void {
    this.#agenda.add(atMs, () => this.#ask(conversation, 0))
  }

  #ask(conversation: Conversation, at: number): void {
    const { nowMs } = this.#agenda
    const turn = conversation.turns[at]
    for (const helper of turn.helpers) this.#begin(helper, nowMs)
    this.#seek({
      conversation,
      at,
      turn,
      customer: conversation.customer,
      keyId: conversation.customer,
      scope: '',
      print: () => printOf(turn),
      arrivedMs: nowMs,
      tried: new Set(),
      again: null,
      waitedMs: 0,
      attempts: 0,
      lastAccount: null,
    })
  }

  #seek(job: Job): void {
    this.#desk.seek(job, {
      served: (slot, candidate) => this.#send(job, slot, candidate),
      turnedAway: () => this.#fail(job),
    })
  }

  #send(job: Job, slot: Slot, candidate: Candidate): void {
    const { id } = candidate
    if (job.attempts++ === 0) this.#retryBudget.noteRequest(this.#agenda.clock.monotonicMs())
    else {
      this.#counts.retries++
      if (id !== job.lastAccount) this.#counts.reroutes++
    }
    job.lastAccount = id
    job.again = null
    if (this.#isDown(id)) {
      this.#refused(job, slot, { kind: 'unreachable', afterMs: NO_CONNECTION_MS, status: null })
    } else if (this.#random() < this.#options.trouble.overloaded) {
      this.#refused(job, slot, { kind: 'overloaded', afterMs: REFUSAL_MS, status: 529 })
    } else this.#answer(job, slot, candidate)
  }

  #answer(job: Job, slot: Slot, candidate: Candidate): void {
    const sentAtMs = this.#agenda.nowMs
    const { turn, conversation } = job
    const { id } = candidate
    const { model, minimumTokens, pace } = this.#options
    const began = this.#options.strategy.sent(candidate, job, sentAtMs)
    const result = this.#cache.use({
      workspaceId: id,
      modelId: model,
      minCacheTokens: minimumTokens,
      body: turn.body,
      parts: turn.parts,
    })
    if (result.kind === 'refused') throw new Error('a simulated body is one that upstream refuses')
    const { use } = result
    const written = use.write5mTokens + use.write1hTokens
    this.#waitsMs.push(sentAtMs - job.arrivedMs)
    this.#book(turn, use)
    const before = this.#lastPlace.get(conversation.id)
    if (before !== undefined && before !== id) this.#counts.moved++
    this.#lastPlace.set(conversation.id, id)
    this.#answered.set(id, (this.#answered.get(id) ?? 0) + 1)
    this.#agenda.add(sentAtMs + pace.firstTokenMs, () => {
      this.#observe(job, slot, { kind: 'ok', status: 200, sentAtMs })
      slot.began(promptTokens(turn.parts) - use.readTokens)
      use.began()
      began(use.readTokens, written, this.#agenda.nowMs)
    })
    this.#agenda.add(sentAtMs + pace.answerMs, () => {
      slot.release()
      const next = job.at + 1
      if (next >= conversation.turns.length) return
      this.#agenda.add(this.#agenda.nowMs + turn.thinkMs, () => this.#ask(conversation, next))
    })
  }

  #refused(
    job: Job,
    slot: Slot,
    how: { kind: 'unreachable' | 'overloaded'; afterMs: number; status: number | null },
  ): void {
    const sentAtMs = this.#agenda.nowMs
    this.#agenda.add(sentAtMs + how.afterMs, () => {
      const { id } = slot.live.account
      slot.release()
      this.#observe(job, slot, { kind: how.kind, status: how.status, sentAtMs })
      const isFirst = !job.tried.has(id)
      job.tried.add(id)
      const nowMs = this.#agenda.clock.monotonicMs()
      const isOverload = how.kind === 'overloaded'
      if (job.tried.size >= MOST_ATTEMPTS || (isOverload && !this.#retryBudget.take(nowMs))) {
        this.#fail(job)
        return
      }
      if (isOverload && isFirst && this.#options.strategy.staysAt(job, id)) job.again = id
      this.#seek(job)
    })
  }

  #fail(job: Job): void {
    this.#counts.clientErrors++
    this.#agenda.add(this.#agenda.nowMs + CLIENT_RETRY_MS, () => {
      job.tried.clear()
      job.again = null
      job.waitedMs = 0
      job.attempts = 0
      this.#seek(job)
    })
  }

  #observe(
    { keyId }: Job,
    slot: Slot,
    what: { kind: Evidence['kind']; status: number | null; sentAtMs: number },
  ): void {
    const { id, credentialVersion } = slot.live.account
    const { kind, status, sentAtMs } = what
    const facts = { reason: kind, httpStatus: status, upstreamRequestId: null, restMs: null }
    const { model } = this.#options
    const about = { credentialVersion, requestId: '', model, modelClass: model }
    this.#pool.observe(id, { kind, ...facts, keyId, sentAtMs }, about)
    this.#pool.takeChanges()
  }

  #isDown(id: string): boolean {
    const { outage } = this.#options.trouble
    if (outage === null) return false
    const sinceMs = this.#agenda.nowMs - START_MS
    if (sinceMs < outage.fromMs || sinceMs >= outage.fromMs + outage.forMs) return false
    this.#failing ??= [...this.#answered].reduce((a, b) => (b[1] > a[1] ? b : a))[0]
    return id === this.#failing
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
    const costMicro = this.#priceOf({ ...tokens, output: turn.outputTokens })
    const hour = Math.floor((this.#agenda.nowMs - START_MS) / HOUR_MS)
    this.#hourlyMicro[hour] = (this.#hourlyMicro[hour] ?? 0) + costMicro
    this.#sums.read += use.readTokens
    this.#sums.tokens += prompt
    this.#sums.prompt += this.#priceOf(tokens)
    this.#sums.cost += costMicro
  }

  #priceOf(tokens: typeof NO_TOKENS): number {
    const { model, prices } = this.#options
    return listCost(model, tokens, prices)
  }
}

/** What an answer of these tokens costs by the list. */
export function listCost(model: string, tokens: typeof NO_TOKENS, prices: PriceTable): number {
  const usage = {
    model,
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
  return costOf(usage, prices, { atMs: START_MS }).costMicro
}
