import { invariant } from '../core/invariant.ts'
import { isMarkup, NO_MARKUP } from '../core/markup.ts'
import type { Fraction } from '../core/model.ts'
import { isModelPattern, isPlainName } from './model-names.ts'
import { type ModelPolicy, type Setting, settingFor } from './model-policy.ts'
import {
  findPrice,
  type ModelPrice,
  type PriceRow,
  type PriceTable,
  priceRow,
  tableOf,
} from './price-table.ts'
import { isRecord, priceProblem } from './price-value.ts'

/** One change as the store keeps it; what `value` is goes by `kind` and is read by `readChange`. */
export interface StoredChange {
  readonly seq: number
  readonly kind: 'price' | 'markup' | 'alias' | 'served'
  readonly subject: string
  readonly value: unknown
  readonly effectiveAtMs: number
}

/** A change, understood. `null` takes back what was changed before: the built-in facts hold again. */
export type ModelChange =
  | { readonly kind: 'price'; readonly model: string; readonly price: ModelPrice | null }
  /** Subject `*` of kind `price`, value `{priceAs}`: unknown models are served at this one's price. */
  | { readonly kind: 'unknown_models'; readonly priceAs: string | null }
  | { readonly kind: 'markup'; readonly models: string; readonly markup: Fraction | null }
  | { readonly kind: 'alias'; readonly alias: string; readonly model: string | null }
  | { readonly kind: 'served'; readonly models: string; readonly isServed: boolean | null }

/** The subject of the change that says what unknown models cost. */
export const UNKNOWN_MODELS = '*'
type Read<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'bad'; readonly problem: string }

/** Understands a stored change, or says in one phrase what is wrong with it. */
export function readChange(change: Omit<StoredChange, 'seq' | 'effectiveAtMs'>): Read<ModelChange> {
  const { kind, subject, value } = change
  switch (kind) {
    case 'price':
      return subject === UNKNOWN_MODELS ? readUnknown(value) : readPrice(subject, value)
    case 'markup':
      if (!isModelPattern(subject)) return bad(`"${subject}" is not a model or glob`)
      return value === null || isMarkup(value)
        ? ok({ kind: 'markup', models: subject, markup: value })
        : bad('a mark-up is two whole numbers, from 0.01 to 10 together')
    case 'alias':
      if (!isPlainName(subject)) return bad(`"${subject}" cannot be a model's name`)
      return value === null || (typeof value === 'string' && isPlainName(value))
        ? ok({ kind: 'alias', alias: subject, model: value })
        : bad('an alias stands for the id of a model')
    case 'served':
      if (!isModelPattern(subject)) return bad(`"${subject}" is not a model or glob`)
      return value === null || typeof value === 'boolean'
        ? ok({ kind: 'served', models: subject, isServed: value })
        : bad('served is true, false or null')
  }
}

/** The value of a `price` change: the row without its id; `since` is the change's own time. */
export function priceValue({ id: _id, since: _since, ...value }: ModelPrice): unknown {
  return value
}

/** What the config says about models; the file has no history. */
export interface ModelLists {
  /** Ids or globs that may be called; `['*']` allows all. */
  readonly allow: readonly string[]
  readonly deny: readonly string[]
  /** Our own names, besides those in the changes: alias -> id. */
  readonly aliases: Readonly<Record<string, string>>
}

/** Everything may be called, and nothing has another name. */
export const NO_LISTS: ModelLists = { allow: ['*'], deny: [], aliases: {} }

/**
 * The prices in force: the built-in ones and everything people changed, with the history of both, so that
 * any request is priced as of its admission. A changed price holds until it is changed again or taken back;
 * built-in rows that would begin in between do not count.
 */
export function priceTableWith(
  builtIn: PriceTable,
  changes: readonly StoredChange[],
  lists: ModelLists = NO_LISTS,
): PriceTable {
  const { policy, prices } = policyOf(changes, lists)
  const { version, webSearchMicro } = builtIn
  if (prices.size === 0) return { ...builtIn, policy }
  const rows: PriceRow[] = []
  const done = new Set<string>()
  for (const row of builtIn.rows) {
    const steps = prices.get(row.id)
    if (steps === undefined) rows.push(row)
    else if (!done.has(row.id)) rows.push(...rowsOf(builtIn, row.id, steps))
    done.add(row.id)
  }
  for (const [id, steps] of prices) {
    if (!done.has(id)) rows.push(...rowsOf(builtIn, id, steps))
  }
  return tableOf({ version, webSearchMicro, rows, policy })
}

/** The mark-up of a request: its key's, else its model's, else the server's. */
export function markupFor(
  table: PriceTable,
  row: PriceRow,
  facts: {
    readonly keyMarkup: Fraction | null
    readonly serverMarkup: Fraction
    readonly atMs: number
  },
): Fraction {
  return (
    facts.keyMarkup ?? settingFor(table.policy.markups, row.id, facts.atMs) ?? facts.serverMarkup
  )
}

/** The mark-up of a model for keys without one of their own. */
export function modelMarkup(
  table: PriceTable,
  row: PriceRow,
  atMs: number,
  serverMarkup: Fraction = NO_MARKUP,
): Fraction {
  return markupFor(table, row, { keyMarkup: null, serverMarkup, atMs })
}

