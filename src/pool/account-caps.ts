import { windowOf } from '../core/calendar.ts'
import type { Account } from '../core/model.ts'
import type { Micro } from '../core/money.ts'

const PERIODS = ['day', 'month'] as const
type CapPeriod = (typeof PERIODS)[number]

interface Reservation {
  readonly accountId: string
  readonly listMicro: Micro
  readonly atMs: number
}

interface Counter {
  sinceMs: number
  untilMs: number
  /** By account. */
  spentMicro: Map<string, Micro>
}

/**
 * Our own list cost at each account per day and month, in the daemon's memory: spent, and reserved for
 * requests that an account was assigned to. A cost counts in the day and month of its request's admission.
 */
export class AccountCaps {
  readonly #timeZone: string
  readonly #counters: Readonly<Record<CapPeriod, Counter>>
  readonly #reservations = new Map<string, Reservation>()
  /** Sums of the reservations, by account. */
  readonly #reservedMicro = new Map<string, Micro>()
  /** The end of the rest that was told last, by account and its caps: of new caps there is news again. */
  readonly #toldUntilMs = new Map<string, number>()

  constructor(options: { readonly timeZone: string; readonly nowMs: number }) {
    this.#timeZone = options.timeZone
    const begin = (period: CapPeriod): Counter => ({
      ...windowOf(period, options.nowMs, options.timeZone),
      spentMicro: new Map(),
    })
    this.#counters = { day: begin('day'), month: begin('month') }
  }

  /** The windows that `load` wants the costs of: day, then month. */
  windows(nowMs: number): readonly { readonly sinceMs: number; readonly untilMs: number }[] {
    return PERIODS.map((period) => {
      const { sinceMs, untilMs } = this.#counterAt(period, nowMs)
      return { sinceMs, untilMs }
    })
  }

  /** Takes what the store says was spent in `windows`, in their order. */
  load(
    windows: readonly { readonly sinceMs: number }[],
    costs: readonly (readonly (readonly [accountId: string, listCostMicro: Micro])[])[],
  ): void {
    for (const [index, period] of PERIODS.entries()) {
      const counter = this.#counters[period]
      // A day that ended while the store was asked has no say in the next one.
      if (windows[index]?.sinceMs === counter.sinceMs) counter.spentMicro = new Map(costs[index])
    }
  }

  /**
   * null when the account may take on so much more; else how long its cap keeps it away, and whether that is
   * the first refusal of this day or month. The request's own reservation does not stand in its way.
   */
  check(
    account: Pick<Account, 'id' | 'dayCapMicro' | 'monthCapMicro'>,
    want: { readonly requestId: string; readonly listMicro: Micro },
    nowMs: number,
  ): { readonly forMs: number; readonly isNew: boolean } | null {
    let untilMs = 0
    for (const period of PERIODS) {
      const capMicro = period === 'day' ? account.dayCapMicro : account.monthCapMicro
      if (capMicro === null) continue
      const counter = this.#counterAt(period, nowMs)
      const own = this.#reservations.get(want.requestId)
      const ownMicro = own?.accountId === account.id ? own.listMicro : 0
      const usedMicro =
        (counter.spentMicro.get(account.id) ?? 0) +
        (this.#reservedMicro.get(account.id) ?? 0) -
        ownMicro
      if (usedMicro + want.listMicro > capMicro) untilMs = Math.max(untilMs, counter.untilMs)
    }
    if (untilMs === 0) return null
    const told = `${account.id} ${account.dayCapMicro} ${account.monthCapMicro}`
    const isNew = (this.#toldUntilMs.get(told) ?? 0) < untilMs
    if (isNew) this.#toldUntilMs.set(told, untilMs)
    return { forMs: untilMs - nowMs, isNew }
  }

  /** The request goes to this account: what it may cost is reserved there, and nowhere else any more. */
  reserve(requestId: string, reservation: Reservation): void {
    this.release(requestId)
    this.#reservations.set(requestId, reservation)
    this.#addReserved(reservation.accountId, reservation.listMicro)
  }

  /** The request is over, or goes nowhere. */
  release(requestId: string): void {
    const reservation = this.#reservations.get(requestId)
    if (reservation === undefined) return
    this.#reservations.delete(requestId)
    this.#addReserved(reservation.accountId, -reservation.listMicro)
  }

  /** The account was charged for a request that was admitted at `atMs`, or may have been. */
  spent(accountId: string, listMicro: Micro, atMs: number): void {
    if (listMicro === 0) return
    for (const period of PERIODS) {
      const { sinceMs, untilMs, spentMicro } = this.#counterAt(period, atMs)
      if (sinceMs <= atMs && atMs < untilMs)
        spentMicro.set(accountId, (spentMicro.get(accountId) ?? 0) + listMicro)
    }
  }

  /** The current counter; a later time than its own begins a new one. */
  #counterAt(period: CapPeriod, atMs: number): Counter {
    const counter = this.#counters[period]
    if (atMs >= counter.untilMs)
      Object.assign(counter, windowOf(period, atMs, this.#timeZone), { spentMicro: new Map() })
    return counter
  }

  #addReserved(accountId: string, listMicro: Micro): void {
    const sum = (this.#reservedMicro.get(accountId) ?? 0) + listMicro
    if (sum === 0) this.#reservedMicro.delete(accountId)
    else this.#reservedMicro.set(accountId, sum)
  }
}
