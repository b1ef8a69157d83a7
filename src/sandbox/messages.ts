import { type Answer, composeAnswer } from './answer.ts'
import type { Asked } from './asked.ts'
import { type ApiError, isApiError, plainError } from './errors.ts'
import type { Fault } from './faults.ts'
import { type Headers, headersFor } from './headers.ts'
import type { JsonObject } from './json.ts'
import type { LimitName } from './limits.ts'
import type { SandboxModel } from './models.ts'
import { chooseFault, type Prepared, refusal } from './prepared.ts'
import { measure, type Prompt, readBody, readPrompt } from './prompt.ts'
import { randomId } from './random.ts'
import { frameIndex, type Reply } from './reply.ts'
import { settle } from './settlement.ts'
import { oneFrame, spoiledReply } from './spoiled.ts'
import { errorFrame, messageBody, messageFrames } from './stream.ts'
import { promptTokens } from './tokens.ts'
import type { World } from './world.ts'

/** `POST /v1/messages`: everything is decided when the request is in. */
export function prepareMessages(world: World, asked: Asked): Prepared {
  world.counters.messages++
  return prepare(world, asked, { isCount: false }, answerPrompt)
}

/** `POST /v1/messages/count_tokens`: the same figures as `messages` would report. */
export function prepareCount(world: World, asked: Asked): Prepared {
  world.counters.countTokens++
  return prepare(world, asked, { isCount: true }, (_, __, fault, prompt) => {
    const kept = world.objects.open(asked.account, prompt.body)
    if (kept.kind === 'refused') return refusal(world, asked, fault, kept.error)
    const { parts } = measure(world, prompt.body, prompt.model)
    const text = JSON.stringify({ input_tokens: promptTokens(parts) })
    return { reply: oneFrame(200, headersFor(world, asked, fault, prompt.model), text), fault }
  })
}

/** Body, fault and checks, in this order: a fault comes before upstream has looked at anything. */
function prepare(
  world: World,
  asked: Asked,
  kind: { readonly isCount: boolean },
  answer: (world: World, asked: Asked, fault: Fault, prompt: Prompt) => Prepared,
): Prepared {
  const read = readBody(asked)
  const body = read.kind === 'json' ? read.body : null
  const fault = chooseFault(world, asked, body)
  if (isApiError(fault)) return refusal(world, asked, {}, fault)
  const spoiled = spoiledReply(world, asked, fault, body)
  if (spoiled) return { reply: spoiled, fault }
  if (read.kind === 'refused') return refusal(world, asked, fault, read.error)
  const checked = readPrompt(world, asked, read.body, kind)
  if (checked.kind === 'refused') return refusal(world, asked, fault, checked.error)
  return answer(world, asked, fault, checked.prompt)
}

function answerPrompt(world: World, asked: Asked, fault: Fault, prompt: Prompt): Prepared {
  const { model, betas } = prompt
  const { account } = asked
  const thread = world.threads.open(account, prompt.body, betas)
  if (thread.kind === 'refused') return refusal(world, asked, fault, thread.error)
  const turn = thread.kind === 'ready' ? thread.turn : null
  const body = thread.kind === 'ready' ? thread.body : prompt.body
  const opened = world.objects.open(account, body)
  if (opened.kind === 'refused') {
    turn?.failed()
    return refusal(world, asked, fault, opened.error)
  }
  const { kept } = opened
  const { parts, perToken } = measure(world, body, model)
  const cached = world.cache.use({
    workspaceId: account.workspaceId,
    modelId: model.id,
    minCacheTokens: model.minCacheTokens,
    body,
    parts,
  })
  if (cached.kind === 'refused') {
    turn?.failed()
    return refusal(world, asked, fault, cached.error)
  }
  const { use } = cached
  const total = promptTokens(parts)
  const { organizationId } = account
  const taken = world.limits.take(organizationId, model.rateClass, total - use.readTokens)
  if (taken.kind === 'limited') {
    turn?.failed()
    const error = limitError(taken.name, taken.retryAfterSeconds, asked, model)
    return refusal(world, asked, fault, error, model)
  }
  const answer = composeAnswer({
    body,
    betas,
    model,
    organizationId,
    fault,
    kept,
    perToken,
    seed: world.seed,
    promptTokens: total,
    cacheRead: use.readTokens,
    cacheWrite5m: use.write5mTokens,
    cacheWrite1h: use.write1hTokens,
    id: `msg_01${randomId(world.random, 22)}`,
  })
  kept.answered(answer.id)
  const stream = body.stream === true
  const extra: JsonObject = prompt.dropped ? { input_transformations: prompt.dropped } : {}
  const headers = headersFor(world, asked, fault, model)
  const isWhole = !stream || fault.errorEvent === undefined
  const settlement = { answer, fault, model, stream, isWhole, turn }
  return {
    reply: stream
      ? streamReply(asked, headers, answer, fault, extra)
      : bodyReply(headers, answer, fault, extra),
    fault: { ...fault, tokenRate: fault.tokenRate ?? world.tokenRate ?? undefined },
    begin: () => use.began(),
    end: (end) => settle(world, asked, settlement, end),
  }
}

function bodyReply(headers: Headers, answer: Answer, fault: Fault, extra: JsonObject): Reply {
  const text = messageBody(answer, fault, extra)
  const frames = [{ text, tokens: answer.usage.output, mark: 'body' as const }]
  return { status: 200, headers, frames, streams: false }
}

function streamReply(
  asked: Asked,
  headers: Headers,
  answer: Answer,
  fault: Fault,
  extra: JsonObject,
): Reply {
  const type = fault.contentType ?? 'text/event-stream; charset=utf-8'
  const streamHeaders = { ...headers, 'content-type': type, 'cache-control': 'no-cache' }
  const whole = messageFrames(answer, fault, extra)
  const frames = fault.errorEvent === undefined ? whole : withErrorEvent(asked, whole, fault)
  return { status: 200, headers: streamHeaders, frames, streams: true }
}

/** The frames up to where the fault strikes, and an error event in place of the rest. */
function withErrorEvent(asked: Asked, frames: Reply['frames'], fault: Fault): Reply['frames'] {
  const type = fault.errorEvent ?? 'api_error'
  const known = type === 'overloaded_error' ? 'Overloaded' : 'Internal server error'
  const last = errorFrame(type, fault.message ?? known, asked.requestId, fault.crlf === true)
  return [...frames.slice(0, frameIndex(frames, fault.at ?? 'mid_event', fault.after)), last]
}

function limitError(name: LimitName, seconds: number, asked: Asked, model: SandboxModel): ApiError {
  const what = { requests: 'requests', inputTokens: 'input tokens', outputTokens: 'output tokens' }
  const where = `(org: ${asked.account.organizationId}, model: ${model.id})`
  const message =
    `This request would exceed your organization's rate limit of ` +
    `${what[name]} per minute ${where}.`
  return { ...plainError(429, message), retryAfter: String(seconds) }
}
