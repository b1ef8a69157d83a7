import { RATE_NAMES } from '../billing/price-entry.ts'
import { aliasesOf, isServed, type PriceRow } from '../billing/price-table.ts'
import { RATE_CLASSES } from '../billing/price-value.ts'
import { BUILT_IN_PRICES } from '../billing/prices.ts'
import { isMarkedUp, markupText } from '../core/markup.ts'
import type { Fraction } from '../core/model.ts'
import { formatUsdFull, type Micro } from '../core/money.ts'
import type { Rates } from '../core/usage.ts'
import type { ModelFacts } from './model-table.ts'
import { markupOf } from './model-table.ts'

/** Rates times a mark-up; a part of a micro-dollar per million tokens is shown as a whole one. */
export function markedUp(rates: Rates, [numerator, denominator]: Fraction): Rates {
  const times = (rate: Micro) =>
    Number((BigInt(rate) * BigInt(numerator) + BigInt(denominator) - 1n) / BigInt(denominator))
  return {
    input: times(rates.input),
    output: times(rates.output),
    cacheRead: times(rates.cacheRead),
    cacheWrite5m: times(rates.cacheWrite5m),
    cacheWrite1h: times(rates.cacheWrite1h),
  }
}

/** What people read for each class. */
export const RATE_WORDS: Readonly<Record<keyof Rates, string>> = {
  input: 'input',
  output: 'output',
  cacheRead: 'cache read',
  cacheWrite5m: 'write 5m',
  cacheWrite1h: '1h',
}

/** `input $3.00 · output $15.00 · …` */
export function ratesText(rates: Rates): string {
  return RATE_CLASSES.map((name) => `${RATE_WORDS[name]} ${formatUsdFull(rates[name])}`).join(' · ')
}

/** `input $4.00 → $4.80 · …`, only what differs; '' when nothing does. */
export function ratesChange(before: Rates, after: Rates): string {
  return RATE_CLASSES.filter((name) => before[name] !== after[name])
    .map(
      (name) =>
        `${RATE_WORDS[name]} ${formatUsdFull(before[name])} → ${formatUsdFull(after[name])}`,
    )
    .join(' · ')
}

/** `served`, `deprecated`, `disabled` (by a person or the config) or `retired` (by upstream). */
export function statusWord({ table, nowMs }: ModelFacts, row: PriceRow): string {
  if (!isServed(table, row, nowMs)) return row.status === 'retired' ? 'retired' : 'disabled'
  return row.status === 'deprecated' ? 'deprecated' : 'served'
}

/** Where the prices of a model come from: `built-in 2026-11-22`, `set`, `sync` or `config`. */
export function sourceText({ changes, nowMs }: ModelFacts, row: PriceRow): string {
  const inForce = changes
    .filter(({ kind, subject, effectiveAtMs }) => {
      return kind === 'price' && subject === row.id && effectiveAtMs <= nowMs
    })
    .reduce<(typeof changes)[number] | null>(
      (last, change) =>
        last === null ||
        change.effectiveAtMs > last.effectiveAtMs ||
        (change.effectiveAtMs === last.effectiveAtMs && change.seq > last.seq)
          ? change
          : last,
      null,
    )
  return inForce === null || inForce.value === null
    ? `built-in ${BUILT_IN_PRICES.version}`
    : inForce.source
}

/** A model as `--json` shows it; without `isEffective` a list of these is a price file. */
export function modelJson(facts: ModelFacts, row: PriceRow, isEffective = false) {
  const markup = markupOf(facts, row)
  const shown = (rates: Rates) => ratesJson(isEffective ? markedUp(rates, markup) : rates)
  return {
    object: 'model',
    id: row.id,
    display_name: row.displayName,
    aliases: row.aliases,
    own_aliases: aliasesOf(facts.table, row, facts.nowMs),
    status: statusWord(facts, row),
    prices_micro_per_mtok: shown(row.rates),
    fast_prices_micro_per_mtok: row.fastRates === null ? null : shown(row.fastRates),
    long_prompt:
      row.longPrompt === null
        ? null
        : {
            above_tokens: row.longPrompt.aboveTokens,
            prices_micro_per_mtok: shown(row.longPrompt.rates),
          },
    inference_geo: row.inferenceGeo,
    markup: isMarkedUp(markup) ? markupText(markup) : null,
    ...(isEffective ? { markup_included: true } : {}),
    source: sourceText(facts, row),
    context_window: row.contextWindow,
    max_output: row.maxOutput,
    model_class: row.modelClass,
    image_tokens: row.imageTokenCap,
    minimum_cache_tokens: row.minimumCacheTokens,
    released_on: row.releasedOn,
    retires_on: row.retiresOn,
  }
}

function ratesJson(rates: Rates) {
  return Object.fromEntries(RATE_CLASSES.map((name) => [RATE_NAMES[name], rates[name]]))
}
