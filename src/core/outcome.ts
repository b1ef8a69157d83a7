import type { UsageRecord } from './model.ts'

/**
 * How a request ended for the one who counts errors: `failed` is ours or upstream's (5xx, or an answer that
 * broke off), `refused` is the client's own (4xx), `left` is a client that went away.
 */
export type Outcome = 'ok' | 'failed' | 'refused' | 'left'

/** The outcome of a closed request. */
export function outcomeOf({
  httpStatus,
  status,
}: Pick<UsageRecord, 'httpStatus' | 'status'>): Outcome {
  if (httpStatus === 499) return 'left'
  if (httpStatus >= 500) return 'failed'
  if (httpStatus >= 400) return 'refused'
  return status === 'interrupted' ? 'failed' : 'ok'
}

/** True when the request was open as its gateway died, and another one closed it. */
export function wasKilled({
  status,
  errorCode,
  source,
}: Pick<UsageRecord, 'status' | 'errorCode' | 'source'>): boolean {
  return (
    status === 'interrupted' &&
    errorCode === 'internal_error' &&
    (source === 'recovered' || source === 'none')
  )
}

/** `200`, `200 cut` for an answer that broke off, `200 killed` where the gateway died under it. */
export function statusText(
  row: Pick<UsageRecord, 'httpStatus' | 'status' | 'errorCode' | 'source'>,
): string {
  if (wasKilled(row)) return `${row.httpStatus} killed`
  const isCut = row.status === 'interrupted' && row.httpStatus < 400
  return isCut ? `${row.httpStatus} cut` : String(row.httpStatus)
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
