import type { DecisionTrail } from './decision-trail.ts'
import type { Micro } from './money.ts'
import type { Receipt, TokenCounts, UsageSource } from './usage.ts'

/** A fraction of two positive integers, such as a mark-up of 6/5. */
export type Fraction = readonly [numerator: number, denominator: number]

/** The most that may be spent in a period; days and months are those of the configured time zone. */
export interface SpendLimit {
  readonly amountMicro: Micro
  readonly period: SpendPeriod
}
export type SpendPeriod = 'day' | 'month' | 'total'

/** What happens to a streamed answer when its client goes away (`billing.on_disconnect`). */
export type DisconnectPolicy =
  | { readonly kind: 'cancel' | 'finish' }
  /** Reads on until so many more output tokens or ms; null is not limited by it. */
  | { readonly kind: 'finish_up_to'; readonly tokens: number | null; readonly ms: number | null }

/** A person or team that owns keys and one wallet of credit. */
export interface User {
  readonly id: string
  readonly name: string
  readonly email: string | null
  readonly state: 'active' | 'suspended'
  /** Below this balance people are warned; null: the server's `billing.low_balance_notice`. */
  readonly lowBalanceMicro: Micro | null
  readonly note: string | null
  readonly createdAtMs: number
}

/** What a user has: `available = balanceMicro - heldMicro`. */
export interface Wallet {
  readonly userId: string
  readonly balanceMicro: Micro
  /** Reserved by open holds. */
  readonly heldMicro: Micro
}

/** An API key `cc_user_…` as a record; the secret itself is stored only as a digest. */
export interface Key {
  readonly id: string
  readonly userId: string
  readonly userName: string
  readonly name: string
  /** Last four characters of the secret, for people. */
  readonly last4: string
  /** Requests per minute; null is unlimited. */
  readonly rpmLimit: number | null
  /** Requests at the same time; null is unlimited. */
  readonly concurrencyLimit: number | null
  /** Model ids or globs; `['*']` allows all. */
  readonly models: readonly string[]
  /** Only accounts that carry one of these tags serve it; null: any account. */
  readonly accountTags: readonly string[] | null
  readonly spendLimit: SpendLimit | null
  /** Dollars per minute after which the key rests for the remainder of that minute; null: not watched. */
  readonly burnLimitMicro: Micro | null
  /** Replaces the mark-up of model and server; null: theirs. */
  readonly markup: Fraction | null
  /** null: the server's. */
  readonly onDisconnect: DisconnectPolicy | null
  readonly note: string | null
  readonly expiresAtMs: number | null
  readonly createdAtMs: number
  /** Who made it: `cli:root`, `tui:ann`, `web:alice`. */
  readonly createdBy: string
  readonly revokedAtMs: number | null
  readonly revokedReason: string | null
}

export type KeyState = 'active' | 'revoked' | 'expired' | 'suspended'

/** The state that people see; `userState` is that of the owner. */
export function keyState(key: Key, userState: User['state'], nowMs: number): KeyState {
  if (key.revokedAtMs !== null) return 'revoked'
  if (key.expiresAtMs !== null && key.expiresAtMs <= nowMs) return 'expired'
  return userState === 'suspended' ? 'suspended' : 'active'
}

/** An upstream login of the operator (never a ledger account). Its credential is sealed elsewhere. */
export interface Account {
  readonly id: string
  readonly name: string
  readonly provider: 'anthropic'
  /** Origin with optional path prefix, no trailing slash. */
  readonly baseUrl: string
  /** Permits http and loopback, private or link-local addresses as `baseUrl`. */
  readonly allowPrivate: boolean
  readonly credentialLast4: string
  /** First 6 hex digits of the credential's SHA-256: tells two credentials apart without showing them. */
  readonly credentialFingerprint: string
  /** Lower is used first. */
  readonly priority: number
  readonly weight: number
  readonly rpmLimit: number | null
  readonly concurrencyLimit: number | null
  /** Tokens per minute that it may take: input that no cache had, and output; null is unlimited. */
  readonly tpmLimit: number | null
  readonly models: readonly string[]
  /** The operator's labels; a key may be confined to some. Lower-case words, sorted. */
  readonly tags: readonly string[]
  /** Accounts of one name share a prompt cache, as long as upstream does not tell their workspaces. */
  readonly cacheScope: string | null
  /** When it may be used, as `core/working-hours.ts` reads it: `mon-fri 08:00-18:00`; null: always. */
  readonly hours: string | null
  /** The outbound proxy without its user and password, which are sealed elsewhere; null: the server's. */
  readonly proxy: string | null
  /** The most of our own list cost per day and per month (configured time zone); null: no cap. */
  readonly dayCapMicro: Micro | null
  readonly monthCapMicro: Micro | null
  readonly note: string | null
  readonly createdAtMs: number
  readonly disabledAtMs: number | null
  readonly disabledBy: string | null
  readonly disabledReason: string | null
  /** A person ended all cooldowns at this time; cooldowns that began earlier no longer count. */
  readonly cooldownClearedAtMs: number | null
  /** A person rests the account until then. */
  readonly cooldownUntilMs: number | null
  /** Grows with every new credential: health that an older credential earned no longer counts. */
  readonly credentialVersion: number
}

