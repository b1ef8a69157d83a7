import type { Clock } from '../core/clock.ts'
import { Affinity } from '../pool/affinity.ts'
import type { Pool } from '../pool/pool.ts'
import { RetryBudget, type RetryPolicy } from '../pool/retry-budget.ts'
import { SeenPrompts } from '../pool/seen-prompts.ts'
import { type RoomLimits, WaitingRoom } from '../pool/waiting-room.ts'
import { type HashKey, hashKey } from '../wire/keyed-hash.ts'
import { LookAround } from './look-around.ts'

/** What the choice of accounts remembers between requests. */
export interface Routing {
  readonly affinity: Affinity
  /** Prompts that came without asking for a cache. */
  readonly seen: SeenPrompts
  /** Of the fingerprints: the same after a restart, or nothing would be warm. */
  readonly hashKey: HashKey
  readonly room: WaitingRoom
  /** Serves the room. */
  readonly lookAround: LookAround
  readonly retries: RetryBudget
  /** Numbers in [0, 1). */
  readonly random: () => number
  /** The longest that one request waits for accounts. */
  readonly maxWaitMs: number
}

/** How long and how many may wait for an account. */
export interface QueuePolicy extends RoomLimits {
  readonly maxWaitMs: number
}

/** The memory of a gateway that begins; `hashSecret`: 16 random bytes of this installation. */
export function createRouting(options: {
  readonly hashSecret: Uint8Array
  readonly random: () => number
  readonly pool: Pool
  readonly queue: QueuePolicy
  readonly retry: RetryPolicy
  readonly clock: Clock
}): Routing {
  const room = new WaitingRoom(options.queue)
  const lookAround = new LookAround(room, options.clock)
  const affinity = new Affinity()
  options.pool.whenRoom(() => lookAround.serve())
  options.pool.whenLearned((scope, before, now) => affinity.learned(scope, before, now))
  return {
    affinity,
    seen: new SeenPrompts(),
    hashKey: hashKey(options.hashSecret),
    room,
    lookAround,
    retries: new RetryBudget(options.retry),
    random: options.random,
    maxWaitMs: options.queue.maxWaitMs,
  }
}
