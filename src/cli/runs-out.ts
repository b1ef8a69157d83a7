import type { UserSummary } from '../store/store.ts'

const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000
/** Further ahead nothing can be said. */
const FARTHEST_MS = 10 * 365 * DAY_MS

/** When the balance ends at the pace of the last 30 days (of the user's life, when shorter); null: no pace. */
export function runsOutAt(user: UserSummary, nowMs: number): number | null {
  if (user.spent30dMicro <= 0 || user.balanceMicro <= 0) return null
  const spanMs = Math.min(30 * DAY_MS, Math.max(DAY_MS, nowMs - user.createdAtMs))
  const leftMs = (user.balanceMicro / user.spent30dMicro) * spanMs
  return leftMs > FARTHEST_MS ? null : nowMs + Math.round(leftMs)
}

/** `~14 d`, `~10 min`, `empty`, `–`: how long the balance lasts. */
export function runsOutIn(user: UserSummary, nowMs: number): string {
  if (user.balanceMicro <= 0) return 'empty'
  const atMs = runsOutAt(user, nowMs)
  if (atMs === null) return '–'
  const hours = (atMs - nowMs) / HOUR_MS
  if (hours < 1) return `~${Math.max(1, Math.round(hours * 60))} min`
  return hours < 48 ? `~${Math.round(hours)} h` : `~${Math.round(hours / 24)} d`
}
