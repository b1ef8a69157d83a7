import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  createCalendar,
  formatAgo,
  formatBytes,
  formatCount,
  formatSpan,
} from '../../src/cli/format.ts'
import { parseEmail, parseKeyName, parseName, parseRef } from '../../src/cli/parse/name.ts'
import { parseTime } from '../../src/cli/parse/time.ts'
import { parseMoney } from '../../src/core/amount.ts'
import { NOW_MS } from './support.ts'

const money = (text: string, signed = false) => {
  const parsed = parseMoney(text, { signed })
  return parsed.kind === 'ok' ? parsed.value : parsed.problem
}
const utc = createCalendar('UTC')
const time = (text: string, direction: 'past' | 'future' = 'past', calendar = utc) => {
  const parsed = parseTime(text, { nowMs: NOW_MS, calendar, direction })
  return parsed.kind === 'ok' ? new Date(parsed.value).toISOString() : parsed.problem
}

test('every accepted spelling of money is exact', () => {
  const cases: readonly (readonly [string, number])[] = [
    ['25', 25_000_000],
    ['25.50', 25_500_000],
    ['$25', 25_000_000],
    ['25usd', 25_000_000],
    ['25 USD', 25_000_000],
    ['$25 usd', 25_000_000],
    ['1_000', 1_000_000_000],
    ['25000000micro', 25_000_000],
    ['2.5c', 25_000],
    ['0.000001', 1],
    ['0.1', 100_000],
    ['0.29', 290_000],
    ['1.005', 1_005_000],
    ['0.0001c', 1],
    ['  7 ', 7_000_000],
    ['007', 7_000_000],
    ['9007199254.740991', Number.MAX_SAFE_INTEGER],
    ['0', 0],
    ['1.000000', 1_000_000],
  ]
  for (const [text, micro] of cases) assert.equal(money(text), micro, text)
  assert.equal(money('-4.50', true), -4_500_000)
  assert.equal(money('-$4.50', true), -4_500_000)
  assert.equal(money('$-4.50', true), -4_500_000)
  assert.equal(money('+3', true), 3_000_000)
  assert.ok(Object.is(money('-0', true), 0))
})

test('every other spelling of money is refused, with the hint that fits', () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['25,00', /use a dot: 25\.00/],
    ['1,000', /write 1000 or 1_000/],
    ['1,234,567.89', /write 1234567\.89 or 1_234_567\.89/],
    ['1e3', /write all digits/],
    ['25€', /only dollars/],
    ['£3', /only dollars/],
    ['0.0000001', /more than 6 decimals/],
    ['0.5micro', /more than 0 decimals/],
    ['2.55555c', /more than 4 decimals/],
    ['-5', /has a sign: it cannot be below 0/],
    ['+5', /has a sign: leave it out/],
    ['.5', /write 0\.5/],
    ['', /empty/],
    ['$', /Example/],
    ['5.', /Example/],
    ['1__0', /Example/],
    ['1_', /Example/],
    ['$5c', /Example/],
    ['NaN', /Example/],
    ['Infinity', /Example/],
    ['0x10', /Example/],
    ['--5', /Example/],
    ['１２', /Example/],
    ['9007199254.740992', /books can hold/],
    ['99999999999999999999', /books can hold/],
    ['5 5', /Example/],
    ['five', /Example/],
  ]
  for (const [text, hint] of cases) assert.match(String(money(text)), hint, text)
  assert.match(String(money('-+5', true)), /Example/)
  assert.match(String(money('-$-5', true)), /Example/)
})

test('money survives being written in every way and read, 10,000 times', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
      fc.boolean(),
      (micro, isNegative) => {
        const digits = String(micro).padStart(7, '0')
        const dollars = `${digits.slice(0, -6)}.${digits.slice(-6)}`
        const sign = isNegative ? '-' : ''
        const expected = isNegative && micro !== 0 ? -micro : micro
        for (const text of [
          `${sign}${dollars}`,
          `${sign}$${dollars}`,
          `${sign}${dollars} usd`,
          `${sign}${micro}micro`,
        ]) {
          assert.equal(money(text, true), expected)
        }
      },
    ),
    { numRuns: 10_000 },
  )
})

test('no text makes the readers of money, time and names crash, 10,000 times', () => {
  const near = fc.stringMatching(/^[-+$0-9._,:TZ /a-z]{0,24}$/)
  fc.assert(
    fc.property(fc.oneof(near, fc.string(), fc.string({ unit: 'binary' })), (text) => {
      const value = money(text, true)
      if (typeof value === 'number') assert.ok(Number.isSafeInteger(value))
      assert.equal(typeof time(text), 'string')
      const name = parseName(text)
      if (name.kind === 'ok') assert.match(name.value, /^[a-z0-9][a-z0-9._-]{0,62}$/)
      parseKeyName(text)
      parseEmail(text)
      parseRef(text)
    }),
    { numRuns: 10_000 },
  )
})

