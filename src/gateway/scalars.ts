import type { BodyFacts, Scalar } from '../wire/body-facts.ts'

/** The text of a member; null when it is anything else. */
export function textOf(scalar: Scalar): string | null {
  return scalar.type === 'string' ? scalar.value : null
}

/** Whether fast mode is asked for, which upstream prices and limits apart. */
export function asksForFast({ speed }: Pick<BodyFacts, 'speed'>): boolean {
  return textOf(speed) === 'fast'
}

/** The whole number of a member, 0 or more; null when it is anything else. */
export function wholeOf(scalar: Scalar): number | null {
  return scalar.type === 'number' && scalar.integer && scalar.value >= 0 ? scalar.value : null
}

/** Whether most of the conversation lies upstream, under the id of an earlier answer. */
export function continuesThread(facts: BodyFacts): boolean {
  return textOf(facts.thread.type) === 'continue'
}
