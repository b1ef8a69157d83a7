import type { Fraction } from './model.ts'
import type { Parsed } from './quantity.ts'

/** No mark-up: the list price. */
export const NO_MARKUP: Fraction = [1, 1]

/** Decimals of a mark-up: finer ones say nothing that a price would show. */
const DECIMALS = 6
const LEAST = 0.01
const MOST = 10

/** `1.2` or `+20%`, as a reduced fraction; read as digits, never through a float. From 0.01 to 10. */
export function parseMarkup(text: string): Parsed<Fraction> {
  const trimmed = text.trim()
  const match = /^(\+?)(\d{1,6})(?:\.(\d{1,8}))?(\s?%)?$/.exec(trimmed)
  const isPercent = match?.[4] !== undefined
  if (match === null || (match[1] !== '') !== isPercent) {
    return bad(`"${trimmed.slice(0, 40)}" is not a mark-up. ${hintFor(trimmed)}`)
  }
  const fraction = (match[3] ?? '').replace(/0+$/, '')
  const decimals = fraction.length + (isPercent ? 2 : 0)
  if (decimals > DECIMALS) {
    return bad(`"${trimmed}" has too many decimals: ${DECIMALS} at most`)
  }
  const denominator = 10 ** decimals
  const numerator = Number(match[2] + fraction) + (isPercent ? denominator : 0)
  if (numerator < LEAST * denominator || numerator > MOST * denominator) {
    return bad(`"${trimmed}" is out of range: use ${LEAST} to ${MOST}`)
  }
  const divisor = commonDivisor(numerator, denominator)
  return { kind: 'ok', value: [numerator / divisor, denominator / divisor] }
}

function hintFor(text: string): string {
  const percent = /^(-?)(\d{1,3})\s?%$/.exec(text)
  if (percent === null) return 'Example: 1.2 or +20%'
  const [, sign, digits] = percent
  if (sign === '') return `To add ${digits} percent write +${digits}%`
  const factor = (100 - Number(digits)) / 100
  return factor < LEAST
    ? `Use ${LEAST} to ${MOST}`
    : `To take ${digits} percent off write ${factor}`
}

/** `1.20`: what `parseMarkup` reads back; at least two decimals. */
export function markupText([numerator, denominator]: Fraction): string {
  const text = (numerator / denominator).toFixed(DECIMALS).replace(/0+$/, '')
  return text.replace(/\.(\d?)$/, (_dot, digit: string) => `.${digit.padEnd(2, '0')}`)
}

/** Whether a fraction is one that a person may set: two positive integers, from 0.01 to 10. */
export function isMarkup(value: unknown): value is Fraction {
  if (!Array.isArray(value) || value.length !== 2) return false
  const [numerator, denominator] = value as readonly unknown[]
  if (typeof numerator !== 'number' || typeof denominator !== 'number') return false
  if (!Number.isSafeInteger(numerator) || !Number.isSafeInteger(denominator)) return false
  if (numerator < 1 || denominator < 1) return false
  return numerator >= LEAST * denominator && numerator <= MOST * denominator
}

/** True when it multiplies by something other than 1. */
export function isMarkedUp([numerator, denominator]: Fraction): boolean {
  return numerator !== denominator
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b)
}

function bad<T>(problem: string): Parsed<T> {
  return { kind: 'bad', problem }
}
