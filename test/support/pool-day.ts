import type { OutcomeKind } from '../../src/core/attempt-outcome.ts'
import type { Fingerprint } from '../../src/core/fingerprint.ts'
import { Affinity, ownerNumber, type Warmth } from '../../src/pool/affinity.ts'
import type { Candidate } from '../../src/pool/candidate.ts'
import { waitOf } from '../../src/pool/candidate.ts'
import { Pool, type Slot } from '../../src/pool/pool.ts'
import { select } from '../../src/pool/select.ts'
import type { Bound, Demand } from '../../src/pool/weigh.ts'
import { createRandom } from '../../src/sandbox/random.ts'
import { accountOf } from '../../src/simulate/account.ts'
import { Agenda, START_MS } from '../../src/simulate/agenda.ts'
import { type Caller, Desk, type Moment, type Pick as Picked } from '../../src/simulate/desk.ts'
import { LONGEST_WAIT_MS, POLICY } from '../../src/simulate/run.ts'
import { madePrint } from './made-prompts.ts'
import { newPlace, outcomeOf, overLimit, type Place, TROUBLES } from './pool-place.ts'

const MODEL = 'claude-sonnet-5'
const CLASS = 'sonnet'
const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000
const KEYS = ['key_1', 'key_2', 'key_3'] as const
const KINDS = 4
/** A rest of ours lasts 5 minutes at most, a stated one an hour; then one request has to have been let in. */
const STUCK_MS = HOUR_MS + 600_000
/** A well account of the first priority that was not used for so long, while so many conversations began. */
const STARVED = { afterMs: 4 * HOUR_MS, begun: 120 }
const MOST_ATTEMPTS = 3
/** A timer of the line may come a millisecond late. */
const LATE_MS = 1
const CHECK_EVERY_MS = 60_000

/** What a day came to. */
export interface DayFigures {
  readonly sent: number
  readonly failed: number
  readonly turnedAway: number
  readonly warm: number
  readonly longestWaitMs: number
}

interface Request extends Caller {
  readonly conversation: number
  readonly kind: number
  readonly print: Fingerprint
  readonly bound: Bound | null
  readonly isPoison: boolean
  attempts: number
  warmth: Warmth
  /** It would rather wait than be served elsewhere: it looks around at the end of that wait only. */
  isWaitingForWarm: boolean
  isOver: boolean
}

/**
 * A day of bursts, failing accounts, revoked keys and poisonous requests through the real pool, choice, table and
 * line. Answers its figures, or throws what went wrong as a sentence.
 */
export async function playPoolDay(seed: number, accounts: number): Promise<DayFigures> {
  return new PoolDay(seed, accounts).play()
}

class PoolDay {
  readonly #random: () => number
  readonly #agenda = new Agenda(START_MS)
  readonly #pool: Pool
  readonly #desk: Desk<Request>
  readonly #affinity = new Affinity({ slots: 4_096, boundSlots: 64 })
  readonly #places = new Map<string, Place>()
  readonly #inLine = new Set<Request>()
  readonly #sums = { sent: 0, failed: 0, turnedAway: 0, warm: 0, longestWaitMs: 0 }
  #conversations = 0
  #open = 0
  #poisonUntilMs = 0
  #wrong: string | null = null

