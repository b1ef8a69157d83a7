import type { ServerResponse } from 'node:http'
import { gunzipSync } from 'node:zlib'
import { type Answer, composeAnswer } from './answer.ts'
import { type Asked, betasOf, headerText } from './asked.ts'
import { type ApiError, badRequest, errorBody, plainError } from './errors.ts'
import { type Fault, parseFault } from './faults.ts'
import { errorHeaders, headersFor } from './headers.ts'
import { asBlocks, asList, asObject, asText, type JsonObject } from './json.ts'
import type { LimitName } from './limits.ts'
import type { SandboxModel } from './models.ts'
import { randomId } from './random.ts'
import { frameIndex, type Reply, type ReplyEnd, sendReply } from './reply.ts'
import { oneFrame, spoiledReply } from './spoiled.ts'
import { errorFrame, type Frame, messageBody, messageFrames } from './stream.ts'
import type { ThreadTurn } from './threads.ts'
import { bytesPerToken, promptParts, promptTokens, readSignature } from './tokens.ts'
import type { SandboxUsage } from './usage.ts'
import { API_VERSIONS, validate } from './validate.ts'
import type { World } from './world.ts'

/** `POST /v1/messages`: from the bytes of the body to the last byte of the answer. */
export function answerMessages(world: World, asked: Asked, response: ServerResponse): void {
  world.counters.messages++
  const body = readBody(asked)
  const parsed = 'status' in body ? null : body.json
  const fault = chooseFault(world, asked, parsed)
  if ('error' in fault) {
    refuse(world, asked, response, {}, fault.error)
    return
  }
  withDelay(world, fault.fault, response, () => {
    const spoiled = spoiledReply(world, asked, fault.fault, parsed)
    if (spoiled) sendReply(response, spoiled, fault.fault, world.timers, () => {})
    else if (!parsed) refuse(world, asked, response, fault.fault, body as ApiError)
    else serve(world, asked, response, fault.fault, parsed)
  })
}

/** `POST /v1/messages/count_tokens`: the same figures as `messages` would report. */
export function answerCount(world: World, asked: Asked, response: ServerResponse): void {
  world.counters.countTokens++
  const body = readBody(asked)
  const parsed = 'status' in body ? null : body.json
  const fault = chooseFault(world, asked, parsed)
  if ('error' in fault) {
    refuse(world, asked, response, {}, fault.error)
    return
  }
  withDelay(world, fault.fault, response, () => {
    const spoiled = spoiledReply(world, asked, fault.fault, parsed)
    if (spoiled) {
      sendReply(response, spoiled, fault.fault, world.timers, () => {})
      return
    }
    const checked = parsed ? check(world, asked, parsed, true) : { error: body as ApiError }
    if ('error' in checked) {
      refuse(world, asked, response, fault.fault, checked.error)
      return
    }
    const { parts } = measure(world, checked.body, checked.model)
    const text = JSON.stringify({ input_tokens: promptTokens(parts) })
    const reply = oneFrame(200, headersFor(world, asked, fault.fault, checked.model), text)
    sendReply(response, reply, fault.fault, world.timers, () => {})
  })
}

function serve(
  world: World,
  asked: Asked,
  response: ServerResponse,
  fault: Fault,
  sent: JsonObject,
): void {
  const checked = check(world, asked, sent, false)
  if ('error' in checked) {
    refuse(world, asked, response, fault, checked.error)
    return
  }
  const { model, betas } = checked
  const thread = world.threads.open(asked.account, checked.body, betas)
  if (thread.kind === 'refused') {
    refuse(world, asked, response, fault, thread.error)
    return
  }
  const turn = thread.kind === 'ready' ? thread.turn : null
  const whole = thread.kind === 'ready' ? thread.body : checked.body
  const { parts, perToken } = measure(world, whole, model)
  const { organizationId, workspaceId } = asked.account
  const cached = world.cache.use({
    workspaceId,
    modelId: model.id,
    minCacheTokens: model.minCacheTokens,
    body: whole,
    parts,
  })
  if (cached.kind === 'refused') {
    turn?.failed()
    refuse(world, asked, response, fault, cached.error)
    return
  }
  const { readTokens, write5mTokens, write1hTokens } = cached.use
  const total = promptTokens(parts)
  const taken = world.limits.take(organizationId, model.rateClass, total - readTokens)
  if (taken.kind === 'limited') {
    turn?.failed()
    const error = limitError(taken.name, taken.retryAfterSeconds, asked, model)
    refuse(world, asked, response, fault, error, model)
    return
  }
  const answer = composeAnswer({
    body: whole,
    betas,
    model,
    organizationId,
    fault,
    perToken,
    seed: world.seed,
    promptTokens: total,
    cacheRead: readTokens,
    cacheWrite5m: write5mTokens,
    cacheWrite1h: write1hTokens,
    id: `msg_01${randomId(world.random, 22)}`,
  })
  const stream = whole.stream === true
  if (fault.at !== 'connect' && fault.at !== 'before_headers') cached.use.began()
  const { reply, isWhole } = replyTo(world, asked, fault, answer, stream, model, checked.dropped)
  const shaped =
    fault.tokenRate || !world.tokenRate ? fault : { ...fault, tokenRate: world.tokenRate }
  sendReply(response, reply, shaped, world.timers, (end) => {
    settle(world, asked, { answer, fault, stream, end, isWhole, turn, model })
  })
}

