import type { StreamClient } from './client-stream.ts'
import { policyOf, waitForBeginning } from './disconnect.ts'
import type { Call, Exchange } from './exchange.ts'
import type { CallOff } from './forward.ts'
import type { Gateway, RunningExchange } from './gateway.ts'
import type { AbandonedRun, Joined } from './runs.ts'

type Adopt = (client: StreamClient) => Promise<Joined> | null

/**
 * Whether the client of a request is there until its answer begins, and what its leaving means for the tries
 * that run.
 */
export class ClientPresence implements RunningExchange {
  readonly callOff: CallOff = { abort: () => {}, aborted: false, noMore: false }
  readonly #gateway: Gateway
  readonly #call: Call
  #exchange: Exchange | null = null
  #timer: NodeJS.Timeout | null = null
  #isStopped = false
  #run: AbandonedRun | null = null
  /** Tells who joins before the answer begins whether it can be had. */
  #begin: (adopt: Adopt | null) => void = () => {}

  constructor(gateway: Gateway, call: Call) {
    this.#gateway = gateway
    this.#call = call
    call.response.on('close', this.#onClose)
    gateway.running.add(this)
  }

  /** The request has become this exchange. */
  of(exchange: Exchange): void {
    this.#exchange = exchange
    if (this.#call.response.destroyed) this.#onClose()
  }

  get isStopped(): boolean {
    return this.#isStopped
  }

  /** Set when the client left and its answer is made all the same. */
  get run(): AbandonedRun | null {
    return this.#run
  }

  /** The answer has begun, and its relay looks after clients now: `adopt` gives it to whoever joined meanwhile. */
  hand(adopt: Adopt): void {
    this.ignore()
    this.#gateway.running.delete(this)
    this.#begin(adopt)
  }

  /** The relay has given its answer up for another one: until that begins, clients are looked after here again. */
  takeBack(): void {
    this.#begin = () => {}
    this.#call.response.on('close', this.#onClose)
    this.#gateway.running.add(this)
    if (this.#call.response.destroyed) this.#onClose()
  }

  /** From here on it makes no difference to the tries whether the client is there. */
  ignore(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#call.response.off('close', this.#onClose)
  }

  /** The request is over; what nobody could join by now comes to nothing. */
  end(): void {
    this.ignore()
    this.#gateway.running.delete(this)
    this.#begin(null)
    this.#run?.end(null)
  }

  cut(): void {
    this.#isStopped = true
    this.#abort()
  }

  tick(): void {}

  readonly #onClose = (): void => {
    if (this.#call.response.writableFinished || this.callOff.noMore) return
    this.callOff.noMore = true
    const exchange = this.#exchange
    if (exchange === null) {
      this.#abort()
      return
    }
    exchange.clientGone = true
    const policy = policyOf(this.#gateway, exchange)
    exchange.onDisconnect = policy.kind
    const waitMs = waitForBeginning(policy)
    if (waitMs === null) {
      this.#abort()
      return
    }
    if (waitMs !== Number.POSITIVE_INFINITY) {
      this.#timer = setTimeout(() => this.#abort(), waitMs)
      this.#timer.unref()
    }
    this.#run = this.#gateway.runs.abandon(this.#call, exchange.identity, this.#adopter())
  }

  /** Streams can be taken over once they have begun. */
  #adopter(): AbandonedRun['adopt'] {
    if (this.#exchange?.request.stream !== true) return null
    const begun = new Promise<Adopt | null>((resolve) => {
      this.#begin = resolve
    })
    return async (client) => (await begun)?.(client) ?? null
  }

  #abort(): void {
    this.callOff.noMore = true
    this.callOff.aborted = true
    this.callOff.abort()
  }
}
