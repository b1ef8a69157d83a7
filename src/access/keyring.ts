import type { Key, User } from '../core/model.ts'
import { RateWindow } from '../core/window.ts'
import type { KeyCredential } from '../store/store.ts'
import { BurnWindow } from './burn-window.ts'

/** A key in the daemon's memory, with the counters of its limits. */
export interface LiveKey {
  key: Key
  userState: User['state']
  readonly window: RateWindow
  readonly burn: BurnWindow
  inFlight: number
}

/** Every key that could still be presented, by digest. Counters survive a reload. */
export class Keyring {
  #byDigest = new Map<string, LiveKey>()
  readonly #byId = new Map<string, LiveKey>()

  /** Takes the keys as the store has them now. */
  reload(credentials: readonly KeyCredential[]): void {
    const byDigest = new Map<string, LiveKey>()
    const seen = new Set<string>()
    for (const { key, digest, userState } of credentials) {
      let live = this.#byId.get(key.id)
      if (live === undefined) {
        live = { key, userState, window: new RateWindow(), burn: new BurnWindow(), inFlight: 0 }
        this.#byId.set(key.id, live)
      } else {
        live.key = key
        live.userState = userState
      }
      seen.add(key.id)
      byDigest.set(Buffer.from(digest).toString('latin1'), live)
    }
    for (const id of this.#byId.keys()) if (!seen.has(id)) this.#byId.delete(id)
    this.#byDigest = byDigest
  }

  /** The key whose secret has this digest; null when none has. */
  find(digest: Buffer): LiveKey | null {
    return this.#byDigest.get(digest.toString('latin1')) ?? null
  }

  get size(): number {
    return this.#byDigest.size
  }

  /** Keys that work at `nowMs`. */
  activeCount(nowMs: number): number {
    let count = 0
    for (const { key, userState } of this.#byDigest.values()) {
      const expired = key.expiresAtMs !== null && key.expiresAtMs <= nowMs
      if (key.revokedAtMs === null && !expired && userState === 'active') count++
    }
    return count
  }
}
