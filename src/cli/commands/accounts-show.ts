import { maskCredential } from '../../access/key.ts'
import { type AccountNotices, capEndText } from '../../core/account-notices.ts'
import {
  type AccountState,
  accountNote,
  accountRestsOf,
  accountStateOf,
  endOfRest,
  formatLeft,
  isPastReset,
} from '../../core/account-state.ts'
import type { AccountEvent } from '../../core/model.ts'
import { formatUsdFull, formatUsdSmall } from '../../core/money.ts'
import { parseCount } from '../../core/quantity.ts'
import { safeText } from '../../core/text.ts'
import type { AccountSummary } from '../../store/store.ts'
import { type WatchedAccount, withNotices } from '../../tui/watched-accounts.ts'
import { type Context, expectFound } from '../context.ts'
import { type Calendar, countOf, formatAgo, formatCount, isoTime } from '../format.ts'
import type { Invocation } from '../invocation.ts'
import { modelsText } from '../limits.ts'
import { accountJson } from '../records.ts'
import { errorCell, roleOf } from './accounts.ts'

/** Columns before the facts of an account. */
const INDENT = 10

/** One account: what it may, does and has done, with its last events. */
export async function showAccount(context: Context, call: Invocation): Promise<void> {
  const { print, nowMs } = context
  const limit = call.read('events', parseCount) ?? 10
  const store = await context.store('read')
  const found = expectFound(await store.findAccount(call.arg(0)), 'account', call.arg(0))
  const now = await context.now()
  const { timeZone } = now
  // Whether upstream contradicts a cache scope shows in all accounts together, in their order.
  const accounts = (await store.listAccounts(nowMs)).map((one) =>
    one.id === found.id ? found : one,
  )
  const all = await withNotices(store, accounts, now)
  const account = all.find(({ id }) => id === found.id)
  if (account === undefined) throw new Error('an account was found and is not listed')
  const events = await store.listAccountEvents(account.id, limit)
  if (print.json) {
    return print.document({
      ...accountJson(account, now),
      events: events.map((event) => ({
        at: isoTime(event.atMs),
        kind: event.kind,
        message: event.message,
        request_id: event.requestId,
      })),
    })
  }
  if (print.quiet) return print.out(account.id)
  const state = accountStateOf(account, now)
  const calendar = context.calendar()
  const note = accountNote(state, nowMs)
  const word = print.style(roleOf(state), `${state.glyph} ${state.word}`)
  const out = (line: string) => print.wrapped(line, INDENT)
  const outAll = (lines: readonly string[]) => lines.forEach(out)
  out(
    `${account.name}   ${account.id}   ${maskCredential(account.credentialLast4)}   ${word}${note === '' ? '' : ` (${safeText(note)})`}`,
  )
  out(`Upstream  ${account.baseUrl}${account.allowPrivate ? ' (private addresses allowed)' : ''}`)
  if (account.proxy !== null) out(`Proxy     ${account.proxy}`)
  const rpm =
    account.rpmLimit === null ? 'no limit per minute' : `${formatCount(account.rpmLimit)}/min`
  const parallel =
    account.concurrencyLimit === null
      ? 'any number parallel'
      : `${formatCount(account.concurrencyLimit)} parallel`
  const tpm = account.tpmLimit === null ? '' : ` · ${formatCount(account.tpmLimit)} tokens/min`
  out(
    `Limits    ${rpm} · ${parallel}${tpm} · ${modelsText(account.models)} · priority ${account.priority}, weight ${account.weight}`,
  )
  outAll(placeTexts(account, timeZone))
  for (const rest of accountRestsOf(account, nowMs)) {
    out(`Rest      ${restText(rest, { nowMs, calendar })}`)
  }
  outAll(noticeTexts(account, { nowMs, timeZone }))
  out(
    `Now       ${account.inFlight} in flight · ${countOf(account.requests1m, 'request')}/min · errors ${errorCell(account)} in 5 min`,
  )
  out(
    `Today     ${countOf(account.requestsToday, 'request')} · ${formatUsdSmall(account.spendTodayMicro)} charged to users · last used ${formatAgo(account.lastUsedAtMs, nowMs)}`,
  )
  outAll(headroomTexts(account, nowMs))
  out(`Created   ${calendar.day(account.createdAtMs)}`)
  if (account.note !== null) out(`Note      ${safeText(account.note)}`)
  if (events.length > 0) printEvents(context, events)
}

