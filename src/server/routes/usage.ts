import { GatewayError } from '../../core/errors.ts'
import { idTimeMs } from '../../core/ids.ts'
import { usageView } from '../../core/usage-view.ts'
import { identify } from '../caller.ts'
import type { Incoming } from '../context.ts'
import { ownHeaders } from '../own-headers.ts'
import { replyJson } from '../reply.ts'

/** `GET /v1/usage/{request_id}`: any key of the same user may read it; foreign ids are unknown ones. */
export async function serveUsage(incoming: Incoming, id: string): Promise<void> {
  const live = await identify(incoming)
  const isId = id.startsWith('ccr_') && idTimeMs(id) !== null
  const usage = isId ? await incoming.context.gateway.store.getUsage(id, live.key.userId) : null
  if (usage === null) throw new GatewayError('usage_not_found', { facts: { id: id.slice(0, 60) } })
  replyJson(incoming.response, usageView(usage), {
    requestId: incoming.requestId,
    extraHeaders: ownHeaders(incoming),
  })
}
