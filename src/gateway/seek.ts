import type { Choice } from '../pool/candidate.ts'
import type { Slot } from '../pool/pool.ts'
import { type Decision, select } from '../pool/select.ts'
import { candidatesOf, isAnyFree, type WantedAccount } from './candidates.ts'
import type { Gateway } from './gateway.ts'
import { demandOf, promptTokensOf, type Route } from './route.ts'

/** A request's way through the accounts: what it has tried, and how long it has waited. */
export interface Seeker {
  readonly want: WantedAccount
  readonly route: Route
  readonly tried: Set<string>
  /** The account that may have a second try after its 529, for the prompt is warm there. */
  again: string | null
  /** The account that it got last holds a part of its prompt. */
  isWarm: boolean
  /** In the line, altogether. */
  waitedMs: number
  /** On the monotonic clock: nothing is sent after it. */
  readonly deadlineMs: number
}

/** How looking for an account ended. */
export type Sought =
  | { readonly kind: 'slot'; readonly slot: Slot }
  | { readonly kind: 'none'; readonly choice: Extract<Choice, { kind: 'none' }> }
  /** It was called off in the line. */
  | { readonly kind: 'called_off' }

/** A timer that is due a little early would look in vain. */
const EARLY_MS = 1
/** Who could be served and stands behind one of its own key that cannot looks around again after so long. */
const BEHIND_MS = 100

/**
 * Looks for the account of the next attempt and takes its slot. Where one is worth waiting for, it waits in line,
 * at most as long as the queue allows. `leave` is told how to call that off; `beforeWaiting` may throw.
 */
export async function seek(
  gateway: Gateway,
  seeker: Seeker,
  line: {
    readonly onWait: (leave: () => void) => void
    readonly beforeWaiting?: () => Promise<void>
  },
): Promise<Sought> {
  gateway.routing.lookAround.serve()
  let decision = decide(gateway, seeker)
  const isBehind = standsBehind(gateway, seeker, decision)
  if (!isBehind) {
    const taken = take(gateway, seeker, decision)
    if (taken !== null) return taken
  }
  const longestMs = longestWaitMs(gateway, seeker)
  const neededMs = isBehind ? 0 : (waitOf(decision) ?? Number.POSITIVE_INFINITY)
  if (longestMs <= 0 || neededMs > longestMs) return inVain(seeker, decision)
  if (line.beforeWaiting !== undefined) {
    await line.beforeWaiting()
    decision = decide(gateway, seeker)
    const taken = isBehind ? null : take(gateway, seeker, decision)
    if (taken !== null) return taken
  }
  return waitInLine(gateway, seeker, decision, line.onWait)
}

/** The slot of an account that can serve at once, for a try that nobody waits in line for; null where none can. */
export function seekNow(gateway: Gateway, seeker: Seeker): Slot | null {
  const decision = decide(gateway, seeker)
  if (standsBehind(gateway, seeker, decision)) return null
  const taken = take(gateway, seeker, decision)
  return taken?.kind === 'slot' ? taken.slot : null
}

/** The last word on who could serve, for whoever is told that none did. */
export function whoCouldServe(gateway: Gateway, seeker: Seeker): Choice {
  const decision = decide(gateway, { ...seeker, tried: new Set(), again: null })
  return decision.kind === 'account' ? { kind: 'account', id: decision.id } : noneOf(decision)
}

function waitInLine(
  gateway: Gateway,
  seeker: Seeker,
  first: Decision,
  onWait: (leave: () => void) => void,
): Promise<Sought> {
  const { routing, clock } = gateway
  const beganMs = clock.monotonicMs()
  const untilMs = beganMs + longestWaitMs(gateway, seeker)
  return new Promise((resolve) => {
    let decision = first
    let timer: NodeJS.Timeout | null = null
    let isOver = false
    const end = (sought: Sought) => {
      if (isOver) return
      isOver = true
      if (timer !== null) clearTimeout(timer)
      place?.leave()
      seeker.waitedMs += clock.monotonicMs() - beganMs
      onWait(() => {})
      resolve(sought)
    }
    const waitedNowMs = () => seeker.waitedMs + clock.monotonicMs() - beganMs
    // What it has waited so far counts when the worth of waiting on is weighed.
    const decideNow = () => decide(gateway, { ...seeker, waitedMs: waitedNowMs() })
    const attempt = (): boolean => {
      if (isOver) return false
      decision = decideNow()
      const taken = take(gateway, seeker, decision, waitedNowMs())
      if (taken === null) return false
      end(taken)
      return true
    }
    const { want } = seeker
    const place = routing.room.join({
      keyId: want.keyId,
      get scope() {
        return scopeOf(decision, seeker)
      },
      hope: {
        kind: `${kindOf(want)} ${JSON.stringify(want.tags)}`,
        isAnyFree: () => isAnyFree(gateway, want),
      },
      attempt,
    })
    const look = () => {
      if (isOver) return
      const leftMs = untilMs - clock.monotonicMs()
      timer = setTimeout(
        () => {
          routing.lookAround.serve()
          if (isOver) return
          const isLast = untilMs - clock.monotonicMs() <= 0
          // Others wait for the same warm account: who is behind them looks around itself. So does who has no more time.
          const looksItself = decision.kind === 'wait' && decision.trail.bound === null
          if (looksItself || isLast) attempt()
          else decision = decideNow()
          if (!isLast) look()
          else end(inVain(seeker, decision, waitedNowMs()))
        },
        Math.max(0, Math.min(leftMs, (waitOf(decision) ?? leftMs) + EARLY_MS)),
      )
    }
    if (place === null) end(inVain(seeker, decision))
    else {
      onWait(() => {
        // What it stood in line is told all the same.
        if (!isOver) tell(seeker, decision.trail, waitedNowMs())
        end({ kind: 'called_off' })
      })
      look()
    }
  })
}

