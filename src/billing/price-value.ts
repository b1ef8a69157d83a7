import type { Rates } from '../core/usage.ts'
import { isPlainName } from './model-names.ts'
import type { LongPrompt } from './price-table.ts'

/** $500 per million tokens. With it and the largest mark-up, the largest answer still fits the books. */
export const MAX_RATE = 500_000_000
/** Most tokens that a window, an answer or an image may be said to have. */
export const MAX_SIZE_TOKENS = 100_000_000

/** The first thing wrong with the members of a stored price (a `ModelPrice` without its id), or null. */
export function priceProblem(value: Readonly<Record<string, unknown>>): string | null {
  const rates = ratesProblem(value.rates, 'rates')
  if (rates !== null) return rates
  if (value.fastRates !== undefined) {
    const fast = ratesProblem(value.fastRates, 'fastRates')
    if (fast !== null) return fast
  }
  if (value.longPrompt !== undefined) {
    const long = value.longPrompt as Partial<LongPrompt> | null
    if (!isSize(long?.aboveTokens)) return 'longPrompt.aboveTokens is not a number of tokens'
    const step = ratesProblem(long?.rates, 'longPrompt.rates')
    if (step !== null) return step
  }
  for (const name of ['contextWindow', 'maxOutput', 'imageTokenCap', 'minimumCacheTokens']) {
    if (!isSize(value[name])) return `${name} is not a number of tokens`
  }
  if (!['active', 'deprecated', 'retired'].includes(String(value.status)))
    return 'status is unknown'
  if (typeof value.inferenceGeo !== 'boolean') return 'inferenceGeo is true or false'
  if (typeof value.modelClass !== 'string' || value.modelClass === '') return 'modelClass is a name'
  const { aliases = [], releasedOn, retiresOn } = value
  if (!Array.isArray(aliases) || !aliases.every((name) => isPlainName(String(name))))
    return 'aliases are names'
  for (const day of [releasedOn, retiresOn]) {
    if (day !== undefined && (typeof day !== 'string' || !isDay(day)))
      return 'a day is written 2026-11-22'
  }
  return null
}

/** The five classes of tokens, in the order in which people read them. */
export const RATE_CLASSES: readonly (keyof Rates)[] = [
  'input',
  'output',
  'cacheRead',
  'cacheWrite5m',
  'cacheWrite1h',
]

/** Whether it may be a rate: micro-dollars per million tokens, and never free where tokens are always counted. */
export function isRate(value: unknown, tokenClass: keyof Rates): value is number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value > MAX_RATE) return false
  return value >= (tokenClass === 'input' || tokenClass === 'output' ? 1 : 0)
}

function ratesProblem(value: unknown, where: string): string | null {
  if (!isRecord(value)) return `${where} is missing`
  for (const name of RATE_CLASSES) {
    if (!isRate(value[name], name)) return `${where}.${name} is not a price`
  }
  return null
}

/** Whether it is a day that exists, as `2026-11-22`. */
export function isDay(text: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return false
  const ms = Date.parse(`${text}T00:00:00Z`)
  return Number.isFinite(ms) && new Date(ms).toISOString().startsWith(text)
}

/** Whether it may be a number of tokens: 1 to 100,000,000. */
export function isSize(value: unknown): value is number {
  return (
    typeof value === 'number' &&
    Number.isSafeInteger(value) &&
    value >= 1 &&
    value <= MAX_SIZE_TOKENS
  )
}

/** Whether it is an object with members, and no list. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