/** The answer as bytes; `isWhole` is false when an error event took the place of its end. */
function replyTo(
  world: World,
  asked: Asked,
  fault: Fault,
  answer: Answer,
  stream: boolean,
  model: SandboxModel,
  dropped: readonly JsonObject[] | null,
): { readonly reply: Reply; readonly isWhole: boolean } {
  const extra: JsonObject = dropped ? { input_transformations: dropped } : {}
  const headers = headersFor(world, asked, fault, model)
  if (!stream) {
    const text = messageBody(answer, fault, extra)
    const reply = oneFrame(200, headers, text)
    const frames = [{ ...reply.frames[0], tokens: answer.usage.output }]
    return { reply: { ...reply, frames }, isWhole: true }
  }
  const type = fault.contentType ?? 'text/event-stream; charset=utf-8'
  const streamHeaders = { ...headers, 'content-type': type, 'cache-control': 'no-cache' }
  let frames: readonly Frame[] = messageFrames(answer, fault, extra)
  const isWhole = fault.errorEvent === undefined
  if (fault.errorEvent !== undefined) {
    const end = frameIndex(frames, fault.at ?? 'mid_event', fault.after)
    const known = fault.errorEvent === 'overloaded_error' ? 'Overloaded' : 'Internal server error'
    const message = fault.message ?? known
    const last = errorFrame(fault.errorEvent, message, asked.requestId, fault.crlf === true)
    frames = [...frames.slice(0, end), last]
  }
  return { reply: { status: 200, headers: streamHeaders, frames, streams: true }, isWhole }
}

interface Settlement {
  readonly answer: Answer
  readonly fault: Fault
  readonly stream: boolean
  readonly end: ReplyEnd
  readonly isWhole: boolean
  readonly turn: ThreadTurn | null
  readonly model: SandboxModel
}

/** Books what was really used, before the last byte leaves. */
function settle(world: World, asked: Asked, settlement: Settlement): void {
  const { answer, fault, stream, end, isWhole, turn, model } = settlement
  const isDone = end.kind === 'complete' && isWhole
  if (isDone && fault.decline === undefined) {
    turn?.done(
      answer.id,
      answer.blocks.map((block) => block.final),
    )
  } else {
    turn?.failed()
  }
  // Nothing reached upstream.
  if (fault.at === 'connect') return
  const isLost = fault.at === 'before_headers'
  // Without streaming, or when only the answer was lost, the work was done all the same.
  const usage = isDone || isLost || !stream ? answer.usage : partial(answer, end.tokens)
  world.limits.spendOutput(asked.account.organizationId, model.rateClass, usage.output)
  const brokenOff = end.kind === 'client_left' ? 'client_left' : 'cut'
  world.bills.add({
    requestId: asked.requestId,
    messageId: answer.id,
    account: asked.account.name,
    requestedModel: model.id,
    model: answer.finalModel,
    usage,
    outcome: isDone ? 'complete' : isLost ? 'lost' : brokenOff,
    isCharged: !answer.free,
    stream,
    atMs: world.nowMs(),
  })
}

/** What had been used when a stream ended early. */
function partial(answer: Answer, tokens: number): SandboxUsage {
  const output = Math.min(tokens, answer.usage.output)
  return {
    ...answer.usageAtStart,
    output,
    thinking: Math.min(output, answer.usage.thinking),
  }
}

type Checked =
  | { readonly error: ApiError }
  | {
      readonly model: SandboxModel
      readonly betas: readonly string[]
      /** Without thinking that another organisation made. */
      readonly body: JsonObject
      /** What was left out, when the request asked to be told. */
      readonly dropped: readonly JsonObject[] | null
    }

function check(world: World, asked: Asked, sent: JsonObject, isCount: boolean): Checked {
  const version = headerText(asked, 'anthropic-version')
  if (version === null) return { error: badRequest('anthropic-version: header is required') }
  if (!(API_VERSIONS as readonly string[]).includes(version)) {
    return { error: badRequest(`anthropic-version: "${version}" is not a valid version`) }
  }
  const workspace = headerText(asked, 'anthropic-workspace-id')
  if (workspace !== null && workspace !== asked.account.workspaceId) {
    return { error: plainError(403, "anthropic-workspace-id does not match the key's workspace") }
  }
  const betas = betasOf(asked)
  const { account } = asked
  const checked = validate(sent, {
    version,
    betas,
    isCount,
    acceptsUnknownFields: world.acceptsUnknownFields,
    models: account.models,
    dataRetention: account.dataRetention,
  })
  if (checked.kind === 'refused') return { error: checked.error }
  const { model } = checked
  const tells = betas.includes('thinking-binding-controls-2026-08-01')
  if (!model.bindsThinking) return { model, betas, body: sent, dropped: tells ? [] : null }
  const { body, dropped } = dropForeignThinking(sent, account.organizationId)
  world.counters.droppedThinking += dropped.length
  return { model, betas, body, dropped: tells ? dropped : null }
}

