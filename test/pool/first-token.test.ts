import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Candidate } from '../../src/pool/candidate.ts'
import { FirstTokenTimes } from '../../src/pool/first-token.ts'
import { select } from '../../src/pool/select.ts'
import type { Demand } from '../../src/pool/weigh.ts'

const CLASS = 'opus-5-5'

test('the usual time follows what is measured, per model class', () => {
  const times = new FirstTokenTimes()
  assert.equal(times.usualMs(CLASS, 0), null)
  times.began(CLASS, 1_000, 0)
  assert.equal(times.usualMs(CLASS, 0), 1_000)
  times.began(CLASS, 2_000, 0)
  assert.equal(times.usualMs(CLASS, 0), 1_200)
  for (let i = 0; i < 50; i++) times.began(CLASS, 3_000, 0)
  assert.ok(Math.abs((times.usualMs(CLASS, 0) ?? 0) - 3_000) < 1)
  assert.equal(times.usualMs('haiku-4-5', 0), null)
})

test('a time that nobody renews fades, and is forgotten', () => {
  const times = new FirstTokenTimes()
  times.began(CLASS, 30_000, 0)
  assert.equal(times.usualMs(CLASS, 60_000), 15_000)
  assert.equal(times.usualMs(CLASS, 300_000), 937.5)
  assert.equal(times.usualMs(CLASS, 600_000), null)
  times.began(CLASS, 500, 700_000)
  assert.equal(times.usualMs(CLASS, 700_000), 500, 'what is forgotten has no part in it')
})

const DEMAND: Demand = {
  tried: new Set(),
  again: null,
  tags: null,
  bound: null,
  warm: [],
  promptTokens: 0,
  rewriteMicroPerMTok: 0,
  waitedMs: 0,
  longestWaitMs: 10_000,
}

/** Numbers in [0, 1), the same for the same seed. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

/** How the real choice shares `perSecond` requests for so long; `slowMs` is the first account's time to begin. */
function play(
  world: Member[],
  times: { fromMs: number; untilMs: number; slowMs: number; perSecond: number },
  random: () => number,
) {
  const counts = world.map(() => 0)
  for (let nowMs = times.fromMs; nowMs < times.untilMs; nowMs += 1_000 / times.perSecond) {
    const candidates = world.map((one, i): Candidate => {
      for (const run of one.running.filter(
        ({ beginsMs }) => beginsMs <= nowMs && beginsMs > one.seenMs,
      ))
        one.times.began(CLASS, run.beginsMs - run.sentMs, run.beginsMs)
      one.seenMs = nowMs
      one.running = one.running.filter(({ endsMs }) => endsMs > nowMs)
      return {
        id: String(i),
        priority: 1,
        weight: 1,
        inFlight: one.running.length,
        concurrencyLimit: null,
        rpmWaitMs: 0,
        rest: null,
        servesModel: true,
        idleMs: nowMs - one.lastMs,
        firstTokenMs: one.times.usualMs(CLASS, nowMs),
      }
    })
    const decision = select(candidates, DEMAND, random)
    assert.ok(decision.kind === 'account')
    const at = Number(decision.id)
    const beginsMs = nowMs + (at === 0 ? times.slowMs : 1_000) * (0.5 + random())
    // The rest of an answer takes equally long everywhere: only its beginning tells.
    world[at].running.push({ sentMs: nowMs, beginsMs, endsMs: beginsMs + 10_000 })
    world[at].lastMs = nowMs
    counts[at]++
  }
  return counts[0] / counts.reduce((sum, count) => sum + count, 0)
}

interface Member {
  readonly times: FirstTokenTimes
  running: { readonly sentMs: number; readonly beginsMs: number; readonly endsMs: number }[]
  seenMs: number
  lastMs: number
}

function members(count: number): Member[] {
  return Array.from({ length: count }, () => ({
    times: new FirstTokenTimes(),
    running: [],
    seenMs: -1,
    lastMs: Number.NEGATIVE_INFINITY,
  }))
}

test('an account five times slower gets clearly fewer requests, some always, and its share again when it is well', () => {
  for (const perSecond of [0.5, 5, 40]) {
    for (const seed of [1, 2, 3]) {
      const world = members(4)
      const random = seeded(seed)
      const label = `${perSecond}/s, seed ${seed}`
      const slow = play(world, { fromMs: 0, untilMs: 900_000, slowMs: 5_000, perSecond }, random)
      assert.ok(slow < 0.17, `${label}: ${slow} of the requests go to the slow one`)
      assert.ok(slow > 0.01, `${label}: ${slow}, so it is tried all the same`)
      // What it has learned needs a while to change.
      play(world, { fromMs: 900_000, untilMs: 1_200_000, slowMs: 1_000, perSecond }, random)
      const well = { fromMs: 1_200_000, untilMs: 2_100_000, slowMs: 1_000, perSecond }
      const share = play(world, well, random)
      assert.ok(share > 0.21 && share < 0.29, `${label}: ${share} when it is well again`)
    }
  }
})
