import type { StreamClient } from './client-stream.ts'
import { Departure, type Produced, policyOf } from './disconnect.ts'
import type { Exchange } from './exchange.ts'
import type { Gateway } from './gateway.ts'
import type { AbandonedRun, Joined, WholeAnswer } from './runs.ts'

/**
 * The time that a stream has no client: how far it goes on, who may join it, and what the one that joined
 * is told in the end.
 */
export class Absence {
  readonly #gateway: Gateway
  readonly #exchange: Exchange
  readonly #produced: () => Produced
  readonly #stop: () => void
  /** null while it has a client. */
  #departure: Departure | null = null
  #timer: NodeJS.Timeout | null = null
  #run: AbandonedRun | null
  #tellJoined: ((how: Joined) => void) | null = null

  constructor(parts: {
    gateway: Gateway
    exchange: Exchange
    /** The client left before the answer began. */
    run: AbandonedRun | null
    produced: () => Produced
    /** Ends the stream; called once it has gone as far as the policy says. */
    stop: () => void
  }) {
    this.#gateway = parts.gateway
    this.#exchange = parts.exchange
    this.#run = parts.run
    this.#produced = parts.produced
    this.#stop = parts.stop
  }

  /** The client is gone; `adopt` null where nobody else can have the answer. */
  begin(adopt: ((client: StreamClient) => Promise<Joined> | null) | null): void {
    const { call, identity } = this.#exchange
    this.#exchange.clientGone = true
    this.joined({ status: 'left', errorCode: null })
    if (adopt !== null)
      this.#run ??= this.#gateway.runs.abandon(call, identity, async (client) => adopt(client))
  }

  /** The answer is not whole yet: it goes on as the policy says. */
  goOn(): void {
    const policy = policyOf(this.#gateway, this.#exchange)
    this.#exchange.onDisconnect = policy.kind
    const departure = new Departure(policy, this.#produced())
    this.#departure = departure
    const { limitMs } = departure
    if (this.check() || limitMs === null) return
    this.#timer = setTimeout(() => this.check(), limitMs)
    this.#timer.unref()
  }

  /** Stops the stream when it has gone far enough without its client; true when it did. */
  check(): boolean {
    if (this.#departure === null || !this.#departure.isOver(this.#produced())) return false
    this.close()
    this.#stop()
    return true
  }

  /** Another client has the stream now; resolves with how that ends for it. */
  end(): Promise<Joined> {
    this.close()
    this.#run = null
    return new Promise((resolve) => {
      this.#tellJoined = resolve
    })
  }

  /** What the client that joined got; nothing where none did. */
  joined(how: Joined): void {
    this.#tellJoined?.(how)
    this.#tellJoined = null
  }

  /** The answer for clients that come yet; null when there will be none. */
  leave(answer: WholeAnswer | null): void {
    this.#run?.end(answer)
    this.#run = null
  }

  /** The stream ends: nothing more is measured. */
  close(): void {
    this.#departure = null
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }
}
