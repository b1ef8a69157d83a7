import { isEmpty } from './json.ts'

/** What happens to a member of a request. */
export interface FieldRule {
  /** `ignored`: taken, without effect, and named in `X-CC-Ignored-Params`. */
  readonly action: 'mapped' | 'ignored' | 'refused'
  /** For the documentation: where it goes, or why not. */
  readonly note: string
  /** Of an ignored member: whether a value asks for nothing, so that nothing of it was ignored. */
  readonly isIdle?: (value: unknown) => boolean
}

/** The known members of a request, in the order of the documentation; all others are ignored. */
export type FieldRules = Readonly<Record<string, FieldRule>>

export function mapped(note: string): FieldRule {
  return { action: 'mapped', note }
}

/** `isIdle` tells the values that ask for nothing; without it every value asks for something. */
export function ignored(note: string, isIdle?: (value: unknown) => boolean): FieldRule {
  return isIdle === undefined ? { action: 'ignored', note } : { action: 'ignored', note, isIdle }
}

export function refused(note: string): FieldRule {
  return { action: 'refused', note }
}

/** Names of unknown members that a header can carry; clients may send any. */
const PLAIN_NAME = /^[\w.-]{1,64}$/
const MAX_TOLD = 20

/** Whether a value is one of these scalars, or of an object or array an empty one. */
export function oneOf(...values: readonly unknown[]): (value: unknown) => boolean {
  return (value) => values.includes(value) || isEmptyObject(value)
}

function isEmptyObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && isEmpty(value)
}

/**
 * The members of a body that have no effect, as far as a header can tell them. What is null, or what is the
 * case anyway, was not asked for.
 */
export function ignoredMembers(
  rules: FieldRules,
  body: { readonly [name: string]: unknown },
): string[] {
  const names: string[] = []
  for (const [name, value] of Object.entries(body)) {
    if (value === null || !PLAIN_NAME.test(name)) continue
    const rule = Object.hasOwn(rules, name) ? rules[name] : null
    if (rule !== null && (rule.action !== 'ignored' || rule.isIdle?.(value))) continue
    names.push(name)
    if (names.length === MAX_TOLD) break
  }
  return names
}
