import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { AccountCaps } from '../../src/pool/account-caps.ts'

const NOON = Date.UTC(2026, 10, 22, 12)
const MIDNIGHT = Date.UTC(2026, 10, 23)

function capsAt(nowMs = NOON): AccountCaps {
  return new AccountCaps({ timeZone: 'UTC', nowMs })
}

const account = (dayCapMicro: number | null, monthCapMicro: number | null = null) => ({
  id: 'a',
  dayCapMicro,
  monthCapMicro,
})
const want = (listMicro: number, requestId = 'r') => ({ requestId, listMicro })

test('an account takes on what its day has room for: spent, and reserved for what runs', () => {
  const caps = capsAt()
  caps.spent('a', 400, NOON)
  caps.reserve('r1', { accountId: 'a', listMicro: 500, atMs: NOON })
  assert.equal(caps.check(account(1_000), want(100), NOON), null)
  const reached = { forMs: MIDNIGHT - NOON, isNew: true }
  assert.deepEqual(caps.check(account(1_000), want(101), NOON), reached)
  assert.deepEqual(caps.check(account(1_000), want(101), NOON), { ...reached, isNew: false })
  assert.equal(caps.check(account(null), want(1e9), NOON), null, 'no cap')
  caps.release('r1')
  caps.spent('a', 50, NOON)
  assert.equal(caps.check(account(1_000), want(550), NOON), null)
})

test('a request’s own reservation does not stand in its way, and goes where it goes', () => {
  const caps = capsAt()
  caps.reserve('r', { accountId: 'a', listMicro: 900, atMs: NOON })
  assert.equal(caps.check(account(1_000), want(900), NOON), null)
  assert.notEqual(caps.check(account(1_000), want(900, 'other'), NOON), null)
  caps.reserve('r', { accountId: 'b', listMicro: 900, atMs: NOON })
  assert.equal(caps.check(account(1_000), want(900, 'other'), NOON), null)
})

test('a new day begins empty; what was admitted the day before stays there', () => {
  const caps = capsAt()
  caps.spent('a', 900, NOON)
  const later = MIDNIGHT + 1_000
  assert.equal(caps.check(account(1_000), want(1_000), later), null)
  caps.spent('a', 500, MIDNIGHT - 1)
  assert.equal(caps.check(account(1_000), want(1_000), later), null)
  // The month goes on.
  const month = caps.check(account(null, 1_400), want(1), later)
  assert.deepEqual(month, { forMs: Date.UTC(2026, 11, 1) - later, isNew: true })
})

test('what the store knows replaces what was counted, window by window', () => {
  const caps = capsAt()
  caps.spent('a', 900, NOON)
  const windows = caps.windows(NOON)
  assert.deepEqual(windows[0], { sinceMs: Date.UTC(2026, 10, 22), untilMs: MIDNIGHT })
  caps.load(windows, [[['a', 100]], [['a', 5_000]]])
  assert.equal(caps.check(account(1_000), want(900), NOON), null)
  assert.notEqual(caps.check(account(null, 5_000), want(1), NOON), null)
  caps.check(account(1_000), want(1), MIDNIGHT)
  caps.load(windows, [[['a', 1_000]], [['a', 1_000]]])
  assert.equal(caps.check(account(1_000), want(1_000), MIDNIGHT), null, 'yesterday’s answer')
})

test('whatever is reserved, moved and released, nothing stays reserved', () => {
  const step = fc.record({
    request: fc.nat(5),
    to: fc.constantFrom('a', 'b', null),
    listMicro: fc.nat(1_000),
  })
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const caps = capsAt()
      const held = new Map<number, readonly [string, number]>()
      for (const { request, to, listMicro } of steps) {
        if (to === null) caps.release(`${request}`)
        else caps.reserve(`${request}`, { accountId: to, listMicro, atMs: NOON })
        if (to === null) held.delete(request)
        else held.set(request, [to, listMicro])
        const reserved = [...held.values()]
          .filter(([id]) => id === 'a')
          .reduce((sum, [, micro]) => sum + micro, 0)
        assert.equal(caps.check(account(reserved), want(0), NOON), null)
        if (reserved > 0) assert.notEqual(caps.check(account(reserved - 1), want(0), NOON), null)
      }
    }),
  )
})

test('a cap that was changed and is reached again is news again', () => {
  const caps = capsAt()
  const isNew = (dayCapMicro: number) => caps.check(account(dayCapMicro), want(100), NOON)?.isNew
  assert.deepEqual([isNew(10), isNew(10), isNew(20), isNew(20)], [true, false, true, false])
})
