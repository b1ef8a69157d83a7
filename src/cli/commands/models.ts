import {
  findPrice,
  listModels as listPrices,
  nearestModels,
  type PriceRow,
} from '../../billing/price-table.ts'
import { BUILT_IN_PRICES } from '../../billing/prices.ts'
import { formatUsdFull, type Micro } from '../../core/money.ts'
import type { Rates } from '../../core/usage.ts'
import type { Context } from '../context.ts'
import { CliError, EXIT } from '../errors.ts'
import { formatCount } from '../format.ts'
import type { Invocation } from '../invocation.ts'
import type { Column } from '../print.ts'
import { listJson } from '../records.ts'

const SOURCE = `built-in ${BUILT_IN_PRICES.version}`

export async function listModels(context: Context, call: Invocation): Promise<void> {
  const { print } = context
  const models = listPrices(BUILT_IN_PRICES, context.nowMs, { includeRetired: call.flag('all') })
  if (print.json) return print.document(listJson(models.map(modelJson)))
  if (print.quiet) return print.outAll(models.map((model) => model.id))
  print.table(call.flag('prices') ? PRICE_COLUMNS : SIZE_COLUMNS, models)
}

const NAME_COLUMNS: readonly Column<PriceRow>[] = [
  { header: 'MODEL', cell: (model) => model.id },
  {
    header: 'STATUS',
    cell: (model) => statusWord(model),
    role: (model) => (model.status === 'active' ? 'ok' : 'warn'),
  },
]
const price = (header: string, rate: (rates: Rates) => Micro): Column<PriceRow> => ({
  header,
  cell: (model) => dollars(rate(model.rates)),
  align: 'right',
})
const PRICE_COLUMNS: readonly Column<PriceRow>[] = [
  ...NAME_COLUMNS,
  price('IN/MTOK', (rates) => rates.input),
  price('OUT/MTOK', (rates) => rates.output),
  { ...price('READ', (rates) => rates.cacheRead), dropOrder: 1 },
  { ...price('WRITE 5M', (rates) => rates.cacheWrite5m), dropOrder: 2 },
  { ...price('WRITE 1H', (rates) => rates.cacheWrite1h), dropOrder: 3 },
  { header: 'SOURCE', cell: () => SOURCE, dropOrder: 4 },
]
const SIZE_COLUMNS: readonly Column<PriceRow>[] = [
  ...NAME_COLUMNS,
  { header: 'NAME', cell: (model) => model.displayName, dropOrder: 3 },
  {
    header: 'WINDOW',
    cell: (model) => formatCount(model.contextWindow),
    align: 'right',
    dropOrder: 1,
  },
  {
    header: 'MAX OUTPUT',
    cell: (model) => formatCount(model.maxOutput),
    align: 'right',
    dropOrder: 2,
  },
  { header: 'RELEASED', cell: (model) => model.releasedOn ?? '–', dropOrder: 4 },
]

export async function showModel(context: Context, call: Invocation): Promise<void> {
  const { print } = context
  const model = findPrice(BUILT_IN_PRICES, call.arg(0), context.nowMs)
  if (model === null) {
    throw new CliError({
      code: 'model_not_found',
      message: `There is no model named "${call.arg(0)}".`,
      hint: `Nearest: ${nearestModels(BUILT_IN_PRICES, call.arg(0), 3).join(', ')}. List them with: ccgate models list`,
      exitCode: EXIT.notFound,
    })
  }
  if (print.json) return print.document(modelJson(model))
  if (print.quiet) return print.out(model.id)
  print.out(`${model.id}   ${model.displayName}   ${statusWord(model)}`)
  if (model.aliases.length > 0) print.out(`Aliases   ${model.aliases.join(', ')}`)
  print.out(
    `Sizes     window ${formatCount(model.contextWindow)} tokens · output at most ${formatCount(model.maxOutput)}`,
  )
  print.out(`Prices    ${ratesText(model.rates)}   (${SOURCE}, per million tokens)`)
  if (model.fastRates !== null) print.out(`Fast      ${ratesText(model.fastRates)}`)
  if (model.longPrompt !== null) {
    print.out(
      `Long      above ${formatCount(model.longPrompt.aboveTokens)} tokens of prompt: ${ratesText(model.longPrompt.rates)}`,
    )
  }
  const dates = [
    ...(model.releasedOn === null ? [] : [`released ${model.releasedOn}`]),
    ...(model.retiresOn === null ? [] : [`retires ${model.retiresOn}`]),
  ]
  if (dates.length > 0) print.out(`Dates     ${dates.join(' · ')}`)
}

function modelJson(model: PriceRow) {
  return {
    object: 'model',
    id: model.id,
    display_name: model.displayName,
    aliases: model.aliases,
    status: statusWord(model),
    prices_micro_per_mtok: ratesJson(model.rates),
    fast_prices_micro_per_mtok: model.fastRates === null ? null : ratesJson(model.fastRates),
    long_prompt:
      model.longPrompt === null
        ? null
        : {
            above_tokens: model.longPrompt.aboveTokens,
            prices_micro_per_mtok: ratesJson(model.longPrompt.rates),
          },
    markup: null,
    source: SOURCE,
    context_window: model.contextWindow,
    max_output: model.maxOutput,
    released_on: model.releasedOn,
    retires_on: model.retiresOn,
  }
}

function ratesJson(rates: Rates) {
  return {
    input: rates.input,
    output: rates.output,
    cache_read: rates.cacheRead,
    cache_write_5m: rates.cacheWrite5m,
    cache_write_1h: rates.cacheWrite1h,
  }
}

function ratesText(rates: Rates): string {
  return `input ${dollars(rates.input)} · output ${dollars(rates.output)} · cache read ${dollars(rates.cacheRead)} · write 5m ${dollars(rates.cacheWrite5m)} · 1h ${dollars(rates.cacheWrite1h)}`
}

/** `$3.00`, or all needed decimals (`$0.125`) where cents do not suffice. */
function dollars(micro: Micro): string {
  return formatUsdFull(micro)
}

function statusWord(model: PriceRow): string {
  return model.status === 'active' ? 'served' : model.status
}
