import { isSameJson } from '../billing/config-changes.ts'
import { RATE_NAMES } from '../billing/price-entry.ts'
import {
  aliasesOf,
  aliasTarget,
  findPrice,
  isServed,
  type PriceRow,
} from '../billing/price-table.ts'
import { RATE_CLASSES } from '../billing/price-value.ts'
import { markupText } from '../core/markup.ts'
import type { Fraction } from '../core/model.ts'
import { formatUsdFull } from '../core/money.ts'
import { isoTime } from './format.ts'
import { type ModelFacts, markupOf } from './model-table.ts'
import { markedUp, RATE_WORDS, ratesChange, statusWord } from './model-text.ts'
import { isEnabledByName, nameOf, type Target, type Wish } from './model-wish.ts'

/** `claude-opus-5-5   input $4.00 → $4.80 (per million tokens)`: what a change does to one model. */
export function changeLine(
  before: ModelFacts,
  after: ModelFacts,
  row: PriceRow,
  wish: Wish,
): string {
  const old = findPrice(before.table, row.id, before.nowMs)
  const now = markedUp(row.rates, markupOf(after, row))
  const change =
    old === null
      ? RATE_CLASSES.map((name) => `${RATE_WORDS[name]} ${formatUsdFull(now[name])}`).join(' · ')
      : ratesChange(markedUp(old.rates, markupOf(before, old)), now)
  const parts = [
    ...(change === '' ? [] : [`${change} (per million tokens)`]),
    ...servedChange(before, after, row, wish),
    ...aliasChange(before, after, row),
  ]
  return `${row.id}   ${parts.length === 0 ? 'as before' : parts.join(' · ')}`
}

function servedChange(
  before: ModelFacts,
  after: ModelFacts,
  row: PriceRow,
  wish: Wish,
): readonly string[] {
  const was = isServed(before.table, row, before.nowMs)
  const is = isServed(after.table, row, after.nowMs)
  if (was !== is) return [is ? 'served' : 'not served any more']
  return is && wish.isServed === false && isEnabledByName(after, row)
    ? ['still served: enabled by its own name']
    : []
}

function aliasChange(before: ModelFacts, after: ModelFacts, row: PriceRow): readonly string[] {
  const was = aliasesOf(before.table, row, before.nowMs)
  const is = aliasesOf(after.table, row, after.nowMs)
  if (isSameJson(was, is)) return []
  return [`own names ${is.length === 0 ? 'none' : is.join(', ')}`]
}

/** What will change of a model, and when; list prices, and only what people can see. */
export function comingChanges(
  facts: ModelFacts,
  id: string,
): readonly { readonly atMs: number; readonly text: string }[] {
  const times = new Set(
    [...facts.changes, ...facts.table.rows.filter((row) => row.id === id)]
      .map(({ effectiveAtMs }) => effectiveAtMs)
      .filter((atMs) => atMs > facts.nowMs),
  )
  let before = facts
  return [...times]
    .sort((a, b) => a - b)
    .flatMap((atMs) => {
      const after = { ...facts, nowMs: atMs }
      const text = comingText(before, after, id)
      before = after
      return text === '' ? [] : [{ atMs, text }]
    })
}

function comingText(before: ModelFacts, after: ModelFacts, id: string): string {
  const old = findPrice(before.table, id, before.nowMs)
  const row = findPrice(after.table, id, after.nowMs)
  if (old === null || row === null) return ''
  const [was, is] = [markupText(markupOf(before, old)), markupText(markupOf(after, row))]
  const status = statusWord(after, row)
  const parts = [
    ratesChange(old.rates, row.rates),
    was === is ? '' : `mark-up ${was} → ${is}`,
    status === statusWord(before, old) ? '' : status,
    ...aliasChange(before, after, row),
  ].filter((text) => text !== '')
  const sizes = ({ fastRates, longPrompt, contextWindow, maxOutput }: PriceRow) => {
    return { fastRates, longPrompt, contextWindow, maxOutput }
  }
  if (parts.length === 0 && !isSameJson(sizes(old), sizes(row))) return 'sizes or other prices'
  return parts.join(' · ')
}

/** The command that brings back what was in force, from the same time on; '' where none does. */
export function undoOf(
  facts: ModelFacts,
  target: Target,
  wish: Wish,
  fromMs: number | null,
): string {
  const from = fromMs === null ? '' : ` --from ${isoTime(fromMs).replace('.000Z', 'Z')}`
  const name = nameOf(target)
  const words = [...undoWords(facts, target, wish)]
  const more: string[] = []
  const own =
    target.kind === 'model' && target.row !== null
      ? aliasesOf(facts.table, target.row, facts.nowMs)
      : []
  if (wish.aliases === null) words.push(`--alias ${own.join(',')}`)
  const added = (wish.aliases ?? []).filter((alias) => !own.includes(alias))
  for (const alias of added) {
    const owner = aliasTarget(facts.table, alias, facts.nowMs)
    if (owner !== null) more.push(`${owner} --alias ${alias}`)
    else if (!words.includes('--alias none')) words.push('--alias none')
  }
  // Only all names can be taken away at once.
  if (words.includes('--alias none') && own.length > 0)
    more.push(`${name} --alias ${own.join(',')}`)
  const quoted = name.includes('*') ? `"${name}"` : name
  const first = words.length === 0 ? [] : [`${quoted} ${words.join(' ')}`]
  return [...first, ...more].map((rest) => `ccgate models set ${rest}${from}`).join(' && ')
}

function* undoWords(facts: ModelFacts, target: Target, wish: Wish): Iterable<string> {
  const row = target.kind === 'model' ? target.row : null
  for (const tokenClass of RATE_CLASSES) {
    if (wish.rates[tokenClass] === undefined || row === null) continue
    const option = RATE_NAMES[tokenClass].replaceAll('_', '-')
    const price = formatUsdFull(row.rates[tokenClass]).replace(/[$,]/g, '')
    yield `--${option} ${price}`
  }
  if (wish.markup !== undefined) {
    const subject = nameOf(target)
    const last = facts.changes
      .filter((change) => change.kind === 'markup' && change.subject === subject)
      .filter(({ effectiveAtMs }) => effectiveAtMs <= facts.nowMs)
      .sort((a, b) => a.effectiveAtMs - b.effectiveAtMs || a.seq - b.seq)
      .at(-1)
    yield `--markup ${last?.value ? markupText(last.value as Fraction) : 'default'}`
  }
  if (wish.isServed !== undefined) yield wish.isServed ? '--disable' : '--enable'
}
