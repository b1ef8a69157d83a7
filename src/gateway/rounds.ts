import type { LiveAccount } from '../pool/pool.ts'
import { upstreamHeaders } from '../providers/anthropic/request.ts'
import type { StreamTap } from '../providers/anthropic/stream-tap.ts'
import { type AttemptEnd, type LiveStream, type RunningAttempt, startAttempt } from './attempt.ts'
import type { Exchange } from './exchange.ts'
import type { Gateway } from './gateway.ts'
import { targetOf } from './target.ts'

/** Answers that upstream pauses are gone on with so many times; then what there is is the answer. */
const MOST_ROUNDS = 5

/** Goes on with a paused answer, whose content so far is given, on the account that paused it. */
export type NextRound = (content: readonly unknown[], tap: StreamTap) => RunningAttempt

/** The rounds of one answer. */
export class Rounds {
  readonly #next: NextRound | null
  readonly #begun: (end: AttemptEnd) => void
  #count = 1
  /** The next round, until it begins. */
  #beginning: RunningAttempt | null = null

  /** `begun` is told how the beginning of a further round ended. */
  constructor(next: NextRound | null, begun: (end: AttemptEnd) => void) {
    this.#next = next
    this.#begun = begun
  }

  /** Begins the next round of an answer whose stream has paused; false when there is none. */
  goOn(stream: LiveStream, content: readonly unknown[]): boolean {
    if (this.#next === null || this.#count >= MOST_ROUNDS) return false
    this.#count++
    // Its end has come; what its connection still says is nothing.
    stream.abort()
    stream.tap.nextRound()
    const beginning = this.#next(content, stream.tap)
    this.#beginning = beginning
    void beginning.end.then((end) => {
      this.#beginning = null
      this.#begun(end)
    })
    return true
  }

  /** Calls off a round that has not begun. */
  abort(): void {
    this.#beginning?.abort()
  }
}

/** `body` is the one that the account answered; null where upstream's pauses are the client's own to see. */
export function nextRoundOf(
  gateway: Gateway,
  { format, up, request }: Exchange,
  { body, account: live }: { readonly body: Uint8Array; readonly account: LiveAccount },
): NextRound | null {
  if (format === null) return null
  const { bodies } = format.translator
  return (content, tap) => {
    const workspaceId = gateway.pool.headroom(live.account.id)?.workspaceId ?? null
    const target = targetOf(live, workspaceId)
    const text = bodies.withPausedContent(Buffer.from(body).toString('utf8'), content)
    return startAttempt({
      dispatcher: gateway.connections.for(live),
      method: 'POST',
      path: target.pathPrefix + up.target,
      headers: upstreamHeaders(up.rawHeaders, target, gateway.policy.defaults),
      body: Buffer.from(text),
      stream: true,
      model: request.model,
      beginWithinMs: gateway.policy.firstByteMs,
      idleMs: gateway.policy.idleMs,
      nowMs: gateway.clock.monotonicMs,
      tap,
    })
  }
}