/** What of the changes is policy, by kind and subject, newest first; and the prices, oldest first. */
function policyOf(
  changes: readonly StoredChange[],
  lists: ModelLists,
): { readonly policy: ModelPolicy; readonly prices: ReadonlyMap<string, readonly PriceStep[]> } {
  const markups = new Map<string, Setting<Fraction>[]>()
  const served = new Map<string, Setting<boolean>[]>()
  const aliases = new Map<string, Setting<string>[]>()
  const unknownAs: Setting<string>[] = []
  const prices = new Map<string, PriceStep[]>()
  const sequence: { sinceMs: number; seq: number }[] = []
  // The config's aliases hold whenever nothing newer was said; the file has no history.
  for (const [alias, model] of Object.entries(lists.aliases)) {
    aliases.set(alias, [{ value: model, sinceMs: 0, seq: 0 }])
  }
  const inOrder = [...changes].sort((a, b) => a.effectiveAtMs - b.effectiveAtMs || a.seq - b.seq)
  for (const stored of inOrder) {
    const { seq, effectiveAtMs: sinceMs } = stored
    const read = readChange(stored)
    invariant(read.kind === 'ok', 'every stored price change can be read')
    const change = read.value
    const highest = Math.max(seq, sequence.at(-1)?.seq ?? 0)
    sequence.push({ sinceMs, seq: highest })
    switch (change.kind) {
      case 'price':
        push(prices, change.model, { price: change.price, sinceMs })
        break
      case 'unknown_models':
        unknownAs.unshift({ value: change.priceAs, sinceMs, seq })
        break
      case 'markup':
        unshift(markups, change.models, { value: change.markup, sinceMs, seq })
        break
      case 'alias':
        unshift(aliases, change.alias, { value: change.model, sinceMs, seq })
        break
      case 'served':
        unshift(served, change.models, { value: change.isServed, sinceMs, seq })
        break
    }
  }
  const { allow, deny } = lists
  return { policy: { allow, deny, markups, served, aliases, unknownAs, sequence }, prices }
}

/** From then on this price holds; null: the built-in one again. */
interface PriceStep {
  readonly price: ModelPrice | null
  readonly sinceMs: number
}

/** One model's rows in order of time: built-in, then changed, then built-in again where that was taken back. */
function rowsOf(builtIn: PriceTable, id: string, allSteps: readonly PriceStep[]): PriceRow[] {
  const own = builtIn.rows.filter((row) => row.id === id)
  // Of changes that begin together the last one counts.
  const steps = allSteps.filter((step, i) => step.sinceMs !== allSteps[i + 1]?.sinceMs)
  const rows = own.filter((row) => row.effectiveAtMs < (steps[0]?.sinceMs ?? 0))
  for (const [i, { price, sinceMs }] of steps.entries()) {
    const untilMs = steps[i + 1]?.sinceMs ?? Number.POSITIVE_INFINITY
    if (price !== null) {
      rows.push(priceRow(price, sinceMs))
      continue
    }
    const again = findPrice(builtIn, id, sinceMs)
    const last = rows.at(-1)
    // A model that was never built in is not served any more; its last price stays for receipts.
    if (again !== null) rows.push({ ...again, effectiveAtMs: sinceMs })
    else if (last !== undefined) rows.push({ ...last, effectiveAtMs: sinceMs, status: 'retired' })
    rows.push(...own.filter((row) => row.effectiveAtMs > sinceMs && row.effectiveAtMs < untilMs))
  }
  return rows
}

function readUnknown(value: unknown): Read<ModelChange> {
  if (value === null) return ok({ kind: 'unknown_models', priceAs: null })
  const priceAs = isRecord(value) ? value.priceAs : null
  return typeof priceAs === 'string' && isPlainName(priceAs)
    ? ok({ kind: 'unknown_models', priceAs })
    : bad('unknown models are priced as a model: {"priceAs": id}')
}

function readPrice(id: string, value: unknown): Read<ModelChange> {
  if (!isPlainName(id)) return bad(`"${id}" cannot be a model's id`)
  if (value === null) return ok({ kind: 'price', model: id, price: null })
  if (!isRecord(value)) return bad('a price is a group of values')
  const problem = priceProblem(value)
  if (problem !== null) return bad(problem)
  // Checked member by member just above; the id is the subject.
  return ok({ kind: 'price', model: id, price: { ...(value as object), id } as ModelPrice })
}

function push<T>(lists: Map<string, T[]>, name: string, entry: T): void {
  const list = lists.get(name)
  if (list === undefined) lists.set(name, [entry])
  else list.push(entry)
}

function unshift<T>(lists: Map<string, T[]>, name: string, entry: T): void {
  const list = lists.get(name)
  if (list === undefined) lists.set(name, [entry])
  else list.unshift(entry)
}

function ok(value: ModelChange): Read<ModelChange> {
  return { kind: 'ok', value }
}

function bad(problem: string): Read<ModelChange> {
  return { kind: 'bad', problem }
}
