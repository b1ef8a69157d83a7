import { formatUsdExact } from '../core/money.ts'
import { modelText, outcomeOf, statusText } from '../core/outcome.ts'
import type { UsageRow } from '../store/store.ts'
import { type Calendar, formatCount } from './format.ts'
import type { Column } from './print.ts'

const ROLES = { ok: 'ok', left: 'warn', refused: 'warn', failed: 'bad' } as const

/** One line per request, as `usage list` and `usage tail` print it. */
export function usageColumns(calendar: Calendar): readonly Column<UsageRow>[] {
  const tokens = (row: UsageRow, count: number) => (row.receipt === null ? '–' : formatCount(count))
  const allInput = (row: UsageRow) =>
    row.tokens.input + row.tokens.cacheRead + row.tokens.cacheWrite5m + row.tokens.cacheWrite1h
  return [
    {
      header: calendar.zone === 'UTC' ? 'TIME (UTC)' : 'TIME',
      cell: (row) => calendar.second(row.createdAtMs),
    },
    {
      header: 'STATUS',
      roomFor: 7,
      cell: (row) => `${statusText(row)}${row.attempts.length > 1 ? ' ↻' : ''}`,
      role: (row) => ROLES[outcomeOf(row)],
    },
    {
      header: 'KEY',
      cell: (row) => `${row.userName}/${row.keyName}`,
      roomFor: 16,
      dropOrder: 2,
      mayCut: true,
    },
    { header: 'MODEL', cell: modelText, roomFor: 18, dropOrder: 3, mayCut: true },
    {
      header: 'ACCOUNT',
      cell: (row) => row.accountName ?? '–',
      roomFor: 8,
      dropOrder: 4,
      mayCut: true,
    },
    {
      header: 'IN',
      cell: (row) => tokens(row, allInput(row)),
      align: 'right',
      roomFor: 7,
      dropOrder: 5,
    },
    {
      header: 'OUT',
      cell: (row) => tokens(row, row.tokens.output),
      align: 'right',
      roomFor: 6,
      dropOrder: 5,
    },
    { header: 'COST', cell: (row) => formatUsdExact(row.costMicro), align: 'right', roomFor: 9 },
    { header: 'ID', cell: (row) => row.requestId, dropOrder: 1 },
  ]
}
