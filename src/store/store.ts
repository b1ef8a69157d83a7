import type { CacheValue } from '../billing/cache-value.ts'
import type {
  Account,
  AccountEvent,
  AuditEvent,
  Boot,
  Fraction,
  HeadroomRow,
  HealthRow,
  Hold,
  HoldProgress,
  Key,
  LedgerEntry,
  LedgerEntryType,
  SpendLimit,
  UsageRecord,
  UsageRefund,
  User,
  Wallet,
} from '../core/model.ts'
import type { Micro } from '../core/money.ts'
import type { TokenCounts } from '../core/usage.ts'

/**
 * The port: everything ccgate keeps, as business operations. Each operation is atomic and durable when
 * its promise resolves. An expected "no" is a value of the result; a promise rejects only with
 * `StoreError` (busy, full, broken) or `InvariantError`. Nothing here knows SQL.
 */
export interface Store
  extends UserStore,
    KeyStore,
    AccountStore,
    CreditStore,
    ExchangeStore,
    UsageStore,
    PriceStore,
    MemoryStore,
    BootStore,
    MetaStore {
  /** Stops background work, flushes what is queued and closes the file. */
  close(): Promise<void>
}

/** Why the store could not answer. */
export class StoreError extends Error {
  override readonly name = 'StoreError'
  readonly reason: 'busy' | 'full' | 'io' | 'corrupt' | 'overloaded' | 'closed'
  constructor(reason: StoreError['reason'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

/** Looks a record up by id, unique id prefix (8 or more characters after `_`) or name. */
export type Found<T> =
  | { readonly kind: 'found'; readonly value: T }
  | { readonly kind: 'not_found'; readonly nearest: readonly string[] }
  | { readonly kind: 'ambiguous'; readonly candidates: readonly string[] }

/** A span of time `[sinceMs, untilMs)`, such as the day or month that a limit counts. */
export interface Window {
  readonly sinceMs: number
  readonly untilMs: number
}

/** Who does it and when; every change made by a person writes an audit row in the same transaction. */
export interface By {
  readonly actor: string
  readonly nowMs: number
}

// ── users ────────────────────────────────────────────────────────────────────────────────────────

export interface UserStore {
  createUser(
    user: NewUser,
    by: By,
  ): Promise<{ kind: 'created'; user: User } | { kind: 'exists'; user: User }>
  /** By id, id prefix, name or e-mail. */
  findUser(ref: string): Promise<Found<UserSummary>>
  /** Sorted by name. */
  listUsers(filter: { search?: string; state?: User['state'] }): Promise<readonly UserSummary[]>
  /** Deleted users who had this name, or have it since (`bob#5kq0x2mv`); their ledger stays. */
  listDeletedUsers(name: string): Promise<readonly Pick<User, 'id' | 'name'>[]>
  /** Who suspended a user who is suspended, when and why; null for others. */
  getSuspension(userId: string): Promise<Suspension | null>
  /** Ids of all users who have or had a wallet, also deleted ones. */
  listWalletIds(): Promise<readonly string[]>
  /** Absent fields stay as they are. */
  updateUser(userId: string, change: UserUpdate, by: By): Promise<UserChange>
  /** The reason is kept in the audit log. */
  setUserSuspended(
    userId: string,
    change: { readonly isSuspended: boolean; readonly reason: string | null },
    by: By,
  ): Promise<UserChange>
  /**
   * Revokes every key and hides the user: history stays, under a name that says which of its bearers it
   * was; the name and the e-mail are free again. Refused while holds are open (`busy`), and while the
   * balance is not zero (`has_balance`) unless `forfeit` names the entry that takes it to zero.
   */
  deleteUser(
    userId: string,
    options: { readonly forfeit: { readonly id: string; readonly note: string | null } | null },
    by: By,
  ): Promise<
    | { kind: 'deleted'; user: User; revokedKeys: number; forfeited: LedgerEntry | null }
    | { kind: 'has_balance' | 'busy'; wallet: Wallet }
    | { kind: 'not_found' }
  >
}

export interface Suspension {
  readonly atMs: number
  readonly actor: string
  readonly reason: string | null
}

/** Absent fields stay as they are. */
export interface UserUpdate {
  readonly name?: string
  readonly email?: string | null
  readonly note?: string | null
  /** null: the server's default. */
  readonly lowBalanceMicro?: Micro | null
}

export type UserChange =
  | { readonly kind: 'changed' | 'unchanged'; readonly before: User; readonly after: User }
  | { readonly kind: 'name_taken' | 'not_found' }

export interface NewUser {
  readonly id: string
  readonly name: string
  readonly email: string | null
  readonly note: string | null
}

export interface UserSummary extends User {
  readonly balanceMicro: Micro
  readonly heldMicro: Micro
  /** Keys that work now. */
  readonly activeKeys: number
  readonly spent30dMicro: Micro
  /** Since `recentSinceMs` of `core/runs-out.ts`. */
  readonly spentRecentMicro: Micro
}

// ── keys ─────────────────────────────────────────────────────────────────────────────────────────

export interface KeyStore {
  createKey(
    key: NewKey,
    by: By,
  ): Promise<{ kind: 'created'; key: Key } | { kind: 'exists'; key: Key } | { kind: 'no_user' }>
  /** By id, id prefix or `user/name`. */
  findKey(ref: string): Promise<Found<KeySummary>>
  /** Newest first. `user` is a user id. */
  listKeys(filter: {
    userId?: string
    state?: 'active' | 'revoked' | 'expired' | 'all'
    model?: string
    unusedSinceMs?: number
    nowMs: number
  }): Promise<readonly KeySummary[]>
  /** `window` is the current one of the spend limit after the change; null where there is none. */
  limitKey(
    keyId: string,
    change: KeyLimits,
    window: Window | null,
    by: By,
  ): Promise<{ kind: 'changed' | 'unchanged'; before: Key; after: Key } | { kind: 'not_found' }>
  revokeKey(
    keyId: string,
    reason: string | null,
    by: By,
  ): Promise<{ kind: 'revoked' | 'already_revoked'; key: Key } | { kind: 'not_found' }>
  /** Every key that could still be presented, with its digest and its owner's state: the daemon's working set. */
  loadKeys(): Promise<readonly KeyCredential[]>
}

export interface NewKey {
  readonly id: string
  readonly userId: string
  readonly name: string
  /** HMAC-SHA-256 of the secret under the store's pepper. */
  readonly digest: Uint8Array
  readonly last4: string
  readonly rpmLimit: number | null
  readonly concurrencyLimit: number | null
  readonly models: readonly string[]
  readonly accountTags: readonly string[] | null
  readonly spendLimit: SpendLimit | null
  readonly burnLimitMicro: Micro | null
  readonly markup: Fraction | null
  readonly onDisconnect: Key['onDisconnect']
  readonly note: string | null
  readonly expiresAtMs: number | null
}

/** Absent fields stay as they are. */
export interface KeyLimits {
  readonly rpmLimit?: number | null
  readonly concurrencyLimit?: number | null
  readonly models?: readonly string[]
  readonly accountTags?: readonly string[] | null
  /** A new limit or period counts what the key has spent in the period so far. */
  readonly spendLimit?: SpendLimit | null
  readonly burnLimitMicro?: Micro | null
  readonly markup?: Fraction | null
  readonly onDisconnect?: Key['onDisconnect']
  readonly expiresAtMs?: number | null
  readonly note?: string | null
}

export interface KeySummary extends Key {
  readonly userState: User['state']
  readonly lastUsedAtMs: number | null
  readonly lastIp: string | null
  readonly spent24hMicro: Micro
  readonly spentMonthMicro: Micro
  /** Use of the spend limit in its current period; null without a limit. */
  readonly limitUse: {
    readonly spentMicro: Micro
    readonly heldMicro: Micro
    /** null: never (`total`). */
    readonly resetsAtMs: number | null
  } | null
}

export interface KeyCredential {
  readonly key: Key
  readonly digest: Uint8Array
  readonly userState: User['state']
}

// ── accounts ─────────────────────────────────────────────────────────────────────────────────────

export interface AccountStore {
  addAccount(
    account: NewAccount,
    by: By,
  ): Promise<{ kind: 'added'; account: Account } | { kind: 'exists'; account: Account }>
  /** By id, id prefix or name; removed accounts are not found. */
  findAccount(ref: string): Promise<Found<AccountSummary>>
  /** By priority, then name. */
  listAccounts(nowMs: number): Promise<readonly AccountSummary[]>
  /** `value` null enables. */
  setAccountDisabled(
    accountId: string,
    disabled: { reason: string | null } | null,
    by: By,
  ): Promise<AccountChange>
  rotateCredential(accountId: string, credential: SealedCredential, by: By): Promise<AccountChange>
  /** Absent fields stay as they are. */
  updateAccount(accountId: string, change: AccountUpdate, by: By): Promise<AccountChange>
  /** Erases the credential; history keeps the name. Refuses nothing: asking is the caller's job. */
  removeAccount(accountId: string, by: By): Promise<AccountChange>
  /** Ends every rest of the account (soft and hard), so that the next request may try it. */
  clearCooldown(accountId: string, by: By): Promise<AccountChange>
  /** Rests the account until then. */
  setCooldown(accountId: string, untilMs: number, by: By): Promise<AccountChange>
  /** The daemon's working set: accounts not removed, with sealed credentials. */
  loadAccounts(): Promise<readonly AccountCredential[]>
  loadHealth(): Promise<readonly HealthRow[]>
  /** Replaces rows by (account, model class); `healthy` rows are deleted. Events are appended. */
  saveHealth(rows: readonly HealthRow[], events: readonly AccountEvent[]): Promise<void>
  saveHeadroom(rows: readonly HeadroomRow[]): Promise<void>
  listAccountEvents(accountId: string, limit: number): Promise<readonly AccountEvent[]>
  /** The last event of a kind at each account, newest first, unless a person has seen to it since. */
  lastAccountEvents(query: NoticeQuery): Promise<readonly AccountEvent[]>
  /** Our list cost at each account in these windows, from the roll-ups: `[account id, micro]` per window. */
  listCosts(
    windows: readonly Window[],
  ): Promise<readonly (readonly (readonly [accountId: string, listCostMicro: Micro])[])[]>
}

/** Which events `lastAccountEvents` looks for, among the newest 10,000 of all. */
export interface NoticeQuery {
  readonly kind: string
  readonly sinceMs: number
  /** What a person does to the account that makes such an event old news. */
  readonly settledBy: 'account.update' | 'account.rotate'
}

export type AccountChange =
  | { readonly kind: 'changed' | 'unchanged'; readonly before: Account; readonly after: Account }
  | { readonly kind: 'not_found' }

/** Absent fields stay as they are. */
export interface AccountUpdate {
  readonly priority?: number
  readonly weight?: number
  readonly rpmLimit?: number | null
  readonly concurrencyLimit?: number | null
  readonly tpmLimit?: number | null
  readonly models?: readonly string[]
  readonly tags?: readonly string[]
  readonly cacheScope?: string | null
  readonly hours?: string | null
  readonly proxy?: SealedProxy | null
  readonly dayCapMicro?: Micro | null
  readonly monthCapMicro?: Micro | null
  readonly note?: string | null
}

export interface SealedCredential {
  readonly sealed: Uint8Array
  readonly last4: string
  readonly fingerprint: string
}

/** An outbound proxy: its whole URL sealed, and what people may see of it. */
export interface SealedProxy {
  readonly sealed: Uint8Array
  /** The URL without user and password. */
  readonly text: string
}

export interface NewAccount {
  readonly id: string
  readonly name: string
  readonly provider: Account['provider']
  readonly baseUrl: string
  readonly allowPrivate: boolean
  readonly credential: SealedCredential
  readonly priority: number
  readonly weight: number
  readonly rpmLimit: number | null
  readonly concurrencyLimit: number | null
  readonly tpmLimit: number | null
  readonly models: readonly string[]
  readonly tags: readonly string[]
  readonly cacheScope: string | null
  readonly hours: string | null
  readonly proxy: SealedProxy | null
  readonly dayCapMicro: Micro | null
  readonly monthCapMicro: Micro | null
  readonly note: string | null
  readonly disabled: boolean
}

export interface AccountCredential {
  readonly account: Account
  readonly sealed: Uint8Array
  /** null where the account has no proxy of its own. */
  readonly sealedProxy: Uint8Array | null
}

/** An account with what the daemon knows of it, for lists and the monitor. */
export interface AccountSummary extends Account {
  readonly health: readonly HealthRow[]
  readonly headroom: HeadroomRow | null
  /** Open holds that name it. */
  readonly inFlight: number
  readonly requests1m: number
  readonly requests5m: number
  /** Failed attempts in the last 5 minutes. */
  readonly errors5m: number
  /** Its own tokens per minute are used up, by the requests that have ended in the last 5 minutes. */
  readonly isTpmUsedUp: boolean
  /** Since midnight UTC. */
  readonly requestsToday: number
  readonly spendTodayMicro: Micro
  readonly lastUsedAtMs: number | null
}

// ── credit ───────────────────────────────────────────────────────────────────────────────────────

export interface CreditStore {
  /**
   * Adds an entry and moves the balance. The same `ref` with the same user, type and amount answers
   * `duplicate` with the first entry; with anything else it answers `conflict`. An adjustment below
   * zero of what is available is `insufficient` unless `allowNegative`.
   */
  addCredit(entry: NewCredit, by: By): Promise<CreditResult>
  /**
   * Gives back a charge, or a part of it, under the same rules for `ref` as `addCredit`; `amountMicro` null is
   * all that is left of it. All refunds of a charge sum to at most the charge.
   */
  refundCharge(refund: NewRefund, by: By): Promise<RefundResult>
  /** The charge of a request and what was given back of it; null without a charge. */
  getCharge(requestId: string): Promise<Charge | null>
  getWallet(userId: string): Promise<Wallet | null>
  /** The entry of this id or reference, and whose it is; null when there is none. */
  findEntry(ref: string): Promise<{ entry: LedgerEntry; userName: string } | null>
  /** Newest first; `afterId` continues below that entry. */
  listLedger(filter: {
    userId: string
    sinceMs?: number
    untilMs?: number
    type?: LedgerEntryType
    limit: number
    afterId?: string
  }): Promise<Page<LedgerEntry>>
  /** Sums by day of an IANA time zone, newest first. */
  sumLedgerByDay(filter: {
    userId: string
    sinceMs?: number
    untilMs?: number
    timeZone: string
  }): Promise<readonly LedgerDay[]>
  /** The money check: read-only; an empty `violations` is a clean ledger. */
  checkLedger(nowMs: number): Promise<LedgerReport>
  /** The same for one user's wallet, holds, entries and usage. */
  checkWallet(userId: string, nowMs: number): Promise<WalletReport | null>
  /**
   * Sets balance and held of a wallet to what its ledger entries and its open holds say, and the counters of
   * its keys' spend limits to what their requests say. Only where the entries themselves are sound, one after
   * another (`broken_ledger` otherwise): they are the evidence.
   */
  repairWallet(userId: string, by: By): Promise<WalletRepair>
}

export type WalletRepair =
  | {
      readonly kind: 'repaired' | 'unchanged'
      readonly before: Wallet
      readonly after: Wallet
      /** How many counters of spend limits were wrong. */
      readonly limits: number
    }
  | { readonly kind: 'broken_ledger' | 'no_user' }

/** What a request cost its user. */
export interface Charge {
  readonly requestId: string
  readonly userId: string
  readonly userName: string
  readonly chargeMicro: Micro
  readonly refundedMicro: Micro
}

export interface NewCredit {
  readonly id: string
  readonly userId: string
  readonly type: 'grant' | 'adjust'
  readonly amountMicro: Micro
  readonly ref: string | null
  readonly note: string | null
  readonly allowNegative?: boolean
}

export interface NewRefund {
  readonly id: string
  /** The charged request. */
  readonly requestId: string
  readonly amountMicro: Micro | null
  readonly ref: string | null
  readonly note: string | null
}

export type RefundResult =
  | {
      readonly kind: 'added' | 'duplicate'
      readonly entry: LedgerEntry
      /** Of the charge, after this entry. */
      readonly leftMicro: Micro
    }
  | { readonly kind: 'conflict'; readonly entry: LedgerEntry }
  /** More than is left of the charge; 0 left when it was given back whole, or was free. */
  | { readonly kind: 'too_much'; readonly chargeMicro: Micro; readonly leftMicro: Micro }
  /** No such request, one still running, or one that was never charged; its user was deleted. */
  | { readonly kind: 'no_charge' | 'no_user' }
  | { readonly kind: 'out_of_range' }

/** What one wallet is and what its entries say it should be. */
export interface WalletReport {
  readonly userId: string
  readonly balanceMicro: Micro
  readonly heldMicro: Micro
  readonly ledgerMicro: Micro
  readonly openHoldsMicro: Micro
  readonly entries: number
  /** One sentence each. */
  readonly violations: readonly string[]
}

export type CreditResult =
  | { readonly kind: 'added' | 'duplicate'; readonly entry: LedgerEntry }
  | { readonly kind: 'conflict'; readonly entry: LedgerEntry }
  | { readonly kind: 'insufficient'; readonly wallet: Wallet }
  | { readonly kind: 'out_of_range' }
  | { readonly kind: 'no_user' }

export interface LedgerDay {
  /** `2026-11-22`. */
  readonly day: string
  readonly grantedMicro: Micro
  readonly spentMicro: Micro
  readonly adjustedMicro: Micro
  readonly refundedMicro: Micro
  readonly balanceMicro: Micro
}

export interface LedgerReport {
  readonly quickCheck: string
  readonly foreignKeyViolations: number
  readonly wallets: number
  readonly openHolds: number
  readonly settledHolds: number
  /** Open holds older than the longest allowed request. */
  readonly staleHolds: number
  readonly bytes: number
  readonly freeRatio: number
  /** One sentence each, with ids and amounts. */
  readonly violations: readonly string[]
  /** Those of them that only say of stale holds: a clock that jumps makes every running request one. */
  readonly stale: readonly string[]
}

export interface Page<T> {
  readonly rows: readonly T[]
  readonly hasMore: boolean
}

// ── exchanges: holds, settlement, recovery ───────────────────────────────────────────────────────

export interface ExchangeStore {
  /**
   * One conditional statement each inside the write lock: `balance - held >= amount`, and for a key with a
   * spend limit `spent + held + amount <= limit` in the window of admission; or no hold at all.
   */
  openHold(hold: NewHold): Promise<HoldResult>
  /**
   * Adds `deltaMicro` (below zero: gives back) to an open hold, its wallet and its key's window, all or
   * nothing; more only where there is room. A hold that is closed already answers `closed`: its closing has
   * released whatever the row held then, so an extension that lands late changes nothing.
   */
  resizeHold(requestId: string, deltaMicro: Micro): Promise<ResizeResult>
  /** Not awaited by callers and the first to be given up when the queue is long: progress of an open hold. */
  noteProgress(note: ProgressNote): void
  /** Closes an open hold: charge, usage row and wallet in one act; a repeat answers `already_closed`. */
  settleHold(record: UsageRecord): Promise<SettleResult>
  /** Closes an open hold without a charge; writes the usage row, no ledger row. */
  voidHold(record: UsageRecord): Promise<SettleResult>
  /** Not awaited, dropped under pressure: the usage row (cost 0) of a request refused before a hold. */
  noteRefusal(record: UsageRecord): void
  /** Open holds, oldest first: the requests in flight. */
  listOpenHolds(): Promise<readonly Hold[]>
  /** Settles what the orphaned holds of these boots prove and voids the rest, in one transaction. */
  recoverHolds(
    bootIds: readonly string[],
    nowMs: number,
  ): Promise<{ settled: number; voided: number; settledMicro: Micro }>
}

export interface NewHold {
  readonly requestId: string
  readonly userId: string
  readonly keyId: string
  readonly bootId: string
  readonly accountId: string | null
  readonly model: string
  readonly stream: boolean
  readonly amountMicro: Micro
  readonly markup: Fraction
  /** The window of the key's spend limit that the request's id was made in; null: the key has none. */
  readonly limitWindow: Window | null
  readonly openedAtMs: number
}

export type HoldResult =
  | { readonly kind: 'held'; readonly balanceMicro: Micro; readonly heldMicro: Micro }
  | {
      readonly kind: 'insufficient_credit'
      readonly availableMicro: Micro
      readonly balanceMicro: Micro
    }
  | KeyLimitReached

/** The key's spend limit has no room for it. */
export interface KeyLimitReached {
  readonly kind: 'key_limit'
  readonly limitMicro: Micro
  readonly spentMicro: Micro
  readonly heldMicro: Micro
}

export type ResizeResult =
  /** `amountMicro`: the whole hold now. */
  | { readonly kind: 'resized'; readonly amountMicro: Micro; readonly availableMicro: Micro }
  | { readonly kind: 'insufficient_credit'; readonly availableMicro: Micro }
  | KeyLimitReached
  | { readonly kind: 'closed' }

export interface ProgressNote {
  readonly requestId: string
  readonly accountId: string
  /** null: only the account changed (a reroute). */
  readonly progress: HoldProgress | null
}

export type SettleResult =
  | { readonly kind: 'closed'; readonly balanceMicro: Micro }
  | { readonly kind: 'already_closed' }

// ── usage ────────────────────────────────────────────────────────────────────────────────────────

export interface UsageStore {
  /** `userId` confines the look-up to one owner; foreign and unknown ids are the same null. */
  getUsage(requestId: string, userId?: string): Promise<UsageRow | PendingUsage | null>
  /** By Anthropic's `req_…`. */
  findUsageByUpstreamId(upstreamRequestId: string): Promise<UsageRow | null>
  /** By unique prefix of a `ccr_…` id. */
  findUsageIds(prefix: string): Promise<readonly string[]>
  /** Newest first. */
  listUsage(filter: UsageFilter): Promise<Page<UsageRow> & { readonly total: number }>
  /** Oldest first, rows after this id: what a monitor reads once it has the past. */
  usageAfter(requestId: string, limit: number): Promise<readonly UsageRow[]>
  /** Totals over usage rows made in [sinceMs, untilMs), from the roll-ups where they suffice. */
  sumUsage(window: { sinceMs: number; untilMs: number }): Promise<UsageTotals>
  /** Oldest first, pages of at most `limit` rows: how an export reads everything in constant memory. */
  exportUsage(
    filter: Omit<UsageFilter, 'limit' | 'afterId'>,
    page: { readonly limit: number; readonly afterId: string | null },
  ): Promise<Page<UsageRow>>
  /**
   * Roll-ups added up by one or two dimensions, in no order; the window is widened to whole quarters of an
   * hour, because no report scans the details.
   */
  summarizeUsage(query: UsageSummaryQuery): Promise<readonly UsageSummaryRow[]>
}

/** Reports round to quarter hours: every time zone's days begin on one. */
export const ROLLUP_MS = 900_000

export type UsageDimension =
  | 'day'
  | 'hour'
  | 'month'
  | 'user'
  | 'key'
  | 'model'
  | 'account'
  | 'status'

export interface UsageSummaryQuery extends Partial<Window> {
  /** One or two. */
  readonly by: readonly UsageDimension[]
  /** IANA name; for hours, days and months. */
  readonly timeZone: string
  readonly userId?: string
  readonly keyId?: string
  readonly accountId?: string
  readonly model?: string
}

export interface UsageSummaryRow extends UsageTotals {
  /** One text per dimension: `2026-11-22`, `2026-11-22 14:00`, `alice`, `alice/laptop`, `2xx`, `–` for none. */
  readonly group: readonly string[]
  /** Answered with 5xx, or broken off. */
  readonly errors: number
  /** Refused by the gateway or by upstream because of the request (4xx). */
  readonly refused: number
  /** What it cost us, at the accounts that were paid: after a reroute it counts at both. */
  readonly listCostMicro: Micro
  /** What caches were worth, at list price. */
  readonly cache: CacheValue
}

export interface UsageFilter {
  readonly sinceMs?: number
  readonly untilMs?: number
  readonly userId?: string
  readonly keyId?: string
  readonly accountId?: string
  readonly model?: string
  /** `200`, or a class such as `2xx`. */
  readonly httpStatus?: string
  readonly stream?: boolean
  readonly minCostMicro?: Micro
  readonly rerouted?: boolean
  readonly limit: number
  readonly afterId?: string
}

/** A usage record with the names people know. */
export interface UsageRow extends UsageRecord {
  readonly kind: 'usage'
  readonly userName: string
  readonly keyName: string
  readonly keyLast4: string
  readonly accountName: string | null
  /** Names of the accounts in `attempts`, by id. */
  readonly accountNames: Readonly<Record<string, string>>
  /** The wallet after the charge; null when nothing was charged. */
  readonly balanceAfterMicro: Micro | null
  /** Oldest first. */
  readonly refunds: readonly UsageRefund[]
}

/** A request still running: its hold is open. */
export interface PendingUsage {
  readonly kind: 'pending'
  readonly hold: Hold
  readonly keyName: string
}

export interface UsageTotals {
  readonly requests: number
  readonly tokens: TokenCounts
  readonly costMicro: Micro
}

// ── prices ───────────────────────────────────────────────────────────────────────────────────────

export interface PriceStore {
  /** Everything people changed about models, oldest first: what the price table is made of besides the built-in one. */
  loadPriceChanges(): Promise<readonly PriceChange[]>
  /**
   * Appends changes, all or none. Rows are never altered; a change may not begin in the past (`nowMs` of `by`),
   * because receipts and recovery price by the time of admission.
   */
  addPriceChanges(
    changes: readonly NewPriceChange[],
    by: By,
  ): Promise<{ kind: 'added'; changes: readonly PriceChange[] } | { kind: 'in_the_past' }>
}

/** One append-only change; the latest of a kind and subject that is in force counts. */
export interface NewPriceChange {
  /** `price`: a whole price row; `markup`, `alias`, `served`: one setting of a model. */
  readonly kind: 'price' | 'markup' | 'alias' | 'served'
  /** Model id or glob; the alias itself for `alias`. */
  readonly subject: string
  /** JSON, by kind: see `billing/price-changes.ts`. null takes an earlier change back. */
  readonly value: unknown
  readonly effectiveAtMs: number
  /** `set`, `sync`, `config`. */
  readonly source: string
}

export interface PriceChange extends NewPriceChange {
  readonly seq: number
  readonly actor: string
  readonly createdAtMs: number
}

// ── what the gateway remembers ───────────────────────────────────────────────────────────────────

export interface MemoryStore {
  /** Not awaited, dropped under pressure: what an answer that a thread may continue has cost in input. */
  noteThread(note: ThreadTotal): void
  /** The last total of the message that a thread continues; null when unknown or older than 35 days. */
  getThread(messageId: string): Promise<ThreadTotal | null>
  /**
   * An answer has named something that upstream keeps for its user. Durable no later than what is written
   * after it; a second note lets it live longer, but never changes whose it is.
   */
  noteObject(object: UpstreamObject): Promise<void>
  /** Those of these that are known and not expired; whose they are is the caller's to compare. */
  getObjects(refs: readonly ObjectRef[]): Promise<readonly UpstreamObject[]>
  /** Small documents that the daemon writes now and then and reads at its start: learned figures and the like. */
  saveMemory(name: MemoryName, value: Uint8Array): Promise<void>
  loadMemory(name: MemoryName): Promise<Uint8Array | null>
}

export type MemoryName = 'learned' | 'affinity'

export interface ThreadTotal {
  readonly messageId: string
  readonly userId: string
  readonly accountId: string
  /** Prompt and answer of that message, every class added up. */
  readonly totalTokens: number
  readonly atMs: number
}

/** Names something that upstream keeps. */
export interface ObjectRef {
  readonly kind: 'container' | 'file' | 'message' | 'credit_token'
  /** Upstream's id; of a credit token a keyed hash, for it is money to whoever has it. */
  readonly id: string
}

/** Something that upstream keeps in a workspace, because an answer to this user made it. */
export interface UpstreamObject extends ObjectRef {
  readonly userId: string
  /** The account that answered. */
  readonly accountId: string
  /** Its workspace then; null where upstream had not told. */
  readonly workspace: string | null
  readonly expiresAtMs: number
}

// ── boots and metadata ───────────────────────────────────────────────────────────────────────────

export interface BootStore {
  addBoot(boot: Boot): Promise<void>
  heartbeat(bootId: string, state: Boot['state'], nowMs: number): Promise<void>
  /** Newest first. */
  listBoots(): Promise<readonly Boot[]>
}

export interface MetaStore {
  /** Install id, sealed pepper and the like: written once by `init`. */
  getMeta(name: MetaName): Promise<Uint8Array | null>
  putMeta(name: MetaName, value: Uint8Array): Promise<void>
  /** Cheap enough for every event-loop turn: moves when another connection changed the named tables. */
  changes(): Changes
  /** Moves with every commit of another connection: equal answers mean that there is nothing new to read. */
  dataVersion(): Promise<number>
  schemaVersion(): Promise<number>
  listAudit(filter: { sinceMs?: number; limit: number }): Promise<readonly AuditEvent[]>
}

export type MetaName = 'install_id' | 'pepper_sealed' | 'master_key_id'

/** Counters kept by triggers; a reader reloads what moved. */
export interface Changes {
  readonly keys: number
  readonly accounts: number
  readonly prices: number
}
