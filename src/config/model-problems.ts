import { changesOfConfig, type SourcedChange } from '../billing/config-changes.ts'
import { priceTableWith } from '../billing/price-changes.ts'
import {
  aliasesOf,
  allowsRow,
  findPrice,
  nearestModels,
  type PriceTable,
  servedModels,
} from '../billing/price-table.ts'
import { isRecord } from '../billing/price-value.ts'
import { BUILT_IN_PRICES } from '../billing/prices.ts'
import type { Config } from './config.ts'

/**
 * What of `models` names something that is not there: it loads, and does not do what was meant. `stored` are
 * the price changes of the database, which may know more models than are built in.
 */
export function modelProblems(
  models: Config['models'],
  stored: readonly SourcedChange[],
  nowMs: number,
): readonly { readonly path: string; readonly message: string }[] {
  const pending = changesOfConfig(models.changes, stored, nowMs)
  const highest = stored.reduce((seq, change) => Math.max(seq, change.seq), 0)
  const changes = [...stored, ...pending.map((change, i) => ({ ...change, seq: highest + 1 + i }))]
  const table = priceTableWith(BUILT_IN_PRICES, changes, models.lists)
  const problems: { path: string; message: string }[] = []
  const requireModel = (path: string, model: string) => {
    if (findPrice(table, model, nowMs) === null)
      problems.push({ path, message: `there is no model "${model}". ${nearest(table, model)}` })
  }
  for (const [alias, model] of Object.entries(models.lists.aliases)) {
    requireModel(`models.aliases.${alias}`, model)
  }
  for (const [name, model] of Object.entries(models.openAiNames)) {
    if (!Object.hasOwn(models.lists.aliases, model))
      requireModel(`openai_compat.model_map.${name}`, model)
  }
  for (const { kind, subject, value } of models.changes) {
    if (kind === 'price' && isRecord(value) && typeof value.priceAs === 'string')
      requireModel('models.unknown_model', value.priceAs)
    if (kind === 'markup') requireMatch(`models.prices.${subject}`, subject)
  }
  for (const pattern of models.lists.allow) requireMatch('models.allow', pattern)
  for (const pattern of models.lists.deny) requireMatch('models.deny', pattern)
  if (servedModels(table, nowMs).length === 0) {
    problems.push({ path: 'models.allow', message: 'allow and deny leave no model to serve' })
  }
  return problems

  function requireMatch(path: string, pattern: string): void {
    const matches = table.rows.some(
      (row) =>
        allowsRow([pattern], row) || aliasesOf(table, row, nowMs).some((name) => name === pattern),
    )
    if (!matches)
      problems.push({ path, message: `"${pattern}" matches no model. ${nearest(table, pattern)}` })
  }
}

function nearest(table: PriceTable, name: string): string {
  const [close] = nearestModels(table, name, 1)
  return close === undefined ? 'See: ccgate models list --all' : `Did you mean ${close}?`
}
