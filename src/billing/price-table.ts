import { matchesModel } from '../core/model-glob.ts'
import type { Micro } from '../core/money.ts'
import { editDistance } from '../core/nearest.ts'
import type { Rates, ReceiptLine } from '../core/usage.ts'
import { displayName, isPlainName, spelling, wrongCharacter } from './model-names.ts'
import { inForce, type ModelPolicy, NO_POLICY, settingFor } from './model-policy.ts'

/** `retired` models keep their price for old receipts but are no longer served. */
export type ModelStatus = 'active' | 'deprecated' | 'retired'

/** One model's price as written in a table; absent means none, or for `since`: from the start. */
export interface ModelPrice {
  readonly id: string
  readonly aliases?: readonly string[]
  readonly status: ModelStatus
  /** First day (UTC, `2026-10-07`) of these rates; a later row of the same id replaces an earlier one. */
  readonly since?: string
  readonly contextWindow: number
  readonly maxOutput: number
  readonly rates: Rates
  readonly fastRates?: Rates
  readonly longPrompt?: LongPrompt
  readonly inferenceGeo: boolean
  readonly modelClass: string
  readonly imageTokenCap: number
  readonly minimumCacheTokens: number
  readonly releasedOn?: string
  readonly retiresOn?: string
}

/** Above so many prompt tokens (cached ones included) every token of the request costs `rates`. */
export interface LongPrompt {
  readonly aboveTokens: number
  readonly rates: Rates
}

/** What one model costs from `effectiveAtMs` until a later row of the same id takes over. */
export interface PriceRow {
  readonly id: string
  /** Other exact spellings of the id. */
  readonly aliases: readonly string[]
  /** `Claude Opus 4.5`. */
  readonly displayName: string
  readonly status: ModelStatus
  readonly effectiveAtMs: number
  /** Most tokens that a prompt and its answer may have together. */
  readonly contextWindow: number
  /** Most output tokens of one answer. */
  readonly maxOutput: number
  readonly rates: Rates
  /** Rates of answers that say `speed: "fast"`; null where the model has no fast price. */
  readonly fastRates: Rates | null
  readonly longPrompt: LongPrompt | null
  /** True when answers that say `inference_geo: "us"` cost 11/10. */
  readonly inferenceGeo: boolean
  /** Models of one class share upstream's rate-limit bucket. */
  readonly modelClass: string
  /** Most tokens that one image costs. */
  readonly imageTokenCap: number
  /** Shorter prefixes are not cached by upstream. */
  readonly minimumCacheTokens: number
  /** `2026-11-09`, or null when not known. */
  readonly releasedOn: string | null
  /** The day it retires or retired, or null when not announced. */
  readonly retiresOn: string | null
}

/** All prices that ccgate knows, and what people decided about models; with the history of both. */
export interface PriceTable {
  /** Of the built-in prices; receipts quote `priceVersionAt`. */
  readonly version: string
  /** Every row ever, in the table's order: families together, newest first; one model's rows by time. */
  readonly rows: readonly PriceRow[]
  /** Fee of one web search. */
  readonly webSearchMicro: Micro
  /** Rows by exact id and alias, the latest `effectiveAtMs` first. */
  readonly byName: ReadonlyMap<string, readonly PriceRow[]>
  readonly policy: ModelPolicy
}

/** Builds a table from its models; rows keep their order. */
export function priceTable(source: {
  readonly version: string
  readonly webSearchMicro: Micro
  readonly models: readonly ModelPrice[]
}): PriceTable {
  const { version, webSearchMicro } = source
  const rows = source.models.map((model) =>
    // A model's first row holds from time zero, so that a machine whose clock is behind still has prices.
    priceRow(model, model.since === undefined ? 0 : Date.parse(`${model.since}T00:00:00Z`)),
  )
  return tableOf({ version, webSearchMicro, rows, policy: NO_POLICY })
}

/** A table with its index. */
export function tableOf(parts: Omit<PriceTable, 'byName'>): PriceTable {
  const byName = new Map<string, PriceRow[]>()
  for (const row of parts.rows) {
    for (const name of [row.id, ...row.aliases]) {
      const known = byName.get(name)
      if (known === undefined) byName.set(name, [row])
      else known.push(row)
    }
  }
  for (const known of byName.values()) known.sort((a, b) => b.effectiveAtMs - a.effectiveAtMs)
  return { ...parts, byName }
}

