import type { Learned } from '../billing/learned.ts'
import type { PriceTable } from '../billing/price-table.ts'
import type { Clock } from '../core/clock.ts'
import type { DisconnectPolicy, Fraction } from '../core/model.ts'
import type { TranslationSettings } from '../dialects/dialect.ts'
import type { Log } from '../observe/log.ts'
import type { Metrics } from '../observe/metrics.ts'
import type { AccountCaps } from '../pool/account-caps.ts'
import type { Pool } from '../pool/pool.ts'
import type { RequestDefaults } from '../providers/anthropic/request.ts'
import type { Connections } from '../providers/http.ts'
import type { Store } from '../store/store.ts'
import type { RecordingSpace } from './recording.ts'
import type { Routing } from './routing.ts'
import type { Runs } from './runs.ts'
import type { ThinHolds } from './thin-holds.ts'

/** Everything an exchange works with. Made once, by the daemon. */
export interface Gateway {
  readonly store: Store
  readonly pool: Pool
  /** What our accounts may cost us, and have. */
  readonly caps: AccountCaps
  /** Which wallets pay for a request as if its prompt were surely warm. */
  readonly thinHolds: ThinHolds
  /** What the choice of accounts remembers. */
  readonly routing: Routing
  readonly connections: Connections
  /** As it is now; what was admitted keeps the table of its admission. */
  readonly prices: PriceTable
  /** What receipts have taught about prompts and answers. */
  readonly learned: Learned
  readonly clock: Clock
  readonly log: Log
  /** null: nobody reads them. */
  readonly metrics: Metrics | null
  readonly policy: GatewayPolicy
  readonly bootId: string
  readonly contact: Contact
  /** Exchanges between hold and settlement: what a graceful stop waits for. */
  readonly running: Set<RunningExchange>
  /** Settlements that the store could not take and that are tried again; a stop waits for these too. */
  readonly late: Set<Promise<void>>
  /** Answers whose clients are gone, for their retries. */
  readonly runs: Runs
  readonly recordings: RecordingSpace
  /** Which refusals have their usage row in this second: `<key> <code>`. */
  readonly refusals: { second: number; readonly seen: Set<string> }
  /** A money invariant broke: nothing more is admitted until a person looked. */
  readonly stopAdmission: (cause: Error) => void
}

/** A running exchange as a graceful stop sees it. */
export interface RunningExchange {
  /** Ends it now: the client gets an error event, what was delivered is billed. */
  cut(): void
  /** Called every few seconds with the monotonic time. */
  tick(nowMs: number): void
}

/** Times and counts an operator may set; all in ms. */
export interface GatewayPolicy {
  readonly defaults: RequestDefaults
  readonly maxAttempts: number
  readonly firstByteMs: number
  readonly firstByteUnaryMs: number
  readonly idleMs: number
  readonly answerBeginsMs: number
  readonly longestStreamMs: number
  /** Streaming clients get a ping after so long without an answer, and again; null: never. */
  readonly earlyPingMs: number | null
  readonly hold: 'full' | 'progressive'
  /** Output tokens that a progressive hold covers at its opening and gains with each extension. */
  readonly holdStepTokens: number
  /** For keys that have none of their own. */
  readonly markup: Fraction
  readonly onDisconnect: DisconnectPolicy
  readonly translation: TranslationPolicy
  /** IANA name: days and months of limits are those of its wall clock. */
  readonly timeZone: string
  /** Access log: which exchanges get a line. */
  readonly access: 'all' | 'errors' | 'off'
}

/** How requests of other formats are translated. */
export interface TranslationPolicy {
  readonly settings: TranslationSettings
  /** Names and globs that such clients use for models, and what they mean. */
  readonly modelMap: Readonly<Record<string, string>>
}

/** Words for error texts. */
export interface Contact {
  readonly publicUrl: string
  /** An address; or words for who helps, where the operator has set none. */
  readonly supportEmail: string
}
