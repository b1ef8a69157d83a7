import type { LedgerEntry, LedgerEntryType } from '../../core/model.ts'
import { formatUsd, formatUsdExact, formatUsdFull, type Micro } from '../../core/money.ts'
import type { LedgerDay, UserSummary } from '../../store/store.ts'
import { type Context, expectFound } from '../context.ts'
import { usageError } from '../errors.ts'
import { isoTime } from '../format.ts'
import type { Invocation } from '../invocation.ts'
import { pageRequest } from '../page.ts'
import type { Column } from '../print.ts'
import { entryJson, listJson } from '../records.ts'
import { readTime } from './keys.ts'

const DAY_MS = 86_400_000
const TYPES: readonly LedgerEntryType[] = ['grant', 'charge', 'adjust', 'refund', 'forfeit']

export async function showCredit(context: Context, call: Invocation): Promise<void> {
  const { print, nowMs } = context
  const store = await context.store('read')
  const ref = call.args[0]
  const users =
    ref === undefined
      ? await store.listUsers({})
      : [expectFound(await store.findUser(ref), 'user', ref)]
  const totals = {
    balanceMicro: sum(users, (user) => user.balanceMicro),
    heldMicro: sum(users, (user) => user.heldMicro),
    spent30dMicro: sum(users, (user) => user.spent30dMicro),
  }
  if (print.quiet) return print.out(String(totals.balanceMicro))
  if (print.json) return print.document(listJson(users.map((user) => balanceJson(user, nowMs))))
  if (users.length === 0)
    return print.note('No users. Add one: ccgate users create alice --credit 25')
  const rows = users.map((user) => ({ ...user, runsOut: runsOutIn(user, nowMs) }))
  const total = { name: 'total', ...totals, runsOut: '' }
  print.table<BalanceRow>(BALANCE_COLUMNS, rows.length > 1 ? [...rows, total] : rows)
}

interface BalanceRow {
  readonly name: string
  readonly balanceMicro: Micro
  readonly heldMicro: Micro
  readonly spent30dMicro: Micro
  readonly runsOut: string
}

const BALANCE_COLUMNS: readonly Column<BalanceRow>[] = [
  { header: 'USER', cell: (row) => row.name, mayCut: true },
  {
    header: 'BALANCE',
    cell: (row) => formatUsd(row.balanceMicro),
    align: 'right',
    role: (row) => (row.balanceMicro <= 0 ? 'bad' : null),
  },
  { header: 'HELD', cell: (row) => formatUsd(row.heldMicro), align: 'right', dropOrder: 2 },
  {
    header: 'SPENT 30 D',
    cell: (row) => formatUsd(row.spent30dMicro),
    align: 'right',
    dropOrder: 1,
  },
  { header: 'RUNS OUT IN', cell: (row) => row.runsOut, align: 'right', dropOrder: 3 },
]

function balanceJson(user: UserSummary, nowMs: number) {
  const runsOutAtMs = runsOutAt(user, nowMs)
  return {
    object: 'balance',
    user: user.name,
    user_id: user.id,
    balance_micro: user.balanceMicro,
    held_micro: user.heldMicro,
    available_micro: user.balanceMicro - user.heldMicro,
    spent_30d_micro: user.spent30dMicro,
    runs_out_at: isoTime(runsOutAtMs),
  }
}

/** When the balance ends at the pace of the last 30 days (of the user's life, when shorter); null: no pace. */
function runsOutAt(user: UserSummary, nowMs: number): number | null {
  if (user.spent30dMicro <= 0 || user.balanceMicro <= 0) return null
  const spanMs = Math.min(30 * DAY_MS, Math.max(DAY_MS, nowMs - user.createdAtMs))
  const leftMs = (user.balanceMicro / user.spent30dMicro) * spanMs
  return leftMs > 10 * 365 * DAY_MS ? null : nowMs + Math.round(leftMs)
}

function runsOutIn(user: UserSummary, nowMs: number): string {
  if (user.balanceMicro <= 0) return 'empty'
  const atMs = runsOutAt(user, nowMs)
  if (atMs === null) return '–'
  const hours = (atMs - nowMs) / 3_600_000
  if (hours < 1) return `~${Math.max(1, Math.round(hours * 60))} min`
  return hours < 48 ? `~${Math.round(hours)} h` : `~${Math.round(hours / 24)} d`
}

