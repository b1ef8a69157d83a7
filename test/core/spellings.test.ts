import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { disconnectPolicyText, parseDisconnectPolicy } from '../../src/core/disconnect-policy.ts'
import { parseSpendLimit, spendLimitText } from '../../src/core/spend-limit.ts'

function accepted<T>(parsed: { kind: 'ok'; value: T } | { kind: 'bad'; problem: string }): T {
  if (parsed.kind === 'bad') throw new Error(parsed.problem)
  return parsed.value
}

test('a spend limit is an amount and a period, and reads back as it is shown', () => {
  assert.deepEqual(accepted(parseSpendLimit('200/month')), {
    amountMicro: 200_000_000,
    period: 'month',
  })
  assert.equal(spendLimitText(accepted(parseSpendLimit('$20.50/day'))), '$20.50/day')
  assert.equal(spendLimitText(null), 'none')
  const cents = fc.integer({ min: 1, max: 100_000_000 })
  const period = fc.constantFrom('day', 'month', 'total')
  fc.assert(
    fc.property(cents, period, (amount, word) => {
      const limit = accepted(parseSpendLimit(`${amount}c/${word}`))
      assert.equal(limit.amountMicro, amount * 10_000)
      // People's texts have thousands separators, which amounts are not typed with.
      assert.deepEqual(accepted(parseSpendLimit(spendLimitText(limit).replaceAll(',', ''))), limit)
    }),
  )
})

test('a spend limit that cannot be meant is refused with an example', () => {
  for (const text of [
    '200',
    '200/week',
    '200/day/month',
    '/day',
    '0/day',
    '-5/day',
    '1,000/day',
    '',
  ]) {
    const parsed = parseSpendLimit(text)
    assert.equal(parsed.kind, 'bad', text)
  }
})

test('a policy for clients that go away is a word, a time, a number of tokens or both', () => {
  assert.deepEqual(accepted(parseDisconnectPolicy('Cancel')), { kind: 'cancel' })
  const both = { kind: 'finish_up_to', tokens: 2_000, ms: 30_000 } as const
  assert.deepEqual(accepted(parseDisconnectPolicy('2k tokens, 30s')), both)
  for (const text of ['cancel', 'finish', '30s', '2000tokens', '1m30s,5tokens', '1token']) {
    const policy = accepted(parseDisconnectPolicy(text))
    assert.deepEqual(accepted(parseDisconnectPolicy(disconnectPolicyText(policy))), policy)
  }
  for (const text of [
    '',
    'stop',
    '30',
    '30s,40s',
    '0s',
    '2h',
    '0tokens',
    '2000000tokens',
    ',',
    's',
  ]) {
    assert.equal(parseDisconnectPolicy(text).kind, 'bad', text)
  }
})
