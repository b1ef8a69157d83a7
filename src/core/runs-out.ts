import { isLowBalance } from './low-balance.ts'
import type { User } from './model.ts'
import { formatUsd, type Micro } from './money.ts'

const QUARTER_MS = 900_000
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** Further ahead nothing can be said. */
const FARTHEST_MS = 10 * 365 * DAY_MS
/** A pace is that of so long at least: one request is none. */
const SHORTEST_RECENT_MS = 10 * 60_000

/** What the forecast goes by. */
export interface Spender extends Pick<User, 'name' | 'state' | 'lowBalanceMicro' | 'createdAtMs'> {
  readonly balanceMicro: Micro
  readonly spent30dMicro: Micro
  /** Since `recentSinceMs`. */
  readonly spentRecentMicro: Micro
}

/** Where the last hour begins for sums by quarters of an hour: 60 to 75 minutes ago. */
export function recentSinceMs(nowMs: number): number {
  return Math.floor((nowMs - HOUR_MS) / QUARTER_MS) * QUARTER_MS
}

/**
 * When the balance ends, at the pace of the last 30 days or of the last hour, whichever is faster; each of
 * the user's life, when shorter. null: no pace.
 */
export function runsOutAt(user: Spender, nowMs: number): number | null {
  if (user.balanceMicro <= 0) return null
  const ageMs = nowMs - user.createdAtMs
  const monthMs = Math.min(30 * DAY_MS, Math.max(DAY_MS, ageMs))
  const recentMs = Math.min(nowMs - recentSinceMs(nowMs), Math.max(SHORTEST_RECENT_MS, ageMs))
  const microPerMs = Math.max(user.spent30dMicro / monthMs, user.spentRecentMicro / recentMs)
  if (microPerMs <= 0) return null
  const leftMs = user.balanceMicro / microPerMs
  return leftMs > FARTHEST_MS ? null : nowMs + Math.round(leftMs)
}

/** `~14 d`, `~10 min`, `empty`, `–`: how long the balance lasts. */
export function runsOutIn(user: Spender, nowMs: number): string {
  if (user.balanceMicro <= 0) return 'empty'
  const atMs = runsOutAt(user, nowMs)
  if (atMs === null) return '–'
  const minutes = (atMs - nowMs) / 60_000
  if (minutes < 60) return `~${Math.max(1, Math.round(minutes))} min`
  const hours = minutes / 60
  return hours < 48 ? `~${Math.round(hours)} h` : `~${Math.round(hours / 24)} d`
}

/** A user who will soon have nothing left, and the command that helps. */
export interface LowBalance {
  readonly message: string
  readonly command: string
}

/** Active users with little left who spent something within 30 days, the first to have nothing first. */
export function lowBalances(
  users: Iterable<Spender>,
  { nowMs, noticeMicro }: { readonly nowMs: number; readonly noticeMicro: Micro | null },
): readonly LowBalance[] {
  const endOf = (user: Spender) =>
    user.balanceMicro <= 0 ? 0 : (runsOutAt(user, nowMs) ?? Number.MAX_SAFE_INTEGER)
  return [...users]
    .filter((user) => user.state === 'active' && user.spent30dMicro > 0)
    .filter((user) => isLowBalance(user, noticeMicro))
    .sort((a, b) => endOf(a) - endOf(b) || a.balanceMicro - b.balanceMicro)
    .map((user) => {
      const lasts = runsOutIn(user, nowMs)
      const amount = formatUsd(user.balanceMicro)
      const left = amount.startsWith('-')
        ? `${user.name} owes ${amount.slice(1)}`
        : `${user.name} has ${amount} left`
      return {
        message: lasts.startsWith('~') ? `${left} (${lasts})` : left,
        command: `ccgate credit grant ${user.name} 20`,
      }
    })
}
