import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  dayLabel,
  hourLabel,
  isTimeZone,
  monthLabel,
  type Period,
  windowOf,
} from '../../src/core/calendar.ts'

const HOUR_MS = 3_600_000
const at = (text: string) => Date.parse(text)
const iso = (window: { sinceMs: number; untilMs: number }) =>
  [window.sinceMs, window.untilMs].map((ms) => new Date(ms).toISOString().slice(0, 16))

test('in UTC periods are those of the date', () => {
  const now = at('2026-02-28T14:05:09.123Z')
  assert.deepEqual(iso(windowOf('hour', now, 'UTC')), ['2026-02-28T14:00', '2026-02-28T15:00'])
  assert.deepEqual(iso(windowOf('day', now, 'UTC')), ['2026-02-28T00:00', '2026-03-01T00:00'])
  assert.deepEqual(iso(windowOf('month', now, 'UTC')), ['2026-02-01T00:00', '2026-03-01T00:00'])
  assert.deepEqual(windowOf('total', now, 'UTC'), {
    sinceMs: 0,
    untilMs: Number.MAX_SAFE_INTEGER,
  })
})

test('days begin at the local midnight, and years and months with them', () => {
  const newYear = at('2026-12-31T23:30:00Z')
  assert.deepEqual(iso(windowOf('day', newYear, 'Europe/Berlin')), [
    '2026-12-31T23:00',
    '2027-01-01T23:00',
  ])
  assert.equal(monthLabel(newYear, 'Europe/Berlin'), '2027-01')
  assert.equal(monthLabel(newYear, 'America/New_York'), '2026-12')
  assert.equal(hourLabel(newYear, 'Asia/Kathmandu'), '2027-01-01 05:00')
})

test('a day that changes the clock has 23 or 25 hours', () => {
  const hoursOf = (text: string, zone: string) => {
    const { sinceMs, untilMs } = windowOf('day', at(text), zone)
    return (untilMs - sinceMs) / HOUR_MS
  }
  assert.equal(hoursOf('2026-03-29T12:00:00Z', 'Europe/Berlin'), 23)
  assert.equal(hoursOf('2026-10-25T00:30:00Z', 'Europe/Berlin'), 25)
  assert.equal(hoursOf('2026-10-25T12:00:00Z', 'Europe/Berlin'), 25)
  assert.equal(hoursOf('2026-11-22T12:00:00Z', 'Europe/Berlin'), 24)
  // Lord Howe Island moves by half an hour.
  assert.equal(hoursOf('2026-04-05T00:00:00Z', 'Australia/Lord_Howe'), 24.5)
})

test('a midnight that does not exist: the day begins when the clock jumps', () => {
  // In Santiago the clock jumps from 24:00 to 01:00.
  const window = windowOf('day', at('2026-09-06T12:00:00Z'), 'America/Santiago')
  assert.deepEqual(iso(window), ['2026-09-06T04:00', '2026-09-07T03:00'])
  assert.equal(hourLabel(window.sinceMs, 'America/Santiago'), '2026-09-06 01:00')
})

test('an hour that comes twice is one of two hours', () => {
  const first = windowOf('hour', at('2026-10-25T00:30:00Z'), 'Europe/Berlin')
  const second = windowOf('hour', at('2026-10-25T01:30:00Z'), 'Europe/Berlin')
  assert.deepEqual(first, second)
  assert.equal(first.untilMs - first.sinceMs, 2 * HOUR_MS)
})

const ZONES = [
  'UTC',
  'Europe/Berlin',
  'America/New_York',
  'America/St_Johns',
  'America/Havana',
  'America/Santiago',
  'Asia/Kathmandu',
  'Asia/Beirut',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'Pacific/Chatham',
  'Pacific/Kiritimati',
  'Africa/Casablanca',
]

test('windows hold the instant they are asked for and follow each other without a gap', () => {
  const instants = fc.integer({ min: at('2015-01-01T00:00:00Z'), max: at('2036-01-01T00:00:00Z') })
  const periods = fc.constantFrom<Period>('hour', 'day', 'month')
  fc.assert(
    fc.property(instants, periods, fc.constantFrom(...ZONES), (now, period, zone) => {
      const window = windowOf(period, now, zone)
      assert.ok(window.sinceMs <= now && now < window.untilMs)
      assert.equal(windowOf(period, window.untilMs, zone).sinceMs, window.untilMs)
      assert.equal(windowOf(period, window.sinceMs - 1, zone).untilMs, window.sinceMs)
      assert.deepEqual(windowOf(period, window.sinceMs, zone), window)
      assert.deepEqual(windowOf(period, window.untilMs - 1, zone), window)
      const labelOf = { hour: hourLabel, day: dayLabel, month: monthLabel, total: dayLabel }[period]
      assert.equal(labelOf(window.sinceMs, zone), labelOf(window.untilMs - 1, zone))
      assert.notEqual(labelOf(window.sinceMs, zone), labelOf(window.untilMs, zone))
    }),
    { numRuns: 1_000 },
  )
})

test('time zones are names of the IANA database', () => {
  for (const name of ['UTC', 'Europe/Berlin', 'America/Argentina/Ushuaia', 'Etc/GMT+5']) {
    assert.equal(isTimeZone(name), true, name)
  }
  for (const name of ['', ' ', 'Mars/Olympus', '+02:00', 'UTC+2', 'Berlin', '2026']) {
    assert.equal(isTimeZone(name), false, name)
  }
  assert.throws(() => windowOf('day', 0, 'Mars/Olympus'), RangeError)
})
