import { findPrice } from '../billing/price-table.ts'
import { CACHE_TTL_MS } from '../core/fingerprint.ts'
import type { InferenceRequest, Translated, Translator } from '../dialects/dialect.ts'
import { ownerNumber } from '../pool/affinity.ts'
import { fingerprint } from '../wire/fingerprint.ts'
import type { Call } from './exchange.ts'
import type { Gateway } from './gateway.ts'

/** About how many bytes of a prompt make a token. */
const BYTES_PER_TOKEN = 4

/**
 * The body with automatic caching where a prompt that it goes on from came within the cache's life; null where
 * it stays as it is. Whoever never comes back does not pay for writing a cache.
 */
export function withSeenCache(
  gateway: Gateway,
  call: Call,
  translation: Pick<Translated, 'autoCache' | 'autoCacheTtl' | 'body'>,
  {
    request,
    bodies,
  }: { readonly request: InferenceRequest; readonly bodies: Translator['bodies'] },
): string | null {
  if (translation.autoCache !== 'if_seen') return null
  const { routing, prices, clock } = gateway
  const prompt = fingerprint(bytesOf(request.body), request.facts, routing.hashKey)
  const row = findPrice(prices, request.model, call.arrivedAtMs)
  const tokens = (prompt.sizes.at(-1) ?? 0) / BYTES_PER_TOKEN
  if (tokens < (row?.minimumCacheTokens ?? 0)) return null
  const nowMs = clock.nowMs()
  const isSeen = routing.seen.has(prompt, nowMs)
  const ms = CACHE_TTL_MS[translation.autoCacheTtl]
  routing.seen.note(prompt, ownerNumber(call.live.key.userId), { ms, nowMs })
  return isSeen ? bodies.withAutoCache(translation.body, translation.autoCacheTtl) : null
}

/** A translated body is a buffer already. */
function bytesOf(body: Uint8Array): Buffer {
  return Buffer.isBuffer(body) ? body : Buffer.from(body)
}