/** What a model's price is from that time on. */
export function priceRow(model: ModelPrice, effectiveAtMs: number): PriceRow {
  return {
    id: model.id,
    aliases: model.aliases ?? [],
    displayName: displayName(model.id),
    status: model.status,
    effectiveAtMs,
    contextWindow: model.contextWindow,
    maxOutput: model.maxOutput,
    rates: model.rates,
    fastRates: model.fastRates ?? null,
    longPrompt: model.longPrompt ?? null,
    inferenceGeo: model.inferenceGeo,
    modelClass: model.modelClass,
    imageTokenCap: model.imageTokenCap,
    minimumCacheTokens: model.minimumCacheTokens,
    releasedOn: model.releasedOn ?? null,
    retiresOn: model.retiresOn ?? null,
  }
}

/**
 * The row of exactly this id or upstream alias at that time, retired models included; null when it has no
 * price. Never by prefix: point releases have their own prices.
 */
export function findPrice(table: PriceTable, modelId: string, atMs: number): PriceRow | null {
  const rows = table.byName.get(modelId)
  if (rows === undefined) return null
  for (const row of rows) {
    if (row.effectiveAtMs > atMs) continue
    if (row.id === modelId) return row
    // A later row of that model may have other aliases.
    const current = findPrice(table, row.id, atMs)
    return current?.aliases.includes(modelId) === true ? current : null
  }
  return null
}

/**
 * What may be requested under this name, id or upstream alias: `findPrice` without what is retired, disabled
 * or denied here; and unknown models, where they are priced as another one.
 */
export function findServedPrice(table: PriceTable, modelId: string, atMs: number): PriceRow | null {
  const row = findPrice(table, modelId, atMs)
  if (row !== null) return isServed(table, row, atMs) ? row : null
  const priced = isPlainName(modelId) ? pricedAs(table, modelId, atMs) : null
  return priced !== null && isServed(table, priced, atMs) ? priced : null
}

/** What the answer of a model costs, whatever model it is; the note says that its price was not known. */
export function priceOf(
  table: PriceTable,
  modelId: string,
  atMs: number,
  speed: 'standard' | 'fast' = 'standard',
): { readonly row: PriceRow; readonly note: ReceiptLine['note'] } {
  const known = findPrice(table, modelId, atMs)
  if (known !== null) return { row: known, note: null }
  const priced = pricedAs(table, modelId, atMs)
  return priced === null
    ? { row: dearestPrice(table, atMs, speed), note: 'model_unknown_dearest_price' }
    : { row: priced, note: 'model_unknown_configured_price' }
}

/** Whether a model may be called: the lists of the config, then what a person set, then its status. */
export function isServed({ policy }: PriceTable, row: PriceRow, atMs: number): boolean {
  if (!allowsRow(policy.allow, row) || allowsRow(policy.deny, row)) return false
  return settingFor(policy.served, row.id, atMs) ?? row.status !== 'retired'
}

/** The model that one of our own aliases stands for; null when the name is none. */
export function aliasTarget({ policy }: PriceTable, name: string, atMs: number): string | null {
  return inForce(policy.aliases.get(name), atMs)
}

/** Our own aliases of a model at that time, sorted. */
export function aliasesOf({ policy }: PriceTable, row: PriceRow, atMs: number): readonly string[] {
  const names: string[] = []
  for (const [alias, changes] of policy.aliases) {
    const target = inForce(changes, atMs)
    if (target === row.id || (target !== null && row.aliases.includes(target))) names.push(alias)
  }
  return names.sort()
}

/** What receipts of that time quote: `2026-11-22`, or `2026-11-22+7` once 7 is the newest change in force. */
export function priceVersionAt({ version, policy }: PriceTable, atMs: number): string {
  for (let i = policy.sequence.length - 1; i >= 0; i--) {
    const { sinceMs, seq } = policy.sequence[i]
    if (sinceMs <= atMs) return `${version}+${seq}`
  }
  return version
}

