import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Gate } from '../access/authenticate.ts'
import type { LiveKey } from '../access/keyring.ts'
import type { Dialect } from '../dialects/dialect.ts'
import type { Gateway } from '../gateway/gateway.ts'
import type { ClientAddress } from './client-address.ts'

/** What the routes work with. Made once, by the daemon. */
export interface ServerContext {
  readonly gateway: Gateway
  readonly gate: Gate
  readonly makeRequestId: () => string
  readonly clientAddress: ClientAddress
  readonly maxBodyBytes: number
  readonly headersTimeoutMs: number
  /** OpenAI's paths and shapes exist. */
  readonly hasOpenAi: boolean
  /** Answers carry `X-CC-Demo: 1`. */
  readonly demo: boolean
  /**
   * Takes changes made by other processes into force; null when there is nothing to wait for. Called for
   * each request before anything is decided.
   */
  readonly refresh: () => Promise<void> | null
  /** Why nothing is admitted now; null when all is well. */
  readonly closed: () => 'draining' | 'storage_full' | 'store_unavailable' | null
}

/** One request at the door. */
export interface Incoming {
  readonly context: ServerContext
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly requestId: string
  /** In which format it is answered. */
  readonly dialect: Dialect
  /** Set once the caller is known: later errors then describe its limits too. */
  live: LiveKey | null
  /** The client sent `Expect: 100-continue` and waits with its body. */
  readonly awaitsContinue: boolean
  /** The raw path, without the query. */
  readonly path: string
  readonly arrivedAtMs: number
  /** On the monotonic clock. */
  readonly arrivedMs: number
}
