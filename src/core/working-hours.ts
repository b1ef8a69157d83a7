import { wallClockAt } from './calendar.ts'
import { invariant } from './invariant.ts'
import type { Parsed } from './quantity.ts'

/** One span as it is written: on these days, from a minute of the day to one of the same or the next day. */
interface Span {
  /** 0 is Monday; all seven when none were named. */
  readonly days: readonly number[]
  readonly daysNamed: boolean
  readonly fromMinute: number
  /** At most 1440; not more than `fromMinute` where the span ends on the next day. */
  readonly toMinute: number
}

/** Open from `open` until `close`: minutes of a week that begins on Monday, `[open, close)`. */
interface WeekSpan {
  readonly open: number
  readonly close: number
}

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']
const EVERY_DAY = [0, 1, 2, 3, 4, 5, 6]
const MINUTE_MS = 60_000
const DAY_MINUTES = 1_440
const DAY_MS = DAY_MINUTES * MINUTE_MS
const WEEK_MINUTES = 7 * DAY_MINUTES
/** The epoch was a Thursday. */
const EPOCH_DAY = 3
const MAX_SPANS = 32
const MAX_LENGTH = 1_000
const EXAMPLE = 'Example: mon-fri 08:00-18:00, sat 10:00-14:00'
/** Every hours open once in two weeks at the latest: a change of the clock can skip one time. */
const SEARCH_MS = 22 * DAY_MS

/**
 * Reads `mon-fri 08:00-18:00, sat 10:00-14:00` or `22:00-06:00` (every day, over midnight) and gives its one
 * spelling: lower case, two digits, no span twice, days beside all times or none. Hours that never open are a problem.
 */
export function parseWorkingHours(text: string): Parsed<string> {
  const read = readSpans(text)
  return read.kind === 'bad' ? read : { kind: 'ok', value: spell(read.value) }
}

/**
 * 0 while `hours` are open at `nowMs`, else the milliseconds until they open. A time is open where the wall clock of
 * `timeZone` shows it: an hour that the clock skips opens nothing, one that comes twice opens twice.
 * `hours` as `parseWorkingHours` gave them; throws on others, and RangeError when `timeZone` is none.
 */
export function opensInMs(hours: string, nowMs: number, timeZone: string): number {
  const name = `${timeZone} ${hours}`
  let known = made.get(name)
  if (known === undefined) {
    if (made.size >= MAX_MADE) made.clear()
    known = new WorkingHours(hours, timeZone)
    made.set(name, known)
  }
  return known.opensInMs(nowMs)
}

const made = new Map<string, WorkingHours>()
/** More than an installation has accounts; what is cleared is made again. */
const MAX_MADE = 1_000

/** The hours of one account in one time zone, read once; it remembers until when its last answer holds. */
export class WorkingHours {
  readonly #week: readonly WeekSpan[]
  readonly #timeZone: string
  #known = { open: false, sinceMs: 0, untilMs: 0 }

  /** `hours` as `parseWorkingHours` gave them; throws on others. */
  constructor(hours: string, timeZone: string) {
    const read = readSpans(hours)
    invariant(read.kind === 'ok', 'stored working hours can be read')
    this.#week = weekOf(read.value)
    this.#timeZone = timeZone
  }

  /** As the function of this name; mostly two comparisons. */
  opensInMs(nowMs: number): number {
    const { sinceMs, untilMs } = this.#known
    if (nowMs < sinceMs || nowMs >= untilMs) {
      const open = this.#isOpen(wallClockAt(nowMs, this.#timeZone))
      this.#known = { open, sinceMs: nowMs, untilMs: this.#changesAt(nowMs, open) }
    }
    return this.#known.open ? 0 : this.#known.untilMs - nowMs
  }

