import { aliasTarget, findPrice } from '../billing/price-table.ts'
import type { InferenceRequest } from '../dialects/dialect.ts'
import type { Call } from './exchange.ts'
import type { Gateway } from './gateway.ts'
import { inspectBody } from './inspect-body.ts'

/**
 * The request with the model that it means: where `model` is one of our own aliases, that one string of the
 * body is replaced, because upstream does not know it; every other byte stays. Any other request is returned
 * as it is. Only `model` may be an alias, not the models of fallbacks and advisers.
 */
export function withRealModel(
  gateway: Gateway,
  call: Call,
  request: InferenceRequest,
): InferenceRequest {
  const { prices } = gateway
  const span = request.facts.topLevel.get('model')
  // A name that upstream knows means what upstream means by it.
  if (span === undefined || findPrice(prices, request.model, call.arrivedAtMs) !== null)
    return request
  const model = aliasTarget(prices, request.model, call.arrivedAtMs)
  if (model === null) return request
  const [start, end] = span
  const body = Buffer.concat([
    request.body.subarray(0, start),
    Buffer.from(JSON.stringify(model)),
    request.body.subarray(end),
  ])
  // Everything behind the name has moved.
  return { ...request, body, facts: inspectBody(body), model }
}
