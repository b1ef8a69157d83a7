import { anthropic } from '../../dialects/anthropic/index.ts'
import { runInference } from '../../gateway/pipeline.ts'
import { noteRefusal } from '../../gateway/refusals.ts'
import { receiveBody } from '../body.ts'
import { callOf, enter, identify, keyHeaders, requireOpen, requireSlowBurn } from '../caller.ts'
import type { Incoming } from '../context.ts'
import { wireError } from '../reply.ts'
import { whenTaken } from '../taken.ts'

/** `POST /v1/messages`: admitted, held, forwarded, relayed, settled. */
export async function serveMessages(incoming: Incoming): Promise<void> {
  const { context } = incoming
  const { gateway } = context
  const live = await identify(incoming)
  const call = callOf(incoming, live)
  let entered = false
  try {
    let body: Buffer
    try {
      requireOpen(context)
      requireSlowBurn(live, context, incoming.arrivedMs)
      enter(live, incoming.arrivedMs)
      entered = true
      body = await receiveBody(incoming)
    } catch (error) {
      noteRefusal(gateway, call, error)
      throw error
    }
    const headers = keyHeaders(live, {
      atMs: incoming.arrivedAtMs,
      monotonicMs: incoming.arrivedMs,
    })
    if (context.demo) headers.push('x-cc-demo', '1')
    await runInference(gateway, call, body, {
      keyHeaders: headers,
      renderStreamError: (error) =>
        anthropic.renderStreamError(
          wireError(error, incoming.requestId, gateway.contact, 'stream'),
        ),
    })
  } finally {
    if (entered) {
      whenTaken(incoming.request, incoming.response, () => {
        live.inFlight--
      })
    }
  }
}
