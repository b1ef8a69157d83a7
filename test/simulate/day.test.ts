import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BUILT_IN_PRICES } from '../../src/billing/prices.ts'
import { accountOf } from '../../src/simulate/account.ts'
import { START_MS } from '../../src/simulate/agenda.ts'
import { playStrategy, playYardstick, USUAL_PACE } from '../../src/simulate/compare.ts'
import { makeDay } from '../../src/simulate/day.ts'

const MODEL = 'claude-opus-5-5'
const DAY = { seed: 3, model: MODEL, conversations: 30, promptTokens: [1_000, 3_000] }
const PLAN = { weight: 1, priority: 1, concurrencyLimit: 10, rpmLimit: null }

function lineUp(concurrencyLimit: number) {
  const accounts = ['a', 'b', 'c'].map((name) => ({ ...PLAN, name, concurrencyLimit }))
  const outage = { fromMs: 9 * 3_600_000, forMs: 3 * 3_600_000 }
  const trouble = { overloaded: 0.02, outage }
  const base = { model: MODEL, prices: BUILT_IN_PRICES, pace: USUAL_PACE, seed: DAY.seed }
  return { ...base, workload: makeDay(DAY), accounts, trouble }
}

test('a day is the same for the same seed, spread over its hours, and holds its bursts', () => {
  const day = makeDay(DAY)
  assert.deepEqual(
    day.map(({ id, startMs, turns }) => [id, startMs, turns.length]),
    makeDay(DAY).map(({ id, startMs, turns }) => [id, startMs, turns.length]),
  )
  assert.notDeepEqual(makeDay({ ...DAY, seed: 4 })[0].turns[0].body, day[0].turns[0].body)
  const bursts = day.filter(({ id }) => id.startsWith('burst '))
  assert.deepEqual([bursts.length, new Set(bursts.map(({ startMs }) => startMs)).size], [72, 6])
  const hours = new Set(day.map(({ startMs }) => Math.floor(startMs / 3_600_000)))
  assert.ok(hours.size > 8 && Math.max(...hours) < 24)
})

test('through an outage and 529s every request of the day is answered, and ours costs the least', async () => {
  const all = lineUp(10)
  const alone = await playYardstick(all)
  const careless = await playStrategy(all, 'round robin')
  const own = await playStrategy(all, 'ccgate')
  assert.equal(own.requests, alone.requests)
  assert.equal(careless.requests, alone.requests)
  assert.ok(own.costMicro < careless.costMicro)
  assert.ok(own.costMicro <= 1.2 * alone.costMicro)
  assert.ok(own.reroutes > 0, 'the outage was met')
  assert.equal(own.mistaken, 0)
  const hours = own.hourlyMicro.reduce((sum, micro) => sum + micro, 0)
  assert.equal(hours, own.costMicro)
})

test('where slots are short requests wait, none longer than the line allows before its answer or error', async () => {
  const own = await playStrategy(lineUp(2), 'ccgate')
  assert.ok(own.p99WaitMs > 0)
  assert.ok(own.clientErrors > 0 || own.longestWaitMs <= 12_000)
  assert.equal(accountOf({ ...PLAN, name: 'a' }, START_MS).concurrencyLimit, 10)
})
