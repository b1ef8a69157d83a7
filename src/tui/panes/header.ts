import { cutText, safeText, textWidth } from '../../core/text.ts'
import type { DaemonView } from '../facts.ts'
import { formatTime, formatUptime, zoneName } from '../format.ts'
import { SCREENS } from '../keys.ts'
import { type Line, line, type Part, rule, type Span, span, spread, textOf } from '../lines.ts'
import type { View } from '../view.ts'

/** The first three rows: name and daemon, tabs, rule. */
export function header(view: View): Line[] {
  const { model, columns, nowMs, zone, ui } = view
  const badges: Part[] = []
  const badge = (text: string) => badges.push('  ', span(` ${text} `, 'inverse'))
  if (model.daemon.boot?.demo) badge('DEMO')
  if (view.isReadOnly) badge('READ-ONLY')
  if (ui.isPaused) badge('PAUSED')
  const right = [
    daemonSpan(model.daemon, nowMs, 'long'),
    `   ${formatTime(nowMs, zone)} ${zoneName(nowMs, zone)} `,
  ]
  const tabs = SCREENS.map(({ id, label }, i) => {
    const text = `${i + 1} ${label}`
    return id === ui.screen ? span(`[${text}]`, 'accent') : ` ${text} `
  })
  // The host gives way: what restricts or marks this screen must be readable.
  const taken = textWidth(textOf(line(' ccgate  ', ...badges, ...right)))
  const host = cutText(safeText(model.daemon.host), Math.max(0, columns - taken - 1))
  return [
    spread([span(' ccgate', 'bold'), `  ${host}`, ...badges], right, columns),
    spread([' ', ...tabs.flatMap((tab) => [tab, '  '])], ['? help  q quit '], columns),
    rule(columns),
  ]
}

/** `● serving · up 3d 4h`, `✕ gateway down`. */
export function daemonSpan(
  { kind, boot }: DaemonView,
  nowMs: number,
  length: 'long' | 'short',
): Span {
  switch (kind) {
    case 'loading':
      return span('– reading', 'dim')
    case 'down':
      return span(length === 'long' ? '✕ gateway down' : '✕ down', 'bad')
    case 'serving':
    case 'draining': {
      const glyph = kind === 'serving' ? '●' : '◐'
      const up =
        length === 'long' && boot !== null ? ` · up ${formatUptime(nowMs - boot.startedAtMs)}` : ''
      return span(`${glyph} ${kind}${up}`, kind === 'serving' ? 'ok' : 'inverse')
    }
  }
}

/** One line for a terminal that can show nothing else. */
export function tooSmall({ rows }: View): Line[] {
  return Array.from({ length: rows }, (_, i) =>
    line(i === 0 ? 'Terminal too small, need 40x8' : ''),
  )
}
