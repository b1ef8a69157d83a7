import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import type { ErrorCode, ErrorRow } from '../../src/core/errors.ts'
import { ERRORS, errorMessage, GatewayError } from '../../src/core/errors.ts'

/** Statuses and types as the papers have them: what clients match on. */
const CONTRACT: Readonly<Record<ErrorCode, readonly [status: number, type: string]>> = {
  invalid_json: [400, 'invalid_request_error'],
  duplicate_json_key: [400, 'invalid_request_error'],
  json_too_complex: [400, 'invalid_request_error'],
  invalid_request: [400, 'invalid_request_error'],
  invalid_value: [400, 'invalid_request_error'],
  missing_required_parameter: [400, 'invalid_request_error'],
  unsupported_parameter: [400, 'invalid_request_error'],
  unsupported_value: [400, 'invalid_request_error'],
  previous_response_not_found: [400, 'invalid_request_error'],
  wrong_base_url: [400, 'invalid_request_error'],
  missing_api_key: [401, 'authentication_error'],
  malformed_api_key: [401, 'authentication_error'],
  anthropic_key_sent: [401, 'authentication_error'],
  conflicting_credentials: [401, 'authentication_error'],
  invalid_api_key: [401, 'authentication_error'],
  revoked_api_key: [401, 'authentication_error'],
  expired_api_key: [401, 'authentication_error'],
  insufficient_credit: [402, 'billing_error'],
  key_spend_limit: [402, 'billing_error'],
  user_suspended: [403, 'permission_error'],
  model_not_allowed: [403, 'permission_error'],
  model_not_found: [404, 'not_found_error'],
  route_not_found: [404, 'not_found_error'],
  thread_not_found: [404, 'not_found_error'],
  object_not_found: [404, 'not_found_error'],
  usage_not_found: [404, 'not_found_error'],
  method_not_allowed: [405, 'invalid_request_error'],
  body_timeout: [408, 'timeout_error'],
  request_too_large: [413, 'request_too_large'],
  key_rpm_exceeded: [429, 'rate_limit_error'],
  key_concurrency_exceeded: [429, 'rate_limit_error'],
  key_burn_rate_exceeded: [429, 'rate_limit_error'],
  account_rpm_exceeded: [429, 'rate_limit_error'],
  too_many_attempts: [429, 'rate_limit_error'],
  headers_too_large: [431, 'invalid_request_error'],
  internal_error: [500, 'api_error'],
  upstream_error: [502, 'api_error'],
  no_healthy_account: [503, 'overloaded_error'],
  bound_account_unavailable: [503, 'overloaded_error'],
  account_cap_reached: [503, 'overloaded_error'],
  no_accounts_configured: [503, 'api_error'],
  draining: [503, 'overloaded_error'],
  overloaded: [503, 'overloaded_error'],
  storage_full: [503, 'api_error'],
  store_unavailable: [503, 'api_error'],
  upstream_timeout: [504, 'timeout_error'],
  upstream_interrupted: [200, 'api_error'],
}

/** Filled in for every message by `server/reply.ts`. */
const ALWAYS = ['publicUrl', 'supportEmail', 'requestId']

const CODES = Object.keys(ERRORS) as ErrorCode[] // the table's own keys
const bracesOf = (code: ErrorCode) => bracesIn(ERRORS[code].message)
const bracesIn = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1])
/** Its message, and the one for the end of a stream where that differs. */
const messagesOf = (code: ErrorCode) => {
  const { message, messageInStream }: ErrorRow = ERRORS[code]
  return messageInStream === undefined ? [message] : [message, messageInStream]
}

