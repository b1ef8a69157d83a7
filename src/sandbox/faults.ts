import type { SpecialError } from './errors.ts'
import { SPECIAL_ERRORS } from './errors.ts'
import type { JsonObject } from './json.ts'

/**
 * How one answer shall differ from a good one.
 *
 * Written by people as `key=value` pairs, the same in three places: in the request header `x-sandbox`
 * (which only the sandbox reads), as the `fault` of a rule in a script file, and in `setFault`:
 *
 *     x-sandbox: status=529
 *     x-sandbox: at=mid_event,how=reset
 *     x-sandbox: output_tokens=500,token_rate=50,thinking=omitted
 *
 * Pairs are parted by commas; a value that needs a comma is percent-encoded; a key alone means `1`.
 *
 * | key | value |
 * |---|---|
 * | `status` | HTTP status with upstream's body for it (429: `retry-after: 2`); 200 overrules other faults |
 * | `error` | a special answer by name: `credit_too_low`, `spend_limit`, ...: SPECIAL_ERRORS in errors.ts |
 * | `message` | the error's message instead of upstream's |
 * | `retry_after`, `reset` | these headers verbatim, however strange; `none` leaves them out |
 * | `should_retry` | `x-should-retry: true` or `false` |
 * | `redirect`, `location` | a 3xx status; where to (default: a path of the sandbox that must not be asked) |
 * | `body` | with status 200: `html error empty not_json array null`; with others `html empty` |
 * | `content_type` | another content type |
 * | `at` | where it breaks: `connect before_headers after_headers in_message_start after_message_start mid_event before_message_delta before_message_stop` |
 * | `how` | `close` (default), `reset`, `stall`, `garbage` |
 * | `after` | with `at=mid_event`: after so many deltas instead of half of them |
 * | `error_event` | ends the stream there (default mid_event) with `event: error` of that type |
 * | `first_byte_ms`, `first_token_ms` | silence before the headers; after message_start |
 * | `token_rate` | tokens per second |
 * | `output_tokens`, `delta_tokens`, `text` | length of the answer; tokens per delta; the text itself |
 * | `thinking`, `thinking_tokens` | `omitted`, `summarized`, `none` or `redacted`, asked for or not; how many |
 * | `usage` | `missing absent_delta absent_start negative huge string null float shrinking` |
 * | `crlf`, `comments`, `chunk` | CRLF line ends; SSE comments; written in pieces of so many bytes |
 * | `oversize` | one event with so many bytes of text |
 * | `pings`, `message_deltas` | that many extra pings; message_delta events |
 * | `unknown_event`, `unknown_block`, `unknown_field`, `future_header` | things that do not exist yet |
 * | `decline`, `category` | refusal `before` any output or `mid` of it (with `fallbacks`: handed on) |
 * | `iterations` | adds `usage.iterations`: `plain compaction advisor` |
 * | `searches` | web searches done |
 * | `service_tier`, `speed`, `geo`, `answer_model` | what the answer says of these |
 * | `stop_reason` | another stop reason |
 */
export interface Fault {
  readonly status?: number
  readonly error?: SpecialError
  readonly message?: string
  readonly retryAfter?: string
  readonly reset?: string
  readonly shouldRetry?: string
  readonly redirect?: number
  readonly location?: string
  readonly body?: (typeof BODIES)[number]
  readonly contentType?: string
  readonly at?: FaultPoint
  readonly how?: FaultManner
  readonly after?: number
  readonly errorEvent?: string
  readonly firstByteMs?: number
  readonly firstTokenMs?: number
  readonly tokenRate?: number
  readonly outputTokens?: number
  readonly deltaTokens?: number
  readonly text?: string
  readonly thinking?: (typeof THINKING)[number]
  readonly thinkingTokens?: number
  readonly usage?: (typeof USAGES)[number]
  readonly crlf?: boolean
  readonly comments?: boolean
  readonly chunk?: number
  readonly oversize?: number
  readonly pings?: number
  readonly messageDeltas?: number
  readonly unknownEvent?: boolean
  readonly unknownBlock?: boolean
  readonly unknownField?: boolean
  readonly futureHeader?: boolean
  readonly decline?: 'before' | 'mid'
  readonly category?: string
  readonly iterations?: (typeof ITERATIONS)[number]
  readonly searches?: number
  readonly serviceTier?: string
  readonly speed?: string
  readonly geo?: string
  readonly answerModel?: string
  readonly stopReason?: string
}

/** Where an answer breaks, in the order of time. */
export const FAULT_POINTS = [
  'connect',
  'before_headers',
  'after_headers',
  'in_message_start',
  'after_message_start',
  'mid_event',
  'before_message_delta',
  'before_message_stop',
] as const

/** How it breaks: a clean end, a reset, silence with the socket open, or nonsense. */
export const FAULT_MANNERS = ['close', 'reset', 'stall', 'garbage'] as const

