import { startAttempt } from '../gateway/attempt.ts'
import type { Gateway } from '../gateway/gateway.ts'
import { targetOf } from '../gateway/target.ts'
import type { LiveAccount } from '../pool/pool.ts'
import { upstreamHeaders } from '../providers/anthropic/request.ts'

/** The model that free counts are made with: cheap, and offered to every organisation. */
const PROBE_MODEL = 'claude-haiku-4-5-20251001'
const PROBE_TIMEOUT_MS = 20_000
/** Out of credit comes back when a person pays: asked less often than a refused credential. */
const CREDIT_FACTOR = 1.5

/**
 * Asks upstream, by calls that cost nothing, whether accounts that rest without an end may serve again.
 * `tick` is called every second and decides itself what is due.
 */
export class Prober {
  readonly #gateway: Gateway
  readonly #everyMs: number
  readonly #lastMs = new Map<string, number>()

  constructor(gateway: Gateway, everyMs: number) {
    this.#gateway = gateway
    this.#everyMs = everyMs
  }

  async tick(): Promise<void> {
    const { clock, pool } = this.#gateway
    const nowMs = clock.monotonicMs()
    const due = pool.probeable().filter(({ live, state, sinceMs }) => {
      const everyMs = state === 'out_of_credit' ? this.#everyMs * CREDIT_FACTOR : this.#everyMs
      const lastMs = this.#lastMs.get(live.account.id) ?? Number.NEGATIVE_INFINITY
      // The failure itself was the first probe.
      return clock.nowMs() - sinceMs >= everyMs && nowMs - lastMs >= everyMs
    })
    await Promise.all(
      due.map(async ({ live, state }) => {
        this.#lastMs.set(live.account.id, nowMs)
        if (await this.#answers(live, state)) {
          this.#lastMs.delete(live.account.id)
          pool.recovered(live.account.id)
        }
      }),
    )
  }

  async #answers(live: LiveAccount, state: 'unauthorized' | 'out_of_credit'): Promise<boolean> {
    const { connections, policy, clock } = this.#gateway
    const target = targetOf(live, null)
    const isCount = state === 'out_of_credit'
    const body = JSON.stringify({
      model: PROBE_MODEL,
      messages: [{ role: 'user', content: 'ping' }],
    })
    const attempt = startAttempt({
      dispatcher: connections.for(live),
      method: isCount ? 'POST' : 'GET',
      path: `${target.pathPrefix}${isCount ? '/v1/messages/count_tokens' : '/v1/models'}`,
      headers: upstreamHeaders([], target, policy.defaults),
      body: isCount ? Buffer.from(body) : null,
      stream: false,
      model: PROBE_MODEL,
      beginWithinMs: PROBE_TIMEOUT_MS,
      idleMs: PROBE_TIMEOUT_MS,
      nowMs: clock.monotonicMs,
    })
    const end = await attempt.end
    return end.kind === 'answer' && end.outcome.kind === 'ok'
  }
}
