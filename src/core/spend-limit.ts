import { parseMoney } from './amount.ts'
import type { SpendLimit, SpendPeriod } from './model.ts'
import { formatUsdFull } from './money.ts'
import type { Parsed } from './quantity.ts'

const PERIODS: readonly SpendPeriod[] = ['day', 'month', 'total']

/** Reads `200/month`, `20/day` or `500/total`; the amount is spelled as in `parseMoney`. */
export function parseSpendLimit(text: string): Parsed<SpendLimit> {
  const [amountText, periodText, ...rest] = text.split('/').map((part) => part.trim())
  const period = PERIODS.find((word) => word === periodText?.toLowerCase())
  if (period === undefined && periodText !== undefined && periodText !== '' && rest.length === 0) {
    return bad(`"${periodText.slice(0, 20)}" is not possible as a period: day, month or total`)
  }
  if (period === undefined || rest.length > 0) {
    return bad(`"${text.slice(0, 40)}" needs a period. Example: 200/month, 20/day or 500/total`)
  }
  const amount = parseMoney(amountText)
  if (amount.kind === 'bad') return amount
  if (amount.value === 0) return bad('nothing could be spent. To stop a key, revoke it')
  return { kind: 'ok', value: { amountMicro: amount.value, period } }
}

/** `$200.00/month`; `none` for null. */
export function spendLimitText(limit: SpendLimit | null): string {
  return limit === null ? 'none' : `${formatUsdFull(limit.amountMicro)}/${limit.period}`
}

function bad<T>(problem: string): Parsed<T> {
  return { kind: 'bad', problem }
}
