import type { LookupAddress, LookupOptions } from 'node:dns'
import { lookup as resolve } from 'node:dns'
import type { Pool } from 'undici'
// The package's index also loads fetch, WebSocket, cache and mocks: 13 MB and 50 ms that a proxy never uses.
import UndiciPool from 'undici/lib/dispatcher/pool.js'
import { addressKind, hostKind } from '../core/address.ts'
import { invariant } from '../core/invariant.ts'
import type { Account } from '../core/model.ts'
import { parseProxyUrl } from '../core/proxy-url.ts'
import { connectorThrough } from './tunnel.ts'

/** How connections to upstream are made. */
export interface ConnectionPolicy {
  readonly connectMs: number
  readonly keepAliveMs: number
  readonly connectionsPerAccount: number
  /** The whole URL of the outbound proxy for accounts that have none of their own; null: none. */
  readonly proxy: string | null
}

/** An account and how it is reached. */
export interface Reach {
  readonly account: Pick<Account, 'id' | 'baseUrl' | 'allowPrivate'>
  /** The whole URL of its own outbound proxy, as `parseProxyUrl` spells it; null: the policy's. */
  readonly proxy: string | null
}

/** Keep-alive connections, a set of their own for each account and origin. */
export class Connections {
  readonly #pools = new Map<string, { address: string; pool: Pool }>()
  readonly #policy: ConnectionPolicy

  constructor(policy: ConnectionPolicy) {
    this.#policy = policy
  }

  /** The connections of an account; made on first use and again when it may reach elsewhere. */
  for(reach: Reach): Pool {
    const { account } = reach
    const known = this.#pools.get(account.id)
    const address = `${account.baseUrl}${account.allowPrivate ? ' or private' : ''} ${reach.proxy}`
    if (known !== undefined && known.address === address) return known.pool
    if (known !== undefined) void known.pool.close()
    const pool = new UndiciPool(new URL(account.baseUrl).origin, {
      connections: this.#policy.connectionsPerAccount,
      keepAliveTimeout: this.#policy.keepAliveMs,
      pipelining: 1,
      allowH2: false,
      connect: this.#connectTo(reach),
    })
    this.#pools.set(account.id, { address, pool })
    return pool
  }

  #connectTo({ account, proxy }: Reach): Pool.Options['connect'] {
    const timeout = this.#policy.connectMs
    if (!account.allowPrivate) {
      const { hostname } = new URL(account.baseUrl)
      // An address needs no look-up, so `resolvePublic` would never see it, nor what a proxy makes of `localhost`.
      if (hostKind(hostname.replace(/\.$/, '')) !== 'public')
        return (_options, done) => done(notPublic(hostname), null)
    }
    const through = proxy ?? this.#policy.proxy
    // Through a proxy the proxy resolves the name, in its own network: where that may lead is for it to say.
    if (through !== null) return connectorThrough(readProxy(through), timeout)
    return account.allowPrivate ? { timeout } : { timeout, lookup: resolvePublic }
  }

  /** Closes idle connections of accounts that are gone; running requests finish. */
  keepOnly(accountIds: ReadonlySet<string>): void {
    for (const [id, { pool }] of this.#pools) {
      if (accountIds.has(id)) continue
      this.#pools.delete(id)
      void pool.close()
    }
  }

  /** Ends everything at once. */
  async destroy(): Promise<void> {
    await Promise.all([...this.#pools.values()].map(({ pool }) => pool.destroy()))
    this.#pools.clear()
  }
}

function readProxy(url: string) {
  const read = parseProxyUrl(url)
  invariant(read.kind === 'ok', 'a stored proxy can be read')
  return read.value
}

/** A name that was public when the account was added may point inwards later: checked at each connect. */
function resolvePublic(
  hostname: string,
  options: LookupOptions,
  done: (
    error: NodeJS.ErrnoException | null,
    address: string | LookupAddress[],
    family?: number,
  ) => void,
): void {
  resolve(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) return done(error, [])
    const inside = addresses.find(({ address }) => addressKind(address) !== 'public')
    if (inside !== undefined || addresses.length === 0) {
      return done(notPublic(hostname), [])
    }
    if (options.all) return done(null, addresses)
    done(null, addresses[0].address, addresses[0].family)
  })
}

function notPublic(hostname: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${hostname} is no public address`), { code: 'EPRIVATE' })
}

/** Codes of failures before a connection stood: upstream cannot have seen the request. */
const NOT_SENT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'EPRIVATE',
  'EPROTO',
  'EPROXY',
  'UND_ERR_CONNECT_TIMEOUT',
])

/** True when the error arose while connecting (refused, unknown name, TLS): nothing was sent. */
export function nothingWasSent(error: Error & { code?: string }): boolean {
  const code = error.code ?? ''
  return (
    NOT_SENT.has(code) ||
    code.startsWith('ERR_TLS') ||
    code.startsWith('CERT_') ||
    code.includes('SELF_SIGNED') ||
    code.startsWith('UNABLE_TO_')
  )
}

/** True when upstream stayed silent for too long. */
export function wasTimeout(error: Error & { code?: string }): boolean {
  return error.code === 'UND_ERR_HEADERS_TIMEOUT' || error.code === 'UND_ERR_BODY_TIMEOUT'
}
