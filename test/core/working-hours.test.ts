import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { opensInMs, parseWorkingHours, WorkingHours } from '../../src/core/working-hours.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']
const at = (text: string) => Date.parse(text)

function hours(text: string): string {
  const read = parseWorkingHours(text)
  assert.ok(read.kind === 'ok', read.kind === 'bad' ? `${text}: ${read.problem}` : '')
  return read.value
}

function problem(text: string): string {
  const read = parseWorkingHours(text)
  assert.ok(read.kind === 'bad', `${text} was read`)
  return read.problem
}

test('hours have one spelling', () => {
  assert.equal(
    hours(' Mon-FRI  8:00 - 18:00,sat 10:00-14:00'),
    'mon-fri 08:00-18:00, sat 10:00-14:00',
  )
  assert.equal(hours('22:00-06:00'), '22:00-06:00')
  assert.equal(hours('mon-sun 22:00-06:00'), '22:00-06:00')
  assert.equal(hours('thu-wed 22:00-00:00, 22:00-24:00'), '22:00-24:00')
  assert.equal(hours('sun - sun 00:00-24:00'), 'sun 00:00-24:00')
  assert.equal(
    hours('08:00-12:00, fri-mon 13:00-17:00'),
    'mon-sun 08:00-12:00, fri-mon 13:00-17:00',
  )
})

test('what cannot be read is told, and how to write it', () => {
  assert.match(problem(''), /span is empty.*Example: mon-fri 08:00-18:00/)
  assert.match(problem('08:00-09:00,'), /span is empty/)
  assert.match(problem('24/7'), /"24\/7" is not a span of hours/)
  assert.match(problem('always'), /"always" is not a day: write mon tue/)
  assert.match(problem('mon-day 08:00-09:00'), /"day" is not a day/)
  assert.match(problem('mon, wed 08:00-18:00'), /"mon" has no times: say mon 08:00-18:00/)
  assert.match(problem('mon 8-18'), /"8" is not a time of day/)
  assert.match(problem('mon 08:00-24:01'), /"24:01" is not a time of day/)
  assert.match(problem('mon 08:00-09:60'), /"09:60" is not a time of day/)
  assert.match(problem('08:00-10:00-12:00'), /"08:00-10:00" is not a time of day/)
  assert.match(problem('24:00-06:00'), /cannot begin at 24:00/)
  assert.match(problem(Array(33).fill('08:00-09:00').join()), /more than 32 spans/)
  assert.match(problem('-'.repeat(100_000)), /more than/)
})

test('hours that never open are a problem, and never whole days by mistake', () => {
  for (const text of ['08:00-08:00', 'mon 00:00-00:00']) {
    assert.match(problem(text), /never opens.*A whole day is 00:00-24:00/)
  }
})

test('times behind days name their days themselves', () => {
  assert.equal(
    problem('mon-fri 08:00-12:00, 13:00-17:00'),
    '"13:00-17:00" names no days: say mon-fri 13:00-17:00, or mon-sun 13:00-17:00 for every day',
  )
})

test('an account opens on Monday morning and closes with the minute', () => {
  const work = hours('mon-fri 08:00-18:00')
  const opens = (text: string) => opensInMs(work, at(text), 'Europe/Berlin')
  assert.equal(opens('2026-11-20T16:59:59.999Z'), 0)
  assert.equal(opens('2026-11-20T17:00:00Z'), (2 * 24 + 14) * HOUR_MS)
  assert.equal(opens('2026-11-23T06:59:59.999Z'), 1)
  assert.equal(opens('2026-11-23T07:00:00Z'), 0)
})

test('a span over midnight belongs to the day on which it begins', () => {
  const night = hours('sun 22:00-06:00')
  const opens = (text: string) => opensInMs(night, at(text), 'UTC')
  assert.equal(opens('2026-11-22T21:00:00Z'), HOUR_MS)
  assert.equal(opens('2026-11-23T05:59:00Z'), 0)
  assert.equal(opens('2026-11-23T06:00:00Z'), (6 * 24 + 16) * HOUR_MS)
})

test('when the clock is set forward, the skipped hour opens nothing and what runs over it opens at the jump', () => {
  // Berlin, 2026-03-29: after 01:59 comes 03:00 (01:00 UTC).
  const zone = 'Europe/Berlin'
  const before = at('2026-03-29T00:30:00Z')
  assert.equal(opensInMs(hours('02:30-04:00'), before, zone), 30 * MINUTE_MS)
  assert.equal(opensInMs(hours('02:15-02:45'), before, zone), 23 * HOUR_MS + 45 * MINUTE_MS)
  assert.equal(
    opensInMs(hours('sun 02:15-02:45'), before, zone),
    (6 * 24 + 23) * HOUR_MS + 45 * MINUTE_MS,
  )
})

