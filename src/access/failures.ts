/** Failed sign-ins an address may make per minute before it is answered without work. */
const FAILURES_PER_MINUTE = 20
/** Addresses remembered; beyond it the oldest are forgotten. */
const MAX_ADDRESSES = 10_000

/** What one failure takes, and what all of a minute's take together. */
const STEP_MS = 60_000 / FAILURES_PER_MINUTE
const MINUTE_MS = 60_000

/** Counts failed authentications per client address; a valid key is never refused because of them. */
export class FailureCounter {
  /** When an address will have all its failures back: GCRA as in `core/window.ts`, one number each. */
  readonly #fullAtMs = new Map<string, number>()

  /** Milliseconds until this address may fail again; 0 when it may now. */
  waitMs(address: string, nowMs: number): number {
    const fullAtMs = this.#fullAtMs.get(networkOf(address))
    // Further ahead than a minute only when the wall clock was set back since.
    if (fullAtMs === undefined || fullAtMs > nowMs + MINUTE_MS) return 0
    return Math.max(0, fullAtMs + STEP_MS - nowMs - MINUTE_MS)
  }

  note(address: string, nowMs: number): void {
    const network = networkOf(address)
    const before = this.#fullAtMs.get(network) ?? 0
    const fullAtMs = (before > nowMs + MINUTE_MS ? nowMs : Math.max(before, nowMs)) + STEP_MS
    this.#fullAtMs.delete(network)
    this.#fullAtMs.set(network, fullAtMs)
    if (this.#fullAtMs.size > MAX_ADDRESSES) {
      const [oldest] = this.#fullAtMs.keys()
      this.#fullAtMs.delete(oldest)
    }
  }
}

/** An IPv4 address as it is, an IPv6 one by its /64: one subscriber has all of that. */
function networkOf(address: string): string {
  if (!address.includes(':')) return address
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  if (mapped !== null) return mapped[1]
  const [head, tail = ''] = address.toLowerCase().split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === '' ? [] : tail.split(':')
  const groups = address.includes('::')
    ? [...left, ...Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0'), ...right]
    : left
  return groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')
}
