import type { ServerResponse } from 'node:http'
import { ERRORS, errorMessage, GatewayError } from '../core/errors.ts'
import type { Dialect, WireError } from '../dialects/dialect.ts'
import type { Contact } from '../gateway/gateway.ts'
import { storeFailure } from '../gateway/store-failure.ts'
import { StoreError } from '../store/store.ts'

/** Waits are told in whole seconds up to a minute: clients sleep exactly what we say. */
const MAX_RETRY_AFTER_S = 60

/** How long the rest of a refused body is received. */
const LINGER_MS = 5_000

/** Any thrown thing as the error the caller is told of. Details of the unexpected stay in the log. */
export function toGatewayError(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error
  if (error instanceof StoreError) return storeFailure(error)
  return new GatewayError('internal_error', { cause: error })
}

/** An error as the dialects render it, with its texts filled in; `place`: instead of an answer, or inside one. */
export function wireError(
  error: GatewayError,
  requestId: string,
  contact: Contact,
  place: 'answer' | 'stream' = 'answer',
): WireError {
  const row = ERRORS[error.code]
  return {
    status: row.status,
    code: error.code,
    types: { anthropic: row.anthropic, openai: row.openai },
    message: errorMessage(error.code, { ...contact, requestId, ...error.facts }, place),
    field: error.field,
    details: error.details,
    requestId,
  }
}

/** Writes an error answer in the caller's dialect; does nothing when an answer has begun. */
export function replyError(
  response: ServerResponse,
  error: GatewayError,
  options: {
    readonly dialect: Dialect
    readonly requestId: string
    readonly contact: Contact
    readonly extraHeaders?: readonly string[]
    /** `stream`: an answer had begun upstream, though not for the client. */
    readonly place?: 'answer' | 'stream'
    readonly closeConnection?: boolean
    /** The client may still be sending its body: see `endWhenReceived`. */
    readonly isReceiving?: boolean
  },
): void {
  if (response.headersSent || response.destroyed) return
  const { dialect, requestId, contact, place } = options
  const body = dialect.renderError(wireError(error, requestId, contact, place))
  const head = [
    'content-type',
    'application/json',
    'content-length',
    String(Buffer.byteLength(body)),
    'x-cc-request-id',
    requestId,
    'request-id',
    requestId,
    'cache-control',
    'no-store',
    ...retryHeaders(error, dialect),
    ...(options.extraHeaders ?? []),
  ]
  const { status } = ERRORS[error.code]
  if (status === 401) head.push('www-authenticate', 'Bearer realm="ccgate"')
  if (error.code === 'method_not_allowed') head.push('allow', String(error.facts.allow))
  if (options.closeConnection) head.push('connection', 'close')
  response.writeHead(status, head)
  if (options.isReceiving) endWhenReceived(response, body)
  else response.end(body)
}

/**
 * Answers at once, but keeps the connection until the rest of the request is here and thrown away. Closing
 * it earlier makes the kernel reset it, and a client that sends all before it reads loses the answer.
 */
function endWhenReceived(response: ServerResponse, body: string): void {
  const { req: request } = response
  response.write(body)
  const end = () => {
    clearTimeout(timer)
    response.end()
  }
  const timer = setTimeout(end, LINGER_MS)
  timer.unref()
  request.once('end', end)
  request.once('close', end)
  request.resume()
}

/** Writes a JSON answer of our own. */
export function replyJson(
  response: ServerResponse,
  body: unknown,
  options: {
    readonly requestId: string
    readonly extraHeaders?: readonly string[]
    readonly status?: number
  },
): void {
  const text = JSON.stringify(body)
  response.writeHead(options.status ?? 200, [
    'content-type',
    'application/json',
    'content-length',
    String(Buffer.byteLength(text)),
    'x-cc-request-id',
    options.requestId,
    'request-id',
    options.requestId,
    'cache-control',
    'no-store',
    ...(options.extraHeaders ?? []),
  ])
  response.end(text)
}

/** `retry-after`, `retry-after-ms`, `x-should-retry`: what official SDKs obey. */
function retryHeaders(error: GatewayError, dialect: Dialect): string[] {
  const headers: string[] = []
  const { status, retryable } = ERRORS[error.code]
  // A client that gets 429 or 503 without a wait would try again at once.
  const isAlwaysTold = status === 429 || status === 503
  const waitMs = error.retryAfterMs ?? (isAlwaysTold ? MAX_RETRY_AFTER_S * 1_000 : null)
  if (waitMs !== null) {
    const seconds = Math.min(Math.max(Math.ceil(waitMs / 1_000), 1), MAX_RETRY_AFTER_S)
    const exactMs = Math.min(Math.max(Math.ceil(waitMs), 1), MAX_RETRY_AFTER_S * 1_000)
    headers.push('retry-after', String(seconds), 'retry-after-ms', String(exactMs))
  }
  const tooLong = waitMs !== null && waitMs > MAX_RETRY_AFTER_S * 1_000
  if (!retryable || tooLong || !error.shouldRetry) headers.push('x-should-retry', 'false')
  else if (dialect.name === 'openai' && (status === 500 || status === 502))
    headers.push('x-should-retry', 'true')
  return headers
}
