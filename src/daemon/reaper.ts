import type { AccountEvent, Boot } from '../core/model.ts'
import type { Gateway } from '../gateway/gateway.ts'
import { StoreError } from '../store/store.ts'
import { saveLearned } from './learned-figures.ts'
import type { Prober } from './prober.ts'
import { isDead } from './process-id.ts'
import { saveAffinity } from './routing-memory.ts'

const HEARTBEAT_MS = 5_000
const SAVE_MS = 1_000
const PROBE_TICK_MS = 1_000
const LEARNED_MS = 60_000
const DAY_MS = 86_400_000

/**
 * The daemon's clockwork: heartbeat, progress of streams, states of accounts, orphans of dead runs. What it
 * does can fail and is done again at the next beat.
 */
export class Reaper {
  readonly #gateway: Gateway
  readonly #prober: Prober
  readonly #timers: NodeJS.Timeout[] = []
  readonly #told = new WeakSet<AccountEvent>()
  #state: Boot['state'] = 'serving'
  #saving: Promise<void> | null = null

  constructor(gateway: Gateway, prober: Prober) {
    this.#gateway = gateway
    this.#prober = prober
  }

  start(): void {
    this.#timers.push(
      setInterval(() => this.#guard('heartbeat', () => this.beat()), HEARTBEAT_MS),
      setInterval(() => {
        if (this.#saving === null) this.#guard('account.save', () => this.save())
      }, SAVE_MS),
      setInterval(() => this.#guard('account.probe', () => this.#prober.tick()), PROBE_TICK_MS),
      setInterval(() => this.#guard('recovery', () => this.#recover()), HEARTBEAT_MS * 2),
      setInterval(() => this.#guard('learned.save', () => this.#saveLearned()), LEARNED_MS),
      setInterval(() => this.#guard('affinity.save', () => this.#saveAffinity()), LEARNED_MS),
      setInterval(() => this.#guard('ledger.check', () => checkLedger(this.#gateway)), DAY_MS),
    )
    for (const timer of this.#timers) timer.unref()
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer)
  }

  /** What the heartbeat says from now on. */
  async mark(state: Boot['state']): Promise<void> {
    this.#state = state
    const { store, bootId, clock } = this.#gateway
    await store.heartbeat(bootId, state, clock.nowMs())
  }

  async beat(): Promise<void> {
    const { store, bootId, clock, running } = this.#gateway
    const nowMs = clock.monotonicMs()
    for (const exchange of running) exchange.tick(nowMs)
    await store.heartbeat(bootId, this.#state, clock.nowMs())
  }

  /** Writes down what changed of accounts, at most once a second; what the store cannot take comes again. */
  async save(): Promise<void> {
    // One after the other: an older state must not be written over a newer one.
    const before = this.#saving
    const saving = (async () => {
      await before?.catch(() => {})
      await this.#write()
    })()
    this.#saving = saving
    try {
      await saving
    } finally {
      if (this.#saving === saving) this.#saving = null
    }
  }

  async #write(): Promise<void> {
    const { pool, store } = this.#gateway
    const changes = pool.takeChanges()
    if (changes === null) return
    const { health, headroom, events } = changes
    for (const event of events) this.#tell(event)
    let left = changes
    try {
      if (health.length > 0 || events.length > 0) await store.saveHealth(health, events)
      left = { health: [], headroom, events: [] }
      if (headroom.length > 0) await store.saveHeadroom(headroom)
    } catch (error) {
      // What breaks a rule of the database would break it again.
      if (error instanceof StoreError) pool.giveBack(left)
      throw error
    }
  }

  #tell(event: AccountEvent): void {
    if (this.#told.has(event)) return
    this.#told.add(event)
    const level = event.kind === 'recovered' ? 'info' : 'warn'
    this.#gateway.log[level](
      { accountId: event.accountId, reason: event.message, requestId: event.requestId },
      `account.${event.kind}`,
    )
  }

  async #recover(): Promise<void> {
    if ((await recoverOrphans(this.#gateway)) > 0) await checkLedger(this.#gateway)
  }

  #saveLearned(): Promise<void> {
    return saveLearned(this.#gateway.store, this.#gateway.learned)
  }

  #saveAffinity(): Promise<void> {
    return saveAffinity(this.#gateway.store, this.#gateway.routing.affinity)
  }

  #guard(what: string, act: () => Promise<unknown>): void {
    act().catch((error: unknown) =>
      this.#gateway.log.error({ err: error, what }, 'housekeeping.failed'),
    )
  }
}

/**
 * Whether the money adds up: at start, after a recovery, once a day. If not, admission ends. Stale holds
 * are only told: when the wall clock jumps, every running request is one.
 */
export async function checkLedger(
  gateway: Pick<Gateway, 'store' | 'clock' | 'log' | 'stopAdmission'>,
): Promise<void> {
  const { violations, stale } = await gateway.store.checkLedger(gateway.clock.nowMs())
  if (stale.length > 0) gateway.log.error({ holds: stale.slice(0, 5) }, 'ledger.stale_holds')
  const broken = violations.filter((violation) => !stale.includes(violation))
  if (broken.length === 0) return
  gateway.stopAdmission(new Error(`ledger check: ${broken.slice(0, 5).join('; ')}`))
}

/** Settles or voids the holds of runs that are dead. Safe to repeat; a living run is never touched. */
export async function recoverOrphans(
  gateway: Pick<Gateway, 'store' | 'clock' | 'log' | 'bootId'>,
): Promise<number> {
  const { store, clock, log, bootId } = gateway
  const nowMs = clock.nowMs()
  const holds = await store.listOpenHolds()
  const owners = new Set(holds.map((hold) => hold.bootId))
  owners.delete(bootId)
  if (owners.size === 0) return 0
  const boots = await store.listBoots()
  const dead = boots
    .filter((boot) => owners.has(boot.id) && isDead(boot, nowMs))
    .map((boot) => boot.id)
  if (dead.length === 0) return 0
  const recovered = await store.recoverHolds(dead, nowMs)
  log.warn({ ...recovered }, 'recovery.done')
  return recovered.settled + recovered.voided
}
