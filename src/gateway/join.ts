import type { UsageRecord } from '../core/model.ts'
import type { Micro } from '../core/money.ts'
import type { ClientSide } from './client-side.ts'
import type { StreamClient, StreamHead } from './client-stream.ts'
import type { EarlyPings } from './early-pings.ts'
import type { Call } from './exchange.ts'
import { neverBegun, usageRecord } from './exchange.ts'
import { tellEnded } from './exchange-log.ts'
import type { Gateway } from './gateway.ts'
import { isStreamed, type ReadyRequest } from './ready-request.ts'
import { relayedHead } from './reply-head.ts'
import type { AbandonedRun, Adopt, Joined, WholeAnswer } from './runs.ts'

/** A request that may join, and the run that it joins. */
interface Joining {
  readonly gateway: Gateway
  readonly call: Call
  readonly ready: ReadyRequest
  readonly run: AbandonedRun
  readonly side: ClientSide
  readonly early: EarlyPings | null
}

/**
 * Gives a retry the answer of its own abandoned run: it costs nothing, the run has the bill. False when there
 * is no such run, or nothing comes of it: then the request is one like any other.
 */
export async function joinRun(
  gateway: Gateway,
  call: Call,
  ready: ReadyRequest,
  { side, early }: Pick<Joining, 'side' | 'early'>,
): Promise<boolean> {
  const run = gateway.runs.find(call, ready.identity)
  if (run === null) return false
  const joining = { gateway, call, ready, run, side, early }
  if (run.adopt === null) return joinWhole(joining, run.whole)
  if (await joinStream(joining, run.adopt)) return true
  // A stream that cannot be had from its beginning will not be kept whole either: only one that has ended is.
  return joinWhole(joining, Promise.race([run.whole, Promise.resolve(null)]))
}

/** Takes over an answer that still runs. */
async function joinStream(joining: Joining, adopt: Adopt): Promise<boolean> {
  const { call, early } = joining
  const told = { accountId: null as string | null, firstByteMs: null as number | null }
  const client: StreamClient = {
    response: call.response,
    writeHead(head) {
      told.accountId = head.accountId
      told.firstByteMs = joining.gateway.clock.monotonicMs()
      early?.end()
      if (call.response.headersSent) return
      call.response.writeHead(head.status, joinedHead(joining, head, head.cost?.balanceMicro))
    },
    // The run has the bill.
    replyError(error, cost) {
      const balanceMicro = cost?.balanceMicro ?? null
      joining.side.replyError(error, cost === null ? null : { costMicro: 0, balanceMicro })
    },
  }
  // It is admitted, and the run has the bill.
  early?.allow()
  const how = await adopt(client)
  early?.forbid()
  if (how === null) return false
  writeUsage(joining, how, told)
  return true
}

/** Waits for an answer that comes whole, or came lately. */
async function joinWhole(joining: Joining, whole: Promise<WholeAnswer | null>): Promise<boolean> {
  const { call, gateway } = joining
  const { response } = call
  const gone = new Promise<'gone'>((resolve) => {
    if (response.destroyed) resolve('gone')
    else response.once('close', () => resolve('gone'))
  })
  const answer = await Promise.race([whole, gone])
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
  const isWhole = !isStreamed(joining.ready)
  const length = isWhole ? answer.body.reduce((sum, part) => sum + part.length, 0) : null
  joining.early?.end()
  if (!response.headersSent) {
    const head = joinedHead(joining, { ...answer, length, cost: null }, answer.balanceMicro)
    response.writeHead(answer.status, head)
  }
  for (const part of answer.body) response.write(part)
  response.end()
}

/** Its cost is nothing; streams do not say. */
function joinedHead(
  { call, run, side, ready }: Joining,
  head: StreamHead,
  balanceMicro: Micro | null = null,
): string[] {
  const cost = isStreamed(ready) ? null : { costMicro: 0, balanceMicro }
  const ours = [...side.ownHeaders(), ...(ready.format?.headers ?? [])]
  const flat = relayedHead(call, head, ours, cost)
  flat.push('x-cc-joined-request-id', run.requestId)
  return flat
}

function writeUsage(
  { gateway, call, ready, run }: Joining,
  how: Joined,
  told: { readonly accountId: string | null; readonly firstByteMs: number | null },
): void {
  const { response } = call
  // Of an answer that comes whole nothing went out before, so where it fails there is an error instead.
  const isRefused =
    how.status === 'interrupted' && response.headersSent && response.statusCode >= 400
  const end: Pick<UsageRecord, 'status' | 'httpStatus' | 'errorCode' | 'source'> = {
    status: how.status === 'complete' ? 'complete' : isRefused ? 'rejected' : 'interrupted',
    httpStatus: how.status === 'left' ? 499 : isRefused ? response.statusCode : 200,
    errorCode: how.errorCode,
    source: 'none',
  }
  const record = usageRecord(
    { ...neverBegun(call, ready.request), format: ready.format, ...told },
    gateway.clock.monotonicMs(),
    {
      ...end,
      joinedRequestId: run.requestId,
    },
  )
  gateway.store.noteRefusal(record)
  tellEnded(gateway, record)
}
