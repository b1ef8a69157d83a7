import { ERRORS, type ErrorRow } from './errors.ts'
import type { UsageRecord } from './model.ts'

/**
 * How a request ended for the one who counts errors: `failed` is ours or upstream's (5xx, or an answer that
 * broke off), `refused` is the client's own or a limit (4xx, or a stream that ended with an error of such a status,
 * as it does after early pings, or for the customer's money), `left` is a client that went away.
 */
export type Outcome = 'ok' | 'failed' | 'refused' | 'left'

/** The outcome of a closed request: roll-ups, reports and the monitor all count by it. */
export function outcomeOf({
  httpStatus,
  status,
  errorCode,
}: Pick<UsageRecord, 'httpStatus' | 'status' | 'errorCode'>): Outcome {
  if (httpStatus === 499) return 'left'
  if (httpStatus >= 500) return 'failed'
  if (httpStatus >= 400) return 'refused'
  if (status !== 'interrupted') return 'ok'
  return isRefusal(errorCode) ? 'refused' : 'failed'
}

/** True for codes that as a status would be 4xx: of ours, or of upstream's where its answer goes to the client. */
function isRefusal(errorCode: string | null): boolean {
  if (errorCode === null) return false
  if (UPSTREAMS_REFUSALS.has(errorCode)) return true
  const row: ErrorRow | null = Object.hasOwn(ERRORS, errorCode)
    ? ERRORS[errorCode as keyof typeof ERRORS]
    : null
  return row !== null && row.status >= 400 && row.status < 500
}

const UPSTREAMS_REFUSALS: ReadonlySet<string> = new Set([
  'invalid_request_error',
  'request_too_large',
  'not_found_error',
  'permission_error',
  'rate_limit_error',
])

/** True for the codes of a request that its customer could not pay for, or no longer. */
export function isOutOfMoney(errorCode: string | null): boolean {
  return errorCode !== null && OUT_OF_MONEY.has(errorCode)
}

const OUT_OF_MONEY: ReadonlySet<string> = new Set(['insufficient_credit', 'key_spend_limit'])

/** True when the request was open as its gateway died, and another one closed it. */
export function wasKilled({
  httpStatus,
  status,
  errorCode,
  source,
}: Pick<UsageRecord, 'httpStatus' | 'status' | 'errorCode' | 'source'>): boolean {
  if (status !== 'interrupted' || errorCode !== 'internal_error') return false
  // A stream that ended with a fault of ours among its early pings has its 200; what died before it began has none.
  return source === 'recovered' || (source === 'none' && httpStatus !== 200)
}

/**
 * `200`, `200 cut` for an answer that broke off, `200 error` for a stream that ended with an error before anything of
 * an answer, `200 killed` where the gateway died under it.
 */
export function statusText(
  row: Pick<UsageRecord, 'httpStatus' | 'status' | 'errorCode' | 'source'>,
): string {
  if (wasKilled(row)) return `${row.httpStatus} killed`
  const isCut = row.status === 'interrupted' && row.httpStatus < 400
  if (!isCut) return String(row.httpStatus)
  return `${row.httpStatus} ${row.source === 'none' ? 'error' : 'cut'}`
}

/** The model that answered, else the one asked for; `–` where the body named none. */
export function modelText({
  responseModel,
  model,
}: Pick<UsageRecord, 'responseModel' | 'model'>): string {
  return responseModel ?? (model === '' ? '–' : model)
}

/** Ms until the first byte of a streamed answer; null for others, whose first byte comes with the last. */
export function firstTokenOf({
  stream,
  firstByteMs,
}: Pick<UsageRecord, 'stream' | 'firstByteMs'>): number | null {
  return stream ? firstByteMs : null
}
