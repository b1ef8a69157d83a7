import type { Scalar } from './body-facts.ts'
import { MAX_SCALAR_BYTES } from './body-facts.ts'
import type { JsonWalk } from './json-walk.ts'

/** The member is not there. */
export const ABSENT: Scalar = { type: 'absent' }
const NULL: Scalar = { type: 'null' }
const OBJECT: Scalar = { type: 'object' }
const ARRAY: Scalar = { type: 'array' }
const TRUE: Scalar = { type: 'boolean', value: true }
const FALSE: Scalar = { type: 'boolean', value: false }

/** Reads the value before which `scan` stands, with its content where it has one of its own. */
export function readScalar(scan: JsonWalk): Scalar {
  const start = scan.pos
  const first = scan.peek()
  scan.value()
  switch (first) {
    case 0x22:
      return { type: 'string', value: stringAt(scan, start) }
    case 0x7b:
      return OBJECT
    case 0x5b:
      return ARRAY
    case 0x74:
      return TRUE
    case 0x66:
      return FALSE
    case 0x6e:
      return NULL
    default:
      return numberOf(scan.bytes.toString('latin1', start, scan.pos))
  }
}

function stringAt(scan: JsonWalk, start: number): string {
  if (scan.pos - start <= MAX_SCALAR_BYTES) return scan.unescaped(start)
  return scan.bytes.toString('utf8', start + 1, start + 1 + MAX_SCALAR_BYTES)
}

/** Reads the text of a JSON number. */
export function numberOf(text: string): Scalar {
  // Adding 0 turns -0 into 0.
  const value = Number(text) + 0
  return { type: 'number', value, integer: Number.isSafeInteger(value) && isWhole(text) }
}

/** Whether the digits themselves are whole: a float would round 8.0000000000000000001 to 8. */
function isWhole(text: string): boolean {
  if (text.length <= 15 && !/[.eE]/.test(text)) return true
  if (text.length > MAX_SCALAR_BYTES) return false
  const [, whole = '', fraction = '', exponent = '0'] =
    /^-?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? []
  const digits = whole + fraction
  const significant = digits.replace(/0+$/, '')
  const trailingZeros = digits.length - significant.length
  return significant === '' || trailingZeros >= fraction.length - Number(exponent)
}
