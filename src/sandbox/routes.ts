import type { ServerResponse } from 'node:http'
import type { Asked } from './asked.ts'
import { errorBody, plainError } from './errors.ts'
import { headersFor } from './headers.ts'
import type { JsonObject } from './json.ts'
import { answerCount, answerMessages } from './messages.ts'
import { findModel, MODELS, modelInfo, type SandboxModel } from './models.ts'
import { sendReply } from './reply.ts'
import { oneFrame, spoiledReply } from './spoiled.ts'
import type { World } from './world.ts'

const METHODS: { readonly [path: string]: readonly string[] } = {
  '/v1/messages': ['POST'],
  '/v1/messages/count_tokens': ['POST'],
  '/v1/models': ['GET', 'HEAD'],
}

/** Answers a request whose key was accepted. */
export function answer(world: World, asked: Asked, response: ServerResponse): void {
  const { method, path } = asked
  const methods = METHODS[path] ?? (path.startsWith('/v1/models/') ? METHODS['/v1/models'] : null)
  if (!methods) {
    send(world, asked, response, 404, errorBody(plainError(404), asked.requestId))
  } else if (!methods.includes(method)) {
    const error = plainError(405, 'Method Not Allowed')
    send(world, asked, response, 405, errorBody(error, asked.requestId))
  } else if (path === '/v1/messages') {
    answerMessages(world, asked, response)
  } else if (path === '/v1/messages/count_tokens') {
    answerCount(world, asked, response)
  } else {
    answerModels(world, asked, response)
  }
}

function answerModels(world: World, asked: Asked, response: ServerResponse): void {
  world.counters.models++
  const { account, path } = asked
  const fault =
    world.faults.choose({ account: account.name, path, model: null, stream: false }) ?? {}
  const spoiled = spoiledReply(world, asked, fault, null)
  if (spoiled) {
    sendReply(response, spoiled, fault, world.timers, () => {})
    return
  }
  const offered = MODELS.filter((model) => account.models?.includes(model.id) ?? true)
  if (path === '/v1/models') {
    const page = pageOf(offered, asked.query)
    send(world, asked, response, 200, JSON.stringify(page))
    return
  }
  const name = decoded(path.slice('/v1/models/'.length))
  const model = findModel(name)
  if (model && offered.includes(model)) {
    send(world, asked, response, 200, JSON.stringify(modelInfo(model)))
  } else {
    send(world, asked, response, 404, errorBody(plainError(404, `model: ${name}`), asked.requestId))
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** One page of models, `limit` long, after or before an id. */
function pageOf(models: readonly SandboxModel[], query: URLSearchParams): JsonObject {
  const limit = Math.min(1_000, Math.max(1, Number(query.get('limit') ?? 20) || 20))
  const after = models.findIndex((model) => model.id === query.get('after_id'))
  const before = models.findIndex((model) => model.id === query.get('before_id'))
  const to = before < 0 ? models.length : before
  const from = before < 0 ? after + 1 : Math.max(0, to - limit)
  const page = models.slice(from, Math.min(to, from + limit))
  const hasMore = before < 0 ? from + page.length < models.length : from > 0
  return {
    data: page.map(modelInfo),
    has_more: hasMore,
    first_id: page[0]?.id ?? null,
    last_id: page.at(-1)?.id ?? null,
  }
}

function send(
  world: World,
  asked: Asked,
  response: ServerResponse,
  status: number,
  text: string,
): void {
  const reply = oneFrame(status, headersFor(world, asked, {}), text)
  sendReply(response, reply, {}, world.timers, () => {})
}
