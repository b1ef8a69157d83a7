import { isLowBalance } from '../core/low-balance.ts'
import type { Micro } from '../core/money.ts'
import {
  CHART_MINUTES,
  type KeyView,
  type ModelView,
  type RatesView,
  type Snapshot,
} from './facts.ts'
import { percentiles, type Traffic } from './traffic.ts'

/** Over how many minutes shares and percentiles are taken, the running one included. */
export const RECENT_MINUTES = 5

/** Rates, shares and percentiles. */
export function ratesOf(
  { traffic, holds }: Pick<Snapshot, 'traffic' | 'holds'>,
  nowMs: number,
): RatesView {
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
    refused: recent.reduce((sum, minute) => sum + minute.refusals, 0),
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

/** The keys of the last hour, the dearest first. */
export function keysOf({ traffic, users, lowBalanceMicro }: Snapshot, nowMs: number): KeyView[] {
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
    .map(({ label, userId, requests, costMicro }) => {
      const user = users.get(userId)
      return {
        label,
        requests,
        costMicro,
        balanceMicro: user?.balanceMicro ?? null,
        isLow: user !== undefined && isLowBalance(user, lowBalanceMicro),
      }
    })
}

/** The models of the last hour, the most used first. */
export function modelsOf(traffic: Traffic, nowMs: number): ModelView[] {
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
