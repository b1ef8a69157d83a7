import type { Account } from '../../core/model.ts'
import type { Incoming } from '../context.ts'

/** `GET /healthz`: the process answers. */
export function serveHealth(incoming: Incoming): void {
  plain(incoming, 200, 'ok\n')
}

/**
 * `GET /readyz`: requests would be admitted; 503 while draining, while the store cannot record, and without an
 * account that a person lets serve. Accounts that rest change nothing: they come back by themselves.
 */
export function serveReady(incoming: Incoming): void {
  const { gateway } = incoming.context
  const closed = incoming.context.closed() ?? noAccount(gateway.pool.accounts)
  plain(incoming, closed === null ? 200 : 503, `${closed ?? 'ready'}\n`)
}

function noAccount(accounts: readonly Pick<Account, 'disabledAtMs'>[]): string | null {
  if (accounts.length === 0) return 'no accounts configured'
  return accounts.every(({ disabledAtMs }) => disabledAtMs !== null)
    ? 'all accounts are disabled'
    : null
}

/** `GET /`: says what answers here. */
export function serveRoot(incoming: Incoming): void {
  plain(incoming, 200, 'ccgate: a gateway for the Claude API. Send requests to /v1/messages.\n')
}

function plain(incoming: Incoming, status: number, text: string): void {
  incoming.response.writeHead(status, [
    'content-type',
    'text/plain; charset=utf-8',
    'content-length',
    String(Buffer.byteLength(text)),
    'x-cc-request-id',
    incoming.requestId,
    'cache-control',
    'no-store',
  ])
  incoming.response.end(text)
}
