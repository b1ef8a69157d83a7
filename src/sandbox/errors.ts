/** An answer that says no, as upstream words it. */
export interface ApiError {
  readonly status: number
  /** `error.type` in the body. */
  readonly type: string
  readonly message: string
  /** `error.details.error_code`, where upstream gives one. */
  readonly code?: string
  /** More members of `error.details`. */
  readonly details?: { readonly [name: string]: unknown }
  /** `retry-after` verbatim; absent: no such header. */
  readonly retryAfter?: string
  /** The edge answers: a shorter body, without `type` and `request_id`. */
  readonly edge?: boolean
}

/** Tells an error from what else a function may give. */
export function isApiError(value: object): value is ApiError {
  return 'type' in value && 'message' in value
}

const TYPE_BY_STATUS: { readonly [status: number]: string } = {
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  409: 'conflict_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  504: 'timeout_error',
  529: 'overloaded_error',
}

const MESSAGE_BY_STATUS: { readonly [status: number]: string } = {
  400: 'messages: Input is invalid',
  401: 'invalid x-api-key',
  402: 'There is a problem with your billing or payment information.',
  403: 'Your API key does not have permission to use the specified resource.',
  404: 'Not found',
  409: 'Conflict',
  413: 'Request exceeds the maximum size',
  429: "This request would exceed your organization's rate limit.",
  500: 'Internal server error',
  502: 'Bad gateway',
  503: 'Service temporarily unavailable',
  504: 'The request timed out',
  529: 'Overloaded',
}

/** Upstream's plain error of that status. */
export function plainError(status: number, message?: string): ApiError {
  const fallback = status >= 500 ? 'api_error' : 'invalid_request_error'
  return {
    status,
    type: TYPE_BY_STATUS[status] ?? fallback,
    message: message ?? MESSAGE_BY_STATUS[status] ?? 'Error',
    edge: status === 413,
  }
}

/** A 400 about the request itself. */
export function badRequest(message: string, code?: string): ApiError {
  return { status: 400, type: 'invalid_request_error', message, code }
}

const REGAIN = 'You will regain access on 2026-12-01 at 00:00 UTC.'

/** Answers that say something about the account rather than the request. */
export const SPECIAL_ERRORS = {
  credit_too_low: badRequest(
    'Your credit balance is too low to access the Anthropic API. ' +
      'Please go to Plans & Billing to upgrade or purchase credits.',
  ),
  usage_limits: badRequest(`You have reached your specified API usage limits. ${REGAIN}`),
  workspace_usage_limits: badRequest(
    `You have reached your specified workspace API usage limits. ${REGAIN}`,
  ),
  organization_on_hold: {
    ...badRequest('This organization is on hold.', 'organization_on_hold'),
    details: { appeal_url: 'https://example.com/appeal' },
  },
  organization_disabled: badRequest('This organization has been disabled.'),
  billing: plainError(402),
  spend_limit: {
    ...plainError(429, `Your organization has reached its monthly spend limit. ${REGAIN}`),
    code: 'enforced_spend_limit_reached',
  },
  contract_spend_limit: {
    ...plainError(429, `Your organization has reached its contract spend limit. ${REGAIN}`),
    code: 'contract_spend_limit_reached',
  },
  ramp_limit: {
    ...plainError(429, 'Your request rate grew too quickly.'),
    code: 'ramp_limit_exceeded',
    retryAfter: '3',
  },
  invalid_key: plainError(401),
  revoked_key: plainError(401, 'This API key has been revoked.'),
  expired_key: plainError(401, 'This API key has expired.'),
  permission: plainError(403),
  model_not_found: plainError(404, 'model: $model'),
  data_retention: badRequest('Your organization must have data retention enabled to use $model.'),
  unknown_beta: badRequest(
    'Unexpected value(s) `$beta` for the `anthropic-beta` header. ' +
      'Please consult our documentation or try again without the header.',
  ),
  cmek_unreachable: {
    ...plainError(503, 'The customer-managed encryption key is unreachable.'),
    code: 'cmek_key_unreachable',
  },
  cmek_disabled: badRequest(
    'The customer-managed encryption key is disabled.',
    'cmek_key_disabled',
  ),
  image_dimensions: {
    ...badRequest('At least one image is too large.', 'image_dimensions_too_large'),
    details: { max_side_length_pixels: 2000, paths: ['messages.0.content.0'] },
  },
  overloaded: plainError(529),
} as const satisfies { readonly [name: string]: ApiError }

export type SpecialError = keyof typeof SPECIAL_ERRORS

/** These hit every endpoint of the account, token counting included. */
export const ACCOUNT_WIDE: ReadonlySet<string> = new Set<SpecialError>([
  'credit_too_low',
  'usage_limits',
  'workspace_usage_limits',
  'organization_on_hold',
  'organization_disabled',
  'billing',
  'invalid_key',
  'revoked_key',
  'expired_key',
])

/** The JSON text of an error answer. */
export function errorBody(error: ApiError, requestId: string | null): string {
  if (error.edge) {
    return JSON.stringify({ error: { type: error.type, message: error.message } })
  }
  const details =
    error.code === undefined && error.details === undefined
      ? undefined
      : { ...(error.code === undefined ? {} : { error_code: error.code }), ...error.details }
  return JSON.stringify({
    type: 'error',
    error: { type: error.type, message: error.message, details },
    request_id: requestId,
  })
}
