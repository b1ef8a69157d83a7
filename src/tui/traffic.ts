import { isAccountError } from '../core/attempt-outcome.ts'
import type { Micro } from '../core/money.ts'
import { firstTokenOf, modelText, outcomeOf } from '../core/outcome.ts'
import type { UsageRow } from '../store/store.ts'

const MINUTE_MS = 60_000
/** How much of the past the monitor keeps. */
export const KEPT_MINUTES = 60
const KEPT_ROWS = 60

/** Counts of values in steps of 2 %, so that an hour of percentiles needs some hundred numbers. */
export class Histogram {
  readonly bins = new Map<number, number>()

  /** Counts one value, 0 or more. */
  add(value: number): void {
    const bin = Math.round(Math.log(Math.max(value, 1)) * 50)
    this.bins.set(bin, (this.bins.get(bin) ?? 0) + 1)
  }
}

/** The values below which these shares (0 to 1) of all counted values lie; null when none was counted. */
export function percentiles(
  histograms: Iterable<Histogram>,
  shares: readonly number[],
): readonly number[] | null {
  const bins = new Map<number, number>()
  let total = 0
  for (const histogram of histograms) {
    for (const [bin, count] of histogram.bins) {
      bins.set(bin, (bins.get(bin) ?? 0) + count)
      total += count
    }
  }
  if (total === 0) return null
  const sorted = [...bins].sort((a, b) => a[0] - b[0])
  return shares.map((share) => {
    let seen = 0
    for (const [bin, count] of sorted) {
      seen += count
      if (seen >= share * total) return Math.exp(bin / 50)
    }
    return Math.exp(sorted[sorted.length - 1][0] / 50)
  })
}

/** What one key did in a minute. */
export interface KeyTraffic {
  readonly label: string
  readonly userId: string
  readonly userName: string
  requests: number
  costMicro: Micro
}

/** What one model did in a minute. */
export interface ModelTraffic {
  requests: number
  tokensIn: number
  tokensOut: number
  costMicro: Micro
}

/** What one account did in a minute; `requests` are attempts. */
export interface AccountTraffic {
  requests: number
  failures: number
  rerouted: number
  readonly firstByteMs: Histogram
}

/** One minute of requests by the time they began. */
export class Minute {
  requests = 0
  /** Ours or upstream's: 5xx, or an answer that broke off. */
  errors = 0
  /** The clients' own: 4xx, and answers that ended with the customer's money. */
  refusals = 0
  costMicro: Micro = 0
  /** Of errors: `529`, `cut`. */
  readonly statuses = new Map<string, number>()
  readonly gatewayUs = new Histogram()
  readonly firstByteMs = new Histogram()
  readonly keys = new Map<string, KeyTraffic>()
  readonly models = new Map<string, ModelTraffic>()
  readonly accounts = new Map<string, AccountTraffic>()
}

/** Usage rows folded into minutes: what charts, shares and percentiles are made of. */
export class Traffic {
  readonly minutes = new Map<number, Minute>()
  /** Requests and errors by second, for the last minute or so. */
  readonly seconds = new Map<number, number>()
  /** Newest first. */
  latest: readonly UsageRow[] = []
  /** Failed, interrupted and rerouted requests, newest first. */
  problems: readonly UsageRow[] = []

  /** Counts rows in any order; each row must be given once. */
  add(rows: readonly UsageRow[]): void {
    for (const row of rows) this.#count(row)
    this.latest = newest([...rows, ...this.latest])
    const problems = rows.filter((row) => isError(row) || isRerouted(row))
    if (problems.length > 0) this.problems = newest([...problems, ...this.problems])
  }

  /** Drops what is older than the charts. */
  forget(nowMs: number): void {
    const oldest = Math.floor(nowMs / MINUTE_MS) - KEPT_MINUTES
    for (const minute of this.minutes.keys()) if (minute < oldest) this.minutes.delete(minute)
    const second = Math.floor(nowMs / 1000) - 120
    for (const at of this.seconds.keys()) if (at < second) this.seconds.delete(at)
  }

  /** The minutes of the last `count` minutes that saw requests. */
  last(count: number, nowMs: number): readonly Minute[] {
    const current = Math.floor(nowMs / MINUTE_MS)
    const found: Minute[] = []
    for (const [at, minute] of this.minutes) {
      if (at > current - count && at <= current) found.push(minute)
    }
    return found
  }

