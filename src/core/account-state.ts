import { type AccountNotices, reachedCap } from './account-notices.ts'
import type { Account, HeadroomRow, HealthRow } from './model.ts'
import { formatUsdFull } from './money.ts'
import { opensInMs } from './working-hours.ts'

/** The words that people see for an account; JSON carries the `exact` state beside it. */
export const ACCOUNT_STATE_WORDS = [
  'healthy',
  'cooling',
  'limited',
  'invalid',
  'no-credit',
  'blocked',
  'disabled',
  'full',
  'closed',
] as const

export type AccountStateWord = (typeof ACCOUNT_STATE_WORDS)[number]

/**
 * The state as it is stored, or `disabled` (by a person), `closed` (outside the account's hours), `full` (at the
 * account's own limits for the moment) or `capped` (what the operator wants to spend there is spent), which both are
 * `full` to people; or `half_open`, which is `cooling` to people: a rest has ended, and nothing has succeeded since.
 */
export type ExactAccountState =
  | HealthRow['state']
  | 'disabled'
  | 'full'
  | 'capped'
  | 'closed'
  | 'half_open'

/** The instant that states are told for, and the config's time zone, by which hours are meant. */
export interface Now {
  readonly nowMs: number
  readonly timeZone: string
}

/** What one account is doing now, for lists, status and monitor. */
export interface AccountState {
  readonly word: AccountStateWord
  readonly glyph: '●' | '◐' | '○' | '✕'
  readonly exact: ExactAccountState
  /** One short phrase without secrets; null when healthy. */
  readonly reason: string | null
  /** When it ends by itself; null: never, or nothing to end. */
  readonly untilMs: number | null
  /** When it began; null when healthy or full. */
  readonly sinceMs: number | null
  /** The model class that the state is about; null: the whole account. */
  readonly modelClass: string | null
  /** How many times in a row it had to cool; 0 when it did not. */
  readonly step: number
  /** What upstream answered; null where a person, a limit or silence is the cause. */
  readonly httpStatus: number | null
  readonly upstreamRequestId: string | null
}

/** The part of an account summary that its state follows from. */
export type AccountCondition = Pick<
  Account,
  | 'disabledAtMs'
  | 'disabledBy'
  | 'disabledReason'
  | 'cooldownClearedAtMs'
  | 'cooldownUntilMs'
  | 'credentialVersion'
  | 'rpmLimit'
  | 'concurrencyLimit'
  | 'hours'
> & {
  readonly health: readonly HealthRow[]
  readonly inFlight: number
  readonly requests1m: number
  /** Its own tokens per minute are used up; absent: they are not. */
  readonly isTpmUsedUp?: boolean
  readonly notices?: AccountNotices
}

/** Whether an account in this state can serve now, or as soon as a request ends. */
export function isUsable({ exact }: AccountState): boolean {
  return exact === 'healthy' || exact === 'full' || exact === 'half_open'
}

/** A phrase where none of them can serve; null where one can, or there is none. */
export function whyNoneServes(states: readonly AccountState[]): string | null {
  if (states.length === 0 || states.some(isUsable)) return null
  const enabled = states.filter(({ exact }) => exact !== 'disabled')
  const isClosed = enabled.length > 0 && enabled.every(({ exact }) => exact === 'closed')
  return isClosed ? 'all accounts are outside their hours' : 'no account is healthy'
}

/** The part of an account's health that the free count has for itself: upstream limits it apart. */
export function countPart(modelClass: string): string {
  return `${COUNT}${modelClass}`
}

/** Whether a part of an account's health is about the free count alone, and so about no paid request. */
export function isCountPart(part: string): boolean {
  return part.startsWith(COUNT)
}

const COUNT = 'count:'

/** The part of an account's health and limits that fast requests of a model class have for themselves. */
export function fastPart(modelClass: string): string {
  return `fast:${modelClass}`
}

/**
 * The account's own state, else that of its worst model class, else whether it is at its limits, else whether a rest
 * has ended untried. Outside its hours it is closed, unless it has trouble that only a person or a probe ends.
 */
