const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** `1,204`: whole numbers for people. */
export function formatCount(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ',')
}

/** `1 request`, `1,204 requests`. */
export function countOf(value: number, noun: string): string {
  return `${formatCount(value)} ${noun}${value === 1 ? '' : 's'}`
}

/** `3 s ago`, `2 h ago`, `31 d ago`; `never` for null. */
export function formatAgo(atMs: number | null, nowMs: number): string {
  return atMs === null ? 'never' : `${formatSpan(Math.max(0, nowMs - atMs))} ago`
}

/** `3 s`, `14 min`, `2 h`, `3 d 4 h`: how long, in words. */
export function formatSpan(ms: number): string {
  if (ms < MINUTE) return `${Math.floor(ms / 1000)} s`
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min`
  if (ms < DAY) return `${Math.floor(ms / HOUR)} h`
  const hours = Math.floor((ms % DAY) / HOUR)
  const days = Math.floor(ms / DAY)
  return days < 7 && hours > 0 ? `${days} d ${hours} h` : `${formatCount(days)} d`
}

/** `412 MB`, `3.2 kB`: sizes in decimal units. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 || value >= 10 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

/** `1.90 s` from a second on, else `612 ms`. */
export function formatMs(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`
}

/** Times for people in one time zone; undefined is that of the system. */
export interface Calendar {
  /** `Sun 22 Nov 12:04`, with the year when it is another. */
  stamp(atMs: number, nowMs: number): string
  /** `22 Nov 12:04:31`. */
  second(atMs: number): string
  /** `2026-11-22`. */
  day(atMs: number): string
  /** The first instant of that instant's day. */
  startOfDay(atMs: number): number
  /** The instant of a wall-clock time. */
  instant(wall: Wall): number
  /** `UTC` or the zone's name. */
  readonly zone: string
}

/** A wall-clock time without a zone; months count from 1. */
export interface Wall {
  readonly year: number
  readonly month: number
  readonly day: number
  readonly hour?: number
  readonly minute?: number
  readonly second?: number
}

/** A calendar of one time zone; throws RangeError when the zone is unknown. */
export function createCalendar(timeZone: string | undefined): Calendar {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    weekday: 'short',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
  })
  const months = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ')
  function parts(atMs: number): Readonly<Record<string, string>> {
    return Object.fromEntries(format.formatToParts(atMs).map((part) => [part.type, part.value]))
  }
  function offsetMs(atMs: number): number {
    const p = parts(atMs)
    const wall = Date.UTC(+p.year, +p.month - 1, +p.day, +p.hour, +p.minute, +p.second)
    return wall - Math.floor(atMs / 1000) * 1000
  }
  function instant(wall: Wall): number {
    const asUtc = Date.UTC(
      wall.year,
      wall.month - 1,
      wall.day,
      wall.hour ?? 0,
      wall.minute ?? 0,
      wall.second ?? 0,
    )
    // Twice: the first guess may lie on the other side of a change of the clocks.
    const guess = asUtc - offsetMs(asUtc)
    return asUtc - offsetMs(guess)
  }
  return {
    zone: timeZone ?? format.resolvedOptions().timeZone,
    instant,
    stamp(atMs, nowMs) {
      const p = parts(atMs)
      const year = p.year === parts(nowMs).year ? '' : ` ${p.year}`
      return `${p.weekday} ${+p.day} ${months[+p.month - 1]}${year} ${p.hour}:${p.minute}`
    },
    second(atMs) {
      const p = parts(atMs)
      return `${p.day} ${months[+p.month - 1]} ${p.hour}:${p.minute}:${p.second}`
    },
    day(atMs) {
      const p = parts(atMs)
      return `${p.year}-${p.month}-${p.day}`
    },
    startOfDay(atMs) {
      const p = parts(atMs)
      return instant({ year: +p.year, month: +p.month, day: +p.day })
    },
  }
}

/** RFC 3339 in UTC with milliseconds, as every `--json` time; null stays null. */
export function isoTime(atMs: number): string
export function isoTime(atMs: number | null): string | null
export function isoTime(atMs: number | null): string | null {
  return atMs === null ? null : new Date(atMs).toISOString()
}
