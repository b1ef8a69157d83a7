import type { ServerResponse } from 'node:http'
import { type Asked, headerText } from './asked.ts'
import { type ApiError, badRequest, errorBody } from './errors.ts'
import { type Fault, parseFault } from './faults.ts'
import { errorHeaders } from './headers.ts'
import { asText, type JsonObject } from './json.ts'
import type { SandboxModel } from './models.ts'
import { type Reply, type ReplyEnd, sendReply } from './reply.ts'
import { oneFrame } from './spoiled.ts'
import type { World } from './world.ts'

/** An answer that is decided and not yet sent. */
export interface Prepared {
  readonly reply: Reply
  readonly fault: Fault
  /** When it begins to leave; not called when it never does. */
  readonly begin?: () => void
  /** When it is over, before its last byte. */
  readonly end?: (end: ReplyEnd) => void
}

/** Waits as long as latency and fault say, then sends. */
export function deliver(world: World, response: ServerResponse, prepared: Prepared): void {
  const { reply, fault, begin, end } = prepared
  const [least, most] = world.latencyMs
  const latencyMs = most > 0 ? least + (most - least) * world.random() : 0
  const delayMs = latencyMs + (fault.firstByteMs ?? 0)
  const send = () => {
    if (fault.at !== 'connect' && fault.at !== 'before_headers') begin?.()
    sendReply(response, reply, fault, world.timers, (how) => end?.(how))
  }
  if (delayMs > 0) world.timers.after(delayMs, send)
  else send()
}

/** A refusal in upstream's words. */
export function refusal(
  world: World,
  asked: Asked,
  fault: Fault,
  error: ApiError,
  model: SandboxModel | null = null,
): Prepared {
  const headers = errorHeaders(world, asked, fault, error, model)
  return { reply: oneFrame(error.status, headers, errorBody(error, asked.requestId)), fault }
}

/** The keys that make an answer go wrong; a header with one of them overrules all other faults. */
const BREAKING: readonly (keyof Fault)[] = [
  'status',
  'error',
  'redirect',
  'body',
  'at',
  'errorEvent',
]

/** The fault of a request: its `x-sandbox` header on top of what the board says. */
export function chooseFault(world: World, asked: Asked, body: JsonObject | null): Fault | ApiError {
  const chosen =
    world.faults.choose({
      account: asked.account.name,
      path: asked.path,
      model: asText(body?.model),
      stream: body?.stream === true,
    }) ?? {}
  const text = headerText(asked, 'x-sandbox')
  let fault = chosen
  if (text !== null) {
    try {
      const wanted = parseFault(text)
      fault = isBreaking(wanted) ? wanted : { ...chosen, ...wanted }
    } catch (error) {
      return badRequest(`x-sandbox: ${error instanceof Error ? error.message : error}`)
    }
  }
  if (isBreaking(fault) && fault.status !== 200) world.counters.faults++
  return fault
}

function isBreaking(fault: Fault): boolean {
  return BREAKING.some((name) => fault[name] !== undefined)
}
