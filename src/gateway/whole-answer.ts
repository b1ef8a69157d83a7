import { readError } from '../providers/anthropic/classify.ts'
import { madeBy } from '../providers/anthropic/made-objects.ts'
import { messageIdOf } from '../providers/anthropic/usage.ts'
import type { Exchange } from './exchange.ts'
import type { Forwarded } from './forward.ts'
import type { Gateway } from './gateway.ts'
import { learnFromAnswer } from './lessons.ts'
import { noteObjects } from './objects.ts'
import type { ClientFormat } from './ready-request.ts'
import { answerHead, costHeaders } from './reply-head.ts'
import type { AbandonedRun } from './runs.ts'
import { type Closed, settle, voidHold } from './settle.ts'
import { failureHeaders, translatedHead } from './translated-stream.ts'
import { unaryUsage } from './unary-usage.ts'

/** Bodies up to this leave in one write with their head: Node joins a string to it, not a buffer. */
const JOINED_BYTES = 16 * 1024

/**
 * Settles an answer that came whole, then gives it to its client; where that is gone, to `run`, which its
 * client has left, for a retry.
 */
export async function giveWholeAnswer(
  gateway: Gateway,
  exchange: Exchange,
  forwarded: Extract<Forwarded, { kind: 'answer' }>,
  { run, ownHeaders }: { run: AbandonedRun | null; ownHeaders: () => readonly string[] },
): Promise<void> {
  const { call, identity, format } = exchange
  const accountId = forwarded.account.account.id
  const closed = await closeWith(gateway, exchange, forwarded.answer)
  if (call.response.headersSent && !call.response.destroyed) {
    // Streams come whole only where upstream refuses them; after early pings that is an event.
    const { status, body } = forwarded.answer
    const refusal = { status, bodyText: body.toString('utf8'), requestId: call.requestId }
    call.response.end(call.dialect.renderStreamRefusal(refusal))
    return
  }
  const { status, headers, body } =
    format === null ? forwarded.answer : translatedRefusal(format, forwarded.answer)
  if (call.response.destroyed) {
    if (closed.receipt === null) return
    const left = run ?? gateway.runs.abandon(call, identity, null)
    left.end({ status, headers, accountId, body: [body], balanceMicro: closed.balanceMicro })
    return
  }
  const head = answerHead(call, headers, accountId, ownHeaders())
  head.push(...costHeaders(closed), 'content-length', String(body.length))
  call.response.writeHead(status, head)
  if (body.length <= JOINED_BYTES) call.response.end(body.toString('latin1'), 'latin1')
  else call.response.end(body)
}

/** Translated requests always stream: what comes whole is a refusal of upstream's. */
function translatedRefusal(
  { translator }: ClientFormat,
  { status, headers, body }: Extract<Forwarded, { kind: 'answer' }>['answer'],
) {
  const failure = translator.translateError(status, body.toString('utf8'))
  return {
    status: failure.status,
    headers: { ...translatedHead(headers, 'application/json'), ...failureHeaders(failure) },
    body: Buffer.from(translator.renderFailure(failure)),
  }
}

/** Charges for an answer, or closes the hold of one that is upstream's refusal. */
async function closeWith(
  gateway: Gateway,
  exchange: Exchange,
  answer: Extract<Forwarded, { kind: 'answer' }>['answer'],
): Promise<Closed> {
  const { status, body, outcome, json } = answer
  exchange.upstreamRequestId = outcome.upstreamRequestId
  const gone = exchange.clientGone || exchange.call.response.destroyed
  exchange.firstByteMs = gone ? null : gateway.clock.monotonicMs()
  // It is billed whole upstream, whatever the policy: so it was read to its end.
  if (gone) exchange.onDisconnect = 'finish'
  if (outcome.kind !== 'ok') {
    const errorCode = readError(body.toString('utf8')).type
    const hasBegun = exchange.call.response.headersSent && !gone
    return voidHold(gateway, exchange, {
      errorCode,
      ...(hasBegun ? { status: 'interrupted', httpStatus: 200 } : { httpStatus: status }),
    })
  }
  const usage = unaryUsage(gateway, exchange, json)
  noteObjects(gateway, exchange, madeBy(json), messageIdOf(json))
  if (usage.anomalies === 0) learnFromAnswer(gateway, exchange, usage, json)
  const ending = { status: 'complete' as const, httpStatus: gone ? 499 : status, errorCode: null }
  // Who waits for it gets an error when it cannot be settled, and so nothing to pay for.
  return settle(gateway, exchange, usage, 'exact', { ...ending, isUnsent: !gone })
}
