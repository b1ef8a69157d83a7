import type { Micro } from '../core/money.ts'
import type { Rates } from '../core/usage.ts'
import { isPlainName } from './model-names.ts'
import {
  type EntryProblem,
  modelOf,
  newModel,
  Problems,
  RATE_NAMES,
  readDollarRate,
  unknown,
} from './price-entry.ts'
import {
  findPrice,
  type LongPrompt,
  type ModelPrice,
  type ModelStatus,
  type PriceTable,
} from './price-table.ts'
import { isDay, isRate, isRecord, isSize, RATE_CLASSES } from './price-value.ts'

/** Models that one file may name. */
const MAX_MODELS = 1_000

/** Every member that a model of a price file may have; those of the last line say nothing about prices. */
const MEMBERS = [
  ...['id', 'aliases', 'status', 'prices_micro_per_mtok', 'prices_usd_per_mtok'],
  ...['fast_prices_micro_per_mtok', 'fast_prices_usd_per_mtok', 'long_prompt', 'inference_geo'],
  ...['context_window', 'max_output', 'model_class', 'image_tokens', 'minimum_cache_tokens'],
  ...['released_on', 'retires_on', 'markup_included'],
  ...['object', 'display_name', 'markup', 'source', 'own_aliases'],
]

const STATUSES: Readonly<Record<string, ModelStatus>> = {
  active: 'active',
  served: 'active',
  disabled: 'active',
  deprecated: 'deprecated',
  retired: 'retired',
}

/**
 * Reads a price file, a list of models or `{"data": [...]}`: what `ccgate models list --json` prints is one.
 * All of it is checked, and one mistake refuses it all. What a known model leaves out stays as it is.
 */
export function readPriceFile(
  json: unknown,
  table: PriceTable,
  atMs: number,
):
  | { readonly kind: 'ok'; readonly models: readonly ModelPrice[] }
  | { readonly kind: 'bad'; readonly problems: readonly EntryProblem[] } {
  const problems = new Problems()
  const isList = Array.isArray(json)
  const list = isList ? json : isRecord(json) ? json.data : undefined
  const at = isList ? [] : ['data']
  if (!Array.isArray(list)) {
    problems.add([], 'must be a list of models, or {"data": [...]}')
    return { kind: 'bad', problems: problems.found }
  }
  if (list.length === 0) problems.add(at, 'names no model')
  if (list.length > MAX_MODELS) problems.add(at, `names more than ${MAX_MODELS} models`)
  if (isRecord(json) && json.has_more === true) {
    problems.add(['has_more'], 'this is one page of a list: write all of it')
  }
  const models: ModelPrice[] = []
  for (const [i, value] of list.slice(0, MAX_MODELS).entries()) {
    const model = readModel(value, [...at, i], { table, atMs, problems })
    if (model !== null) models.push(model)
  }
  checkNames(models, { list, at, table, atMs, problems })
  if (problems.found.length === 0 && models.every(({ status }) => status === 'retired')) {
    problems.add(at, 'names no model that is still served')
  }
  if (problems.found.length === 0) return { kind: 'ok', models }
  const place = ({ path }: EntryProblem) => Number(path[at.length] ?? -1)
  return { kind: 'bad', problems: problems.found.toSorted((a, b) => place(a) - place(b)) }
}

interface Surroundings {
  readonly table: PriceTable
  readonly atMs: number
  readonly problems: Problems
}

type Path = EntryProblem['path']
type Members = Readonly<Record<string, unknown>>

