import { matchesModel } from '../core/model-glob.ts'
import type { Micro } from '../core/money.ts'
import { editDistance } from '../core/nearest.ts'
import type { Rates } from '../core/usage.ts'

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

/** All prices that ccgate knows, with a version that receipts quote. */
export interface PriceTable {
  readonly version: string
  /** Every row ever, in the table's order: families together, newest first. */
  readonly rows: readonly PriceRow[]
  /** Fee of one web search. */
  readonly webSearchMicro: Micro
  /** Rows by exact id and alias, the latest `effectiveAtMs` first. */
  readonly byName: ReadonlyMap<string, readonly PriceRow[]>
}

/** Builds a table from its models; rows keep their order. */
export function priceTable(source: {
  readonly version: string
  readonly webSearchMicro: Micro
  readonly models: readonly ModelPrice[]
}): PriceTable {
  const rows = source.models.map(rowOf)
  const byName = new Map<string, PriceRow[]>()
  for (const row of rows) {
    for (const name of [row.id, ...row.aliases]) {
      const known = byName.get(name)
      if (known === undefined) byName.set(name, [row])
      else known.push(row)
    }
  }
  for (const known of byName.values()) known.sort((a, b) => b.effectiveAtMs - a.effectiveAtMs)
  return { version: source.version, rows, webSearchMicro: source.webSearchMicro, byName }
}

// A model's first row holds from time zero, so that a machine whose clock is behind still has prices.
function rowOf(model: ModelPrice): PriceRow {
  return {
    id: model.id,
    aliases: model.aliases ?? [],
    displayName: displayName(model.id),
    status: model.status,
    effectiveAtMs: model.since === undefined ? 0 : Date.parse(`${model.since}T00:00:00Z`),
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
 * The row of exactly this id or alias at that time, retired models included; null when it has no price.
 * Never by prefix: point releases have their own prices.
 */
export function findPrice(table: PriceTable, modelId: string, atMs: number): PriceRow | null {
  const rows = table.byName.get(modelId)
  if (rows === undefined) return null
  for (const row of rows) if (row.effectiveAtMs <= atMs) return row
  return null
}

/** As `findPrice`, but null for retired models: what may be requested. */
export function findServedPrice(table: PriceTable, modelId: string, atMs: number): PriceRow | null {
  const row = findPrice(table, modelId, atMs)
  return row === null || row.status === 'retired' ? null : row
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

/**
 * The dearest model that is served: what an answer of an unknown model is billed as. Retired models are
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

/** Served ids and aliases closest in spelling to `modelId`, best first, one per model: "did you mean". */
export function nearestModels(
  table: PriceTable,
  modelId: string,
  count: number,
): readonly string[] {
  const wanted = spelling(modelId.slice(0, 80))
  const best = new Map<string, { name: string; distance: number }>()
  for (const row of table.rows) {
    if (row.status === 'retired') continue
    for (const name of [...row.aliases, row.id]) {
      const distance = editDistance(wanted, spelling(name), wrongCharacter)
      const known = best.get(row.id)
      if (known === undefined || distance < known.distance) best.set(row.id, { name, distance })
    }
  }
  return [...best.values()]
    .sort((a, b) => a.distance - b.distance)
    .slice(0, count)
    .map((candidate) => candidate.name)
}

// Dates and provider prefixes say little about which model was meant (`anthropic/claude-opus-4.8`), and
// the oldest ids put the version first (`claude-3-5-haiku`).
function spelling(name: string): string {
  return name
    .toLowerCase()
    .replace(/^.*[/:]/, '')
    .replace(/\[1m\]$/, '')
    .replace(/[-@]?(20\d{6}|latest)$/, '')
    .replace(/[._ ]/g, '-')
    .replace(/^claude-(\d(?:-\d)?)-([a-z]+)$/, 'claude-$2-$1')
}

// A wrong digit weighs less than a wrong letter, so that the family stays.
function wrongCharacter(a: string, b: string): number {
  return /\d/.test(a) && /\d/.test(b) ? 0.5 : 1
}

/** `claude-opus-4-5-20251101` -> `Claude Opus 4.5`; any other id is returned as it is. */
export function displayName(modelId: string): string {
  const words = modelId.replace(/-20\d{6}$/, '').split('-')
  const isNumber = (word: string) => /^\d+$/.test(word)
  const version = words.filter(isNumber).join('.')
  const names = words.filter((word) => !isNumber(word))
  if (words[0] !== 'claude' || names.length < 2) return modelId
  const title = names.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join(' ')
  return version === '' ? title : `${title} ${version}`
}