test('times are read as people write them', () => {
  assert.equal(time('now'), '2026-11-22T12:04:31.000Z')
  assert.equal(time('today'), '2026-11-22T00:00:00.000Z')
  assert.equal(time('yesterday'), '2026-11-21T00:00:00.000Z')
  assert.equal(time('7d'), '2026-11-15T12:04:31.000Z')
  assert.equal(time('-7d', 'future'), '2026-11-15T12:04:31.000Z')
  assert.equal(time('7d', 'future'), '2026-11-29T12:04:31.000Z')
  assert.equal(time('1h30m'), '2026-11-22T10:34:31.000Z')
  assert.equal(time('2026-11-22'), '2026-11-22T00:00:00.000Z')
  assert.equal(time('2026-11-22 14:00'), '2026-11-22T14:00:00.000Z')
  assert.equal(time('2026-11-22T14:00:05.250+02:00'), '2026-11-22T12:00:05.250Z')
  assert.equal(time('2026-11-22t14:00:00z'), '2026-11-22T14:00:00.000Z')
  assert.equal(time('2024-02-29'), '2024-02-29T00:00:00.000Z')
})

test('times that do not exist, and dates in the American order, are refused', () => {
  assert.match(time('2026-02-29'), /does not exist|that exists/)
  assert.match(time('2026-13-01'), /that exists/)
  assert.match(time('2026-11-22 25:00'), /that exists/)
  assert.match(time('11/22/26'), /Example: 2026-11-22/)
  assert.match(time('7'), /is not a time/)
  assert.match(time('soon'), /is not a time/)
})

test('a wall-clock time means the zone of the reader, on both sides of a change of clocks', () => {
  const berlin = createCalendar('Europe/Berlin')
  assert.equal(time('2026-07-01 12:00', 'past', berlin), '2026-07-01T10:00:00.000Z')
  assert.equal(time('2026-12-01 12:00', 'past', berlin), '2026-12-01T11:00:00.000Z')
  assert.equal(time('2026-10-25', 'past', berlin), '2026-10-24T22:00:00.000Z')
  assert.equal(time('2026-10-26', 'past', berlin), '2026-10-25T23:00:00.000Z')
  assert.equal(
    time('today', 'past', createCalendar('Pacific/Auckland')),
    '2026-11-22T11:00:00.000Z',
  )
  assert.equal(berlin.stamp(NOW_MS, NOW_MS), 'Sun 22 Nov 13:04')
  assert.equal(berlin.stamp(Date.UTC(2025, 0, 1), NOW_MS), 'Wed 1 Jan 2025 01:00')
})

test('an instant survives being written with milliseconds and read, 10,000 times', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4_000_000_000_000 }), (ms) => {
      const text = new Date(ms).toISOString()
      assert.equal(time(text), text)
    }),
    { numRuns: 10_000 },
  )
})

test('names are plain, and none looks like an id', () => {
  const name = (text: string) => {
    const parsed = parseName(text)
    return parsed.kind === 'ok' ? parsed.value : parsed.problem
  }
  assert.equal(name('alice'), 'alice')
  assert.equal(name('ci-bot.2_x'), 'ci-bot.2_x')
  assert.match(name('Alice'), /write alice/)
  assert.match(name('usr_01jd8c9v2k6m3x7t5r4q1w0zye'), /looks like an id/)
  assert.match(name('-x'), /is not a name/)
  assert.match(name('a/b'), /is not a name/)
  assert.match(name('a\x1b[31m'), /is not a name/)
  assert.match(name('a'.repeat(64)), /longer than 63/)
  assert.deepEqual(parseKeyName('alice/laptop'), {
    kind: 'ok',
    value: { user: 'alice', name: 'laptop' },
  })
  for (const text of ['alice', 'alice/', '/laptop', 'a/b/c', 'alice/LAP'])
    assert.equal(parseKeyName(text).kind, 'bad', text)
})

test('numbers for people', () => {
  assert.equal(formatCount(1_204_567), '1,204,567')
  assert.equal(formatSpan(3_999), '3 s')
  assert.equal(formatSpan(276 * 3_600_000), '11 d')
  assert.equal(formatSpan(76 * 3_600_000), '3 d 4 h')
  assert.equal(formatAgo(NOW_MS - 7_200_000, NOW_MS), '2 h ago')
  assert.equal(formatAgo(null, NOW_MS), 'never')
  assert.equal(formatBytes(412_300_000), '412 MB')
  assert.equal(formatBytes(3_200), '3.2 kB')
  assert.equal(formatBytes(12), '12 B')
})
