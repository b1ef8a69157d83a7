import { idFloor, idTimeMs } from '../../core/ids.ts'
import type { Attempt, HeadroomRow, HealthRow } from '../../core/model.ts'
import type { AccountSummary } from '../store.ts'
import {
  type AccountRow,
  type HeadroomRecord,
  type HealthRecord,
  toAccount,
  toHeadroom,
  toHealth,
} from './account-rows.ts'
import type { Context } from './context.ts'
import { detailAt } from './usage-rows.ts'

interface Today {
  readonly startMs: number
  /** Rows up to this one are counted. */
  lastSeq: number
  readonly byAccount: Map<string, { requests: number; spendMicro: number; lastUsedAtMs: number }>
}

interface Recent {
  requests1m: number
  requests5m: number
  errors5m: number
}

const MINUTE_MS = 60_000
const DAY_MS = 86_400_000
/** Outcomes that say nothing bad about the account. */
const NO_FAILURE: ReadonlySet<string> = new Set(['ok', 'client_fault', 'abandoned'])

/**
 * What accounts are doing now. Asked every second by a monitor, so today's sums are kept and only rows
 * written since the last call are added to them.
 */
export function accountActivity({ sql }: Context) {
  let today: Today | null = null

  function sumsOfToday(now: number): Today {
    const startMs = Math.floor(now / DAY_MS) * DAY_MS
    if (today?.startMs !== startMs) today = { startMs, lastSeq: 0, byAccount: new Map() }
    const { max } = sql('SELECT max(seq) AS max FROM usage').get() as { max: number | null }
    const upTo = max ?? 0
    if (upTo === today.lastSeq) return today
    // From the start of the day the narrow index is read; after that only the newest rows of the table.
    const source = today.lastSeq === 0 ? 'usage INDEXED BY usage_by_request' : 'usage NOT INDEXED'
    const added = sql(
      `SELECT account_id, count(*) AS requests, sum(cost_micro) AS spend, max(request_id) AS last
       FROM ${source} WHERE request_id >= @floor AND seq > @after AND seq <= @upTo
       AND account_id IS NOT NULL GROUP BY account_id`,
    ).all({ floor: idFloor('request', startMs), after: today.lastSeq, upTo }) as {
      account_id: string
      requests: number
      spend: number
      last: string
    }[]
    for (const row of added) {
      const sums = today.byAccount.get(row.account_id) ?? {
        requests: 0,
        spendMicro: 0,
        lastUsedAtMs: 0,
      }
      sums.requests += row.requests
      sums.spendMicro += row.spend
      sums.lastUsedAtMs = Math.max(sums.lastUsedAtMs, idTimeMs(row.last) ?? 0)
      today.byAccount.set(row.account_id, sums)
    }
    today.lastSeq = upTo
    return today
  }

  /** Attempts of the last five minutes by account; plain successes come from the narrow index alone. */
  function recentAttempts(now: number): ReadonlyMap<string, Recent> {
    const recent = new Map<string, Recent>()
    const of = (accountId: string) => {
      const counts = recent.get(accountId) ?? { requests1m: 0, requests5m: 0, errors5m: 0 }
      recent.set(accountId, counts)
      return counts
    }
    const floors = {
      five: idFloor('request', now - 5 * MINUTE_MS),
      one: idFloor('request', now - MINUTE_MS),
    }
    const plain = sql(
      `SELECT account_id, count(*) AS five, count(*) FILTER (WHERE request_id >= @one) AS one
       FROM usage WHERE request_id >= @five AND attempt_count = 1 AND http_status < 400
       AND account_id IS NOT NULL GROUP BY account_id`,
    ).all(floors) as { account_id: string; five: number; one: number }[]
    for (const row of plain) {
      const counts = of(row.account_id)
      counts.requests1m += row.one
      counts.requests5m += row.five
    }
    const others = sql(
      `SELECT details -> ${detailAt('attempts')} AS attempts, request_id >= @one AS is_newer FROM usage
       WHERE request_id >= @five AND attempt_count > 0 AND (attempt_count > 1 OR http_status >= 400)`,
    ).all(floors) as { attempts: string; is_newer: number }[]
    for (const row of others) {
      for (const attempt of JSON.parse(row.attempts) as Attempt[]) {
        const counts = of(attempt.accountId)
        counts.requests1m += row.is_newer
        counts.requests5m += 1
        if (!NO_FAILURE.has(attempt.outcome)) counts.errors5m += 1
      }
    }
    return recent
  }

  function inFlight(): ReadonlyMap<string, number> {
    const found = sql(
      `SELECT account_id, count(*) AS open FROM holds INDEXED BY holds_open
       WHERE state = 'open' AND account_id IS NOT NULL GROUP BY account_id`,
    ).all() as { account_id: string; open: number }[]
    return new Map(found.map((row) => [row.account_id, row.open]))
  }

  function health(): ReadonlyMap<string, readonly HealthRow[]> {
    const found = sql('SELECT * FROM account_health').all() as HealthRecord[]
    return Map.groupBy(found.map(toHealth), (row) => row.accountId)
  }

  function headroom(): ReadonlyMap<string, HeadroomRow> {
    const found = sql('SELECT * FROM account_headroom').all() as HeadroomRecord[]
    return new Map(found.map((row) => [row.account_id, toHeadroom(row)]))
  }

  return {
    summarize(rows: readonly AccountRow[], now: number): readonly AccountSummary[] {
      if (rows.length === 0) return []
      const facts = {
        today: sumsOfToday(now).byAccount,
        recent: recentAttempts(now),
        open: inFlight(),
        health: health(),
        headroom: headroom(),
      }
      return rows.map((row) => {
        const sums = facts.today.get(row.id)
        const recent = facts.recent.get(row.id)
        const room = facts.headroom.get(row.id) ?? null
        // An answer's rate-limit headers are the trace of use that outlives the day.
        const lastUsedAtMs = Math.max(sums?.lastUsedAtMs ?? 0, room?.updatedAtMs ?? 0)
        return {
          ...toAccount(row),
          health: facts.health.get(row.id) ?? [],
          headroom: room,
          inFlight: facts.open.get(row.id) ?? 0,
          requests1m: recent?.requests1m ?? 0,
          requests5m: recent?.requests5m ?? 0,
          errors5m: recent?.errors5m ?? 0,
          requestsToday: sums?.requests ?? 0,
          spendTodayMicro: sums?.spendMicro ?? 0,
          lastUsedAtMs: lastUsedAtMs === 0 ? null : lastUsedAtMs,
        }
      })
    },
  }
}
