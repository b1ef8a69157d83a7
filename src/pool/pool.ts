import { NOTICE_KINDS } from '../core/account-notices.ts'
import { type AccountState, accountStateOf, isCountPart } from '../core/account-state.ts'
import type { Clock } from '../core/clock.ts'
import type { Account, AccountEvent, HeadroomRow, HealthRow } from '../core/model.ts'
import { matchesModel } from '../core/model-glob.ts'
import { WorkingHours } from '../core/working-hours.ts'
import { AccountPlaces, type LearnedListener } from './account-places.ts'
import type { Candidate, Rest } from './candidate.ts'
import { conditionOf } from './conditions.ts'
import type { CooldownPolicy, Evidence } from './cooldown.ts'
import { isHalfOpen, rests } from './cooldown.ts'
import { ForeignUseWatch } from './foreign-use.ts'
import { type About, HealthBook, type HealthChanges } from './health-book.ts'
import {
  bucketOf,
  type Entry,
  type LiveAccount,
  limitedPartOf,
  newEntry,
  organizationOf,
  ownWaitMs,
  partsOf,
  type Taker,
  workspaceBucketOf,
} from './live-account.ts'
import { ModelOverload } from './model-overload.ts'
import { paced } from './pace.ts'
import {
  longerOf,
  restByLimits,
  restByPerson,
  restOfModel,
  restOfParts,
  restUntilOpen,
} from './rests.ts'
import { SharedRefusals } from './shared-refusals.ts'
import { openSlot, type Slot } from './slot.ts'
import { type LimitName, type ToldLimit, UpstreamLimits } from './upstream-limits.ts'

export type { LiveAccount, Taker } from './live-account.ts'
export type { Slot } from './slot.ts'

/** What a request asks of its account beside the model. */
export interface Wishes {
  /** Tags of which it must carry one; null: any account. */
  readonly tags?: readonly string[] | null
  readonly isFast?: boolean
  /** What keeps this request away from an account beside all that the pool knows; null: nothing. */
  readonly alsoRests?: (live: LiveAccount) => Rest | null
}

/** What the daemon writes down after health or headroom changed. */
export interface PoolChanges extends HealthChanges {
  readonly headroom: readonly HeadroomRow[]
}

/**
 * The live accounts: load, limits and health, in memory. It is told what happens and answers what is;
 * whom to choose is `select`, what a failure means is `afterAttempt`.
 */
export class Pool {
  readonly #entries = new Map<string, Entry>()
  readonly #clock: Clock
  readonly #book: HealthBook
  readonly #overload: ModelOverload
  readonly #limits = new UpstreamLimits()
  readonly #refusals = new SharedRefusals()
  readonly #foreignUse = new ForeignUseWatch()
  readonly #dirtyHeadroom = new Set<string>()
  readonly #places: AccountPlaces
  readonly #timeZone: string
  #onRoom: () => void = () => {}
  #isTold = true

  /** `timeZone`: of the accounts' working hours. */
  constructor(options: {
    clock: Clock
    random: () => number
    policy: CooldownPolicy
    timeZone?: string
  }) {
    this.#clock = options.clock
    this.#timeZone = options.timeZone ?? 'UTC'
    this.#book = new HealthBook(options)
    this.#overload = new ModelOverload(options)
    this.#places = new AccountPlaces(this.#entries, (event) => this.note(event))
  }

