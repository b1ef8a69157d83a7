import { isUtf8 } from 'node:buffer'
import type { BoundModels } from '../billing/bound-models.ts'
import { boundModels } from '../billing/bound-models.ts'
import type { PriceRow, PriceTable } from '../billing/price-table.ts'
import { allowsModel, nearestModels } from '../billing/price-table.ts'
import { GatewayError } from '../core/errors.ts'
import { editDistance } from '../core/nearest.ts'
import type { InferenceRequest } from '../dialects/dialect.ts'
import type { BodyFacts } from '../wire/body-facts.ts'
import { inspect } from '../wire/inspect.ts'
import type { Call } from './exchange.ts'
import type { Gateway } from './gateway.ts'
import { wantedModelsOf } from './wanted-models.ts'

/** Checks a body and reads what ccgate uses of it; `facts` are those of `inspectBody`. */
export function readInference(call: Call, body: Buffer, facts: BodyFacts): InferenceRequest {
  const read = call.dialect.readRequest(body, facts)
  if (read.kind === 'refused') throw invalidField(read.field, read.problem)
  return read.request
}

/** The same for a count, which has no `max_tokens` and never streams. */
export function readCount(call: Call, body: Buffer): InferenceRequest {
  const facts = inspectBody(body)
  const zero = { type: 'number', value: 0, integer: true } as const
  const read = call.dialect.readRequest(body, {
    ...facts,
    maxTokens: zero,
    stream: { type: 'absent' },
  })
  if (read.kind === 'refused') throw invalidField(read.field, read.problem)
  return read.request
}

/** The model that a body names, short enough for a record of its refusal; '' where it names none. */
export function namedModel({ model }: BodyFacts): string {
  return model.type === 'string' ? model.value.slice(0, 100) : ''
}

/** One scan of the bytes; refuses what is no JSON, ambiguous, or too complex. */
export function inspectBody(body: Buffer): BodyFacts {
  const inspection = inspect(body, { isUtf8 })
  switch (inspection.kind) {
    case 'invalid_json':
      throw new GatewayError('invalid_json', {
        facts: { problem: `${inspection.message}${placeOf(inspection.position, body)}` },
      })
    case 'not_an_object':
      throw new GatewayError('invalid_json', {
        facts: { problem: `it must be a JSON object, not ${inspection.type}` },
      })
    case 'duplicate_key':
      throw new GatewayError('duplicate_json_key', {
        facts: { path: inspection.path.slice(0, 200) },
      })
    case 'too_complex':
      throw new GatewayError('json_too_complex', {
        facts: {
          problem:
            inspection.reason === 'depth' ? 'more than 64 levels' : 'more than 200,000 parts',
        },
      })
    case 'ok':
      return inspection.facts
  }
}

function placeOf(position: number, body: Buffer): string {
  return body.length === 0 ? '' : ` at position ${position}`
}

function invalidField(field: string, problem: string): GatewayError {
  return new GatewayError('invalid_request', { facts: { field, problem }, field })
}

/**
 * The price rows of every model the body names; refuses those that are unknown, not served here, or not
 * allowed for this key.
 */
export function admitModels(gateway: Gateway, call: Call, request: InferenceRequest): BoundModels {
  const { prices } = gateway
  const atMs = call.arrivedAtMs
  const found = boundModels(wantedModelsOf(request), prices, atMs)
  if (found.kind === 'unknown_model') throw modelNotFound(prices, found.model, atMs)
  const { models } = found
  const requireAllowed = (row: PriceRow) => {
    const { models: patterns } = call.live.key
    if (!allowsModel(prices, patterns, row, atMs)) throw modelNotAllowed(patterns, row)
  }
  requireAllowed(models.row)
  // With fallbacks "default" upstream chooses: the dearest model stands for all that it may choose.
  for (const { row } of models.fallbacks) requireAllowed(row)
  for (const { row } of models.advisors) requireAllowed(row)
  return models
}

/** The 404 of a model that cannot be called here, with the one that can where its name is nearly that. */
export function modelNotFound(prices: PriceTable, model: string, atMs: number): GatewayError {
  const nearest = nearestModels(prices, model, 1, atMs).find((name) => isNear(model, name))
  return new GatewayError('model_not_found', {
    facts: {
      model: model.slice(0, 100),
      nearest: nearest === undefined ? '' : `Did you mean ${nearest}? `,
    },
    field: 'model',
  })
}

/** A third of it mistyped at most, or only its end left out. */
function isNear(model: string, name: string): boolean {
  const typed = model.slice(0, 80).toLowerCase()
  if (typed.length >= 4 && name.toLowerCase().startsWith(typed)) return true
  return (
    editDistance(typed, name.toLowerCase()) <= Math.floor(Math.min(typed.length, name.length) / 3)
  )
}

function modelNotAllowed(patterns: readonly string[], row: PriceRow): GatewayError {
  return new GatewayError('model_not_allowed', {
    facts: { model: row.id, allowed: patterns.slice(0, 5).join(', ') },
    field: 'model',
  })
}
