// Random lives of wallets and keys, told to a store and to plain lists that say what must come of them.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { costOf } from '../../src/billing/cost.ts'
import {
  admit,
  availableMicro,
  credit,
  fitsLimit,
  refund,
  resize,
  settle,
} from '../../src/billing/ledger.ts'
import { BUILT_IN_PRICES } from '../../src/billing/prices.ts'
import { windowOf } from '../../src/core/calendar.ts'
import { createIdMaker, type IdMaker, idTimeMs } from '../../src/core/ids.ts'
import type { Fraction, HoldProgress, SpendLimit } from '../../src/core/model.ts'
import type { KeyLimitReached, NewHold, Store } from '../../src/store/store.ts'
import { addUser, by, newHold, recordOf, voidOf } from './world.ts'

const TIME_ZONE = 'America/Santiago'
const START_MS = Date.UTC(2026, 8, 5, 20)

/** One request, from its hold on. */
interface Life {
  readonly hold: NewHold
  /** As it is now, or was when it was closed. */
  amountMicro: number
  progress: HoldProgress | null
  /** null while it is open; 0 after a void. */
  costMicro: number | null
  isCharged: boolean
  /** In the window of its key's limit that it was opened in. */
  isCounted: boolean
  refundedMicro: number
}

/** Plain lists: nothing is counted that can be added up. */
export interface Model {
  readonly wallets: Map<string, { balanceMicro: number; heldMicro: number }>
  readonly limits: Map<string, SpendLimit | null>
  readonly lives: Life[]
  readonly makeId: IdMaker
  bootId: string
  nowMs: number
}

/** The store, and two users with a key each. */
export interface Real {
  readonly store: Store
  readonly users: readonly { readonly userId: string; readonly keyId: string }[]
  readonly accountId: string
  /** Called after each command. */
  readonly check: () => Promise<void>
}

type Command = fc.AsyncCommand<Model, Real>

function command(name: string, run: (model: Model, real: Real) => Promise<void>): Command {
  return {
    check: () => true,
    async run(model, real) {
      await run(model, real)
      await real.check()
    },
    toString: () => name,
  }
}

const amount = fc.oneof(fc.nat(20), fc.nat(5_000), fc.nat(200_000))
/** Now and then too little for the holds above. */
const CREDIT_MICRO = 1_500_000
const pick = fc.nat(1_000)
const markups = fc.constantFrom<Fraction>([1, 1], [6, 5], [13, 10])
const limits = fc.option(
  fc.record({ amountMicro: fc.nat(500_000), period: fc.constantFrom('day', 'month', 'total') }),
) as fc.Arbitrary<SpendLimit | null>
/** Mostly forward, over midnights and ends of months; sometimes back. */
const steps = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(-2, 24, 24 * 30))

const credits = fc.tuple(pick, amount, fc.boolean()).map(([who, amountMicro, isTaken]) =>
  command(`credit(${who}, ${amountMicro}, ${isTaken})`, async (model, real) => {
    const { userId } = userOf(real, who)
    const entry = isTaken
      ? ({ type: 'adjust', amountMicro: 0 - amountMicro } as const)
      : ({ type: 'grant', amountMicro } as const)
    const expected = credit(walletOf(model, userId), { ...entry, allowNegative: false })
    const result = await real.store.addCredit(
      { id: model.makeId('entry'), userId, ref: null, note: null, ...entry },
      by(),
    )
    assert.equal(result.kind, expected.kind)
    if (expected.kind === 'added') model.wallets.set(userId, expected.after)
  }),
)

