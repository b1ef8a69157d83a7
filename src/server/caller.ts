import { admit } from '../access/admit.ts'
import { authenticate } from '../access/authenticate.ts'
import type { LiveKey } from '../access/keyring.ts'
import { GatewayError } from '../core/errors.ts'
import { anthropic } from '../dialects/anthropic/index.ts'
import type { Call } from '../gateway/exchange.ts'
import type { Incoming } from './context.ts'

/** The key of a request, after changes made elsewhere are in force; throws 401 or 403. */
export async function identify(incoming: Incoming): Promise<LiveKey> {
  const { context, request } = incoming
  const refreshing = context.refresh()
  if (refreshing !== null) await refreshing
  const apiKey = request.headers['x-api-key']
  incoming.live = authenticate(
    {
      apiKey: Array.isArray(apiKey) ? apiKey.join(',') : apiKey,
      authorization: request.headers.authorization,
      countedAddress: context.clientAddress.counted(request),
    },
    context.gate,
    incoming.arrivedAtMs,
  )
  return incoming.live
}

/** Takes one request of the key's RPM and, for `slot`, one of its concurrency; throws 429. */
export function enter(live: LiveKey, nowMs: number, options: { readonly slot: boolean }): void {
  const { rpmLimit } = live.key
  const rpmWaitMs = rpmLimit === null ? 0 : live.window.waitMs(rpmLimit, nowMs)
  const admission = admit(
    { rpmLimit, concurrencyLimit: options.slot ? live.key.concurrencyLimit : null },
    { inFlight: live.inFlight, rpmWaitMs },
  )
  switch (admission.kind) {
    case 'rpm_exceeded':
      throw new GatewayError('key_rpm_exceeded', {
        facts: {
          limit: admission.limit,
          seconds: Math.max(1, Math.ceil(admission.retryAfterMs / 1_000)),
        },
        retryAfterMs: admission.retryAfterMs,
      })
    case 'concurrency_exceeded':
      throw new GatewayError('key_concurrency_exceeded', {
        facts: { limit: admission.limit },
        retryAfterMs: 1_000,
      })
    case 'admitted':
      break
  }
  if (rpmLimit !== null) live.window.take(rpmLimit, nowMs)
  if (options.slot) live.inFlight++
}

/** `anthropic-ratelimit-requests-*`: the key's own limit, flat; nothing for a key without one. */
export function keyHeaders(
  live: LiveKey,
  now: { readonly atMs: number; readonly monotonicMs: number },
): string[] {
  const { rpmLimit } = live.key
  if (rpmLimit === null) return []
  const resetAtMs = now.atMs + live.window.resetMs(now.monotonicMs)
  return [
    'anthropic-ratelimit-requests-limit',
    String(rpmLimit),
    'anthropic-ratelimit-requests-remaining',
    String(live.window.remaining(rpmLimit, now.monotonicMs)),
    'anthropic-ratelimit-requests-reset',
    `${new Date(resetAtMs).toISOString().slice(0, 19)}Z`,
  ]
}

/** The request as the gateway knows it. */
export function callOf(incoming: Incoming, live: LiveKey): Call {
  const { request } = incoming
  const seconds = Number(request.headers['x-stainless-timeout'])
  const agent = request.headers['user-agent']
  return {
    requestId: incoming.requestId,
    live,
    dialect: anthropic,
    target: request.url ?? incoming.path,
    rawHeaders: request.rawHeaders,
    response: incoming.response,
    clientIp: incoming.context.clientAddress.of(request),
    clientAgent: agent === undefined ? null : agent.slice(0, 120),
    arrivedAtMs: incoming.arrivedAtMs,
    arrivedMs: incoming.arrivedMs,
    clientTimeoutMs: Number.isFinite(seconds) && seconds > 0 ? seconds * 1_000 : null,
  }
}
