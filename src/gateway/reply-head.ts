import type { IncomingHttpHeaders } from 'node:http'
import { responseHeadersDown } from '../wire/headers.ts'
import type { StreamHead } from './client-stream.ts'
import type { Call } from './exchange.ts'
import type { Closed } from './settle.ts'

/**
 * The head of an upstream answer as the client gets it, flat: upstream's headers as they pass, then ours.
 * `request-id` stays Anthropic's own where it sent one.
 */
export function answerHead(
  call: Call,
  upstream: IncomingHttpHeaders,
  accountId: string,
  keyHeaders: readonly string[],
): string[] {
  const flat: string[] = []
  for (const name in upstream) {
    const value = upstream[name]
    if (typeof value === 'string') flat.push(name, value)
    else if (value !== undefined) for (const one of value) flat.push(name, one)
  }
  const head = responseHeadersDown(flat)
  head.push('x-cc-request-id', call.requestId, 'x-cc-account-id', accountId)
  if (upstream['request-id'] === undefined) head.push('request-id', call.requestId)
  head.push('cache-control', 'no-store')
  for (const part of keyHeaders) head.push(part)
  return head
}

/** The head of a stream whose account is not known yet, flat. */
export function earlyHead({ requestId }: Call, ours: readonly string[]): string[] {
  return [
    'content-type',
    'text/event-stream; charset=utf-8',
    'x-cc-request-id',
    requestId,
    'request-id',
    requestId,
    'cache-control',
    'no-store',
    'x-accel-buffering',
    'no',
    ...ours,
  ]
}

/** What an answer that is whole has cost, and what is left; flat. */
export function costHeaders({
  costMicro,
  balanceMicro,
}: Pick<Closed, 'costMicro' | 'balanceMicro'>): string[] {
  const headers = ['x-cc-cost-micro', String(costMicro)]
  if (balanceMicro !== null) headers.push('x-cc-balance-micro', String(balanceMicro))
  return headers
}

/** The head of an answer that is relayed, flat; `cost` instead of what the head itself says of it. */
export function relayedHead(
  call: Call,
  { headers, accountId, ...head }: StreamHead,
  ours: readonly string[],
  cost: StreamHead['cost'] = head.cost,
): string[] {
  const flat = answerHead(call, headers, accountId, ours)
  if (head.length === null) flat.push('x-accel-buffering', 'no')
  else flat.push('content-length', String(head.length))
  if (cost !== null) flat.push(...costHeaders(cost))
  return flat
}
