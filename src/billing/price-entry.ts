import { parseMoney } from '../core/amount.ts'
import { parseMarkup } from '../core/markup.ts'
import type { Fraction } from '../core/model.ts'
import type { Micro } from '../core/money.ts'
import { nearest } from '../core/nearest.ts'
import { parseCount } from '../core/quantity.ts'
import type { Rates } from '../core/usage.ts'
import type { ModelPrice, PriceRow } from './price-table.ts'
import { isRate, isRecord, isSize, MAX_RATE, RATE_CLASSES } from './price-value.ts'

/** Something wrong with an entry: where in it, and one phrase that says what. */
export interface EntryProblem {
  /** `data[3].prices_usd_per_mtok.input` as its parts. */
  readonly path: readonly (string | number)[]
  readonly message: string
}

/** The names that files and settings give the five classes. */
export const RATE_NAMES = {
  input: 'input',
  output: 'output',
  cacheRead: 'cache_read',
  cacheWrite5m: 'cache_write_5m',
  cacheWrite1h: 'cache_write_1h',
} as const satisfies Record<keyof Rates, string>

/** What a model that nobody has described yet is taken for: the sizes of today's models. */
const NEW_MODEL = { contextWindow: 1_000_000, maxOutput: 128_000, imageTokenCap: 4_784 }

/** Collects problems below one place. */
export class Problems {
  readonly found: EntryProblem[] = []
  add(path: EntryProblem['path'], message: string): null {
    this.found.push({ path, message })
    return null
  }
}

/** A price of a person's spelling (`3.00`, `$3`, `0.125`) per million tokens, in micro-dollars. */
export function readDollarRate(
  value: unknown,
  tokenClass: keyof Rates,
):
  | { readonly kind: 'ok'; readonly value: Micro }
  | { readonly kind: 'bad'; readonly problem: string } {
  if (typeof value !== 'string' && typeof value !== 'number') {
    return { kind: 'bad', problem: 'is not a price. Example: 3.00 (dollars per million tokens)' }
  }
  const read = parseMoney(String(value))
  if (read.kind === 'bad') return { kind: 'bad', problem: read.problem }
  return isRate(read.value, tokenClass)
    ? read
    : { kind: 'bad', problem: rangeProblem(String(value), read.value) }
}

function rangeProblem(shown: string, micro: number): string {
  return micro > MAX_RATE
    ? `${shown} is more than $500 per million tokens`
    : `${shown} would be free: the least is 0.000001`
}

/** What an entry of `models.prices` says. */
export interface SettingEntry {
  readonly rates: Partial<Rates>
  readonly contextWindow: number | null
  readonly maxOutput: number | null
  /** undefined: not mentioned. */
  readonly markup: Fraction | undefined
}

const SETTING_MEMBERS = [...Object.values(RATE_NAMES), 'context_window', 'max_output', 'markup']

/** Reads `{input: 3.00, output: 15.00, …, markup: 1.2}`; every member is optional here. */
export function readSettingEntry(
  value: unknown,
  path: EntryProblem['path'],
  problems: Problems,
): SettingEntry | null {
  if (!isRecord(value)) {
    return problems.add(path, 'is a group of prices. Example: {input: 3.00, output: 15.00}')
  }
  const before = problems.found.length
  for (const name of Object.keys(value)) {
    if (!SETTING_MEMBERS.includes(name))
      problems.add([...path, name], unknown(name, SETTING_MEMBERS))
  }
  const rates: Partial<Record<keyof Rates, Micro>> = {}
  for (const tokenClass of RATE_CLASSES) {
    const name = RATE_NAMES[tokenClass]
    if (value[name] === undefined) continue
    const read = readDollarRate(value[name], tokenClass)
    if (read.kind === 'bad') problems.add([...path, name], read.problem)
    else rates[tokenClass] = read.value
  }
  const size = (name: string): number | null => {
    if (value[name] === undefined) return null
    const read = parseCount(String(value[name]))
    if (read.kind === 'ok' && isSize(read.value)) return read.value
    return problems.add([...path, name], 'is not a number of tokens. Example: 200000 or 1M')
  }
  const contextWindow = size('context_window')
  const maxOutput = size('max_output')
  let markup: Fraction | undefined
  if (value.markup !== undefined) {
    const read = parseMarkup(String(value.markup))
    if (read.kind === 'bad') problems.add([...path, 'markup'], read.problem)
    else markup = read.value
  }
  return problems.found.length > before ? null : { rates, contextWindow, maxOutput, markup }
}

/** Whether an entry changes the price itself, and not only the mark-up. */
export function hasPrice({ rates, contextWindow, maxOutput }: SettingEntry): boolean {
  return Object.keys(rates).length > 0 || contextWindow !== null || maxOutput !== null
}

/**
 * The whole price that an entry makes of a model: what it leaves out stays as in `base`. Of a model that is
 * not known it must say all five prices; those that are missing are the result.
 */
export function priceOfEntry(
  id: string,
  entry: Pick<SettingEntry, 'rates' | 'contextWindow' | 'maxOutput'>,
  base: PriceRow | null,
):
  | { readonly kind: 'ok'; readonly price: ModelPrice }
  | { readonly kind: 'missing'; readonly names: readonly string[] } {
  const rates = { ...base?.rates, ...entry.rates }
  const missing = RATE_CLASSES.filter((tokenClass) => rates[tokenClass] === undefined)
  if (missing.length > 0) return { kind: 'missing', names: missing.map((name) => RATE_NAMES[name]) }
  const price: ModelPrice = {
    ...(base === null ? newModel(id) : modelOf(base)),
    rates: rates as Rates, // nothing is missing
  }
  return {
    kind: 'ok',
    price: {
      ...price,
      contextWindow: entry.contextWindow ?? price.contextWindow,
      maxOutput: entry.maxOutput ?? price.maxOutput,
    },
  }
}

/** A model as far as a name tells, without its rates. */
export function newModel(id: string): Omit<ModelPrice, 'rates'> {
  return {
    id,
    status: 'active',
    contextWindow: NEW_MODEL.contextWindow,
    maxOutput: NEW_MODEL.maxOutput,
    inferenceGeo: true,
    modelClass: id,
    imageTokenCap: NEW_MODEL.imageTokenCap,
    minimumCacheTokens: 512,
  }
}

/** A row as it is written down: without its time and what follows from the id. */
export function modelOf(row: PriceRow): ModelPrice {
  const { id, status, contextWindow, maxOutput, rates, inferenceGeo, modelClass } = row
  return {
    id,
    ...(row.aliases.length > 0 ? { aliases: row.aliases } : {}),
    status,
    contextWindow,
    maxOutput,
    rates,
    ...(row.fastRates === null ? {} : { fastRates: row.fastRates }),
    ...(row.longPrompt === null ? {} : { longPrompt: row.longPrompt }),
    inferenceGeo,
    modelClass,
    imageTokenCap: row.imageTokenCap,
    minimumCacheTokens: row.minimumCacheTokens,
    ...(row.releasedOn === null ? {} : { releasedOn: row.releasedOn }),
    ...(row.retiresOn === null ? {} : { retiresOn: row.retiresOn }),
  }
}

/** What to say of a member that nobody knows. */
export function unknown(name: string, known: readonly string[]): string {
  const hint = nearest(name, known)
  return hint === null ? 'is unknown' : `is unknown. Did you mean ${hint}?`
}
