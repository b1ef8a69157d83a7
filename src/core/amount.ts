import type { Micro } from './money.ts'
import type { Parsed } from './quantity.ts'

/** How many decimals of a unit make a micro-dollar. */
const DECIMALS: Readonly<Record<string, number>> = { '': 6, usd: 6, c: 4, micro: 0 }

/**
 * Reads `25`, `25.50`, `$25`, `25usd`, `25 USD`, `1_000`, `2.5c` or `25000000micro` as digits, never
 * through a float. A sign passes only where `signed`.
 */
export function parseMoney(
  text: string,
  options: { readonly signed?: boolean } = {},
): Parsed<Micro> {
  const trimmed = text.trim()
  const quoted = `"${trimmed.slice(0, 40)}"`
  const complaint = complain(trimmed)
  if (complaint !== null) return bad(`${quoted} is not an amount: ${complaint}`)
  const match = /^([+-]?)(\$?)([+-]?)(\d[\d_]*)(?:\.(\d+))?\s?(usd|c|micro)?$/i.exec(trimmed)
  const unit = match?.[6]?.toLowerCase() ?? ''
  if (
    match === null ||
    (match[1] !== '' && match[3] !== '') ||
    /__|_$/.test(match[4]) ||
    (match[2] === '$' && unit !== '' && unit !== 'usd')
  ) {
    return bad(`${quoted} is not an amount. Example: 25, 25.50 or $25`)
  }
  const sign = match[1] || match[3]
  if (sign !== '' && options.signed !== true) {
    return bad(`${quoted} has a sign: ${sign === '-' ? 'it cannot be below 0' : 'leave it out'}`)
  }
  const decimals = DECIMALS[unit]
  const fraction = match[5] ?? ''
  if (fraction.length > decimals) {
    return bad(`${quoted} has more than ${decimals} decimals: the smallest amount is 0.000001`)
  }
  const digits = (match[4].replaceAll('_', '') + fraction.padEnd(decimals, '0')).replace(
    /^0+(?=\d)/,
    '',
  )
  const micro = digits.length > 16 ? Number.POSITIVE_INFINITY : Number(digits)
  if (!Number.isSafeInteger(micro)) return bad(`${quoted} is more than the books can hold`)
  return { kind: 'ok', value: sign === '-' && micro !== 0 ? -micro : micro }
}

function complain(text: string): string | null {
  if (/^[$+-]*\d{1,3}(,\d{3})+(\.\d+)?$/.test(text)) {
    const plain = text.replaceAll(',', '')
    return `write ${plain} or ${text.replaceAll(',', '_')}`
  }
  if (/^[$+-]*\d+,\d+$/.test(text)) return `use a dot: ${text.replace(',', '.')}`
  if (/\d[eE][+-]?\d/.test(text)) return 'write all digits'
  if (/[€£¥]|eur|gbp/i.test(text)) return 'only dollars are possible'
  if (/^[$+-]*\.\d/.test(text)) return `write 0${text.replace(/^[$+-]*/, '')}`
  if (text === '') return 'it is empty'
  return null
}

function bad<T>(problem: string): Parsed<T> {
  return { kind: 'bad', problem }
}
