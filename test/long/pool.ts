import type { OutcomeKind } from '../../src/core/attempt-outcome.ts'
import type { Account } from '../../src/core/model.ts'
import { Pool, type Slot } from '../../src/pool/pool.ts'
import { leastBusyOf } from '../../src/simulate/least-busy.ts'
import { createRandom } from '../../src/sandbox/random.ts'
import { type Campaign, newSeed } from './campaign.ts'

const MODEL = 'claude-sonnet-5'
const CLASS = 'sonnet'
const DAY_MS = 86_400_000
const SOFT: readonly OutcomeKind[] = ['overloaded', 'server_error', 'unreachable', 'rate_limited']
/** A rest of ours lasts 5 minutes at most, a stated one an hour; then one request has to have been let in. */
const STUCK_MS = 3_600_000 + 600_000

/** Days of bad luck for the pool alone: no account stays out for good, none is used beyond its limits. */
export const pool: Campaign = {
  name: 'pool',
  what: 'a day of bursts and failing accounts through the real pool, clock and chance simulated',
  options: { seeds: 60, accounts: 4, seed: newSeed() },
  async run({ seeds, accounts, seed }, report) {
    const sums = { sent: 0, refused: 0, failed: 0 }
    for (let k = 0; k < seeds; k++) {
      const wrong = oneDay(seed + k, accounts, sums)
      if (wrong !== null) return [`seed ${seed + k}: ${wrong}`]
    }
    report(
      `${seeds} days from seed ${seed}: ${sums.sent} requests sent, ${sums.failed} failed, ${sums.refused} found nobody`,
    )
    return []
  },
}

interface Running {
  readonly id: string
  readonly slot: Slot
  readonly sentAtMs: number
  readonly endsAtMs: number
  readonly keyId: string
}

function oneDay(
  seed: number,
  count: number,
  sums: { sent: number; refused: number; failed: number },
): string | null {
  const random = createRandom(seed)
  const clock = { nowMs: 1_800_000_000_000, monotonicMs: 1_000 }
  const made = new Pool({
    clock: { nowMs: () => clock.nowMs, monotonicMs: () => clock.monotonicMs },
    random,
    policy: {
      overloaded: { firstMs: 2_000, maxMs: 30_000 },
      rateLimited: { firstMs: 5_000, maxMs: 60_000 },
      serverError: { firstMs: 5_000, maxMs: 300_000, tripAfter: 3 },
    },
  })
  const limits = Array.from({ length: count }, () => 1 + Math.floor(random() * 6))
  const list = limits.map((limit, i) => accountOf(`acct_${i}`, limit, clock.nowMs))
  made.reload(
    list.map((account) => ({ account, credential: 'x', proxy: null })),
    [],
  )
  const ill = new Map<string, { untilMs: number; kind: OutcomeKind }>()
  const lastServedMs = new Map(list.map(({ id }) => [id, clock.nowMs]))
  let running: Running[] = []
  const endMs = clock.nowMs + DAY_MS
  while (clock.nowMs < endMs) {
    const passMs = random() < 0.05 ? random() * 120_000 : random() * 8_000
    clock.nowMs += passMs
    clock.monotonicMs += passMs
    const { nowMs } = clock
    for (const one of running.filter(({ endsAtMs }) => endsAtMs <= nowMs)) {
      const trouble = ill.get(one.id)
      const isIll = trouble !== undefined && trouble.untilMs > one.sentAtMs
      const kind = isIll ? trouble.kind : 'ok'
      one.slot.release()
      if (kind === 'ok') lastServedMs.set(one.id, nowMs)
      else sums.failed++
      const outcome = { kind, reason: kind, httpStatus: null, upstreamRequestId: null }
      const restMs = kind === 'rate_limited' && random() < 0.5 ? random() * 1e8 - 1e6 : null
      made.observe(
        one.id,
        { ...outcome, restMs, sentAtMs: one.sentAtMs, keyId: one.keyId },
        { credentialVersion: 1, requestId: 'ccr', model: MODEL, modelClass: CLASS },
      )
    }
    running = running.filter(({ endsAtMs }) => endsAtMs > nowMs)
    if (random() < 0.002) {
      const { id } = list[Math.floor(random() * count)]
      const kind = SOFT[Math.floor(random() * SOFT.length)]
      ill.set(id, { untilMs: nowMs + random() * 1_800_000, kind })
    }
    const keyId = `key_${Math.floor(random() * 3)}`
    const candidates = made.candidates(MODEL, CLASS)
    const choice = leastBusyOf(candidates, new Set())
    if (choice.kind === 'none') {
      sums.refused++
      if (choice.retryAfterMs === null || choice.retryAfterMs > 3_600_000)
        return `told to wait ${choice.retryAfterMs} ms`
    } else {
      const slot = made.take(choice.id, { keyId, model: MODEL, modelClass: CLASS })
      if (slot === null) return `${choice.id} is gone`
      sums.sent++
      running.push({
        id: choice.id,
        slot,
        sentAtMs: nowMs,
        endsAtMs: nowMs + random() * 30_000,
        keyId,
      })
    }
    for (const [i, { id }] of list.entries()) {
      const inFlight = running.filter((one) => one.id === id).length
      if (inFlight > limits[i]) return `${id} has ${inFlight} in flight of ${limits[i]}`
      const wellSinceMs = Math.max(lastServedMs.get(id) ?? 0, ill.get(id)?.untilMs ?? 0)
      if (nowMs - wellSinceMs > STUCK_MS) return `${id} is well and was not used for an hour`
    }
  }
  return null
}

function accountOf(id: string, concurrencyLimit: number, nowMs: number): Account {
  return {
    id,
    name: id,
    provider: 'anthropic',
    baseUrl: 'https://api.example.com',
    allowPrivate: false,
    credentialLast4: 'Xk4A',
    credentialFingerprint: 'abcdef',
    priority: 1,
    weight: 1,
    rpmLimit: null,
    concurrencyLimit,
    models: ['*'],
    tpmLimit: null,
    tags: [],
    cacheScope: null,
    hours: null,
    proxy: null,
    dayCapMicro: null,
    monthCapMicro: null,
    note: null,
    createdAtMs: nowMs,
    disabledAtMs: null,
    disabledBy: null,
    disabledReason: null,
    cooldownClearedAtMs: null,
    cooldownUntilMs: null,
    credentialVersion: 1,
  }
}
