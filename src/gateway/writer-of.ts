import { GatewayError } from '../core/errors.ts'
import type { Usage } from '../core/usage.ts'
import type { WireError } from '../dialects/dialect.ts'
import { type AnswerWriter, passingWriter } from './answer-writer.ts'
import type { ClientStream, StreamHead } from './client-stream.ts'
import type { Exchange } from './exchange.ts'
import type { Forwarded } from './forward.ts'
import type { Gateway } from './gateway.ts'
import { isStreamed } from './ready-request.ts'
import { believed, receiptOf } from './settle.ts'
import { endedUsage } from './stream-end.ts'
import { TranslatedStream, translatedHead } from './translated-stream.ts'
import { upstreamWords } from './upstream-words.ts'

type Relayed = Extract<Forwarded, { kind: 'stream' }>

/** What the answer begins with, where it is relayed. */
export function headOf({ format }: Exchange, { stream, account }: Relayed): StreamHead {
  const { status, headers } = stream
  return {
    status,
    headers:
      format === null ? headers : translatedHead(headers, 'text/event-stream; charset=utf-8'),
    accountId: account.account.id,
    length: null,
    cost: null,
  }
}

/** Makes of upstream's stream what the client of this exchange gets. */
export function writerOf(
  parts: {
    readonly gateway: Gateway
    readonly exchange: Exchange
    readonly forwarded: Relayed
    readonly describe: (error: GatewayError) => WireError
    /** What a stream that was cut is billed for; null as long as it is not. */
    readonly cutUsage: () => Usage | null
  },
  client: ClientStream,
): AnswerWriter {
  const { gateway, exchange, forwarded, describe, cutUsage } = parts
  const { call, format } = exchange
  const { stream, account } = forwarded
  const renderError = (error: GatewayError) => call.dialect.renderStreamError(describe(error))
  if (format === null) return passingWriter(client, renderError)
  const seconds = (ms: number) => Math.floor(ms / 1_000)
  const answer = format.openAnswer({
    requestId: call.requestId,
    createdS: seconds(call.arrivedAtMs),
    nowS: () => seconds(gateway.clock.nowMs()),
    bill() {
      const told = cutUsage() ?? endedUsage(gateway, exchange, stream.tap)
      const usage = believed(exchange, told)
      return { costMicro: receiptOf(exchange, usage).costMicro, tokens: usage.tokens }
    },
  })
  return new TranslatedStream({
    client,
    format,
    ping: call.dialect.ping,
    answer,
    upstream: { headers: stream.headers, accountId: account.account.id },
    nowMs: () => gateway.clock.monotonicMs(),
    describe,
    renderError,
    brokenOff: () => brokenOff(exchange, 'ended the stream early'),
  })
}

/** What the client is told of an answer that stopped before it was complete. */
export function brokenOff(exchange: Exchange, reason: string): GatewayError {
  // Where nothing has gone out it may be tried again, and costs nothing.
  if (!isStreamed(exchange)) {
    const facts = { upstream: upstreamWords(reason) }
    return new GatewayError('upstream_error', { facts, retryAfterMs: 2_000 })
  }
  const { requestId } = exchange.call
  return new GatewayError('upstream_interrupted', { facts: { reason, requestId } })
}
