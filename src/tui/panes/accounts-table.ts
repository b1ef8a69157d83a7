import { accountNote, isUsable } from '../../core/account-state.ts'
import { formatUsdSmall } from '../../core/money.ts'
import { textWidth } from '../../core/text.ts'
import type { AccountView, DaemonView, Model } from '../facts.ts'
import { formatAgo, formatMs, formatShare, shortId } from '../format.ts'
import { type Column, chart, type Line, type Part, span, type Tone, tableRow } from '../lines.ts'

const STATE_TONES: Readonly<Record<AccountView['state']['word'], Tone>> = {
  healthy: 'ok',
  full: 'warn',
  limited: 'warn',
  cooling: 'warn',
  invalid: 'bad',
  'no-credit': 'bad',
  blocked: 'bad',
  closed: 'dim',
  disabled: 'dim',
}

/** State as the screen shows it: without a daemon only what a person must end is still known. */
export function stateSpan(
  { state }: AccountView,
  daemon: DaemonView['kind'],
): ReturnType<typeof span> {
  if (isUnknown(state, daemon)) return span('? unknown', 'dim')
  return span(`${state.glyph} ${state.word}`, STATE_TONES[state.word])
}

function isUnknown(state: AccountView['state'], daemon: DaemonView['kind']): boolean {
  // The clock closes an account, not the daemon.
  if (daemon !== 'down' || state.exact === 'closed') return false
  return isUsable(state) || state.word === 'full' || state.untilMs !== null
}

/** `3 healthy · 1 cooling · 1 disabled`; without a daemon `4 enabled · 1 disabled`. */
export function stateCounts({ states, accounts, daemon }: Model): string {
  if (daemon.kind !== 'down') return states.map(({ word, count }) => `${count} ${word}`).join(' · ')
  const disabled = accounts.filter((account) => account.state.word === 'disabled').length
  const enabled = `${accounts.length - disabled} enabled`
  return disabled === 0 ? enabled : `${enabled} · ${disabled} disabled`
}

/** `48/50`, or the bare count without a limit. */
export function rpmText({ requests1m, rpmLimit }: AccountView): string {
  return rpmLimit === null ? String(requests1m) : `${requests1m}/${rpmLimit}`
}

/** `███████░░░`: `load` is 0 to 1; anything above nothing shows, and only what is full looks full. */
function meter(load: number, width: number): string {
  const full = load === 0 ? 0 : Math.max(1, Math.floor(load * width))
  return '█'.repeat(full) + '░'.repeat(width - full)
}

/** A cell of the accounts tables by its column's key. */
export type AccountCell =
  | 'state'
  | 'name'
  | 'id'
  | 'key'
  | 'priority'
  | 'weight'
  | 'rpm'
  | 'load'
  | 'inFlight'
  | 'errors'
  | 'ttft'
  | 'today'
  | 'lastUsed'
  | 'note'
  | 'cooldown'

export type AccountColumn = Column & { readonly key: AccountCell }

/** One account as a row; the selected one in reverse video and with a mark. */
export function accountRow(
  columns: readonly AccountColumn[],
  account: AccountView,
  view: { daemon: DaemonView['kind']; nowMs: number; isSelected: boolean },
): Line {
  const cells = columns.map((column) => cellOf(column, account, view))
  const row = tableRow(columns, view.isSelected ? ' ▸ ' : '   ', cells)
  return view.isSelected ? { ...row, look: 'selected' } : row
}

function cellOf(
  { key, width }: AccountColumn,
  account: AccountView,
  { daemon, nowMs }: { daemon: DaemonView['kind']; nowMs: number },
): Part {
  switch (key) {
    case 'state':
      return stateSpan(account, daemon)
    case 'name':
      return account.name
    case 'id':
      return span(shortId(account.id), 'dim')
    case 'key':
      return span(account.credential, 'dim')
    case 'priority':
      return String(account.priority)
    case 'weight':
      return String(account.weight)
    case 'rpm':
      return rpmText(account)
    case 'load':
      return account.load === null ? span('–', 'dim') : chart(meter(account.load, width))
    case 'inFlight':
      return String(account.inFlight)
    case 'errors':
      return span(
        formatShare(account.errorShare),
        (account.errorShare ?? 0) >= 0.05 ? 'warn' : undefined,
      )
    case 'ttft':
      return account.firstByteMs === null ? '–' : formatMs(account.firstByteMs[0])
    case 'today':
      return formatUsdSmall(account.spendTodayMicro)
    case 'lastUsed':
      return account.lastUsedAtMs === null ? 'never' : formatAgo(nowMs - account.lastUsedAtMs)
    case 'note':
      return span(fittingNote(accountNote(account.state, nowMs), width), 'dim')
    case 'cooldown':
      return cooldownText(account, nowMs)
  }
}

/** Which models it is about is left out where there is no room: half a word says less. */
function fittingNote(note: string, width: number): string {
  return textWidth(note) <= width ? note : note.replace(/ \([^()]*\)$/, '')
}

function cooldownText({ state, restEndedAtMs }: AccountView, nowMs: number): string {
  if (state.untilMs !== null) return accountNote(state, nowMs)
  return restEndedAtMs === null ? '–' : `ended ${formatAgo(nowMs - restEndedAtMs)} ago`
}
