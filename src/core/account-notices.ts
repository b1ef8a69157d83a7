import { hourLabel, windowOf } from './calendar.ts'
import type { Account, AccountEvent } from './model.ts'
import { formatUsdFull, type Micro } from './money.ts'

/** Kinds of account events that people are told of beside the account's state. */
export const NOTICE_KINDS = {
  /** A request was turned away, for the account could have gone beyond its cap. */
  cap: 'cap_reached',
  /** Upstream's headroom falls faster than our own requests explain. */
  foreignUse: 'credential_used_elsewhere',
  /** Upstream told accounts of one cache scope different workspaces. */
  cacheScope: 'cache_scope_differs',
} as const

const PERIODS = ['day', 'month'] as const

/** One cap of an account and what of it is used, in list cost. */
export interface CapUse {
  readonly period: (typeof PERIODS)[number]
  readonly capMicro: Micro
  readonly usedMicro: Micro
  readonly resetsAtMs: number
  /** It is used up, or requests were turned away because of it. */
  readonly isReached: boolean
}

/** What people should know of an account beside its health. */
export interface AccountNotices {
  /** Those that are set, the day's first. */
  readonly caps: readonly CapUse[]
  /** When its credential was last seen in use elsewhere, and how much; null: not within a day. */
  readonly foreignUse: Pick<AccountEvent, 'atMs' | 'message'> | null
  /** How upstream contradicts its cache scope; absent or null: it does not. */
  readonly cacheScope?: string | null
}

/** A line for status and monitor: what to see to, and the command that helps. */
export interface NoticeLine {
  readonly code: 'account_capped' | 'credential_used_elsewhere' | 'cache_scope_differs'
  readonly message: string
  readonly command: string
}

/** The windows of caps, day and month: `[sinceMs, untilMs)`. */
export function capWindows(nowMs: number, timeZone: string) {
  return PERIODS.map((period) => windowOf(period, nowMs, timeZone))
}

/**
 * The caps of an account; `costsMicro` are its list costs in `windows`, and `turnedAway` the last event that says
 * that a request did not fit. Such an event is about the cap that is nearest to its end.
 */
export function capUsesOf(
  account: Pick<Account, 'dayCapMicro' | 'monthCapMicro'>,
  facts: {
    readonly windows: ReturnType<typeof capWindows>
    readonly costsMicro: readonly Micro[]
    readonly turnedAway: Pick<AccountEvent, 'atMs'> | null
  },
): readonly CapUse[] {
  const turnedAwayMs = facts.turnedAway?.atMs ?? Number.NEGATIVE_INFINITY
  const uses = PERIODS.flatMap((period, index): CapUse[] => {
    const capMicro = period === 'day' ? account.dayCapMicro : account.monthCapMicro
    if (capMicro === null) return []
    const usedMicro = facts.costsMicro[index]
    const resetsAtMs = facts.windows[index].untilMs
    return [{ period, capMicro, usedMicro, resetsAtMs, isReached: usedMicro >= capMicro }]
  })
  if (uses.some(({ isReached }) => isReached)) return uses
  const roomMicro = ({ capMicro, usedMicro }: CapUse) => capMicro - usedMicro
  const nearest = uses.toSorted((a, b) => roomMicro(a) - roomMicro(b))[0]
  return uses.map((use) => {
    const { sinceMs } = facts.windows[PERIODS.indexOf(use.period)]
    return use === nearest && turnedAwayMs >= sinceMs ? { ...use, isReached: true } : use
  })
}

/** The cap that keeps requests away for the longest time; null when none does. */
export function reachedCap(notices: AccountNotices | undefined): CapUse | null {
  return notices?.caps.filter(({ isReached }) => isReached).at(-1) ?? null
}

/** What to tell of an account; nothing of one that a person disabled. */
export function noticeLines(
  account: Pick<Account, 'name' | 'disabledAtMs'> & { readonly notices?: AccountNotices },
  timeZone: string,
): readonly NoticeLine[] {
  const { name, notices } = account
  if (account.disabledAtMs !== null || notices === undefined) return []
  const lines: NoticeLine[] = []
  const cap = reachedCap(notices)
  if (cap !== null) {
    lines.push({
      code: 'account_capped',
      message: `${name} is at its cap of ${formatUsdFull(cap.capMicro)}/${cap.period} until ${capEndText(cap, timeZone)}`,
      command: `ccgate accounts update ${name} --${cap.period}-cap …`,
    })
  }
  if (notices.foreignUse !== null) {
    lines.push({
      code: 'credential_used_elsewhere',
      message: `${name}: ${notices.foreignUse.message}`,
      command: `ccgate accounts rotate ${name}`,
    })
  }
  if (notices.cacheScope != null) {
    lines.push({
      code: 'cache_scope_differs',
      message: `${name} ${notices.cacheScope}`,
      command: `ccgate accounts update ${name} --cache-scope …`,
    })
  }
  return lines
}

/** `00:00 UTC` for the day's cap, `2026-12-01 00:00 UTC` for the month's. */
export function capEndText({ period, resetsAtMs }: CapUse, timeZone: string): string {
  const label = hourLabel(resetsAtMs, timeZone)
  return `${period === 'day' ? label.slice(-5) : label} ${timeZone}`
}
