import { isAccountError } from '../../core/attempt-outcome.ts'
import { idFloor, idTimeMs } from '../../core/ids.ts'
import type { Attempt, HeadroomRow, HealthRow } from '../../core/model.ts'
import type { AccountSummary } from '../store.ts'
import { ROLLUP_MS } from '../store.ts'
import {
  type AccountRow,
  type HeadroomRecord,
  type HealthRecord,
  toAccount,
  toHeadroom,
  toHealth,
} from './account-rows.ts'
import type { Context } from './context.ts'
import { isUsedUp } from './token-use.ts'
import { detailAt } from './usage-rows.ts'

interface Sums {
  requests: number
  spendMicro: number
  lastUsedAtMs: number
}

/** One attempt of the last five minutes. */
interface RecentAttempt {
  readonly accountId: string
  readonly atMs: number
  readonly isFailure: boolean
  /** Of the last one: what its account's tokens per minute count. */
  readonly tokens: number
}

interface Seen {
  readonly dayStartMs: number
  /** Rows up to this one are counted. */
  readonly upToSeq: number
  readonly today: Map<string, Sums>
  readonly recent: RecentAttempt[]
}

interface NewRow {
  readonly request_id: string
  readonly account_id: string
  readonly cost_micro: number
  readonly tokens: number
  /** JSON; null for a single attempt that went well. */
  readonly attempts: string | null
}

const MINUTE_MS = 60_000
const DAY_MS = 86_400_000
const NEW_ROW = `
  SELECT request_id, account_id, cost_micro,
    input_tokens + cache_write_5m_tokens + cache_write_1h_tokens + output_tokens AS tokens,
    CASE WHEN attempt_count <> 1 OR http_status >= 400 THEN details -> ${detailAt('attempts')} END AS attempts
  FROM usage`

/**
 * What accounts are doing now. Asked every second by a monitor, so what was counted is kept and each call
 * reads only the rows written since the last one.
 */
export function accountActivity({ sql }: Context) {
  let seen: Seen | null = null

  function look(now: number): Seen {
    const dayStartMs = Math.floor(now / DAY_MS) * DAY_MS
    const { max } = sql('SELECT max(seq) AS max FROM usage').get() as { max: number | null }
    const upToSeq = max ?? 0
    const known = seen?.dayStartMs === dayStartMs ? seen : readPast(dayStartMs, now, upToSeq)
    for (const row of newRows(known.upToSeq, upToSeq)) {
      const atMs = idTimeMs(row.request_id) ?? 0
      if (row.account_id !== null && atMs >= dayStartMs) {
        const sums = sumsOf(known.today, row.account_id)
        sums.requests += 1
        sums.spendMicro += row.cost_micro
        sums.lastUsedAtMs = Math.max(sums.lastUsedAtMs, atMs)
      }
      known.recent.push(...attemptsOf(row))
    }
    const recent = known.recent.filter((attempt) => attempt.atMs >= now - 5 * MINUTE_MS)
    seen = { ...known, upToSeq, recent }
    return seen
  }

  /** The day so far from the roll-ups, and the last five minutes. */
  function readPast(dayStartMs: number, now: number, upToSeq: number): Seen {
    const sums = sql(
      `SELECT account_id, sum(requests) AS requests, sum(cost_micro) AS spend, max(quarter) AS last
       FROM usage_rollups WHERE quarter >= ? AND requests > 0 AND account_id <> '' GROUP BY account_id`,
    ).all(dayStartMs / ROLLUP_MS) as {
      account_id: string
      requests: number
      spend: number
      last: number
    }[]
    const today = new Map<string, Sums>()
    for (const { account_id, requests, spend, last } of sums) {
      const lastUsedAtMs = lastUseIn(last, account_id)
      today.set(account_id, { requests, spendMicro: spend, lastUsedAtMs })
    }
    const rows = sql(`${NEW_ROW} WHERE request_id >= ?`).all(
      idFloor('request', now - 5 * MINUTE_MS),
    ) as NewRow[]
    return { dayStartMs, upToSeq, today, recent: rows.flatMap(attemptsOf) }
  }

  /** When the account was last used in that quarter of an hour: one was. */
  function lastUseIn(quarter: number, accountId: string): number {
    const [from, to] = [quarter, quarter + 1].map((at) => idFloor('request', at * ROLLUP_MS))
    const last = sql(
      `SELECT request_id FROM usage WHERE request_id >= ? AND request_id < ? AND account_id = ?
       ORDER BY request_id DESC LIMIT 1`,
    ).get(from, to, accountId) as { request_id: string } | undefined
    return idTimeMs(last?.request_id ?? '') ?? quarter * ROLLUP_MS
  }

  function newRows(afterSeq: number, upToSeq: number): readonly NewRow[] {
    if (afterSeq === upToSeq) return []
    return sql(`${NEW_ROW} WHERE seq > ? AND seq <= ?`).all(afterSeq, upToSeq) as NewRow[]
  }

  function recentByAccount(attempts: readonly RecentAttempt[], now: number) {
    const counts = new Map<string, { oneMinute: number; fiveMinutes: number; failures: number }>()
    for (const { accountId, atMs, isFailure } of attempts) {
      const count = counts.get(accountId) ?? { oneMinute: 0, fiveMinutes: 0, failures: 0 }
      counts.set(accountId, count)
      count.fiveMinutes += 1
      if (atMs >= now - MINUTE_MS) count.oneMinute += 1
      if (isFailure) count.failures += 1
    }
    return counts
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
      const { today, recent } = look(now)
      const facts = {
        recent: recentByAccount(recent, now),
        open: inFlight(),
        health: health(),
        headroom: headroom(),
      }
      return rows.map((row) => {
        const sums = today.get(row.id)
        const attempts = facts.recent.get(row.id)
        const account = toAccount(row)
        const { tpmLimit } = account
        const uses = tpmLimit === null ? [] : recent.filter((one) => one.accountId === row.id)
        const room = facts.headroom.get(row.id) ?? null
        // An answer's rate-limit headers are the trace of use that outlives the day.
        const lastUsedAtMs = Math.max(sums?.lastUsedAtMs ?? 0, room?.updatedAtMs ?? 0)
        return {
          ...account,
          health: facts.health.get(row.id) ?? [],
          headroom: room,
          inFlight: facts.open.get(row.id) ?? 0,
          requests1m: attempts?.oneMinute ?? 0,
          requests5m: attempts?.fiveMinutes ?? 0,
          errors5m: attempts?.failures ?? 0,
          isTpmUsedUp: tpmLimit !== null && isUsedUp(uses, tpmLimit, now),
          requestsToday: sums?.requests ?? 0,
          spendTodayMicro: sums?.spendMicro ?? 0,
          lastUsedAtMs: lastUsedAtMs === 0 ? null : lastUsedAtMs,
        }
      })
    },
  }
}

function sumsOf(today: Map<string, Sums>, accountId: string): Sums {
  const sums = today.get(accountId) ?? { requests: 0, spendMicro: 0, lastUsedAtMs: 0 }
  today.set(accountId, sums)
  return sums
}

function attemptsOf(row: NewRow): readonly RecentAttempt[] {
  const atMs = idTimeMs(row.request_id) ?? 0
  const { tokens } = row
  if (row.attempts === null) return [{ accountId: row.account_id, atMs, isFailure: false, tokens }]
  const attempts = JSON.parse(row.attempts) as Attempt[]
  return attempts.map(({ accountId, outcome }, k) => ({
    accountId,
    atMs,
    isFailure: isAccountError(outcome),
    tokens: k === attempts.length - 1 ? tokens : 0,
  }))
}
