import { isCountPart } from '../core/account-state.ts'
import type { Clock } from '../core/clock.ts'
import type { Account, AccountEvent, HeadroomRow, HealthRow } from '../core/model.ts'
import { matchesModel } from '../core/model-glob.ts'
import { RateWindow } from '../core/window.ts'
import type { CooldownPolicy, Evidence, Health } from './cooldown.ts'
import { afterAttempt, HEALTHY, rests, scopeOf } from './cooldown.ts'
import type { Candidate } from './select.ts'

/** An account that may serve, with its credential opened. */
export interface LiveAccount {
  readonly account: Account
  readonly credential: string
}

interface Entry {
  live: LiveAccount
  readonly window: RateWindow
  inFlight: number
  /** On the monotonic clock. */
  lastUsedMs: number
  /** By model class; '' is the account as a whole. */
  readonly health: Map<string, Health>
  headroom: HeadroomRow | null
}

/** A wall clock that moves this much against the monotonic one was set, not slewed. */
const JUMP_MS = 1_000
/** While the store takes nothing, this many events wait for it. */
const MOST_EVENTS = 1_000

/** What the daemon writes down after health or headroom changed. */
export interface PoolChanges {
  readonly health: readonly HealthRow[]
  readonly headroom: readonly HeadroomRow[]
  readonly events: readonly AccountEvent[]
}

/**
 * The live accounts: load, limits and health, in memory. It is told what happens and answers what is;
 * whom to choose is `select`, what a failure means is `afterAttempt`.
 */
export class Pool {
  readonly #entries = new Map<string, Entry>()
  readonly #clock: Clock
  readonly #random: () => number
  readonly #policy: CooldownPolicy
  readonly #dirtyHealth = new Map<string, HealthRow>()
  readonly #dirtyHeadroom = new Set<string>()
  #events: AccountEvent[] = []
  /** Wall time less monotonic time, when last asked. */
  #gapMs: number

  constructor(options: { clock: Clock; random: () => number; policy: CooldownPolicy }) {
    this.#clock = options.clock
    this.#random = options.random
    this.#policy = options.policy
    this.#gapMs = options.clock.nowMs() - options.clock.monotonicMs()
  }

