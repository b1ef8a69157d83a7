import { findServedPrice, nearestModels } from '../billing/price-table.ts'
import { BUILT_IN_PRICES } from '../billing/prices.ts'
import { type Parsed, parseCount } from '../core/quantity.ts'
import { usageError } from './errors.ts'
import type { Invocation } from './invocation.ts'

/** A limit as typed: `none` is null (unlimited), `default` the config's; null: not given at all. */
export function readLimit(
  call: Invocation,
  name: string,
  fallback: number | null,
): { readonly value: number | null } | null {
  return call.read(name, (text): Parsed<{ readonly value: number | null }> => {
    if (text === 'none') return { kind: 'ok', value: { value: null } }
    if (text === 'default') return { kind: 'ok', value: { value: fallback } }
    const count = parseCount(text)
    if (count.kind === 'bad') return count
    if (count.value < 1 || count.value > 1_000_000) {
      return { kind: 'bad', problem: `${count.value} is out of range: use 1 to 1000000, or none` }
    }
    return { kind: 'ok', value: { value: count.value } }
  })
}

/** Model ids and globs; `all` is everything. Unknown ids are refused with the nearest three. */
export function readModels(call: Invocation, nowMs: number): readonly string[] | null {
  const models = call.list('models')
  if (models === null) return null
  if (
    models.length === 0 ||
    models.some((model) => model === 'all' || model === 'default' || model === 'none')
  ) {
    return ['*']
  }
  for (const model of models) checkModel(model, '--models', nowMs)
  return [...new Set(models)]
}

/** Accepts a glob or a model that is served. */
export function checkModel(model: string, what: string, nowMs: number): void {
  if (/^[\w.*:@/-]{1,100}$/.test(model)) {
    if (model.includes('*')) return
    if (findServedPrice(BUILT_IN_PRICES, model, nowMs) !== null) return
  }
  const close = nearestModels(BUILT_IN_PRICES, model, 3)
  throw usageError(
    `${what}: no model named "${model.slice(0, 100)}" here.`,
    `Nearest: ${close.join(', ')}. List them with: ccgate models list`,
    'bad_value',
  )
}

/** `all models`, or the list. */
export function modelsText(models: readonly string[]): string {
  return models.includes('*') ? 'all models' : `models ${models.join(', ')}`
}
