import type { UpstreamRefusal, WireError } from '../dialect.ts'
import type { OpenAiError, TranslatedError } from '../openai/error-shape.ts'
import { openAiError, translateUpstreamError } from '../openai/errors.ts'
import type { ResponseError } from './answer.ts'

/** Where the fields of chat that shared errors name stand in a Responses request. */
const FIELDS: Readonly<Record<string, string>> = {
  messages: 'input',
  response_format: 'text.format',
}

/** Upstream's error answer in OpenAI's words. */
export function translateError(status: number, bodyText: string): TranslatedError {
  const translated = translateUpstreamError(status, bodyText)
  const { error } = translated
  const param = error.param === null ? null : (FIELDS[error.param] ?? error.param)
  return { ...translated, error: { ...error, param } }
}

/**
 * An error as `response.error` says it. Clients act by the code: they try again on `server_error` and
 * `rate_limit_exceeded`, and stop on the others.
 */
export function responseError({ type, code, message }: OpenAiError): ResponseError {
  if (type === 'rate_limit_error') return { code: 'rate_limit_exceeded', message }
  if (type === 'insufficient_quota') return { code: 'insufficient_quota', message }
  if (code === 'context_length_exceeded' || /^prompt is too long/i.test(message))
    return { code: 'context_length_exceeded', message }
  return { code: type === 'invalid_request_error' ? 'invalid_prompt' : 'server_error', message }
}

/** The id of the response of a request. */
export function responseId(requestId: string): string {
  return `resp_${requestId}`
}

/**
 * An error as the end of a stream whose answer is not at hand: a failed response without what came before.
 * A running answer says it better (`fail`).
 */
export function renderStreamError(error: WireError): string {
  return failedEvent(error.requestId, openAiError(error))
}

/** The same for upstream's error answer. */
export function renderStreamRefusal({ status, bodyText, requestId }: UpstreamRefusal): string {
  return failedEvent(requestId, translateError(status, bodyText).error)
}

function failedEvent(requestId: string, error: OpenAiError): string {
  const response = {
    id: responseId(requestId),
    object: 'response',
    status: 'failed',
    error: responseError(error),
    incomplete_details: null,
    output: [],
    usage: null,
  }
  const type = 'response.failed'
  return `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: 0, response })}\n\n`
}
