import { formatTime } from './format.ts'
import { hints } from './keys.ts'
import { cell, fitLine, type Line, line, rule, span } from './lines.ts'
import { accountsScreen } from './panes/accounts.ts'
import { compact } from './panes/compact.ts'
import { header, tooSmall } from './panes/header.ts'
import { overlayHint, withOverlay } from './panes/overlay.ts'
import { overview } from './panes/overview.ts'
import { keyContext } from './state.ts'
import type { View } from './view.ts'

const FOOTER_ROWS = 3

/** Which of the three kinds of screen fits. */
export function layoutOf({
  columns,
  rows,
}: Pick<View, 'columns' | 'rows'>): 'full' | 'compact' | 'none' {
  if (columns < 40 || rows < 8) return 'none'
  return columns < 80 || rows < 24 ? 'compact' : 'full'
}

/** The whole screen: exactly `rows` lines, none wider than `columns`. */
export function frame(view: View): Line[] {
  const { columns, rows, ui } = view
  const layout = layoutOf(view)
  if (layout === 'none') return tooSmall(view).map((each) => fitLine(each, columns - 1))
  if (layout === 'compact') return compact(view).map((each) => fitLine(each, columns))
  const top = header(view)
  const height = rows - top.length - FOOTER_ROWS
  const body = ui.screen === 'overview' ? overview(view, height) : accountsScreen(view, height)
  const upper = [...top, ...body, rule(columns), messageLine(view)]
  const lines = ui.overlay === null ? upper : withOverlay(upper, ui.overlay, view)
  // The last cell of the last row stays empty: some terminals scroll when it is written.
  const last = fitLine(hintLine(view), columns - 1)
  return [...lines.map((each) => fitLine(each, columns)), last]
}

function hintLine(view: View): Line {
  const { ui, model, columns, isReadOnly } = view
  if (ui.overlay !== null) return line(span(overlayHint(ui.overlay), 'bold'))
  const isDown = model.daemon.kind === 'down'
  const context = keyContext(ui, { accounts: model.accounts, isReadOnly, isDown })
  return line(span(hints(context, columns - 1), 'dim'))
}

/** The result of the last action, else what is wrong, else nothing. */
function messageLine({
  ui,
  model,
  nowMs,
  zone,
  staleSinceMs,
  version,
  columns,
  refreshMs,
}: View): Line {
  const text = (words: string) => ` ${cell(words, columns - 2)}`
  if (ui.message !== null && ui.message.untilMs > nowMs) {
    return line(span(text(ui.message.text), ui.message.tone))
  }
  if (staleSinceMs !== null) {
    const since = formatTime(staleSinceMs, zone)
    return line(span(text(`! database busy, showing data from ${since}`), 'warn'))
  }
  const { kind, boot } = model.daemon
  if (kind === 'down') {
    return line(span(text(`waiting for the gateway, looking every ${refreshMs / 1000} s …`), 'dim'))
  }
  if (boot !== null && boot.version !== version) {
    return line(
      span(text(`! The gateway runs ${boot.version}, this monitor is ${version}.`), 'warn'),
    )
  }
  const warning = model.warnings[0]
  if (warning === undefined) return line('')
  const command = columns >= 110 && warning.command !== null ? `  ·  ${warning.command}` : ''
  return line(span(text(`! ${warning.text}${command}`), warning.tone))
}