test('when the clock is set back, a time that comes twice opens twice', () => {
  // New York, 2026-11-01: after 01:59 comes 01:00 again (06:00 UTC).
  const zone = 'America/New_York'
  const early = hours('01:00-01:30')
  assert.equal(opensInMs(early, at('2026-11-01T05:10:00Z'), zone), 0)
  assert.equal(opensInMs(early, at('2026-11-01T05:30:00Z'), zone), 30 * MINUTE_MS)
  assert.equal(opensInMs(early, at('2026-11-01T06:20:00Z'), zone), 0)
})

const ZONES = ['UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu']
/** Around changes of the clock in 2026, and ordinary weeks. */
const STARTS = ['2026-03-08', '2026-03-29', '2026-04-05', '2026-06-10', '2026-10-04', '2026-10-25']

const spanText = fc
  .record({
    days: fc.option(fc.tuple(fc.constantFrom(...DAYS), fc.constantFrom(...DAYS)), { nil: null }),
    from: fc.nat(1_439),
    to: fc.nat(1_440),
  })
  .filter(({ from, to }) => from !== to)
const spans = fc.array(spanText, { minLength: 1, maxLength: 4 }).map((list) => {
  const allDays = list.every(({ days }) => days === null)
  return list.map((span) => ({ ...span, days: allDays ? null : (span.days ?? ['mon', 'sun']) }))
})

const clock = (minute: number) =>
  `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`

test('property: open is what the wall clock says, and the wait ends exactly when they open', () => {
  const run = fc.property(
    spans,
    fc.constantFrom(...ZONES),
    fc.constantFrom(...STARTS),
    fc.integer({ min: -2 * 1_440, max: 2 * 1_440 }),
    (list, zone, start, minutes) => {
      const text = hours(
        list
          .map(
            ({ days, from, to }) =>
              `${days === null ? '' : `${days.join('-')} `}${clock(from)}-${clock(to)}`,
          )
          .join(', '),
      )
      assert.equal(hours(text), text)
      const wall = new Intl.DateTimeFormat('en-GB', {
        timeZone: zone,
        weekday: 'short',
        hour: '2-digit',
        minute: '2-digit',
        hourCycle: 'h23',
      })
      const isOpen = (atMs: number): boolean => {
        const part = Object.fromEntries(wall.formatToParts(atMs).map((p) => [p.type, p.value]))
        const day = DAYS.indexOf(part.weekday.toLowerCase())
        const minute = Number(part.hour) * 60 + Number(part.minute)
        return list.some(({ days, from, to }) => {
          const on = (that: number) => {
            if (days === null) return true
            const [first, last] = days.map((name) => DAYS.indexOf(name))
            return (that - first + 7) % 7 <= (last - first + 7) % 7
          }
          const over = to !== 0 && to < from
          const end = to === 0 ? 1_440 : to
          if (!over) return on(day) && from <= minute && minute < end
          return (on(day) && minute >= from) || (on((day + 6) % 7) && minute < to)
        })
      }
      const nowMs = at(`${start}T00:00:00Z`) + minutes * MINUTE_MS
      const waitMs = opensInMs(text, nowMs, zone)
      assert.equal(waitMs === 0, isOpen(nowMs), text)
      assert.ok(isOpen(nowMs + waitMs), `${text}: closed when the wait ends`)
      if (waitMs > 0) assert.ok(!isOpen(nowMs + waitMs - 1), `${text}: open before the wait ends`)
      for (let ms = 7 * MINUTE_MS; ms < Math.min(waitMs, 36 * HOUR_MS); ms += 7 * MINUTE_MS) {
        assert.ok(!isOpen(nowMs + ms), `${text}: open in the middle of the wait`)
      }
      // What was remembered from one answer never makes another one wrong, also when the clock goes back.
      const kept = new WorkingHours(text, zone)
      for (const ms of [0, waitMs, waitMs - 1, -3 * HOUR_MS, 5 * HOUR_MS, 40 * MINUTE_MS]) {
        const there = nowMs + ms
        assert.equal(kept.opensInMs(there), new WorkingHours(text, zone).opensInMs(there))
        assert.equal(kept.opensInMs(there) === 0, isOpen(there))
      }
    },
  )
  fc.assert(run, { numRuns: 300 })
})

test('hours round the clock are always open', () => {
  const always = new WorkingHours(hours('00:00-24:00'), 'UTC')
  for (let day = 0; day < 100; day += 1) assert.equal(always.opensInMs(day * 24 * HOUR_MS), 0)
})

test('hours that nobody read are refused where they are used', () => {
  assert.throws(() => opensInMs('whenever', 0, 'UTC'), /working hours/)
  assert.throws(() => opensInMs('08:00-09:00', 0, 'Mars/Olympus'), RangeError)
})
