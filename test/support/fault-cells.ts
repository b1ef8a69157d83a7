import type { OutcomeKind } from '../../src/core/attempt-outcome.ts'

/**
 * Everything that upstream can do wrong, and what has to come of it: data alone. The expected values are
 * written down from the rules for money, health and statuses; each says its reason.
 */

/** Upstream's answers by name; each is a row of the rules for health. */
export const ANSWERS = {
  '200': { status: 200 },
  '400': { status: 400, type: 'invalid_request_error', message: 'messages: at least one message' },
  '400 credit': {
    status: 400,
    type: 'invalid_request_error',
    message:
      'Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.',
  },
  '401': { status: 401, type: 'authentication_error', message: 'invalid x-api-key' },
  '402': { status: 402, type: 'billing_error', message: 'There is a problem with your billing.' },
  '403': { status: 403, type: 'permission_error', message: 'No permission to use this model.' },
  '404': { status: 404, type: 'not_found_error', message: 'Not found' },
  '404 model': { status: 404, type: 'not_found_error', message: 'model: claude-of-the-cell' },
  '413': { status: 413, type: 'request_too_large', message: 'Request exceeds the maximum size' },
  '429': { status: 429, type: 'rate_limit_error', message: 'This would exceed your rate limit.' },
  '429 reset': {
    status: 429,
    type: 'rate_limit_error',
    message: 'This would exceed your rate limit.',
    retryAfterSeconds: 7,
  },
  '500': { status: 500, type: 'api_error', message: 'Internal server error' },
  '502': { status: 502, type: 'api_error', message: 'Bad gateway' },
  '503': { status: 503, type: 'api_error', message: 'Service unavailable' },
  '504': { status: 504, type: 'timeout_error', message: 'Gateway timeout' },
  '529': { status: 529, type: 'overloaded_error', message: 'Overloaded' },
} as const satisfies Record<string, Answer>

export interface Answer {
  readonly status: number
  readonly type?: string
  readonly message?: string
  readonly retryAfterSeconds?: number
}
export type AnswerName = keyof typeof ANSWERS

/**
 * Where it breaks. `refuse`: no connection, or one that speaks before it was asked. Of a body that is no
 * stream `in_message_start` is its beginning, `mid_event` its middle, `before_message_stop` its last byte.
 */
export const PLACES = [
  'nowhere',
  'refuse',
  'before_headers',
  'after_headers',
  'in_message_start',
  'mid_event',
  'before_message_stop',
] as const
export type Place = (typeof PLACES)[number]

/** `garbage` breaks the framing of HTTP; `gibberish` are well-framed bytes that say nothing, then the end. */
export const MANNERS = ['close', 'reset', 'stall', 'garbage', 'gibberish'] as const
export type Manner = (typeof MANNERS)[number]

/** One thing that upstream does to one request. */
export interface Cell {
  readonly answer: AnswerName
  readonly place: Place
  readonly manner: Manner
  readonly stream: boolean
  /** Whether a healthy account stands behind the one that fails. */
  readonly hasSecond: boolean
}

/** Why a cell of the full product is none of its own; null for one that is. */
export function leftOut({ answer, place, manner }: Cell): string | null {
  const hasNoStatus = place === 'refuse' || place === 'before_headers'
  if (hasNoStatus && answer !== '200') return 'no status was sent: the same cell as under 200'
  if (hasNoStatus && manner === 'gibberish') return 'without headers there is no framing to keep'
  if (place === 'nowhere' && manner !== 'close') return 'what does not break has no manner'
  const isOfEvents = place === 'in_message_start' || place === 'before_message_stop'
  if (isOfEvents && answer !== '200')
    return 'an error has one small body, which breaks in its middle'
  return null
}

/** The full product, and the cells of it that exist. */
export function allCells(): { readonly product: readonly Cell[]; readonly cells: readonly Cell[] } {
  const product: Cell[] = []
  for (const hasSecond of [true, false])
    for (const stream of [true, false])
      for (const answer of Object.keys(ANSWERS) as AnswerName[])
        for (const place of PLACES)
          for (const manner of MANNERS) product.push({ answer, place, manner, stream, hasSecond })
  return { product, cells: product.filter((cell) => leftOut(cell) === null) }
}

