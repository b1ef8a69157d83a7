// A pool, its clients and upstream's cache on a clock of their own: a day takes seconds.

import type { PriceTable } from '../billing/price-table.ts'
import type { Account } from '../core/model.ts'
import type { Candidate } from '../pool/candidate.ts'
import type { CooldownPolicy, Evidence } from '../pool/cooldown.ts'
import { Pool, type Slot } from '../pool/pool.ts'
import { RetryBudget } from '../pool/retry-budget.ts'
import { createPromptCache } from '../sandbox/cache.ts'
import { createRandom } from '../sandbox/random.ts'
import { promptTokens } from '../sandbox/tokens.ts'
import { type AccountPlan, accountOf } from './account.ts'
import { Agenda, START_MS } from './agenda.ts'
import { Desk } from './desk.ts'
import { printOf } from './prints.ts'
import type { Prompting, Strategy } from './strategies.ts'
import { type RunFigures, Tally } from './tally.ts'
import type { Conversation, Turn } from './workload.ts'

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
  readonly #tally: Tally
  #failing: string | null = null

  constructor(options: RunOptions) {
    const { model, strategy, seed } = options
    this.#options = options
    this.#random = createRandom(seed ^ 0x5eed)
    const agenda = this.#agenda
    this.#accounts = options.accounts.map((plan) => accountOf(plan, START_MS))
    this.#tally = new Tally(
      this.#accounts.map(({ id }) => id),
      options,
    )
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
    const { strategy } = this.#options
    const lastedMs = this.#agenda.nowMs - START_MS
    return this.#tally.figures({ name: strategy.name, mistaken: strategy.mistaken(), lastedMs })
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
    else this.#tally.retried(id !== job.lastAccount)
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
    const atMs = sentAtMs - START_MS
    this.#tally.answered({ turn, use, atMs, waitedMs: sentAtMs - job.arrivedMs })
    this.#tally.placed(conversation.id, id)
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
    this.#tally.failed()
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
    this.#failing ??= this.#tally.busiest()
    return id === this.#failing
  }
}
