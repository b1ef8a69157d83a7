import { windowOf } from '../core/calendar.ts'
import type { Account } from '../core/model.ts'
import type { Micro } from '../core/money.ts'

const PERIODS = ['day', 'month'] as const
type CapPeriod = (typeof PERIODS)[number]

/** What a request may take of an account's budget, or has taken. */
interface Share {
  readonly accountId: string
  readonly listMicro: Micro
  /** When the request was admitted. */
  readonly atMs: number
}

/** By account. */
type Costs = readonly (readonly [accountId: string, listCostMicro: Micro])[]

/** Reservations end at any time: what only they keep away is asked again soon. */
const RESERVED_WAIT_MS = 1_000

/** A stretch of time, in ms: `untilMs` lies behind it. */
interface Window {
  readonly sinceMs: number
  readonly untilMs: number
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
  readonly #reservations = new Map<string, Share>()
  /** Sums of the reservations, by account. */
  readonly #reservedMicro = new Map<string, Micro>()
  /** What was spent and the store has not confirmed yet, by request. */
  readonly #unstored = new Map<string, Share[]>()
  /** What the costs that are being read may not contain; null while none are read. */
  #unseen: Set<Share> | null = null
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

  /**
   * Takes what the store says was spent in these windows, day and month, and adds what it may not have seen: for
   * some settlements on their way that is a little too much, until the next load.
   */
  async load(
    nowMs: number,
    ask: (windows: readonly Window[]) => Promise<readonly Costs[]>,
  ): Promise<void> {
    const windows = PERIODS.map((period) => {
      const { sinceMs, untilMs } = this.#counterAt(period, nowMs)
      return { sinceMs, untilMs }
    })
    const unseen = new Set([...this.#unstored.values()].flat())
    this.#unseen = unseen
    try {
      const costs = await ask(windows)
      for (const [index, period] of PERIODS.entries()) {
        const counter = this.#counters[period]
        // A day that ended while the store was asked has no say in the next one.
        if (windows[index].sinceMs !== counter.sinceMs) continue
        counter.spentMicro = new Map(costs[index])
        for (const share of unseen) count(counter, share)
      }
    } finally {
      if (this.#unseen === unseen) this.#unseen = null
    }
  }

  /**
   * null when the account may take on so much more; else how long its cap keeps it away, and whether that is
   * the first refusal of this day or month. Where there is room but for what is reserved, that is a moment. The
   * request's own reservation does not stand in its way.
   */
  check(
    account: Pick<Account, 'id' | 'dayCapMicro' | 'monthCapMicro'>,
    want: { readonly requestId: string; readonly listMicro: Micro },
    nowMs: number,
  ): { readonly forMs: number; readonly isNew: boolean } | null {
    let untilMs = 0
    let isReserved = false
    for (const period of PERIODS) {
      const capMicro = period === 'day' ? account.dayCapMicro : account.monthCapMicro
      if (capMicro === null) continue
      const counter = this.#counterAt(period, nowMs)
      const own = this.#reservations.get(want.requestId)
      const ownMicro = own?.accountId === account.id ? own.listMicro : 0
      const roomMicro = capMicro - (counter.spentMicro.get(account.id) ?? 0) - want.listMicro
      const reservedMicro = (this.#reservedMicro.get(account.id) ?? 0) - ownMicro
      if (roomMicro < 0) untilMs = Math.max(untilMs, counter.untilMs)
      else if (roomMicro < reservedMicro) isReserved = true
    }
    if (untilMs === 0) return isReserved ? { forMs: RESERVED_WAIT_MS, isNew: false } : null
    const told = `${account.id} ${account.dayCapMicro} ${account.monthCapMicro}`
    const isNew = (this.#toldUntilMs.get(told) ?? 0) < untilMs
    if (isNew) this.#toldUntilMs.set(told, untilMs)
    return { forMs: untilMs - nowMs, isNew }
  }

  /** The request goes to this account: what it may cost is reserved there, and nowhere else any more. */
  reserve(requestId: string, reservation: Share): void {
    this.release(requestId)
    this.#reservations.set(requestId, reservation)
    this.#addReserved(reservation.accountId, reservation.listMicro)
  }

  /** What is held for a running request has another size; nothing for one that is over. */
  resize(requestId: string, listMicro: Micro): void {
    const reservation = this.#reservations.get(requestId)
    if (reservation === undefined || reservation.listMicro === listMicro) return
    this.reserve(requestId, { ...reservation, listMicro })
  }

  /** The request is over, or goes nowhere. */
  release(requestId: string): void {
    const reservation = this.#reservations.get(requestId)
    if (reservation === undefined) return
    this.#reservations.delete(requestId)
    this.#addReserved(reservation.accountId, -reservation.listMicro)
  }

  /** The account was charged for this request, or may have been; `stored` once the store has it as well. */
  spent(requestId: string, share: Share): void {
    if (share.listMicro === 0) return
    for (const period of PERIODS) count(this.#counterAt(period, share.atMs), share)
    this.#unseen?.add(share)
    const others = this.#unstored.get(requestId)
    if (others === undefined) this.#unstored.set(requestId, [share])
    else others.push(share)
  }

  /** What was spent for the request is in the store, or will never be. */
  stored(requestId: string): void {
    this.#unstored.delete(requestId)
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

function count({ sinceMs, untilMs, spentMicro }: Counter, { accountId, listMicro, atMs }: Share) {
  if (sinceMs <= atMs && atMs < untilMs)
    spentMicro.set(accountId, (spentMicro.get(accountId) ?? 0) + listMicro)
}
