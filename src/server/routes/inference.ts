import { runInference } from '../../gateway/pipeline.ts'
import { noteRefusal } from '../../gateway/refusals.ts'
import { costHeaders } from '../../gateway/reply-head.ts'
import { receiveBody } from '../body.ts'
import { callOf, enter, identify, requireOpen, requireSlot, requireSlowBurn } from '../caller.ts'
import type { Incoming } from '../context.ts'
import { formatHeaders, limitHeaders, ownHeaders } from '../own-headers.ts'
import { replyError, toGatewayError, wireError } from '../reply.ts'
import { whenTaken } from '../taken.ts'

/** `POST /v1/messages` and its like in other formats: admitted, held, forwarded, relayed, settled. */
export async function serveInference(incoming: Incoming): Promise<void> {
  const { context } = incoming
  const { gateway } = context
  const live = await identify(incoming)
  const call = callOf(incoming, live)
  let entered = false
  let joinsOnly = false
  try {
    let body: Buffer
    try {
      requireOpen(context)
      requireSlowBurn(live, context, incoming.arrivedMs)
      const runs = call.isRetry ? gateway.runs.countOf(live.key.id) : 0
      joinsOnly = enter(live, incoming.arrivedMs, runs) === 'entered_to_join'
      entered = true
      body = await receiveBody(incoming)
    } catch (error) {
      noteRefusal(gateway, call, error)
      throw error
    }
    const { requestId, dialect, response } = incoming
    const { contact } = gateway
    const limits = limitHeaders(incoming)
    await runInference(gateway, call, body, {
      ownHeaders: () => [...limits, ...formatHeaders(incoming)],
      requireSlot: async () => {
        if (joinsOnly) await requireSlot(live)
      },
      describe: (error) => wireError(error, requestId, contact, 'stream'),
      replyError(error, cost) {
        const extraHeaders = [...ownHeaders(incoming), ...(cost === null ? [] : costHeaders(cost))]
        replyError(response, error, { dialect, requestId, contact, extraHeaders, place: 'stream' })
      },
      endStream(error: unknown) {
        const failure = toGatewayError(error)
        if (failure.code === 'internal_error')
          gateway.log.error({ requestId, err: error }, 'request.failed')
        response.end(dialect.renderStreamError(wireError(failure, requestId, contact)))
      },
    })
  } finally {
    if (entered) {
      whenTaken(incoming.request, incoming.response, () => {
        live.inFlight--
      })
    }
  }
}
