import type { StoredChange } from './price-changes.ts'

/** What the store's rows say besides the change itself. */
export type SourcedChange = StoredChange & { readonly source: string }

type Wanted = Pick<StoredChange, 'kind' | 'subject' | 'value'>

/**
 * What must be written down so that the config's changes are in force from now on: those that are not what
 * the config last said, and `null` for those it no longer names. What it said while the clock was ahead is not
 * in force yet, and counts for nothing. What a person set after the config's own
 * change stays until the config says something new: the newest change counts, whoever made it.
 */
export function changesOfConfig(
  wanted: readonly Wanted[],
  stored: readonly SourcedChange[],
  nowMs: number,
): readonly (Wanted & { readonly effectiveAtMs: number; readonly source: 'config' })[] {
  const lastOfConfig = new Map<string, SourcedChange>()
  const inForce = new Map<string, SourcedChange>()
  /** What an earlier start wrote while the clock was ahead: the last word of each instant to come. */
  const ahead = new Map<string, SourcedChange>()
  const inOrder = [...stored].sort((a, b) => a.effectiveAtMs - b.effectiveAtMs || a.seq - b.seq)
  for (const change of inOrder) {
    const isOfConfig = change.source === 'config'
    if (change.effectiveAtMs <= nowMs) {
      inForce.set(nameOf(change), change)
      if (isOfConfig) lastOfConfig.set(nameOf(change), change)
    } else if (isOfConfig) {
      ahead.set(`${change.effectiveAtMs} ${nameOf(change)}`, change)
    }
  }
  const changed = wanted.filter((change) => {
    const last = lastOfConfig.get(nameOf(change))
    return last === undefined || !isSameJson(last.value, change.value)
  })
  const values = new Map(wanted.map((change) => [nameOf(change), change.value]))
  const dropped = [...inForce.values()].filter(
    (change) => change.source === 'config' && change.value !== null && !values.has(nameOf(change)),
  )
  // Rows are never altered: what would come into force later is overruled at that instant.
  const overruled = [...ahead.values()].flatMap((change) => {
    const value = values.get(nameOf(change)) ?? null
    return isSameJson(change.value, value) ? [] : [{ ...change, value }]
  })
  return [
    ...changed.map((change) => ({ ...change, effectiveAtMs: nowMs })),
    ...dropped.map((change) => ({ ...change, value: null, effectiveAtMs: nowMs })),
    ...overruled,
  ].map(({ kind, subject, value, effectiveAtMs }) => ({
    kind,
    subject,
    value,
    effectiveAtMs,
    source: 'config',
  }))
}

/** Whether two values are the same JSON, whatever the order of their members. */
export function isSameJson(a: unknown, b: unknown): boolean {
  return canonical(a) === canonical(b)
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_name, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  )
}

function nameOf({ kind, subject }: Wanted): string {
  return `${kind} ${subject}`
}
