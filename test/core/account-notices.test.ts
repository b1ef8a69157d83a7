import assert from 'node:assert/strict'
import { test } from 'node:test'
import { capUsesOf, capWindows, noticeLines, reachedCap } from '../../src/core/account-notices.ts'

const NOON = Date.UTC(2026, 10, 22, 12)
const MIDNIGHT = Date.UTC(2026, 10, 23)
const WINDOWS = capWindows(NOON, 'UTC')

const uses = (
  caps: { readonly day?: number; readonly month?: number },
  used: { readonly day: number; readonly month: number; readonly turnedAwayMs?: number },
) =>
  capUsesOf(
    { dayCapMicro: caps.day ?? null, monthCapMicro: caps.month ?? null },
    {
      windows: WINDOWS,
      costsMicro: [used.day, used.month],
      turnedAway: used.turnedAwayMs === undefined ? null : { atMs: used.turnedAwayMs },
    },
  )
const reached = (caps: ReturnType<typeof uses>) =>
  reachedCap({ caps, foreignUse: null })?.period ?? null

test('a cap is reached when it is used up, and not a micro-dollar before', () => {
  assert.deepEqual(uses({}, { day: 5, month: 5 }), [])
  assert.equal(reached(uses({ day: 100 }, { day: 99, month: 99 })), null)
  assert.equal(reached(uses({ day: 100 }, { day: 100, month: 100 })), 'day')
  const both = uses({ day: 100, month: 300 }, { day: 120, month: 300 })
  assert.equal(reached(both), 'month', 'the one that lasts longer')
  assert.deepEqual(both[0], {
    period: 'day',
    capMicro: 100,
    usedMicro: 120,
    resetsAtMs: MIDNIGHT,
    isReached: true,
  })
})

test('a request that was turned away is about the cap with the least room, in its own day or month', () => {
  const caps = { day: 100, month: 900 }
  const at = (turnedAwayMs: number, day = 80) =>
    reached(uses(caps, { day, month: 400, turnedAwayMs }))
  assert.equal(at(NOON - 1_000), 'day')
  assert.equal(at(Date.UTC(2026, 10, 21, 23)), null, 'that was yesterday')
  const month = uses(caps, { day: 1, month: 890, turnedAwayMs: Date.UTC(2026, 10, 21, 23) })
  assert.equal(reached(month), 'month')
})

test('people are told until when in the zone of the config, and what helps', () => {
  const told = (caps: ReturnType<typeof uses>, timeZone = 'UTC') =>
    noticeLines({ name: 'main', disabledAtMs: null, notices: { caps, foreignUse: null } }, timeZone)
  const day = uses({ day: 50_000_000 }, { day: 50_000_000, month: 0 })
  assert.deepEqual(told(day), [
    {
      code: 'account_capped',
      message: 'main is at its cap of $50.00/day until 00:00 UTC',
      command: 'ccgate accounts update main --day-cap …',
    },
  ])
  assert.match(told(day, 'Europe/Berlin')[0].message, /until 01:00 Europe\/Berlin$/)
  const [month] = told(uses({ month: 7_000_000 }, { day: 0, month: 8_000_000 }))
  assert.match(month.message, /cap of \$7\.00\/month until 2026-12-01 00:00 UTC$/)
  assert.match(month.command, /--month-cap/)
})

test('a disabled account, and one that nobody looked at, has nothing to tell', () => {
  const notices = { caps: [], foreignUse: { atMs: NOON, message: 'its key is used elsewhere too' } }
  const [line] = noticeLines({ name: 'main', disabledAtMs: null, notices }, 'UTC')
  assert.deepEqual(line, {
    code: 'credential_used_elsewhere',
    message: 'main: its key is used elsewhere too',
    command: 'ccgate accounts rotate main',
  })
  assert.deepEqual(noticeLines({ name: 'main', disabledAtMs: NOON, notices }, 'UTC'), [])
  assert.deepEqual(noticeLines({ name: 'main', disabledAtMs: null }, 'UTC'), [])
})
