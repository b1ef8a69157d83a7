import { noticeLines } from '../core/account-notices.ts'
import { isUsable } from '../core/account-state.ts'
import { isLowBalance } from '../core/low-balance.ts'
import { formatUsd, type Micro } from '../core/money.ts'
import type { UserSummary } from '../store/store.ts'
import { type AccountView, CHART_MINUTES, type Snapshot, type Warning } from './facts.ts'

const RATE_MINUTES = 10
const DAY_MINUTES = 24 * 60
const NEARLY_NOTHING_MICRO: Micro = 1_000_000

/** What a person should look at, the most urgent first. */
export function warningsOf(
  snapshot: Snapshot,
  accounts: readonly AccountView[],
  nowMs: number,
): Warning[] {
  const warnings: Warning[] = []
  if (accounts.length > 0 && !accounts.some((account) => isUsable(account.state))) {
    const text = 'no account is healthy: requests are refused or wait'
    warnings.push({ tone: 'bad', text, command: 'ccgate accounts list' })
  }
  const { timeZone = 'UTC' } = snapshot
  const notices = snapshot.accounts
    .flatMap((account) => noticeLines(account, timeZone))
    .map(({ message, command }): Warning => ({ tone: 'warn', text: message, command }))
  return [...warnings, ...notices, ...lowBalances(snapshot, nowMs)]
}

/** Users that spent within the hour and have little left, the poorest first. */
function lowBalances({ traffic, users, lowBalanceMicro }: Snapshot, nowMs: number): Warning[] {
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
    const perMinuteMicro = micro / RATE_MINUTES
    const isLow = user !== undefined && isLowBalance(user, lowBalanceMicro)
    if (isLow && isRunningOut(user, perMinuteMicro)) {
      low.push({ user, perMinuteMicro })
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

/** It will not last the day, or is as good as nothing; who has a figure of their own wants to know in any case. */
function isRunningOut(
  { balanceMicro, lowBalanceMicro }: UserSummary,
  perMinuteMicro: number,
): boolean {
  if (lowBalanceMicro !== null) return true
  return balanceMicro < NEARLY_NOTHING_MICRO || balanceMicro < perMinuteMicro * DAY_MINUTES
}

function timeLeft(balanceMicro: Micro, perMinuteMicro: number): string {
  if (perMinuteMicro <= 0 || balanceMicro <= 0) return ''
  const minutes = Math.floor(balanceMicro / perMinuteMicro)
  if (minutes > 2 * DAY_MINUTES) return ''
  const time = minutes < 120 ? `${Math.max(1, minutes)} min` : `${Math.floor(minutes / 60)} h`
  return `, about ${time} at this rate`
}
