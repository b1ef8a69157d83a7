import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { editDistance, nearest, nearestFew } from '../../src/core/nearest.ts'
import { formatDuration, parseCount, parseDuration, parseSize } from '../../src/core/quantity.ts'

const value = <T>(parsed: { kind: 'ok'; value: T } | { kind: 'bad'; problem: string }) =>
  parsed.kind === 'ok' ? parsed.value : parsed.problem

test('durations are read with their units, and only with them', () => {
  assert.equal(value(parseDuration('90s')), 90_000)
  assert.equal(value(parseDuration('500ms')), 500)
  assert.equal(value(parseDuration(' 1h30m ')), 5_400_000)
  assert.equal(value(parseDuration('4w')), 2_419_200_000)
  assert.match(String(value(parseDuration('30'))), /say 30s or 30m/)
  assert.match(String(value(parseDuration('30m1h'))), /large ones first/)
  for (const text of ['', 's', '1.5h', '-3s', '3 s', '1e3s', '1y', '99999999999999w', '１s']) {
    assert.equal(parseDuration(text).kind, 'bad', text)
  }
})

test('a duration survives being written and read, 10,000 times', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 3_000_000_000_000 }), (ms) => {
      assert.equal(value(parseDuration(formatDuration(ms))), ms)
    }),
    { numRuns: 10_000 },
  )
})

test('sizes know decimal and binary units', () => {
  assert.equal(value(parseSize('64KiB')), 65_536)
  assert.equal(value(parseSize('2MiB')), 2_097_152)
  assert.equal(value(parseSize('1GB')), 1_000_000_000)
  assert.equal(value(parseSize('1 gib')), 1_073_741_824)
  assert.match(String(value(parseSize('64'))), /say 64KiB/)
  for (const text of ['', 'KiB', '1.5MiB', '-1KB', '1TiBi', '999999999999999GiB']) {
    assert.equal(parseSize(text).kind, 'bad', text)
  }
})

test('counts know k and M, and stay whole', () => {
  assert.equal(value(parseCount('120')), 120)
  assert.equal(value(parseCount('1k')), 1_000)
  assert.equal(value(parseCount('2.5M')), 2_500_000)
  assert.equal(value(parseCount('1_000')), 1_000)
  assert.equal(value(parseCount('2.50')), '"2.50" is not a whole number. Example: 60')
  for (const text of [
    '',
    '-1',
    '1e3',
    '1,000',
    '60/min',
    '0.0001k',
    '1__0',
    '1_',
    '9007199254740993',
    'NaN',
    '0x10',
  ]) {
    assert.equal(parseCount(text).kind, 'bad', text)
  }
})

test('no text makes a reader crash, and what is read is a safe whole number, 10,000 times', () => {
  const near = fc.stringMatching(/^[0-9._,kKMmsdhwiBGb $-]{0,20}$/)
  fc.assert(
    fc.property(fc.oneof(near, fc.string()), (text) => {
      for (const read of [parseDuration, parseSize, parseCount]) {
        const parsed = read(text)
        if (parsed.kind === 'ok') assert.ok(Number.isSafeInteger(parsed.value) && parsed.value >= 0)
        else assert.ok(parsed.problem.length > 0)
      }
    }),
    { numRuns: 10_000 },
  )
})

test('a slip finds its word; a different word finds nothing', () => {
  assert.equal(nearest('key', ['keys', 'users']), 'keys')
  assert.equal(nearest('uesrs', ['keys', 'users']), 'users')
  assert.equal(nearest('acc', ['accounts', 'audit']), 'accounts')
  assert.equal(nearest('frobnicate', ['keys', 'users']), null)
  assert.deepEqual(nearestFew('alice/lap', ['alice/laptop', 'alice/lab', 'x'], 3), [
    'alice/lab',
    'alice/laptop',
  ])
})

test('edit distance is symmetric, zero only for equal texts, and counts a swap as one', () => {
  assert.equal(editDistance('ab', 'ba'), 1)
  fc.assert(
    fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (a, b) => {
      assert.equal(editDistance(a, b), editDistance(b, a))
      assert.equal(editDistance(a, b) === 0, a === b)
    }),
  )
})
