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

/** A request that is over, and in the store. */
function spend(caps: AccountCaps, listMicro: number, atMs: number): void {
  caps.spent('earlier', { accountId: 'a', listMicro, atMs })
  caps.stored('earlier')
}

test('an account takes on what its day has room for: spent, and reserved for what runs', () => {
  const caps = capsAt()
  spend(caps, 400, NOON)
  caps.reserve('r1', { accountId: 'a', listMicro: 500, atMs: NOON })
  assert.equal(caps.check(account(1_000), want(100), NOON), null)
  // What is reserved may be free again soon; what is spent only when the day is over.
  const soon = { forMs: 1_000, isNew: false }
  assert.deepEqual(caps.check(account(1_000), want(101), NOON), soon)
  assert.deepEqual(caps.check(account(1_000), want(600), NOON), soon)
  const reached = { forMs: MIDNIGHT - NOON, isNew: true }
  assert.deepEqual(caps.check(account(1_000), want(601), NOON), reached)
  assert.deepEqual(caps.check(account(1_000), want(601), NOON), { ...reached, isNew: false })
  assert.equal(caps.check(account(null), want(1e9), NOON), null, 'no cap')
  caps.release('r1')
  spend(caps, 50, NOON)
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
  spend(caps, 900, NOON)
  const later = MIDNIGHT + 1_000
  assert.equal(caps.check(account(1_000), want(1_000), later), null)
  spend(caps, 500, MIDNIGHT - 1)
  assert.equal(caps.check(account(1_000), want(1_000), later), null)
  // The month goes on.
  const month = caps.check(account(null, 1_400), want(1), later)
  assert.deepEqual(month, { forMs: Date.UTC(2026, 11, 1) - later, isNew: true })
})

test('a reservation has the size of what is held, as long as its request runs', () => {
  const caps = capsAt()
  caps.reserve('r1', { accountId: 'a', listMicro: 100, atMs: NOON })
  caps.resize('r1', 400)
  assert.equal(caps.check(account(1_000), want(600), NOON), null)
  assert.notEqual(caps.check(account(1_000), want(601), NOON), null)
  caps.resize('r1', 50)
  assert.equal(caps.check(account(1_000), want(950), NOON), null)
  caps.release('r1')
  caps.resize('r1', 400)
  assert.equal(caps.check(account(1_000), want(1_000), NOON), null)
})

test('what the store knows replaces what was counted, window by window', async () => {
  const caps = capsAt()
  spend(caps, 900, NOON)
  await caps.load(NOON, async (windows) => {
    assert.deepEqual(windows[0], { sinceMs: Date.UTC(2026, 10, 22), untilMs: MIDNIGHT })
    return [[['a', 100]], [['a', 5_000]]]
  })
  assert.equal(caps.check(account(1_000), want(900), NOON), null)
  assert.notEqual(caps.check(account(null, 5_000), want(1), NOON), null)
  await caps.load(NOON, async () => {
    caps.check(account(1_000), want(1), MIDNIGHT)
    return [[['a', 1_000]], [['a', 1_000]]]
  })
  assert.equal(caps.check(account(1_000), want(1_000), MIDNIGHT), null, 'yesterday’s answer')
})

test('what the store may not have seen is added to what it says, once', async () => {
  const caps = capsAt()
  const share = (listMicro: number) => ({ accountId: 'a', listMicro, atMs: NOON })
  caps.spent('on its way', share(100))
  caps.spent('on its way', share(20))
  await caps.load(NOON, async () => {
    caps.stored('on its way')
    caps.spent('meanwhile', share(3))
    caps.stored('meanwhile')
    return [[['a', 7_000]], [['a', 7_000]]]
  })
  const room = (micro: number) => caps.check(account(10_000), want(micro), NOON) === null
  assert.deepEqual([room(10_000 - 7_123), room(10_000 - 7_122)], [true, false])
  await caps.load(NOON, async () => [[['a', 7_123]], [['a', 7_123]]])
  assert.deepEqual([room(10_000 - 7_123), room(10_000 - 7_122)], [true, false])
  // Costs that could not be read change nothing.
  const failure = new Error('busy')
  await assert.rejects(
    caps.load(NOON, () => Promise.reject(failure)),
    failure,
  )
  assert.deepEqual([room(10_000 - 7_123), room(10_000 - 7_122)], [true, false])
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
