import { GatewayError } from '../core/errors.ts'
import type { InferenceRequest } from '../dialects/dialect.ts'
import type { Bound } from '../pool/weigh.ts'
import type { Call } from './exchange.ts'
import type { Gateway } from './gateway.ts'
import { continuesThread, textOf } from './scalars.ts'

/**
 * Where upstream keeps what a body names by its id; null where it names nothing. Throws `thread_not_found`
 * for the continuation of a thread that is not this user's or not known here: both are the same to whoever
 * asks.
 */
export async function stateBond(
  gateway: Gateway,
  call: Call,
  request: InferenceRequest,
): Promise<Bound | null> {
  return continuesThread(request.facts) ? threadBond(gateway, call, request) : null
}

async function threadBond(
  gateway: Gateway,
  call: Call,
  { facts }: InferenceRequest,
): Promise<Bound | null> {
  const messageId = textOf(facts.thread.previousMessageId)
  // What is no id at all is upstream's to refuse.
  if (messageId === null) return null
  const thread = await gateway.store.getThread(messageId)
  const live = thread === null ? null : gateway.pool.account(thread.accountId)
  const isOwn = thread?.userId === call.live.key.userId
  // Where its account is gone the thread is gone as well, and the client can still send all of it.
  if (thread === null || !isOwn || live === null || live.account.disabledAtMs !== null) {
    throw new GatewayError('thread_not_found', {
      facts: { message: messageId.slice(0, 100) },
      details: { error_code: 'thread_not_found' },
    })
  }
  return { scope: 'credential', id: thread.accountId, strength: 'hard' }
}
