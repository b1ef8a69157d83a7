import { isSameJson } from '../billing/config-changes.ts'
import { isModelPattern, isPlainName } from '../billing/model-names.ts'
import { inForce } from '../billing/model-policy.ts'
import { priceValue } from '../billing/price-changes.ts'
import { modelOf, priceOfEntry, RATE_NAMES, readDollarRate } from '../billing/price-entry.ts'
import {
  aliasesOf,
  aliasTarget,
  findPrice,
  listModels,
  type PriceRow,
} from '../billing/price-table.ts'
import { RATE_CLASSES } from '../billing/price-value.ts'
import { BUILT_IN_PRICES } from '../billing/prices.ts'
import { parseMarkup } from '../core/markup.ts'
import type { Fraction } from '../core/model.ts'
import { matchesModel } from '../core/model-glob.ts'
import type { Micro } from '../core/money.ts'
import { nearest } from '../core/nearest.ts'
import type { Parsed } from '../core/quantity.ts'
import type { Rates } from '../core/usage.ts'
import type { NewPriceChange, PriceChange } from '../store/store.ts'
import type { Context } from './context.ts'
import { CliError, EXIT, SEE_HELP, usageError } from './errors.ts'
import type { Invocation } from './invocation.ts'
import { expectModel, type ModelFacts } from './model-table.ts'
import { parseTime } from './parse/time.ts'

/** What `models set` was asked for, read. */
export interface Wish {
  /** `default`: as built in. */
  readonly rates: Partial<Record<keyof Rates, Micro | 'default'>>
  /** null: the config's again. */
  readonly markup: Fraction | null | undefined
  readonly isServed: boolean | undefined
  /** null: none any more. */
  readonly aliases: readonly string[] | null | undefined
}

/** Which models: one, or all that a glob means. */
export type Target =
  | { readonly kind: 'model'; readonly id: string; readonly row: PriceRow | null }
  | { readonly kind: 'glob'; readonly glob: string }

/** One change, before its time is known. */
export type Wanted = Omit<NewPriceChange, 'effectiveAtMs' | 'source'>

/** Reads the options of `models set`; without any of them it is a usage error. */
export function readWish(call: Invocation): Wish {
  const rates: Wish['rates'] = {}
  for (const tokenClass of RATE_CLASSES) {
    const option = RATE_NAMES[tokenClass].replaceAll('_', '-')
    const rate = call.read(option, (text): Parsed<Micro | 'default'> => {
      if (text === 'default') return { kind: 'ok', value: 'default' }
      return readDollarRate(text, tokenClass)
    })
    if (rate !== null) Object.assign(rates, { [tokenClass]: rate })
  }
  const markup = call.read('markup', (text): Parsed<{ value: Fraction | null }> => {
    if (text === 'default' || text === 'none') return { kind: 'ok', value: { value: null } }
    const read = parseMarkup(text)
    return read.kind === 'ok' ? { kind: 'ok', value: { value: read.value } } : read
  })
  if (call.flag('enable') && call.flag('disable')) {
    throw usageError('--enable and --disable exclude each other.', SEE_HELP)
  }
  const names = call.list('alias')
  const isNone = names?.length === 1 && names[0] === 'none'
  const wish: Wish = {
    rates,
    markup: markup === null ? undefined : markup.value,
    isServed: call.flag('enable') ? true : call.flag('disable') ? false : undefined,
    aliases: names === null ? undefined : isNone ? null : names,
  }
  const { markup: factor, isServed: served, aliases } = wish
  if (!hasRates(wish) && factor === undefined && served === undefined && aliases === undefined) {
    throw usageError(
      'There is nothing to set.',
      'Example: ccgate models set claude-opus-5 --markup 1.2   (see it: ccgate models show)',
      'missing_option',
    )
  }
  return wish
}

/** Whether it names a price. */
export function hasRates(wish: Wish): boolean {
  return Object.keys(wish.rates).length > 0
}

/** `--from` in ms, not in the past; null without it. */
export function readFrom(context: Context, call: Invocation): number | null {
  const { nowMs } = context
  const fromMs = call.read('from', (text) =>
    parseTime(text, { nowMs, calendar: context.calendar(), direction: 'future' }),
  )
  if (fromMs !== null && fromMs < nowMs) throw inThePast()
  return fromMs
}

/** The refusal of a change that would begin before now. */
export function inThePast() {
  return usageError(
    '--from lies in the past: requests keep the prices of their own time.',
    'Say a time to come, or leave it out: then it is in force at once.',
    'bad_value',
  )
}

