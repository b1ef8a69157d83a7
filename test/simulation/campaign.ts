import { findPrice } from '../../src/billing/price-table.ts'
import { BUILT_IN_PRICES } from '../../src/billing/prices.ts'
import type { UsageRow } from '../../src/store/store.ts'
import { lognormal, mulberry32 } from '../support/random.ts'
import type { Weather } from './disk.ts'
import type { Served } from './upstream.ts'
import { VirtualTime } from './virtual-time.ts'
import { type Sent, SimulatedWorld } from './world.ts'

/** What a run of one seed found, and how much happened in it. */
export interface SimulationResult {
  readonly seed: number
  readonly violations: readonly string[]
  readonly requests: number
  readonly charged: number
  /** Requests whose hold grew while they ran, and those that ended because it could not. */
  readonly extended: number
  readonly ranOut: number
  /** Requests whose prompt was held for as warm, and those of them that cost more than that. */
  readonly thin: number
  readonly cold: number
  readonly crashes: number
}

const EPOCH_MS = Date.parse('2026-11-22T22:00:00Z')
const MODELS = ['claude-opus-5-5', 'claude-sonnet-5-5', 'claude-haiku-5-5', 'claude-sonnet-4-6']
const WEATHERS: readonly Weather[] = ['fine', 'fine', 'fine', 'slow', 'busy', 'full']
const HOUR_MS = 3_600_000
/** A long prompt that everybody asks about; what is in whose cache, upstream decides as it likes. */
const BOOK = {
  model: 'claude-opus-5-5',
  max_tokens: 1_000,
  cache_control: { type: 'ephemeral' },
  messages: [
    {
      role: 'user',
      content: [
        {
          type: 'text',
          text: 'once upon a time '.repeat(3_000),
          cache_control: { type: 'ephemeral' },
        },
      ],
    },
    { role: 'assistant', content: 'Yes.' },
  ],
} as const

/** Everything that one seed does in so many steps: requests, faults, people, crashes. Replays exactly. */
export async function simulate(seed: number, steps: number): Promise<SimulationResult> {
  const random = mulberry32(seed)
  const time = new VirtualTime(EPOCH_MS)
  time.install()
  try {
    const world = new SimulatedWorld(time, random)
    const run = new Run(world, time, random)
    await world.open()
    for (let step = 0; step < steps && run.violations.length === 0; step++) await run.step()
    await run.finish()
    world.close()
    return {
      seed,
      violations: run.violations,
      requests: world.sent.length,
      charged: run.charged,
      extended: run.extended,
      ranOut: run.ranOut,
      thin: run.thin,
      cold: run.cold,
      crashes: run.crashes,
    }
  } finally {
    time.uninstall()
  }
}

class Run {
  readonly violations: string[] = []
  charged = 0
  extended = 0
  ranOut = 0
  thin = 0
  cold = 0
  crashes = 0
  readonly #world: SimulatedWorld
  readonly #time: VirtualTime
  readonly #random: () => number
  #refs = 0
  #stepsSinceCheck = 0

  constructor(world: SimulatedWorld, time: VirtualTime, random: () => number) {
    this.#world = world
    this.#time = time
    this.#random = random
  }

