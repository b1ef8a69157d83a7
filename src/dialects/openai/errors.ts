import type { UpstreamRefusal, WireError } from '../dialect.ts'
import type { OpenAiError, TranslatedError } from './error-shape.ts'
import { isObject, parseJson, textOf } from './json.ts'

/** Type and code by our own code, where clients match on other words than ours. */
const WORDS: Readonly<Record<string, readonly [type: string, code: string | null]>> = {
  missing_api_key: ['authentication_error', 'invalid_api_key'],
  malformed_api_key: ['authentication_error', 'invalid_api_key'],
  anthropic_key_sent: ['authentication_error', 'invalid_api_key'],
  conflicting_credentials: ['authentication_error', 'invalid_api_key'],
  invalid_api_key: ['authentication_error', 'invalid_api_key'],
  revoked_api_key: ['authentication_error', 'invalid_api_key'],
  expired_api_key: ['authentication_error', 'invalid_api_key'],
  insufficient_credit: ['insufficient_quota', 'insufficient_quota'],
  key_spend_limit: ['insufficient_quota', 'insufficient_quota'],
  user_suspended: ['permission_error', null],
  model_not_allowed: ['permission_error', null],
  ip_not_allowed: ['permission_error', null],
  route_not_found: ['invalid_request_error', 'not_found'],
  invalid_request: ['invalid_request_error', 'invalid_value'],
  key_rpm_exceeded: ['rate_limit_error', 'rate_limit_exceeded'],
  key_concurrency_exceeded: ['rate_limit_error', 'rate_limit_exceeded'],
  key_burn_rate_exceeded: ['rate_limit_error', 'rate_limit_exceeded'],
  account_rpm_exceeded: ['rate_limit_error', 'rate_limit_exceeded'],
  too_many_attempts: ['rate_limit_error', 'rate_limit_exceeded'],
  overloaded: ['overloaded_error', 'overloaded'],
}

/** Fields that stand for a code which is about one of them. */
const PARAMS: Readonly<Record<string, string>> = {
  model_not_found: 'model',
  model_not_allowed: 'model',
}

/** An error of ours in OpenAI's words. */
export function openAiError(error: WireError): OpenAiError {
  const [type, code] = WORDS[error.code] ?? [error.types.openai, error.code]
  return { message: error.message, type, param: error.field ?? PARAMS[error.code] ?? null, code }
}

/** The whole body of an error answer. */
export function renderError(error: WireError): string {
  return JSON.stringify({ error: openAiError(error) })
}

/** The same for upstream's errors, and for those that ended an answer. */
export function renderFailure({ error }: TranslatedError): string {
  return JSON.stringify({ error })
}

/** The `data` line that ends a chat stream; `[DONE]` must not follow it. */
export function renderStreamError(error: WireError): string {
  return `data: ${renderError(error)}\n\n`
}

/** The same for upstream's error answer. */
export function renderStreamRefusal({ status, bodyText }: UpstreamRefusal): string {
  return `data: ${renderFailure(translateUpstreamError(status, bodyText))}\n\n`
}

/**
 * Upstream's error answer in OpenAI's words. What is about the operator's account (401, 402, 403, limits)
 * loses upstream's text: it may name the organisation.
 */
export function translateUpstreamError(status: number, bodyText: string): TranslatedError {
  const body = parseJson(bodyText)
  const error = isObject(body) && isObject(body.error) ? body.error : {}
  const message = textOf(error.message) ?? 'The request was refused upstream.'
  const details = isObject(error.details) ? error.details : {}
  const errorCode = textOf(details.error_code)
  if (status === 429) return refusedWith(429, RATE_LIMITED, true)
  if (status === 529) return refusedWith(503, OVERLOADED, true)
  if (status >= 500 || status === 401 || status === 402 || status === 403)
    return refusedWith(502, UPSTREAM_FAILED, true)
  const type = 'invalid_request_error'
  if (status === 404) {
    const isModel = /\bmodel\b/i.test(message)
    const code = isModel ? 'model_not_found' : 'not_found'
    return refusedWith(404, { message, type, param: isModel ? 'model' : null, code }, false)
  }
  if (status === 413)
    return refusedWith(413, { message, type, param: null, code: 'request_too_large' }, false)
  return refusedWith(status, { message, type, ...aboutOf(message, errorCode) }, false)
}

function aboutOf(message: string, errorCode: string | null) {
  if (/^prompt is too long/i.test(message))
    return { param: 'messages', code: 'context_length_exceeded' }
  if (/too complex for compilation|compiled grammar is too large/i.test(message))
    return { param: 'response_format', code: errorCode }
  return { param: null, code: errorCode }
}

function refusedWith(status: number, error: OpenAiError, isRetryable: boolean): TranslatedError {
  return { status, error, isRetryable }
}

const RATE_LIMITED: OpenAiError = {
  message: 'Upstream is at a rate limit. Please retry shortly.',
  type: 'rate_limit_error',
  param: null,
  code: 'rate_limit_exceeded',
}

const OVERLOADED: OpenAiError = {
  message: 'Anthropic is overloaded. Please retry shortly.',
  type: 'overloaded_error',
  param: null,
  code: 'overloaded',
}

const UPSTREAM_FAILED: OpenAiError = {
  message: 'Anthropic answered with an error. Please retry.',
  type: 'server_error',
  param: null,
  code: 'upstream_error',
}

const INTERRUPTED: OpenAiError = {
  message:
    'The answer stopped before it was complete (upstream sent what cannot be read). You pay only for what was delivered.',
  type: 'server_error',
  param: null,
  code: 'upstream_interrupted',
}

/** Error types of a running stream whose text is about the request or about nobody. */
const SPEAKABLE = new Set([
  'overloaded_error',
  'api_error',
  'timeout_error',
  'invalid_request_error',
])

/**
 * Upstream's `error` event inside a stream, in OpenAI's words. The status is for clients that do not stream:
 * nothing has reached them yet.
 */
export function translateStreamError(event: unknown): TranslatedError {
  const error = isObject(event) && isObject(event.error) ? event.error : {}
  const type = textOf(error.type) ?? 'api_error'
  if (type === 'rate_limit_error') return refusedWith(429, RATE_LIMITED, true)
  if (!SPEAKABLE.has(type)) return streamBroken(false)
  const message = textOf(error.message) ?? UPSTREAM_FAILED.message
  const said = { message, type, param: null, code: type }
  if (type === 'invalid_request_error') return refusedWith(400, said, false)
  return refusedWith(type === 'overloaded_error' ? 503 : 502, said, true)
}

/** What upstream sent is no answer: of one that does not stream its client has nothing, and pays nothing. */
export function streamBroken(isStreamed: boolean): TranslatedError {
  return refusedWith(502, isStreamed ? INTERRUPTED : UPSTREAM_FAILED, true)
}
