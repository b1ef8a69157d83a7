import type { Usage } from '../core/usage.ts'
import type { BodyFacts } from '../wire/body-facts.ts'
import type { Call, Exchange } from './exchange.ts'
import type { Gateway } from './gateway.ts'
import { continuesThread, textOf } from './scalars.ts'

/**
 * What the thread that a body continues has come to, in tokens: the body holds the news alone. null where it
 * continues none, or one that is unknown here or another user's.
 */
export async function historyTokens(
  gateway: Gateway,
  call: Call,
  facts: BodyFacts,
): Promise<number | null> {
  const messageId = continuesThread(facts) ? textOf(facts.thread.previousMessageId) : null
  if (messageId === null) return null
  const thread = await gateway.store.getThread(messageId)
  return thread !== null && thread.userId === call.live.key.userId ? thread.totalTokens : null
}

/** Remembers what the answer of a thread came to, for the request that continues it. */
export function noteThread(
  gateway: Gateway,
  exchange: Exchange,
  usage: Usage,
  messageId: string | null,
): void {
  const { call, request, accountId } = exchange
  const kind = textOf(request.facts.thread.type)
  if (messageId === null || accountId === null || (kind !== 'create' && kind !== 'continue')) return
  const { input, output, cacheRead, cacheWrite5m, cacheWrite1h } = usage.tokens
  gateway.store.noteThread({
    messageId,
    userId: call.live.key.userId,
    accountId,
    totalTokens: input + output + cacheRead + cacheWrite5m + cacheWrite1h,
    atMs: gateway.clock.nowMs(),
  })
}
