import { NOTICE_KINDS } from '../core/account-notices.ts'
import { isCountPart } from '../core/account-state.ts'
import type { Clock } from '../core/clock.ts'
import type { Account, AccountEvent, HeadroomRow, HealthRow } from '../core/model.ts'
import { matchesModel } from '../core/model-glob.ts'
import { RateWindow } from '../core/window.ts'
import type { Candidate, Rest } from './candidate.ts'
import type { CooldownPolicy, Evidence } from './cooldown.ts'
import { isHalfOpen, isSoft, rests } from './cooldown.ts'
import { ForeignUseWatch } from './foreign-use.ts'
import { type About, HealthBook, type HealthChanges, type HealthParts } from './health-book.ts'
import { ModelOverload } from './model-overload.ts'
import { paced } from './pace.ts'
import { type LimitName, type ToldLimit, UpstreamLimits } from './upstream-limits.ts'

/** An account that may serve, with its secrets opened. */
export interface LiveAccount {
  readonly account: Account
  readonly credential: string
  /** The whole URL of its own outbound proxy; null: the server's. */
  readonly proxy: string | null
}

/** Who takes a slot, and for what. */
export interface Taker {
  readonly keyId: string
  readonly model: string
  /** The part of an account's health that this concerns: the model class, for counts `countPart` of it. */
  readonly modelClass: string
  /** About how many tokens of it upstream's limits will count: without what is cached. */
  readonly inputTokens?: number
}

/** A place in an account that one attempt has. `release` or `cancel` it, once; more calls change nothing. */
export interface Slot {
  readonly live: LiveAccount
  /** Which of upstream's limits it counts against, as far as that was known, and since when (monotonic). */
  readonly sent: { readonly bucket: string; readonly atMs: number }
  /** The attempt is over. */
  release(): void
  /** The answer has begun: so many tokens of input count against upstream's limits. */
  began(inputTokens: number): void
  /** The attempt never left: its part of the account's RPM goes back as well. */
  cancel(): void
}

interface Entry {
  live: LiveAccount
  readonly window: RateWindow
  inFlight: number
  /** On the monotonic clock. */
  lastUsedMs: number
  /** Attempts that find out whether a part that rested is well again, by part. */
  readonly trials: Map<string, number>
  headroom: HeadroomRow | null
}

