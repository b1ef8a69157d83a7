import type { IncomingMessage, ServerResponse } from 'node:http'
import type { SandboxAccount } from './accounts.ts'
import type { Asked } from './asked.ts'
import { plainError } from './errors.ts'
import { askedOf, joinHeaders, keyOf, receiveBody } from './incoming.ts'
import { deliver } from './prepared.ts'
import { randomId } from './random.ts'
import type { RecordedRequest, Ring } from './record.ts'
import { breakOff, sendReply } from './reply.ts'
import { prepareAnswer } from './routes.ts'
import { doorReply } from './spoiled.ts'
import type { World } from './world.ts'

/** The handler of all requests: records them, checks their key, hands them to the routes. */
export function createIntake(
  world: World,
  requests: Ring<RecordedRequest>,
): (request: IncomingMessage, response: ServerResponse) => void {
  const { accounts, counters, faults, timers } = world

  function take(request: IncomingMessage, response: ServerResponse): void {
    const requestId = `req_011C${randomId(world.random, 20)}`
    const key = keyOf(request)
    const account = key === null ? null : accounts.byKey(key)
    count(response)
    const early = account ? faults.chooseAtConnect(account.name) : null
    if (early) {
      counters.faults++
      record(request, requestId, account, Buffer.alloc(0))
      breakOff(response, early, false)
      return
    }
    receiveBody(request, (body) => {
      record(request, requestId, account, body ?? Buffer.alloc(0))
      if (!account || accounts.isRevoked(account)) {
        counters.refusedKeys++
        const message = key === null ? 'x-api-key header is required' : 'invalid x-api-key'
        const reply = doorReply(requestId, plainError(401, message))
        sendReply(response, reply, {}, timers, () => {})
      } else if (body === null) {
        const reply = doorReply(requestId, plainError(413))
        sendReply(response, reply, {}, timers, () => {})
      } else {
        serve(askedOf(request, { body, requestId, account }), response)
      }
    })
  }

  /** A mistake of ours must not end the process that tests and demo share with the sandbox. */
  function serve(asked: Asked, response: ServerResponse): void {
    try {
      deliver(world, response, prepareAnswer(world, asked))
    } catch (error) {
      if (response.headersSent) {
        response.destroy()
        return
      }
      const text = `sandbox: ${error instanceof Error ? error.stack : error}`
      sendReply(response, doorReply(asked.requestId, plainError(500, text)), {}, timers, () => {})
    }
  }

  function count(response: ServerResponse): void {
    counters.requests++
    counters.inFlight++
    counters.peakInFlight = Math.max(counters.peakInFlight, counters.inFlight)
    response.on('close', () => {
      counters.inFlight--
      if (!response.headersSent) return
      const { statusCode } = response
      counters.byStatus[statusCode] = (counters.byStatus[statusCode] ?? 0) + 1
    })
  }

  function record(
    request: IncomingMessage,
    requestId: string,
    account: SandboxAccount | null,
    body: Buffer,
  ): void {
    const { method = '', url = '', rawHeaders } = request
    const item: RecordedRequest = {
      method,
      path: url,
      // Made on demand: few requests of a load test are ever looked at.
      get headers() {
        return joinHeaders(rawHeaders)
      },
      rawHeaders,
      body,
      account: account?.name ?? null,
      atMs: world.nowMs(),
      requestId,
    }
    requests.add(item, body.length)
  }

  return take
}
