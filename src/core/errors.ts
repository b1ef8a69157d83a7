/** One row per error code: the whole contract of what an API user can get from the gateway itself. */
export interface ErrorRow {
  readonly status: number
  /** `error.type` on Anthropic routes. */
  readonly anthropic: string
  /** `error.type` on OpenAI routes. */
  readonly openai: string
  /** false: the answer says `x-should-retry: false`. */
  readonly retryable: boolean
  /** For the caller. `{name}` is filled in from the error's facts; never secrets, never upstream internals. */
  readonly message: string
  /** The same where an answer has begun: what was delivered is paid for. Absent: `message`. */
  readonly messageInStream?: string
  /** For the operator: a command to type, or a place to look. */
  readonly hint: string
}

export const ERRORS = {
  invalid_json: {
    status: 400,
    anthropic: 'invalid_request_error',
    openai: 'invalid_request_error',
    retryable: false,
    message: 'The request body is not valid JSON: {problem}.',
    hint: 'The client sent broken JSON; nothing to do here.',
  },
  duplicate_json_key: {
    status: 400,
    anthropic: 'invalid_request_error',
    openai: 'invalid_request_error',
    retryable: false,
    message: 'The key {path} stands twice in the request body. Send it once.',
    hint: 'The client sent an ambiguous body; nothing to do here.',
  },
  json_too_complex: {
    status: 400,
    anthropic: 'invalid_request_error',
    openai: 'invalid_request_error',
    retryable: false,
    message:
      'The request body is nested too deeply or has too many parts ({problem}). Simplify it.',
    hint: 'The client sent a body that no real request looks like; nothing to do here.',
  },
  invalid_request: {
    status: 400,
    anthropic: 'invalid_request_error',
    openai: 'invalid_request_error',
    retryable: false,
    message: '{field}: {problem}.',
    hint: 'The client must correct the named field.',
  },
  invalid_value: {
    status: 400,
    anthropic: 'invalid_request_error',
    openai: 'invalid_request_error',
    retryable: false,
    message: '{problem}.',
    hint: 'The client of an OpenAI format must correct the named field.',
  },
  missing_required_parameter: {
    status: 400,
    anthropic: 'invalid_request_error',
    openai: 'invalid_request_error',
    retryable: false,
    message: '{problem}.',
    hint: 'The client of an OpenAI format must send the named field.',
  },
  unsupported_parameter: {
    status: 400,
    anthropic: 'invalid_request_error',
    openai: 'invalid_request_error',
    retryable: false,
    message: '{problem}.',
    hint: 'docs/openai-chat.md and docs/openai-responses.md say what is supported.',
  },
  unsupported_value: {
    status: 400,
    anthropic: 'invalid_request_error',
    openai: 'invalid_request_error',
    retryable: false,
    message: '{problem}.',
    hint: 'docs/openai-chat.md and docs/openai-responses.md say what is supported.',
  },
  previous_response_not_found: {
    status: 400,
    anthropic: 'invalid_request_error',
    openai: 'invalid_request_error',
    retryable: false,
    message: '{problem}.',
    hint: 'Nothing is stored here; the client must send the whole conversation.',
  },
  wrong_base_url: {
    status: 400,
    anthropic: 'invalid_request_error',
    openai: 'invalid_request_error',
    retryable: false,
    message:
      'The path {path} {problem}. Use base URL {publicUrl} for Anthropic SDKs and {publicUrl}/v1 for OpenAI SDKs.',
    hint: 'The client must correct its base URL.',
  },
  missing_api_key: {
    status: 401,
    anthropic: 'authentication_error',
    openai: 'invalid_request_error',
    retryable: false,
    message:
      'No API key was sent. Send your key in the x-api-key header or as Authorization: Bearer. Keys start with cc_user_; ask {supportEmail} for one.',
    hint: 'ccgate keys create <user/name>',
  },
  malformed_api_key: {
    status: 401,
    anthropic: 'authentication_error',
    openai: 'invalid_request_error',
    retryable: false,
    message: 'This does not look like {problem}.',
    hint: 'The client must send the key as it was given out, whole.',
  },
  anthropic_key_sent: {
    status: 401,
    anthropic: 'authentication_error',
    openai: 'invalid_request_error',
    retryable: false,
    message:
      'This is an Anthropic key (sk-ant-…). This server needs your own key starting with cc_user_; ask {supportEmail} for one, and replace the Anthropic key: it was sent to a third server.',
    hint: 'The client used the wrong key; it was neither logged nor forwarded.',
  },
  conflicting_credentials: {
    status: 401,
    anthropic: 'authentication_error',
    openai: 'invalid_request_error',
    retryable: false,
    message:
      'Two different keys were sent, one in x-api-key and one in Authorization. Send your key once.',
    hint: 'The client must send one credential.',
  },
  invalid_api_key: {
    status: 401,
    anthropic: 'authentication_error',
    openai: 'invalid_request_error',
    retryable: false,
    message:
      'The key cc_user_…{last4} is not known here. Check that the base URL {publicUrl} is the right server, or ask {supportEmail} for a new key.',
    hint: 'ccgate keys list',
  },
  revoked_api_key: {
    status: 401,
    anthropic: 'authentication_error',
    openai: 'invalid_request_error',
    retryable: false,
    message:
      'The key cc_user_…{last4} was revoked on {date}. Use another key or ask {supportEmail} for a new one.',
    hint: 'ccgate keys create <user/name>',
  },
  expired_api_key: {
    status: 401,
    anthropic: 'authentication_error',
    openai: 'invalid_request_error',
    retryable: false,
    message: 'The key cc_user_…{last4} expired on {date}. Ask {supportEmail} for a new one.',
    hint: 'ccgate keys limit <key> --expires <time>',
  },
  insufficient_credit: {
    status: 402,
    anthropic: 'billing_error',
    openai: 'insufficient_quota',
    retryable: false,
    message:
      'Insufficient credit: {available} available, this request may cost up to {required}. {fits}Top up to continue: ask {supportEmail}. Nothing was charged.',
    messageInStream:
      'Your credit ran out during this answer; it stops here. {bill}. To top up, ask {supportEmail}. Request {requestId}.',
    hint: 'ccgate credit grant <user> <dollars>',
  },
  key_spend_limit: {
    status: 402,
    anthropic: 'billing_error',
    openai: 'insufficient_quota',
    retryable: false,
    message:
      "This request does not fit what is left of this key's limit of {limit}: {available} is left, it may cost up to {required}. {opens}Use another key or ask {supportEmail} to raise the limit. Nothing was charged.",
    messageInStream:
      'This key reached its limit of {limit} during this answer; it stops here. {bill}. {opens}Use another key or ask {supportEmail} to raise the limit. Request {requestId}.',
    hint: 'ccgate keys limit <key> --spend-limit <dollars>/<period>',
  },
  user_suspended: {
    status: 403,
    anthropic: 'permission_error',
    openai: 'invalid_request_error',
    retryable: false,
    message: 'Access for this account is paused. Contact {supportEmail}.',
    hint: 'ccgate users show <user>',
  },
  model_not_allowed: {
    status: 403,
    anthropic: 'permission_error',
    openai: 'invalid_request_error',
    retryable: false,
    message: 'This key may not use {model}. Allowed: {allowed}.',
    hint: 'ccgate keys limit <key> --models <glob>',
  },
  model_not_found: {
    status: 404,
    anthropic: 'not_found_error',
    openai: 'invalid_request_error',
    retryable: false,
    message: 'No model named {model} here. {nearest}List: GET {publicUrl}/v1/models.',
    hint: 'ccgate models list',
  },
  route_not_found: {
    status: 404,
    anthropic: 'not_found_error',
    openai: 'invalid_request_error',
    retryable: false,
    message: 'No such endpoint: {method} {path}.',
    hint: 'The client called a path that is not served.',
  },
  thread_not_found: {
    status: 404,
    anthropic: 'not_found_error',
    openai: 'invalid_request_error',
    retryable: false,
    message: 'No thread of yours goes on from {message}. Send the whole conversation.',
    hint: 'The thread is older than its account remembers, or was made with another key owner.',
  },
  object_not_found: {
    status: 404,
    anthropic: 'not_found_error',
    openai: 'invalid_request_error',
    retryable: false,
    message: '{object} not found{which}.',
    hint: 'No answer to this user named it, it has expired, or its account is disabled or removed.',
  },
  usage_not_found: {
    status: 404,
    anthropic: 'not_found_error',
    openai: 'invalid_request_error',
    retryable: false,
    message:
      "No request {id} for this key's owner. Ids look like ccr_… and are in the X-CC-Request-Id header.",
    hint: 'ccgate usage show <request-id>',
  },
  method_not_allowed: {
    status: 405,
    anthropic: 'invalid_request_error',
    openai: 'invalid_request_error',
    retryable: false,
    message: '{path} accepts {allow}.',
    hint: 'The client used the wrong method.',
  },
  body_timeout: {
    status: 408,
    anthropic: 'timeout_error',
    openai: 'invalid_request_error',
    retryable: true,
    message: 'The request body did not arrive within {seconds} s.',
    hint: 'The client, or the network before it, was too slow.',
  },
  request_too_large: {
    status: 413,
    anthropic: 'request_too_large',
    openai: 'invalid_request_error',
    retryable: false,
    message:
      'The request is {size} MiB, the limit is {limit} MiB. Send smaller images or use fewer of them.',
    hint: 'limits.max_body in config.yaml',
  },
  key_rpm_exceeded: {
    status: 429,
    anthropic: 'rate_limit_error',
    openai: 'rate_limit_error',
    retryable: true,
    message: "This key's limit is {limit} per minute. Try again in {seconds} s.",
    hint: 'ccgate keys limit <key> --rpm <n>',
  },
  key_concurrency_exceeded: {
    status: 429,
    anthropic: 'rate_limit_error',
    openai: 'rate_limit_error',
    retryable: true,
    message: 'This key already has {limit} running, its limit. Wait until one has finished.',
    hint: 'ccgate keys limit <key> --concurrency <n>',
  },
  key_burn_rate_exceeded: {
    status: 429,
    anthropic: 'rate_limit_error',
    openai: 'rate_limit_error',
    retryable: true,
    message:
      'This key spent {limit} within a minute, the most that it may. Try again in {seconds} s.',
    hint: 'ccgate keys limit <key> --burn-limit <dollars>',
  },
  account_rpm_exceeded: {
    status: 429,
    anthropic: 'rate_limit_error',
    openai: 'rate_limit_error',
    retryable: true,
    message:
      'This request found no upstream account with room: {limited}. Try again in {seconds} s.',
    hint: 'ccgate accounts list',
  },
  too_many_attempts: {
    status: 429,
    anthropic: 'rate_limit_error',
    openai: 'rate_limit_error',
    retryable: true,
    message: 'Too many failed sign-ins from this address. Try again in {seconds} s.',
    hint: 'One address keeps sending keys that are not valid.',
  },
  headers_too_large: {
    status: 431,
    anthropic: 'invalid_request_error',
    openai: 'invalid_request_error',
    retryable: false,
    message: 'The request headers are larger than 16 KiB. Send fewer or smaller headers.',
    hint: 'The client sends too many headers.',
  },
  internal_error: {
    status: 500,
    anthropic: 'api_error',
    openai: 'server_error',
    retryable: true,
    message: 'Something went wrong in the gateway. Please send {requestId} to {supportEmail}.',
    hint: 'Look in the log for this request id.',
  },
  upstream_error: {
    status: 502,
    anthropic: 'api_error',
    openai: 'server_error',
    retryable: true,
    message: 'Upstream failed: {upstream}. Please retry in a moment.',
    hint: 'ccgate accounts list',
  },
  no_healthy_account: {
    status: 503,
    anthropic: 'overloaded_error',
    openai: 'server_error',
    retryable: true,
    message: 'No healthy upstream account right now{returns}.',
    hint: 'ccgate accounts list',
  },
  bound_account_unavailable: {
    status: 503,
    anthropic: 'overloaded_error',
    openai: 'server_error',
    retryable: true,
    message:
      'What this request goes on with (a thread, a container or a file) is kept where no upstream account can serve right now{returns}.',
    hint: 'ccgate accounts list; other accounts cannot serve this request',
  },
  account_cap_reached: {
    status: 503,
    anthropic: 'overloaded_error',
    openai: 'server_error',
    retryable: true,
    message: 'The capacity of this server is used up for now{returns}.',
    hint: 'ccgate accounts update <account> --day-cap <dollars>',
  },
  no_accounts_configured: {
    status: 503,
    anthropic: 'api_error',
    openai: 'server_error',
    retryable: false,
    message: 'This server has no upstream account yet. If you run it: ccgate accounts add main.',
    hint: 'ccgate accounts add main',
  },
  draining: {
    status: 503,
    anthropic: 'overloaded_error',
    openai: 'server_error',
    retryable: true,
    message: 'The gateway is restarting. Please retry in a few seconds.',
    hint: 'The daemon is shutting down.',
  },
  overloaded: {
    status: 503,
    anthropic: 'overloaded_error',
    openai: 'server_error',
    retryable: true,
    message: 'The gateway is overloaded. Please retry in a few seconds.',
    hint: 'ccgate status',
  },
  storage_full: {
    status: 503,
    anthropic: 'api_error',
    openai: 'server_error',
    retryable: true,
    message:
      'The gateway has no disk space to record usage, so it does not accept requests. Please retry shortly.',
    hint: 'Free disk space where the database lies.',
  },
  store_unavailable: {
    status: 503,
    anthropic: 'api_error',
    openai: 'server_error',
    retryable: true,
    message:
      'The gateway cannot record usage right now, so it does not accept requests. Please retry shortly.',
    hint: 'ccgate db check',
  },
  upstream_timeout: {
    status: 504,
    anthropic: 'timeout_error',
    openai: 'server_error',
    retryable: true,
    message:
      'Anthropic did not start answering within {seconds} s. Long answers are safer with "stream": true.',
    hint: 'upstream.timeouts in config.yaml',
  },
  upstream_interrupted: {
    status: 200,
    anthropic: 'api_error',
    openai: 'server_error',
    retryable: false,
    message:
      'The answer stopped before it was complete (upstream {reason}). You pay only for what was delivered. Request {requestId}.',
    hint: 'ccgate usage show <request-id>',
  },
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof ERRORS

/** What fills the braces of a message, and what machines read. */
export interface ErrorFacts {
  readonly [name: string]: string | number | undefined
}

/** A refusal or failure that the caller is told of; `server/reply.ts` alone turns it into bytes. */
export class GatewayError extends Error {
  override readonly name = 'GatewayError'
  readonly code: ErrorCode
  readonly facts: ErrorFacts
  /** The offending field, for OpenAI's `param`. */
  readonly field: string | null
  /** How long the caller should wait, in ms; null when waiting does not help, infinite when no end is known. */
  readonly retryAfterMs: number | null
  /** Machine-readable details beside the code (`required_micro` and the like). */
  readonly details: Readonly<Record<string, string | number>>
  /** false: clients should not try again by themselves, whatever the code says. */
  readonly shouldRetry: boolean

  constructor(
    code: ErrorCode,
    options: {
      facts?: ErrorFacts
      field?: string
      retryAfterMs?: number
      details?: Readonly<Record<string, string | number>>
      shouldRetry?: boolean
      cause?: unknown
    } = {},
  ) {
    super(code, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.facts = options.facts ?? {}
    this.field = options.field ?? null
    this.retryAfterMs = options.retryAfterMs ?? null
    this.details = options.details ?? {}
    this.shouldRetry = options.shouldRetry ?? true
  }
}

/**
 * The row's sentence, for an answer or for the end of a stream, with its braces filled in; an unknown brace
 * stays visible rather than lying.
 */
export function errorMessage(
  code: ErrorCode,
  facts: ErrorFacts,
  place: 'answer' | 'stream' = 'answer',
): string {
  const row: ErrorRow = ERRORS[code]
  const text = place === 'stream' ? (row.messageInStream ?? row.message) : row.message
  return text.replace(/\{(\w+)\}/g, (brace, name: string) =>
    facts[name] === undefined ? brace : String(facts[name]),
  )
}
