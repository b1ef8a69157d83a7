import { type AccountState, type AccountStateWord, accountStateOf } from '../core/account-state.ts'
import type { Boot, Hold } from '../core/model.ts'
import type { Micro } from '../core/money.ts'
import { formatUsd } from '../core/money.ts'
import type { TokenCounts } from '../core/usage.ts'
import type { AccountSummary, UsageRow, UsageTotals, UserSummary } from '../store/store.ts'
import {
  type AccountTraffic,
  isError,
  isRerouted,
  percentiles,
  type Traffic,
  tokensIn,
} from './traffic.ts'

/** A boot row whose heartbeat is older than this, in ms, belongs to a dead daemon. */
export const HEARTBEAT_TTL_MS = 15_000
/** A balance below this is marked. */
export const LOW_BALANCE_MICRO: Micro = 5_000_000
const RECENT_MINUTES = 5
const RATE_MINUTES = 10
const CHART_MINUTES = 60

/** What one look at the database found. */
export interface Snapshot {
  readonly boots: readonly Boot[]
  readonly accounts: readonly AccountSummary[]
  /** Requests in flight. */
  readonly holds: readonly Hold[]
  readonly users: ReadonlyMap<string, UserSummary>
  /** Since midnight UTC; null when not read yet. */
  readonly today: UsageTotals | null
  readonly traffic: Traffic
}

/** Everything the screens show, still as numbers; null stands for "not known yet". */
export interface Model {
  readonly daemon: DaemonView
  /** null: not read yet. */
  readonly rates: RatesView | null
  readonly today: TodayView | null
  readonly accounts: readonly AccountView[]
  /** How many accounts are in which state, in the order of the words below. */
  readonly states: readonly { readonly word: AccountStateWord; readonly count: number }[]
  readonly keys: readonly KeyView[]
  readonly models: readonly ModelView[]
  readonly problems: readonly ProblemView[]
  readonly latest: readonly LatestView[]
  /** Newest and most urgent first. */
  readonly warnings: readonly Warning[]
}

export interface DaemonView {
  readonly kind: 'loading' | 'serving' | 'draining' | 'down'
  /** null: it never ran on this database. */
  readonly boot: Boot | null
  /** `api.example.com`, or '' when unknown. */
  readonly host: string
}

export interface RatesView {
  readonly requestsPerMinute: number
  readonly peak: number
  /** Per minute, oldest first, 60 values; the last one is the minute until now. */
  readonly requests: readonly number[]
  readonly errors: readonly number[]
  readonly spendMicro: readonly number[]
  readonly spendLastHourMicro: Micro
  /** Of the last 5 minutes; null without requests. */
  readonly errorShare: number | null
  /** `529` or `cut`, most frequent first, of the last 5 minutes. */
  readonly statuses: readonly (readonly [label: string, count: number])[]
  /** p50, p95, p99 of the last 5 minutes. */
  readonly gatewayUs: readonly number[] | null
  readonly firstByteMs: readonly number[] | null
  readonly inFlight: number
  readonly streaming: number
}

export interface TodayView {
  readonly costMicro: Micro
  readonly requests: number
  readonly tokens: TokenCounts
  /** Share of input tokens read from the prompt cache; null without input. */
  readonly cacheHit: number | null
}

export interface AccountView {
  readonly id: string
  readonly name: string
  readonly credential: string
  readonly baseUrl: string
  readonly priority: number
  readonly weight: number
  readonly state: AccountState
  readonly requests1m: number
  readonly rpmLimit: number | null
  readonly inFlight: number
  /** 0 to 1; null when the account has no limit to fill. */
  readonly load: number | null
  /** null without requests in 5 minutes. */
  readonly errorShare: number | null
  readonly spendTodayMicro: Micro
  readonly lastUsedAtMs: number | null
  readonly createdAtMs: number
  /** p50, p95, p99 of the first byte within the hour. */
  readonly firstByteMs: readonly number[] | null
  /** Attempts per minute, oldest first, 60 values. */
  readonly requests: readonly number[]
  /** Of the attempts within the hour; null without. */
  readonly successShare: number | null
  readonly rerouted: number
  readonly headroom: AccountSummary['headroom']
  /** When the last rest ended by itself; null: none did. */
  readonly restEndedAtMs: number | null
}

export interface KeyView {
  readonly label: string
  readonly requests: number
  readonly costMicro: Micro
  /** null: the user is gone. */
  readonly balanceMicro: Micro | null
}

export interface ModelView {
  readonly name: string
  readonly requests: number
  readonly tokensIn: number
  readonly tokensOut: number
  readonly costMicro: Micro
}

