import type { AttemptOutcome } from '../../core/attempt-outcome.ts'
import { isJson } from './json.ts'

/** What upstream answered, as far as its meaning for the account goes. */
export interface UpstreamAnswer {
  readonly status: number
  /** Lower-case names; repeated headers as lists. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  /** The whole body of an error, or '' where it is not needed (2xx). */
  readonly body: string
  /** Wall time, for reset dates. */
  readonly nowMs: number
}

/** Codes in `error.details.error_code` that are a property of the account. */
const ACCOUNT_DISABLED_CODES = new Set([
  'organization_on_hold',
  'claude_code_key_creator_not_member',
  'cmek_key_disabled',
  'cmek_key_network_blocked',
])
/** These are about the profile that the caller's request names, not about the account. */
const CALLERS_PROFILE = /^(linked_organization|user_profile)_/
const SPEND_CAP_CODES = new Set(['enforced_spend_limit_reached', 'contract_spend_limit_reached'])

/**
 * Whole messages, from end to end: an answer that quotes the client's own words (a field name, say) must not
 * be able to rest an account.
 */
const ORGANIZATION_DISABLED = /^this organization has been disabled\.?$/
const CREDIT_TOO_LOW =
  /^your credit balance is too low to access the (anthropic|claude) api\.?( please go to plans & billing to upgrade or purchase credits\.?)?$/
const USAGE_LIMITS =
  /^you have reached your specified (workspace )?api usage limits\.?( you will regain access on \d{4}-\d{2}-\d{2}( at \d{2}:\d{2}(:\d{2})?( utc)?)?\.?)?$/
/** How upstream names a field that it does not know, whatever the client called it. */
const UNKNOWN_FIELD = /: extra inputs are not permitted\.?$/

interface ErrorBody {
  readonly type: string | null
  readonly message: string
  readonly code: string | null
}

/**
 * The meaning of an answer: what rests, for how long, and whether another account may
 * serve. Only error bodies are read, and only for the phrases that upstream documents or is known to use.
 */
export function classify(answer: UpstreamAnswer): AttemptOutcome {
  const { status } = answer
  const upstreamRequestId = firstHeader(answer.headers, 'request-id')
  const outcome = (
    kind: AttemptOutcome['kind'],
    reason: string,
    restMs: number | null = null,
  ): AttemptOutcome => ({
    kind,
    reason,
    httpStatus: status,
    upstreamRequestId,
    restMs,
  })
  if (status >= 200 && status < 300) return outcome('ok', '')
  // A redirect would take the credential to another origin; it is never followed.
  if (status < 400) return outcome('server_error', `${status} redirect`)

  const error = readError(answer.body)
  const reason = `${status} ${error.type ?? 'unknown error'}`
  const message = error.message.trim().toLowerCase()

  if (status === 401) return outcome('unauthorized', reason)
  if (error.code !== null && CALLERS_PROFILE.test(error.code))
    return outcome('client_fault', reason)
  if (status === 402) return outcome('out_of_credit', reason)
  if (error.code !== null && ACCOUNT_DISABLED_CODES.has(error.code))
    return outcome('disabled_upstream', `${status} ${error.code}`)
  if (status === 400 && UNKNOWN_FIELD.test(message)) return outcome('client_fault', reason)
  if (ORGANIZATION_DISABLED.test(message))
    return outcome('disabled_upstream', `${status} organization disabled`)
  if (status === 400 || status === 429) {
    if (CREDIT_TOO_LOW.test(message))
      return outcome('out_of_credit', `${status} credit balance too low`)
    if (USAGE_LIMITS.test(message)) {
      return outcome(
        'out_of_credit',
        `${status} usage limit reached`,
        restUntilDate(error.message, answer.nowMs),
      )
    }
  }
  if (status === 400) {
    if (message.includes('must have data retention enabled'))
      return outcome('forbidden', '400 data retention')
    if (/^unexpected value\(s\) .* for the `anthropic-beta` header/.test(message))
      return outcome('forbidden', '400 beta not enabled')
    return outcome('client_fault', reason)
  }
  if (status === 403) return outcome('forbidden', reason)
  if (status === 404)
    return outcome(message.startsWith('model:') ? 'forbidden' : 'client_fault', reason)
  if (status === 429) {
    if (error.code !== null && SPEND_CAP_CODES.has(error.code)) {
      return outcome(
        'out_of_credit',
        `429 ${error.code}`,
        restUntilDate(error.message, answer.nowMs),
      )
    }
    return outcome('rate_limited', reason, retryAfterMs(answer.headers, answer.nowMs))
  }
  if (status === 529) return outcome('overloaded', reason)
  if (status >= 500) return outcome('server_error', reason)
  return outcome('client_fault', reason)
}

