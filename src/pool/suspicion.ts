/** A key counts as active on an account for so long after its last attempt there. */
const ACTIVE_MS = 60_000
/** So long a key that has rested one account alone cannot rest another. */
const DOUBT_MS = 600_000
/** Keys remembered per account, and keys doubted. */
const MOST_KEYS = 256
const MOST_DOUBTED = 1_000

/**
 * The two-key rule: while other keys are active on an account, failures that one key alone sees rest one
 * account at most; for another one a second key has to see them as well.
 */
export class Suspicion {
  /** Per account: when each key last sent an attempt there. */
  readonly #active = new Map<string, Map<string, number>>()
  readonly #rested = new Map<string, { readonly accountId: string; readonly atMs: number }>()

  /** An attempt of this key leaves for the account. */
  sent(accountId: string, keyId: string, nowMs: number): void {
    let keys = this.#active.get(accountId)
    if (keys === undefined) {
      keys = new Map()
      this.#active.set(accountId, keys)
    }
    // Put in anew, so that the first of the map is the one that is longest silent.
    keys.delete(keyId)
    keys.set(keyId, nowMs)
    if (keys.size > MOST_KEYS) dropFirst(keys)
  }

  /** Whether the failures that this key alone sees do not rest the account. */
  isDoubted(accountId: string, keyId: string, nowMs: number): boolean {
    const rested = this.#rested.get(keyId)
    if (rested === undefined || rested.accountId === accountId) return false
    return nowMs - rested.atMs < DOUBT_MS && this.#othersAreActive(accountId, keyId, nowMs)
  }

  /** The account rests because of failures that only this key saw. */
  restedAlone(accountId: string, keyId: string, nowMs: number): void {
    this.#rested.delete(keyId)
    this.#rested.set(keyId, { accountId, atMs: nowMs })
    if (this.#rested.size > MOST_DOUBTED) dropFirst(this.#rested)
  }

  /** Forgets accounts that are gone. */
  keepOnly(accountIds: ReadonlySet<string>): void {
    for (const id of this.#active.keys()) if (!accountIds.has(id)) this.#active.delete(id)
  }

  #othersAreActive(accountId: string, keyId: string, nowMs: number): boolean {
    for (const [other, atMs] of this.#active.get(accountId) ?? []) {
      if (other !== keyId && nowMs - atMs < ACTIVE_MS) return true
    }
    return false
  }
}

function dropFirst(map: Map<string, unknown>): void {
  for (const key of map.keys()) {
    map.delete(key)
    return
  }
}
