import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { ACCOUNT_STATE_WORDS, type AccountStateWord } from '../core/account-state.ts'
import type { UsageRecord } from '../core/model.ts'
import { outcomeOf } from '../core/outcome.ts'

/** What caches were worth to one request, in micro-dollars at list price. */
export interface CacheWorth {
  readonly readSavedMicro: number
  readonly writeExtraMicro: number
  readonly lostMicro: number
}

/** How the gateway is right now. */
export interface Gauges {
  /** Requests that are worked on: those in line for an account aside. */
  readonly running: number
  /** Requests in line for an account. */
  readonly waiting: number
  /** The state of every account, in the words of `accounts list`. */
  readonly accounts: readonly AccountStateWord[]
  /** Beginnings of prompts of which is known where they are cached. */
  readonly prefixes: number
  /** Conversations that are bound to an organisation by their thinking. */
  readonly bound: number
  /** New requests are admitted. */
  readonly isOpen: boolean
}

/** Counts for Prometheus. Labels are names of accounts and words of ours: no keys, no users, no models of clients. */
export interface Metrics {
  /** An exchange has ended, with or without a charge. */
  ended(record: UsageRecord, cache: CacheWorth): void
  /** Everything in Prometheus' text format. */
  text(): Promise<string>
  readonly contentType: string
}

const SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900, 3600]
const DOLLARS = 1_000_000

/** Metrics that begin at zero; `gauges` is asked at each reading, `nameOf` names an account. */
export function createMetrics(options: {
  readonly gauges: () => Gauges
  readonly nameOf: (accountId: string) => string
}): Metrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  const counter = <T extends string>(name: string, help: string, ...labelNames: T[]) =>
    new Counter({ name: `ccgate_${name}`, help, labelNames, registers })
  const histogram = (name: string, help: string) =>
    new Histogram({
      name: `ccgate_${name}`,
      help,
      labelNames: ['api'],
      buckets: SECONDS,
      registers,
    })

  const requests = counter('requests_total', 'Requests by answer.', 'api', 'status', 'outcome')
  const tokens = counter('tokens_total', 'Tokens by price class.', 'kind')
  const charged = counter('charged_dollars_total', 'Charged to customers.')
  const listCost = counter('list_cost_dollars_total', 'Our cost at list price.', 'account')
  const readSaved = counter(
    'cache_read_saved_dollars_total',
    'What reading the prompt cache saved against plain input, at list price.',
  )
  const writeExtra = counter(
    'cache_write_extra_dollars_total',
    'What writing the prompt cache cost above plain input, at list price.',
  )
  const lost = counter(
    'routing_lost_dollars_total',
    'What was paid anew because another account than the warm one served, at list price.',
  )
  const attempts = counter('attempts_total', 'Tries by how they ended.', 'account', 'outcome')
  const reroutes = counter(
    'reroutes_total',
    'Further tries, by why the one before failed.',
    'reason',
  )
  const choices = counter('choices_total', 'Choices of an account, by their reason.', 'because')
  const left = counter('warm_left_total', 'Warm accounts not taken, by why.', 'reason')
  const firstByte = histogram('first_byte_seconds', 'Until the first byte of an answer.')
  const duration = histogram('request_seconds', 'Until a request was over.')

  let readTokens = 0
  let promptTokens = 0
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name: `ccgate_${name}`,
      help,
      registers,
      collect() {
        this.set(read())
      },
    })
  gauge('cache_hit_ratio', 'Prompt tokens read from the cache, of all since the start.', () =>
    promptTokens === 0 ? 0 : readTokens / promptTokens,
  )
  gauge(
    'requests_running',
    'Requests that are worked on, those in line aside.',
    () => options.gauges().running,
  )
  gauge('requests_waiting', 'Requests in line for an account.', () => options.gauges().waiting)
  gauge('cached_prefixes', 'Known beginnings of prompts.', () => options.gauges().prefixes)
  gauge('bound_conversations', 'Known conversations with thinking.', () => options.gauges().bound)
  gauge('open', '1 while requests are admitted.', () => (options.gauges().isOpen ? 1 : 0))
  new Gauge({
    name: 'ccgate_accounts',
    help: 'Accounts by state, in the words of accounts list.',
    labelNames: ['state'],
    registers,
    collect() {
      const { accounts } = options.gauges()
      // Also those that none is in: a series that is missing alarms nobody.
      for (const state of ACCOUNT_STATE_WORDS)
        this.set({ state }, accounts.filter((word) => word === state).length)
    },
  })

  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    ended(record, cache) {
      const api = record.dialect
      requests.inc({ api, status: String(record.httpStatus), outcome: outcomeOf(record) })
      for (const [kind, count] of Object.entries(record.tokens))
        if (count > 0) tokens.inc({ kind: snakeCase(kind) }, count)
      readTokens += record.tokens.cacheRead
      promptTokens += promptOf(record)
      charged.inc(record.costMicro / DOLLARS)
      readSaved.inc(cache.readSavedMicro / DOLLARS)
      writeExtra.inc(cache.writeExtraMicro / DOLLARS)
      lost.inc(cache.lostMicro / DOLLARS)
      for (const [k, { accountId, outcome, listCostMicro }] of record.attempts.entries()) {
        const account = options.nameOf(accountId)
        attempts.inc({ account, outcome })
        listCost.inc({ account }, listCostMicro / DOLLARS)
        if (k < record.attempts.length - 1) reroutes.inc({ reason: outcome })
      }
      for (const choice of record.trail) {
        choices.inc({ because: choice.because })
        if (choice.left !== null) left.inc({ reason: choice.left.because })
      }
      if (record.firstByteMs !== null) firstByte.observe({ api }, record.firstByteMs / 1_000)
      duration.observe({ api }, record.durationMs / 1_000)
    },
  }
}

function promptOf({ tokens }: UsageRecord): number {
  return tokens.input + tokens.cacheRead + tokens.cacheWrite5m + tokens.cacheWrite1h
}

/** `cacheWrite5m` is `cache_write_5m`. */
function snakeCase(name: string): string {
  return name.replace(/[A-Z]|\d+m|\d+h/g, (part) => `_${part.toLowerCase()}`)
}