export interface ProblemView {
  readonly atMs: number
  /** `429`, or what happened when there was no status, such as `unreachable`. */
  readonly status: string
  readonly what: string
  readonly errorCode: string | null
  /** The client got a good answer after all. */
  readonly recovered: boolean
}

export interface LatestView {
  readonly requestId: string
  readonly atMs: number
  readonly status: string
  readonly isError: boolean
  readonly key: string
  readonly model: string
  readonly account: string | null
  readonly tokensIn: number | null
  readonly tokensOut: number | null
  readonly cacheRead: boolean
  readonly firstByteMs: number | null
  readonly costMicro: Micro | null
  /** Name of the account it was moved away from. */
  readonly reroutedFrom: string | null
  readonly errorCode: string | null
}

export interface Warning {
  readonly tone: 'warn' | 'bad'
  readonly text: string
  /** A command that helps; null when there is none. */
  readonly command: string | null
}

/** In which order the states are counted, and accounts are sorted. */
const WORDS: readonly AccountStateWord[] = [
  'healthy',
  'full',
  'limited',
  'cooling',
  'no-credit',
  'invalid',
  'blocked',
  'disabled',
]

/** What the database says, as of `nowMs`; `snapshot` is null until it was read for the first time. */
export function modelOf(snapshot: Snapshot | null, nowMs: number): Model {
  if (snapshot === null) return EMPTY
  const daemon = daemonOf(snapshot.boots, nowMs)
  const accounts = accountsOf(snapshot, nowMs)
  const keys = keysOf(snapshot, nowMs)
  return {
    daemon,
    rates: ratesOf(snapshot, nowMs),
    today: snapshot.today === null ? null : todayOf(snapshot.today),
    accounts,
    states: WORDS.map((word) => ({
      word,
      count: accounts.filter((account) => account.state.word === word).length,
    })).filter(({ count }) => count > 0),
    keys,
    models: modelsOf(snapshot.traffic, nowMs),
    problems: snapshot.traffic.problems.map(problemOf),
    latest: latestOf(snapshot),
    warnings: daemon.kind === 'down' ? [] : warningsOf(snapshot, accounts, nowMs),
  }
}

/** The daemon as its newest boot row tells: alive while the heartbeat is young. */
export function daemonOf(boots: readonly Boot[], nowMs: number): DaemonView {
  const alive = boots.find(
    (boot) => boot.state !== 'stopped' && nowMs - boot.heartbeatAtMs < HEARTBEAT_TTL_MS,
  )
  const boot = alive ?? boots[0] ?? null
  const kind = alive === undefined ? 'down' : alive.state === 'draining' ? 'draining' : 'serving'
  return { kind, boot, host: boot === null ? '' : hostOf(boot.publicUrl) }
}

