import { formatAgo, formatTime, zoneName } from '../format.ts'
import { BLANK, type Line, line, span } from '../lines.ts'
import type { View } from '../view.ts'
import type { AccountColumn } from './accounts-table.ts'

/** What to do where no account was added yet. */
export function noAccounts(): Line[] {
  return [
    line(' No upstream accounts yet.'),
    line(
      ' Add one: ',
      span('ccgate accounts add main', 'bold'),
      '   ·   or look around: ',
      span('ccgate demo', 'bold'),
    ),
  ]
}

/** The columns that need no living daemon. */
export const STORED_COLUMNS: readonly AccountColumn[] = [
  { key: 'state', title: 'STATE', width: 11, gap: 0 },
  { key: 'name', title: 'NAME', width: 16, gap: 2 },
  { key: 'cooldown', title: 'COOLDOWN', width: 26, gap: 2 },
  { key: 'today', title: 'TODAY', width: 10, gap: 1, align: 'right' },
]

/** The sentence that stands where live numbers would. */
export function downText({ model, nowMs, zone }: View): string {
  const { boot } = model.daemon
  if (boot === null) return 'The gateway has never run on this database.'
  const ago = formatAgo(nowMs - boot.heartbeatAtMs)
  const time = `${formatTime(boot.heartbeatAtMs, zone)} ${zoneName(nowMs, zone)}`
  return `The gateway is not running.  Last seen ${ago === 'now' ? 'just now' : `${ago} ago`} (${time}, pid ${boot.pid}).`
}

/** What to do without a daemon: the lines above the stored data. */
export function downBanner(view: View): Line[] {
  return [
    BLANK,
    line(span(` ${downText(view)}`, 'bad')),
    BLANK,
    line('   start it        ', span('ccgate serve', 'bold')),
    line('   check the file  ', span('ccgate db check', 'bold')),
    BLANK,
    line(' Live numbers are hidden. Stored data below is read from the database.'),
    BLANK,
  ]
}
