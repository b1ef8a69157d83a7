import { maskKey } from '../../access/key.ts'
import { type KeyState, keyState } from '../../core/model.ts'
import { formatUsdFull, formatUsdSmall } from '../../core/money.ts'
import type { Parsed } from '../../core/quantity.ts'
import { safeText } from '../../core/text.ts'
import type { KeySummary } from '../../store/store.ts'
import { type Context, expectFound } from '../context.ts'
import { usageError } from '../errors.ts'
import { type Calendar, formatAgo, formatCount, isoTime } from '../format.ts'
import type { Invocation } from '../invocation.ts'
import { expiryText, limitsLine, ownSettings } from '../key-text.ts'
import { checkModel } from '../limits.ts'
import { notePage, pageOf, pageRequest } from '../page.ts'
import { parseNote } from '../parse/name.ts'
import { parseTime } from '../parse/time.ts'
import type { Column, Role } from '../print.ts'
import { type Json, keyJson, listJson } from '../records.ts'

const STATES = ['active', 'revoked', 'expired', 'all'] as const
const LOOKS: Readonly<Record<KeyState, { readonly glyph: string; readonly role: Role }>> = {
  active: { glyph: '●', role: 'ok' },
  revoked: { glyph: '✕', role: 'dim' },
  expired: { glyph: '○', role: 'dim' },
  suspended: { glyph: '○', role: 'warn' },
}

export async function listKeys(context: Context, call: Invocation): Promise<void> {
  const { print, nowMs } = context
  const request = pageRequest(call)
  const state = STATES.find((word) => word === (call.text('status') ?? 'all'))
  if (state === undefined) {
    throw usageError(
      `--status: "${call.text('status')}" is not possible.`,
      `Use ${STATES.join(', ')}.`,
      'bad_value',
    )
  }
  const model = call.text('model') ?? undefined
  if (model !== undefined) await checkModel(context, model, '--model')
  const unusedSinceMs = readTime(context, call, 'unused-since', 'past') ?? undefined
  const store = await context.store('read')
  const userRef = call.text('user')
  const userId =
    userRef === null ? undefined : expectFound(await store.findUser(userRef), 'user', userRef).id
  const keys = await store.listKeys({ userId, state, model, unusedSinceMs, nowMs })
  const page = pageOf(keys, request, (key) => key.id)
  if (print.json) {
    const records = await Promise.all(page.rows.map((key) => summaryJson(context, key)))
    return print.document(listJson(records, page))
  }
  if (print.quiet) return print.outAll(page.rows.map((key) => key.id))
  if (keys.length === 0) {
    return print.note(
      'No keys match. Make one: ccgate keys create alice/laptop --create-user --credit 25',
    )
  }
  print.table(keyColumns(context), page.rows)
  notePage(context, { shown: page.rows.length, total: keys.length, nextAfter: page.nextAfter })
}

function keyColumns(context: Context): readonly Column<KeySummary>[] {
  const { nowMs } = context
  const time = { calendar: context.calendar(), nowMs }
  const look = (key: KeySummary) => LOOKS[keyState(key, key.userState, nowMs)]
  return [
    {
      header: 'STATE',
      cell: (key) => `${look(key).glyph} ${keyState(key, key.userState, nowMs)}`,
      role: (key) => look(key).role,
    },
    { header: 'NAME', cell: (key) => `${key.userName}/${key.name}`, mayCut: true },
    { header: 'KEY', cell: (key) => maskKey(key.last4) },
    { header: 'RPM', cell: (key) => limitCell(key.rpmLimit), align: 'right', dropOrder: 3 },
    {
      header: '24 H',
      cell: (key) => formatUsdSmall(key.spent24hMicro),
      align: 'right',
      dropOrder: 2,
    },
    {
      header: 'MONTH / LIMIT',
      cell: spendCell,
      align: 'right',
      dropOrder: 1,
    },
    { header: 'LAST USED', cell: (key) => formatAgo(key.lastUsedAtMs, nowMs), dropOrder: 4 },
    {
      header: 'EXPIRES',
      cell: (key) => (key.revokedAtMs === null ? expiryText(key, time) : '–'),
      dropOrder: 5,
    },
  ]
}

export async function showKey(context: Context, call: Invocation): Promise<void> {
  const store = await context.store('read')
  const key = expectFound(await store.findKey(call.arg(0)), 'key', call.arg(0))
  await printKey(context, key)
}

/** Columns before the facts of a key. */
const INDENT = 10