  /**
   * Takes the accounts as the store has them now, keeping load and health of those that stay. What a person
   * cleared, and what an older credential earned, no longer counts.
   */
  reload(accounts: readonly LiveAccount[], stored: readonly HealthRow[]): void {
    const nowMs = this.#nowMs()
    const keep = new Set(accounts.map((live) => live.account.id))
    for (const id of this.#entries.keys()) if (!keep.has(id)) this.#entries.delete(id)
    for (const live of accounts) {
      const { account } = live
      let entry = this.#entries.get(account.id)
      if (entry === undefined) {
        entry = {
          live,
          window: new RateWindow(),
          inFlight: 0,
          lastUsedMs: Number.NEGATIVE_INFINITY,
          health: new Map(),
          headroom: null,
        }
        for (const row of stored) {
          if (row.accountId === account.id && row.credentialVersion === account.credentialVersion) {
            entry.health.set(row.modelClass, healthOf(row, nowMs))
          }
        }
        this.#entries.set(account.id, entry)
      } else if (entry.live.account.credentialVersion !== account.credentialVersion) {
        for (const modelClass of [...entry.health.keys()])
          this.#setHealth(entry, modelClass, HEALTHY)
      }
      entry.live = live
      const clearedAtMs = account.cooldownClearedAtMs
      if (clearedAtMs === null) continue
      for (const [modelClass, health] of entry.health) {
        if (health.state !== 'healthy' && health.sinceMs <= clearedAtMs)
          this.#setHealth(entry, modelClass, HEALTHY)
      }
    }
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

  /** Every enabled account as selection sees it, for a model and its class. */
  candidates(model: string, modelClass: string): Candidate[] {
    const nowMs = this.#nowMs()
    const monotonicMs = this.#clock.monotonicMs()
    const list: Candidate[] = []
    for (const entry of this.#entries.values()) {
      const { account } = entry.live
      if (account.disabledAtMs !== null) continue
      list.push({
        id: account.id,
        priority: account.priority,
        weight: account.weight,
        inFlight: entry.inFlight,
        concurrencyLimit: account.concurrencyLimit,
        rpmWaitMs:
          account.rpmLimit === null ? 0 : entry.window.waitMs(account.rpmLimit, monotonicMs),
        rest: restOf(entry, ['', modelClass, model], nowMs),
        servesModel: matchesModel(account.models, model),
        idleMs: monotonicMs - entry.lastUsedMs,
      })
    }
    return list
  }

  /** An attempt takes a slot and one request of the account's RPM. */
  attemptStarted(id: string): void {
    const entry = this.#entries.get(id)
    if (entry === undefined) return
    entry.inFlight++
    const monotonicMs = this.#clock.monotonicMs()
    entry.lastUsedMs = monotonicMs
    const limit = entry.live.account.rpmLimit
    if (limit !== null) entry.window.take(limit, monotonicMs)
  }

  /** The attempt never left: slot and RPM go back. */
  attemptCancelled(id: string): void {
    const entry = this.#entries.get(id)
    if (entry === undefined) return
    entry.inFlight--
    const limit = entry.live.account.rpmLimit
    if (limit !== null) entry.window.giveBack(limit)
  }

  /** The slot is free again. */
  attemptReleased(id: string): void {
    const entry = this.#entries.get(id)
    if (entry !== undefined) entry.inFlight--
  }

  /** Health learns from how an attempt ended. Evidence of an older credential is ignored. */
  observe(
    id: string,
    modelClass: string,
    evidence: Evidence,
    about: { credentialVersion: number; requestId: string; model: string },
  ): void {
    const entry = this.#entries.get(id)
    if (entry === undefined || entry.live.account.credentialVersion !== about.credentialVersion)
      return
    const scope = scopeOf(evidence.kind)
    if (scope === 'none') return
    // A limit belongs to the bucket that models share; what is forbidden is one model.
    const part = scope === 'account' ? '' : evidence.kind === 'forbidden' ? about.model : modelClass
    const before = entry.health.get(part) ?? HEALTHY
    const after = afterAttempt(before, evidence, {
      nowMs: this.#nowMs(),
      jitter: this.#random(),
      policy: this.#policy,
    })
    if (after !== before) this.#setHealth(entry, part, after, about.requestId)
    // An answer of any kind but a dead connection proves the account reachable and its credential good.
    if (evidence.kind === 'ok') {
      const whole = entry.health.get('')
      if (whole !== undefined && whole !== HEALTHY) {
        const better = afterAttempt(whole, evidence, {
          nowMs: this.#nowMs(),
          jitter: 0,
          policy: this.#policy,
        })
        if (better !== whole) this.#setHealth(entry, '', better, about.requestId)
      }
    }
  }

  /** What upstream said of its rate limits; null parts keep what was known. */
  noteHeadroom(row: HeadroomRow): void {
    const entry = this.#entries.get(row.accountId)
    if (entry === undefined) return
    entry.headroom = row
    this.#dirtyHeadroom.add(row.accountId)
  }

  /** Accounts that only a free probe can bring back. */
  probeable(): { live: LiveAccount; state: 'unauthorized' | 'out_of_credit'; sinceMs: number }[] {
    const list: { live: LiveAccount; state: 'unauthorized' | 'out_of_credit'; sinceMs: number }[] =
      []
    for (const entry of this.#entries.values()) {
      const whole = entry.health.get('')
      if (entry.live.account.disabledAtMs !== null || whole === undefined) continue
      if (
        whole.state === 'unauthorized' ||
        (whole.state === 'out_of_credit' && whole.untilMs === null)
      ) {
        list.push({ live: entry.live, state: whole.state, sinceMs: whole.sinceMs })
      }
    }
    return list
  }

  /** A probe succeeded: the account-wide rest ends. */
  recovered(id: string): void {
    const entry = this.#entries.get(id)
    if (entry?.health.has('')) this.#setHealth(entry, '', HEALTHY)
  }

  /** Accounts for people: `resting` where any part of one rests, the free count aside. */
  counts(): { healthy: number; resting: number; disabled: number } {
    const nowMs = this.#nowMs()
    const counts = { healthy: 0, resting: 0, disabled: 0 }
    for (const entry of this.#entries.values()) {
      if (entry.live.account.disabledAtMs !== null) counts.disabled++
      else if (restOf(entry, paidParts(entry), nowMs) !== null) counts.resting++
      else counts.healthy++
    }
    return counts
  }

  /** Takes back changes that could not be written; what has changed again since stays as it is. */
  giveBack(changes: PoolChanges): void {
    for (const row of changes.health) {
      const key = `${row.accountId} ${row.modelClass}`
      if (!this.#dirtyHealth.has(key)) this.#dirtyHealth.set(key, row)
    }
    for (const { accountId } of changes.headroom) this.#dirtyHeadroom.add(accountId)
    this.#events = [...changes.events, ...this.#events].slice(-MOST_EVENTS)
  }

  /** Hands over what changed since the last call; null when nothing did. */
  takeChanges(): PoolChanges | null {
    if (this.#dirtyHealth.size === 0 && this.#dirtyHeadroom.size === 0 && this.#events.length === 0)
      return null
    const headroom: HeadroomRow[] = []
    for (const id of this.#dirtyHeadroom) {
      const row = this.#entries.get(id)?.headroom
      if (row) headroom.push(row)
    }
    const changes = { health: [...this.#dirtyHealth.values()], headroom, events: this.#events }
    this.#dirtyHealth.clear()
    this.#dirtyHeadroom.clear()
    this.#events = []
    return changes
  }

  #setHealth(
    entry: Entry,
    modelClass: string,
    health: Health,
    requestId: string | null = null,
  ): void {
    const before = entry.health.get(modelClass) ?? HEALTHY
    entry.health.set(modelClass, health)
    // Counting failures is memory's business; people and later runs need states only.
    if (
      before.state === health.state &&
      before.untilMs === health.untilMs &&
      before.step === health.step
    )
      return
    this.#writeDown(entry, modelClass, health)
    if (before.state === 'healthy' && health.state === 'healthy') return
    this.#events.push({
      accountId: entry.live.account.id,
      atMs: this.#nowMs(),
      kind: health.state === 'healthy' ? 'recovered' : health.state,
      message: health.state === 'healthy' ? before.reason : health.reason,
      requestId,
    })
  }

  #writeDown(entry: Entry, modelClass: string, health: Health): void {
    const { account } = entry.live
    this.#dirtyHealth.set(`${account.id} ${modelClass}`, {
      accountId: account.id,
      modelClass,
      state: health.state,
      reason: health.reason,
      httpStatus: health.httpStatus,
      upstreamRequestId: health.upstreamRequestId,
      sinceMs: health.sinceMs,
      untilMs: health.untilMs,
      step: health.step,
      credentialVersion: account.credentialVersion,
    })
  }