const holds = fc.tuple(pick, amount, markups).map(([who, amountMicro, markup]) =>
  command(`hold(${who}, ${amountMicro}, ${markup})`, async (model, real) => {
    const someone = userOf(real, who)
    const limit = model.limits.get(someone.keyId) ?? null
    const requestId = model.makeId('request')
    // Ids never go back, whatever the clock does: by them a request is of a day.
    const atMs = madeAtMs(requestId)
    const hold = newHold(
      { ...someone, bootId: model.bootId },
      {
        requestId,
        amountMicro,
        markup,
        openedAtMs: model.nowMs,
        limitWindow: limit && windowOf(limit.period, atMs, TIME_ZONE),
      },
    )
    const admission = admit(walletOf(model, someone.userId), amountMicro)
    const reached = limitReached(model, { ...someone, atMs, amountMicro })
    const result = await real.store.openHold(hold)
    if (admission.kind === 'held') begin(model, someone.keyId, atMs)
    if (admission.kind === 'held' && reached) return assert.deepEqual(result, reached)
    assert.equal(result.kind, admission.kind)
    if (admission.kind !== 'held') return
    model.wallets.set(someone.userId, admission.after)
    const born = { costMicro: null, isCharged: false, refundedMicro: 0, progress: null }
    model.lives.push({ hold, amountMicro, isCounted: limit !== null, ...born })
  }),
)

const resizes = fc.tuple(pick, fc.integer({ min: -3_000, max: 400_000 })).map(([which, byMicro]) =>
  command(`resize(${which}, ${byMicro})`, async (model, real) => {
    const life = openOf(model, which)
    if (!life) return
    const { requestId, userId, keyId } = life.hold
    const deltaMicro = Math.max(byMicro, 0 - life.amountMicro)
    const change = { holdMicro: life.amountMicro, deltaMicro }
    const expected = resize(walletOf(model, userId), change)
    const reached = life.isCounted
      ? limitReached(model, { keyId, atMs: madeAtMs(requestId), amountMicro: deltaMicro })
      : null
    const result = await real.store.resizeHold(requestId, deltaMicro)
    if (expected.kind !== 'resized') return assert.deepEqual(result, expected)
    if (reached && deltaMicro > 0) return assert.deepEqual(result, reached)
    assert.deepEqual(result, {
      kind: 'resized',
      amountMicro: expected.holdMicro,
      availableMicro: availableMicro(expected.after),
    })
    model.wallets.set(userId, expected.after)
    life.amountMicro = expected.holdMicro
  }),
)

const notes = fc.tuple(pick, fc.nat(5_000), fc.nat(5_000)).map(([which, input, output]) =>
  command(`progress(${which}, ${input}, ${output})`, async (model, real) => {
    const life = openOf(model, which)
    if (!life) return
    life.progress = progressOf(input, output)
    const { requestId } = life.hold
    real.store.noteProgress({ requestId, accountId: real.accountId, progress: life.progress })
  }),
)

const settlements = fc.tuple(pick, amount).map(([which, costMicro]) =>
  command(`settle(${which}, ${costMicro})`, async (model, real) => {
    const life = openOf(model, which)
    if (!life) return
    const after = close(model, life, costMicro, true)
    const record = recordOf(life.hold, { costMicro, holdMicro: life.amountMicro })
    const result = await real.store.settleHold(record)
    assert.deepEqual(result, { kind: 'closed', balanceMicro: after.balanceMicro })
  }),
)

const voids = pick.map((which) =>
  command(`void(${which})`, async (model, real) => {
    const life = openOf(model, which)
    if (!life) return
    const after = close(model, life, 0, false)
    // As the gateway may remember it: the row knows better.
    const result = await real.store.voidHold(voidOf(life.hold))
    assert.deepEqual(result, { kind: 'closed', balanceMicro: after.balanceMicro })
  }),
)

const repeats = pick.map((which) =>
  command(`repeat(${which})`, async (model, real) => {
    const closed = model.lives.filter((life) => life.costMicro !== null)
    if (closed.length === 0) return
    const { hold } = closed[which % closed.length]
    const repeats = [
      () => real.store.settleHold(recordOf(hold)),
      () => real.store.voidHold(voidOf(hold)),
      () => real.store.resizeHold(hold.requestId, 1 + which),
    ]
    const { kind } = await repeats[which % repeats.length]()
    assert.equal(kind, which % repeats.length === 2 ? 'closed' : 'already_closed')
  }),
)