/** Source text of everything after `new GatewayError(` up to its closing bracket, by file. */
function throwSites(): { file: string; text: string; before: string }[] {
  const src = fileURLToPath(new URL('../../src', import.meta.url))
  const sites: { file: string; text: string; before: string }[] = []
  for (const file of readdirSync(src, { recursive: true, encoding: 'utf8' })) {
    if (!/\.tsx?$/.test(file)) continue
    const text = readFileSync(join(src, file), 'utf8').replace(/^\s*\/\/.*$/gm, '')
    for (const match of text.matchAll(/new GatewayError\(/g)) {
      const start = (match.index ?? 0) + match[0].length
      let depth = 1
      let end = start
      for (; end < text.length && depth > 0; end++) {
        if ('([{'.includes(text[end])) depth++
        if (')]}'.includes(text[end])) depth--
      }
      sites.push({ file, text: text.slice(start, end - 1), before: text.slice(0, start) })
    }
  }
  return sites
}

/** The names in `facts: { a, b: … }` of a throw site, or in the `const facts = { … }` last before it. */
function factsOf(site: string, before: string): string[] {
  if (/\bfacts\b\s*[,}]/.test(site)) {
    const made = before.lastIndexOf('const facts = {')
    return made < 0 ? [] : namesOf(before.slice(made))
  }
  return /\bfacts\s*:\s*\{/.test(site) ? namesOf(site.slice(site.search(/\bfacts\b/))) : []
}

/** The names of the first object literal in a text. */
function namesOf(text: string): string[] {
  const names: string[] = []
  let depth = 0
  let atName = true
  let name = ''
  for (const char of text.slice(text.indexOf('{') + 1)) {
    if (depth === 0 && (char === ',' || char === '}')) {
      if (name.trim() !== '') names.push(name.trim())
      if (char === '}') break
      name = ''
      atName = true
    } else if (depth === 0 && char === ':') {
      atName = false
    } else if ('([{'.includes(char)) depth++
    else if (')]}'.includes(char)) depth--
    else if (atName && depth === 0) name += char
  }
  return names
}

test('statuses and types are those of the contract', () => {
  for (const code of CODES) {
    const { status, anthropic } = ERRORS[code]
    assert.deepEqual([status, anthropic], CONTRACT[code], code)
  }
  assert.deepEqual(CODES.toSorted(), Object.keys(CONTRACT).toSorted())
})

test('every place that throws a code fills every brace of its message', () => {
  const wrong: string[] = []
  const seen = new Set<string>()
  for (const { file, text, before } of throwSites()) {
    const literal = /^\s*'(\w+)'/.exec(text)
    if (literal === null) continue
    const code = literal[1] as ErrorCode // checked by the compiler there
    seen.add(code)
    const given = [...factsOf(text, before), ...ALWAYS]
    const missing = messagesOf(code).map((message) =>
      bracesIn(message).filter((brace) => !given.includes(brace)),
    )
    if (missing.every((braces) => braces.length > 0))
      wrong.push(`${file}: ${code} without {${missing[0].join('} {')}}`)
  }
  assert.deepEqual(wrong, [])
  assert.ok(seen.size > 20, `only ${seen.size} codes found: the search is broken`)
})

test('a code that is thrown by a variable has no brace of its own', () => {
  const named = new Set(
    throwSites()
      .map(({ text }) => /^\s*'(\w+)'/.exec(text)?.[1])
      .filter((code) => code !== undefined),
  )
  for (const code of CODES) {
    if (named.has(code)) continue
    const own = bracesOf(code).filter((name) => !ALWAYS.includes(name))
    assert.deepEqual(own, [], `${code} is thrown nowhere by name`)
  }
})

test('every code is thrown somewhere', () => {
  const text = throwSites()
    .map((site) => site.text)
    .join('\n')
  // Thrown by variable: what closes the door, in server/context.ts.
  const byVariable = ['draining', 'storage_full', 'store_unavailable']
  for (const code of CODES)
    assert.ok(text.includes(`'${code}'`) || byVariable.includes(code), `${code} is thrown nowhere`)
})

test('messages are sentences for the caller, hints are words for the operator', () => {
  for (const code of CODES) {
    const row: ErrorRow = ERRORS[code]
    for (const message of messagesOf(code))
      assert.match(message, /\.$/, `${code}: the message ends with a full stop`)
    assert.ok(row.hint.length > 0 && !row.hint.includes('{'), `${code}: hint`)
    assert.doesNotMatch(row.message, /\baccount \{|credential|sk-ant-[^…]/, `${code}: internals`)
  }
})

test('an error that a retry cannot help says so, and one that passes says the opposite', () => {
  for (const code of CODES) {
    const { status, retryable } = ERRORS[code]
    if (status === 429 || status === 502 || status === 504 || status === 408)
      assert.equal(retryable, true, code)
    if (status >= 400 && status < 408) assert.equal(retryable, false, code)
  }
})

test('a message fills what it is given and never lies about what it is not', () => {
  assert.equal(
    errorMessage('key_rpm_exceeded', { limit: '60 requests', seconds: 7 }),
    "This key's limit is 60 requests per minute. Try again in 7 s.",
  )
  assert.match(errorMessage('key_rpm_exceeded', { limit: 60 }), /\{seconds\} s\.$/)
})

test('an error has words of its own for the end of a stream where its usual ones would not be true', () => {
  const facts = { bill: 'So much', supportEmail: 'x@y', requestId: 'ccr_1' }
  assert.match(
    errorMessage('insufficient_credit', facts, 'stream'),
    /ran out .* So much\. To top up/,
  )
  assert.doesNotMatch(errorMessage('insufficient_credit', facts, 'stream'), /Nothing was charged/)
  assert.match(errorMessage('draining', {}, 'stream'), /restarting/)
})

test('what is filled in is not filled in again', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const message = errorMessage('invalid_request', { field: text, problem: '{field} $& $1' })
      assert.equal(message, `${text}: {field} $& $1.`)
    }),
  )
  assert.equal(
    errorMessage('invalid_request', { field: '{problem}', problem: 'x' }),
    '{problem}: x.',
  )
})

test('an error keeps its facts, and its text alone tells nothing', () => {
  const cause = new Error('inner')
  const error = new GatewayError('invalid_request', { facts: { field: 'secret' }, cause })
  assert.equal(error.message, 'invalid_request')
  assert.equal(error.cause, cause)
  assert.deepEqual([error.field, error.retryAfterMs, error.details], [null, null, {}])
  assert.equal('cause' in new GatewayError('internal_error'), false)
})
