import { type Asked, betasOf } from './asked.ts'
import { type ApiError, errorBody, plainError, SPECIAL_ERRORS } from './errors.ts'
import type { Fault } from './faults.ts'
import { baseHeaders, errorHeaders, type Headers, headersFor } from './headers.ts'
import { asText, type JsonObject } from './json.ts'
import type { Reply } from './reply.ts'
import type { World } from './world.ts'

const HTML =
  '<!DOCTYPE html><html><head><title>Just a moment...</title></head>' +
  '<body><h1>Checking your browser</h1></body></html>'
const DEFAULT_RETRY_SECONDS = 2

/** The answer that a fault puts in place of the real one; null: the real one is wanted. */
export function spoiledReply(
  world: World,
  asked: Asked,
  fault: Fault,
  body: JsonObject | null,
): Reply | null {
  if (fault.redirect !== undefined) {
    const location = fault.location ?? '/v1/elsewhere'
    return oneFrame(fault.redirect, { ...headersFor(world, asked, fault), location }, '')
  }
  const error = errorOf(fault, asked, body)
  if (error) {
    const headers = errorHeaders(world, asked, fault, error)
    if (fault.status === 429) Object.assign(headers, resetHeaders(world, fault))
    if (fault.body === 'html' || fault.body === 'empty') {
      return oneFrame(error.status, htmlHeaders(headers, fault), fault.body === 'html' ? HTML : '')
    }
    return oneFrame(error.status, headers, errorBody(error, asked.requestId))
  }
  if (fault.body === undefined) return null
  const headers = headersFor(world, asked, fault)
  switch (fault.body) {
    case 'html':
      return oneFrame(200, htmlHeaders(headers, fault), HTML)
    case 'error':
      return oneFrame(200, headers, errorBody(plainError(529), asked.requestId))
    case 'empty':
      return oneFrame(200, headers, '')
    case 'not_json':
      return oneFrame(200, headers, '{"id":"msg_01","type":"message","content":[{]')
    case 'array':
      return oneFrame(200, headers, '[]')
    case 'null':
      return oneFrame(200, headers, 'null')
  }
}

/** An answer given at the door, where no account is known. */
export function doorReply(requestId: string, error: ApiError): Reply {
  return oneFrame(error.status, baseHeaders(requestId, null), errorBody(error, requestId))
}

/** A body in one piece. */
export function oneFrame(status: number, headers: Headers, text: string): Reply {
  return { status, headers, frames: [{ text, tokens: 0, mark: 'body' }], streams: false }
}

function errorOf(fault: Fault, asked: Asked, body: JsonObject | null): ApiError | null {
  if (fault.error !== undefined) {
    const error: ApiError = SPECIAL_ERRORS[fault.error]
    const message = (fault.message ?? error.message)
      .replace('$model', asText(body?.model) ?? '')
      .replace('$beta', betasOf(asked)[0] ?? '')
    return { ...error, message }
  }
  if (fault.status === undefined || fault.status < 400) return null
  const error = plainError(fault.status, fault.message)
  const isLimit = fault.status === 429
  return isLimit ? { ...error, retryAfter: String(DEFAULT_RETRY_SECONDS) } : error
}

function resetHeaders(world: World, fault: Fault): Headers {
  if (fault.reset === 'none') return {}
  const resetMs = world.nowMs() + DEFAULT_RETRY_SECONDS * 1000
  return {
    'anthropic-ratelimit-requests-limit': '50',
    'anthropic-ratelimit-requests-remaining': '0',
    'anthropic-ratelimit-requests-reset': fault.reset ?? new Date(resetMs).toISOString(),
  }
}

function htmlHeaders(headers: Headers, fault: Fault): Headers {
  return { ...headers, 'content-type': fault.contentType ?? 'text/html; charset=UTF-8' }
}
