import { formatUsdFull, type Micro } from '../core/money.ts'
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

/** `input $0.023712 + output $0.005655 = $0.029367`: the receipt's own arithmetic, to the last digit. */
export function costText(receipt: Receipt | null, costMicro: Micro): string {
  if (receipt === null) return formatUsdFull(costMicro)
  const sum = receiptTerms(receipt).join(' + ')
  const [numerator, denominator] = receipt.markup ?? [1, 1]
  const isMarkedUp = numerator !== denominator && sum !== ''
  const whole = isMarkedUp ? `(${sum}) × ${ratioText([numerator, denominator])}` : sum
  return `${whole || 'nothing'} = ${formatUsdFull(costMicro)}`
}

/**
 * `claude-sonnet-4-6: input $3.00 · output $15.00`, the unit prices that made the cost; where more than one
 * model or price did, a line each with its own tokens (`input 1,204 × $3.00`). Then the fees.
 */
export function priceTexts(receipt: Receipt): readonly string[] {
  const { lines, feesMicro, webSearchRequests: searches } = receipt
  const hasTokens = lines.length > 1
  const counted =
    searches === 0 ? '' : `${formatCount(searches)} web search${searches === 1 ? '' : 'es'} `
  return [
    ...lines.map((line) => lineText(receipt, line, hasTokens)),
    ...(feesMicro === 0 ? [] : [`fees: ${counted}${formatUsdFull(feesMicro)}`]),
  ]
}

function lineText(receipt: Receipt, line: ReceiptLine, hasTokens: boolean): string {
  const used = CLASSES.filter(([name]) => line.tokens[name] > 0)
  const prices = (used.length > 0 ? used : CLASSES).map(([name, label]) => {
    const count = hasTokens ? `${formatCount(line.tokens[name])} × ` : ''
    return `${label} ${count}${formatUsdFull(line.rates[name])}`
  })
  const [numerator, denominator] = lineRatio(receipt, line)
  const notes = [
    ...(line.tier === 'standard' ? [] : [line.tier.replaceAll('_', ' ')]),
    ...(line.note === null ? [] : [line.note.replaceAll('_', ' ')]),
    ...(hasTokens && numerator > 0 && numerator !== denominator
      ? [`× ${ratioText([numerator, denominator])}`]
      : []),
  ]
  return `${line.model}${notes.length > 0 ? ` (${notes.join(', ')})` : ''}: ${prices.join(' · ')}`
}

function receiptTerms(receipt: Receipt): readonly string[] {
  const byRatio = Map.groupBy(receipt.lines, (line) => lineRatio(receipt, line).join('/'))
  const terms = [...byRatio].flatMap(([key, lines]) => {
    const ratio = key.split('/').map(Number) as [number, number] // two integers, joined above
    const plain = ratio[0] === 0 ? [] : classTerms(lines)
    if (ratio[0] === ratio[1] || plain.length === 0) return plain
    return [`(${plain.join(' + ')}) × ${ratioText(ratio)}`]
  })
  return receipt.feesMicro > 0 ? [...terms, `fees ${formatUsdFull(receipt.feesMicro)}`] : terms
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

/** Millionths of a micro-dollar with as many decimals as they need, two at least. */
function exactDollars(parts: bigint): string {
  const text = parts.toString().padStart(13, '0')
  const decimals = text.slice(-12)
  return `$${formatCount(Number(text.slice(0, -12)))}.${decimals.slice(0, 2)}${decimals.slice(2).replace(/0+$/, '')}`
}