/** The status and our code that a client sees; code null: upstream's answer, byte for byte. */
export interface Seen {
  readonly status: number
  readonly code: string | null
}

/** What one behaviour of upstream has to mean. */
export interface Meaning {
  readonly why: string
  /** The attempt's word in the receipt. */
  readonly outcome: OutcomeKind
  /** What the account is afterwards; null: as before. */
  readonly health: { readonly part: 'account' | 'model'; readonly state: string } | null
  /** Another account is asked; then its answer is the client's. */
  readonly resends: boolean
  /** Upstream may have billed its prompt: booked as the operator's loss. */
  readonly isLoss: boolean
  /** Where nobody else is asked. */
  readonly alone: Seen
  readonly bill: 'exact' | 'partial' | 'void'
}

const VOID = { resends: true, isLoss: false, bill: 'void' } as const
const COOLING = { part: 'model', state: 'cooling' } as const

/** The rules as a table. Cells count a first failure as a rest: their gateway rests an account after one. */
const MEANINGS = {
  served: {
    why: 'normal end: usage of the final event or body; a success leaves the account healthy',
    outcome: 'ok',
    health: null,
    resends: false,
    isLoss: false,
    alone: { status: 200, code: null },
    bill: 'exact',
  },
  own_fault: {
    ...VOID,
    why: 'other 400, 404, 413: the client’s fault never cools an account, nobody else is asked',
    outcome: 'client_fault',
    health: null,
    resends: false,
    alone: { status: 0, code: null },
  },
  unauthorized: {
    ...VOID,
    why: '401: the account’s credential is no good; none left after 401 is no healthy account',
    outcome: 'unauthorized',
    health: { part: 'account', state: 'unauthorized' },
    alone: { status: 503, code: 'no_healthy_account' },
  },
  out_of_credit: {
    ...VOID,
    why: '402, and 400 about credit: out of credit, until a probe; none left is no healthy account',
    outcome: 'out_of_credit',
    health: { part: 'account', state: 'out_of_credit' },
    alone: { status: 503, code: 'no_healthy_account' },
  },
  forbidden: {
    ...VOID,
    why: '403, 404 naming the model: (account, model) forbidden once another account serves it; the same answer from all passes through',
    outcome: 'forbidden',
    health: { part: 'model', state: 'forbidden' },
    alone: { status: 0, code: null },
  },
  limited: {
    ...VOID,
    why: '429 with a reset: (account, model) limited until then; all limited is 429',
    outcome: 'rate_limited',
    health: { part: 'model', state: 'rate_limited' },
    alone: { status: 429, code: 'account_rpm_exceeded' },
  },
  limited_without_end: {
    ...VOID,
    why: '429 without a reset: (account, model) cools, doubling; all limited is 429',
    outcome: 'rate_limited',
    health: COOLING,
    alone: { status: 429, code: 'account_rpm_exceeded' },
  },
  overloaded: {
    ...VOID,
    why: '529: (account, model) cools; a refusal, so nothing is lost; any 529 is 502',
    outcome: 'overloaded',
    health: COOLING,
    alone: { status: 502, code: 'upstream_error' },
  },
  failed: {
    ...VOID,
    why: '5xx: counted, may have done something upstream: one resend; an error is not billed; any 5xx is 502',
    outcome: 'server_error',
    health: COOLING,
    alone: { status: 502, code: 'upstream_error' },
  },
  unreachable: {
    ...VOID,
    why: 'nothing was sent: counted for the account as a whole, free to resend; connect errors are 503',
    outcome: 'unreachable',
    health: { part: 'account', state: 'cooling' },
    alone: { status: 503, code: 'no_healthy_account' },
  },
  broken: {
    ...VOID,
    why: 'broke or garbage after sending, before anything usable: as 5xx; garbage is 502',
    outcome: 'server_error',
    health: COOLING,
    isLoss: true,
    alone: { status: 502, code: 'upstream_error' },
  },
  silent: {
    ...VOID,
    why: 'silence after sending, before anything usable: as 5xx; time-out is 504',
    outcome: 'server_error',
    health: COOLING,
    isLoss: true,
    alone: { status: 504, code: 'upstream_timeout' },
  },
  cut: {
    why: 'dies after message_start: exact input and an estimate of the output, an error event, nothing spliced from another account; counted',
    outcome: 'server_error',
    health: COOLING,
    resends: false,
    isLoss: false,
    alone: { status: 200, code: 'upstream_interrupted' },
    bill: 'partial',
  },
  refusal_cut: {
    ...VOID,
    why: '400, 403, 404, 413 whose text was lost: a refusal, so nothing is billed and nobody cools; what it meant cannot be passed on, so another is asked; garbage is 502',
    outcome: 'client_fault',
    health: null,
    alone: { status: 502, code: 'upstream_error' },
  },
  refusal_silent: {
    ...VOID,
    why: 'the same, but its text never came: time-out is 504',
    outcome: 'client_fault',
    health: null,
    alone: { status: 504, code: 'upstream_timeout' },
  },
} as const satisfies Record<string, Meaning>

