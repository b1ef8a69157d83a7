import { isSameJson } from '../../billing/config-changes.ts'
import { priceTableWith } from '../../billing/price-changes.ts'
import { RATE_NAMES } from '../../billing/price-entry.ts'
import {
  aliasesOf,
  aliasTarget,
  findPrice,
  isServed,
  listModels,
  type PriceRow,
} from '../../billing/price-table.ts'
import { RATE_CLASSES } from '../../billing/price-value.ts'
import { BUILT_IN_PRICES } from '../../billing/prices.ts'
import { markupText } from '../../core/markup.ts'
import type { Fraction } from '../../core/model.ts'
import { matchesModel } from '../../core/model-glob.ts'
import { formatUsdFull } from '../../core/money.ts'
import type { Context } from '../context.ts'
import { isoTime } from '../format.ts'
import type { Invocation } from '../invocation.ts'
import { expectModel, type ModelFacts, markupOf, modelFacts } from '../model-table.ts'
import { markedUp, modelJson, RATE_WORDS, ratesChange } from '../model-text.ts'
import {
  changesOf,
  findTarget,
  hasRates,
  inThePast,
  isInForce,
  readFrom,
  readWish,
  type Target,
  type Wanted,
  type Wish,
} from '../model-wish.ts'
import { listJson } from '../records.ts'

export async function setModel(context: Context, call: Invocation): Promise<void> {
  const wish = readWish(call)
  const facts = await modelFacts(context, 'write')
  const fromMs = readFrom(context, call)
  const target = findTarget(facts, call.arg(0), wish)
  const changed = changesOf(facts, target, wish).filter(
    (change) => !isInForce(facts.changes, change, fromMs ?? facts.nowMs),
  )
  await confirmSet(context, facts, target, changed)
  if (changed.length === 0) return printSame(context, facts, target)
  const by = context.by()
  const effectiveAtMs = fromMs ?? by.nowMs
  const store = await context.store()
  const result = await store.addPriceChanges(
    changed.map((change) => ({ ...change, effectiveAtMs, source: 'set' })),
    by,
  )
  if (result.kind === 'in_the_past') throw inThePast()
  const all = [...facts.changes, ...result.changes]
  const { lists } = (await context.config()).config.models
  const after: ModelFacts = {
    ...facts,
    changes: all,
    table: priceTableWith(BUILT_IN_PRICES, all, lists),
    nowMs: effectiveAtMs,
  }
  printSet(context, { facts, after, target, wish, fromMs })
}

async function confirmSet(
  context: Context,
  facts: ModelFacts,
  target: Target,
  changed: readonly Wanted[],
): Promise<void> {
  for (const { kind, subject, value } of changed) {
    if (kind === 'served' && value === false) {
      const count = matching(facts, target).length
      const what = target.kind === 'glob' ? `${count} models (${target.glob})` : target.id
      await context.ask.confirm(`Stop serving ${what}?`)
    }
    if (kind === 'price') await context.ask.confirm(`Change what ${subject} costs?`)
    const owner = kind === 'alias' ? aliasTarget(facts.table, subject, facts.nowMs) : null
    if (owner !== null && value !== null && owner !== value) {
      await context.ask.confirm(`"${subject}" stands for ${owner}. Let it stand for ${value}?`)
    }
  }
}

function matching(facts: ModelFacts, target: Target): readonly PriceRow[] {
  const rows = listModels(facts.table, facts.nowMs)
  return rows.filter(({ id }) =>
    target.kind === 'glob' ? matchesModel([target.glob], id) : id === target.id,
  )
}

/** What there is to say of a change that was made. */
interface Said {
  readonly facts: ModelFacts
  readonly after: ModelFacts
  readonly target: Target
  readonly wish: Wish
  readonly fromMs: number | null
}

function printSame(context: Context, facts: ModelFacts, target: Target): void {
  const { print } = context
  if (print.json) print.document(setJson(facts, target, { changed: false, in_force: 'now' }))
  else if (print.quiet) print.out(nameOf(target))
  else print.out(`${nameOf(target)} is so already; nothing changed.`)
}

function setJson(facts: ModelFacts, target: Target, fields: object): object {
  const rows = matching(facts, target)
  return target.kind === 'glob'
    ? { ...listJson(rows.map((row) => modelJson(facts, row))), ...fields }
    : { ...modelJson(facts, expectModel(facts, target.id)), ...fields }
}

function nameOf(target: Target): string {
  return target.kind === 'glob' ? target.glob : target.id
}

