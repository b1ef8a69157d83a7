import { GatewayError } from '../../core/errors.ts'
import { identify } from '../caller.ts'
import type { Incoming } from '../context.ts'
import { ownHeaders } from '../own-headers.ts'
import { replyJson } from '../reply.ts'
import {
  decodedId,
  type NamedModel,
  namedModel,
  namedModels,
  openAiModels,
} from './named-models.ts'

const DEFAULT_LIMIT = 20
const MAX_LIMIT = 1_000
const LIFECYCLES: readonly string[] = ['active', 'deprecated', 'retired']

/** `GET /v1/models`: the models this key may use, in the shape of the caller's format. */
export async function serveModels(incoming: Incoming): Promise<void> {
  await identify(incoming)
  if (incoming.dialect.name === 'openai') {
    reply(incoming, { object: 'list', data: openAiModels(incoming).map(openAiModel) })
  } else reply(incoming, anthropicPage(incoming))
}

/** `GET /v1/models/{id}`: one of them. */
export async function serveModel(incoming: Incoming, id: string): Promise<void> {
  await identify(incoming)
  const model = namedModel(incoming, decodedId(id))
  const isOpenAi = incoming.dialect.name === 'openai'
  reply(incoming, isOpenAi ? openAiModel(model) : anthropicModel(model))
}

function anthropicPage(incoming: Incoming) {
  const query = new URLSearchParams((incoming.request.url ?? '').slice(incoming.path.length + 1))
  const limit = limitOf(query.get('limit'))
  const lifecycles = lifecyclesOf(query)
  const models = namedModels(incoming).filter(({ row }) => lifecycles.includes(row.status))
  const afterId = query.get('after_id')
  const beforeId = query.get('before_id')
  let start = 0
  let end = models.length
  if (afterId !== null) start = models.findIndex(({ id }) => id === afterId) + 1
  if (beforeId !== null) {
    const before = models.findIndex(({ id }) => id === beforeId)
    end = before < 0 ? models.length : before
    start = Math.max(start, end - limit)
  }
  const page = models.slice(start, Math.min(end, start + limit))
  return {
    data: page.map(anthropicModel),
    has_more: beforeId === null ? start + page.length < models.length : start > 0,
    first_id: page[0]?.id ?? null,
    last_id: page.at(-1)?.id ?? null,
  }
}

/** A price row as Anthropic's Models API shows it; what the table does not know is null. */
function anthropicModel({ id, row }: NamedModel) {
  const dayStart = (day: string | null) => (day === null ? null : `${day}T00:00:00Z`)
  return {
    type: 'model',
    id,
    display_name: row.displayName,
    // The API requires a date; models without a known one count as old.
    created_at: dayStart(row.releasedOn) ?? '1970-01-01T00:00:00Z',
    line: /(haiku|sonnet|opus|fable|mythos)/.exec(row.id)?.[1] ?? null,
    lifecycle: row.status,
    deprecated_at: null,
    retires_at: dayStart(row.retiresOn),
    max_input_tokens: row.contextWindow,
    max_tokens: row.maxOutput,
    capabilities: null,
  }
}

/** The same as OpenAI shows it, and two figures that its clients like to know. */
function openAiModel({ id, row }: NamedModel) {
  return {
    id,
    object: 'model',
    created: row.releasedOn === null ? 0 : Date.parse(`${row.releasedOn}T00:00:00Z`) / 1_000,
    owned_by: 'anthropic',
    shutdown_date: row.retiresOn,
    context_window: row.contextWindow,
    max_output_tokens: row.maxOutput,
  }
}

/** The stages of life that were asked for, each of them in a parameter of its own; all where none was. */
function lifecyclesOf(query: URLSearchParams): readonly string[] {
  const asked = [...query.getAll('lifecycle'), ...query.getAll('lifecycle[]')]
  const unknown = asked.find((stage) => !LIFECYCLES.includes(stage))
  if (unknown !== undefined) {
    throw new GatewayError('invalid_request', {
      facts: { field: 'lifecycle', problem: `must be one of ${LIFECYCLES.join(', ')}` },
      field: 'lifecycle',
    })
  }
  return asked.length === 0 ? LIFECYCLES : asked
}

function limitOf(text: string | null): number {
  if (text === null) return DEFAULT_LIMIT
  const limit = Number(text)
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    throw new GatewayError('invalid_request', {
      facts: { field: 'limit', problem: `must be a whole number from 1 to ${MAX_LIMIT}` },
      field: 'limit',
    })
  }
  return limit
}

function reply(incoming: Incoming, body: unknown): void {
  const { requestId, response } = incoming
  replyJson(response, body, { requestId, extraHeaders: ownHeaders(incoming) })
}