function hostOf(url: string): string {
  return url.replace(/^[a-z]+:\/\//, '').replace(/\/.*$/, '')
}

function ratesOf({ traffic, holds }: Snapshot, nowMs: number): RatesView {
  const requests = traffic.series(CHART_MINUTES, nowMs, (minute) => minute.requests)
  const minuteNow = Math.floor(nowMs / 60_000)
  let startedLastMinute = 0
  for (const hold of holds) {
    // A running request has no usage row yet, but it did begin.
    if (nowMs - hold.openedAtMs < 60_000) startedLastMinute += 1
    const back = minuteNow - Math.floor(hold.openedAtMs / 60_000)
    if (back >= 0 && back < CHART_MINUTES) requests[CHART_MINUTES - 1 - back] += 1
  }
  const requestsPerMinute = traffic.lastMinuteRequests(nowMs) + startedLastMinute
  // The running minute is never full: its column shows the last 60 seconds instead.
  requests[CHART_MINUTES - 1] = requestsPerMinute
  const recent = traffic.last(RECENT_MINUTES, nowMs)
  const seen = recent.reduce((sum, minute) => sum + minute.requests, 0)
  const failed = recent.reduce((sum, minute) => sum + minute.errors, 0)
  const spendMicro = traffic.series(CHART_MINUTES, nowMs, (minute) => minute.costMicro)
  const shares = [0.5, 0.95, 0.99]
  return {
    requestsPerMinute,
    peak: Math.max(...requests),
    requests,
    errors: traffic.series(CHART_MINUTES, nowMs, (minute) => minute.errors),
    spendMicro,
    spendLastHourMicro: spendMicro.reduce((sum, micro) => sum + micro, 0),
    errorShare: seen === 0 ? null : failed / seen,
    statuses: sumStatuses(recent.map((minute) => minute.statuses)),
    gatewayUs: percentiles(
      recent.map((minute) => minute.gatewayUs),
      shares,
    ),
    firstByteMs: percentiles(
      recent.map((minute) => minute.firstByteMs),
      shares,
    ),
    inFlight: holds.length,
    streaming: holds.filter((hold) => hold.stream && hold.phase === 'started').length,
  }
}

function sumStatuses(all: readonly ReadonlyMap<string, number>[]): [string, number][] {
  const sums = new Map<string, number>()
  for (const statuses of all) {
    for (const [label, count] of statuses) sums.set(label, (sums.get(label) ?? 0) + count)
  }
  return [...sums].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
}

function todayOf(totals: UsageTotals): TodayView {
  const input = tokensIn(totals)
  return {
    costMicro: totals.costMicro,
    requests: totals.requests,
    tokens: totals.tokens,
    cacheHit: input === 0 ? null : totals.tokens.cacheRead / input,
  }
}

function accountsOf(snapshot: Snapshot, nowMs: number): AccountView[] {
  const views = snapshot.accounts.map((account) => accountOf(account, snapshot.traffic, nowMs))
  return views.sort(
    (a, b) =>
      WORDS.indexOf(a.state.word) - WORDS.indexOf(b.state.word) ||
      a.priority - b.priority ||
      b.weight - a.weight ||
      (a.name < b.name ? -1 : 1),
  )
}

function accountOf(account: AccountSummary, traffic: Traffic, nowMs: number): AccountView {
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
    state: accountStateOf(account, nowMs),
    requests1m: account.requests1m,
    rpmLimit: account.rpmLimit,
    inFlight: account.inFlight,
    load: loadOf(account),
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

/** How full the account is by the limit that is nearest: requests, concurrency, or what upstream says. */
function loadOf(account: AccountSummary): number | null {
  const { rpmLimit, concurrencyLimit, headroom } = account
  const parts: number[] = []
  if (rpmLimit !== null && rpmLimit > 0) parts.push(account.requests1m / rpmLimit)
  if (concurrencyLimit !== null && concurrencyLimit > 0) {
    parts.push(account.inFlight / concurrencyLimit)
  }
  const limit = headroom?.requestsLimit
  const remaining = headroom?.requestsRemaining
  if (parts.length === 0 && limit != null && limit > 0 && remaining != null) {
    parts.push(1 - remaining / limit)
  }
  return parts.length === 0 ? null : Math.min(1, Math.max(0, ...parts))
}

function keysOf({ traffic, users }: Snapshot, nowMs: number): KeyView[] {
  const keys = new Map<
    string,
    { label: string; userId: string; requests: number; costMicro: Micro }
  >()
  for (const minute of traffic.last(CHART_MINUTES, nowMs)) {
    for (const [id, key] of minute.keys) {
      const sum = keys.get(id) ?? {
        label: key.label,
        userId: key.userId,
        requests: 0,
        costMicro: 0,
      }
      sum.requests += key.requests
      sum.costMicro += key.costMicro
      keys.set(id, sum)
    }
  }
  return [...keys.values()]
    .sort(
      (a, b) =>
        b.costMicro - a.costMicro || b.requests - a.requests || (a.label < b.label ? -1 : 1),
    )
    .map(({ label, userId, requests, costMicro }) => ({
      label,
      requests,
      costMicro,
      balanceMicro: users.get(userId)?.balanceMicro ?? null,
    }))
}

function modelsOf(traffic: Traffic, nowMs: number): ModelView[] {
  const models = new Map<string, ModelView>()
  for (const minute of traffic.last(CHART_MINUTES, nowMs)) {
    for (const [name, add] of minute.models) {
      const sum = models.get(name)
      models.set(name, {
        name,
        requests: (sum?.requests ?? 0) + add.requests,
        tokensIn: (sum?.tokensIn ?? 0) + add.tokensIn,
        tokensOut: (sum?.tokensOut ?? 0) + add.tokensOut,
        costMicro: (sum?.costMicro ?? 0) + add.costMicro,
      })
    }
  }
  return [...models.values()].sort((a, b) => b.requests - a.requests || (a.name < b.name ? -1 : 1))
}

function problemOf(row: UsageRow): ProblemView {
  const key = `${row.userName}/${row.keyName}`
  if (isRerouted(row)) {
    const first = row.attempts[0]
    const from = row.accountNames[first.accountId] ?? '?'
    const last = row.attempts[row.attempts.length - 1]
    const recovered = !isError(row)
    const status = String(first.httpStatus ?? first.outcome)
    const to = row.accountNames[last.accountId] ?? '?'
    const what = `${from} → ${to}  ${recovered ? 'ok' : row.httpStatus}`
    return { atMs: row.createdAtMs, status, what, errorCode: null, recovered }
  }
  const status = row.httpStatus >= 400 ? String(row.httpStatus) : 'cut'
  const account = row.accountName === null ? '' : `${row.accountName} `
  return {
    atMs: row.createdAtMs,
    status,
    what: `${account}${key}`,
    errorCode: row.errorCode,
    recovered: false,
  }
}

function latestOf({ traffic, holds, accounts, users }: Snapshot): LatestView[] {
  const accountNames = new Map(accounts.map((account) => [account.id, account.name]))
  const keyNames = new Map<string, string>()
  for (const minute of traffic.minutes.values()) {
    for (const [id, key] of minute.keys) keyNames.set(id, key.label)
  }
  const running = holds.map((hold): LatestView => {
    const tokens = hold.progress?.tokens
    return {
      requestId: hold.requestId,
      atMs: hold.openedAtMs,
      status: hold.phase === 'started' ? '200~' : '…',
      isError: false,
      key: keyNames.get(hold.keyId) ?? users.get(hold.userId)?.name ?? '?',
      model: hold.model,
      account: hold.accountId === null ? null : (accountNames.get(hold.accountId) ?? '?'),
      tokensIn: tokens === undefined ? null : tokensIn({ tokens }),
      tokensOut: tokens?.output ?? null,
      cacheRead: (tokens?.cacheRead ?? 0) > 0,
      firstByteMs: null,
      costMicro: null,
      reroutedFrom: null,
      errorCode: null,
    }
  })
  const closed = traffic.latest.map((row): LatestView => {
    const from = isRerouted(row) ? (row.accountNames[row.attempts[0].accountId] ?? '?') : null
    return {
      requestId: row.requestId,
      atMs: row.createdAtMs,
      status: `${row.httpStatus}${from === null ? '' : '↻'}`,
      isError: isError(row),
      key: `${row.userName}/${row.keyName}`,
      model: row.responseModel ?? row.model,
      account: row.accountName,
      tokensIn: row.status === 'rejected' ? null : tokensIn(row),
      tokensOut: row.status === 'rejected' ? null : row.tokens.output,
      cacheRead: row.tokens.cacheRead > 0,
      firstByteMs: row.firstByteMs,
      costMicro: row.costMicro,
      reroutedFrom: from,
      errorCode: row.errorCode,
    }
  })
  return [...running, ...closed].sort((a, b) => b.atMs - a.atMs)
}

function warningsOf(
  snapshot: Snapshot,
  accounts: readonly AccountView[],
  nowMs: number,
): Warning[] {
  const warnings: Warning[] = []
  const usable = new Set<AccountStateWord>(['healthy', 'full'])
  if (accounts.length > 0 && !accounts.some((account) => usable.has(account.state.word))) {
    const text = 'no account is healthy: requests are refused or wait'
    warnings.push({ tone: 'bad', text, command: 'ccgate accounts list' })
  }
  return [...warnings, ...lowBalances(snapshot, nowMs)]
}

/** Users that spent within the hour and have little left, the poorest first. */
function lowBalances({ traffic, users }: Snapshot, nowMs: number): Warning[] {
  const spent = new Map<string, Micro>()
  for (const minute of traffic.last(CHART_MINUTES, nowMs)) {
    for (const key of minute.keys.values()) spent.set(key.userId, spent.get(key.userId) ?? 0)
  }
  for (const minute of traffic.last(RATE_MINUTES, nowMs)) {
    for (const key of minute.keys.values()) {
      spent.set(key.userId, (spent.get(key.userId) ?? 0) + key.costMicro)
    }
  }
  const low: { user: UserSummary; perMinuteMicro: number }[] = []
  for (const [userId, micro] of spent) {
    const user = users.get(userId)
    if (user !== undefined && user.balanceMicro < LOW_BALANCE_MICRO) {
      low.push({ user, perMinuteMicro: micro / RATE_MINUTES })
    }
  }
  return low
    .sort(
      (a, b) => a.user.balanceMicro - b.user.balanceMicro || (a.user.name < b.user.name ? -1 : 1),
    )
    .map(({ user, perMinuteMicro }) => ({
      tone: 'warn',
      text: `${user.name} has ${formatUsd(user.balanceMicro)} left${timeLeft(user.balanceMicro, perMinuteMicro)}`,
      command: `ccgate credit grant ${user.name} 20`,
    }))
}

function timeLeft(balanceMicro: Micro, perMinuteMicro: number): string {
  if (perMinuteMicro <= 0 || balanceMicro <= 0) return ''
  const minutes = Math.floor(balanceMicro / perMinuteMicro)
  if (minutes > 48 * 60) return ''
  const time = minutes < 120 ? `${Math.max(1, minutes)} min` : `${Math.floor(minutes / 60)} h`
  return `, about ${time} at this rate`
}

const EMPTY: Model = {
  daemon: { kind: 'loading', boot: null, host: '' },
  rates: null,
  today: null,
  accounts: [],
  states: [],
  keys: [],
  models: [],
  problems: [],
  latest: [],
  warnings: [],
}
