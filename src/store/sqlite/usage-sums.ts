// Sums of usage. They come from the roll-ups; details are read only for the begun quarters of an hour at the
// edges of a window, and only where something was written on both sides of such an edge.
import { dayLabel, hourLabel, monthLabel, windowOf } from '../../core/calendar.ts'
import { idFloor } from '../../core/ids.ts'
import type {
  UsageDimension,
  UsageSummaryQuery,
  UsageSummaryRow,
  UsageTotals,
  Window,
} from '../store.ts'
import { ROLLUP_MS } from '../store.ts'
import type { Context } from './context.ts'
import { quarterOf } from './rollups.ts'

/** The filters of a list that the roll-ups can answer. */
export interface RollupFilter {
  readonly sinceMs?: number
  readonly untilMs?: number
  readonly userId?: string
  readonly keyId?: string
  readonly accountId?: string
  /** 2 to 5. */
  readonly statusClass?: number
}

/** Whole quarters `[from, to)`, and what lies outside them. */
interface Split {
  readonly from: number
  readonly to: number
  readonly edges: readonly Window[]
}

interface Totals {
  readonly requests: number
  readonly input: number
  readonly output: number
  readonly cacheRead: number
  readonly cacheWrite5m: number
  readonly cacheWrite1h: number
  readonly costMicro: number
}

interface GroupRow extends Totals {
  readonly quarter: number
  readonly first: string | number | null
  readonly second: string | number | null
  readonly errors: number
  readonly refused: number
  readonly listCostMicro: number
  readonly readSavedMicro: number
  readonly writeExtraMicro: number
  readonly lostMicro: number
}

/** Times that a quarter can be numbered with; beyond them there are no ids. */
const LAST_MS = 2 ** 48 - 1

const TOKEN_SUMS = `coalesce(sum(input_tokens), 0) AS input, coalesce(sum(output_tokens), 0) AS output,
  coalesce(sum(cache_read_tokens), 0) AS cacheRead,
  coalesce(sum(cache_write_5m_tokens), 0) AS cacheWrite5m,
  coalesce(sum(cache_write_1h_tokens), 0) AS cacheWrite1h,
  coalesce(sum(cost_micro), 0) AS costMicro`

const LABELS = { hour: hourLabel, day: dayLabel, month: monthLabel } as const

/** How a dimension is read; times are made from the quarter. */
const EXPRESSIONS = {
  hour: 'NULL',
  day: 'NULL',
  month: 'NULL',
  user: 's.name',
  key: `s.name || '/' || k.name`,
  model: `nullif(r.model, '')`,
  account: `CASE r.account_id WHEN '' THEN NULL ELSE coalesce(a.name, r.account_id) END`,
  status: `r.status_class || 'xx'`,
} as const satisfies Record<UsageDimension, string>