export async function creditHistory(context: Context, call: Invocation): Promise<void> {
  const { print } = context
  const request = pageRequest(call)
  const type = call.text('type')
  if (type !== null && !TYPES.some((word) => word === type)) {
    throw usageError(`--type: "${type}" is not possible.`, `Use ${TYPES.join(', ')}.`, 'bad_value')
  }
  const groupBy = call.text('group')
  if (groupBy !== null && groupBy !== 'day') {
    throw usageError(`--group: "${groupBy}" is not possible.`, 'Use day.', 'bad_value')
  }
  const sinceMs = readTime(context, call, 'since', 'past') ?? undefined
  const untilMs = readTime(context, call, 'until', 'past') ?? undefined
  const store = await context.store('read')
  const user = expectFound(await store.findUser(call.arg(0)), 'user', call.arg(0))
  if (groupBy === 'day') {
    const days = await store.sumLedgerByDay({ userId: user.id, sinceMs, untilMs })
    if (print.json) return print.document(listJson(days.map((day) => dayJson(day, user.name))))
    if (days.length === 0) return noEntries(context, user.name)
    return print.table(DAY_COLUMNS, days)
  }
  const page = await store.listLedger({
    userId: user.id,
    sinceMs,
    untilMs,
    type: TYPES.find((word) => word === type),
    limit: request.limit,
    afterId: request.after ?? undefined,
  })
  const nextAfter = page.hasMore ? (page.rows.at(-1)?.id ?? null) : null
  if (print.json) {
    return print.document(
      listJson(
        page.rows.map((entry) => entryJson(entry, user.name)),
        { hasMore: page.hasMore, nextAfter },
      ),
    )
  }
  if (print.quiet) return print.outAll(page.rows.map((entry) => entry.id))
  if (page.rows.length === 0) return noEntries(context, user.name)
  print.table(entryColumns(context), page.rows)
  if (nextAfter !== null) print.note(`${page.rows.length} shown. Next page: --after ${nextAfter}`)
}

function noEntries(context: Context, userName: string): void {
  context.print.note(
    `No entries match for ${userName}. Widen with --since 30d, or leave filters out.`,
  )
}

function entryColumns(context: Context): readonly Column<LedgerEntry>[] {
  const calendar = context.calendar()
  return [
    { header: 'TIME', cell: (entry) => calendar.second(entry.createdAtMs) },
    { header: 'TYPE', cell: (entry) => entry.type },
    { header: 'AMOUNT', cell: (entry) => exactWhereNeeded(entry), align: 'right' },
    { header: 'BALANCE', cell: (entry) => formatUsd(entry.balanceAfterMicro), align: 'right' },
    { header: 'BY', cell: (entry) => entry.actor, dropOrder: 2, mayCut: true },
    {
      header: 'FOR',
      cell: (entry) => entry.requestId ?? entry.note ?? entry.ref ?? '',
      dropOrder: 1,
      mayCut: true,
    },
    { header: 'ID', cell: (entry) => entry.id, dropOrder: 3 },
  ]
}

/** Charges have all six decimals; grants are whole cents unless somebody granted less. */
function exactWhereNeeded(entry: LedgerEntry): string {
  return entry.type === 'charge'
    ? formatUsdExact(entry.amountMicro)
    : formatUsdFull(entry.amountMicro)
}

const orDash = (micro: Micro) => (micro === 0 ? '–' : formatUsd(micro))
const DAY_COLUMNS: readonly Column<LedgerDay>[] = [
  { header: 'DATE (UTC)', cell: (day) => day.day },
  { header: 'GRANTED', cell: (day) => orDash(day.grantedMicro), align: 'right' },
  { header: 'SPENT', cell: (day) => orDash(day.spentMicro), align: 'right' },
  { header: 'ADJUSTED', cell: (day) => orDash(day.adjustedMicro), align: 'right' },
  { header: 'BALANCE', cell: (day) => formatUsd(day.balanceMicro), align: 'right' },
]

function dayJson(day: LedgerDay, userName: string) {
  return {
    object: 'ledger_day',
    user: userName,
    day: day.day,
    granted_micro: day.grantedMicro,
    spent_micro: day.spentMicro,
    adjusted_micro: day.adjustedMicro,
    balance_micro: day.balanceMicro,
  }
}

function sum<T>(rows: readonly T[], value: (row: T) => Micro): Micro {
  return rows.reduce((total, row) => total + value(row), 0)
}
