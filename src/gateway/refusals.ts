import { ERRORS, type ErrorCode, GatewayError } from '../core/errors.ts'
import type { UsageRecord } from '../core/model.ts'
import { StoreError } from '../store/store.ts'
import type { Call, Exchange } from './exchange.ts'
import { neverBegun, usageRecord } from './exchange.ts'
import { tellEnded } from './exchange-log.ts'
import { CalledOff } from './forward.ts'
import type { Gateway } from './gateway.ts'
import { voidHold } from './settle.ts'
import { storeFailure } from './store-failure.ts'

/** Whatever went wrong before an answer: the hold is closed, and the owner can see what happened. */
export async function closeAfterFailure(
  gateway: Gateway,
  call: Call,
  { exchange, model }: { readonly exchange: Exchange | null; readonly model: string },
  error: unknown,
): Promise<void> {
  const gone = error instanceof CalledOff || call.response.destroyed
  const end = endOf(call, gone, codeOf(call, error))
  if (exchange?.holdOpen) {
    // A store that cannot take the void now takes it later; the client's answer does not change.
    await voidHold(gateway, exchange, end).catch(() => {})
    return
  }
  if (exchange?.wasHeld || error instanceof StoreError) return
  if (exchange === null) {
    noteRefusal(gateway, call, error, model)
    return
  }
  const record = usageRecord(exchange, gateway.clock.monotonicMs(), end)
  writeRefusal(gateway, record)
  tellEnded(gateway, record)
}

/** What the client is told; null where it went away itself. */
function codeOf({ response }: Call, error: unknown): ErrorCode | null {
  if (error instanceof GatewayError) return error.code
  if (error instanceof CalledOff || response.destroyed) return null
  return error instanceof StoreError ? storeFailure(error).code : 'internal_error'
}

/** How the client saw it end. */
function endOf(
  { response }: Call,
  gone: boolean,
  errorCode: ErrorCode | null,
): Pick<UsageRecord, 'status' | 'source' | 'httpStatus' | 'errorCode'> {
  const source = 'none'
  if (gone || errorCode === null) return { status: 'rejected', source, httpStatus: 499, errorCode }
  // After early pings it is the end of a stream.
  return response.headersSent
    ? { status: 'interrupted', source, httpStatus: 200, errorCode }
    : { status: 'rejected', source, httpStatus: ERRORS[errorCode].status, errorCode }
}

/** One row per key, code and second: a client that is refused in a loop must not fill the disk. */
function writeRefusal(gateway: Gateway, record: UsageRecord): void {
  const { refusals } = gateway
  const second = Math.floor(record.createdAtMs / 1_000)
  if (second !== refusals.second) {
    refusals.second = second
    refusals.seen.clear()
  }
  const name = `${record.keyId} ${record.errorCode}`
  if (refusals.seen.has(name)) return
  refusals.seen.add(name)
  gateway.store.noteRefusal(record)
}

/**
 * The usage row (cost 0) of an authenticated request that was refused before it became an exchange.
 * `model` is what its body named; '' while the body was not read.
 */
export function noteRefusal(gateway: Gateway, call: Call, error: unknown, model = ''): void {
  const record = usageRecord(
    neverBegun(call, { model, stream: false }),
    gateway.clock.monotonicMs(),
    endOf(call, false, codeOf(call, error)),
  )
  writeRefusal(gateway, record)
  tellEnded(gateway, record)
}