export function accountStateOf(account: AccountCondition, now: Now): AccountState {
  if (account.disabledAtMs !== null) return disabledState(account, account.disabledAtMs)
  const rows = account.health.filter((row) => counts(row, account))
  const resting = rows.filter((row) => !hasEnded(row, now.nowMs))
  const own = resting.find((row) => row.modelClass === '')
  if (own !== undefined && own.state !== 'cooling') return stateOfRow(own)
  const closed = closedState(account, now)
  if (closed !== null) return closed
  const rested = restedByPerson(account, now.nowMs)
  if (rested !== null && (own?.untilMs ?? 0) <= (rested.untilMs ?? 0)) return rested
  const worst = own ?? worstOf(resting)
  if (worst !== undefined) return stateOfRow(worst)
  const full = fullState(account)
  if (full !== null) return full
  const ended = rows.find((row) => row.modelClass === '') ?? worstOf(rows)
  return ended === undefined ? HEALTHY : halfOpenState(ended)
}

/** Everything that keeps requests away from an account until a time, a probe or a person ends it, or lets one try. */
export function accountRestsOf(account: AccountCondition, nowMs: number): readonly AccountState[] {
  if (account.disabledAtMs !== null) return []
  const rested = restedByPerson(account, nowMs)
  const rows = account.health.filter((row) => counts(row, account))
  return [
    ...(rested === null ? [] : [rested]),
    ...rows.map((row) => (hasEnded(row, nowMs) ? halfOpenState(row) : stateOfRow(row))),
  ]
}

/** `529, 0:42 left`, `by root: leaked`, `401 authentication_error`; '' when there is nothing to say. */
export function accountNote(state: AccountState, nowMs: number): string {
  if (state.reason === null) return ''
  // A status says enough beside the time that is left; words are kept whole.
  const brief = /^[1-5]\d\d(?= )/.exec(state.reason)?.[0] ?? state.reason
  const scope = state.modelClass === null ? '' : ` (${state.modelClass})`
  if (state.exact === 'half_open') return `${brief}, retry due${scope}`
  if (state.exact === 'closed' && state.untilMs !== null) {
    return `opens in ${formatLeft(state.untilMs - nowMs)}`
  }
  if (state.untilMs === null) return state.reason
  return `${brief}, ${formatLeft(state.untilMs - nowMs)} left${scope}`
}

/** What upstream says is left of a limit is old news once the limit has reset; where no time was told, after a minute. */
export function isPastReset(
  { resetAtMs, updatedAtMs }: Pick<HeadroomRow, 'resetAtMs' | 'updatedAtMs'>,
  nowMs: number,
): boolean {
  return nowMs >= (resetAtMs ?? updatedAtMs + LIMIT_PERIOD_MS)
}

const LIMIT_PERIOD_MS = 60_000

/** How a rest without a time ends. */
export function endOfRest({ exact }: AccountState): string {
  if (exact === 'half_open') return 'ended, the next request tries it'
  const isProbed = exact === 'unauthorized' || exact === 'out_of_credit'
  return isProbed ? 'until a free probe succeeds' : 'until cleared'
}

/** `0:42`, `12:05`, `3 h 20 min`, `2 d`: a rest that still lasts `ms` milliseconds, rounded up. */
export function formatLeft(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000))
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes}:${String(seconds % 60).padStart(2, '0')}`
  const hours = Math.floor(minutes / 60)
  if (hours >= 48) return `${Math.floor(hours / 24)} d`
  return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`
}

const HEALTHY: AccountState = {
  word: 'healthy',
  glyph: '●',
  exact: 'healthy',
  reason: null,
  untilMs: null,
  sinceMs: null,
  modelClass: null,
  step: 0,
  httpStatus: null,
  upstreamRequestId: null,
}

const LOOK = {
  healthy: { word: 'healthy', glyph: '●' },
  cooling: { word: 'cooling', glyph: '◐' },
  rate_limited: { word: 'limited', glyph: '◐' },
  forbidden: { word: 'blocked', glyph: '✕' },
  unauthorized: { word: 'invalid', glyph: '✕' },
  out_of_credit: { word: 'no-credit', glyph: '✕' },
  disabled_upstream: { word: 'blocked', glyph: '✕' },
} as const satisfies Record<
  HealthRow['state'],
  { word: AccountStateWord; glyph: AccountState['glyph'] }