  async step(): Promise<void> {
    const draw = this.#random()
    if (draw < 0.4) await this.#send()
    else if (draw < 0.78) await this.#time.pass(lognormal(this.#random, 1_500, 1.5))
    else if (draw < 0.85) this.#hangUp()
    else if (draw < 0.88) await this.#grant()
    else if (draw < 0.9) await this.#adjust()
    else if (draw < 0.92) await this.#refund()
    else if (draw < 0.94) await this.#limit()
    else if (draw < 0.96) this.#world.disk.weather = this.#pick(WEATHERS)
    else if (draw < 0.97) this.#world.upstream.faultShare = this.#pick([0, 0.1, 0.3, 0.8])
    else if (draw < 0.98) this.#time.skewMs = this.#pick([0, -2 * HOUR_MS, 24 * HOUR_MS, 90])
    else if (draw < 0.985) for (const exchange of [...this.#world.gateway.running]) exchange.cut()
    else await this.#crash()
    this.violations.push(...this.#world.broken.splice(0))
    if (++this.#stepsSinceCheck % 25 === 0) await this.#check('while running')
  }

  /** Lets everything come to its end; then nothing may be held, running or wrong. */
  async finish(): Promise<void> {
    const world = this.#world
    world.disk.weather = 'fine'
    world.upstream.faultShare = 0
    await this.#time.pass(3 * HOUR_MS)
    this.violations.push(...world.broken.splice(0))
    const report = await this.#check('at the end')
    if (report.openHolds > 0) this.violations.push(`${report.openHolds} holds are open at the end`)
    const hung = world.sent.filter((sent) => !sent.isOver)
    if (hung.length > 0)
      this.violations.push(`${hung.length} requests never ended, first ${hung[0]?.requestId}`)
    if (world.gateway.running.size > 0) this.violations.push('exchanges are running at the end')
    if (world.gateway.late.size > 0) this.violations.push('settlements are late at the end')
    const busy = world.gateway.pool
      .candidates(MODELS[0] ?? '', 'opus-5-5')
      .filter((one) => one.inFlight !== 0)
    if (busy.length > 0) this.violations.push('slots of accounts are taken at the end')
    for (const sent of world.sent) await this.#auditRequest(sent)
    await this.#auditWallets()
  }

  async #send(): Promise<void> {
    const random = this.#random
    const stream = random() < 0.7
    const size = Math.ceil(lognormal(random, 3_000, 1))
    const key = Math.floor(random() * this.#world.keyIds.length)
    const news = { role: 'user', content: 'some words '.repeat(Math.ceil(size / 11)) }
    if (random() < 0.4) {
      await this.#world.send(key, { ...BOOK, stream, messages: [...BOOK.messages, news] })
      return
    }
    await this.#world.send(key, {
      model: this.#pick(MODELS),
      max_tokens: this.#pick([0, 20, 1_000, 8_000, 64_000]),
      stream,
      messages: [news],
    })
  }

  #hangUp(): void {
    const open = this.#world.sent.filter((sent) => !sent.isOver && !sent.client.destroyed)
    if (open.length > 0) this.#pick(open).client.destroy()
  }

  async #grant(): Promise<void> {
    const { store, by } = this.#world
    // Often little: the wallet's end is where holds matter.
    const amountMicro = Math.ceil(lognormal(this.#random, 100_000, 1.5))
    // Some are told twice.
    const ref = `ref-${this.#random() < 0.2 ? this.#refs : ++this.#refs}`
    const userId = this.#pick(this.#world.userIds)
    const entry = {
      id: this.#world.id('entry'),
      userId,
      type: 'grant',
      amountMicro,
      ref,
      note: null,
    } as const
    await store.addCredit(entry, by)
  }

  async #adjust(): Promise<void> {
    const { store, by } = this.#world
    const userId = this.#pick(this.#world.userIds)
    const amountMicro = -Math.ceil(this.#random() * 50_000)
    const entry = {
      id: this.#world.id('entry'),
      userId,
      type: 'adjust',
      amountMicro,
      ref: null,
      note: null,
    } as const
    await store.addCredit(entry, by)
  }

  async #refund(): Promise<void> {
    const { store, by, sent } = this.#world
    if (sent.length === 0) return
    const { requestId } = this.#pick(sent)
    const amountMicro = this.#random() < 0.5 ? null : Math.ceil(this.#random() * 5_000)
    await store.refundCharge(
      { id: this.#world.id('entry'), requestId, amountMicro, ref: null, note: null },
      by,
    )
  }

  async #limit(): Promise<void> {
    const { store, by } = this.#world
    const nowMs = this.#time.nowMs()
    const dayMs = Math.floor(nowMs / (24 * HOUR_MS)) * 24 * HOUR_MS
    const isLimited = this.#random() < 0.6
    const amountMicro = Math.ceil(lognormal(this.#random, 60_000, 1))
    await store.limitKey(
      this.#pick(this.#world.keyIds),
      { spendLimit: isLimited ? { amountMicro, period: 'day' } : null },
      isLimited ? { sinceMs: dayMs, untilMs: dayMs + 24 * HOUR_MS } : null,
      by,
    )
    await this.#world.reload()
  }

  async #crash(): Promise<void> {
    this.crashes++
    await this.#world.crash()
    const report = await this.#check('after a crash')
    if (report.openHolds > 0) this.violations.push('recovery left holds open')
  }

  async #check(when: string) {
    const report = await this.#world.store.checkLedger(this.#time.nowMs())
    // Clocks that jump make holds look old; (g) is about real age.
    const real = report.violations.filter((line) => !line.includes('open for longer'))
    this.violations.push(...real.map((line) => `${when}: ${line}`))
    return report
  }

  /** One record for each request, and its bill is what upstream really did. */
  async #auditRequest(sent: Sent): Promise<void> {
    const { store, upstream } = this.#world
    const row = await store.getUsage(sent.requestId)
    const whole = sent.client.hasWholeAnswer && !sent.isOrphan
    if (row === null) {
      if (whole) this.violations.push(`${sent.requestId}: answered whole and not on record`)
      return
    }
    if (row.kind === 'pending') {
      this.violations.push(`${sent.requestId}: still pending`)
      return
    }
    if (row.costMicro > 0) this.charged++
    if (row.holdSteps.some((step) => step.kind === 'extended')) this.extended++
    const code = row.errorCode ?? ''
    const hasRunOut = code === 'insufficient_credit' || code === 'key_spend_limit'
    if (hasRunOut && row.costMicro > 0) this.ranOut++
    if (whole && row.joinedRequestId === null && row.status !== 'complete') {
      this.violations.push(`${sent.requestId}: answered whole, recorded as ${row.status}`)
    }
    const served =
      row.upstreamRequestId === null ? undefined : upstream.served.get(row.upstreamRequestId)
    if (served === undefined) {
      if (row.costMicro > 0) this.violations.push(`${sent.requestId}: charged for nothing`)
      return
    }
    this.#auditBill(row, served)
  }