/** Health of (account, model class); soft states end at `untilMs` by themselves. */
export type ModelHealthState = 'healthy' | 'cooling' | 'rate_limited' | 'forbidden'
/** Health of an account as a whole. */
export type AccountHealthState =
  | 'healthy'
  | 'cooling'
  | 'unauthorized'
  | 'out_of_credit'
  | 'disabled_upstream'

/** One stored state, with its evidence. */
export interface HealthRow {
  readonly accountId: string
  /** The model class, or '' for the account as a whole. */
  readonly modelClass: string
  readonly state: ModelHealthState | AccountHealthState
  /** One short phrase for people, such as `529 overloaded_error`. Never holds secrets. */
  readonly reason: string
  readonly httpStatus: number | null
  readonly upstreamRequestId: string | null
  readonly sinceMs: number
  /** null: until a person or a probe ends it. */
  readonly untilMs: number | null
  /** How many times in a row it had to cool: the exponent of the next rest. */
  readonly step: number
  readonly credentialVersion: number
}

/** What upstream last said about an account's rate limits. */
export interface HeadroomRow {
  readonly accountId: string
  readonly requestsLimit: number | null
  readonly requestsRemaining: number | null
  readonly inputTokensLimit: number | null
  readonly inputTokensRemaining: number | null
  readonly outputTokensLimit: number | null
  readonly outputTokensRemaining: number | null
  readonly resetAtMs: number | null
  readonly organizationId: string | null
  readonly workspaceId: string | null
  readonly updatedAtMs: number
}

/** Something that happened to an account, for `accounts show --events`. */
export interface AccountEvent {
  readonly accountId: string
  readonly atMs: number
  /**
   * `cooling`, `rate_limited`, `forbidden`, `unauthorized`, `out_of_credit`, `disabled_upstream`, `recovered`,
   * `cleared`, `cap_reached`, `credential_used_elsewhere`, `cache_scope_differs`.
   */
  readonly kind: string
  readonly message: string
  readonly requestId: string | null
}

/** Credit reserved for one request until it settles or is voided. */
export interface Hold {
  readonly requestId: string
  readonly userId: string
  readonly keyId: string
  readonly bootId: string
  readonly accountId: string | null
  readonly model: string
  readonly stream: boolean
  /** As it is now: extensions and corrections included. */
  readonly amountMicro: Micro
  /** The mark-up of admission, for recovery. */
  readonly markup: Fraction
  readonly state: 'open' | 'settled' | 'voided'
  readonly openedAtMs: number
  /** `started`: upstream's `message_start` was seen, so `progress` may be billed after a crash. */
  readonly phase: 'sent' | 'started'
  readonly progress: HoldProgress | null
}

/** What an open hold proves: recovery after a crash bills exactly this. */
export interface HoldProgress {
  readonly responseModel: string
  readonly tokens: TokenCounts
  readonly speed: string | null
  readonly inferenceGeo: string | null
  readonly upstreamRequestId: string | null
}

export type LedgerEntryType = 'grant' | 'charge' | 'refund' | 'adjust' | 'forfeit'

/** One line of the append-only ledger. Charges are negative. */
export interface LedgerEntry {
  readonly id: string
  readonly userId: string
  readonly type: LedgerEntryType
  readonly amountMicro: Micro
  readonly balanceAfterMicro: Micro
  readonly requestId: string | null
  readonly ref: string | null
  readonly note: string | null
  readonly actor: string
  readonly createdAtMs: number
}

