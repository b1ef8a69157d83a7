import { existsSync } from 'node:fs'
import { changesOfConfig } from '../billing/config-changes.ts'
import { modelMarkup, priceTableWith } from '../billing/price-changes.ts'
import {
  aliasTarget,
  findPrice,
  nearestModels,
  type PriceRow,
  type PriceTable,
} from '../billing/price-table.ts'
import { BUILT_IN_PRICES } from '../billing/prices.ts'
import type { Fraction } from '../core/model.ts'
import type { PriceChange } from '../store/store.ts'
import type { Context } from './context.ts'
import { CliError, EXIT } from './errors.ts'

/** Prices and policy as the gateway has them, with what they were made of. */
export interface ModelFacts {
  readonly table: PriceTable
  readonly changes: readonly PriceChange[]
  readonly serverMarkup: Fraction
  readonly nowMs: number
  /** The config asks for changes that are written down when the gateway starts. */
  readonly isConfigPending: boolean
}

/** Reads them; without a database what a first start would make of the config. */
export async function modelFacts(
  context: Context,
  access: 'read' | 'write' = 'read',
): Promise<ModelFacts> {
  const { config } = await context.config()
  const { nowMs } = context
  const isNew = access === 'read' && !existsSync(config.store.path)
  const stored = isNew ? [] : await (await context.store(access)).loadPriceChanges()
  const pending = changesOfConfig(config.models.changes, stored, nowMs)
  const changes = isNew
    ? pending.map((change, i) => ({ ...change, seq: i + 1, actor: 'config', createdAtMs: nowMs }))
    : stored
  return {
    table: priceTableWith(BUILT_IN_PRICES, changes, config.models.lists),
    changes,
    serverMarkup: config.billing.markup,
    nowMs,
    isConfigPending: !isNew && pending.length > 0,
  }
}

/** The model of this name, id or alias of any kind, retired ones included; exit 3 with the nearest three. */
export function expectModel({ table, nowMs }: ModelFacts, name: string): PriceRow {
  const row =
    findPrice(table, name, nowMs) ?? findPrice(table, aliasTarget(table, name, nowMs) ?? '', nowMs)
  if (row !== null) return row
  throw new CliError({
    code: 'model_not_found',
    message: `There is no model named "${name}".`,
    hint: `Nearest: ${nearestModels(table, name, 3).join(', ')}. List them with: ccgate models list`,
    exitCode: EXIT.notFound,
  })
}

/** The mark-up of a model for keys without one of their own. */
export function markupOf({ table, serverMarkup, nowMs }: ModelFacts, row: PriceRow): Fraction {
  return modelMarkup(table, row, nowMs, serverMarkup)
}