/** What the operator said of when and for whom it works. */
function placeTexts(
  { tags, cacheScope, hours, notices }: WatchedAccount,
  timeZone: string,
): readonly string[] {
  return [
    ...(tags.length === 0 ? [] : [`Tags      ${tags.join(', ')}`]),
    ...(cacheScope === null
      ? []
      : [`Cache     ${scopeText(cacheScope, notices?.cacheScope ?? null)}`]),
    ...(hours === null ? [] : [`Hours     ${hours}, ${timeZone}`]),
  ]
}

/** Upstream's word holds where it contradicts the operator's. */
function scopeText(cacheScope: string, contradiction: string | null): string {
  return contradiction === null
    ? `shared with accounts of scope ${cacheScope}`
    : `not shared with accounts of scope ${cacheScope}: ${contradiction}`
}

/** `all models, 529 overloaded_error · until 12:05:13 (0:42 left) · step 2 · upstream request req_018EeWyX`. */
function restText(
  rest: AccountState,
  { nowMs, calendar }: { readonly nowMs: number; readonly calendar: Calendar },
): string {
  const ends =
    rest.untilMs === null
      ? endOfRest(rest)
      : `until ${calendar.stamp(rest.untilMs, nowMs)} (${formatLeft(rest.untilMs - nowMs)} left)`
  const upstream = rest.upstreamRequestId
  return safeText(
    [
      `${rest.modelClass ?? 'all models'}, ${rest.reason ?? rest.exact}`,
      ends,
      ...(rest.step === 0 ? [] : [`step ${rest.step}`]),
      ...(upstream === null ? [] : [`upstream request ${upstream}`]),
    ].join(' · '),
  )
}

/** Caps with what they have used of our own list cost, and what was noticed of the credential. */
function noticeTexts(
  { name, notices }: { readonly name: string; readonly notices: AccountNotices },
  { nowMs, timeZone }: { readonly nowMs: number; readonly timeZone: string },
): readonly string[] {
  const caps = notices.caps.map((use) => {
    const [cap, used] = [formatUsdFull(use.capMicro), formatUsdSmall(use.usedMicro)]
    const ends = `resets ${capEndText(use, timeZone)}, ${formatLeft(use.resetsAtMs - nowMs)} left`
    return `Cap       ${cap}/${use.period}, ${used} used at list prices, ${ends}`
  })
  const { foreignUse } = notices
  if (foreignUse === null) return caps
  const told = safeText(`${foreignUse.message}, ${formatAgo(foreignUse.atMs, nowMs)}`)
  return [...caps, `Warning   ${told}: ccgate accounts rotate ${name}`]
}

/** What upstream said is left of its limits. */
function headroomTexts({ headroom }: AccountSummary, nowMs: number): readonly string[] {
  if (headroom === null) return []
  const part = (label: string, left: number | null, most: number | null) =>
    left === null
      ? []
      : [`${label} ${formatCount(left)}${most === null ? '' : ` of ${formatCount(most)}`}`]
  const parts = [
    ...part('requests', headroom.requestsRemaining, headroom.requestsLimit),
    ...part('input tokens', headroom.inputTokensRemaining, headroom.inputTokensLimit),
    ...part('output tokens', headroom.outputTokensRemaining, headroom.outputTokensLimit),
  ]
  if (parts.length === 0) return []
  const past = isPastReset(headroom, nowMs) ? ', reset since' : ''
  return [`Headroom  ${parts.join(' · ')}, as of ${formatAgo(headroom.updatedAtMs, nowMs)}${past}`]
}

function printEvents(context: Context, events: readonly AccountEvent[]): void {
  const calendar = context.calendar()
  context.print.out()
  context.print.table(
    [
      { header: 'TIME', cell: (event) => calendar.second(event.atMs) },
      { header: 'EVENT', cell: (event) => event.kind },
      { header: 'WHAT', cell: (event) => event.message, mayCut: true },
      { header: 'REQUEST', cell: (event) => event.requestId ?? '', dropOrder: 1 },
    ],
    events,
  )
}