function decide(gateway: Gateway, seeker: Seeker): Decision {
  const { want, route, tried, again, waitedMs } = seeker
  const longest = waitedMs + longestWaitMs(gateway, seeker)
  const { tags } = want
  const candidates = candidatesOf(gateway, want)
  const so = { tried, again, tags, waitedMs, longestWaitMs: longest }
  return select(candidates, demandOf(gateway, route, candidates, so), gateway.routing.random)
}

function take(
  gateway: Gateway,
  seeker: Seeker,
  decision: Decision,
  waitedMs = seeker.waitedMs,
): Sought | null {
  if (decision.kind !== 'account') return null
  const { trail } = decision
  const chosen = trail.candidates.find(({ accountId }) => accountId === decision.id)
  const warmTokens = chosen?.warmTokens ?? 0
  const inputTokens = Math.max(0, Math.round(promptTokensOf(seeker.route)) - warmTokens)
  const slot = gateway.pool.take(decision.id, { ...seeker.want, inputTokens })
  if (slot === null) return null
  tell(seeker, trail, waitedMs)
  seeker.isWarm = warmTokens > 0
  return { kind: 'slot', slot }
}

/** Nobody can serve it in time: the trail ends with how things stood. */
function inVain(seeker: Seeker, decision: Decision, waitedMs = seeker.waitedMs): Sought {
  tell(seeker, decision.trail, waitedMs)
  return { kind: 'none', choice: noneOf(decision) }
}

/** `waitedMs` is that of the whole request; each choice is told its own part. */
function tell({ route }: Seeker, trail: Decision['trail'], waitedMs: number): void {
  const told = route.trail.reduce((sum, one) => sum + one.waitedMs, 0)
  route.trail.push({ ...trail, waitedMs: waitedMs - told })
}

/** How long this request may still wait: the queue's patience and the client's. */
function longestWaitMs({ routing, clock }: Gateway, { waitedMs, deadlineMs }: Seeker): number {
  return Math.max(0, Math.min(routing.maxWaitMs - waitedMs, deadlineMs - clock.monotonicMs()))
}

/** Until it is worth looking again; null: no wait will help. */
function waitOf(decision: Decision): number | null {
  if (decision.kind === 'wait') return decision.forMs
  return decision.kind === 'none' ? decision.retryAfterMs : BEHIND_MS
}

function noneOf(decision: Decision): Extract<Choice, { kind: 'none' }> {
  if (decision.kind === 'none') return decision
  const isLimited = decision.trail.candidates[0]?.state === 'full'
  const because = isLimited ? 'limited' : 'unhealthy'
  return { kind: 'none', because, retryAfterMs: waitOf(decision) }
}

/** Others of its key came first, or nobody has looked yet whom of all that wait an account that got free may serve. */
function standsBehind({ routing }: Gateway, seeker: Seeker, decision: Decision): boolean {
  const { room, lookAround } = routing
  if (room.size === 0) return false
  return lookAround.isDue || room.isAhead(seeker.want.keyId, scopeOf(decision, seeker))
}

/** What it waits for: requests for one and the same are served in their order, and stop nobody else. */
function scopeOf({ trail, ...decision }: Decision, { tried, want }: Seeker): string {
  const kind = kindOf(want)
  if (trail.bound !== null) return `${kind} ${trail.bound.scope} ${trail.bound.id}`
  if (decision.kind === 'wait') return `${kind} account ${decision.id}`
  return tried.size === 0 ? kind : `${kind} not ${[...tried]}`
}

/** An account that is full or resting for one model may be free for another. */
function kindOf({ model, modelClass, isFast }: WantedAccount): string {
  return `${model} ${modelClass} ${isFast === true ? 'fast' : ''}`
}
