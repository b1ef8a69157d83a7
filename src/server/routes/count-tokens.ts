import { forwardCount } from '../../gateway/client-count.ts'
import { receiveBody } from '../body.ts'
import { callOf, enter, identify, requireOpen } from '../caller.ts'
import type { Incoming } from '../context.ts'
import { ownHeaders } from '../own-headers.ts'

/** `POST /v1/messages/count_tokens`: free, limited as the key is, leaves no usage row. */
export async function serveCountTokens(incoming: Incoming): Promise<void> {
  const { context } = incoming
  const live = await identify(incoming)
  requireOpen(context)
  enter(live, incoming.arrivedMs)
  try {
    const body = await receiveBody(incoming)
    const headers = ownHeaders(incoming)
    await forwardCount(context.gateway, callOf(incoming, live), body, headers)
  } finally {
    live.inFlight--
  }
}
