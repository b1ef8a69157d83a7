import { fastPart } from '../core/account-state.ts'
import type { Clock } from '../core/clock.ts'
import type { Account, AccountEvent, HealthRow } from '../core/model.ts'
import type { CooldownPolicy, Evidence, Health } from './cooldown.ts'
import { afterAttempt, HEALTHY, isSoft, scopeOf } from './cooldown.ts'
import { Suspicion } from './suspicion.ts'

/** Which request an outcome belongs to. */
export interface About {
  readonly credentialVersion: number
  readonly requestId: string
  readonly model: string
  readonly modelClass: string
  /** It asked for fast mode, which upstream limits apart. */
  readonly isFast?: boolean
}

/** What the daemon writes down after health changed. */
export interface HealthChanges {
  readonly health: readonly HealthRow[]
  readonly events: readonly AccountEvent[]
}

/** Health of one account by model class, or model where it is refused; '' is the account as a whole. */
export type HealthParts = ReadonlyMap<string, Health>

/** A wall clock that moves this much against the monotonic one was set, not slewed. */
const JUMP_MS = 1_000
/** While the store takes nothing, this many events wait for it. */
const MOST_EVENTS = 1_000
const NO_PARTS: HealthParts = new Map()

interface Page {
  readonly accountId: string
  credentialVersion: number
  readonly parts: Map<string, Health>
}

/**
 * Keeps the health of every account and what has to be written down of it. What a failure means is
 * `afterAttempt`; whose word counts is `Suspicion`.
 */