function readModel(value: unknown, path: Path, around: Surroundings): ModelPrice | null {
  const { table, atMs, problems } = around
  if (!isRecord(value)) return problems.add(path, 'is not a model: {"id": …}')
  const before = problems.found.length
  for (const name of Object.keys(value)) {
    if (!MEMBERS.includes(name)) problems.add([...path, name], unknown(name, MEMBERS))
  }
  const isId = typeof value.id === 'string' && isPlainName(value.id)
  if (!isId) problems.add([...path, 'id'], 'is not the id of a model')
  // A model that nobody knows, so that what else is wrong is told at the same time.
  const id = isId ? String(value.id) : 'a-new-model'
  if (value.markup_included === true) {
    problems.add(
      [...path, 'markup_included'],
      'these prices include a mark-up: list them without --effective',
    )
  }
  const row = isId ? findPrice(table, id, atMs) : null
  // Under an upstream alias the model would be there twice.
  if (row !== null && row.id !== id) {
    problems.add([...path, 'id'], `is another name of ${row.id}: use that`)
  }
  const base = row === null ? newModel(id) : modelOf(row)
  const reader = new MemberReader(value, path, problems)
  const rates = reader.prices('prices', 'required')
  const fastRates = reader.prices('fast_prices', 'optional')
  const model: ModelPrice = {
    ...base,
    ...reader.settings(base),
    rates: rates ?? NO_RATES,
    ...given('fastRates', fastRates, row?.fastRates),
    ...given('longPrompt', reader.longPrompt(), row?.longPrompt),
  }
  return problems.found.length > before ? null : model
}

const NO_RATES: Rates = { input: 0, output: 0, cacheRead: 0, cacheWrite5m: 0, cacheWrite1h: 0 }

/** A member that is absent stays as it was, null takes it away. */
function given<N extends string, T>(
  name: N,
  value: T | null | undefined,
  before: T | null | undefined,
): { readonly [K in N]?: T } {
  const now = value === undefined ? before : value
  // `undefined` as the value would be written down as a member of its own.
  return (now === null || now === undefined ? { [name]: undefined } : { [name]: now }) as {
    readonly [K in N]?: T
  }
}

/** Reads the members of one model and notes what is wrong with each. */
class MemberReader {
  readonly #value: Members
  readonly #path: Path
  readonly #problems: Problems
  constructor(value: Members, path: Path, problems: Problems) {
    this.#value = value
    this.#path = path
    this.#problems = problems
  }