  #isOpen(wallMs: number): boolean {
    const minute = minuteOfWeek(wallMs)
    return this.#week.some(({ open, close }) => open <= minute && minute < close)
  }

  /** The first instant after `fromMs` that is no longer `open` (or no longer closed). */
  #changesAt(fromMs: number, open: boolean): number {
    let atMs = fromMs
    while (atMs - fromMs < SEARCH_MS) {
      const wallMs = wallClockAt(atMs, this.#timeZone)
      if (this.#isOpen(wallMs) !== open) return atMs
      // By days at most: within one, the clock is not set twice.
      const nextMs = atMs + Math.min(DAY_MS, this.#nextEdge(wallMs) - wallMs)
      const even = wallClockAt(nextMs, this.#timeZone) - nextMs === wallMs - atMs
      atMs = even ? nextMs : this.#clockChange(atMs, nextMs)
    }
    return atMs
  }

  /** The wall clock at which a span begins or ends next. */
  #nextEdge(wallMs: number): number {
    const minute = minuteOfWeek(wallMs)
    let next = minute + WEEK_MINUTES
    for (const { open, close } of this.#week) {
      for (const edge of [open, close]) {
        next = Math.min(next, edge > minute ? edge : edge + WEEK_MINUTES)
      }
    }
    return (Math.floor(wallMs / MINUTE_MS) + next - minute) * MINUTE_MS
  }

  /** The first instant after `beforeMs` at which the wall clock is ahead of UTC by another difference. */
  #clockChange(beforeMs: number, afterMs: number): number {
    const aheadMs = wallClockAt(beforeMs, this.#timeZone) - beforeMs
    let before = beforeMs
    let after = afterMs
    while (after - before > 1) {
      const middle = Math.floor((before + after) / 2)
      if (wallClockAt(middle, this.#timeZone) - middle === aheadMs) before = middle
      else after = middle
    }
    return after
  }
}

function minuteOfWeek(wallMs: number): number {
  const minutes = Math.floor(wallMs / MINUTE_MS) + EPOCH_DAY * DAY_MINUTES
  return ((minutes % WEEK_MINUTES) + WEEK_MINUTES) % WEEK_MINUTES
}

/** Spans may overlap; the one that runs over the end of the week is cut in two. */
function weekOf(spans: readonly Span[]): readonly WeekSpan[] {
  return spans.flatMap(({ days, fromMinute, toMinute }) =>
    days.flatMap((day) => {
      const open = day * DAY_MINUTES + fromMinute
      const close = day * DAY_MINUTES + toMinute + (toMinute <= fromMinute ? DAY_MINUTES : 0)
      if (close <= WEEK_MINUTES) return [{ open, close }]
      return [
        { open, close: WEEK_MINUTES },
        { open: 0, close: close - WEEK_MINUTES },
      ]
    }),
  )
}

function readSpans(text: string): Parsed<readonly Span[]> {
  const parts = text.toLowerCase().split(',')
  if (parts.length > MAX_SPANS || text.length > MAX_LENGTH) {
    return bad(`more than ${MAX_SPANS} spans, or ${MAX_LENGTH} characters`)
  }
  const spans: Span[] = []
  for (const part of parts) {
    const span = readSpan(part.trim().replace(/\s+/g, ' '))
    if (span.kind === 'bad') return span
    const { daysNamed, fromMinute, toMinute } = span.value
    // Many would read `mon-fri 08:00-12:00, 13:00-17:00` as Monday to Friday; every day is what it would be.
    const before = spans.at(-1)?.days ?? EVERY_DAY
    if (!daysNamed && before.length < EVERY_DAY.length) {
      const times = spellTimes(fromMinute, toMinute)
      const same = spellDays(before)
      return bad(
        `"${times}" names no days: say ${same} ${times}, or mon-sun ${times} for every day`,
      )
    }
    spans.push(span.value)
  }
  return { kind: 'ok', value: spans }
}

function readSpan(text: string): Parsed<Span> {
  if (text === '') return bad(`a span is empty. ${EXAMPLE}`)
  const match = /^(?:([a-z]+)(?: ?- ?([a-z]+))?)?(?:(?:^| )(\S+) ?- ?(\S+))?$/.exec(text)
  if (match === null) return bad(`"${text}" is not a span of hours. ${EXAMPLE}`)
  const [, first, last, from, to] = match as (string | undefined)[]
  const days = readDays(first, last)
  if (days.kind === 'bad') return days
  if (from === undefined || to === undefined) {
    return bad(`"${text}" has no times: say ${text} 08:00-18:00, or ${text} 00:00-24:00`)
  }
  const fromMinute = readTime(from)
  const toMinute = readTime(to)
  if (fromMinute === null || toMinute === null) {
    return bad(`"${fromMinute === null ? from : to}" is not a time of day. Example: 08:00, 18:30`)
  }
  if (fromMinute === DAY_MINUTES) return bad('a span cannot begin at 24:00: say 00:00')
  if (fromMinute === toMinute) {
    return bad(`"${text}" never opens: it ends when it begins. A whole day is 00:00-24:00`)
  }
  const named = first !== undefined
  // Midnight at the end is the end of this day, in one spelling.
  const endMinute = toMinute === 0 ? DAY_MINUTES : toMinute
  return {
    kind: 'ok',
    value: { days: days.value, daysNamed: named, fromMinute, toMinute: endMinute },
  }
}

function readDays(first: string | undefined, last = first): Parsed<readonly number[]> {
  if (first === undefined || last === undefined) return { kind: 'ok', value: EVERY_DAY }
  const from = DAYS.indexOf(first)
  const to = DAYS.indexOf(last)
  if (from < 0 || to < 0) {
    return bad(`"${from < 0 ? first : last}" is not a day: write ${DAYS.join(' ')}`)
  }
  const count = ((to - from + 7) % 7) + 1
  return { kind: 'ok', value: Array.from({ length: count }, (_, n) => (from + n) % 7) }
}

/** Minutes since midnight, 0 to 1440; null when it is no time. */
function readTime(text: string): number | null {
  const match = /^(\d{1,2}):(\d{2})$/.exec(text)
  if (match === null) return null
  const [hours, minutes] = [Number(match[1]), Number(match[2])]
  if (minutes > 59 || hours * 60 + minutes > DAY_MINUTES) return null
  return hours * 60 + minutes
}

function spell(spans: readonly Span[]): string {
  const withDays = spans.some(({ days }) => days.length < 7)
  const texts = spans.map(({ days, fromMinute, toMinute }) => {
    const times = spellTimes(fromMinute, toMinute)
    return withDays ? `${spellDays(days)} ${times}` : times
  })
  return [...new Set(texts)].join(', ')
}

function spellDays(days: readonly number[]): string {
  if (days.length === 7) return 'mon-sun'
  const [first, last] = [DAYS[days[0]], DAYS[days[days.length - 1]]]
  return first === last ? first : `${first}-${last}`
}

function spellTimes(fromMinute: number, toMinute: number): string {
  const time = (minute: number) =>
    [Math.floor(minute / 60), minute % 60].map((part) => String(part).padStart(2, '0')).join(':')
  return `${time(fromMinute)}-${time(toMinute)}`
}

function bad<T>(problem: string): Parsed<T> {
  return { kind: 'bad', problem }
}
