import { GatewayError } from '../../core/errors.ts'
import { forwardCount } from '../../gateway/count-tokens.ts'
import { receiveBody } from '../body.ts'
import { callOf, enter, identify, keyHeaders } from '../caller.ts'
import type { Incoming } from '../context.ts'

/** `POST /v1/messages/count_tokens`: free, limited by the key's RPM, leaves no usage row. */
export async function serveCountTokens(incoming: Incoming): Promise<void> {
  const { context } = incoming
  const live = await identify(incoming)
  const closed = context.closed()
  if (closed === 'draining') throw new GatewayError('draining', { retryAfterMs: 3_000 })
  enter(live, incoming.arrivedMs, { slot: false })
  const body = await receiveBody(incoming)
  const headers = keyHeaders(live, { atMs: incoming.arrivedAtMs, monotonicMs: incoming.arrivedMs })
  await forwardCount(context.gateway, callOf(incoming, live), body, headers)
}
