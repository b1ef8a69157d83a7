// Sums of usage as a report shows them: ordered, folded, with gaps filled. Pure.
import { windowOf } from '../core/calendar.ts'
import { NO_TOKENS, type TokenCounts } from '../core/usage.ts'
import type { UsageDimension, UsageSummaryRow } from '../store/store.ts'

/** A dimension that is a span of time. */
export type TimeDimension = Extract<UsageDimension, 'hour' | 'day' | 'month'>

/** What stands in place of the groups that `--top` leaves out; no name of ours can look so. */
export const OTHERS = '(others)'

const NOTHING = {
  requests: 0,
  errors: 0,
  refused: 0,
  tokens: NO_TOKENS,
  costMicro: 0,
  listCostMicro: 0,
  cache: { readSavedMicro: 0, writeExtraMicro: 0, lostMicro: 0 },
} as const

export function isTime(dimension: UsageDimension): dimension is TimeDimension {
  return dimension === 'hour' || dimension === 'day' || dimension === 'month'
}

/** Time goes forward, everything else from the dearest down; groups of the first dimension stay together. */
export function orderRows(
  rows: readonly UsageSummaryRow[],
  by: readonly UsageDimension[],
): readonly UsageSummaryRow[] {
  const sumsOfFirst = new Map(
    [...Map.groupBy(rows, (row) => row.group[0])].map(([name, found]) => [name, sumOf(found)]),
  )
  return rows.toSorted((a, b) => {
    if (a.group[0] !== b.group[0]) {
      const [left, right] = [a, b].map((row) => ({
        ...(sumsOfFirst.get(row.group[0]) ?? row),
        name: row.group[0],
      }))
      return inOrder(by[0], left, right)
    }
    const [left, right] = [a, b].map((row) => ({ ...row, name: row.group[1] ?? '' }))
    return inOrder(by[1] ?? by[0], left, right)
  })
}

type Named = Pick<UsageSummaryRow, 'costMicro' | 'requests'> & { readonly name: string }

function inOrder(dimension: UsageDimension, a: Named, b: Named): number {
  const byName = a.name < b.name ? -1 : a.name > b.name ? 1 : 0
  if (isTime(dimension)) return byName
  if ((a.name === OTHERS) !== (b.name === OTHERS)) return a.name === OTHERS ? 1 : -1
  return b.costMicro - a.costMicro || b.requests - a.requests || byName
}

/**
 * Keeps the `top` dearest groups and adds the rest up. Time is never folded: of two dimensions one of which
 * is time, the other one's groups are; of two others, their pairs.
 */
export function foldRows(
  rows: readonly UsageSummaryRow[],
  by: readonly UsageDimension[],
  top: number,
): readonly UsageSummaryRow[] {
  const folded = by.flatMap((dimension, i) => (isTime(dimension) ? [] : [i]))
  if (folded.length === 0) return rows
  const nameOf = (row: UsageSummaryRow) => JSON.stringify(folded.map((i) => row.group[i]))
  const kept = new Set(
    [...Map.groupBy(rows, nameOf)]
      .map(([name, found]) => ({ ...sumOf(found), name }))
      .toSorted((a, b) => b.costMicro - a.costMicro || b.requests - a.requests)
      .slice(0, top)
      .map(({ name }) => name),
  )
  const groups = Map.groupBy(rows, (row) => {
    const names = kept.has(nameOf(row))
      ? row.group
      : row.group.map((name, i) => (folded.includes(i) ? OTHERS : name))
    return JSON.stringify(names)
  })
  return [...groups].map(([names, found]) => ({
    ...sumOf(found),
    group: JSON.parse(names) as string[], // made by JSON.stringify above
  }))
}

/** One row with the sums of all; its group is empty. */
export function sumOf(rows: readonly UsageSummaryRow[]): UsageSummaryRow {
  const sum = {
    requests: 0,
    errors: 0,
    refused: 0,
    costMicro: 0,
    listCostMicro: 0,
    cache: { readSavedMicro: 0, writeExtraMicro: 0, lostMicro: 0 },
    tokens: { ...NO_TOKENS },
  }
  for (const row of rows) {
    sum.requests += row.requests
    sum.errors += row.errors
    sum.refused += row.refused
    sum.costMicro += row.costMicro
    sum.listCostMicro += row.listCostMicro
    sum.cache.readSavedMicro += row.cache.readSavedMicro
    sum.cache.writeExtraMicro += row.cache.writeExtraMicro
    sum.cache.lostMicro += row.cache.lostMicro
    for (const name of Object.keys(NO_TOKENS) as (keyof TokenCounts)[]) // the keys of its own type
      sum.tokens[name] += row.tokens[name]
  }
  return { group: [], ...sum }
}

/** Adds a row of zeros for every hour, day or month in between that had no requests. */
export function fillGaps(
  rows: readonly UsageSummaryRow[],
  period: TimeDimension,
  options: {
    readonly sinceMs: number
    readonly untilMs: number
    readonly timeZone: string
    readonly labelOf: (atMs: number) => string
  },
): readonly UsageSummaryRow[] {
  const { sinceMs, untilMs, timeZone, labelOf } = options
  const known = new Map(rows.map((row) => [row.group[0], row]))
  for (let atMs = sinceMs; atMs < untilMs; atMs = windowOf(period, atMs, timeZone).untilMs) {
    const name = labelOf(atMs)
    if (!known.has(name)) known.set(name, { group: [name], ...NOTHING })
  }
  return orderRows([...known.values()], [period])
}

/**
 * Where a span such as `7d` begins in a report by day: with the first whole one, so that seven days are
 * seven rows, the running day among them. A span shorter than that stays as it is.
 */
export function wholePeriodsSince(
  period: TimeDimension,
  sinceMs: number,
  options: { readonly endMs: number; readonly timeZone: string },
): number {
  const window = windowOf(period, sinceMs, options.timeZone)
  if (window.sinceMs === sinceMs || window.untilMs > options.endMs) return sinceMs
  return window.untilMs
}
