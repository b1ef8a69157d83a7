import type { UpstreamRefusal, WireError } from '../dialect.ts'

/** An error in Anthropic's envelope; SDKs read the code from `error.details.error_code`. */
export function renderError(error: WireError): string {
  return JSON.stringify({
    type: 'error',
    error: {
      type: error.types.anthropic,
      message: error.message,
      details: { error_code: error.code, ...error.details },
    },
    request_id: error.requestId,
  })
}

/** The same envelope as an `error` event. */
export function renderStreamError(error: WireError): string {
  return `event: error\ndata: ${renderError(error)}\n\n`
}

/** Types of errors whose text did not say one, by status; others are `api_error`. */
const TYPES: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
}

/** Upstream's error as an `error` event: its own words, on one line. */
export function renderStreamRefusal({ status, bodyText, requestId }: UpstreamRefusal): string {
  const body = parsedError(bodyText) ?? {
    type: 'error',
    error: {
      type: TYPES[status] ?? 'api_error',
      message: `The request was refused upstream (${status}).`,
    },
    request_id: requestId,
  }
  return `event: error\ndata: ${JSON.stringify(body)}\n\n`
}

/** An error in Anthropic's envelope; null where it is something else. */
function parsedError(text: string): object | null {
  try {
    const body: unknown = JSON.parse(text)
    return typeof body === 'object' && body !== null && 'type' in body && body.type === 'error'
      ? body
      : null
  } catch {
    return null
  }
}