/** Thinking is bound to its organisation: elsewhere it silently disappears. */
function dropForeignThinking(
  body: JsonObject,
  organizationId: string,
): { readonly body: JsonObject; readonly dropped: readonly JsonObject[] } {
  const dropped: JsonObject[] = []
  const isForeign = (block: JsonObject) =>
    block.type === 'thinking' &&
    readSignature(asText(block.signature) ?? '')?.organizationId !== organizationId
  const messages = asList(body.messages).map((item, at) => {
    const message = asObject(item)
    const blocks = asBlocks(message?.content)
    if (!blocks.some(isForeign)) return item
    const content = blocks.filter((block, index) => {
      if (!isForeign(block)) return true
      const path = `messages.${at}.content.${index}`
      const reason = 'organization_binding_mismatch'
      dropped.push({ type: 'thinking_dropped', path, reason })
      return false
    })
    return { ...message, content }
  })
  return dropped.length === 0 ? { body, dropped } : { body: { ...body, messages }, dropped }
}

function measure(world: World, body: JsonObject, model: SandboxModel) {
  const perToken = bytesPerToken(world.tokenizer, body)
  return { perToken, parts: promptParts(body, perToken, model.imageCapTokens) }
}

function readBody(asked: Asked): { readonly json: JsonObject } | ApiError {
  const encoding = headerText(asked, 'content-encoding')
  let bytes = asked.body
  if (encoding !== null && encoding !== 'identity') {
    if (encoding !== 'gzip') {
      const message = `content-encoding: ${encoding} is not supported`
      return badRequest(message, 'request_body_encoding_unsupported')
    }
    try {
      bytes = gunzipSync(bytes, { maxOutputLength: 32 * 1024 * 1024 })
    } catch {
      return badRequest('The body is not valid gzip.', 'request_body_encoding_invalid')
    }
  }
  try {
    const json = asObject(JSON.parse(bytes.toString()))
    return json ? { json } : badRequest('Input should be an object')
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'unreadable'
    return badRequest(`The request body is not valid JSON: ${reason}`)
  }
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

function isBreaking(fault: Fault): boolean {
  return BREAKING.some((name) => fault[name] !== undefined)
}

function chooseFault(
  world: World,
  asked: Asked,
  body: JsonObject | null,
): { readonly fault: Fault } | { readonly error: ApiError } {
  const chosen =
    world.faults.choose({
      account: asked.account.name,
      path: asked.path,
      model: asText(body?.model),
      stream: body?.stream === true,
    }) ?? {}
  const text = headerText(asked, 'x-sandbox')
  try {
    const wanted = text === null ? {} : parseFault(text)
    const fault = isBreaking(wanted) ? wanted : { ...chosen, ...wanted }
    if (isBreaking(fault) && fault.status !== 200) world.counters.faults++
    return { fault }
  } catch (error) {
    return { error: badRequest(`x-sandbox: ${error instanceof Error ? error.message : error}`) }
  }
}

function withDelay(world: World, fault: Fault, response: ServerResponse, act: () => void): void {
  const [least, most] = world.latencyMs
  const latencyMs = most > 0 ? least + (most - least) * world.random() : 0
  const delayMs = latencyMs + (fault.firstByteMs ?? 0)
  if (delayMs <= 0 || response.destroyed) {
    act()
    return
  }
  world.timers.after(delayMs, () => {
    try {
      act()
    } catch {
      // Outside of the request's own call nobody else would catch a mistake of ours.
      response.destroy()
    }
  })
}

function refuse(
  world: World,
  asked: Asked,
  response: ServerResponse,
  fault: Fault,
  error: ApiError,
  model: SandboxModel | null = null,
): void {
  const headers = errorHeaders(world, asked, fault, error, model)
  const reply = oneFrame(error.status, headers, errorBody(error, asked.requestId))
  sendReply(response, reply, fault, world.timers, () => {})
}

function limitError(name: LimitName, seconds: number, asked: Asked, model: SandboxModel): ApiError {
  const what = { requests: 'requests', inputTokens: 'input tokens', outputTokens: 'output tokens' }
  const where = `(org: ${asked.account.organizationId}, model: ${model.id})`
  const message = `This request would exceed your organization's rate limit of ${what[name]} per minute ${where}.`
  return { ...plainError(429, message), retryAfter: String(seconds) }
}
