import type { IncomingMessage } from 'node:http'
import { admit } from '../access/admit.ts'
import { authenticate } from '../access/authenticate.ts'
import type { LiveKey } from '../access/keyring.ts'
import { GatewayError } from '../core/errors.ts'
import { formatUsdFull } from '../core/money.ts'
import { secondsUp } from '../core/quantity.ts'
import type { Call } from '../gateway/exchange.ts'
import type { Incoming, ServerContext } from './context.ts'

/** The key of a request, after changes made elsewhere are in force; throws 401 or 403. */
export async function identify(incoming: Incoming): Promise<LiveKey> {
  const { context, request } = incoming
  const refreshing = context.refresh()
  if (refreshing !== null) await refreshing
  incoming.live = authenticate(
    {
      apiKey: oneValue(request, 'x-api-key'),
      authorization: oneValue(request, 'authorization'),
      countedAddress: context.clientAddress.counted(request),
    },
    context.gate,
    incoming.arrivedAtMs,
  )
  return incoming.live
}

/**
 * A credential header's value, however often it stands there; throws 401 when it stands there with two
 * values. Node would join the one kind of header and drop the second of the other.
 */
function oneValue(request: IncomingMessage, name: string): string | undefined {
  const { rawHeaders } = request
  let found: string | undefined
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const isIt = rawHeaders[i].length === name.length && rawHeaders[i].toLowerCase() === name
    if (!isIt) continue
    const value = rawHeaders[i + 1]
    if (found !== undefined && credentialIn(found) !== credentialIn(value))
      throw new GatewayError('conflicting_credentials')
    found = value
  }
  return found
}

function credentialIn(value: string): string {
  return value.replace(/^bearer /i, '').trim()
}

/** Throws 503 while nothing is admitted. */
export function requireOpen(context: ServerContext): void {
  const closed = context.closed()
  if (closed !== null)
    throw new GatewayError(closed, { retryAfterMs: closed === 'draining' ? 3_000 : 5_000 })
}

/**
 * Takes one request of the key's RPM and a slot of its concurrency (`inFlight`); throws 429. `runs`: the request
 * may be a retry of one of so many abandoned runs of its key, which have their slots yet. For their sake it may come
 * in beyond the limit, up to twice that, and has to ask for a slot (`requireSlot`) when it joins none.
 */
export function enter(live: LiveKey, nowMs: number, runs = 0): 'entered' | 'entered_to_join' {
  const { rpmLimit, concurrencyLimit } = live.key
  const rpmWaitMs = rpmLimit === null ? 0 : live.window.waitMs(rpmLimit, nowMs)
  const { inFlight } = live
  const beyond = Math.min(runs, concurrencyLimit ?? 0)
  const load = { inFlight: Math.max(0, inFlight - beyond), rpmWaitMs }
  const admission = admit({ rpmLimit, concurrencyLimit }, load)
  switch (admission.kind) {
    case 'rpm_exceeded':
      throw new GatewayError('key_rpm_exceeded', {
        facts: {
          limit: requestsText(admission.limit),
          seconds: secondsUp(admission.retryAfterMs),
        },
        retryAfterMs: admission.retryAfterMs,
      })
    case 'concurrency_exceeded':
      throw concurrencyExceeded(admission.limit)
    case 'admitted':
      break
  }
  if (rpmLimit !== null) live.window.take(rpmLimit, nowMs)
  live.inFlight++
  return concurrencyLimit !== null && inFlight >= concurrencyLimit ? 'entered_to_join' : 'entered'
}

/** What came in to join a run and has found none goes on only if there is a slot for it; throws 429. */
export async function requireSlot(live: LiveKey): Promise<void> {
  // A run that has just come to nothing gives its slot back in this turn of the event loop.
  await new Promise((resolve) => setImmediate(resolve))
  const { concurrencyLimit } = live.key
  if (concurrencyLimit !== null && live.inFlight > concurrencyLimit)
    throw concurrencyExceeded(concurrencyLimit)
}

function concurrencyExceeded(limit: number): GatewayError {
  return new GatewayError('key_concurrency_exceeded', {
    facts: { limit: requestsText(limit) },
    retryAfterMs: 1_000,
  })
}

function requestsText(count: number): string {
  return count === 1 ? '1 request' : `${count} requests`
}

/** Throws 429 while the key rests because it spends too fast; the beginning of a rest is logged. */
export function requireSlowBurn(live: LiveKey, { gateway }: ServerContext, nowMs: number): void {
  const { id, burnLimitMicro } = live.key
  if (burnLimitMicro === null) return
  const rest = live.burn.check(burnLimitMicro, nowMs)
  if (rest === null) return
  if (rest.isNew) {
    const burnMicro = live.burn.totalMicro(nowMs)
    gateway.log.warn({ keyId: id, burnMicro, limitMicro: burnLimitMicro }, 'key.burn_rate')
  }
  throw new GatewayError('key_burn_rate_exceeded', {
    facts: { limit: formatUsdFull(burnLimitMicro), seconds: secondsUp(rest.waitMs) },
    retryAfterMs: rest.waitMs,
  })
}

/** The request as the gateway knows it. */
export function callOf(incoming: Incoming, live: LiveKey): Call {
  const { request } = incoming
  const seconds = Number(request.headers['x-stainless-timeout'])
  const agent = request.headers['user-agent']
  return {
    requestId: incoming.requestId,
    live,
    dialect: incoming.dialect,
    target: request.url ?? incoming.path,
    rawHeaders: request.rawHeaders,
    response: incoming.response,
    clientIp: incoming.context.clientAddress.of(request),
    clientAgent: agent === undefined ? null : agent.slice(0, 120),
    arrivedAtMs: incoming.arrivedAtMs,
    arrivedMs: incoming.arrivedMs,
    clientTimeoutMs: Number.isFinite(seconds) && seconds > 0 ? seconds * 1_000 : null,
    isRetry:
      Number(request.headers['x-stainless-retry-count']) > 0 ||
      request.headers['idempotency-key'] !== undefined,
  }
}
