import type { PriceRow } from '../../billing/price-table.ts'
import {
  aliasesOf,
  aliasTarget,
  allowsModel,
  findPrice,
  findServedPrice,
  servedModels,
} from '../../billing/price-table.ts'
import { GatewayError } from '../../core/errors.ts'
import { withoutVendor } from '../../dialects/openai/model-name.ts'
import { modelNotFound } from '../../gateway/inspect-body.ts'
import { mappedModel } from '../../gateway/translation.ts'
import type { Incoming } from '../context.ts'

/** A model under the name it is called by: its id, or one of our own names for it. */
export interface NamedModel {
  readonly id: string
  readonly row: PriceRow
}

/** The models that the caller's key may use and some account serves, our own aliases behind each. */
export function namedModels(incoming: Incoming): readonly NamedModel[] {
  const { prices } = incoming.context.gateway
  const { arrivedAtMs: atMs } = incoming
  return servedModels(prices, atMs)
    .filter((row) => isAllowed(incoming, row) && hasAccount(incoming, row))
    .flatMap((row) => [row.id, ...aliasesOf(prices, row, atMs)].map((id) => ({ id, row })))
}

/**
 * The same for clients of OpenAI's formats: with the names that only they know, as far as they are names and
 * no globs. Where such a name is one of the others, too, it means what it means to them.
 */
export function openAiModels(incoming: Incoming): readonly NamedModel[] {
  const { modelMap } = incoming.context.gateway.policy.translation
  const mapped = Object.keys(modelMap)
    .filter((name) => !name.includes('*'))
    .flatMap((id) => findModel(incoming, id, modelMap[id]) ?? [])
    .filter(({ row }) => hasAccount(incoming, row))
  const own = namedModels(incoming).filter(({ id }) => mappedModel(modelMap, id) === id)
  return [...own, ...mapped]
}

/**
 * One of the models; aliases of upstream resolve, our own keep their name. Clients of OpenAI's formats may put
 * the vendor before it, as in a request. Throws `model_not_found`.
 */
export function namedModel(incoming: Incoming, id: string): NamedModel {
  const { gateway } = incoming.context
  const isOpenAi = incoming.dialect.name === 'openai'
  const bare = isOpenAi ? withoutVendor(id) : null
  const names = bare === null ? [id] : [id, bare]
  for (const name of names) {
    const { modelMap } = gateway.policy.translation
    const found = findModel(incoming, name, isOpenAi ? mappedModel(modelMap, name) : name)
    if (found !== null) return found
  }
  throw modelNotFound(gateway.prices, id, incoming.arrivedAtMs)
}

/** `name` is what `id` stands for, where the two differ. */
function findModel(incoming: Incoming, id: string, name: string): NamedModel | null {
  const { prices } = incoming.context.gateway
  const { arrivedAtMs: atMs } = incoming
  const target = findPrice(prices, name, atMs) === null ? aliasTarget(prices, name, atMs) : null
  const known = findPrice(prices, target ?? name, atMs)
  const row = known === null ? null : findServedPrice(prices, known.id, atMs)
  if (row === null || !isAllowed(incoming, row)) return null
  return { id: target === null && name === id ? row.id : id, row }
}

function isAllowed({ context, live, arrivedAtMs }: Incoming, row: PriceRow): boolean {
  const patterns = live?.key.models ?? []
  return allowsModel(context.gateway.prices, patterns, row, arrivedAtMs)
}

/** Whether an account that the key may use serves the model, though it may rest at the moment. */
function hasAccount({ context, live }: Incoming, { id }: PriceRow): boolean {
  const tags = live?.key.accountTags ?? null
  const candidates = context.gateway.pool.candidates(id, id, { tags })
  return candidates.some(
    (one) => one.servesModel && (tags === null || tags.some((tag) => one.tags?.includes(tag))),
  )
}

/** What stands behind `/v1/models/`, as clients write it; throws 404 where that is no name. */
export function decodedId(id: string): string {
  try {
    return decodeURIComponent(id)
  } catch {
    const facts = { method: 'GET', path: `/v1/models/${id.slice(0, 100)}` }
    throw new GatewayError('route_not_found', { facts })
  }
}