const refunds = fc.tuple(pick, fc.option(amount)).map(([which, amountMicro]) =>
  command(`refund(${which}, ${amountMicro})`, async (model, real) => {
    const charged = model.lives.filter((life) => life.isCharged)
    if (charged.length === 0) return
    const life = charged[which % charged.length]
    const { userId, requestId } = life.hold
    const chargeMicro = life.costMicro ?? 0
    const wanted = amountMicro ?? chargeMicro - life.refundedMicro
    const effect = refund(walletOf(model, userId), {
      amountMicro: wanted,
      chargeMicro,
      refundedMicro: life.refundedMicro,
    })
    const result = await real.store.refundCharge(
      { id: model.makeId('entry'), requestId, amountMicro, ref: null, note: null },
      by(),
    )
    assert.equal(result.kind, effect.kind)
    if (effect.kind !== 'added') return
    life.refundedMicro += wanted
    model.wallets.set(userId, effect.after)
  }),
)

const limitChanges = fc.tuple(pick, limits).map(([who, limit]) =>
  command(`limit(${who}, ${limit?.amountMicro} ${limit?.period})`, async (model, real) => {
    const { keyId } = userOf(real, who)
    const window = limit && windowOf(limit.period, model.nowMs, TIME_ZONE)
    await real.store.limitKey(keyId, { spendLimit: limit }, window, by())
    const before = model.limits.get(keyId) ?? null
    model.limits.set(keyId, limit)
    if (JSON.stringify(before) === JSON.stringify(limit)) return
    for (const life of model.lives) if (life.hold.keyId === keyId) life.isCounted = false
    begin(model, keyId, model.nowMs)
  }),
)

const clocks = steps.map((hours) =>
  command(`clock(${hours} h)`, async (model) => {
    model.nowMs += hours * 3_600_000
  }),
)

const crashes = fc.constant(
  command('crash and recover', async (model, real) => {
    const open = model.lives.filter((life) => life.costMicro === null)
    const sums = { settled: 0, voided: 0, settledMicro: 0 }
    for (const life of open) {
      const costMicro = life.progress === null ? 0 : recoveredCost(life.hold, life.progress)
      close(model, life, costMicro, life.progress !== null)
      if (life.progress === null) sums.voided += 1
      else sums.settled += 1
      sums.settledMicro += costMicro
    }
    assert.deepEqual(await real.store.recoverHolds([model.bootId], model.nowMs), sums)
    model.bootId = model.makeId('boot')
  }),
)

/** Mostly what requests do; what people and fate do is rarer. */
const commands = [
  ...Array<typeof holds>(5).fill(holds),
  ...Array<typeof resizes>(4).fill(resizes),
  ...Array<typeof settlements>(2).fill(settlements),
  notes,
  voids,
  repeats,
  refunds,
  limitChanges,
  fc.oneof(credits, clocks, clocks, crashes),
]

function userOf(real: Real, who: number): Real['users'][number] {
  return real.users[who % real.users.length]
}

function walletOf(model: Model, userId: string): { balanceMicro: number; heldMicro: number } {
  const wallet = model.wallets.get(userId)
  assert.ok(wallet)
  return wallet
}

function openOf(model: Model, which: number): Life | null {
  const open = model.lives.filter((life) => life.costMicro === null)
  return open.length === 0 ? null : open[which % open.length]
}

function close(model: Model, life: Life, costMicro: number, isCharged: boolean) {
  const { userId } = life.hold
  const after = settle(walletOf(model, userId), { holdMicro: life.amountMicro, costMicro })
  model.wallets.set(userId, after)
  life.costMicro = costMicro
  life.isCharged = isCharged
  return after
}

/** What the key's requests opened in the window of `atMs` have cost and hold, where that is too much. */
function limitReached(
  model: Model,
  asked: { keyId: string; atMs: number; amountMicro: number },
): KeyLimitReached | null {
  const { keyId, atMs, amountMicro } = asked
  const limit = model.limits.get(keyId) ?? null
  if (limit === null) return null
  const { sinceMs, untilMs } = windowOf(limit.period, atMs, TIME_ZONE)
  let [spentMicro, heldMicro] = [0, 0]
  for (const { hold, costMicro, amountMicro: held } of model.lives) {
    const madeMs = madeAtMs(hold.requestId)
    if (hold.keyId !== keyId || madeMs < sinceMs || madeMs >= untilMs) continue
    if (costMicro === null) heldMicro += held
    else spentMicro += costMicro
  }
  const limitMicro = limit.amountMicro
  if (fitsLimit({ spentMicro, heldMicro }, limitMicro, amountMicro)) return null
  return { kind: 'key_limit', limitMicro, spentMicro, heldMicro }
}

