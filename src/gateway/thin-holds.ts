import type { Call } from './exchange.ts'

/**
 * Which wallets have a thin hold open: one each, so that a wallet can be overdrawn by one rewritten prompt and no
 * more. In memory: what a process leaves behind when it dies is settled before the next one begins.
 */
export class ThinHolds {
  /** By user, the request that has the place. */
  readonly #holders = new Map<string, string>()

  /** Whether the wallet has no thin hold open now. */
  isFree({ live }: Call): boolean {
    return !this.#holders.has(live.key.userId)
  }

  /** Takes the wallet's place; false: another request has it. */
  take(call: Call): boolean {
    const { userId } = call.live.key
    if (this.#holders.has(userId)) return false
    this.#holders.set(userId, call.requestId)
    return true
  }

  /** Gives the place back, where it is this request's. */
  release(call: Call): void {
    const { userId } = call.live.key
    if (this.#holders.get(userId) === call.requestId) this.#holders.delete(userId)
  }
}
