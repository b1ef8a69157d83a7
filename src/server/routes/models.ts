import type { PriceRow, PriceTable } from '../../billing/price-table.ts'
import {
  aliasesOf,
  aliasTarget,
  allowsModel,
  findPrice,
  findServedPrice,
  servedModels,
} from '../../billing/price-table.ts'
import { GatewayError } from '../../core/errors.ts'
import { modelNotFound } from '../../gateway/inspect-body.ts'
import { identify } from '../caller.ts'
import type { Incoming } from '../context.ts'
import { ownHeaders } from '../own-headers.ts'
import { replyJson } from '../reply.ts'

const DEFAULT_LIMIT = 20
const MAX_LIMIT = 1_000

/** A model under the name it is called by: its id, or one of our own aliases. */
interface Named {
  readonly id: string
  readonly row: PriceRow
}

/** `GET /v1/models`: the models this key may use, our own aliases behind each, in Anthropic's shape and paging. */
export async function serveModels(incoming: Incoming): Promise<void> {
  const live = await identify(incoming)
  const { gateway } = incoming.context
  const query = new URLSearchParams((incoming.request.url ?? '').slice(incoming.path.length + 1))
  const limit = limitOf(query.get('limit'))
  const models = namedModels(gateway.prices, live.key.models, incoming.arrivedAtMs)
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
  reply(incoming, {
    data: page.map(modelInfo),
    has_more: beforeId === null ? start + page.length < models.length : start > 0,
    first_id: page[0]?.id ?? null,
    last_id: page.at(-1)?.id ?? null,
  })
}

/** `GET /v1/models/{id}`: one of them; aliases of upstream resolve, our own keep their name. */
export async function serveModel(incoming: Incoming, id: string): Promise<void> {
  const live = await identify(incoming)
  const { prices } = incoming.context.gateway
  const atMs = incoming.arrivedAtMs
  const target = findPrice(prices, id, atMs) === null ? aliasTarget(prices, id, atMs) : null
  const known = findPrice(prices, target ?? id, atMs)
  const row = known === null ? null : findServedPrice(prices, known.id, atMs)
  if (row === null || !allowsModel(prices, live.key.models, row, atMs)) {
    throw modelNotFound(prices, id, atMs)
  }
  reply(incoming, modelInfo({ id: target === null ? row.id : id, row }))
}

function namedModels(
  prices: PriceTable,
  patterns: readonly string[],
  atMs: number,
): readonly Named[] {
  return servedModels(prices, atMs)
    .filter((row) => allowsModel(prices, patterns, row, atMs))
    .flatMap((row) => [row.id, ...aliasesOf(prices, row, atMs)].map((id) => ({ id, row })))
}

/** A price row as the Models API shows it; what the table does not know is null. */
function modelInfo({ id, row }: Named) {
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
  replyJson(incoming.response, body, {
    requestId: incoming.requestId,
    extraHeaders: ownHeaders(incoming),
  })
}