/** The buckets that refuse when they are empty; those of a Priority Tier do not. */
const LIMITING = [
  'ratelimit-requests',
  'ratelimit-input-tokens',
  'ratelimit-output-tokens',
  'ratelimit-tokens',
  'fast-input-tokens',
  'fast-output-tokens',
]

/**
 * `retry-after-ms`, `retry-after` (seconds or a date), else the reset of whichever bucket is empty; null
 * when nothing usable was said. Never negative, never NaN; the pool caps it.
 */
export function retryAfterMs(headers: UpstreamAnswer['headers'], nowMs: number): number | null {
  const exact = positiveNumber(firstHeader(headers, 'retry-after-ms'))
  if (exact !== null) return exact
  const text = firstHeader(headers, 'retry-after')
  const seconds = positiveNumber(text)
  if (seconds !== null) return seconds * 1_000
  const dated = untilDate(text, nowMs)
  if (dated !== null) return dated
  let restMs: number | null = null
  for (const bucket of LIMITING) {
    if (firstHeader(headers, `anthropic-${bucket}-remaining`) !== '0') continue
    const reset = firstHeader(headers, `anthropic-${bucket}-reset`)
    const untilMs = untilDate(reset, nowMs)
    if (untilMs !== null) restMs = Math.max(restMs ?? 0, untilMs)
  }
  return restMs
}

/** `Date.parse` reads a year out of almost anything; upstream writes HTTP dates and RFC 3339. */
const DATE_FORM = /^([a-z]{3,9},? .* GMT|\d{4}-\d{2}-\d{2}T.*)$/i

/** The time left until a date; null when it is none or has passed. */
function untilDate(text: string | null, nowMs: number): number | null {
  if (text === null || !DATE_FORM.test(text)) return null
  const atMs = Date.parse(text)
  return Number.isFinite(atMs) && atMs > nowMs ? atMs - nowMs : null
}

/** `error.type`, `error.message` and `error.details.error_code` of an error body; blanks where absent. */
export function readError(body: string): ErrorBody {
  try {
    const parsed: unknown = JSON.parse(body)
    const error = isJson(parsed) && isJson(parsed.error) ? parsed.error : null
    if (error !== null) {
      const details = isJson(error.details) ? error.details : null
      return {
        type: typeof error.type === 'string' ? plainWord(error.type) : null,
        message: typeof error.message === 'string' ? error.message : '',
        code: typeof details?.error_code === 'string' ? details.error_code.slice(0, 60) : null,
      }
    }
  } catch {
    // Edges and proxies answer HTML or nothing; the status alone then decides.
  }
  return { type: null, message: '', code: null }
}

/**
 * The meaning of an `error` event, which has a type and no status. What the request itself may have
 * caused says nothing about the account.
 */
export function outcomeOfErrorEvent(type: string): AttemptOutcome['kind'] {
  switch (type) {
    case 'overloaded_error':
      return 'overloaded'
    case 'rate_limit_error':
      return 'rate_limited'
    case 'invalid_request_error':
    case 'not_found_error':
    case 'permission_error':
    case 'request_too_large':
      return 'client_fault'
    default:
      return 'server_error'
  }
}

/** Types go to people, logs and clients: what is no word of letters is not repeated. */
export function plainWord(text: string): string {
  return /^[\w.-]{1,60}$/.test(text) ? text : 'unknown error'
}

/** `2026-12-01 at 00:00 UTC` or an RFC 3339 time inside a sentence, as a rest from now. */
function restUntilDate(sentence: string, nowMs: number): number | null {
  const match = /(\d{4}-\d{2}-\d{2})(?:(?:T| at )(\d{2}:\d{2}(?::\d{2})?))?/.exec(sentence)
  if (!match) return null
  const atMs = Date.parse(`${match[1]}T${match[2] ?? '00:00'}Z`)
  return Number.isFinite(atMs) && atMs > nowMs ? atMs - nowMs : null
}

function firstHeader(headers: UpstreamAnswer['headers'], name: string): string | null {
  const value = headers[name]
  if (value === undefined) return null
  return typeof value === 'string' ? value : (value[0] ?? null)
}

function positiveNumber(text: string | null): number | null {
  if (text === null || !/^\d+(\.\d+)?$/.test(text.trim())) return null
  const value = Number(text)
  return Number.isFinite(value) && value > 0 ? value : null
}