  /**
   * Wall time. When the wall clock was set, rests move along with it: they last by the monotonic clock,
   * while rows and people go by wall time.
   */
  #nowMs(): number {
    const nowMs = this.#clock.nowMs()
    const gapMs = nowMs - this.#clock.monotonicMs()
    const jumpMs = Math.round(gapMs - this.#gapMs)
    this.#gapMs = gapMs
    if (Math.abs(jumpMs) < JUMP_MS) return nowMs
    for (const entry of this.#entries.values()) {
      for (const [modelClass, before] of entry.health) {
        if (before === HEALTHY) continue
        const health = shifted(before, jumpMs)
        entry.health.set(modelClass, health)
        this.#writeDown(entry, modelClass, health)
      }
    }
    return nowMs
  }
}

function paidParts(entry: Entry): string[] {
  return [...entry.health.keys()].filter((part) => !isCountPart(part))
}

/** The longest rest among these parts of an account that keeps requests away now. */
function restOf(entry: Entry, parts: Iterable<string>, nowMs: number): Candidate['rest'] {
  const { cooldownUntilMs } = entry.live.account
  let longest: Candidate['rest'] = null
  if (cooldownUntilMs !== null && cooldownUntilMs > nowMs)
    longest = { kind: 'unhealthy', forMs: cooldownUntilMs - nowMs }
  for (const part of parts) {
    const health = entry.health.get(part)
    if (health === undefined || !rests(health, nowMs)) continue
    const forMs = health.untilMs === null ? null : health.untilMs - nowMs
    if (longest !== null && (longest.forMs === null || (forMs !== null && forMs <= longest.forMs)))
      continue
    longest = { kind: health.state === 'rate_limited' ? 'limited' : 'unhealthy', forMs }
  }
  return longest
}

/** A stored state. One that began in the future was written by a clock that was wrong: it begins now. */
function healthOf(row: HealthRow, nowMs: number): Health {
  return shifted(
    {
      ...HEALTHY,
      state: row.state,
      reason: row.reason,
      httpStatus: row.httpStatus,
      upstreamRequestId: row.upstreamRequestId,
      sinceMs: row.sinceMs,
      untilMs: row.untilMs,
      step: row.step,
    },
    Math.min(0, nowMs - row.sinceMs),
  )
}

/** The same state, as it stands after the wall clock moved by `byMs`. */
function shifted(health: Health, byMs: number): Health {
  const untilMs = health.untilMs === null ? null : health.untilMs + byMs
  return { ...health, sinceMs: health.sinceMs + byMs, untilMs }
}
