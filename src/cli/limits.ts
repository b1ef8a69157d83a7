import { isModelPattern } from '../billing/model-names.ts'
import { aliasTarget, findServedPrice, nearestModels } from '../billing/price-table.ts'
import { type Parsed, parseCount } from '../core/quantity.ts'
import type { Context } from './context.ts'
import { usageError } from './errors.ts'
import type { Invocation } from './invocation.ts'
import { modelFacts } from './model-table.ts'

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

/** Model ids, aliases and globs; `all` is everything. Unknown ids are refused with the nearest three. */
export async function readModels(
  context: Context,
  call: Invocation,
): Promise<readonly string[] | null> {
  const models = call.list('models')
  if (models === null) return null
  if (
    models.length === 0 ||
    models.some((model) => model === 'all' || model === 'default' || model === 'none')
  ) {
    return ['*']
  }
  for (const model of models) await checkModel(context, model, '--models')
  return [...new Set(models)]
}

/** Accepts a glob or a model that is served, those that people added and their aliases included. */
export async function checkModel(context: Context, model: string, what: string): Promise<void> {
  if (model.includes('*') && isModelPattern(model)) return
  const { table, nowMs } = await modelFacts(context)
  const id = aliasTarget(table, model, nowMs) ?? model
  if (findServedPrice(table, id, nowMs) !== null) return
  const close = nearestModels(table, model, 3, nowMs)
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
