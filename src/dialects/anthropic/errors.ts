import type { WireError } from '../dialect.ts'

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