export class HealthBook {
  readonly #pages = new Map<string, Page>()
  readonly #clock: Clock
  readonly #random: () => number
  readonly #policy: CooldownPolicy
  readonly #suspicion = new Suspicion()
  readonly #dirty = new Map<string, HealthRow>()
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
   * Wall time. When the wall clock was set, rests move along with it: they last by the monotonic clock,
   * while rows and people go by wall time.
   */
  nowMs(): number {
    const nowMs = this.#clock.nowMs()
    const gapMs = nowMs - this.#clock.monotonicMs()
    const jumpMs = Math.round(gapMs - this.#gapMs)
    this.#gapMs = gapMs
    if (Math.abs(jumpMs) < JUMP_MS) return nowMs
    for (const page of this.#pages.values()) {
      for (const [part, before] of page.parts) {
        if (before === HEALTHY) continue
        const health = shifted(before, jumpMs)
        page.parts.set(part, health)
        this.#writeDown(page, part, health)
      }
    }
    return nowMs
  }

  partsOf(accountId: string): HealthParts {
    return this.#pages.get(accountId)?.parts ?? NO_PARTS
  }

  /**
   * Takes an account as the store has it now. What a person cleared, and what an older credential earned, no
   * longer counts; `stored` is what earlier runs left, for accounts that are new here.
   */
  admit(account: Account, stored: readonly HealthRow[]): void {
    const { id, credentialVersion, cooldownClearedAtMs } = account
    let page = this.#pages.get(id)
    if (page === undefined) {
      page = { accountId: id, credentialVersion, parts: new Map() }
      const nowMs = this.nowMs()
      for (const row of stored) {
        if (row.accountId === id && row.credentialVersion === credentialVersion)
          page.parts.set(row.modelClass, healthOf(row, nowMs))
      }
      this.#pages.set(id, page)
    } else if (page.credentialVersion !== credentialVersion) {
      for (const part of [...page.parts.keys()]) this.#set(page, part, HEALTHY)
    }
    page.credentialVersion = credentialVersion
    if (cooldownClearedAtMs === null) return
    for (const [part, health] of page.parts) {
      if (health.state !== 'healthy' && health.sinceMs <= cooldownClearedAtMs)
        this.#set(page, part, HEALTHY)
    }
  }

  /** Forgets accounts that are gone. */
  keepOnly(ids: ReadonlySet<string>): void {
    for (const id of this.#pages.keys()) if (!ids.has(id)) this.#pages.delete(id)
    this.#suspicion.keepOnly(ids)
  }

  /** Something to be told of an account that is no change of its health. */
  note(event: Omit<AccountEvent, 'atMs'>): void {
    this.#events.push({ ...event, atMs: this.nowMs() })
  }

  /** An attempt of this key leaves for the account. */
  sent(accountId: string, keyId: string): void {
    this.#suspicion.sent(accountId, keyId, this.#clock.monotonicMs())
  }

  /** Learns from how an attempt ended. Evidence of an older credential is ignored. */
  observe(accountId: string, evidence: Evidence, about: About): void {
    const page = this.#pages.get(accountId)
    if (page === undefined || page.credentialVersion !== about.credentialVersion) return
    const scope = scopeOf(evidence.kind)
    if (scope === 'none') return
    // A limit belongs to the bucket that models share; what is forbidden is one model.
    const { model, modelClass, isFast } = about
    this.#learn(page, scope === 'account' ? '' : partOf(evidence.kind, about), evidence, about)
    if (evidence.kind !== 'ok') return
    // An answer proves the account reachable, its credential good, and the model allowed.
    const proven = isFast === true ? ['', model, fastPart(modelClass)] : ['', model]
    for (const part of proven) if (page.parts.has(part)) this.#learn(page, part, evidence, about)
  }

  /** A probe succeeded: the account-wide rest ends. */
  recovered(accountId: string): void {
    const page = this.#pages.get(accountId)
    if (page?.parts.has('')) this.#set(page, '', HEALTHY)
  }

  /** Takes back changes that could not be written; what has changed again since stays as it is. */
  giveBack(changes: HealthChanges): void {
    for (const row of changes.health) {
      const key = `${row.accountId} ${row.modelClass}`
      if (!this.#dirty.has(key)) this.#dirty.set(key, row)
    }
    this.#events = [...changes.events, ...this.#events].slice(-MOST_EVENTS)
  }

  /** Hands over what changed since the last call; null when nothing did. */
  takeChanges(): HealthChanges | null {
    if (this.#dirty.size === 0 && this.#events.length === 0) return null
    const changes = { health: [...this.#dirty.values()], events: this.#events }
    this.#dirty.clear()
    this.#events = []
    return changes
  }

  #learn(page: Page, part: string, evidence: Evidence, about: About): void {
    const before = page.parts.get(part) ?? HEALTHY
    const { accountId } = page
    const nowMs = this.nowMs()
    const monotonicMs = this.#clock.monotonicMs()
    const after = afterAttempt(before, evidence, {
      nowMs,
      jitter: this.#random(),
      policy: this.#policy,
      isDoubted: (keyId) => this.#suspicion.isDoubted(accountId, keyId, monotonicMs),
    })
    if (after === before) return
    const { keyId } = evidence
    // The state carries nothing of who saw it: it stands in the counts that led to it.
    const isSoleWitness = before.seenBy.every((other) => other === keyId)
    if (evidence.kind === 'server_error' && isSoft(after) && keyId !== null && isSoleWitness)
      this.#suspicion.restedAlone(accountId, keyId, monotonicMs)
    this.#set(page, part, after, about.requestId)
  }

  #set(page: Page, part: string, health: Health, requestId: string | null = null): void {
    const before = page.parts.get(part) ?? HEALTHY
    page.parts.set(part, health)
    // Counting failures is memory's business; people and later runs need states only.
    if (
      before.state === health.state &&
      before.untilMs === health.untilMs &&
      before.step === health.step
    )
      return
    this.#writeDown(page, part, health)
    if (before.state === 'healthy' && health.state === 'healthy') return
    this.#events.push({
      accountId: page.accountId,
      atMs: this.nowMs(),
      kind: health.state === 'healthy' ? 'recovered' : health.state,
      message: health.state === 'healthy' ? before.reason : health.reason,
      requestId,
    })
  }

  #writeDown({ accountId, credentialVersion }: Page, modelClass: string, health: Health): void {
    const { state, reason, httpStatus, upstreamRequestId, sinceMs, untilMs, step } = health
    const evidence = { reason, httpStatus, upstreamRequestId }
    const row = { state, ...evidence, sinceMs, untilMs, step, credentialVersion }
    this.#dirty.set(`${accountId} ${modelClass}`, { accountId, modelClass, ...row })
  }
}

/** The part of a model's health that an outcome concerns: fast mode has limits and capacity of its own. */
function partOf(kind: Evidence['kind'], { model, modelClass, isFast }: About): string {
  if (kind === 'forbidden') return model
  const isApart = kind === 'rate_limited' || kind === 'overloaded'
  return isFast === true && isApart ? fastPart(modelClass) : modelClass
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
