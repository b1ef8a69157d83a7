import type { Exchange } from './exchange.ts'
import type { Gateway } from './gateway.ts'
import { meterOf } from './hold.ts'
import type { AnotherTry } from './relay.ts'
import { brokenOff } from './writer-of.ts'

/**
 * Brings the hold of an answer that broke off back to what another try needs to begin with: elsewhere the prompt
 * may be cold. Where the wallet has no room for that there is no other try, and its slot is free again; throws what
 * the client is told then.
 */
export async function holdAnew(
  gateway: Gateway,
  exchange: Exchange,
  { first, broke }: AnotherTry,
): Promise<void> {
  try {
    const meter = await meterOf(gateway, exchange)
    const deltaMicro = meter.openMicro - exchange.heldMicro
    const result = meter.bound.inputKnown
      ? await gateway.store.resizeHold(exchange.call.requestId, deltaMicro)
      : null
    if (result?.kind !== 'resized') throw brokenOff(exchange, broke.reason)
    exchange.meter = meter
    exchange.heldMicro = result.amountMicro
    gateway.thinHolds.release(exchange.call)
    const { call, holdSteps } = exchange
    const afterMs = Math.round(gateway.clock.monotonicMs() - call.arrivedMs)
    holdSteps.push({ kind: 'corrected', amountMicro: result.amountMicro, afterMs })
  } catch (error) {
    first.cancel()
    throw error
  }
}