>

/** A row counts until a success or a person clears it, and only for the credential that earned it. */
function counts(row: HealthRow, account: AccountCondition): boolean {
  if (row.state === 'healthy' || isCountPart(row.modelClass)) return false
  if (row.credentialVersion !== account.credentialVersion) return false
  return account.cooldownClearedAtMs === null || row.sinceMs > account.cooldownClearedAtMs
}

function hasEnded({ untilMs }: HealthRow, nowMs: number): boolean {
  return untilMs !== null && untilMs <= nowMs
}

function closedState({ hours }: AccountCondition, { nowMs, timeZone }: Now): AccountState | null {
  const waitMs = hours === null ? 0 : opensInMs(hours, nowMs, timeZone)
  if (waitMs === 0) return null
  const reason = `open ${hours}`
  return {
    ...HEALTHY,
    word: 'closed',
    glyph: '○',
    exact: 'closed',
    reason,
    untilMs: nowMs + waitMs,
  }
}

function disabledState(account: AccountCondition, sinceMs: number): AccountState {
  // `cli:root` did it; people ask who, not by which door.
  const who = account.disabledBy?.replace(/^[a-z]+:/, '') || 'operator'
  const why = account.disabledReason ? `: ${account.disabledReason}` : ''
  return {
    ...HEALTHY,
    word: 'disabled',
    glyph: '○',
    exact: 'disabled',
    reason: `by ${who}${why}`,
    sinceMs,
  }
}

function restedByPerson(account: AccountCondition, nowMs: number): AccountState | null {
  const untilMs = account.cooldownUntilMs
  if (untilMs === null || untilMs <= nowMs) return null
  return { ...HEALTHY, ...LOOK.cooling, exact: 'cooling', reason: 'by operator', untilMs }
}

function stateOfRow(row: HealthRow): AccountState {
  return {
    ...LOOK[row.state],
    exact: row.state,
    reason: row.reason,
    untilMs: row.untilMs,
    sinceMs: row.sinceMs,
    modelClass: row.modelClass === '' ? null : row.modelClass,
    step: row.step,
    httpStatus: row.httpStatus,
    upstreamRequestId: row.upstreamRequestId,
  }
}

/** The rest has ended; one request at a time finds out whether the cause has. */
function halfOpenState(row: HealthRow): AccountState {
  const sinceMs = row.untilMs
  return { ...stateOfRow(row), ...LOOK.cooling, exact: 'half_open', sinceMs, untilMs: null }
}

/** A state without an end is worse than one that ends; of two that end, the later one is worse. */
function worstOf(rows: readonly HealthRow[]): HealthRow | undefined {
  const end = (row: HealthRow) => row.untilMs ?? Number.POSITIVE_INFINITY
  let worst: HealthRow | undefined
  for (const row of rows) if (worst === undefined || end(row) > end(worst)) worst = row
  return worst
}

function fullState(account: AccountCondition): AccountState | null {
  const { rpmLimit, concurrencyLimit, requests1m, inFlight, isTpmUsedUp = false } = account
  const full = { ...HEALTHY, word: 'full', glyph: '◐', exact: 'full' } as const
  const cap = reachedCap(account.notices)
  if (cap !== null) {
    const reason = `cap ${formatUsdFull(cap.capMicro)}/${cap.period}`
    return { ...full, exact: 'capped', reason, untilMs: cap.resetsAtMs }
  }
  if (concurrencyLimit !== null && inFlight >= concurrencyLimit) {
    const reason =
      concurrencyLimit === 1 ? 'its 1 slot is in use' : `all ${concurrencyLimit} in use`
    return { ...full, reason }
  }
  if (rpmLimit !== null && requests1m >= rpmLimit) {
    return { ...full, reason: 'at rpm limit' }
  }
  if (isTpmUsedUp) return { ...full, reason: 'at tpm limit' }
  return null
}
