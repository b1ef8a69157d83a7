import type { Incoming } from '../context.ts'

/** `GET /healthz`: the process answers. */
export function serveHealth(incoming: Incoming): void {
  plain(incoming, 200, 'ok\n')
}

/** `GET /readyz`: requests would be admitted; 503 while draining or while the store cannot record. */
export function serveReady(incoming: Incoming): void {
  const closed = incoming.context.closed()
  plain(incoming, closed === null ? 200 : 503, `${closed ?? 'ready'}\n`)
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
