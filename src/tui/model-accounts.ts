import {
  type AccountStateWord,
  accountRestsOf,
  accountStateOf,
  isPastReset,
} from '../core/account-state.ts'
import type { AccountSummary } from '../store/store.ts'
import { type AccountView, CHART_MINUTES, type Snapshot } from './facts.ts'
import { type AccountTraffic, percentiles } from './traffic.ts'
import type { WatchedAccount } from './watched-accounts.ts'

/** In which order the states are counted, and accounts are sorted. */
export const STATE_ORDER: readonly AccountStateWord[] = [
  'healthy',
  'full',
  'limited',
  'cooling',
  'no-credit',
  'invalid',
  'blocked',
  'closed',
  'disabled',
]

/** The accounts with what they are doing, sorted by state, priority and weight. */
export function accountsOf(snapshot: Snapshot, nowMs: number): AccountView[] {
  const views = snapshot.accounts.map((account) => accountOf(account, snapshot, nowMs))
  return views.sort(
    (a, b) =>
      STATE_ORDER.indexOf(a.state.word) - STATE_ORDER.indexOf(b.state.word) ||
      a.priority - b.priority ||
      b.weight - a.weight ||
      (a.name < b.name ? -1 : 1),
  )
}

function accountOf(
  account: WatchedAccount,
  { traffic, timeZone = 'UTC' }: Snapshot,
  nowMs: number,
): AccountView {
  const minutes = traffic
    .last(CHART_MINUTES, nowMs)
    .map((minute) => minute.accounts.get(account.id))
    .filter((minute) => minute !== undefined)
  const sum = (value: (minute: AccountTraffic) => number) =>
    minutes.reduce((total, minute) => total + value(minute), 0)
  const attempts = sum((minute) => minute.requests)
  const requests = traffic.series(
    CHART_MINUTES,
    nowMs,
    (minute) => minute.accounts.get(account.id)?.requests ?? 0,
  )
  requests[CHART_MINUTES - 1] = account.requests1m
  const ended = account.health.filter((row) => row.untilMs !== null && row.untilMs <= nowMs)
  return {
    id: account.id,
    name: account.name,
    credential: `sk-ant-…${account.credentialLast4}`,
    baseUrl: account.baseUrl,
    priority: account.priority,
    weight: account.weight,
    tags: account.tags,
    hours: account.hours,
    proxy: account.proxy,
    state: accountStateOf(account, { nowMs, timeZone }),
    rests: accountRestsOf(account, nowMs),
    requests1m: account.requests1m,
    rpmLimit: account.rpmLimit,
    inFlight: account.inFlight,
    load: loadOf(account, nowMs),
    errorShare:
      account.requests5m === 0 ? null : Math.min(1, account.errors5m / account.requests5m),
    spendTodayMicro: account.spendTodayMicro,
    lastUsedAtMs: account.lastUsedAtMs,
    createdAtMs: account.createdAtMs,
    firstByteMs: percentiles(
      minutes.map((minute) => minute.firstByteMs),
      [0.5, 0.95, 0.99],
    ),
    requests,
    successShare: attempts === 0 ? null : 1 - sum((minute) => minute.failures) / attempts,
    rerouted: sum((minute) => minute.rerouted),
    headroom: account.headroom,
    restEndedAtMs: ended.reduce<number | null>(
      (latest, row) => Math.max(latest ?? 0, row.untilMs ?? 0),
      null,
    ),
  }
}

/** How full the account is by the limit that is nearest: requests, concurrency, or what upstream says until that resets. */
function loadOf(account: AccountSummary, nowMs: number): number | null {
  const { rpmLimit, concurrencyLimit, headroom } = account
  const parts: number[] = []
  if (rpmLimit !== null && rpmLimit > 0) parts.push(account.requests1m / rpmLimit)
  if (concurrencyLimit !== null && concurrencyLimit > 0) {
    parts.push(account.inFlight / concurrencyLimit)
  }
  if (parts.length > 0 || headroom === null) return most(parts)
  const { requestsLimit: limit, requestsRemaining: remaining } = headroom
  if (limit !== null && limit > 0 && remaining !== null) {
    parts.push(isPastReset(headroom, nowMs) ? 0 : 1 - remaining / limit)
  }
  return most(parts)
}

function most(parts: readonly number[]): number | null {
  return parts.length === 0 ? null : Math.min(1, Math.max(0, ...parts))
}
