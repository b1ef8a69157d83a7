import type { Keyring } from '../access/keyring.ts'
import type { LiveAccount, Pool } from '../pool/pool.ts'
import type { Connections } from '../providers/http.ts'
import type { AccountCredential, Changes, Store } from '../store/store.ts'

/**
 * Brings changes that other processes made into force on the very next request. Asks the store's change
 * counters at most once per turn of the event loop, which costs some microseconds, and reads only what moved.
 */
export class Watch {
  readonly #store: Store
  readonly #keyring: Keyring
  readonly #pool: Pool
  readonly #connections: Connections
  readonly #open: (account: AccountCredential) => LiveAccount
  #seen: Changes | null = null
  #askedThisTurn = false
  #loading: Promise<void> | null = null

  constructor(parts: {
    store: Store
    keyring: Keyring
    pool: Pool
    connections: Connections
    open: (account: AccountCredential) => LiveAccount
  }) {
    this.#store = parts.store
    this.#keyring = parts.keyring
    this.#pool = parts.pool
    this.#connections = parts.connections
    this.#open = parts.open
  }

  /** null when memory is up to date; else the load to wait for. */
  refresh(): Promise<void> | null {
    if (this.#askedThisTurn) return this.#loading
    this.#askedThisTurn = true
    setImmediate(this.#nextTurn)
    const now = this.#store.changes()
    const seen = this.#seen
    if (seen !== null && seen.keys === now.keys && seen.accounts === now.accounts)
      return this.#loading
    this.#loading = this.#load(seen, now).finally(() => {
      this.#loading = null
    })
    return this.#loading
  }

  readonly #nextTurn = (): void => {
    this.#askedThisTurn = false
  }

  async #load(seen: Changes | null, now: Changes): Promise<void> {
    if (seen?.keys !== now.keys) this.#keyring.reload(await this.#store.loadKeys())
    if (seen?.accounts !== now.accounts) {
      const accounts = (await this.#store.loadAccounts()).map(this.#open)
      const stored = seen === null ? await this.#store.loadHealth() : []
      this.#pool.reload(accounts, stored)
      this.#connections.keepOnly(new Set(accounts.map(({ account }) => account.id)))
    }
    // Only now: a load that failed is tried again by the next request.
    this.#seen = now
  }
}
