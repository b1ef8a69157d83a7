/** Failed sign-ins an address may make per minute before it is answered without work (reliability K11). */
const FAILURES_PER_MINUTE = 20
/** Addresses remembered; beyond it the oldest are forgotten. */
const MAX_ADDRESSES = 10_000

/** Counts failed authentications per client address; a valid key is never refused because of them. */
export class FailureCounter {
  readonly #fullAtMs = new Map<string, number>()

  /** Milliseconds until this address may fail again; 0 when it may now. */
  waitMs(address: string, nowMs: number): number {
    const fullAtMs = this.#fullAtMs.get(networkOf(address))
    if (fullAtMs === undefined) return 0
    return Math.max(0, fullAtMs - nowMs - 60_000)
  }

  note(address: string, nowMs: number): void {
    const network = networkOf(address)
    const fullAtMs =
      Math.max(this.#fullAtMs.get(network) ?? 0, nowMs) + 60_000 / FAILURES_PER_MINUTE
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
  if (!address.includes(':') || address.startsWith('::ffff:')) return address
  const [head, tail = ''] = address.split('::')
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
