import { believableUsage } from '../billing/believable.ts'
import { costOf } from '../billing/cost.ts'
import { ERRORS } from '../core/errors.ts'
import type { Attempt, UsageRecord } from '../core/model.ts'
import type { Micro } from '../core/money.ts'
import type { Receipt, Usage, UsageSource } from '../core/usage.ts'
import { type SettleResult, StoreError } from '../store/store.ts'
import type { Exchange } from './exchange.ts'
import { usageRecord } from './exchange.ts'
import { tellEnded } from './exchange-log.ts'
import type { Gateway } from './gateway.ts'
import { storeFailure } from './store-failure.ts'
import { answeringRow } from './stream-usage.ts'

/** How an exchange that produced something ended, for the client. */
export interface Ending {
  readonly status: 'complete' | 'interrupted'
  readonly httpStatus: number
  readonly errorCode: string | null
  /** Nothing has reached the client: when the store cannot take the charge now, there will be none. */
  readonly isUnsent?: boolean
}

/** What closing a hold came to. */
export interface Closed {
  readonly costMicro: Micro
  /** The wallet afterwards; null when the hold was closed already. */
  readonly balanceMicro: Micro | null
  readonly receipt: Receipt | null
}

/** How long a settlement that the store could not take waits before it is tried again. */
const RETRY_MS = 1_000

/** What an answer costs its user, by the prices and the mark-up of its admission. */
export function receiptOf(exchange: Exchange, usage: Usage): Receipt {
  const { call, pricesOf, markup } = exchange
  return costOf(usage, pricesOf, { atMs: call.arrivedAtMs, markup })
}

/**
 * Charges what upstream counted, at the prices of admission, and closes the hold. Resolves when it is
 * durable. A repeat changes nothing. Rejects when the store cannot take it now: then it is tried again in
 * the background, so that nothing delivered goes unbilled, and nothing else is billed.
 */
export async function settle(
  gateway: Gateway,
  exchange: Exchange,
  told: Usage,
  source: UsageSource,
  { isUnsent = false, ...ending }: Ending,
): Promise<Closed> {
  const usage = believed(exchange, told)
  const receipt = receiptOf(exchange, usage)
  const { costMicro } = receipt
  bookListCosts(gateway, exchange, receipt.listCostMicro ?? costMicro)
  const record = usageRecord(exchange, gateway.clock.monotonicMs(), {
    ...ending,
    source: usage.anomalies > 0 && source === 'exact' ? 'partial' : source,
    responseModel: usage.model,
    tokens: usage.tokens,
    webSearchRequests: usage.webSearchRequests,
    costMicro,
    receipt,
    anomalies: usage.anomalies,
  })
  const charge = () => gateway.store.settleHold(record)
  const balanceMicro = await close(gateway, exchange, record, charge, (error) => {
    if (!isUnsent) return charge
    const { code } = storeFailure(error)
    exchange.firstByteMs = null
    const end = { httpStatus: ERRORS[code].status, errorCode: code }
    return () => gateway.store.voidHold(voidRecord(gateway, exchange, end))
  })
  return { costMicro, balanceMicro, receipt }
}

/** Upstream's figures without those that no answer to this request can have: what is billed. */
export function believed(exchange: Exchange, told: Usage): Usage {
  const { meter, request } = exchange
  if (meter === null) return told
  return believableUsage(told, {
    row: answeringRow(exchange, told),
    maxTokens: request.maxTokens,
    boundInputTokens: meter.bound.parts[0]?.inputTokens ?? 0,
    heldOutputTokens: meter.coveredTokens,
    growsInRounds: meter.growsInRounds,
  })
}

/** How an exchange that produced nothing ended; without `status` it was `rejected`. */
type Voided = Pick<UsageRecord, 'httpStatus' | 'errorCode'> & Partial<Pick<UsageRecord, 'status'>>

/** Closes the hold without a charge; the usage row says what happened. */
export async function voidHold(gateway: Gateway, exchange: Exchange, end: Voided): Promise<Closed> {
  bookListCosts(gateway, exchange, 0)
  const record = voidRecord(gateway, exchange, end)
  const balanceMicro = await close(gateway, exchange, record, () => gateway.store.voidHold(record))
  return { costMicro: 0, balanceMicro, receipt: null }
}

/**
 * What the tries took of their accounts' budgets: the last one `listCostMicro`, as its receipt says; those
 * that failed in a way that upstream may have billed, what they carry already.
 */
function bookListCosts(
  { caps }: Gateway,
  { attempts, call }: Exchange,
  listCostMicro: Micro,
): void {
  const last = attempts.at(-1)
  if (last !== undefined && listCostMicro > 0)
    attempts[attempts.length - 1] = { ...last, listCostMicro } satisfies Attempt
  caps.release(call.requestId)
  for (const attempt of attempts)
    caps.spent(call.requestId, {
      accountId: attempt.accountId,
      listMicro: attempt.listCostMicro,
      atMs: call.arrivedAtMs,
    })
}

function voidRecord(gateway: Gateway, exchange: Exchange, end: Voided): UsageRecord {
  const nowMs = gateway.clock.monotonicMs()
  return usageRecord(exchange, nowMs, { status: 'rejected', source: 'none', ...end })
}

type Write = () => Promise<SettleResult>

/** `write` closes the hold; `late` says how to close it when that failed, if not by the same write. */
async function close(
  gateway: Gateway,
  exchange: Exchange,
  record: UsageRecord,
  write: Write,
  late: (error: StoreError) => Write = () => write,
): Promise<Micro | null> {
  const { requestId } = record
  const stored = () => {
    gateway.caps.stored(requestId)
    gateway.thinHolds.release(exchange.call)
  }
  if (!exchange.holdOpen) {
    stored()
    return null
  }
  exchange.holdOpen = false
  exchange.burn?.end(record.costMicro, gateway.clock.monotonicMs())
  let result: SettleResult
  try {
    result = await write()
  } catch (error) {
    gateway.log.error({ requestId, err: error }, 'settle.failed')
    if (mayComeRight(gateway, error)) {
      const settling = keepTrying(gateway, requestId, late(error))
      gateway.late.add(settling)
      void settling.finally(() => {
        gateway.late.delete(settling)
        stored()
      })
    } else stored()
    throw error
  }
  stored()
  tellEnded(gateway, record)
  if (result.kind === 'closed') return result.balanceMicro
  gateway.log.warn({ requestId }, 'hold.already_closed')
  return null
}

/** Tries until the hold is closed, or until no try can help: then the next start closes it. */
async function keepTrying(gateway: Gateway, requestId: string, write: Write): Promise<void> {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS).unref())
    try {
      await write()
      gateway.log.info({ requestId }, 'settle.recovered')
      return
    } catch (error) {
      if (mayComeRight(gateway, error)) continue
      gateway.log.error({ requestId, err: error }, 'settle.failed')
      return
    }
  }
}

/** Whether the same write may succeed later; what breaks an invariant ends admission. */
function mayComeRight(gateway: Gateway, error: unknown): error is StoreError {
  if (error instanceof StoreError)
    return error.reason === 'busy' || error.reason === 'full' || error.reason === 'overloaded'
  gateway.stopAdmission(error instanceof Error ? error : new Error(String(error)))
  return false
}
