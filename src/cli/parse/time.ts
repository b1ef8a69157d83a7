import { type Parsed, parseDuration } from '../../core/quantity.ts'
import type { Calendar } from '../format.ts'

/** What a time is read against. */
export interface TimeContext {
  readonly nowMs: number
  readonly calendar: Calendar
  /** `7d` is seven days ago (`--since`) or seven days ahead (`--expires`). */
  readonly direction: 'past' | 'future'
}

const FORM =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(\.\d{1,9})?)?\s?(Z|[+-]\d{2}:\d{2})?)?$/i

/** RFC 3339, `2026-11-22`, `2026-11-22 14:00`, `now today yesterday`, `7d`, `-7d`; in ms since the epoch. */
export function parseTime(text: string, context: TimeContext): Parsed<number> {
  const trimmed = text.trim()
  const { nowMs, calendar } = context
  const word = trimmed.toLowerCase()
  if (word === 'now') return ok(nowMs)
  if (word === 'today') return ok(calendar.startOfDay(nowMs))
  if (word === 'yesterday')
    return ok(calendar.startOfDay(calendar.startOfDay(nowMs) - 12 * 3_600_000))
  const ago = /^([+-]?)(\d.*[a-z])$/i.exec(trimmed)
  if (ago !== null && !trimmed.includes(':')) {
    const span = parseDuration(ago[2])
    if (span.kind === 'bad') return span
    const isPast = ago[1] === '-' || (ago[1] === '' && context.direction === 'past')
    return ok(isPast ? nowMs - span.value : nowMs + span.value)
  }
  const match = FORM.exec(trimmed)
  if (match === null) {
    return bad(
      `"${trimmed.slice(0, 40)}" is not a time. Example: 2026-11-22, "2026-11-22 14:00", 7d or today`,
    )
  }
  const [, year, month, day, hour = '0', minute = '0', second = '0', fraction = '', zone] = match
  const wall = {
    year: +year,
    month: +month,
    day: +day,
    hour: +hour,
    minute: +minute,
    second: +second,
  }
  const asUtc = new Date(
    Date.UTC(wall.year, wall.month - 1, wall.day, wall.hour, wall.minute, wall.second),
  )
  // 30 February or 25:00 would silently become another time.
  if (
    wall.year < 1970 ||
    asUtc.getUTCMonth() + 1 !== wall.month ||
    asUtc.getUTCDate() !== wall.day ||
    wall.hour > 23 ||
    wall.minute > 59 ||
    wall.second > 59
  ) {
    return bad(`"${trimmed}" is not a day or time that exists`)
  }
  const fractionMs = Math.floor(Number(`0${fraction || '.0'}`) * 1000)
  if (zone === undefined) return ok(calendar.instant(wall) + fractionMs)
  return ok(asUtc.getTime() - zoneMs(zone) + fractionMs)
}

function zoneMs(zone: string): number {
  if (zone.toUpperCase() === 'Z') return 0
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4, 6))
  return (zone.startsWith('-') ? -minutes : minutes) * 60_000
}

function ok(value: number): Parsed<number> {
  return { kind: 'ok', value }
}

function bad<T>(problem: string): Parsed<T> {
  return { kind: 'bad', problem }
}