/** Statuses whose meaning needs no body; the others are of the client or of the account, as their text says. */
const BY_STATUS: Readonly<Partial<Record<AnswerName, keyof typeof MEANINGS>>> = {
  '200': 'served',
  '401': 'unauthorized',
  '402': 'out_of_credit',
  '429': 'limited_without_end',
  '429 reset': 'limited',
  '500': 'failed',
  '502': 'failed',
  '503': 'failed',
  '504': 'failed',
  '529': 'overloaded',
}
const BY_TEXT: Readonly<Partial<Record<AnswerName, keyof typeof MEANINGS>>> = {
  '400': 'own_fault',
  '400 credit': 'out_of_credit',
  '403': 'forbidden',
  '404': 'own_fault',
  '404 model': 'forbidden',
  '413': 'own_fault',
}

/** What a cell has to come to. */
export function meaningOf(cell: Cell): Meaning {
  const { status } = ANSWERS[cell.answer]
  const meaning: Meaning = MEANINGS[meaningNameOf(cell)]
  const { alone } = meaning
  return alone.status === 0 ? { ...meaning, alone: { ...alone, status } } : meaning
}

function meaningNameOf({ answer, place, manner, stream }: Cell): keyof typeof MEANINGS {
  const isSilent = manner === 'stall'
  if (place === 'nowhere') return BY_STATUS[answer] ?? BY_TEXT[answer] ?? 'failed'
  if (place === 'refuse') {
    // Where a connection stood, for however short a time, the request may have been sent.
    return manner === 'reset' || isSilent ? 'unreachable' : 'broken'
  }
  if (place === 'before_headers') return isSilent ? 'silent' : 'broken'
  if (answer === '200') {
    const isFlowing = stream && (place === 'mid_event' || place === 'before_message_stop')
    if (isFlowing) return 'cut'
    return isSilent ? 'silent' : 'broken'
  }
  const byStatus = BY_STATUS[answer]
  if (byStatus !== undefined) return byStatus
  // A whole answer without words: an edge's HTML. A 403 is never the request's form.
  if (manner === 'gibberish') return answer === '403' ? 'forbidden' : 'own_fault'
  return isSilent ? 'refusal_silent' : 'refusal_cut'
}

/** For messages: `429 reset, mid_event, close, stream, alone`. */
export function cellName({ answer, place, manner, stream, hasSecond }: Cell): string {
  const parts = [
    place === 'refuse' || place === 'before_headers' ? 'no status' : answer,
    place === 'nowhere' ? 'whole' : `${place} ${manner}`,
    stream ? 'stream' : 'unary',
    hasSecond ? 'with a second account' : 'alone',
  ]
  return parts.join(', ')
}