/** Sums over spans of time. */
export function usageSumOperations({ sql }: Context) {
  /** True when a request was made in `[fromMs, toMs)`. */
  function isAny(fromMs: number, toMs: number): boolean {
    return (
      sql('SELECT 1 FROM usage WHERE request_id >= ? AND request_id < ? LIMIT 1').get(
        idFloor('request', fromMs),
        idFloor('request', toMs),
      ) !== undefined
    )
  }

  /** A begun quarter without requests on the other side of the edge is as good as a whole one. */
  function split({ sinceMs = 0, untilMs = LAST_MS }: Partial<Window>): Split {
    const [since, until] = [clamp(sinceMs), clamp(untilMs)]
    const floor = (ms: number) => Math.floor(ms / ROLLUP_MS) * ROLLUP_MS
    const ceil = (ms: number) => Math.ceil(ms / ROLLUP_MS) * ROLLUP_MS
    const fromMs = isAny(floor(since), since) ? ceil(since) : floor(since)
    const toMs = until < ceil(until) && isAny(until, ceil(until)) ? floor(until) : ceil(until)
    if (fromMs >= toMs) {
      const edges = since < until ? [{ sinceMs: since, untilMs: until }] : []
      return { from: 0, to: 0, edges }
    }
    const edges = [
      { sinceMs: since, untilMs: fromMs },
      { sinceMs: toMs, untilMs: until },
    ].filter((edge) => edge.sinceMs < edge.untilMs)
    return { from: fromMs / ROLLUP_MS, to: toMs / ROLLUP_MS, edges }
  }

  function totalsOf(table: 'usage' | 'usage_rollups', where: string, params: object): Totals {
    const requests = table === 'usage' ? 'count(*)' : 'coalesce(sum(requests), 0)'
    return sql(`SELECT ${requests} AS requests, ${TOKEN_SUMS} FROM ${table} WHERE ${where}`).get(
      params,
    ) as Totals
  }

  return {
    /** How many details there are for a filter that the roll-ups can answer. */
    countUsage(filter: RollupFilter): number {
      // Roll-ups are kept for good: what came before the oldest detail is no longer listed.
      const oldest = sql('SELECT min(request_id) AS id FROM usage').get() as { id: string | null }
      if (oldest.id === null) return 0
      const owners = `(@userId IS NULL OR key_id IN (SELECT id FROM keys WHERE user_id = @userId))
        AND (@keyId IS NULL OR key_id = @keyId) AND (@accountId IS NULL OR account_id = @accountId)`
      const params = {
        userId: filter.userId ?? null,
        keyId: filter.keyId ?? null,
        accountId: filter.accountId ?? null,
        statusClass: filter.statusClass ?? null,
      }
      const { from, to, edges } = split(filter)
      const whole = totalsOf(
        'usage_rollups',
        `quarter >= @from AND quarter < @to AND ${owners}
         AND (@statusClass IS NULL OR status_class = @statusClass)`,
        { ...params, from: Math.max(from, quarterOf(oldest.id)), to },
      )
      return edges.reduce((sum, edge) => {
        const part = totalsOf(
          'usage',
          `request_id >= @since AND request_id < @until AND ${owners}
           AND (@statusClass IS NULL OR http_status / 100 = @statusClass)`,
          { ...params, since: floorOf(edge.sinceMs), until: floorOf(edge.untilMs) },
        )
        return sum + part.requests
      }, whole.requests)
    },

    sumUsage(window: Window): UsageTotals {
      const { from, to, edges } = split(window)
      const parts = [
        totalsOf('usage_rollups', 'quarter >= @from AND quarter < @to', { from, to }),
        ...edges.map(({ sinceMs, untilMs }) =>
          totalsOf('usage', 'request_id >= @since AND request_id < @until', {
            since: floorOf(sinceMs),
            until: floorOf(untilMs),
          }),
        ),
      ]
      return parts.map(toTotals).reduce(plus)
    },

    summarizeUsage(query: UsageSummaryQuery): readonly UsageSummaryRow[] {
      const [first, second = null] = query.by
      const time = query.by.find((dimension) => dimension in LABELS) as
        | keyof typeof LABELS
        | undefined // the keys of LABELS
      const rows = sql(
        `SELECT ${time === undefined ? '0' : 'r.quarter'} AS quarter, ${EXPRESSIONS[first]} AS first,
           ${second === null ? 'NULL' : EXPRESSIONS[second]} AS second,
           sum(requests) AS requests, sum(errors) AS errors, sum(refused) AS refused, ${TOKEN_SUMS},
           sum(list_cost_micro) AS listCostMicro, sum(cache_read_saved_micro) AS readSavedMicro,
           sum(cache_write_extra_micro) AS writeExtraMicro, sum(routing_lost_micro) AS lostMicro
         FROM usage_rollups r JOIN keys k ON k.id = r.key_id JOIN users s ON s.id = k.user_id
           LEFT JOIN accounts a ON a.id = r.account_id
         WHERE quarter >= @from AND quarter < @to AND (@userId IS NULL OR k.user_id = @userId)
           AND (@keyId IS NULL OR r.key_id = @keyId) AND (@accountId IS NULL OR r.account_id = @accountId)
           AND (@model IS NULL OR r.model GLOB @model)
         GROUP BY 1, 2, 3`,
      ).iterate({
        from: Math.floor(clamp(query.sinceMs ?? 0) / ROLLUP_MS),
        to: Math.ceil(clamp(query.untilMs ?? LAST_MS) / ROLLUP_MS),
        userId: query.userId ?? null,
        keyId: query.keyId ?? null,
        accountId: query.accountId ?? null,
        model: query.model === undefined ? null : globOf(query.model),
      }) as IterableIterator<GroupRow>
      const nameOf = time === undefined ? () => '' : timeNames(time, query.timeZone)
      const sums = new Map<string, UsageSummaryRow>()
      for (const row of rows) {
        const names = [row.first, row.second].slice(0, query.by.length)
        const group = names.map((name, i) =>
          query.by[i] === time ? nameOf(row.quarter) : String(name ?? '–'),
        )
        const key = JSON.stringify(group)
        const sum = sums.get(key)
        sums.set(key, sum === undefined ? toSummary(group, row) : addTo(sum, row))
      }
      return [...sums.values()]
    },
  }
}

