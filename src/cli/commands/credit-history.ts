import type { LedgerEntry, LedgerEntryType } from '../../core/model.ts'
import { formatUsdFull, type Micro } from '../../core/money.ts'
import type { LedgerDay } from '../../store/store.ts'
import type { Context } from '../context.ts'
import { usageError } from '../errors.ts'
import { type Calendar, createCalendar } from '../format.ts'
import type { Invocation } from '../invocation.ts'
import { pageRequest } from '../page.ts'
import type { Column } from '../print.ts'
import { entryJson, listJson } from '../records.ts'
import { readWindow } from '../usage-filter.ts'
import { findUserEvenDeleted } from '../user-ref.ts'
import { readCalendar } from './usage-summary.ts'

const TYPES: readonly LedgerEntryType[] = ['grant', 'charge', 'adjust', 'refund', 'forfeit']

/** The ledger of a user, newest first, by entry or by day of the configured time zone. */
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
  const calendar = await calendarOf(context, call)
  const timeZone = calendar.zone
  const { sinceMs, untilMs } = readWindow(context, call, calendar)
  const store = await context.store('read')
  const user = await findUserEvenDeleted(context, call.arg(0))
  if (groupBy === 'day') {
    if (type !== null || request.after !== null) {
      throw usageError(
        '--group day counts every entry.',
        'Leave --type and --after out.',
        'bad_value',
      )
    }
    const days = await store.sumLedgerByDay({ userId: user.id, sinceMs, untilMs, timeZone })
    const shown = days.slice(0, request.limit)
    const hasMore = shown.length < days.length
    if (print.json) {
      const records = shown.map((day) => dayJson(day, { userName: user.name, timeZone }))
      return print.document(listJson(records, { hasMore, nextAfter: null }))
    }
    if (days.length === 0) return noEntries(context, user.name)
    print.table(dayColumns(timeZone), shown)
    if (hasMore) print.note(`${shown.length} of ${days.length} days shown. More: --all`)
    return
  }
  await checkAfter(context, request.after, user)
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
  print.table(entryColumns(calendar), page.rows)
  if (nextAfter !== null) print.note(`${page.rows.length} shown. Next page: --after ${nextAfter}`)
}

/** Of `--tz`, else of the config: days of reports and of limits are its days. */
async function calendarOf(context: Context, call: Invocation): Promise<Calendar> {
  if (call.text('tz') !== null) return readCalendar(context, call)
  return createCalendar(context.globals.utc ? 'UTC' : (await context.config()).config.timeZone)
}

/** A list below an entry that is not in it would be empty, and look like an end. */
async function checkAfter(
  context: Context,
  after: string | null,
  user: { readonly id: string; readonly name: string },
): Promise<void> {
  if (after === null) return
  const found = await (await context.store('read')).findEntry(after)
  if (found?.entry.id === after && found.entry.userId === user.id) return
  throw usageError(
    `--after: ${user.name} has no entry ${after}.`,
    'Use the id that the last page named.',
    'bad_value',
  )
}

function noEntries(context: Context, userName: string): void {
  context.print.note(
    `No entries match for ${userName}. Widen with --since 30d, or leave filters out.`,
  )
}

function entryColumns(calendar: Calendar): readonly Column<LedgerEntry>[] {
  return [
    { header: `TIME (${calendar.zone})`, cell: (entry) => calendar.second(entry.createdAtMs) },
    { header: 'TYPE', cell: (entry) => entry.type },
    { header: 'AMOUNT', cell: (entry) => formatUsdFull(entry.amountMicro), align: 'right' },
    { header: 'BALANCE', cell: (entry) => formatUsdFull(entry.balanceAfterMicro), align: 'right' },
    { header: 'BY', cell: (entry) => entry.actor, dropOrder: 2, mayCut: true },
    {
      header: 'FOR',
      cell: reasonOf,
      dropOrder: 1,
      mayCut: true,
    },
    { header: 'ID', cell: (entry) => entry.id, dropOrder: 3 },
  ]
}

/** Request, note and reference, whatever is there of them. */
function reasonOf({ requestId, note, ref }: LedgerEntry): string {
  const parts = [requestId, note, ref === null ? null : `ref ${ref}`]
  return parts.filter((part) => part !== null).join(' · ')
}

const orDash = (micro: Micro) => (micro === 0 ? '–' : formatUsdFull(micro))

function dayColumns(timeZone: string): readonly Column<LedgerDay>[] {
  return [
    { header: `DATE (${timeZone})`, cell: (day) => day.day },
    { header: 'GRANTED', cell: (day) => orDash(day.grantedMicro), align: 'right' },
    { header: 'SPENT', cell: (day) => orDash(day.spentMicro), align: 'right' },
    { header: 'REFUNDED', cell: (day) => orDash(day.refundedMicro), align: 'right' },
    { header: 'ADJUSTED', cell: (day) => orDash(day.adjustedMicro), align: 'right' },
    { header: 'BALANCE', cell: (day) => formatUsdFull(day.balanceMicro), align: 'right' },
  ]
}

function dayJson(
  day: LedgerDay,
  { userName, timeZone }: { readonly userName: string; readonly timeZone: string },
) {
  return {
    object: 'ledger_day',
    user: userName,
    day: day.day,
    timezone: timeZone,
    granted_micro: day.grantedMicro,
    spent_micro: day.spentMicro,
    refunded_micro: day.refundedMicro,
    adjusted_micro: day.adjustedMicro,
    balance_micro: day.balanceMicro,
  }
}
