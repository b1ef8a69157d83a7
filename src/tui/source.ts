import type { Micro } from '../core/money.ts'
import type { Store, UsageRow, UsageTotals, UserSummary } from '../store/store.ts'
import type { Snapshot } from './facts.ts'
import { KEPT_MINUTES, Traffic } from './traffic.ts'
import { type WatchedAccount, watchedAccounts } from './watched-accounts.ts'

/** The part of the store that the monitor looks at. */
export type MonitorReader = Pick<
  Store,
  | 'listAccounts'
  | 'listCosts'
  | 'lastAccountEvents'
  | 'listOpenHolds'
  | 'listUsage'
  | 'usageAfter'
  | 'sumUsage'
  | 'listBoots'
  | 'listUsers'
  | 'changes'
>

const LIMITS = {
  /** Rows per question. */
  page: 500,
  /** Pages per look, so that the first frame and the keys never wait for an hour of rows. */
  pagesPerLook: 4,
  /** Beyond this many rows the past is left out of the charts. */
  pastRows: 40_000,
}
const SLOW_FACTS_MS = 5_000
/** Reading the accounts may take this share of the time; beyond it they are read more rarely. */
const ACCOUNTS_SHARE = 1 / 50
/** The same for the sum of the day. */
const TODAY_SHARE = 1 / 50

/** How much is read at once, below which balance users are marked (default: none are), and the config's zone. */
export interface SourceOptions {
  readonly limits?: typeof LIMITS
  readonly lowBalanceMicro?: Micro | null
  /** Default: UTC. */
  readonly timeZone?: string
}

