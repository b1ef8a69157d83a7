import type { AccountBook } from './accounts.ts'
import type { PromptCache } from './cache.ts'
import type { FaultBoard } from './fault-board.ts'
import type { LimitBook } from './limits.ts'
import type { BillBook, Counters } from './record.ts'
import type { ThreadBook } from './threads.ts'
import type { Timers } from './timers.ts'
import type { Tokenizer } from './tokens.ts'

/** Everything that requests share. */
export interface World {
  readonly accounts: AccountBook
  readonly faults: FaultBoard
  readonly cache: PromptCache
  readonly limits: LimitBook
  readonly threads: ThreadBook
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
