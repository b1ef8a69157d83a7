import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  fillGaps,
  foldRows,
  OTHERS,
  orderRows,
  sumOf,
  wholePeriodsSince,
} from '../../src/cli/usage-report.ts'
import { dayLabel } from '../../src/core/calendar.ts'
import { NO_TOKENS } from '../../src/core/usage.ts'
import type { UsageDimension, UsageSummaryRow } from '../../src/store/store.ts'

const NOW_MS = Date.UTC(2026, 10, 22, 12, 4, 31)

function row(group: readonly string[], costMicro: number, requests = 1): UsageSummaryRow {
  const tokens = { ...NO_TOKENS, input: requests * 10 }
  const cache = { readSavedMicro: requests, writeExtraMicro: 0, lostMicro: 2 * requests }
  return {
    group,
    requests,
    errors: 0,
    refused: 0,
    tokens,
    costMicro,
    listCostMicro: costMicro,
    cache,
  }
}

const groups = (rows: readonly UsageSummaryRow[]) => rows.map(({ group }) => group.join(' '))

test('time goes forward, everything else from the dearest down, groups stay together', () => {
  const days = [row(['2026-11-02'], 5), row(['2026-11-01'], 1), row(['2026-11-03'], 3)]
  assert.deepEqual(groups(orderRows(days, ['day'])), ['2026-11-01', '2026-11-02', '2026-11-03'])
  const users = [row(['a', 'x'], 5), row(['b', 'x'], 4), row(['b', 'y'], 3), row(['c', 'x'], 0)]
  assert.deepEqual(groups(orderRows(users, ['user', 'model'])), ['b x', 'b y', 'a x', 'c x'])
  const mixed = [row(['2', 'x'], 1), row(['1', 'x'], 1), row(['1', 'y'], 2)]
  assert.deepEqual(groups(orderRows(mixed, ['day', 'model'])), ['1 y', '1 x', '2 x'])
})

test('--top keeps the dearest groups of all time and adds the others up, which come last', () => {
  const rows = [
    row(['1', 'x'], 9),
    row(['1', 'y'], 2),
    row(['1', 'z'], 3),
    row(['2', 'y'], 8),
    row(['2', 'z'], 1),
  ]
  const folded = orderRows(foldRows(rows, ['day', 'model'], 2), ['day', 'model'])
  assert.deepEqual(
    folded.map(({ group, costMicro }) => [...group, costMicro]),
    [
      ['1', 'x', 9],
      ['1', 'y', 2],
      ['1', OTHERS, 3],
      ['2', 'y', 8],
      ['2', OTHERS, 1],
    ],
  )
  const alone = orderRows(foldRows([row(['a'], 1), row(['b'], 1), row(['c'], 9)], ['user'], 1), [
    'user',
  ])
  assert.deepEqual(groups(alone), ['c', OTHERS])
  assert.deepEqual(groups(foldRows(rows.slice(0, 1), ['day'], 1)), ['1 x'], 'time is never folded')
})

test('folding and ordering lose and add nothing', () => {
  const name = fc.constantFrom('a', 'b', 'c', 'd')
  const rows = fc.array(
    fc
      .tuple(name, name, fc.nat(1_000_000), fc.nat(50))
      .map(([a, b, cost, n]) => row([a, b], cost, n)),
  )
  const by = fc.constantFrom<readonly UsageDimension[]>(
    ['user', 'model'],
    ['day', 'key'],
    ['status', 'hour'],
  )
  fc.assert(
    fc.property(rows, by, fc.integer({ min: 1, max: 5 }), (found, dimensions, top) => {
      const shown = orderRows(foldRows(found, dimensions, top), dimensions)
      assert.deepEqual(sumOf(shown), sumOf(found))
    }),
  )
})

test('days without requests get a row of zeros, across a change of the clocks', () => {
  const filled = fillGaps([row(['2026-10-25'], 5)], 'day', {
    sinceMs: Date.UTC(2026, 9, 23, 22),
    untilMs: Date.UTC(2026, 9, 27),
    timeZone: 'Europe/Berlin',
    labelOf: (atMs) => dayLabel(atMs, 'Europe/Berlin'),
  })
  assert.deepEqual(
    filled.map(({ group, costMicro }) => [...group, costMicro]),
    [
      ['2026-10-24', 0],
      ['2026-10-25', 5],
      ['2026-10-26', 0],
      ['2026-10-27', 0],
    ],
  )
})

test('seven days back are seven days, the running one among them', () => {
  const options = { endMs: NOW_MS, timeZone: 'UTC' }
  const since = wholePeriodsSince('day', NOW_MS - 7 * 86_400_000, options)
  assert.equal(new Date(since).toISOString(), '2026-11-16T00:00:00.000Z')
  const midnight = Date.UTC(2026, 10, 15)
  assert.equal(wholePeriodsSince('day', midnight, options), midnight, 'a whole day stays')
  const short = NOW_MS - 3_600_000
  assert.equal(wholePeriodsSince('month', short, options), short, 'less than one month')
})
