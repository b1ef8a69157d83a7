// Records for people: a label in front, each fact behind it on a line of its own.
import type { Calendar } from './format.ts'

/** Columns before the facts of a record. */
export const LABEL_WIDTH = 11

/** What times are shown by. */
export interface Clock {
  readonly calendar: Calendar
  readonly nowMs: number
}

/** `Hold       opened …` and the other facts under it; no lines where there are no facts. */
export function labelled(label: string, facts: readonly string[]): readonly string[] {
  return facts.map((fact, i) => `${(i === 0 ? label : '').padEnd(LABEL_WIDTH)}${fact}`)
}
