import type { DisconnectPolicy } from '../core/model.ts'
import type { Exchange } from './exchange.ts'
import type { Gateway } from './gateway.ts'
import { isStreamed } from './ready-request.ts'

/** Omitted thinking is billed but not seen: after a disconnect we read on this long for its true count. */
const COUNT_WITHIN_MS = 30_000

/** What a stream has produced at an instant of the monotonic clock. */
export interface Produced {
  readonly nowMs: number
  /** Estimated, or counted where upstream has told. */
  readonly outputTokens: number
  /** Thinking was billed that nobody saw, and upstream has not told how much yet. */
  readonly isUncounted: boolean
}

/**
 * How an answer goes on whose client is gone. `cancel` stops it at once, `finish` reads
 * it to its end, `finish_up_to` reads on for so many tokens or so long. Whatever the policy, thinking that
 * was billed but not shown is worth up to 30 s for its true count.
 */
export class Departure {
  readonly #policy: DisconnectPolicy
  readonly #at: Produced

  constructor(policy: DisconnectPolicy, at: Produced) {
    this.#policy = policy
    this.#at = at
  }

  /** Whether the answer is read no further. */
  isOver(so: Produced): boolean {
    return this.#hasEnough(so) && !this.#waitsForCount(so)
  }

  /** ms after the departure at which `isOver` must be asked even if nothing comes; null: never. */
  get limitMs(): number | null {
    return this.#policy.kind === 'finish_up_to' ? this.#policy.ms : null
  }

  #hasEnough({ nowMs, outputTokens }: Produced): boolean {
    const policy = this.#policy
    switch (policy.kind) {
      case 'cancel':
        return true
      case 'finish':
        return false
      case 'finish_up_to': {
        const { tokens, ms } = policy
        const more = outputTokens - this.#at.outputTokens
        return (tokens !== null && more >= tokens) || (ms !== null && nowMs - this.#at.nowMs >= ms)
      }
    }
  }

  #waitsForCount({ nowMs, isUncounted }: Produced): boolean {
    return isUncounted && nowMs - this.#at.nowMs < COUNT_WITHIN_MS
  }
}

/**
 * The policy of a stream's caller: its key's own, else the server's. An answer that comes whole is always
 * finished, for a retry: nobody has got anything of it yet.
 */
export function policyOf(
  { policy }: Pick<Gateway, 'policy'>,
  exchange: Pick<Exchange, 'call' | 'request' | 'format'>,
): DisconnectPolicy {
  if (!isStreamed(exchange)) return { kind: 'finish' }
  return exchange.call.live.key.onDisconnect ?? policy.onDisconnect
}

/** Whether the answer of a client that leaves before it began may still come, and for how long; null: it may not. */
export function waitForBeginning(policy: DisconnectPolicy): number | null {
  switch (policy.kind) {
    case 'cancel':
      return null
    case 'finish':
      return Number.POSITIVE_INFINITY
    case 'finish_up_to':
      return policy.ms ?? Number.POSITIVE_INFINITY
  }
}