// `unknown_model: {price_as: MODEL}`: the price, sizes and rules of that model under the unknown name.
function pricedAs(table: PriceTable, modelId: string, atMs: number): PriceRow | null {
  const target = inForce(table.policy.unknownAs, atMs)
  const row = target === null ? null : findPrice(table, target, atMs)
  if (row === null) return null
  const name = displayName(modelId)
  return { ...row, id: modelId, aliases: [], displayName: name, modelClass: modelId }
}

/** One row per model as of that time, in the table's order; without retired models unless asked for. */
export function listModels(
  table: PriceTable,
  atMs: number,
  options: { readonly includeRetired?: boolean } = {},
): readonly PriceRow[] {
  return table.rows.filter(
    (row) =>
      findPrice(table, row.id, atMs) === row &&
      (row.status !== 'retired' || options.includeRetired === true),
  )
}

/** The models that may be called at that time, in the table's order. */
export function servedModels(table: PriceTable, atMs: number): readonly PriceRow[] {
  return table.rows.filter(
    (row) => findPrice(table, row.id, atMs) === row && isServed(table, row, atMs),
  )
}

/**
 * The dearest model that upstream has: what an answer of an unknown model is billed as. Retired models are
 * left out: no answer comes from them. With speed `fast` the dearest one that has a fast price.
 */
export function dearestPrice(
  table: PriceTable,
  atMs: number,
  speed: 'standard' | 'fast' = 'standard',
): PriceRow {
  let dearest: PriceRow | null = null
  for (const row of listModels(table, atMs)) {
    if (speed === 'fast' && row.fastRates === null) continue
    if (dearest === null || isDearer(row, dearest, speed)) dearest = row
  }
  if (dearest !== null) return dearest
  if (speed === 'fast') return dearestPrice(table, atMs)
  throw new RangeError('a price table needs at least one served model')
}

function isDearer(row: PriceRow, than: PriceRow, speed: 'standard' | 'fast'): boolean {
  const a = dearness(row, speed)
  const b = dearness(than, speed)
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0)
    if (difference !== 0) return difference > 0
  }
  return false
}

function dearness(row: PriceRow, speed: 'standard' | 'fast'): readonly Micro[] {
  const rates = (speed === 'fast' ? row.fastRates : null) ?? row.longPrompt?.rates ?? row.rates
  return [rates.output, rates.input, rates.cacheWrite1h, rates.cacheWrite5m, rates.cacheRead]
}

/** Whether a list of model patterns, a key's or an account's, allows this model by any of its names. */
export function allowsRow(patterns: readonly string[], row: PriceRow): boolean {
  if (matchesModel(patterns, row.id)) return true
  return row.aliases.some((alias) => matchesModel(patterns, alias))
}

/** As `allowsRow`, by our own aliases too: a key for `fast` may use whatever `fast` stands for. */
export function allowsModel(
  table: PriceTable,
  patterns: readonly string[],
  row: PriceRow,
  atMs: number,
): boolean {
  if (allowsRow(patterns, row)) return true
  return aliasesOf(table, row, atMs).some((alias) => matchesModel(patterns, alias))
}

/**
 * Names that may be called, our own aliases included, closest in spelling to `modelId`: best first, one per
 * model, "did you mean". Without a time: of everything that is known.
 */
export function nearestModels(
  table: PriceTable,
  modelId: string,
  count: number,
  atMs: number = Number.MAX_SAFE_INTEGER,
): readonly string[] {
  const wanted = spelling(modelId.slice(0, 80))
  const best: { readonly name: string; readonly distance: number }[] = []
  for (const row of servedModels(table, atMs)) {
    let nearest: { name: string; distance: number } | null = null
    for (const name of [...aliasesOf(table, row, atMs), ...row.aliases, row.id]) {
      const distance = editDistance(wanted, spelling(name), wrongCharacter)
      if (nearest === null || distance < nearest.distance) nearest = { name, distance }
    }
    if (nearest !== null) best.push(nearest)
  }
  best.sort((a, b) => a.distance - b.distance)
  return best.slice(0, count).map((candidate) => candidate.name)
}
