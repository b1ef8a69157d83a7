import { isDeepStrictEqual } from 'node:util'
import type { HealthRow } from '../../src/core/model.ts'
import type { UsageRow } from '../../src/store/store.ts'
import { codeOf, eventsOf } from './bills.ts'
import { ANSWERS, type Cell, type Meaning, meaningOf } from './fault-cells.ts'
import { errorBody, SAID, TEXT_BYTES_AT_BREAK } from './fault-upstream.ts'

/** Micro-dollars per token of every model of the matrix. */
export const RATES = { input: 3, output: 15, cacheRead: 0.3, cacheWrite5m: 3.75, cacheWrite1h: 6 }
/** How long an account of the matrix rests where upstream names no end. */
export const REST_MS = 60_000

/** What a client got. */
export interface Got {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

/** Whether an account or the request is at fault for a 403 shows only when another account answers otherwise. */
export function stateOf(cell: Cell, meaning: Meaning): Meaning['health'] {
  return meaning.outcome === 'forbidden' && !cell.hasSecond ? null : meaning.health
}

/** All that a cell left to see. */
export interface Seen {
  readonly model: string
  readonly accountId: string
  /** The account that stands behind the failing one. */
  readonly wellId: string
  readonly got: Got
  readonly rows: readonly UsageRow[]
  readonly health: readonly HealthRow[]
}

/** What is not as it has to be, one phrase each. */
export function wrongOf(cell: Cell, seen: Seen): string[] {
  const wrong: string[] = []
  const check = (what: string, is: unknown, want: unknown) => {
    if (!isDeepStrictEqual(is, want))
      wrong.push(`${what} is ${JSON.stringify(is)}, not ${JSON.stringify(want)}`)
  }
  const meaning = meaningOf(cell)
  check('usage rows', seen.rows.length, 1)
  if (seen.rows.length !== 1) return [...wrong, seen.got.text.slice(0, 200)]
  checkClient(cell, meaning, seen, check)
  checkBill(cell, meaning, seen.rows[0], check)
  checkAttempts(cell, meaning, seen, check)
  checkHealth(cell, meaning, seen, check)
  return wrong
}

type Check = (what: string, is: unknown, want: unknown) => void

/** Whether the account behind the failing one gives the answer. */
function isRescued(cell: Cell, meaning: Meaning): boolean {
  return cell.hasSecond && meaning.resends
}

function checkClient(cell: Cell, meaning: Meaning, { got }: Seen, check: Check): void {
  const { status, headers, text } = got
  const want = isRescued(cell, meaning) ? { status: 200, code: null } : meaning.alone
  check('status', status, want.status)
  if (status === 429 || status === 503) {
    const seconds = Number(headers.get('retry-after'))
    check('retry-after 1 to 60', Number.isInteger(seconds) && seconds >= 1 && seconds <= 60, true)
  }
  if (want.status !== 200) {
    check('code', codeOf(text), want.code)
    const isWhole = cell.place === 'nowhere'
    if (want.code === null && isWhole) check('body', text, errorBody(cell.answer))
    return
  }
  if (!cell.stream) {
    const message = JSON.parse(text) as { type?: string } // an answer of the upstream of this test
    check('type', message.type, 'message')
    return
  }
  const events = eventsOf(text)
  check('first event', events[0]?.event, 'message_start')
  const last = events.at(-1)
  const count = (name: string) => events.filter(({ event }) => event === name).length
  const isCut = meaning.bill === 'partial'
  check('last event', last?.event, isCut ? 'error' : 'message_stop')
  check('code', isCut ? codeOf(last?.data ?? '') : null, want.code)
  check('message_start events', count('message_start'), 1)
  // A success ending that upstream did not send is never made up.
  check('message_stop events', count('message_stop'), isCut ? 0 : 1)
  check('error events', count('error'), isCut ? 1 : 0)
  if (cell.manner !== 'gibberish')
    check('events that are whole', events.filter(({ data }) => !isJson(data)).length, 0)
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** The sum of tokens by rates, rounded up once. */
function costMicro(output: number): number {
  const { input, cacheRead, cacheWrite5m, cacheWrite1h } = SAID
  // Hundredths of a micro-dollar are whole here.
  const hundredths =
    input * RATES.input * 100 +
    cacheRead * 30 +
    cacheWrite5m * 375 +
    cacheWrite1h * RATES.cacheWrite1h * 100 +
    output * RATES.output * 100
  return Math.ceil(hundredths / 100)
}

function checkBill(cell: Cell, meaning: Meaning, row: UsageRow, check: Check): void {
  const bill = isRescued(cell, meaning) ? 'exact' : meaning.bill
  if (bill === 'void') {
    const { status, code } = meaning.alone
    check('cost', row.costMicro, 0)
    check('receipt', row.receipt, null)
    check('tokens', Object.values(row.tokens), [0, 0, 0, 0, 0])
    check('row', [row.status, row.source, row.httpStatus], ['rejected', 'none', status])
    if (code !== null) check('row’s code', row.errorCode, code)
    return
  }
  const isExact = bill === 'exact'
  const { output, ...input } = row.tokens
  const { output: said, ...saidInput } = SAID
  check('input classes', input, saidInput)
  if (isExact || cell.place === 'before_message_stop') check('output', output, said)
  else {
    const { least, most } = TEXT_BYTES_AT_BREAK
    const isNear = output >= Math.ceil(least / 4) && output <= Math.ceil(most / 4)
    check(`output ${output} near a quarter of the bytes`, isNear, true)
  }
  check('cost', row.costMicro, costMicro(output))
  check('within the hold', row.costMicro <= row.holdMicro, true)
  const code = isExact ? null : meaning.alone.code
  const words = isExact ? ['complete', 'exact'] : ['interrupted', 'partial']
  check('row', [row.status, row.source, row.httpStatus, row.errorCode], [...words, 200, code])
  check('anomalies', row.anomalies, 0)
}

function checkAttempts(cell: Cell, meaning: Meaning, seen: Seen, check: Check): void {
  const [row] = seen.rows
  const tries = row.attempts.map(({ accountId, outcome }) => ({ accountId, outcome }))
  const own = { accountId: seen.accountId, outcome: meaning.outcome }
  const well = { accountId: seen.wellId, outcome: 'ok' }
  check('attempts', tries, isRescued(cell, meaning) ? [own, well] : [own])
  const [first, second] = row.attempts
  if (meaning.bill === 'void')
    check('booked as a loss', (first?.listCostMicro ?? 0) > 0, meaning.isLoss)
  else check('list cost', first?.listCostMicro, row.costMicro)
  if (second !== undefined) check('list cost of the second', second.listCostMicro, row.costMicro)
}

function checkHealth(cell: Cell, meaning: Meaning, seen: Seen, check: Check): void {
  const { health: rows, model } = seen
  const want = stateOf(cell, meaning)
  const found = rows.map(({ modelClass, state }) => ({ modelClass, state }))
  const modelClass = want?.part === 'model' ? model : ''
  check('health', found, want === null ? [] : [{ modelClass, state: want.state }])
  if (rows.length !== 1) return
  const [{ sinceMs, untilMs }] = rows
  const restMs = untilMs === null ? null : untilMs - sinceMs
  const { retryAfterSeconds } = { retryAfterSeconds: 0, ...ANSWERS[cell.answer] }
  if (want?.state === 'rate_limited') check('rests ms', restMs, retryAfterSeconds * 1_000)
  else if (want?.state === 'cooling')
    check('rests half to all', restMs !== null && restMs >= REST_MS / 2 && restMs <= REST_MS, true)
}
