/** A span of time that begins and ends with the wall clock of a time zone; `total` is all time. */
export type Period = 'hour' | 'day' | 'month' | 'total'

/** `[sinceMs, untilMs)`. */
interface Span {
  readonly sinceMs: number
  readonly untilMs: number
}

interface Zone {
  readonly format: Intl.DateTimeFormat
  /** The window of each period that was asked for last: the next question is nearly always about it. */
  readonly last: Map<Period, Span>
}

const HOUR_MS = 3_600_000
/** No clock on earth is further from UTC than this. */
const FARTHEST_MS = 15 * HOUR_MS

// Making a formatter costs a hundred times more than using it.
const zones = new Map<string, Zone>()

/**
 * The period of `timeZone` that `atMs` is in. Days that change the clock have 23 or 25 hours, an hour that
 * comes twice is one of two hours, and a day whose midnight does not exist begins when the clock jumps.
 * Throws RangeError when `timeZone` is none.
 */
export function windowOf(period: Period, atMs: number, timeZone: string): Span {
  if (period === 'total') return { sinceMs: 0, untilMs: Number.MAX_SAFE_INTEGER }
  const zone = zoneOf(timeZone)
  const known = zone.last.get(period)
  if (known && known.sinceMs <= atMs && atMs < known.untilMs) return known
  const wallMs = wallClock(zone, atMs)
  const aheadMs = wallMs - atMs
  const found = {
    sinceMs: instantOf(zone, unitStart(period, wallMs, 0), aheadMs),
    untilMs: instantOf(zone, unitStart(period, wallMs, 1), aheadMs),
  }
  zone.last.set(period, found)
  return found
}

/** True for a name of the IANA time zone database that this runtime knows, such as `Europe/Berlin`. */
export function isTimeZone(name: string): boolean {
  // Offsets such as +02:00 would be taken too, but they know no daylight saving.
  if (!/^[A-Za-z]/.test(name)) return false
  try {
    zoneOf(name)
    return true
  } catch {
    return false
  }
}

/** `2026-11-22`. */
export function dayLabel(atMs: number, timeZone: string): string {
  return label(atMs, timeZone).slice(0, 10)
}

/** `2026-11-22 14:00`. */
export function hourLabel(atMs: number, timeZone: string): string {
  return `${label(atMs, timeZone).slice(0, 13).replace('T', ' ')}:00`
}

/** `2026-11`. */
export function monthLabel(atMs: number, timeZone: string): string {
  return label(atMs, timeZone).slice(0, 7)
}

/** What the wall clock of `timeZone` shows at an instant, as if it were UTC: ms since the epoch. */
export function wallClockAt(atMs: number, timeZone: string): number {
  return wallClock(zoneOf(timeZone), atMs)
}

function label(atMs: number, timeZone: string): string {
  return new Date(wallClock(zoneOf(timeZone), atMs)).toISOString()
}

function zoneOf(timeZone: string): Zone {
  const known = zones.get(timeZone)
  if (known) return known
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  })
  const zone = { format, last: new Map() }
  zones.set(timeZone, zone)
  return zone
}

/** What the wall clock shows, as if it were UTC: ms since the epoch. */
function wallClock({ format }: Zone, atMs: number): number {
  const [month, day, year, hour, minute, second] = format.format(atMs).match(/\d+/g) as string[]
  const wholeSeconds = Date.UTC(
    Number(year),
    Number(month) - 1,
    Number(day),
    Number(hour),
    Number(minute),
    Number(second),
  )
  return wholeSeconds + (((atMs % 1_000) + 1_000) % 1_000)
}

/** Where the wall clock's hour, day or month begins, or one `later`. */
function unitStart(period: Exclude<Period, 'total'>, wallMs: number, later: 0 | 1): number {
  if (period === 'hour') return (Math.floor(wallMs / HOUR_MS) + later) * HOUR_MS
  const date = new Date(wallMs)
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()]
  return period === 'month'
    ? Date.UTC(year, month + later, 1)
    : Date.UTC(year, month, date.getUTCDate() + later)
}

/** The first instant at which the wall clock shows `wallMs` or more. */
function instantOf(zone: Zone, wallMs: number, aheadMs: number): number {
  const guess = wallMs - aheadMs
  if (wallClock(zone, guess) === wallMs && wallClock(zone, guess - 1) < wallMs) return guess
  // The clock was changed in between: that the guess is wrong is rare, so the search may be plain.
  let before = wallMs - FARTHEST_MS
  let after = wallMs + FARTHEST_MS
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2)
    if (wallClock(zone, middle) < wallMs) before = middle
    else after = middle
  }
  return after
}
