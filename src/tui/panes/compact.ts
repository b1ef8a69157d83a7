import { formatLeft, isUsable } from '../../core/account-state.ts'
import { formatUsdSmall } from '../../core/money.ts'
import { sparkline } from '../../core/spark.ts'
import { textWidth } from '../../core/text.ts'
import type { AccountView } from '../facts.ts'
import { formatCount, formatShare, formatTime } from '../format.ts'
import {
  BLANK,
  cell,
  chart,
  fitLine,
  type Line,
  line,
  type Part,
  rule,
  span,
  spread,
} from '../lines.ts'
import type { View } from '../view.ts'
import { rpmText, stateSpan } from './accounts-table.ts'
import { daemonSpan } from './header.ts'

/** The whole screen where it is smaller than 80x24: exactly `rows` lines. */
export function compact(view: View): Line[] {
  const { model, columns, rows, nowMs, zone } = view
  const right: Part[] = [daemonSpan(model.daemon, nowMs, 'short'), ` ${formatTime(nowMs, zone)} `]
  const middle = rows - 6
  const accounts = accountLines(view)
  const list =
    accounts.length <= middle
      ? accounts
      : [
          ...accounts.slice(0, middle - 1),
          line(span(` … ${accounts.length - middle + 1} more lines`, 'dim')),
        ]
  return [
    spread([span(' ccgate', 'bold')], right, columns),
    rule(columns),
    figures(view),
    line(
      ' ',
      chart(model.rates === null ? '' : sparkline(model.rates.requests.slice(-30)), 'accent'),
    ),
    ...Array.from({ length: middle }, (_, i) => list[i] ?? BLANK),
    rule(columns),
    fitLine(line(message(view)), columns - 1),
  ]
}

function figures({ model, columns }: View): Line {
  const { rates, today, daemon } = model
  const spent = today === null ? '–' : formatUsdSmall(today.costMicro)
  if (daemon.kind === 'down' || rates === null) return line(` – req/min   ${spent} today`)
  const perMinute = formatCount(rates.requestsPerMinute)
  const errors = formatShare(rates.errorShare)
  const long = ` ${perMinute} req/min   ${errors} err   ${rates.inFlight} in flight   ${spent} today`
  const short = ` ${perMinute}/min  ${errors} err  ${rates.inFlight} running  ${spent}`
  return line(textWidth(long) <= columns ? long : short)
}

function accountLines({ model, columns, nowMs }: View): Line[] {
  const lines: Line[] = []
  let parts: Part[] = []
  let used = 0
  for (const account of model.accounts) {
    const glyph = stateSpan(account, model.daemon.kind)
    const text = ` ${cell(account.name, Math.min(20, account.name.length))}${tail(account, model.daemon.kind, nowMs)}`
    const width = 1 + textWidth(text) + (used === 0 ? 1 : 3)
    if (used > 0 && used + width > columns - 1) {
      lines.push(line(...parts))
      parts = []
      used = 0
    }
    parts.push(used === 0 ? ' ' : '   ', { ...glyph, text: glyph.text.slice(0, 1) }, text)
    used += used === 0 ? 2 + textWidth(text) : width
  }
  if (parts.length > 0) lines.push(line(...parts))
  return lines
}

function tail(
  account: AccountView,
  daemon: View['model']['daemon']['kind'],
  nowMs: number,
): string {
  const { state } = account
  if (state.word === 'disabled' || daemon === 'down') return ''
  if (state.untilMs !== null) return ` ${formatLeft(state.untilMs - nowMs)}`
  return isUsable(state) || state.word === 'full' ? ` ${rpmText(account)}` : ` ${state.word}`
}

function message({ columns, rows }: View): string {
  const long = ` ${columns}x${rows} is compact: only q (quit) works. 80x24 shows all.`
  return long.length < columns ? long : ' compact: only q quit works below 80x24'
}
