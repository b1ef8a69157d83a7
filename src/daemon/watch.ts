import type { Keyring } from '../access/keyring.ts'
import type { AccountCaps } from '../pool/account-caps.ts'
import type { LiveAccount, Pool } from '../pool/pool.ts'
import type { Connections } from '../providers/http.ts'
import type { AccountCredential, Changes, PriceChange, Store } from '../store/store.ts'

/**
 * Brings changes that other processes made into force on the very next request. Asks the store's change
 * counters at most once per turn of the event loop, which costs some microseconds, and reads only what moved.
 */
export class Watch {
  readonly #store: Store
  readonly #keyring: Keyring
  readonly #pool: Pool
  readonly #caps: AccountCaps
  readonly #connections: Connections
  readonly #open: (account: AccountCredential) => LiveAccount
  readonly #onPrices: (changes: readonly PriceChange[]) => void
  #seen: Changes | null = null
  #askedThisTurn = false
  #loading: Promise<void> | null = null
  /** The counters that the last load under way brings. */
  #loadingFor: Changes | null = null

  constructor(parts: {
    store: Store
    keyring: Keyring
    pool: Pool
    caps: AccountCaps
    connections: Connections
    open: (account: AccountCredential) => LiveAccount
    /** Gets every price change there is, at the first look and whenever there are more. */
    onPrices: (changes: readonly PriceChange[]) => void
  }) {
    this.#store = parts.store
    this.#keyring = parts.keyring
    this.#pool = parts.pool
    this.#caps = parts.caps
    this.#connections = parts.connections
    this.#open = parts.open
    this.#onPrices = parts.onPrices
  }

  /** null when memory is up to date; else the load to wait for. */
  refresh(): Promise<void> | null {
    if (this.#askedThisTurn) return this.#loading
    this.#askedThisTurn = true
    setImmediate(this.#nextTurn)
    const now = this.#store.changes()
    const known = this.#loadingFor ?? this.#seen
    if (known !== null && isSame(known, now)) return this.#loading
    // One after the other: an older load that ended last would bring older facts.
    const before = this.#loading
    const loading = (
      before === null ? this.#load(now) : before.then(ignore, ignore).then(() => this.#load(now))
    ).finally(() => {
      if (this.#loading !== loading) return
      this.#loading = null
      this.#loadingFor = null
    })
    this.#loading = loading
    this.#loadingFor = now
    return loading
  }

  readonly #nextTurn = (): void => {
    this.#askedThisTurn = false
  }

  async #load(now: Changes): Promise<void> {
    const seen = this.#seen
    if (seen?.keys !== now.keys) this.#keyring.reload(await this.#store.loadKeys())
    if (seen?.prices !== now.prices) this.#onPrices(await this.#store.loadPriceChanges())
    if (seen?.accounts !== now.accounts) {
      const accounts = (await this.#store.loadAccounts()).map(this.#open)
      const stored = seen === null ? await this.#store.loadHealth() : []
      this.#pool.reload(accounts, stored)
      this.#connections.keepOnly(new Set(accounts.map(({ account }) => account.id)))
      if (accounts.some(({ account }) => (account.dayCapMicro ?? account.monthCapMicro) !== null))
        await this.#loadCosts()
    }
    // Only now: a load that failed is tried again by the next request.
    this.#seen = now
  }

  /** What the accounts have cost us until now, other runs of the gateway included. */
  async #loadCosts(): Promise<void> {
    await this.#caps.load(Date.now(), (windows) => this.#store.listCosts(windows))
  }
}

function isSame(a: Changes, b: Changes): boolean {
  return a.keys === b.keys && a.accounts === b.accounts && a.prices === b.prices
}

function ignore(): void {}
