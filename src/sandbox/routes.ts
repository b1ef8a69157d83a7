import type { Asked } from './asked.ts'
import { isApiError, plainError } from './errors.ts'
import { headersFor } from './headers.ts'
import type { JsonObject } from './json.ts'
import { prepareCount, prepareMessages } from './messages.ts'
import { findModel, MODELS, modelInfo, type SandboxModel } from './models.ts'
import { chooseFault, type Prepared, refusal } from './prepared.ts'
import { oneFrame, spoiledReply } from './spoiled.ts'
import type { World } from './world.ts'

const METHODS: { readonly [path: string]: readonly string[] } = {
  '/v1/messages': ['POST'],
  '/v1/messages/count_tokens': ['POST'],
  '/v1/models': ['GET', 'HEAD'],
}

/** The answer to a request whose key was accepted. */
export function prepareAnswer(world: World, asked: Asked): Prepared {
  const { method, path } = asked
  const methods = METHODS[path] ?? (path.startsWith('/v1/models/') ? METHODS['/v1/models'] : null)
  if (!methods) return refusal(world, asked, {}, plainError(404))
  if (!methods.includes(method)) {
    return refusal(world, asked, {}, plainError(405, 'Method Not Allowed'))
  }
  if (path === '/v1/messages') return prepareMessages(world, asked)
  return path === '/v1/messages/count_tokens'
    ? prepareCount(world, asked)
    : prepareModels(world, asked)
}

function prepareModels(world: World, asked: Asked): Prepared {
  world.counters.models++
  const { account, path } = asked
  const fault = chooseFault(world, asked, null)
  if (isApiError(fault)) return refusal(world, asked, {}, fault)
  const spoiled = spoiledReply(world, asked, fault, null)
  if (spoiled) return { reply: spoiled, fault }
  const offered = MODELS.filter((model) => account.models?.includes(model.id) ?? true)
  const headers = headersFor(world, asked, fault)
  if (path === '/v1/models') {
    const page = pageOf(offered, asked.query)
    return { reply: oneFrame(200, headers, JSON.stringify(page)), fault }
  }
  const name = decoded(path.slice('/v1/models/'.length))
  const model = findModel(name)
  if (!model || !offered.includes(model)) {
    return refusal(world, asked, fault, plainError(404, `model: ${name}`))
  }
  return { reply: oneFrame(200, headers, JSON.stringify(modelInfo(model))), fault }
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