export type UsageSums = ReturnType<typeof usageSumOperations>

/** A model's id or pattern for GLOB, in which only `*` is special. */
export function globOf(model: string): string {
  return model.replace(/[[?]/g, '[$&]')
}

/** Names of the spans that quarters lie in; one after another they are mostly the same. */
function timeNames(period: keyof typeof LABELS, timeZone: string): (quarter: number) => string {
  let window: Window = { sinceMs: 0, untilMs: 0 }
  let name = ''
  return (quarter) => {
    const atMs = quarter * ROLLUP_MS
    if (atMs < window.sinceMs || atMs >= window.untilMs) {
      window = windowOf(period, atMs, timeZone)
      name = LABELS[period](atMs, timeZone)
    }
    return name
  }
}

function clamp(ms: number): number {
  return Math.min(LAST_MS, Math.max(0, ms))
}

function floorOf(ms: number): string {
  return idFloor('request', ms)
}

function toTotals({ requests, costMicro, ...tokens }: Totals): UsageTotals {
  const { input, output, cacheRead, cacheWrite5m, cacheWrite1h } = tokens
  return {
    requests,
    costMicro,
    tokens: { input, output, cacheRead, cacheWrite5m, cacheWrite1h },
  }
}

function toSummary(group: readonly string[], row: GroupRow): UsageSummaryRow {
  const { errors, refused, listCostMicro, readSavedMicro, writeExtraMicro, lostMicro } = row
  const cache = { readSavedMicro, writeExtraMicro, lostMicro }
  return { group, ...toTotals(row), errors, refused, listCostMicro, cache }
}

function addTo(sum: UsageSummaryRow, row: GroupRow): UsageSummaryRow {
  return {
    ...plus(sum, toTotals(row)),
    group: sum.group,
    errors: sum.errors + row.errors,
    refused: sum.refused + row.refused,
    listCostMicro: sum.listCostMicro + row.listCostMicro,
    cache: {
      readSavedMicro: sum.cache.readSavedMicro + row.readSavedMicro,
      writeExtraMicro: sum.cache.writeExtraMicro + row.writeExtraMicro,
      lostMicro: sum.cache.lostMicro + row.lostMicro,
    },
  }
}

function plus(a: UsageTotals, b: UsageTotals): UsageTotals {
  return {
    requests: a.requests + b.requests,
    costMicro: a.costMicro + b.costMicro,
    tokens: {
      input: a.tokens.input + b.tokens.input,
      output: a.tokens.output + b.tokens.output,
      cacheRead: a.tokens.cacheRead + b.tokens.cacheRead,
      cacheWrite5m: a.tokens.cacheWrite5m + b.tokens.cacheWrite5m,
      cacheWrite1h: a.tokens.cacheWrite1h + b.tokens.cacheWrite1h,
    },
  }
}