/** The key's window of that time begins, if it has not: what was opened in it counts there. */
function begin(model: Model, keyId: string, atMs: number): void {
  const limit = model.limits.get(keyId) ?? null
  if (limit === null) return
  const { sinceMs, untilMs } = windowOf(limit.period, atMs, TIME_ZONE)
  for (const life of model.lives) {
    const madeMs = madeAtMs(life.hold.requestId)
    if (life.hold.keyId === keyId && sinceMs <= madeMs && madeMs < untilMs) {
      life.isCounted = true
    }
  }
}

function madeAtMs(requestId: string): number {
  const atMs = idTimeMs(requestId)
  assert.ok(atMs !== null)
  return atMs
}

function progressOf(input: number, output: number): HoldProgress {
  return {
    responseModel: 'claude-sonnet-4-6',
    tokens: { input, output, cacheRead: 3, cacheWrite5m: 0, cacheWrite1h: 0 },
    speed: null,
    inferenceGeo: null,
    upstreamRequestId: null,
  }
}

function recoveredCost({ openedAtMs, markup }: NewHold, progress: HoldProgress): number {
  const usage = {
    model: progress.responseModel,
    tokens: progress.tokens,
    iterations: [],
    webSearchRequests: 0,
    speed: null,
    inferenceGeo: null,
    serviceTier: null,
    stopReason: null,
    hasContent: true,
    anomalies: 0,
  }
  return costOf(usage, BUILT_IN_PRICES, { atMs: openedAtMs, markup }).costMicro
}

/** How many lives are told, how long they are, and what happens around them. */
export interface LedgerRuns {
  readonly runs: number
  readonly steps: number
  readonly seed?: number
  /** A store for one run, with an account in it. */
  readonly begin: () => Promise<{ store: Store; accountId: string; end: () => Promise<void> }>
  /** Called after each step. */
  readonly check: (store: Store) => Promise<void>
}

/** Tells random lives to stores and compares; throws with the shortest life that a store gets wrong. */
export async function compareWithModel(options: LedgerRuns): Promise<void> {
  const { runs, steps: maxCommands, seed } = options
  const sequences = fc.commands(commands, { maxCommands, size: 'max' })
  let run = 0
  await fc.assert(
    fc.asyncProperty(sequences, async (sequence) => {
      run += 1
      const { store, accountId, end } = await options.begin()
      try {
        const users = [
          await addUser(store, { name: `a${run}`, creditMicro: CREDIT_MICRO }),
          await addUser(store, { name: `b${run}`, creditMicro: CREDIT_MICRO }),
        ]
        const check = () => options.check(store)
        const model = newModel(users)
        await fc.asyncModelRun(
          () => ({ model, real: { store, users, accountId, check } }),
          sequence,
        )
        for (const [userId, wallet] of model.wallets) {
          assert.deepEqual(await store.getWallet(userId), { userId, ...wallet })
        }
        assert.deepEqual(await violationsOf(store), [])
      } finally {
        await end()
      }
    }),
    { numRuns: runs, ...(seed === undefined ? {} : { seed }) },
  )
}

function newModel(users: Real['users']): Model {
  const clock = { nowMs: START_MS }
  const makeId = createIdMaker(
    (bytes) => randomBytes(bytes),
    () => clock.nowMs,
  )
  return {
    wallets: new Map(
      users.map(({ userId }) => [userId, { balanceMicro: CREDIT_MICRO, heldMicro: 0 }]),
    ),
    limits: new Map(),
    lives: [],
    makeId,
    bootId: makeId('boot'),
    get nowMs() {
      return clock.nowMs
    },
    set nowMs(nowMs) {
      clock.nowMs = nowMs
    },
  }
}

/** The broken rules; whatever the time, nothing is open for too long. */
export async function violationsOf(store: Store): Promise<readonly string[]> {
  const { violations, foreignKeyViolations } = await store.checkLedger(0)
  return foreignKeyViolations === 0
    ? violations
    : [...violations, `${foreignKeyViolations} broken references`]
}
