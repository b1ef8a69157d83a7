import { formatUsdExact, formatUsdFull, type Micro } from '../core/money.ts'
import type { Rates, Receipt, ReceiptLine } from '../core/usage.ts'
import { lineRatio } from '../core/usage-view.ts'
import { formatCount } from './format.ts'

/** The classes of tokens in the order people read them. */
const CLASSES = [
  ['input', 'input'],
  ['cacheWrite5m', 'cache write 5m'],
  ['cacheWrite1h', 'cache write 1h'],
  ['cacheRead', 'cache read'],
  ['output', 'output'],
] as const

/** `input $0.023712 + output $0.005655 = $0.029367`: the receipt's own arithmetic. */
export function costText(receipt: Receipt | null, costMicro: Micro): string {
  if (receipt === null) return formatUsdExact(costMicro)
  const sum = receiptTerms(receipt).join(' + ')
  const [numerator, denominator] = receipt.markup ?? [1, 1]
  const isMarkedUp = numerator !== denominator && sum !== ''
  const whole = isMarkedUp ? `(${sum}) × ${ratioText([numerator, denominator])}` : sum
  return `${whole || 'nothing'} = ${formatUsdExact(costMicro)}`
}

/** `claude-sonnet-4-6: input $3.00 · output $15.00`: the unit prices that made the cost, a line per model. */
export function priceTexts(receipt: Receipt): readonly string[] {
  const lines = receipt.lines.map((line) => {
    const used = CLASSES.filter(([name]) => line.tokens[name] > 0)
    const prices = (used.length > 0 ? used : CLASSES).map(
      ([name, label]) => `${label} ${formatUsdFull(line.rates[name])}`,
    )
    const notes = [
      ...(line.tier === 'standard' ? [] : [line.tier.replaceAll('_', ' ')]),
      ...(line.note === null ? [] : [line.note.replaceAll('_', ' ')]),
    ]
    return `${line.model}${notes.length > 0 ? ` (${notes.join(', ')})` : ''}: ${prices.join(' · ')}`
  })
  return [...new Set(lines)]
}

function receiptTerms(receipt: Receipt): readonly string[] {
  const byRatio = Map.groupBy(receipt.lines, (line) => lineRatio(receipt, line).join('/'))
  const terms = [...byRatio].flatMap(([key, lines]) => {
    const ratio = key.split('/').map(Number) as [number, number] // two integers, joined above
    const plain = ratio[0] === 0 ? [] : classTerms(lines)
    if (ratio[0] === ratio[1] || plain.length === 0) return plain
    return [`(${plain.join(' + ')}) × ${ratioText(ratio)}`]
  })
  return receipt.feesMicro > 0 ? [...terms, `fees ${formatUsdExact(receipt.feesMicro)}`] : terms
}

function ratioText([numerator, denominator]: readonly [number, number]): string {
  return `${numerator}/${denominator}`
}

function classTerms(lines: readonly ReceiptLine[]): readonly string[] {
  return CLASSES.flatMap(([name, label]) => {
    const parts = lines.reduce((sum, line) => sum + partsOf(line, name), 0n)
    return parts > 0n ? [`${label} ${exactDollars(parts)}`] : []
  })
}

/** Millionths of a micro-dollar, so that nothing is rounded here. */
function partsOf({ tokens, rates }: ReceiptLine, name: keyof Rates): bigint {
  return BigInt(tokens[name]) * BigInt(rates[name])
}

/** Millionths of a micro-dollar with as many decimals as they need, six at least. */
function exactDollars(parts: bigint): string {
  const text = parts.toString().padStart(13, '0')
  const decimals = text.slice(-12)
  const extra = decimals.slice(6).replace(/0+$/, '')
  return `$${formatCount(Number(text.slice(0, -12)))}.${decimals.slice(0, 6)}${extra}`
}
