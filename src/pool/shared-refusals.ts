/**
 * Upstream refills what an organisation shares within a minute. A longer rest was stated to one account, whose
 * workspace has a limit of its own perhaps: the others find out for themselves after that.
 */
const LONGEST_MS = 60_000

interface Refusal {
  readonly atMs: number
  readonly untilMs: number
}

/**
 * Rate limits are an organisation's: when one of its accounts is told until when a model class is limited, the
 * others need not ask. An answer to any of them that was sent later ends it. Times are monotonic milliseconds.
 */
export class SharedRefusals {
  /** By organisation and the part of the model class. */
  readonly #byOrganization = new Map<string, Map<string, Refusal>>()

  /** The organisation was told to wait so long. */
  refused(organization: string, part: string, forMs: number, nowMs: number): void {
    if (Number.isNaN(forMs) || forMs <= 0) return
    const parts = this.#byOrganization.get(organization) ?? new Map<string, Refusal>()
    this.#byOrganization.set(organization, parts)
    const untilMs = Math.max(nowMs + Math.min(forMs, LONGEST_MS), parts.get(part)?.untilMs ?? 0)
    parts.set(part, { atMs: nowMs, untilMs })
  }

  /** A request that was sent at `sentMs` was served. */
  served(organization: string, part: string, sentMs: number): void {
    const parts = this.#byOrganization.get(organization)
    const refusal = parts?.get(part)
    if (refusal !== undefined && sentMs > refusal.atMs) parts?.delete(part)
  }

  /** How long the organisation still has to wait; 0: it has not. */
  waitMs(organization: string, part: string, nowMs: number): number {
    const refusal = this.#byOrganization.get(organization)?.get(part)
    return refusal === undefined ? 0 : Math.max(0, Math.ceil(refusal.untilMs - nowMs))
  }

  /** A person ended what its accounts rest for. */
  clear(organization: string): void {
    this.#byOrganization.delete(organization)
  }
}