const BODIES = ['html', 'error', 'empty', 'not_json', 'array', 'null'] as const
const THINKING = ['omitted', 'summarized', 'none', 'redacted'] as const
const ITERATIONS = ['plain', 'compaction', 'advisor'] as const
const USAGES = [
  'missing',
  'absent_delta',
  'absent_start',
  'negative',
  'huge',
  'string',
  'null',
  'float',
  'shrinking',
] as const

export type FaultPoint = (typeof FAULT_POINTS)[number]
export type FaultManner = (typeof FAULT_MANNERS)[number]

/** What a value must look like: a check that gives the value or says what it wanted. */
type Read = (text: string) => { readonly value: unknown } | { readonly wanted: string }

const FIELDS: { readonly [K in keyof Required<Fault>]: Read } = {
  status: integer(200, 599),
  error: oneOf(Object.keys(SPECIAL_ERRORS)),
  message: anyText,
  retryAfter: anyText,
  reset: anyText,
  shouldRetry: anyText,
  redirect: integer(300, 399),
  location: anyText,
  body: oneOf(BODIES),
  contentType: anyText,
  at: oneOf(FAULT_POINTS),
  how: oneOf(FAULT_MANNERS),
  after: integer(0, 1_000_000),
  errorEvent: anyText,
  firstByteMs: integer(0, 3_600_000),
  firstTokenMs: integer(0, 3_600_000),
  tokenRate: integer(1, 1_000_000),
  outputTokens: integer(0, 1_000_000),
  deltaTokens: integer(1, 1_000_000),
  text: anyText,
  thinking: oneOf(THINKING),
  thinkingTokens: integer(0, 1_000_000),
  usage: oneOf(USAGES),
  crlf: yesNo,
  comments: yesNo,
  chunk: integer(1, 1_000_000),
  oversize: integer(1, 256_000_000),
  pings: integer(0, 100_000),
  messageDeltas: integer(1, 1_000),
  unknownEvent: yesNo,
  unknownBlock: yesNo,
  unknownField: yesNo,
  futureHeader: yesNo,
  decline: oneOf(['before', 'mid']),
  category: anyText,
  iterations: oneOf(ITERATIONS),
  searches: integer(0, 100),
  serviceTier: anyText,
  speed: anyText,
  geo: anyText,
  answerModel: anyText,
  stopReason: anyText,
}

const FIELD_BY_KEY = new Map<string, string>(
  Object.keys(FIELDS).map((name) => [snakeCase(name), name]),
)

/** Reads the text form (`status=529,retry_after=7`); throws an Error that says what is wrong. */
export function parseFault(text: string): Fault {
  const pairs: [string, string][] = []
  for (const part of text.split(',')) {
    const pair = part.trim()
    if (pair === '') continue
    const equals = pair.indexOf('=')
    if (equals < 0) pairs.push([pair, '1'])
    else pairs.push([pair.slice(0, equals).trim(), decode(pair.slice(equals + 1).trim())])
  }
  return readPairs(pairs)
}

/** Reads the object form of a script file (`{status: 529}`, keys as in the text form). */
export function readFault(value: JsonObject): Fault {
  const pairs: [string, string][] = []
  for (const [key, item] of Object.entries(value)) {
    if (item !== null && typeof item === 'object')
      throw new Error(`fault: ${key} must be one value`)
    pairs.push([key, item === null ? 'null' : String(item)])
  }
  return readPairs(pairs)
}

function readPairs(pairs: readonly (readonly [string, string])[]): Fault {
  const fault: { [name: string]: unknown } = {}
  for (const [key, text] of pairs) {
    const name = FIELD_BY_KEY.get(key)
    if (name === undefined) {
      throw new Error(`fault: unknown key ${key} (known: ${[...FIELD_BY_KEY.keys()].join(' ')})`)
    }
    const result = FIELDS[name as keyof Fault](text) // a name out of FIELD_BY_KEY is one of FIELDS
    if ('wanted' in result) throw new Error(`fault: ${key}=${text} (wanted: ${result.wanted})`)
    fault[name] = result.value
  }
  return fault
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function anyText(text: string): ReturnType<Read> {
  return { value: text }
}

function yesNo(text: string): ReturnType<Read> {
  if (['1', 'true', 'yes'].includes(text)) return { value: true }
  if (['0', 'false', 'no'].includes(text)) return { value: false }
  return { wanted: '1 or 0' }
}

function integer(least: number, most: number): Read {
  return (text) => {
    const value = Number(text)
    const fits = /^\d+$/.test(text) && value >= least && value <= most
    return fits ? { value } : { wanted: `a whole number from ${least} to ${most}` }
  }
}

function oneOf(values: readonly string[]): Read {
  return (text) => (values.includes(text) ? { value: text } : { wanted: values.join(' ') })
}