  constructor(seed: number, accounts: number) {
    this.#random = createRandom(seed)
    const { clock } = this.#agenda
    this.#pool = new Pool({ clock, random: this.#random, policy: POLICY })
    for (let k = 0; k < accounts; k++) {
      const place = newPlace(k, this.#random, START_MS)
      this.#places.set(place.plan.name, place)
    }
    const live = [...this.#places.values()].map(({ plan }) => ({
      account: accountOf(plan, START_MS),
      credential: '',
      proxy: null,
    }))
    this.#pool.reload(live, [])
    this.#desk = new Desk<Request>({
      agenda: this.#agenda,
      pool: this.#pool,
      model: MODEL,
      modelClass: CLASS,
      longestWaitMs: LONGEST_WAIT_MS,
      line: { maxPerKey: 32, maxLength: 1_024 },
      pick: (candidates, request, moment) => {
        const pick = this.#pick(candidates, request, moment)
        request.isWaitingForWarm = pick.kind === 'wait' && pick.at !== undefined
        return pick
      },
    })
  }

  /** What is wrong first is told, by the end of the minute: much of it is found where nobody could catch it. */
  #blame(sentence: string): void {
    this.#wrong ??= sentence
  }

  async play(): Promise<DayFigures> {
    const endMs = START_MS + DAY_MS
    this.#nextArrival(endMs)
    for (const place of this.#places.values()) this.#nextTrouble(place, endMs)
    for (let atMs = START_MS; atMs < endMs; atMs += CHECK_EVERY_MS) {
      this.#agenda.add(atMs, () => this.#check())
    }
    await this.#agenda.run()
    if (this.#wrong !== null) throw new Error(this.#wrong)
    if (this.#open > 0) throw new Error(`${this.#open} requests never ended`)
    if (this.#desk.waiting > 0) throw new Error(`${this.#desk.waiting} are in line for good`)
    for (const candidate of this.#pool.candidates(MODEL, CLASS)) {
      if (candidate.inFlight !== 0) throw new Error(`${candidate.id} keeps ${candidate.inFlight}`)
    }
    return this.#sums
  }

  /** Conversations come one by one, now and then a dozen at once. */
  #nextArrival(endMs: number): void {
    const passMs = this.#random() < 0.02 ? 1_200_000 * this.#random() : 360_000 * this.#random()
    const atMs = this.#agenda.nowMs + passMs
    if (atMs >= endMs) return
    this.#agenda.add(atMs, () => {
      const count = this.#random() < 0.04 ? this.#between(6, 24) : 1
      for (let k = 0; k < count; k++) this.#begin()
      this.#nextArrival(endMs)
    })
  }

  #begin(): void {
    const conversation = ++this.#conversations
    const key = KEYS[this.#between(0, KEYS.length - 1)]
    const kind = this.#between(1, KINDS)
    // Some are of an account for good: threads, containers.
    const bound: Bound | null =
      this.#random() < 0.05
        ? {
            scope: 'credential',
            id: `acct_${this.#between(0, this.#places.size - 1)}`,
            strength: 'hard',
          }
        : null
    const isPoison = key === KEYS[0] && this.#agenda.nowMs < this.#poisonUntilMs
    if (this.#random() < 0.003)
      this.#poisonUntilMs = this.#agenda.nowMs + 1_200_000 * this.#random()
    const turns = this.#between(1, 14)
    this.#ask({ conversation, kind, bound, isPoison, keyId: key }, 0, turns)
  }

  #ask(
    who: Pick<Request, 'conversation' | 'kind' | 'bound' | 'isPoison' | 'keyId'>,
    turn: number,
    turns: number,
  ): void {
    const { bound } = who
    const request: Request = {
      ...who,
      print: madePrint(who.kind, who.conversation, turn),
      scope: bound === null ? '' : `${bound.scope} ${bound.id}`,
      tried: new Set(),
      again: null,
      waitedMs: 0,
      attempts: 0,
      warmth: { warm: [], bound: null },
      isWaitingForWarm: false,
      isOver: false,
    }
    this.#open++
    const ended = (isServed: boolean) => {
      if (request.isOver) this.#blame('a request ended twice')
      request.isOver = true
      this.#open--
      this.#sums.longestWaitMs = Math.max(this.#sums.longestWaitMs, request.waitedMs)
      if (request.waitedMs > LONGEST_WAIT_MS + LATE_MS) {
        this.#blame(`a request waited ${request.waitedMs} ms`)
      }
      if (!isServed || turn + 1 >= turns) return
      const thinkMs = this.#random() < 0.1 ? 900_000 * this.#random() : 40_000 * this.#random()
      this.#agenda.add(this.#agenda.nowMs + thinkMs, () => this.#ask(who, turn + 1, turns))
    }
    this.#seek(request, ended)
  }

  #seek(request: Request, ended: (isServed: boolean) => void): void {
    this.#inLine.add(request)
    this.#desk.seek(request, {
      served: (slot) => {
        this.#inLine.delete(request)
        this.#send(request, slot, ended)
      },
      turnedAway: (retryAfterMs) => {
        this.#inLine.delete(request)
        this.#turnedAway(request, retryAfterMs)
        ended(false)
      },
    })
  }

  #turnedAway(request: Request, retryAfterMs: number | null): void {
    this.#sums.turnedAway++
    if (retryAfterMs === null) {
      // Without an end in sight is only what a probe has to bring back, or what is bound to such an account.
      const able = this.#pool
        .candidates(MODEL, CLASS)
        .filter(({ id }) => request.bound === null || request.bound.id === id)
        .filter(({ id }) => !request.tried.has(id))
      const lasting = able.find((one) => waitOf(one) !== null)
      if (lasting !== undefined) this.#blame(`told of no end, though ${lasting.id} has one`)
    } else if (retryAfterMs > 31 * DAY_MS) this.#blame(`told to wait ${retryAfterMs} ms`)
    if (request.waitedMs < LONGEST_WAIT_MS) return
    const missed = this.#couldServe(request)
    if (missed !== null) this.#blame(`turned away in line, though ${missed} could serve`)
  }

  #pick(candidates: readonly Candidate[], request: Request, moment: Moment): Picked {
    const { print } = request
    request.warmth = this.#affinity.find(print, ownerNumber(request.keyId), moment.nowMs)
    const { again, bound, tried, warmth } = request
    const demand: Demand = {
      tried,
      again,
      tags: null,
      bound,
      warm: warmth.warm,
      promptTokens: print.sizes[print.positions - 1] / 4,
      rewriteMicroPerMTok: 4_800_000,
      waitedMs: moment.waitedMs,
      longestWaitMs: moment.longestWaitMs,
    }
    const decision = select(candidates, demand, this.#random)
    switch (decision.kind) {
      case 'account': {
        if (decision.trail.because === 'warm') this.#sums.warm++
        return { kind: 'account', id: decision.id, inputTokens: 100 }
      }
      case 'wait':
        return { kind: 'wait', forMs: decision.forMs, at: decision.id }
      case 'none':
        return { kind: 'wait', forMs: decision.retryAfterMs }
    }
  }

  #send(request: Request, slot: Slot, ended: (isServed: boolean) => void): void {
    const { nowMs } = this.#agenda
    const { id } = slot.live.account
    const place = this.#place(id)
    this.#sums.sent++
    request.attempts++
    request.again = null
    place.inFlight++
    place.lastUsedMs = nowMs
    place.begunAtLastUse = this.#conversations
    const wrong = overLimit(place, nowMs)
    if (wrong !== null) this.#blame(wrong)
    const kind = outcomeOf(place, { nowMs, isPoison: request.isPoison, random: this.#random })
    // Upstream counts what it serves, and nothing that fails before.
    const fits = kind !== 'ok' || (place.upstream?.take(nowMs) ?? true)
    if (!fits && place.isKnown && ++place.tooMany > 1) {
      this.#blame(`${id} has two requests on their way that upstream had no room for`)
    }
    const sent = { slot, place, sentAtMs: nowMs }
    if (kind === 'ok' && fits) this.#answer(request, sent, ended)
    else this.#refuse(request, { ...sent, kind: fits ? kind : 'rate_limited', fits }, ended)
  }

  #answer(
    request: Request,
    { slot, place, sentAtMs }: { slot: Slot; place: Place; sentAtMs: number },
    ended: (isServed: boolean) => void,
  ): void {
    const { id } = slot.live.account
    const firstMs = 200 + this.#random() * 3_000
    const left = place.upstream?.left(sentAtMs) ?? 0
    this.#agenda.add(sentAtMs + firstMs, () => {
      const { nowMs } = this.#agenda
      this.#observe(request, slot, { kind: 'ok', restMs: null, sentAtMs })
      slot.began(100)
      if (place.upstream !== null) {
        const remaining = Math.max(0, Math.floor(left))
        const requests = { limit: place.upstream.limit, remaining }
        this.#pool.noteLimits(id, CLASS, { requests })
        place.toldSinceMs = Math.min(place.toldSinceMs, nowMs)
        place.isKnown ||= sentAtMs > place.toldSinceMs
      }
      const { print } = request
      const match = request.warmth.warm.find(({ workspace }) => workspace === id)
      const cacheReadTokens = match?.tokens ?? 0
      const cacheWriteTokens = print.sizes[print.positions - 1] / 4 - cacheReadTokens
      this.#affinity.began(
        {
          prompt: print,
          warmth: request.warmth,
          workspace: id,
          organization: id,
          owner: ownerNumber(request.keyId),
          sentAtMs,
          minimumTokens: 512,
          bindsThinking: false,
        },
        { cacheReadTokens, cacheWriteTokens },
        nowMs,
      )
    })
    this.#agenda.add(sentAtMs + firstMs + this.#random() * 25_000, () => {
      place.inFlight--
      slot.release()
      this.#lookAtLine()
      ended(true)
    })
  }

  #refuse(
    request: Request,
    what: { slot: Slot; place: Place; sentAtMs: number; kind: OutcomeKind; fits: boolean },
    ended: (isServed: boolean) => void,
  ): void {
    const { slot, place, sentAtMs, kind, fits } = what
    this.#sums.failed++
    this.#agenda.add(sentAtMs + 5 + this.#random() * 4_000, () => {
      const { id } = slot.live.account
      place.inFlight--
      if (!fits && place.tooMany > 0) place.tooMany--
      slot.release()
      // What upstream states may be past, far away or nonsense.
      const isStated = kind === 'rate_limited' && this.#random() < 0.5
      const restMs = isStated ? this.#random() * 1e8 - 1e6 : null
      this.#observe(request, slot, { kind, restMs, sentAtMs })
      this.#lookAtLine()
      const isAgain = request.tried.has(id)
      request.tried.add(id)
      if (request.tried.size >= MOST_ATTEMPTS) {
        ended(false)
        return
      }
      const isWarm = request.warmth.warm.some(({ workspace }) => workspace === id)
      if (kind === 'overloaded' && isWarm && !isAgain) request.again = id
      this.#seek(request, ended)
    })
  }

  #observe(
    { keyId }: Request,
    slot: Slot,
    what: { kind: OutcomeKind; restMs: number | null; sentAtMs: number },
  ): void {
    const { kind, restMs, sentAtMs } = what
    const facts = { reason: kind, httpStatus: null, upstreamRequestId: null, restMs }
    const about = { credentialVersion: 1, requestId: 'ccr', model: MODEL, modelClass: CLASS }
    this.#pool.observe(slot.live.account.id, { kind, ...facts, keyId, sentAtMs }, about)
    this.#pool.takeChanges()
  }

  #nextTrouble(place: Place, endMs: number): void {
    const atMs = this.#agenda.nowMs + this.#random() * 6 * HOUR_MS
    if (atMs >= endMs) return
    this.#agenda.add(atMs, () => {
      const kind = TROUBLES[this.#between(0, TROUBLES.length - 1)]
      const untilMs =
        this.#agenda.nowMs + this.#random() * (this.#random() < 0.2 ? 2 : 0.5) * HOUR_MS
      place.trouble = { kind, untilMs }
      this.#agenda.add(untilMs, () => {
        place.trouble = null
        place.wellSinceMs = untilMs
      })
      this.#agenda.add(untilMs, () => this.#nextTrouble(place, endMs))
    })
  }

  /** The daemon's prober: a free call finds out that an account is well again. */
  #probe(): void {
    for (const { live } of this.#pool.probeable()) {
      const { id } = live.account
      if (this.#place(id).trouble === null) this.#pool.recovered(id)
    }
  }

  /** After a slot got free and everybody was asked, nobody may wait for what is there. */
  #lookAtLine(): void {
    if (this.#desk.waiting === 0) return
    this.#agenda.add(this.#agenda.nowMs, () => {
      for (const request of this.#inLine) {
        if (request.bound !== null || request.isWaitingForWarm) continue
        const id = this.#couldServe(request)
        if (id !== null) this.#blame(`a request waits, though ${id} could serve it`)
      }
    })
  }

  /** An account that the choice would give this request now, had it used up its patience for a warm one. */
  #couldServe(request: Request): string | null {
    const candidates = this.#pool.candidates(MODEL, CLASS)
    const open = candidates.filter(
      ({ id }) => !request.tried.has(id) && (request.bound === null || request.bound.id === id),
    )
    if (!open.some((one) => waitOf(one) === 0)) return null
    const { nowMs } = this.#agenda
    const spent = { nowMs, waitedMs: request.waitedMs, longestWaitMs: LONGEST_WAIT_MS }
    const pick = this.#pick(candidates, request, spent)
    return pick.kind === 'account' ? pick.id : null
  }

  /** Every minute: who is well is open again in time, and used. */
  #check(): void {
    if (this.#wrong !== null) throw new Error(this.#wrong)
    const { nowMs } = this.#agenda
    this.#probe()
    for (const candidate of this.#pool.candidates(MODEL, CLASS)) {
      const place = this.#place(candidate.id)
      if (candidate.rest === null) place.lastOpenMs = nowMs
      if (place.trouble !== null) continue
      const { name, priority } = place.plan
      const shutMs = nowMs - Math.max(place.wellSinceMs, place.lastOpenMs)
      if (shutMs > STUCK_MS) throw new Error(`${name} is well and shut for ${shutMs} ms`)
      const idleMs = nowMs - Math.max(place.wellSinceMs + STUCK_MS, place.lastUsedMs)
      const begun = this.#conversations - place.begunAtLastUse
      if (priority === 1 && idleMs > STARVED.afterMs && begun > STARVED.begun) {
        throw new Error(`${name} is well and was not used for ${idleMs} ms`)
      }
    }
  }

  #place(id: string): Place {
    const place = this.#places.get(id)
    if (place === undefined) throw new Error(`no such account: ${id}`)
    return place
  }

  #between(least: number, most: number): number {
    return least + Math.floor(this.#random() * (most - least + 1))
  }
}