  /** Values of the last `count` minutes, oldest first; minutes without requests are 0. */
  series(count: number, nowMs: number, value: (minute: Minute) => number): number[] {
    const current = Math.floor(nowMs / MINUTE_MS)
    return Array.from({ length: count }, (_, i) => {
      const minute = this.minutes.get(current - count + 1 + i)
      return minute === undefined ? 0 : value(minute)
    })
  }

  /** Closed requests that began within the last 60 seconds. */
  lastMinuteRequests(nowMs: number): number {
    const second = Math.floor(nowMs / 1000)
    let sum = 0
    for (const [at, count] of this.seconds) if (at > second - 60 && at <= second) sum += count
    return sum
  }

  #count(row: UsageRow): void {
    const minute = entry(this.minutes, Math.floor(row.createdAtMs / MINUTE_MS), () => new Minute())
    const second = Math.floor(row.createdAtMs / 1000)
    this.seconds.set(second, (this.seconds.get(second) ?? 0) + 1)
    minute.requests += 1
    minute.costMicro += row.costMicro
    const outcome = outcomeOf(row)
    if (outcome === 'refused') minute.refusals += 1
    else if (outcome === 'failed') {
      minute.errors += 1
      const label = row.httpStatus >= 400 ? String(row.httpStatus) : 'cut'
      minute.statuses.set(label, (minute.statuses.get(label) ?? 0) + 1)
    }
    if (row.attempts.length > 0) minute.gatewayUs.add(row.gatewayUs)
    const firstTokenMs = firstTokenOf(row)
    if (firstTokenMs !== null && row.httpStatus < 400) minute.firstByteMs.add(firstTokenMs)
    countKey(minute, row)
    countModel(minute, row)
    countAttempts(minute, row)
  }
}

/** The client got an error, a refusal or only a part; a client that left (499) is none. */
export function isError(row: UsageRow): boolean {
  const outcome = outcomeOf(row)
  return outcome === 'failed' || outcome === 'refused'
}

/** More than one account was tried. */
export function isRerouted(row: UsageRow): boolean {
  return row.attempts.length > 1
}

function countKey(minute: Minute, row: UsageRow): void {
  const key = entry<string, KeyTraffic>(minute.keys, row.keyId, () => ({
    label: `${row.userName}/${row.keyName}`,
    userId: row.userId,
    userName: row.userName,
    requests: 0,
    costMicro: 0,
  }))
  key.requests += 1
  key.costMicro += row.costMicro
}

function countModel(minute: Minute, row: UsageRow): void {
  // What never reached an account may name anything at all, or nothing.
  if (row.attempts.length === 0) return
  const model = entry<string, ModelTraffic>(minute.models, modelText(row), () => ({
    requests: 0,
    tokensIn: 0,
    tokensOut: 0,
    costMicro: 0,
  }))
  model.requests += 1
  model.tokensIn += tokensIn(row)
  model.tokensOut += row.tokens.output
  model.costMicro += row.costMicro
}

/** All that went in: fresh, read from and written to the cache. */
export function tokensIn({ tokens }: Pick<UsageRow, 'tokens'>): number {
  return tokens.input + tokens.cacheRead + tokens.cacheWrite5m + tokens.cacheWrite1h
}

function countAttempts(minute: Minute, row: UsageRow): void {
  row.attempts.forEach((attempt, i) => {
    const account = entry<string, AccountTraffic>(minute.accounts, attempt.accountId, () => ({
      requests: 0,
      failures: 0,
      rerouted: 0,
      firstByteMs: new Histogram(),
    }))
    account.requests += 1
    if (isAccountError(attempt.outcome)) account.failures += 1
    const isLast = i === row.attempts.length - 1
    if (!isLast) account.rerouted += 1
    else {
      const firstTokenMs = firstTokenOf(row)
      if (firstTokenMs !== null && attempt.outcome === 'ok') account.firstByteMs.add(firstTokenMs)
    }
  })
}

function newest(rows: UsageRow[]): readonly UsageRow[] {
  return rows
    .sort((a, b) => b.createdAtMs - a.createdAtMs || (a.requestId < b.requestId ? 1 : -1))
    .slice(0, KEPT_ROWS)
}

function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const found = map.get(key)
  if (found !== undefined) return found
  const made = make()
  map.set(key, made)
  return made
}
