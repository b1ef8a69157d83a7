import type { Candidate } from '../pool/candidate.ts'
import type { Pool, Slot } from '../pool/pool.ts'
import type { RoomLimits } from '../pool/waiting-room.ts'
import { WaitingRoom } from '../pool/waiting-room.ts'
import type { Agenda } from './agenda.ts'

/** A request on its way to an account. */
export interface Caller {
  readonly keyId: string
  /** What its bond says, '' without one: requests of one key and scope are served in their order. */
  readonly scope: string
  readonly tried: Set<string>
  /** The account that may have a second try after its 529. */
  again: string | null
  /** In the line, altogether. */
  waitedMs: number
}

/** Where the next attempt goes, or when to ask again; null: no end is known. */
export type Pick =
  | { readonly kind: 'account'; readonly id: string; readonly inputTokens?: number }
  /** `at`: it waits for that account and no other. */
  | { readonly kind: 'wait'; readonly forMs: number | null; readonly at?: string }

/** When a choice is made, and what of the caller's patience is used up by then. */
export interface Moment {
  readonly nowMs: number
  readonly waitedMs: number
  readonly longestWaitMs: number
}

/** What becomes of a caller. */
export interface Outcome {
  readonly served: (slot: Slot, candidate: Candidate) => void
  readonly turnedAway: (retryAfterMs: number | null) => void
}

/** What a desk is made of. */
export interface DeskOptions<C extends Caller> {
  readonly agenda: Agenda
  readonly pool: Pool
  readonly model: string
  readonly modelClass: string
  readonly longestWaitMs: number
  readonly line: RoomLimits
  readonly pick: (candidates: readonly Candidate[], caller: C, moment: Moment) => Pick
}

/** A timer that is due a little early would look in vain. */
const EARLY_MS = 1

/** Brings requests to accounts as `gateway/seek.ts` does: the real pool, the real line, a simulated clock. */
export class Desk<C extends Caller> {
  readonly #options: DeskOptions<C>
  readonly #room: WaitingRoom

  constructor(options: DeskOptions<C>) {
    this.#options = options
    this.#room = new WaitingRoom(options.line)
    options.pool.whenRoom(() => this.#room.serve())
  }

  /** How many are in line. */
  get waiting(): number {
    return this.#room.size
  }

  /** Finds an account for the next attempt of a caller, now or in line. */
  seek(caller: C, outcome: Outcome): void {
    const room = this.#room
    if (room.size > 0) room.serve()
    const { pick, candidates } = this.#pick(caller, 0)
    const isBehind = room.size > 0 && room.isAhead(caller.keyId, scopeOf(caller, pick))
    if (!isBehind && this.#take(caller, { pick, candidates }, outcome)) return
    const longestMs = this.#options.longestWaitMs - caller.waitedMs
    const neededMs = isBehind ? 0 : (waitOf(pick) ?? Number.POSITIVE_INFINITY)
    if (longestMs <= 0 || neededMs > longestMs) outcome.turnedAway(waitOf(pick))
    else this.#wait(caller, { pick, longestMs }, outcome)
  }

  #wait(
    caller: C,
    first: { readonly pick: Pick; readonly longestMs: number },
    outcome: Outcome,
  ): void {
    const { agenda } = this.#options
    const beganMs = agenda.nowMs
    const untilMs = beganMs + first.longestMs
    let { pick } = first
    let isOver = false
    const end = () => {
      isOver = true
      place?.leave()
      caller.waitedMs += agenda.nowMs - beganMs
    }
    const attempt = (): boolean => {
      if (isOver) return false
      const found = this.#pick(caller, agenda.nowMs - beganMs)
      pick = found.pick
      if (pick.kind !== 'account') return false
      end()
      return this.#take(caller, found, outcome)
    }
    const { keyId } = caller
    const place = this.#room.join({
      keyId,
      get scope() {
        return scopeOf(caller, pick)
      },
      attempt,
    })
    const look = () => {
      if (isOver) return
      const leftMs = untilMs - agenda.nowMs
      if (leftMs <= 0) {
        end()
        outcome.turnedAway(waitOf(pick))
        return
      }
      agenda.add(agenda.nowMs + Math.min(leftMs, (waitOf(pick) ?? leftMs) + EARLY_MS), () => {
        if (isOver) return
        this.#room.serve()
        // Others wait for the same warm account: who is behind them looks around itself.
        if (!isOver && pick.kind === 'wait' && pick.at !== undefined) attempt()
        look()
      })
    }
    if (place === null) outcome.turnedAway(waitOf(pick))
    else look()
  }

  #pick(
    caller: C,
    sinceMs: number,
  ): { readonly pick: Pick; readonly candidates: readonly Candidate[] } {
    const { agenda, pool, model, modelClass, longestWaitMs } = this.#options
    const candidates = pool.candidates(model, modelClass)
    const waitedMs = caller.waitedMs + sinceMs
    const moment = { nowMs: agenda.nowMs, waitedMs, longestWaitMs }
    return { pick: this.#options.pick(candidates, caller, moment), candidates }
  }

  #take(
    { keyId }: C,
    { pick, candidates }: { readonly pick: Pick; readonly candidates: readonly Candidate[] },
    { served }: Outcome,
  ): boolean {
    if (pick.kind !== 'account') return false
    const { pool, model, modelClass } = this.#options
    const { id, inputTokens = 0 } = pick
    const slot = pool.take(id, { keyId, model, modelClass, inputTokens })
    const candidate = candidates.find((one) => one.id === id)
    if (slot === null || candidate === undefined) throw new Error(`no such account: ${id}`)
    served(slot, candidate)
    return true
  }
}

function waitOf(pick: Pick): number | null {
  return pick.kind === 'wait' ? pick.forMs : 0
}

/** What it waits for: requests for one and the same are served in their order. */
function scopeOf({ scope, tried }: Caller, pick: Pick): string {
  if (scope !== '') return scope
  if (pick.kind === 'wait' && pick.at !== undefined) return `account ${pick.at}`
  return tried.size === 0 ? '' : `not ${[...tried]}`
}
