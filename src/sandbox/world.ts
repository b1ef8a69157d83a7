import { type AccountBook, type AccountOptions, createAccounts } from './accounts.ts'
import { createPromptCache, type PromptCache } from './cache.ts'
import { createFaultBoard, type FaultBoard, type Scenario } from './fault-board.ts'
import { createLimits, type LimitBook, type RateLimits } from './limits.ts'
import { createObjects, type ObjectBook } from './objects.ts'
import { createRandom } from './random.ts'
import { type BillBook, type Counters, createBills } from './record.ts'
import type { Script } from './script.ts'
import { createThreads, type ThreadBook } from './threads.ts'
import { createTimers, type Timers } from './timers.ts'
import type { Tokenizer } from './tokens.ts'

/** How to start a simulated upstream; everything has a default. */
export interface SandboxOptions {
  readonly host?: string
  /** 0: any free port. */
  readonly port?: number
  readonly scenario?: Scenario
  /** Silence before each answer, drawn from this range. */
  readonly latencyMs?: readonly [least: number, most: number]
  /** Tokens per second of streams; default as fast as possible. */
  readonly tokenRate?: number
  /** The same seed and the same requests give the same answers. */
  readonly seed?: number
  readonly script?: Script
  /** Known from the start, by default `demo-a` and `demo-b`; other sandbox keys work as well. */
  readonly accounts?: readonly AccountOptions[]
  /** Default 3.7; a range is drawn from per conversation. */
  readonly bytesPerToken?: number | readonly [least: number, most: number]
  /** Per minute, organisation and model class; the default is too high to be met. */
  readonly limits?: Partial<RateLimits>
  /** True: unknown fields of a body pass, as if upstream had learned them. */
  readonly acceptsUnknownFields?: boolean
  /** The clock of cache, threads and limits, ms since the epoch; default the real one. */
  readonly nowMs?: () => number
  /** How many requests `requests` remembers (and at most 64 MiB of bodies). */
  readonly recordLimit?: number
}

/** Everything that requests share. */
export interface World {
  readonly accounts: AccountBook
  readonly faults: FaultBoard
  readonly cache: PromptCache
  readonly limits: LimitBook
  readonly threads: ThreadBook
  readonly objects: ObjectBook
  readonly bills: BillBook
  readonly counters: Counters
  readonly timers: Timers
  readonly tokenizer: Tokenizer
  readonly seed: number
  readonly latencyMs: readonly [least: number, most: number]
  /** Tokens per second of every stream; null: as fast as possible. */
  readonly tokenRate: number | null
  readonly acceptsUnknownFields: boolean
  readonly random: () => number
  readonly nowMs: () => number
}

const LISTED_BILLS = 100_000
const NO_LIMITS: RateLimits = {
  requests: 1_000_000,
  inputTokens: 1_000_000_000,
  outputTokens: 1_000_000_000,
}
const DEFAULT_ACCOUNTS: readonly AccountOptions[] = [{ name: 'demo-a' }, { name: 'demo-b' }]

/** A fresh world: empty caches, full buckets, nothing billed. */
export function createWorld(options: SandboxOptions): World {
  const seed = options.seed ?? 1
  const chance = createRandom(seed)
  const nowMs = options.nowMs ?? Date.now
  const random = createRandom(seed ^ 0x5bd1e995)
  return {
    accounts: createAccounts(options.accounts ?? DEFAULT_ACCOUNTS),
    faults: createFaultBoard(options.script ?? [], options.scenario ?? 'ok', chance),
    cache: createPromptCache(nowMs),
    limits: createLimits({ ...NO_LIMITS, ...options.limits }, nowMs),
    threads: createThreads(nowMs),
    objects: createObjects(nowMs, random),
    bills: createBills(LISTED_BILLS),
    counters: noCounts(),
    timers: createTimers(),
    tokenizer: { bytesPerToken: options.bytesPerToken ?? 3.7, seed },
    seed,
    latencyMs: options.latencyMs ?? [0, 0],
    tokenRate: options.tokenRate ?? null,
    acceptsUnknownFields: options.acceptsUnknownFields ?? false,
    random,
    nowMs,
  }
}

function noCounts(): Counters {
  return {
    requests: 0,
    messages: 0,
    countTokens: 0,
    models: 0,
    refusedKeys: 0,
    faults: 0,
    inFlight: 0,
    peakInFlight: 0,
    connections: 0,
    droppedThinking: 0,
    byStatus: {},
  }
}
