import type { Boot } from '../core/model.ts'
import type { Gateway } from '../gateway/gateway.ts'
import type { Prober } from './prober.ts'
import { isDead } from './process-id.ts'

const HEARTBEAT_MS = 5_000
const SAVE_MS = 1_000
const PROBE_TICK_MS = 1_000

/**
 * The daemon's clockwork: heartbeat, progress of streams, states of accounts, orphans of dead runs. What it
 * does can fail and is done again at the next beat.
 */
export class Reaper {
  readonly #gateway: Gateway
  readonly #prober: Prober
  readonly #timers: NodeJS.Timeout[] = []
  #state: Boot['state'] = 'serving'

  constructor(gateway: Gateway, prober: Prober) {
    this.#gateway = gateway
    this.#prober = prober
  }

  start(): void {
    this.#timers.push(
      setInterval(() => this.#guard('heartbeat', () => this.beat()), HEARTBEAT_MS),
      setInterval(() => this.#guard('account.save', () => this.save()), SAVE_MS),
      setInterval(() => this.#guard('account.probe', () => this.#prober.tick()), PROBE_TICK_MS),
      setInterval(
        () => this.#guard('recovery', () => recoverOrphans(this.#gateway)),
        HEARTBEAT_MS * 2,
      ),
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

  /** Writes down what changed of accounts, at most once a second. */
  async save(): Promise<void> {
    const { pool, store, log } = this.#gateway
    const changes = pool.takeChanges()
    if (changes === null) return
    for (const event of changes.events) {
      const level = event.kind === 'recovered' ? 'info' : 'warn'
      log[level](
        { accountId: event.accountId, reason: event.message, requestId: event.requestId },
        `account.${event.kind}`,
      )
    }
    if (changes.health.length > 0 || changes.events.length > 0)
      await store.saveHealth(changes.health, changes.events)
    if (changes.headroom.length > 0) await store.saveHeadroom(changes.headroom)
  }

  #guard(what: string, act: () => Promise<unknown>): void {
    act().catch((error: unknown) =>
      this.#gateway.log.error({ err: error, what }, 'housekeeping.failed'),
    )
  }
}

/** Settles or voids the holds of runs that are dead (M18, M19). Safe to repeat; a living run is never touched. */
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
