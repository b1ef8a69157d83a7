import { costOf } from '../billing/cost.ts'
import type { PriceTable } from '../billing/price-table.ts'
import { NO_TOKENS } from '../core/usage.ts'
import type { CacheUse } from '../sandbox/cache.ts'
import { promptTokens } from '../sandbox/tokens.ts'
import { START_MS } from './agenda.ts'
import type { Turn } from './workload.ts'

const HOUR_MS = 3_600_000

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

/** Adds up what a run costs, and where its requests went. */
export class Tally {
  readonly #model: string
  readonly #prices: PriceTable
  /** Requests answered, by account. */
  readonly #answered: Map<string, number>
  readonly #lastPlace = new Map<string, string>()
  readonly #waitsMs: number[] = []
  readonly #hourlyMicro: number[] = []
  readonly #sums = { cost: 0, prompt: 0, read: 0, tokens: 0 }
  readonly #counts = { moved: 0, retries: 0, reroutes: 0, clientErrors: 0 }

  constructor(
    accounts: readonly string[],
    { model, prices }: { readonly model: string; readonly prices: PriceTable },
  ) {
    this.#answered = new Map(accounts.map((id) => [id, 0]))
    this.#model = model
    this.#prices = prices
  }

  /** An attempt after the first. */
  retried(isElsewhere: boolean): void {
    this.#counts.retries++
    if (isElsewhere) this.#counts.reroutes++
  }

  /** A client got an error. */
  failed(): void {
    this.#counts.clientErrors++
  }

  /** A turn is being answered, `atMs` after the start of the run and `waitedMs` after it came. */
  answered(what: {
    readonly turn: Turn
    readonly use: Omit<CacheUse, 'began'>
    readonly atMs: number
    readonly waitedMs: number
  }): void {
    const { turn, use, atMs } = what
    const prompt = promptTokens(turn.parts)
    const tokens = {
      ...NO_TOKENS,
      input: prompt - use.readTokens - use.write5mTokens - use.write1hTokens,
      cacheRead: use.readTokens,
      cacheWrite5m: use.write5mTokens,
      cacheWrite1h: use.write1hTokens,
    }
    const output = turn.outputTokens
    const costMicro = listCost(this.#model, { ...tokens, output }, this.#prices)
    const hour = Math.floor(atMs / HOUR_MS)
    this.#hourlyMicro[hour] = (this.#hourlyMicro[hour] ?? 0) + costMicro
    this.#sums.read += use.readTokens
    this.#sums.tokens += prompt
    this.#sums.prompt += listCost(this.#model, tokens, this.#prices)
    this.#sums.cost += costMicro
    this.#waitsMs.push(what.waitedMs)
  }

  /** That answer is of this conversation and account. */
  placed(conversation: string, account: string): void {
    const before = this.#lastPlace.get(conversation)
    if (before !== undefined && before !== account) this.#counts.moved++
    this.#lastPlace.set(conversation, account)
    this.#answered.set(account, (this.#answered.get(account) ?? 0) + 1)
  }

  /** The account that has answered most so far. */
  busiest(): string {
    return [...this.#answered].reduce((a, b) => (b[1] > a[1] ? b : a))[0]
  }

  /** The whole run in figures. */
  figures(run: {
    readonly name: string
    readonly mistaken: number
    readonly lastedMs: number
  }): RunFigures {
    const requests = this.#waitsMs.length
    const waits = this.#waitsMs.toSorted((a, b) => a - b)
    const shares = [...this.#answered.values()].map((count) => count / Math.max(1, requests))
    const { cost, prompt, read, tokens } = this.#sums
    return {
      ...this.#counts,
      strategy: run.name,
      requests,
      costMicro: cost,
      promptMicro: prompt,
      hourlyMicro: Array.from(this.#hourlyMicro, (micro) => micro ?? 0),
      readShare: read / Math.max(1, tokens),
      shares,
      largestShare: Math.max(...shares),
      p99WaitMs: waits[Math.ceil(0.99 * requests) - 1] ?? 0,
      longestWaitMs: waits.at(-1) ?? 0,
      mistaken: run.mistaken,
      lastedMs: run.lastedMs,
    }
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
