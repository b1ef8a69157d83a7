import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  formatUsd,
  formatUsdExact,
  formatUsdFull,
  formatUsdSmall,
  usdColumn,
} from '../../src/core/money.ts'

const anyMicro = fc.maxSafeInteger()

/** `$1,234.5` as an integer of 10^-digits dollars. */
function readBack(text: string, digits: number): bigint {
  const match = /^(-?)\$(\d{1,3}(?:,\d{3})*)(?:\.(\d+))?$/.exec(text)
  assert.ok(match !== null, text)
  const value = BigInt(match[2].replaceAll(',', '') + (match[3] ?? '').padEnd(digits, '0'))
  return match[1] === '-' ? -value : value
}

test('all six decimals give the amount back exactly', () => {
  fc.assert(
    fc.property(anyMicro, (micro) => {
      assert.equal(readBack(formatUsdExact(micro), 6), BigInt(micro))
    }),
    { numRuns: 500 },
  )
})

test('cents are rounded down, also below zero, and never by a whole cent', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        anyMicro,
        anyMicro.map((micro) => -micro),
      ),
      (micro) => {
        const cents = readBack(formatUsd(micro), 2)
        const lost = BigInt(micro) - cents * 10_000n
        assert.ok(lost >= 0n && lost < 10_000n)
      },
    ),
    { numRuns: 500 },
  )
})

test('amounts as people see them', () => {
  assert.equal(formatUsd(12_440_000), '$12.44')
  assert.equal(formatUsd(-500_000), '-$0.50')
  assert.equal(formatUsd(-4_000), '-$0.01')
  assert.equal(formatUsd(0), '$0.00')
  assert.equal(formatUsd(9_999), '$0.00')
  assert.equal(formatUsdFull(25_000), '$0.025')
  assert.equal(formatUsdFull(25_000_000), '$25.00')
  assert.equal(formatUsdFull(-4_000), '-$0.004')
  assert.equal(formatUsd(1_234_567_890_000), '$1,234,567.89')
  assert.equal(formatUsdExact(29_367), '$0.029367')
  assert.equal(formatUsdExact(0), '$0.00')
  assert.equal(formatUsdExact(-1), '-$0.000001')
})

test('sums are cents, rounded half up, and below a cent what they are', () => {
  assert.equal(formatUsdSmall(0), '$0.00')
  assert.equal(formatUsdSmall(3_599), '$0.003599')
  assert.equal(formatUsdSmall(12), '$0.000012')
  assert.equal(formatUsdSmall(9_999), '$0.009999')
  assert.equal(formatUsdSmall(10_000), '$0.01')
  assert.equal(formatUsdSmall(14_999), '$0.01')
  assert.equal(formatUsdSmall(15_000), '$0.02')
  assert.equal(formatUsdSmall(38_325), '$0.04')
  assert.equal(formatUsdSmall(-38_325), '-$0.04')
  assert.equal(formatUsdSmall(128_400_000), '$128.40')
  fc.assert(
    fc.property(anyMicro, (micro) => {
      const cents =
        BigInt(micro) - readBack(formatUsdSmall(micro), micro < 10_000 ? 6 : 2) * 10_000n
      if (micro >= 10_000) assert.ok(cents >= -5_000n && cents < 5_000n)
    }),
  )
})

test('a column of sums is in cents, or exact where one of them is below a cent', () => {
  assert.deepEqual([0, 38_325, 4_000_000].map(usdColumn([0, 38_325, 4_000_000])), [
    '$0.00',
    '$0.04',
    '$4.00',
  ])
  assert.deepEqual([0, 38_325, 67].map(usdColumn([0, 38_325, 67])), [
    '$0.000000',
    '$0.038325',
    '$0.000067',
  ])
})