/** While one request finds out whether an account is well again, others look again after so long. */
const TRIAL_MS = 1_000

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
  readonly #foreignUse = new ForeignUseWatch()
  readonly #dirtyHeadroom = new Set<string>()
  #onRoom: () => void = () => {}
  #isTold = true

  constructor(options: { clock: Clock; random: () => number; policy: CooldownPolicy }) {
    this.#clock = options.clock
    this.#book = new HealthBook(options)
    this.#overload = new ModelOverload(options)
  }

  /** Takes the accounts as the store has them now, keeping load and health of those that stay. */
  reload(accounts: readonly LiveAccount[], stored: readonly HealthRow[]): void {
    const keep = new Set(accounts.map((live) => live.account.id))
    for (const id of this.#entries.keys()) if (!keep.has(id)) this.#entries.delete(id)
    this.#book.keepOnly(keep)
    for (const live of accounts) {
      const entry = this.#entries.get(live.account.id)
      if (entry === undefined) this.#entries.set(live.account.id, newEntry(live))
      else entry.live = live
      this.#book.admit(live.account, stored)
    }
    this.#tellRoom()
  }

  /** Calls `listener` soon after any account may be able to serve more than before. */
  whenRoom(listener: () => void): void {
    this.#onRoom = listener
    this.#isTold = false
  }

  get size(): number {
    return this.#entries.size
  }

  account(id: string): LiveAccount | null {
    return this.#entries.get(id)?.live ?? null
  }

  headroom(id: string): HeadroomRow | null {
    return this.#entries.get(id)?.headroom ?? null
  }

  /**
   * Every enabled account as selection sees it, for a model and its class; `tags`: those of which an account
   * must carry one, null: any. The last one that could serve is paced rather than resting.
   */
  candidates(
    model: string,
    modelClass: string,
    tags: readonly string[] | null = null,
  ): readonly Candidate[] {
    const nowMs = this.#book.nowMs()
    const monotonicMs = this.#clock.monotonicMs()
    const modelRestMs = this.#overload.restMs(modelClass, monotonicMs)
    const list: Candidate[] = []
    for (const entry of this.#entries.values()) {
      const { account } = entry.live
      if (account.disabledAtMs !== null) continue
      const parts = this.#book.partsOf(account.id)
      const bucket = bucketOf(entry, modelClass)
      const fullMs = this.#limits.waitMs(bucket, monotonicMs)
      const ill = restOf(entry, parts, [...new Set(['', modelClass, model])], nowMs)
      const own = fullMs === 0 ? ill : longerOf(ill, upstreamRest(fullMs))
      list.push({
        id: account.id,
        priority: account.priority,
        weight: account.weight,
        inFlight: entry.inFlight,
        concurrencyLimit: account.concurrencyLimit,
        rpmWaitMs:
          account.rpmLimit === null ? 0 : entry.window.waitMs(account.rpmLimit, monotonicMs),
        rest: modelRestMs === 0 ? own : longerOf(own, modelRest(modelRestMs)),
        servesModel: matchesModel(account.models, model),
        idleMs: monotonicMs - entry.lastUsedMs,
        workspace: entry.headroom?.workspaceId ?? null,
        organization: entry.headroom?.organizationId ?? null,
        headroom: this.#limits.share(bucket, monotonicMs),
      })
    }
    return paced(list, tags)
  }

  /** An attempt takes a slot and one request of the account's RPM; null when the account is gone. */
  take(id: string, taker: Taker): Slot | null {
    const entry = this.#entries.get(id)
    if (entry === undefined) return null
    entry.inFlight++
    const monotonicMs = this.#clock.monotonicMs()
    entry.lastUsedMs = monotonicMs
    const limit = entry.live.account.rpmLimit
    if (limit !== null) entry.window.take(limit, monotonicMs)
    this.#book.sent(id, taker.keyId)
    const trials = this.#beginTrials(entry, taker)
    const bucket = bucketOf(entry, taker.modelClass)
    const part = this.#limits.reserve(bucket, taker.inputTokens ?? 0, monotonicMs)
    if (!isCountPart(taker.modelClass)) this.#foreignUse.sent(bucket, monotonicMs)
    let isOpen = true
    const release = (): boolean => {
      if (!isOpen) return false
      isOpen = false
      entry.inFlight--
      part.giveBack()
      for (const part of trials) entry.trials.set(part, (entry.trials.get(part) ?? 1) - 1)
      this.#tellRoom()
      return true
    }
    return {
      live: entry.live,
      sent: { bucket, atMs: monotonicMs },
      began: part.began,
      release,
      cancel() {
        if (release() && limit !== null) entry.window.giveBack(limit)
      },
    }
  }

  /** Health learns from how an attempt ended. Evidence of an older credential is ignored. */
  observe(id: string, evidence: Evidence, about: About): void {
    const nowMs = this.#clock.monotonicMs()
    const agoMs = this.#book.nowMs() - evidence.sentAtMs
    const monotonic = { ...evidence, sentAtMs: nowMs - agoMs }
    if (evidence.kind === 'ok') {
      this.#overload.succeeded(about.modelClass, monotonic, nowMs)
      this.#tellRoom()
    }
    if (evidence.kind === 'overloaded') {
      const organization = this.headroom(id)?.organizationId ?? id
      if (this.#overload.overloaded(about.modelClass, organization, monotonic, nowMs)) return
    }
    this.#book.observe(id, evidence, about)
  }

  /** What earlier runs knew of the rate limits, the organisation and the workspace of an account. */
  restoreHeadroom(row: HeadroomRow): void {
    const entry = this.#entries.get(row.accountId)
    if (entry !== undefined) entry.headroom ??= row
  }

  /** What upstream said of its rate limits; null parts keep what was known. */
  noteHeadroom(row: HeadroomRow): void {
    const entry = this.#entries.get(row.accountId)
    if (entry === undefined) return
    entry.headroom = row
    this.#dirtyHeadroom.add(row.accountId)
  }

  /** What the headers of an answer told of upstream's limits on a model class, for the whole organisation. */
  noteLimits(
    id: string,
    modelClass: string,
    figures: Readonly<Partial<Record<LimitName, ToldLimit>>>,
  ): void {
    const entry = this.#entries.get(id)
    if (entry === undefined) return
    this.#limits.told(bucketOf(entry, modelClass), figures, this.#clock.monotonicMs())
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

  /** Accounts for people: `resting` where any part of one rests, the free count aside. */
  counts(): { healthy: number; resting: number; disabled: number } {
    const nowMs = this.#book.nowMs()
    const counts = { healthy: 0, resting: 0, disabled: 0 }
    for (const { live } of this.#entries.values()) {
      const parts = this.#book.partsOf(live.account.id)
      const isResting = [...parts].some(
        ([part, health]) => !isCountPart(part) && rests(health, nowMs),
      )
      if (live.account.disabledAtMs !== null) counts.disabled++
      else if (isResting || restByPerson(live.account, nowMs) !== null) counts.resting++
      else counts.healthy++
    }
    return counts
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
  #beginTrials(entry: Entry, { model, modelClass }: Taker): readonly string[] {
    const parts = this.#book.partsOf(entry.live.account.id)
    const nowMs = this.#book.nowMs()
    const trials = [...new Set(['', modelClass, model])].filter((part) => {
      const health = parts.get(part)
      return health !== undefined && isHalfOpen(health, nowMs)
    })
    for (const part of trials) entry.trials.set(part, (entry.trials.get(part) ?? 0) + 1)
    return trials
  }
}

function newEntry(live: LiveAccount): Entry {
  return {
    live,
    window: new RateWindow(),
    inFlight: 0,
    lastUsedMs: Number.NEGATIVE_INFINITY,
    trials: new Map(),
    headroom: null,
  }
}

/** The longest rest among these parts of an account that keeps requests away now; soft when all of them are. */
function restOf(
  { live, trials }: Entry,
  parts: HealthParts,
  wanted: readonly string[],
  nowMs: number,
): Rest | null {
  let longest = restByPerson(live.account, nowMs)
  for (const part of wanted) {
    const health = parts.get(part)
    if (health === undefined) continue
    const kind = health.state === 'rate_limited' ? 'limited' : 'unhealthy'
    if (rests(health, nowMs)) {
      const forMs = health.untilMs === null ? null : health.untilMs - nowMs
      longest = longerOf(longest, { kind, forMs, isSoft: isSoft(health) })
    } else if (isHalfOpen(health, nowMs) && (trials.get(part) ?? 0) > 0) {
      longest = longerOf(longest, { kind, forMs: TRIAL_MS, isSoft: true })
    }
  }
  return longest
}

function restByPerson({ cooldownUntilMs }: Account, nowMs: number): Rest | null {
  if (cooldownUntilMs === null || cooldownUntilMs <= nowMs) return null
  return { kind: 'unhealthy', forMs: cooldownUntilMs - nowMs, isSoft: false }
}

/** Accounts of one organisation share its limits; one that has not told which it is has its own. */
function bucketOf({ live, headroom }: Entry, modelClass: string): string {
  return `${headroom?.organizationId ?? live.account.id} ${modelClass}`
}

/** Our own sum of what is left may be wrong: so it is soft, and the last account is still asked now and then. */
function upstreamRest(forMs: number): Rest {
  return { kind: 'limited', forMs, isSoft: true }
}

function modelRest(forMs: number): Rest {
  return { kind: 'unhealthy', forMs, isSoft: true }
}

function longerOf(a: Rest | null, b: Rest): Rest {
  if (a === null) return b
  const isSoft = a.isSoft === true && b.isSoft === true
  const isLonger = b.forMs === null || (a.forMs !== null && b.forMs > a.forMs)
  return { ...(a.forMs !== null && isLonger ? b : a), isSoft }
}
