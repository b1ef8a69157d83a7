import { isLowBalance, lowBalanceMicro } from '../../core/low-balance.ts'
import { formatUsd, formatUsdFull, formatUsdSmall, type Micro } from '../../core/money.ts'
import { runsOutAt, runsOutIn } from '../../core/runs-out.ts'
import type { UserSummary } from '../../store/store.ts'
import { type Context, expectFound } from '../context.ts'
import { isoTime } from '../format.ts'
import type { Invocation } from '../invocation.ts'
import type { Column } from '../print.ts'
import { listJson } from '../records.ts'

/** Balances: what is held, what was spent, how long it lasts, and who is warned of when. */
export async function showCredit(context: Context, call: Invocation): Promise<void> {
  const { print, nowMs } = context
  const noticeMicro = (await context.config()).config.billing.lowBalanceMicro
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
  if (print.json)
    return print.document(listJson(users.map((user) => balanceJson(user, { nowMs, noticeMicro }))))
  if (users.length === 0)
    return print.note('No users. Add one: ccgate users create alice --credit 25')
  const rows = users.map((user): BalanceRow => {
    const lowAtMicro = lowBalanceMicro(user, noticeMicro)
    return {
      ...user,
      runsOut: runsOutIn(user, nowMs),
      isLow: isLowBalance(user, noticeMicro),
      lowAt: lowAtMicro === null ? '–' : lowAtMicro === 0 ? 'none' : formatUsdFull(lowAtMicro),
    }
  })
  const total = { name: 'total', ...totals, runsOut: '', isLow: false, lowAt: '' }
  print.table<BalanceRow>(BALANCE_COLUMNS, rows.length > 1 ? [...rows, total] : rows)
}

interface BalanceRow {
  readonly name: string
  readonly balanceMicro: Micro
  readonly heldMicro: Micro
  readonly spent30dMicro: Micro
  readonly runsOut: string
  readonly isLow: boolean
  readonly lowAt: string
}

const BALANCE_COLUMNS: readonly Column<BalanceRow>[] = [
  { header: 'USER', cell: (row) => row.name, mayCut: true },
  {
    header: 'BALANCE  ',
    cell: (row) => `${formatUsd(row.balanceMicro)}${row.isLow ? ' !' : '  '}`,
    align: 'right',
    role: (row) => (row.balanceMicro <= 0 ? 'bad' : row.isLow ? 'warn' : null),
  },
  { header: 'HELD', cell: (row) => formatUsdSmall(row.heldMicro), align: 'right', dropOrder: 2 },
  {
    header: 'SPENT 30 D',
    cell: (row) => formatUsdSmall(row.spent30dMicro),
    align: 'right',
    dropOrder: 1,
  },
  { header: 'RUNS OUT IN', cell: (row) => row.runsOut, align: 'right', dropOrder: 3 },
  { header: 'LOW AT', cell: (row) => row.lowAt, align: 'right', dropOrder: 4 },
]

function balanceJson(
  user: UserSummary,
  { nowMs, noticeMicro }: { readonly nowMs: number; readonly noticeMicro: Micro | null },
) {
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
    low_balance_micro: lowBalanceMicro(user, noticeMicro),
    low: isLowBalance(user, noticeMicro),
  }
}

function sum<T>(rows: readonly T[], value: (row: T) => Micro): Micro {
  return rows.reduce((total, row) => total + value(row), 0)
}
