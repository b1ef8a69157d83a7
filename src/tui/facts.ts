import type { AccountState, AccountStateWord } from '../core/account-state.ts'
import type { Boot, Hold } from '../core/model.ts'
import type { Micro } from '../core/money.ts'
import type { TokenCounts } from '../core/usage.ts'
import type { AccountSummary, UsageTotals, UserSummary } from '../store/store.ts'
import type { Traffic } from './traffic.ts'
import type { WatchedAccount } from './watched-accounts.ts'

/** A boot row whose heartbeat is older than this, in ms, belongs to a dead daemon. */
export const HEARTBEAT_TTL_MS = 15_000
/** How much of the past charts and hourly sums show, in minutes. */
export const CHART_MINUTES = 60

/** What one look at the database found. */
export interface Snapshot {
  readonly boots: readonly Boot[]
  readonly accounts: readonly WatchedAccount[]
  /** Of the config: days and months of caps end by it; absent is UTC. */
  readonly timeZone?: string
  /** Requests in flight. */
  readonly holds: readonly Hold[]
  readonly users: ReadonlyMap<string, UserSummary>
  /** Balances below it are marked, where a user has no figure of their own; null: none are. */
  readonly lowBalanceMicro: Micro | null
  /** Since midnight UTC; null when not read yet. */
  readonly today: UsageTotals | null
  readonly traffic: Traffic
}

/** Everything the screens show, still as numbers; null stands for "not known yet". */
export interface Model {
  readonly daemon: DaemonView
  /** null: not read yet. */
  readonly rates: RatesView | null
  readonly today: TodayView | null
  readonly accounts: readonly AccountView[]
  /** How many accounts are in which state, in the order of the words below. */
  readonly states: readonly { readonly word: AccountStateWord; readonly count: number }[]
  readonly keys: readonly KeyView[]
  readonly models: readonly ModelView[]
  readonly problems: readonly ProblemView[]
  readonly latest: readonly LatestView[]
  /** Newest and most urgent first. */
  readonly warnings: readonly Warning[]
}

export interface DaemonView {
  readonly kind: 'loading' | 'serving' | 'draining' | 'down'
  /** null: it never ran on this database. */
  readonly boot: Boot | null
  /** `api.example.com`, or '' when unknown. */
  readonly host: string
}

export interface RatesView {
  readonly requestsPerMinute: number
  readonly peak: number
  /** Per minute, oldest first, 60 values; the last one is the minute until now. */
  readonly requests: readonly number[]
  readonly errors: readonly number[]
  readonly spendMicro: readonly number[]
  readonly spendLastHourMicro: Micro
  /** Of the last 5 minutes; null without requests. */
  /** 5xx and answers that broke off. */
  readonly errorShare: number | null
  /** Requests of the last 5 minutes that failed by the client's own fault (4xx). */
  readonly refused: number
  /** `529` or `cut`, most frequent first, of the last 5 minutes; 4xx are only in `refused`. */
  readonly statuses: readonly (readonly [label: string, count: number])[]
  /** p50, p95, p99 of the last 5 minutes; the first byte that of streamed answers. */
  readonly gatewayUs: readonly number[] | null
  readonly firstByteMs: readonly number[] | null
  readonly inFlight: number
  readonly streaming: number
}

export interface TodayView {
  readonly costMicro: Micro
  readonly requests: number
  readonly tokens: TokenCounts
  /** Share of input tokens read from the prompt cache; null without input. */
  readonly cacheHit: number | null
}

export interface AccountView {
  readonly id: string
  readonly name: string
  readonly credential: string
  readonly baseUrl: string
  readonly priority: number
  readonly weight: number
  readonly tags: readonly string[]
  /** null: always. */
  readonly hours: string | null
  /** Its own outbound proxy, without a login; null: none. */
  readonly proxy: string | null
  readonly state: AccountState
  /** What can be cleared, also where the state is another: closed, full. */
  readonly rests: readonly AccountState[]
  readonly requests1m: number
  readonly rpmLimit: number | null
  readonly inFlight: number
  /** 0 to 1; null when the account has no limit to fill. */
  readonly load: number | null
  /** null without requests in 5 minutes. */
  readonly errorShare: number | null
  readonly spendTodayMicro: Micro
  readonly lastUsedAtMs: number | null
  readonly createdAtMs: number
  /** p50, p95, p99 of the first byte within the hour. */
  readonly firstByteMs: readonly number[] | null
  /** Attempts per minute, oldest first, 60 values. */
  readonly requests: readonly number[]
  /** Of the attempts within the hour; null without. */
  readonly successShare: number | null
  readonly rerouted: number
  readonly headroom: AccountSummary['headroom']
  /** When the last rest ended by itself; null: none did. */
  readonly restEndedAtMs: number | null
}

export interface KeyView {
  readonly label: string
  readonly requests: number
  readonly costMicro: Micro
  /** null: the user is gone. */
  readonly balanceMicro: Micro | null
  /** Little of it is left. */
  readonly isLow: boolean
}

export interface ModelView {
  readonly name: string
  readonly requests: number
  readonly tokensIn: number
  readonly tokensOut: number
  readonly costMicro: Micro
}

export interface ProblemView {
  readonly atMs: number
  /** `429`, or what happened when there was no status, such as `unreachable`. */
  readonly status: string
  readonly what: string
  readonly errorCode: string | null
  /** The client got a good answer after all. */
  readonly recovered: boolean
}

export interface LatestView {
  readonly requestId: string
  readonly atMs: number
  readonly status: string
  readonly isError: boolean
  readonly key: string
  readonly model: string
  readonly account: string | null
  readonly tokensIn: number | null
  readonly tokensOut: number | null
  readonly cacheRead: boolean
  /** null: not streamed, or nothing came. */
  readonly firstTokenMs: number | null
  readonly costMicro: Micro | null
  /** Name of the account it was moved away from. */
  readonly reroutedFrom: string | null
  readonly errorCode: string | null
}

export interface Warning {
  readonly tone: 'warn' | 'bad'
  readonly text: string
  /** A command that helps; null when there is none. */
  readonly command: string | null
}
