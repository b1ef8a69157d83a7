import type { LiveKey } from '../access/keyring.ts'
import type { Incoming } from './context.ts'

/** Our own headers for an answer to this request, flat: the key's limits, and what its format is used to. */
export function ownHeaders(incoming: Incoming): string[] {
  return [...limitHeaders(incoming), ...formatHeaders(incoming)]
}

/** What is left of the key's limits now; nothing before the key is known. */
export function limitHeaders({ context, live, dialect }: Incoming): readonly string[] {
  if (live === null) return []
  const { clock } = context.gateway
  const now = { atMs: clock.nowMs(), monotonicMs: clock.monotonicMs() }
  return dialect.name === 'openai' ? openAiLimits(live, now) : anthropicLimits(live, now)
}

/** The rest, as it is when the answer begins. */
export function formatHeaders(incoming: Incoming): readonly string[] {
  const { context, dialect, requestId, arrivedMs } = incoming
  const headers: string[] = []
  if (dialect.name === 'openai') {
    const tookMs = Math.round(context.gateway.clock.monotonicMs() - arrivedMs)
    headers.push('x-request-id', requestId, 'openai-version', '2020-10-01')
    headers.push('openai-processing-ms', String(tookMs))
  }
  if (context.demo) headers.push('x-cc-demo', '1')
  return headers
}

interface Now {
  readonly atMs: number
  readonly monotonicMs: number
}

/** `anthropic-ratelimit-requests-*`: the key's own limit; nothing for a key without one. */
function anthropicLimits(live: LiveKey, now: Now): string[] {
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

/** The same in OpenAI's words. */
function openAiLimits(live: LiveKey, { monotonicMs }: Now): string[] {
  const { rpmLimit } = live.key
  if (rpmLimit === null) return []
  return [
    'x-ratelimit-limit-requests',
    String(rpmLimit),
    'x-ratelimit-remaining-requests',
    String(live.window.remaining(rpmLimit, monotonicMs)),
    'x-ratelimit-reset-requests',
    shortDuration(live.window.resetMs(monotonicMs)),
  ]
}

/** `250ms`, `1s`, `6m0s`: as OpenAI writes durations. */
export function shortDuration(ms: number): string {
  if (ms < 1_000) return `${Math.ceil(ms)}ms`
  const seconds = Math.ceil(ms / 1_000)
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`
}