/** Looks at the database: reads the past once, then only the rows after the last one seen. */
export class Source {
  readonly #store: MonitorReader
  readonly #clock: () => number
  readonly #limits: typeof LIMITS
  readonly #lowBalanceMicro: Micro | null
  readonly #timeZone: string
  readonly #traffic = new Traffic()
  /** Rows finish in another order than they begin, so the past and the tail may overlap. */
  readonly #seen = new Set<string>()
  #tailId: string | null = null
  #past: { afterId: string | null; sinceMs: number; rows: number } | null
  #users = new Map<string, UserSummary>()
  /** The sum read last, and what was written since; `dayMs` is the midnight it begins at. */
  #today: { totals: UsageTotals; dayMs: number; atMs: number; tookMs: number } | null = null
  #accounts: { list: readonly WatchedAccount[]; atMs: number; tookMs: number; changes: number } = {
    list: [],
    atMs: Number.NEGATIVE_INFINITY,
    tookMs: 0,
    changes: -1,
  }
  #slowFactsAtMs = Number.NEGATIVE_INFINITY
  #slowFactsTookMs = 0

  constructor(
    store: MonitorReader,
    clock: () => number,
    { limits = LIMITS, lowBalanceMicro = null, timeZone = 'UTC' }: SourceOptions = {},
  ) {
    this.#limits = limits
    this.#lowBalanceMicro = lowBalanceMicro
    this.#timeZone = timeZone
    this.#store = store
    this.#clock = clock
    this.#past = { afterId: null, sinceMs: clock() - KEPT_MINUTES * 60_000, rows: 0 }
  }

  /**
   * One look; `now` reads the accounts even where that is costly, as after an action. Rejects with
   * `StoreError` when the database does not answer.
   */
  async read(how: 'now' | 'when_due' = 'when_due'): Promise<Snapshot> {
    const nowMs = this.#clock()
    // Holds before rows: what closes in between is then counted by its row, and its hold is dropped.
    const holds = await this.#store.listOpenHolds()
    if (this.#tailId !== null) await this.#readTail(this.#tailId)
    await this.#readPast()
    this.#traffic.forget(nowMs)
    const today = await this.#readToday(nowMs)
    const accounts = await this.#readAccounts(nowMs, how)
    const boots = await this.#store.listBoots()
    await this.#readSlowFacts(nowMs)
    return {
      boots,
      accounts,
      timeZone: this.#timeZone,
      holds: holds.filter((hold) => !this.#seen.has(hold.requestId)),
      users: this.#users,
      lowBalanceMicro: this.#lowBalanceMicro,
      today,
      traffic: this.#traffic,
    }
  }

  async #readTail(tailId: string): Promise<void> {
    for (let page = 0; page < this.#limits.pagesPerLook; page++) {
      const rows = await this.#store.usageAfter(this.#tailId ?? tailId, this.#limits.page)
      this.#addToToday(this.#take(rows))
      if (rows.length > 0) this.#tailId = rows[rows.length - 1].requestId
      if (rows.length < this.#limits.page) return
    }
  }

  async #readPast(): Promise<void> {
    for (let page = 0; page < this.#limits.pagesPerLook && this.#past !== null; page++) {
      const { afterId, sinceMs, rows } = this.#past
      const filter = { sinceMs, limit: this.#limits.page, ...(afterId === null ? {} : { afterId }) }
      const found = await this.#store.listUsage(filter)
      // An empty database: there is no row yet to go on from.
      if (found.rows.length === 0 && afterId === null) return
      this.#tailId ??= found.rows[0]?.requestId ?? null
      this.#take(found.rows)
      const total = rows + found.rows.length
      const isMore = found.hasMore && total < this.#limits.pastRows
      const oldest = found.rows[found.rows.length - 1]?.requestId
      this.#past = isMore && oldest !== undefined ? { afterId: oldest, sinceMs, rows: total } : null
    }
  }

  /** Returns those not seen before. */
  #take(rows: readonly UsageRow[]): readonly UsageRow[] {
    const fresh = rows.filter((row) => !this.#seen.has(row.requestId))
    for (const row of fresh) this.#seen.add(row.requestId)
    this.#traffic.add(fresh)
    // Only recent rows can come twice; sets keep the order of adding.
    for (const id of this.#seen) {
      if (this.#seen.size <= this.#limits.pastRows + this.#limits.page) break
      this.#seen.delete(id)
    }
    return fresh
  }

  /** Summed anew at every look where that is cheap; in between, new rows are added as they come. */
  async #readToday(nowMs: number): Promise<UsageTotals> {
    const dayMs = Math.floor(nowMs / 86_400_000) * 86_400_000
    const known = this.#today
    if (known?.dayMs === dayMs && Math.abs(nowMs - known.atMs) < known.tookMs / TODAY_SHARE) {
      return known.totals
    }
    const startedMs = performance.now()
    const totals = await this.#store.sumUsage({ sinceMs: dayMs, untilMs: nowMs + 60_000 })
    this.#today = { totals, dayMs, atMs: nowMs, tookMs: performance.now() - startedMs }
    return totals
  }

  #addToToday(rows: readonly UsageRow[]): void {
    if (this.#today === null) return
    const { dayMs } = this.#today
    const fresh = rows.filter((row) => row.createdAtMs >= dayMs)
    this.#today = { ...this.#today, totals: fresh.reduce(plus, this.#today.totals) }
  }

  /** Their counts cover minutes of rows: on a busy gateway that is too much to count every second. */
  async #readAccounts(nowMs: number, how: 'now' | 'when_due'): Promise<readonly WatchedAccount[]> {
    const changes = this.#store.changes().accounts
    const { list, atMs, tookMs, changes: before } = this.#accounts
    const isFresh = Math.abs(nowMs - atMs) < Math.min(SLOW_FACTS_MS, tookMs / ACCOUNTS_SHARE)
    if (how === 'when_due' && isFresh && changes === before) return list
    const startedMs = performance.now()
    const found = await watchedAccounts(this.#store, { nowMs, timeZone: this.#timeZone })
    this.#accounts = { list: found, atMs: nowMs, tookMs: performance.now() - startedMs, changes }
    return found
  }

  /** Balances are read every 5 s, or more rarely where reading them takes its time. */
  async #readSlowFacts(nowMs: number): Promise<void> {
    const age = Math.abs(nowMs - this.#slowFactsAtMs)
    if (age < Math.max(SLOW_FACTS_MS, 50 * this.#slowFactsTookMs)) return
    const startedMs = performance.now()
    const users = await this.#store.listUsers({})
    this.#users = new Map(users.map((user) => [user.id, user]))
    this.#slowFactsAtMs = nowMs
    this.#slowFactsTookMs = performance.now() - startedMs
  }
}

function plus(sum: UsageTotals, { tokens, ...row }: UsageRow): UsageTotals {
  return {
    requests: sum.requests + 1,
    costMicro: sum.costMicro + row.costMicro,
    tokens: {
      input: sum.tokens.input + tokens.input,
      output: sum.tokens.output + tokens.output,
      cacheRead: sum.tokens.cacheRead + tokens.cacheRead,
      cacheWrite5m: sum.tokens.cacheWrite5m + tokens.cacheWrite5m,
      cacheWrite1h: sum.tokens.cacheWrite1h + tokens.cacheWrite1h,
    },
  }
}