  #auditBill(row: UsageRow, served: Served): void {
    if (served.isPoisoned) {
      if (row.costMicro > 10 * row.holdMicro + 1_000_000) {
        this.violations.push(`${row.requestId}: poisoned usage cost ${row.costMicro}`)
      }
      return
    }
    this.#auditThin(row)
    if (row.source === 'exact' && row.costMicro !== trueCost(served, row.createdAtMs)) {
      this.violations.push(
        `${row.requestId}: cost ${row.costMicro}, upstream's figures make ${trueCost(served, row.createdAtMs)}`,
      )
    }
    if (row.source === 'exact' && !served.isWhole) {
      this.violations.push(`${row.requestId}: exact, but upstream did not finish`)
    }
  }

  /** A thin hold lacks at most what its receipt says. */
  #auditThin({ requestId, holdSteps, holdMicro, costMicro }: UsageRow): void {
    const [opened] = holdSteps
    if (opened?.thinRiskMicro === undefined) return
    this.thin++
    if (costMicro <= opened.amountMicro) return
    this.cold++
    const heldMicro = Math.max(holdMicro, opened.amountMicro + opened.thinRiskMicro)
    if (costMicro > heldMicro)
      this.violations.push(`${requestId}: thin, cost ${costMicro}, at most ${heldMicro} was said`)
  }

  /** A wallet falls below zero only by what its requests cost above their holds. */
  async #auditWallets(): Promise<void> {
    const { store, userIds, sent } = this.#world
    for (const userId of userIds) {
      const wallet = await store.getWallet(userId)
      let aboveMicro = 0
      for (const { requestId, userId: owner } of sent) {
        if (owner !== userId) continue
        const row = await store.getUsage(requestId)
        if (row?.kind === 'usage') aboveMicro += Math.max(0, row.costMicro - row.holdMicro)
      }
      if ((wallet?.balanceMicro ?? 0) < -aboveMicro) {
        this.violations.push(
          `wallet of ${userId}: ${wallet?.balanceMicro} micro, holds explain ${-aboveMicro}`,
        )
      }
    }
  }

  #pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.#random() * list.length)] as T // the index is inside the list
  }
}

/** What upstream's own figures cost, by an arithmetic of its own: exact, rounded up once. */
function trueCost(served: Served, atMs: number): number {
  const row = findPrice(BUILT_IN_PRICES, served.model, atMs)
  if (row === null) throw new RangeError(`${served.model} has no price`)
  const prompt = served.input + served.cacheRead + served.cacheWrite5m
  const { rates } =
    row.longPrompt !== null && prompt > row.longPrompt.aboveTokens ? row.longPrompt : row
  const sum =
    BigInt(served.input) * BigInt(rates.input) +
    BigInt(served.output) * BigInt(rates.output) +
    BigInt(served.cacheRead) * BigInt(rates.cacheRead) +
    BigInt(served.cacheWrite5m) * BigInt(rates.cacheWrite5m)
  return Number(sum / 1_000_000n) + (sum % 1_000_000n === 0n ? 0 : 1)
}
