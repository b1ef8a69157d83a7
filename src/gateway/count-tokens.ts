import type { OutcomeKind } from '../core/attempt-outcome.ts'
import type { LiveAccount } from '../pool/pool.ts'
import { upstreamHeaders } from '../providers/anthropic/request.ts'
import { startAttempt } from './attempt.ts'
import type { Exchange } from './exchange.ts'
import type { Gateway } from './gateway.ts'
import { targetOf } from './target.ts'

/** How long the free count may take before the context window is used instead. */
const COUNT_DEADLINE_MS = 2_000

/** Members of a Messages body that the count endpoint takes; the rest it would refuse. */
const COUNTED = [
  'model',
  'messages',
  'system',
  'tools',
  'tool_choice',
  'thinking',
  'output_config',
  'output_format',
  'cache_control',
  'context_management',
  'mcp_servers',
  'speed',
]

/** What the free count came to. */
export type Counted =
  | { readonly kind: 'counted'; readonly tokens: number }
  /** Upstream is overloaded, at a limit or out of reach: soon it may say; `reason` is that of the try's outcome. */
  | { readonly kind: 'not_now'; readonly reason: string }
  /** It does not say of this request, or not in time. */
  | { readonly kind: 'unknown' }

/** Failures that pass by themselves and say nothing of the request. */
const PASSING: ReadonlySet<OutcomeKind> = new Set(['overloaded', 'rate_limited', 'unreachable'])

/**
 * The prompt's length as upstream counts it, by the free endpoint. What is sent are the body's own bytes, member by
 * member.
 */
export async function countTokens(
  gateway: Gateway,
  exchange: Exchange,
  live: LiveAccount,
): Promise<Counted> {
  const { request, up } = exchange
  const target = targetOf(live, gateway.pool.headroom(live.account.id)?.workspaceId ?? null)
  const query = up.target.includes('?') ? up.target.slice(up.target.indexOf('?')) : ''
  const attempt = startAttempt({
    dispatcher: gateway.connections.for(live),
    method: 'POST',
    path: `${target.pathPrefix}/v1/messages/count_tokens${query}`,
    headers: upstreamHeaders(up.rawHeaders, target, gateway.policy.defaults),
    body: countBody(request.body, request.facts.topLevel),
    stream: false,
    model: request.model,
    beginWithinMs: COUNT_DEADLINE_MS,
    idleMs: COUNT_DEADLINE_MS,
    nowMs: gateway.clock.monotonicMs,
  })
  const end = await attempt.end
  if (end.kind === 'stream') return { kind: 'unknown' }
  const { outcome } = end
  if (PASSING.has(outcome.kind)) return { kind: 'not_now', reason: outcome.reason }
  const tokens = end.kind === 'answer' ? tokensOf(end.json) : null
  return tokens === null ? { kind: 'unknown' } : { kind: 'counted', tokens }
}

function tokensOf(json: unknown): number | null {
  if (typeof json !== 'object' || json === null || !('input_tokens' in json)) return null
  const tokens = json.input_tokens
  return typeof tokens === 'number' &&
    Number.isSafeInteger(tokens) &&
    tokens >= 0 &&
    tokens <= 100_000_000
    ? tokens
    : null
}

/** The members that count, cut out of the body as they are. */
function countBody(
  body: Uint8Array,
  topLevel: ReadonlyMap<string, readonly [number, number]>,
): Buffer {
  const parts: Uint8Array[] = []
  for (const name of COUNTED) {
    const span = topLevel.get(name)
    if (span === undefined) continue
    parts.push(
      Buffer.from(`${parts.length === 0 ? '{' : ','}"${name}":`),
      body.subarray(span[0], span[1]),
    )
  }
  parts.push(Buffer.from(parts.length === 0 ? '{}' : '}'))
  return Buffer.concat(parts)
}
