import type { Scalar } from '../wire/body-facts.ts'

/** The text of a member; null when it is anything else. */
export function textOf(scalar: Scalar): string | null {
  return scalar.type === 'string' ? scalar.value : null
}

/** The whole number of a member, 0 or more; null when it is anything else. */
export function wholeOf(scalar: Scalar): number | null {
  return scalar.type === 'number' && scalar.integer && scalar.value >= 0 ? scalar.value : null
}