  /** `NAME_micro_per_mtok` or `NAME_usd_per_mtok`, not both; undefined when absent, null when null. */
  prices(name: string, need: 'required' | 'optional'): Rates | null | undefined {
    const spellings = [`${name}_micro_per_mtok`, `${name}_usd_per_mtok`]
    const present = spellings.filter((member) => this.#value[member] !== undefined)
    if (present.length > 1) return this.#bad(present[1], `is there as ${present[0]} too: keep one`)
    const [member] = present
    const value = member === undefined ? undefined : this.#value[member]
    if (need === 'required' && (value === undefined || value === null)) {
      return this.#bad(member ?? spellings[0], 'is missing')
    }
    if (member === undefined) return undefined
    if (value === null) return null
    if (!isRecord(value)) return this.#bad(member, 'is not a group of prices')
    return this.#rates(value, member, member === spellings[1])
  }

  longPrompt(): LongPrompt | null | undefined {
    const value = this.#value.long_prompt
    if (value === undefined || value === null) return value
    if (!isRecord(value)) return this.#bad('long_prompt', 'is not a group')
    const inner = new MemberReader(value, [...this.#path, 'long_prompt'], this.#problems)
    const known = ['above_tokens', 'prices_micro_per_mtok', 'prices_usd_per_mtok']
    for (const name of Object.keys(value)) {
      if (!known.includes(name)) inner.#bad(name, unknown(name, known))
    }
    const aboveTokens = inner.#size('above_tokens', 0)
    const rates = inner.prices('prices', 'required')
    return aboveTokens === 0 || !rates ? null : { aboveTokens, rates }
  }

  /** Everything that is one value; absent ones as in `base`. */
  settings(base: Omit<ModelPrice, 'rates'>): Omit<ModelPrice, 'id' | 'rates'> {
    return {
      ...given('aliases', this.#aliases(), base.aliases),
      status: this.#status(base.status),
      contextWindow: this.#size('context_window', base.contextWindow),
      maxOutput: this.#size('max_output', base.maxOutput),
      inferenceGeo: this.#flag('inference_geo', base.inferenceGeo),
      modelClass: this.#name('model_class', base.modelClass),
      imageTokenCap: this.#size('image_tokens', base.imageTokenCap),
      minimumCacheTokens: this.#size('minimum_cache_tokens', base.minimumCacheTokens),
      ...given('releasedOn', this.#day('released_on'), base.releasedOn),
      ...given('retiresOn', this.#day('retires_on'), base.retiresOn),
    }
  }

  #rates(value: Members, member: string, isDollars: boolean): Rates | null {
    const known = Object.values(RATE_NAMES)
    for (const name of Object.keys(value)) {
      if (!known.some((rate) => rate === name)) this.#bad([member, name], unknown(name, known))
    }
    const rates: Record<keyof Rates, Micro> = { ...NO_RATES }
    for (const tokenClass of RATE_CLASSES) {
      const name = RATE_NAMES[tokenClass]
      const given = value[name]
      if (given === undefined) {
        this.#bad([member, name], 'is missing')
      } else if (isDollars) {
        const read = readDollarRate(given, tokenClass)
        if (read.kind === 'bad') this.#bad([member, name], read.problem)
        else rates[tokenClass] = read.value
      } else if (isRate(given, tokenClass)) rates[tokenClass] = given
      else {
        const shown = JSON.stringify(given)?.slice(0, 40)
        this.#bad([member, name], `${shown} is not a price: a whole number of micro-dollars`)
      }
    }
    return rates
  }

  #aliases(): readonly string[] | null | undefined {
    const value = this.#value.aliases
    if (value === undefined) return undefined
    if (!Array.isArray(value) || !value.every((name) => isPlainName(String(name)))) {
      return this.#bad('aliases', 'is not a list of names')
    }
    return value.length === 0 ? null : value.map(String)
  }

  #status(before: ModelStatus): ModelStatus {
    const value = this.#value.status
    if (value === undefined) return before
    const status = typeof value === 'string' ? STATUSES[value] : undefined
    if (status === undefined) this.#bad('status', 'is not one of: active, deprecated, retired')
    return status ?? before
  }

  #size(name: string, before: number): number {
    const value = this.#value[name]
    if (value === undefined && before > 0) return before
    if (isSize(value)) return value
    this.#bad(name, value === undefined ? 'is missing' : 'is not a number of tokens')
    return before
  }

  #flag(name: string, before: boolean): boolean {
    const value = this.#value[name]
    if (value !== undefined && typeof value !== 'boolean') this.#bad(name, 'is not true or false')
    return typeof value === 'boolean' ? value : before
  }

  #name(name: string, before: string): string {
    const value = this.#value[name]
    if (value === undefined) return before
    if (typeof value === 'string' && isPlainName(value)) return value
    this.#bad(name, 'is not a name')
    return before
  }

  #day(name: string): string | null | undefined {
    const value = this.#value[name]
    if (value === undefined || value === null) return value
    if (typeof value === 'string' && isDay(value)) return value
    return this.#bad(name, 'is not a day. Example: 2026-11-22')
  }

  #bad(member: string | readonly string[], message: string): null {
    const members = typeof member === 'string' ? [member] : member
    return this.#problems.add([...this.#path, ...members], message)
  }
}

/** No name may stand for two models. */
function checkNames(
  models: readonly ModelPrice[],
  around: Surroundings & { readonly list: readonly unknown[]; readonly at: Path },
): void {
  const { list, at, table, atMs, problems } = around
  const owner = new Map<string, string>()
  for (const [i, value] of list.entries()) {
    const id = isRecord(value) ? value.id : undefined
    if (typeof id !== 'string') continue
    if (owner.has(id)) problems.add([...at, i, 'id'], `${id} is there twice`)
    else owner.set(id, id)
  }
  for (const { id, aliases = [] } of models) {
    const i = list.findIndex((value) => isRecord(value) && value.id === id)
    for (const alias of aliases) {
      const other = owner.get(alias) ?? findPrice(table, alias, atMs)?.id ?? id
      if (other !== id) problems.add([...at, i, 'aliases'], `${alias} stands for ${other} already`)
      else owner.set(alias, id)
    }
  }
}

/** `data[3].prices_usd_per_mtok.input` */
export function pathText(path: Path): string {
  return path
    .map((part, i) => (typeof part === 'number' ? `[${part}]` : i === 0 ? part : `.${part}`))
    .join('')
}
