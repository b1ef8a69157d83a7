import type { Boot } from '../core/model.ts'
import type { UsageTotals } from '../store/store.ts'
import {
  type DaemonView,
  HEARTBEAT_TTL_MS,
  type Model,
  type Snapshot,
  type TodayView,
} from './facts.ts'
import { accountsOf, STATE_ORDER } from './model-accounts.ts'
import { latestOf, problemOf } from './model-requests.ts'
import { keysOf, modelsOf, ratesOf } from './model-traffic.ts'
import { warningsOf } from './model-warnings.ts'
import { tokensIn } from './traffic.ts'

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
    states: STATE_ORDER.map((word) => ({
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

function todayOf(totals: UsageTotals): TodayView {
  const input = tokensIn(totals)
  return {
    costMicro: totals.costMicro,
    requests: totals.requests,
    tokens: totals.tokens,
    cacheHit: input === 0 ? null : totals.tokens.cacheRead / input,
  }
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
