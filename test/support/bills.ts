import assert from 'node:assert/strict'
import { costOf } from '../../src/billing/cost.ts'
import { BUILT_IN_PRICES } from '../../src/billing/prices.ts'
import { NO_TOKENS, type Usage } from '../../src/core/usage.ts'
import type { BilledRequest } from '../../src/sandbox/record.ts'
import type { World } from './world.ts'

/** What upstream's own book says a request costs, priced by the rules of ccgate; µ$. */
export function truthMicro(bill: BilledRequest): number {
  if (!bill.isCharged) return 0
  return costOf(usageOf(bill), BUILT_IN_PRICES, { atMs: bill.atMs }).costMicro
}

/** The least that a broken stream proves: its input, and no output. */
export function provenMicro(bill: BilledRequest): number {
  const usage = usageOf(bill)
  const tokens = { ...usage.tokens, output: 0 }
  return costOf({ ...usage, tokens, iterations: [] }, BUILT_IN_PRICES, { atMs: bill.atMs })
    .costMicro
}

function usageOf(bill: BilledRequest): Usage {
  const { usage } = bill
  const tokens = {
    input: usage.input,
    output: usage.output,
    cacheRead: usage.cacheRead,
    cacheWrite5m: usage.cacheWrite5m,
    cacheWrite1h: usage.cacheWrite1h,
  }
  const main = usage.iterations?.some((one) => one.type === 'fallback_message')
    ? 'fallback_message'
    : 'message'
  return {
    model: bill.model,
    tokens,
    iterations: (usage.iterations ?? []).map((one) => ({
      type: one.type,
      model: one.model,
      tokens:
        one.type === main
          ? { ...tokens, input: one.input, output: one.output }
          : { ...NO_TOKENS, input: one.input, output: one.output },
      splitUnknown: false,
    })),
    webSearchRequests: usage.webSearches,
    speed: usage.speed,
    inferenceGeo: usage.inferenceGeo,
    serviceTier: usage.serviceTier,
    stopReason: 'end_turn',
    hasContent: true,
    anomalies: 0,
  }
}

/** Every hold is closed and the money check finds nothing wrong. */
export async function assertClean(w: Pick<World, 'settled' | 'store'>): Promise<void> {
  await w.settled()
  const report = await w.store.checkLedger(Date.now())
  assert.deepEqual(report.violations, [])
  assert.equal(report.openHolds, 0)
}

/** One event of a stream, as a client reads it. */
export interface ClientEvent {
  readonly event: string
  readonly data: string
}

/** The events of a body; the text after the last blank line counts as an event only when it is whole. */
export function eventsOf(text: string): readonly ClientEvent[] {
  return text
    .split(/\r?\n\r?\n/)
    .filter((block) => block.trim() !== '')
    .map((block) => {
      const lines = block.split(/\r?\n/)
      const field = (name: string) =>
        lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2) ?? ''
      return { event: field('event'), data: field('data') }
    })
}

/** The code of an error body in Anthropic's shape; null when there is none. */
export function codeOf(text: string): string | null {
  try {
    const body = JSON.parse(text) as { error?: { details?: { error_code?: string } } } // a test's own wish
    return body.error?.details?.error_code ?? null
  } catch {
    return null
  }
}