/** One key, in the form that was asked for. */
export async function printKey(context: Context, key: KeySummary): Promise<void> {
  const { print, nowMs } = context
  if (print.json) return print.document(await summaryJson(context, key))
  if (print.quiet) return print.out(key.id)
  const state = keyState(key, key.userState, nowMs)
  const wallet = await (await context.store('read')).getWallet(key.userId)
  const calendar = context.calendar()
  const look = LOOKS[state]
  const out = (line: string) => print.wrapped(line, INDENT)
  out(
    `${key.userName}/${key.name}   ${key.id}   ${maskKey(key.last4)}   ${print.style(look.role, `${look.glyph} ${state}`)}`,
  )
  const { timeZone } = (await context.config()).config
  out(`Limits    ${limitsLine(key, { nowMs, timeZone })}`)
  const own = ownSettings(key)
  if (own.length > 0) out(`Billing   ${own.join(' · ')}`)
  out(`Owner     ${key.userName}, balance ${formatUsdFull(wallet?.balanceMicro ?? 0)}`)
  out(
    `Created   ${calendar.day(key.createdAtMs)} by ${safeText(key.createdBy)} · expires ${expiryText(key, { calendar, nowMs })}`,
  )
  const from = key.lastIp === null ? '' : ` from ${safeText(key.lastIp)}`
  out(`Last used ${formatAgo(key.lastUsedAtMs, nowMs)}${from}`)
  out(
    `Spent     ${formatUsdSmall(key.spent24hMicro)} in 24 h · ${formatUsdSmall(key.spentMonthMicro)} this month`,
  )
  if (key.revokedAtMs !== null) {
    const reason = key.revokedReason === null ? '' : `: ${safeText(key.revokedReason)}`
    out(`Revoked   ${calendar.stamp(key.revokedAtMs, nowMs)}${reason}`)
  }
  if (key.note !== null) out(`Note      ${safeText(key.note)}`)
}

export async function revokeKeys(context: Context, call: Invocation): Promise<void> {
  const { print, nowMs } = context
  const reason = call.read('reason', parseNote)
  const store = await context.store()
  const keys: KeySummary[] = []
  for (const ref of call.args) {
    const found = await store.findKey(ref)
    if (found.kind === 'not_found' && call.flag('if-exists')) {
      print.note(`No key ${ref}, nothing to revoke.`)
      continue
    }
    keys.push(expectFound(found, 'key', ref))
  }
  const live = keys.filter((key) => key.revokedAtMs === null)
  for (const key of live) {
    const { total } = await store.listUsage({ keyId: key.id, sinceMs: nowMs - 60_000, limit: 1 })
    print.note(
      `Key ${key.userName}/${key.name} (${maskKey(key.last4)}) made ${formatCount(total)} requests in the last minute.`,
    )
  }
  if (live.length > 0) {
    const what =
      live.length === 1 ? 'Revoke it? It stops' : `Revoke these ${live.length} keys? They stop`
    await context.ask.confirm(`${what} working at once and cannot be brought back.`)
  }
  const records: unknown[] = []
  for (const key of keys) {
    const result = await store.revokeKey(key.id, reason, context.by())
    if (result.kind === 'not_found') continue
    const isChanged = result.kind === 'revoked'
    records.push({
      ...(await summaryJson(context, { ...key, ...result.key })),
      changed: isChanged,
      in_force: 'now',
    })
    const when = isoTime(result.key.revokedAtMs)?.slice(0, 10)
    if (!print.json && !print.quiet) {
      print.out(
        isChanged
          ? `Revoked ${key.userName}/${key.name}. In force from the next request.`
          : `${key.userName}/${key.name} was revoked on ${when} already.`,
      )
    }
  }
  if (print.json) print.document(records.length === 1 ? records[0] : listJson(records))
}

/** `--expires`: a time ahead, or never. Null when it was not given. */
export function readExpiry(
  context: Context,
  call: Invocation,
): { readonly atMs: number | null } | null {
  const text = call.text('expires')
  if (text === null) return null
  if (text === 'never' || text === 'none') return { atMs: null }
  const atMs = readTime(context, call, 'expires', 'future')
  if (atMs !== null && atMs <= context.nowMs) {
    throw usageError(
      `--expires: "${text}" is in the past.`,
      'Example: 30d, 2027-01-31 or never. To stop a key now: ccgate keys revoke',
      'bad_value',
    )
  }
  return { atMs }
}

/** A time option, read in the person's time zone unless another calendar is given. */
export function readTime(
  context: Context,
  call: Invocation,
  name: string,
  direction: 'past' | 'future',
  calendar: Calendar = context.calendar(),
): number | null {
  return call.read(
    name,
    (text): Parsed<number> => parseTime(text, { nowMs: context.nowMs, calendar, direction }),
  )
}

/** A key as `--json` shows it, with what it did. */
export async function summaryJson(context: Context, key: KeySummary): Promise<Json> {
  const { nowMs } = context
  const { timeZone } = (await context.config()).config
  return keyJson(key, { userState: key.userState, nowMs, timeZone, activity: key })
}

function limitCell(limit: number | null): string {
  return limit === null ? '–' : formatCount(limit)
}

/** What was spent this month, beside the limit where there is one; that may count another period. */
function spendCell(key: KeySummary): string {
  const { spendLimit } = key
  if (spendLimit === null) return formatUsdSmall(key.spentMonthMicro)
  const spentMicro = key.limitUse?.spentMicro ?? 0
  const period = spendLimit.period === 'month' ? '' : `/${spendLimit.period}`
  return `${formatUsdSmall(spentMicro)} / ${formatUsdFull(spendLimit.amountMicro)}${period}`
}