/** What was given back of a charge later, as its receipt lists it. */
export type UsageRefund = Pick<LedgerEntry, 'id' | 'amountMicro' | 'note' | 'createdAtMs'>

/** One try at one account. `outcome` is a word of `providers/provider.ts`. */
export interface Attempt {
  readonly accountId: string
  readonly outcome: string
  readonly httpStatus: number | null
  readonly durationMs: number
  readonly upstreamRequestId: string | null
  /** Of one that failed: a short phrase for people, without secrets; absent in records before schema 3. */
  readonly reason?: string
  /** Our own list cost of the try: exact for the one that answered, the bound for one that may have been billed. */
  readonly listCostMicro: Micro
}

/** One change of a hold: what it was opened with, corrected or extended to. */
export interface HoldStep {
  readonly kind: 'opened' | 'corrected' | 'extended' | 'refused'
  /** The whole hold after it; for `refused` the size that was asked for. */
  readonly amountMicro: Micro
  /** Since the request arrived. */
  readonly afterMs: number
  /** Of an opening that took a part of the prompt for warm: so much more was possible had the cache been cold. */
  readonly thinRiskMicro?: Micro
}

/** The details of one exchange, kept 400 days. Prompts and answers are never stored. */
export interface UsageRecord {
  readonly requestId: string
  readonly userId: string
  readonly keyId: string
  /** The client's language: `anthropic` or `openai`. */
  readonly dialect: string
  /** The model the client asked for; where it used an alias of ours, the model that this meant. */
  readonly model: string
  /** The model that answered; null when none did. */
  readonly responseModel: string | null
  readonly stream: boolean
  readonly status: 'complete' | 'interrupted' | 'rejected'
  /** The status the client saw; 499 when the client went away first. */
  readonly httpStatus: number
  /** A code of `core/errors.ts`, or upstream's error type for errors passed through. */
  readonly errorCode: string | null
  readonly tokens: TokenCounts
  readonly webSearchRequests: number
  readonly costMicro: Micro
  /** null when nothing was priced (refusals, voids). */
  readonly receipt: Receipt | null
  /** The hold when it was closed. */
  readonly holdMicro: Micro
  /** How the hold came to that, in order; empty where nothing was held. */
  readonly holdSteps: readonly HoldStep[]
  /** The policy that was applied because the client went away; null when it stayed. */
  readonly onDisconnect: DisconnectPolicy['kind'] | null
  /** The abandoned request whose answer this one got: that one has the bill. */
  readonly joinedRequestId: string | null
  readonly source: UsageSource
  /** How many figures of upstream's usage were unusable. */
  readonly anomalies: number
  readonly accountId: string | null
  readonly upstreamRequestId: string | null
  readonly attempts: readonly Attempt[]
  /** Why each attempt went where it went; empty where nothing was chosen. */
  readonly trail: readonly DecisionTrail[]
  readonly createdAtMs: number
  /** Until the first byte of the answer was written to the client; null when none was. */
  readonly firstByteMs: number | null
  readonly durationMs: number
  /** Time inside the gateway before the first attempt left, in microseconds, without the wait in line. */
  readonly gatewayUs: number
  readonly clientIp: string | null
  /** The client's user-agent, cut to 120 characters. */
  readonly clientAgent: string | null
}

/** One run of `ccgate serve`. */
export interface Boot {
  readonly id: string
  readonly pid: number
  /** What tells this process from a later one with the same pid; null where the system has no such thing. */
  readonly pidStartedAt: string | null
  /** Names the machine boot and pid namespace in which `pid` means something; null when unknown. */
  readonly pidSpace: string | null
  readonly version: string
  readonly listen: string
  readonly publicUrl: string
  readonly demo: boolean
  readonly startedAtMs: number
  readonly heartbeatAtMs: number
  readonly state: 'serving' | 'draining' | 'stopped'
}

/** Who changed what, from CLI, TUI or web. No secrets in `before` and `after`. */
export interface AuditEvent {
  readonly id: string
  readonly atMs: number
  readonly actor: string
  /** `key.create`, `account.disable`, … */
  readonly action: string
  readonly target: string
  readonly before: Record<string, unknown> | null
  readonly after: Record<string, unknown> | null
}