function printSet(context: Context, said: Said): void {
  const { print } = context
  const { facts, after, target, fromMs } = said
  if (print.quiet) print.out(nameOf(target))
  else if (!print.json) printChange(context, said)
  else {
    const row = target.kind === 'model' ? target.row : null
    const document = setJson(after, target, {
      changed: true,
      in_force: fromMs === null ? 'now' : isoTime(fromMs),
      previous: row === null ? null : modelJson(facts, row),
    })
    print.document(document)
  }
}

function printChange(context: Context, { facts, after, target, wish, fromMs }: Said): void {
  const { print } = context
  for (const row of matching(after, target)) print.out(changeLine(facts, after, row))
  const when =
    fromMs === null
      ? 'Applies to requests from now on'
      : `Applies to requests from ${context.calendar().stamp(fromMs, context.nowMs)} on`
  const undo = undoOf(facts, target, wish)
  print.out(`${when}; past costs do not change.${undo === '' ? '' : ` Undo: ${undo}`}`)
  if (target.kind === 'model') noteOtherTiers(context, after, target.id, wish)
}

function changeLine(facts: ModelFacts, after: ModelFacts, row: PriceRow): string {
  const old = findPrice(facts.table, row.id, facts.nowMs)
  const now = markedUp(row.rates, markupOf(after, row))
  const change =
    old === null
      ? RATE_CLASSES.map((name) => `${RATE_WORDS[name]} ${formatUsdFull(now[name])}`).join(' · ')
      : ratesChange(markedUp(old.rates, markupOf(facts, old)), now)
  const parts = [
    ...(change === '' ? [] : [`${change} (per million tokens)`]),
    ...servedChange(facts, after, row),
    ...aliasChange(facts, after, row),
  ]
  return `${row.id}   ${parts.length === 0 ? 'prices as before' : parts.join(' · ')}`
}

function servedChange(facts: ModelFacts, after: ModelFacts, row: PriceRow): string[] {
  const was = isServed(facts.table, row, facts.nowMs)
  const is = isServed(after.table, row, after.nowMs)
  if (was === is) return []
  return [is ? 'served' : 'not served any more']
}

function aliasChange(facts: ModelFacts, after: ModelFacts, row: PriceRow): string[] {
  const was = aliasesOf(facts.table, row, facts.nowMs)
  const is = aliasesOf(after.table, row, after.nowMs)
  if (isSameJson(was, is)) return []
  return [`own names ${is.length === 0 ? 'none' : is.join(', ')}`]
}

/** The command that brings back what was in force; '' where none does. */
function undoOf(facts: ModelFacts, target: Target, wish: Wish): string {
  const words: string[] = []
  const row = target.kind === 'model' ? target.row : null
  for (const tokenClass of RATE_CLASSES) {
    if (wish.rates[tokenClass] === undefined || row === null) continue
    const option = RATE_NAMES[tokenClass].replaceAll('_', '-')
    words.push(
      `--${option} ${formatUsdFull(row.rates[tokenClass]).replace('$', '').replaceAll(',', '')}`,
    )
  }
  if (wish.markup !== undefined) {
    const last = facts.changes.findLast(
      ({ kind, subject }) => kind === 'markup' && subject === nameOf(target),
    )
    words.push(`--markup ${last?.value ? markupText(last.value as Fraction) : 'default'}`)
  }
  if (wish.isServed !== undefined) words.push(wish.isServed ? '--disable' : '--enable')
  const name = nameOf(target)
  const quoted = name.includes('*') ? `"${name}"` : name
  return words.length === 0 ? '' : `ccgate models set ${quoted} ${words.join(' ')}`
}

/** Fast and long-prompt prices are rows of their own: who changes the plain ones should know. */
function noteOtherTiers(context: Context, after: ModelFacts, id: string, wish: Wish): void {
  const row = findPrice(after.table, id, after.nowMs)
  if (row === null || !hasRates(wish)) return
  const others = [
    ...(row.fastRates === null
      ? []
      : [
          `fast stays ${formatUsdFull(row.fastRates.input)} / ${formatUsdFull(row.fastRates.output)}`,
        ]),
    ...(row.longPrompt === null
      ? []
      : [
          `long prompts stay ${formatUsdFull(row.longPrompt.rates.input)} / ${formatUsdFull(row.longPrompt.rates.output)}`,
        ]),
  ]
  if (others.length > 0) {
    context.print.note(
      `Its ${others.join(', its ')}; a price file changes those: ccgate models sync`,
    )
  }
}
