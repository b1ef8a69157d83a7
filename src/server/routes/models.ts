import type { PriceRow } from '../../billing/price-table.ts'
import { allowsRow, findServedPrice, listModels } from '../../billing/price-table.ts'
import { GatewayError } from '../../core/errors.ts'
import { modelNotFound } from '../../gateway/inspect-body.ts'
import { identify, keyHeaders } from '../caller.ts'
import type { Incoming } from '../context.ts'
import { replyJson } from '../reply.ts'

const DEFAULT_LIMIT = 20
const MAX_LIMIT = 1_000

/** `GET /v1/models`: the models this key may use, in Anthropic's shape and paging. */
export async function serveModels(incoming: Incoming): Promise<void> {
  const live = await identify(incoming)
  const { gateway } = incoming.context
  const query = new URLSearchParams((incoming.request.url ?? '').slice(incoming.path.length + 1))
  const limit = limitOf(query.get('limit'))
  const rows = listModels(gateway.prices, incoming.arrivedAtMs).filter((row) =>
    allowsRow(live.key.models, row),
  )
  const afterId = query.get('after_id')
  const beforeId = query.get('before_id')
  let start = 0
  let end = rows.length
  if (afterId !== null) start = rows.findIndex((row) => row.id === afterId) + 1
  if (beforeId !== null) {
    const before = rows.findIndex((row) => row.id === beforeId)
    end = before < 0 ? rows.length : before
    start = Math.max(start, end - limit)
  }
  const page = rows.slice(start, Math.min(end, start + limit))
  reply(incoming, live, {
    data: page.map(modelInfo),
    has_more: beforeId === null ? start + page.length < rows.length : start > 0,
    first_id: page[0]?.id ?? null,
    last_id: page.at(-1)?.id ?? null,
  })
}

/** `GET /v1/models/{id}`: one of them; aliases resolve. */
export async function serveModel(incoming: Incoming, id: string): Promise<void> {
  const live = await identify(incoming)
  const { prices } = incoming.context.gateway
  const row = findServedPrice(prices, id, incoming.arrivedAtMs)
  if (row === null || !allowsRow(live.key.models, row)) throw modelNotFound(prices, id)
  reply(incoming, live, modelInfo(row))
}

/** A price row as the Models API shows it; what the table does not know is null. */
function modelInfo(row: PriceRow) {
  const dayStart = (day: string | null) => (day === null ? null : `${day}T00:00:00Z`)
  return {
    type: 'model',
    id: row.id,
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

function reply(incoming: Incoming, live: Parameters<typeof keyHeaders>[0], body: unknown): void {
  replyJson(incoming.response, body, {
    requestId: incoming.requestId,
    extraHeaders: keyHeaders(live, { atMs: incoming.arrivedAtMs, monotonicMs: incoming.arrivedMs }),
  })
}