/** The model or models that a name means; one that nobody knows becomes known by its prices. */
export function findTarget(facts: ModelFacts, name: string, wish: Wish): Target {
  const { table, nowMs } = facts
  if (!name.includes('*')) {
    const known = findPrice(table, name, nowMs) !== null || aliasTarget(table, name, nowMs) !== null
    if (!known && hasRates(wish) && isPlainName(name)) return { kind: 'model', id: name, row: null }
    const row = expectModel(facts, name)
    return { kind: 'model', id: row.id, row }
  }
  if (!isModelPattern(name)) {
    throw usageError(`"${name}" is not a model or glob.`, 'Example: claude-haiku-*', 'bad_value')
  }
  if (hasRates(wish) || wish.aliases !== undefined) {
    throw usageError(
      `"${name}" is a glob, which takes --markup, --enable and --disable only.`,
      'Prices and aliases belong to one model: name it.',
      'bad_value',
    )
  }
  const target: Target = { kind: 'glob', glob: name }
  if (modelsOf(facts, target, 'retired too').length === 0) {
    throw new CliError({
      code: 'model_not_found',
      message: `No model matches "${name}".`,
      hint: 'List them with: ccgate models list',
      exitCode: EXIT.notFound,
    })
  }
  return target
}

/** What people typed for it. */
export function nameOf(target: Target): string {
  return target.kind === 'glob' ? target.glob : target.id
}

/** The models that a target means, as of `facts.nowMs`; a glob means those that upstream still has. */
export function modelsOf(
  { table, nowMs }: ModelFacts,
  target: Target,
  which: 'current' | 'retired too' = 'current',
): readonly PriceRow[] {
  const includeRetired = target.kind === 'model' || which === 'retired too'
  return listModels(table, nowMs, { includeRetired }).filter(({ id }) =>
    target.kind === 'glob' ? matchesModel([target.glob], id) : id === target.id,
  )
}

/** Whether somebody enabled it by its id: no glob changes that. */
export function isEnabledByName({ table, nowMs }: ModelFacts, row: PriceRow): boolean {
  return inForce(table.policy.served.get(row.id), nowMs) === true
}

function policyOf(wish: Wish, subject: string): Wanted[] {
  return [
    ...(wish.markup === undefined
      ? []
      : [{ kind: 'markup' as const, subject, value: wish.markup }]),
    ...(wish.isServed === undefined
      ? []
      : [{ kind: 'served' as const, subject, value: wish.isServed }]),
  ]
}

/** The changes that a wish comes to. */
export function changesOf(facts: ModelFacts, target: Target, wish: Wish): readonly Wanted[] {
  if (target.kind === 'glob') return policyOf(wish, target.glob)
  const changes = policyOf(wish, target.id)
  if (hasRates(wish)) changes.push(priceChange(facts, target, wish))
  if (wish.aliases === null && target.row !== null) {
    for (const subject of aliasesOf(facts.table, target.row, facts.nowMs)) {
      changes.push({ kind: 'alias', subject, value: null })
    }
  }
  for (const alias of wish.aliases ?? []) {
    checkAlias(facts, alias)
    changes.push({ kind: 'alias', subject: alias, value: target.id })
  }
  return changes
}

function checkAlias({ table, nowMs }: ModelFacts, alias: string): void {
  const known = findPrice(table, alias, nowMs)
  const problem = !isPlainName(alias)
    ? 'is not a name: letters, digits and . _ : @ / -'
    : known !== null
      ? `is the name of ${known.id} itself`
      : null
  if (problem !== null)
    throw usageError(`--alias: "${alias}" ${problem}.`, 'Choose another one.', 'bad_value')
}

function priceChange(
  { table, nowMs }: ModelFacts,
  { id, row }: Extract<Target, { kind: 'model' }>,
  wish: Wish,
): Wanted {
  const builtIn = findPrice(BUILT_IN_PRICES, id, nowMs)
  const rates: Partial<Record<keyof Rates, Micro>> = {}
  for (const tokenClass of RATE_CLASSES) {
    const rate = wish.rates[tokenClass]
    if (rate === undefined) continue
    if (rate !== 'default') rates[tokenClass] = rate
    else if (builtIn !== null) rates[tokenClass] = builtIn.rates[tokenClass]
    else throw usageError(`${id} is not built in: it has no default price.`, SEE_HELP, 'bad_value')
  }
  const made = priceOfEntry(id, { rates, contextWindow: null, maxOutput: null }, row)
  if (made.kind === 'missing') {
    const options = made.names.map((name) => `--${name.replaceAll('_', '-')}`).join(' ')
    const known = [...table.byName.keys()]
    const close = nearest(id, known)
    throw usageError(
      `${id} is a new model: it needs all five prices. Missing: ${options}.`,
      close === null ? SEE_HELP : `Did you mean ${close}?`,
      'missing_option',
    )
  }
  const isBuiltIn =
    builtIn !== null && isSameJson(priceValue(made.price), priceValue(modelOf(builtIn)))
  return { kind: 'price', subject: id, value: isBuiltIn ? null : priceValue(made.price) }
}

/** Whether the newest change of the same thing says the same, and nothing else is planned for later. */
export function isInForce(changes: readonly PriceChange[], wanted: Wanted, atMs: number): boolean {
  const same = changes.filter(
    ({ kind, subject }) => kind === wanted.kind && subject === wanted.subject,
  )
  if (same.some(({ effectiveAtMs }) => effectiveAtMs > atMs)) return false
  const last = same.reduce<PriceChange | null>(
    (newest, change) =>
      newest === null || change.effectiveAtMs >= newest.effectiveAtMs ? change : newest,
    null,
  )
  return isSameJson(last === null ? null : last.value, wanted.value)
}