  /** Takes the accounts as the store has them now, keeping load and health of those that stay. */
  reload(accounts: readonly LiveAccount[], stored: readonly HealthRow[]): void {
    const keep = new Set(accounts.map((live) => live.account.id))
    for (const id of this.#entries.keys()) if (!keep.has(id)) this.#entries.delete(id)
    this.#book.keepOnly(keep)
    for (const live of accounts) {
      const { account } = live
      let entry = this.#entries.get(account.id)
      if (entry === undefined) {
        entry = newEntry(live)
        this.#entries.set(account.id, entry)
      } else if (account.cooldownClearedAtMs !== entry.live.account.cooldownClearedAtMs) {
        this.#refusals.clear(organizationOf(entry))
      }
      if (account.hours === null) entry.hours = null
      else if (entry.hours === null || account.hours !== entry.live.account.hours)
        entry.hours = new WorkingHours(account.hours, this.#timeZone)
      entry.live = live
      this.#book.admit(account, stored)
    }
    this.#places.arrange()
    this.#tellRoom()
  }

  /** Calls `listener` soon after any account may be able to serve more than before. */
  whenRoom(listener: () => void): void {
    this.#onRoom = listener
    this.#isTold = false
  }

  /** Calls `listener` when the name that stood in for an account's workspace or organisation gets a surer one. */
  whenLearned(listener: LearnedListener): void {
    this.#places.whenLearned(listener)
  }

  get size(): number {
    return this.#entries.size
  }

  /** Every account, disabled ones too. */
  get accounts(): readonly Account[] {
    return [...this.#entries.values()].map(({ live }) => live.account)
  }

  account(id: string): LiveAccount | null {
    return this.#entries.get(id)?.live ?? null
  }

  headroom(id: string): HeadroomRow | null {
    return this.#entries.get(id)?.headroom ?? null
  }

  /** In whose prompt cache it reads and writes: a workspace that upstream told, or a name that stands in for it. */
  workspaceOf(id: string): string {
    return this.#entries.get(id)?.workspace.name ?? id
  }

  /**
   * Every enabled account as selection sees it, for a model and its class; `tags`: those of which an account
   * must carry one, null: any. The last one that could serve is paced rather than resting.
   */
  candidates(
    model: string,
    modelClass: string,
    { tags = null, isFast = false, alsoRests }: Wishes = {},
  ): readonly Candidate[] {
    const nowMs = this.#book.nowMs()
    const monotonicMs = this.#clock.monotonicMs()
    const limited = limitedPartOf({ modelClass, isFast })
    const parts = partsOf({ model, modelClass, isFast })
    let modelRestMs = this.#overload.restMs(modelClass, monotonicMs)
    if (isFast) modelRestMs = Math.max(modelRestMs, this.#overload.restMs(limited, monotonicMs))
    const restOfAll = restOfModel(modelRestMs)
    const list: Candidate[] = []
    for (const entry of this.#entries.values()) {
      const { account } = entry.live
      if (account.disabledAtMs !== null) continue
      const bucket = bucketOf(entry, limited)
      const workspaceBucket = workspaceBucketOf(entry, limited)
      const fullMs = Math.max(
        this.#limits.waitMs(bucket, monotonicMs),
        this.#limits.waitMs(workspaceBucket, monotonicMs),
        this.#refusals.waitMs(organizationOf(entry), limited, monotonicMs),
      )
      let rest = restOfParts(this.#book.partsOf(account.id), entry.trials, parts, nowMs)
      rest = longerOf(rest, restByPerson(account, nowMs))
      if (entry.hours !== null) rest = longerOf(rest, restUntilOpen(entry.hours.opensInMs(nowMs)))
      rest = longerOf(longerOf(rest, restByLimits(fullMs)), restOfAll)
      if (alsoRests !== undefined) rest = longerOf(rest, alsoRests(entry.live))
      list.push({
        id: account.id,
        priority: account.priority,
        weight: account.weight,
        inFlight: entry.inFlight,
        concurrencyLimit: account.concurrencyLimit,
        rpmWaitMs: ownWaitMs(entry, monotonicMs),
        rest,
        servesModel: matchesModel(account.models, model),
        idleMs: monotonicMs - entry.lastUsedMs,
        classIdleMs: monotonicMs - (entry.lastUsedByPart.get(limited) ?? Number.NEGATIVE_INFINITY),
        tags: account.tags,
        workspace: entry.workspace.certainty === 0 ? null : entry.workspace.name,
        organization: entry.headroom?.organizationId ?? null,
        firstTokenMs: entry.firstToken.usualMs(modelClass, monotonicMs),
        headroom: leastOf(
          this.#limits.share(bucket, monotonicMs),
          this.#limits.share(workspaceBucket, monotonicMs),
        ),
      })
    }
    return paced(list, tags)
  }

  /** An attempt takes a slot, one request of the account's RPM and its input of the TPM; null: the account is gone. */
  take(id: string, taker: Taker): Slot | null {
    const entry = this.#entries.get(id)
    if (entry === undefined) return null
    const atMs = this.#clock.monotonicMs()
    const { modelClass, inputTokens = 0 } = taker
    this.#book.sent(id, taker.keyId)
    const bucket = bucketOf(entry, modelClass)
    if (!isCountPart(modelClass)) this.#foreignUse.sent(bucket, atMs)
    const limited = limitedPartOf(taker)
    return openSlot({
      entry,
      taker,
      sent: { bucket, atMs },
      trials: this.#trialsOf(entry, taker),
      reservations: [bucketOf(entry, limited), workspaceBucketOf(entry, limited)].map((one) =>
        this.#limits.reserve(one, inputTokens, atMs),
      ),
      monotonicMs: () => this.#clock.monotonicMs(),
      onFree: () => this.#tellRoom(),
    })
  }

  /** Health learns from how an attempt ended. Evidence of an older credential is ignored. */
  observe(id: string, evidence: Evidence, about: About): void {
    const nowMs = this.#clock.monotonicMs()
    const agoMs = this.#book.nowMs() - evidence.sentAtMs
    const monotonic = { ...evidence, sentAtMs: nowMs - agoMs }
    const organization = this.headroom(id)?.organizationId ?? id
    const limited = limitedPartOf(about)
    if (evidence.kind === 'ok') {
      this.#overload.succeeded(about.modelClass, monotonic, nowMs)
      if (about.isFast === true) this.#overload.succeeded(limited, monotonic, nowMs)
      this.#refusals.served(organization, limited, monotonic.sentAtMs)
      this.#tellRoom()
    }
    if (evidence.kind === 'rate_limited' && evidence.restMs !== null)
      this.#refusals.refused(organization, limited, evidence.restMs, nowMs)
    if (
      evidence.kind === 'overloaded' &&
      this.#overload.overloaded(limited, organization, monotonic, nowMs)
    )
      return
    this.#book.observe(id, evidence, about)
  }

  /** What earlier runs knew of the rate limits, the organisation and the workspace of an account. */
  restoreHeadroom(row: HeadroomRow): void {
    const entry = this.#entries.get(row.accountId)
    if (entry === undefined || entry.headroom !== null) return
    this.#places.told(entry, row)
  }

  /** What upstream said of its rate limits; null parts keep what was known. */
  noteHeadroom(row: HeadroomRow): void {
    const entry = this.#entries.get(row.accountId)
    if (entry === undefined) return
    this.#places.told(entry, row)
    this.#dirtyHeadroom.add(row.accountId)
  }

  /**
   * What the headers of an answer told of upstream's limits on a model class, or a part of it such as
   * `fastPart`: for the whole organisation, and for the workspace where that may have a limit of its own.
   */
  noteLimits(
    id: string,
    modelClass: string,
    figures: Readonly<Partial<Record<LimitName, ToldLimit>>>,
  ): void {
    const entry = this.#entries.get(id)
    if (entry === undefined) return
    const nowMs = this.#clock.monotonicMs()
    // The tightest sum may be that of a workspace: others of the organisation have more.
    const { tokens, ...shared } = figures
    this.#limits.told(bucketOf(entry, modelClass), shared, nowMs)
    this.#limits.told(workspaceBucketOf(entry, modelClass), { tokens }, nowMs)
  }

  /** What the answer in `slot` told of the requests that are left; use that is not ours is noted. */
  noteRequestsLeft({ live, sent }: Slot, { limit, remaining }: ToldLimit): void {
    const accountId = live.account.id
    const told = { limit, remaining, sentMs: sent.atMs, accountId }
    const foreign = this.#foreignUse.observed(sent.bucket, told, this.#clock.monotonicMs())
    if (foreign === null) return
    this.note({
      accountId,
      kind: NOTICE_KINDS.foreignUse,
      message: `its key is used elsewhere too (about ${foreign.requests} requests)`,
      requestId: null,
    })
  }

  /** Something that people should know of an account, beside its health. */
  note(event: Omit<AccountEvent, 'atMs'>): void {
    this.#book.note(event)
  }

  /** Accounts that only a free probe can bring back. */
  probeable(): { live: LiveAccount; state: 'unauthorized' | 'out_of_credit'; sinceMs: number }[] {
    const list: { live: LiveAccount; state: 'unauthorized' | 'out_of_credit'; sinceMs: number }[] =
      []
    for (const { live } of this.#entries.values()) {
      const whole = this.#book.partsOf(live.account.id).get('')
      if (live.account.disabledAtMs !== null || whole === undefined) continue
      const { state, untilMs, sinceMs } = whole
      if (state === 'unauthorized' || (state === 'out_of_credit' && untilMs === null))
        list.push({ live, state, sinceMs })
    }
    return list
  }

  /** A probe succeeded: the account-wide rest ends. */
  recovered(id: string): void {
    this.#book.recovered(id)
    this.#tellRoom()
  }

  /** Accounts for people: `resting` where any part of one rests, the free count aside, or it is closed. */
  counts(): { healthy: number; resting: number; disabled: number } {
    const nowMs = this.#book.nowMs()
    const counts = { healthy: 0, resting: 0, disabled: 0 }
    for (const { live, hours } of this.#entries.values()) {
      const parts = this.#book.partsOf(live.account.id)
      const isClosed = hours !== null && hours.opensInMs(nowMs) > 0
      const isResting = [...parts].some(
        ([part, health]) => !isCountPart(part) && rests(health, nowMs),
      )
      if (live.account.disabledAtMs !== null) counts.disabled++
      else if (isResting || isClosed || restByPerson(live.account, nowMs) !== null) counts.resting++
      else counts.healthy++
    }
    return counts
  }

  /** The state of every account, in the words of `accounts list`; caps aside. */
  states(): readonly AccountState[] {
    const now = { nowMs: this.#book.nowMs(), timeZone: this.#timeZone }
    const monotonicMs = this.#clock.monotonicMs()
    return [...this.#entries].map(([id, entry]) =>
      accountStateOf(conditionOf(entry, this.#book.partsOf(id), monotonicMs), now),
    )
  }

  /** Takes back changes that could not be written; what has changed again since stays as it is. */
  giveBack(changes: PoolChanges): void {
    this.#book.giveBack(changes)
    for (const { accountId } of changes.headroom) this.#dirtyHeadroom.add(accountId)
  }

  /** Hands over what changed since the last call; null when nothing did. */
  takeChanges(): PoolChanges | null {
    const changes = this.#book.takeChanges()
    const headroom: HeadroomRow[] = []
    for (const id of this.#dirtyHeadroom) {
      const row = this.#entries.get(id)?.headroom
      if (row) headroom.push(row)
    }
    this.#dirtyHeadroom.clear()
    if (changes === null && headroom.length === 0) return null
    return { health: [], events: [], ...changes, headroom }
  }

  /** Once per turn, and only when all that belongs to the event has been noted. */
  #tellRoom(): void {
    if (this.#isTold) return
    this.#isTold = true
    queueMicrotask(() => {
      this.#isTold = false
      this.#onRoom()
    })
  }

  /** The parts of the account's health that this attempt puts to the test. */
  #trialsOf(entry: Entry, taker: Taker): readonly string[] {
    const parts = this.#book.partsOf(entry.live.account.id)
    const nowMs = this.#book.nowMs()
    return partsOf(taker).filter((part) => {
      const health = parts.get(part)
      return health !== undefined && isHalfOpen(health, nowMs)
    })
  }
}

function leastOf(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : Math.min(a, b)
}
