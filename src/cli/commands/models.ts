import { aliasesOf, listModels as listPrices, type PriceRow } from '../../billing/price-table.ts'
import { isMarkedUp, markupText } from '../../core/markup.ts'
import { formatUsdFull, type Micro } from '../../core/money.ts'
import type { Rates } from '../../core/usage.ts'
import type { Context } from '../context.ts'
import { formatCount } from '../format.ts'
import type { Invocation } from '../invocation.ts'
import { comingChanges } from '../model-change-text.ts'
import { expectModel, type ModelFacts, markupOf, modelFacts } from '../model-table.ts'
import { markedUp, modelJson, ratesText, sourceText, statusWord } from '../model-text.ts'
import type { Column } from '../print.ts'
import { listJson } from '../records.ts'

export async function listModels(context: Context, call: Invocation): Promise<void> {
  const { print } = context
  const facts = await modelFacts(context)
  const rows = listPrices(facts.table, facts.nowMs, { includeRetired: true }).filter(
    (row) => call.flag('all') || statusWord(facts, row) !== 'retired',
  )
  const isEffective = call.flag('effective')
  if (print.json) {
    return print.document(listJson(rows.map((row) => modelJson(facts, row, isEffective))))
  }
  if (print.quiet) return print.outAll(rows.map((row) => row.id))
  const withPrices = call.flag('prices') || isEffective
  print.table(withPrices ? priceColumns(facts, rows, isEffective) : sizeColumns(facts, rows), rows)
  notePending(context, facts)
}

function nameColumns(facts: ModelFacts): readonly Column<PriceRow>[] {
  return [
    { header: 'MODEL', cell: (row) => row.id },
    {
      header: 'STATUS',
      cell: (row) => statusWord(facts, row),
      role: (row) => (statusWord(facts, row) === 'served' ? 'ok' : 'warn'),
    },
  ]
}

function priceColumns(
  facts: ModelFacts,
  rows: readonly PriceRow[],
  isEffective: boolean,
): readonly Column<PriceRow>[] {
  const rates = (row: PriceRow) =>
    isEffective ? markedUp(row.rates, markupOf(facts, row)) : row.rates
  const price = (header: string, rate: (rates: Rates) => Micro): Column<PriceRow> => ({
    header,
    cell: (row) => formatUsdFull(rate(rates(row))),
    align: 'right',
  })
  const hasMarkup = rows.some((row) => isMarkedUp(markupOf(facts, row)))
  const source = (row: PriceRow) => sourceText(facts, row) + markupSuffix(facts, row)
  return [
    ...nameColumns(facts),
    price('IN/MTOK', ({ input }) => input),
    price('OUT/MTOK', ({ output }) => output),
    { ...price('READ', ({ cacheRead }) => cacheRead), dropOrder: 1 },
    { ...price('WRITE 5M', ({ cacheWrite5m }) => cacheWrite5m), dropOrder: 2 },
    { ...price('WRITE 1H', ({ cacheWrite1h }) => cacheWrite1h), dropOrder: 3 },
    ...(hasMarkup && !isEffective
      ? [{ header: 'MARK-UP', cell: (row: PriceRow) => markupCell(facts, row), dropOrder: 4 }]
      : []),
    {
      header: 'SOURCE',
      cell: (row) => (isEffective ? source(row) : sourceText(facts, row)),
      dropOrder: 5,
    },
  ]
}

function markupCell(facts: ModelFacts, row: PriceRow): string {
  const markup = markupOf(facts, row)
  return isMarkedUp(markup) ? `× ${markupText(markup)}` : '–'
}

function markupSuffix(facts: ModelFacts, row: PriceRow): string {
  const cell = markupCell(facts, row)
  return cell === '–' ? '' : ` ${cell}`
}

function sizeColumns(facts: ModelFacts, rows: readonly PriceRow[]): readonly Column<PriceRow>[] {
  const namesOf = (row: PriceRow) =>
    [...aliasesOf(facts.table, row, facts.nowMs), ...row.aliases].join(', ')
  return [
    ...nameColumns(facts),
    { header: 'NAME', cell: (row) => row.displayName, dropOrder: 3 },
    ...(rows.some((row) => namesOf(row) !== '')
      ? [
          {
            header: 'ALSO',
            cell: (row: PriceRow) => namesOf(row) || '–',
            dropOrder: 5,
            mayCut: true,
          },
        ]
      : []),
    {
      header: 'WINDOW',
      cell: (row) => formatCount(row.contextWindow),
      align: 'right',
      dropOrder: 1,
    },
    {
      header: 'MAX OUTPUT',
      cell: (row) => formatCount(row.maxOutput),
      align: 'right',
      dropOrder: 2,
    },
    { header: 'RELEASED', cell: (row) => row.releasedOn ?? '–', dropOrder: 4 },
  ]
}

export async function showModel(context: Context, call: Invocation): Promise<void> {
  const { print } = context
  const facts = await modelFacts(context)
  const row = expectModel(facts, call.arg(0))
  if (print.json) return print.document(modelJson(facts, row))
  if (print.quiet) return print.out(row.id)
  print.out(`${row.id}   ${row.displayName}   ${statusWord(facts, row)}`)
  const own = aliasesOf(facts.table, row, facts.nowMs)
  if (row.aliases.length > 0) print.out(`Aliases   ${row.aliases.join(', ')}`)
  if (own.length > 0) print.out(`Own names ${own.join(', ')}`)
  print.out(
    `Sizes     window ${formatCount(row.contextWindow)} tokens · output at most ${formatCount(row.maxOutput)}`,
  )
  print.out(`Prices    ${ratesText(row.rates)}   (${sourceText(facts, row)}, per million tokens)`)
  if (row.fastRates !== null) print.out(`Fast      ${ratesText(row.fastRates)}`)
  if (row.longPrompt !== null) {
    print.out(
      `Long      above ${formatCount(row.longPrompt.aboveTokens)} tokens of prompt: ${ratesText(row.longPrompt.rates)}`,
    )
  }
  const markup = markupOf(facts, row)
  if (isMarkedUp(markup)) {
    print.out(`Mark-up   × ${markupText(markup)}: ${ratesText(markedUp(row.rates, markup))}`)
  }
  const dates = [
    ...(row.releasedOn === null ? [] : [`released ${row.releasedOn}`]),
    ...(row.retiresOn === null ? [] : [`retires ${row.retiresOn}`]),
  ]
  if (dates.length > 0) print.out(`Dates     ${dates.join(' · ')}`)
  const calendar = context.calendar()
  for (const { atMs, text } of comingChanges(facts, row.id)) {
    print.out(`From ${calendar.stamp(atMs, facts.nowMs)} (${calendar.zone}): ${text}`)
  }
  notePending(context, facts)
}

function notePending(context: Context, facts: ModelFacts): void {
  if (!facts.isConfigPending) return
  context.print.note(
    'The config says something else about prices: in force when ccgate serve starts again.',
  )
}
