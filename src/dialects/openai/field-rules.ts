/** What happens to a member of a request. */
export interface FieldRule {
  /** `ignored`: taken, without effect, and named in `X-CC-Ignored-Params`. */
  readonly action: 'mapped' | 'ignored' | 'refused'
  /** For the documentation: where it goes, or why not. */
  readonly note: string
}

/** The known members of a request, in the order of the documentation; all others are ignored. */
export type FieldRules = Readonly<Record<string, FieldRule>>

export function mapped(note: string): FieldRule {
  return { action: 'mapped', note }
}

export function ignored(note: string): FieldRule {
  return { action: 'ignored', note }
}

export function refused(note: string): FieldRule {
  return { action: 'refused', note }
}

/** Names of unknown members that a header can carry; clients may send any. */
const PLAIN_NAME = /^[\w.-]{1,64}$/
const MAX_TOLD = 20

/** The members of a body that have no effect, as far as a header can tell them. What is null was not asked for. */
export function ignoredMembers(
  rules: FieldRules,
  body: { readonly [name: string]: unknown },
): string[] {
  const names: string[] = []
  for (const [name, value] of Object.entries(body)) {
    if (value === null || !PLAIN_NAME.test(name)) continue
    const rule = Object.hasOwn(rules, name) ? rules[name] : null
    if (rule === null || rule.action === 'ignored') names.push(name)
    if (names.length === MAX_TOLD) break
  }
  return names
}
