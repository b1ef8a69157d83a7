import type { UsageRecord } from '../core/model.ts'
import type { Micro } from '../core/money.ts'
import type { InferenceRequest } from '../dialects/dialect.ts'
import type { StreamClient } from './client-stream.ts'
import type { Call } from './exchange.ts'
import { neverBegun, usageRecord } from './exchange.ts'
import { logExchange } from './exchange-log.ts'
import type { Gateway } from './gateway.ts'
import { answerHead, costHeaders } from './reply-head.ts'
import type { AbandonedRun, Joined, WholeAnswer } from './runs.ts'

/** A request that may join, and the run that it joins. */
interface Joining {
  readonly gateway: Gateway
  readonly call: Call
  readonly request: Pick<InferenceRequest, 'model' | 'stream'>
  readonly run: AbandonedRun
  readonly keyHeaders: readonly string[]
}

/**
 * Gives a retry the answer of its own abandoned run: it costs nothing, the run has the bill. False when there
 * is no such run, or nothing comes of it: then the request is one like any other.
 */
export async function joinRun(
  gateway: Gateway,
  call: Call,
  request: InferenceRequest,
  keyHeaders: readonly string[],
): Promise<boolean> {
  const run = gateway.runs.find(call, request.body)
  if (run === null) return false
  const joining = { gateway, call, request, run, keyHeaders }
  return (await joinStream(joining)) || (await joinWhole(joining))
}

/** Takes over an answer that still runs. */
async function joinStream(joining: Joining): Promise<boolean> {
  const { call, run } = joining
  if (run.adopt === null) return false
  const told = { accountId: null as string | null, firstByteMs: null as number | null }
  const client: StreamClient = {
    response: call.response,
    writeHead({ status, headers, accountId }) {
      told.accountId = accountId
      told.firstByteMs = joining.gateway.clock.monotonicMs()
      const head = joinedHead(joining, { headers, accountId })
      head.push('x-accel-buffering', 'no')
      call.response.writeHead(status, head)
    },
  }
  const how = await run.adopt(client)
  if (how === null) return false
  writeUsage(joining, how, told)
  return true
}

/** Waits for an answer that comes whole, or came lately. */
async function joinWhole(joining: Joining): Promise<boolean> {
  const { call, run, gateway } = joining
  const { response } = call
  const gone = new Promise<'gone'>((resolve) => {
    if (response.destroyed) resolve('gone')
    else response.once('close', () => resolve('gone'))
  })
  const answer = await Promise.race([run.whole, gone])
  if (answer === null) return false
  if (answer === 'gone' || response.destroyed) {
    writeUsage(joining, { status: 'left', errorCode: null }, { accountId: null, firstByteMs: null })
    return true
  }
  const { accountId } = answer
  const told = { accountId, firstByteMs: gateway.clock.monotonicMs() }
  // Recorded before its last byte, like every request.
  writeUsage(joining, { status: 'complete', errorCode: null }, told)
  writeWhole(joining, answer)
  return true
}

function writeWhole(joining: Joining, answer: WholeAnswer): void {
  const { response } = joining.call
  const head = joinedHead(joining, answer, answer.balanceMicro)
  if (joining.request.stream) head.push('x-accel-buffering', 'no')
  else {
    const length = answer.body.reduce((sum, part) => sum + part.length, 0)
    head.push('content-length', String(length))
  }
  response.writeHead(answer.status, head)
  for (const part of answer.body) response.write(part)
  response.end()
}

function joinedHead(
  { call, run, keyHeaders, request }: Joining,
  upstream: Pick<WholeAnswer, 'headers' | 'accountId'>,
  balanceMicro: Micro | null = null,
): string[] {
  const head = answerHead(call, upstream.headers, upstream.accountId, keyHeaders)
  head.push('x-cc-joined-request-id', run.requestId)
  if (!request.stream) head.push(...costHeaders({ costMicro: 0, balanceMicro }))
  return head
}

function writeUsage(
  { gateway, call, request, run }: Joining,
  how: Joined,
  told: { readonly accountId: string | null; readonly firstByteMs: number | null },
): void {
  const end: Pick<UsageRecord, 'status' | 'httpStatus' | 'errorCode' | 'source'> = {
    status: how.status === 'complete' ? 'complete' : 'interrupted',
    httpStatus: how.status === 'left' ? 499 : 200,
    errorCode: how.errorCode,
    source: 'none',
  }
  const record = usageRecord(
    { ...neverBegun(call, request), ...told },
    gateway.clock.monotonicMs(),
    {
      ...end,
      joinedRequestId: run.requestId,
    },
  )
  gateway.store.noteRefusal(record)
  logExchange(gateway, record)
}
