import { setTimeout as sleep } from 'node:timers/promises'
import { idFloor } from '../../core/ids.ts'
import { matchesModel } from '../../core/model-glob.ts'
import { parseCount } from '../../core/quantity.ts'
import type { Store, UsageRow } from '../../store/store.ts'
import type { Context } from '../context.ts'
import { CliError, EXIT, usageError } from '../errors.ts'
import type { Invocation } from '../invocation.ts'
import { usageColumns } from '../usage-columns.ts'
import { readUsageFilter, type UsageQuestion } from '../usage-filter.ts'
import { usageJson } from '../usage-json.ts'

const POLL_MS = 250
const PAGE_ROWS = 500
const MOST_LINES = 10_000
/** How often to look whether the gateway still runs. */
const DAEMON_MS = 5_000

/** `ccgate usage tail`: the last requests, then each one as it ends, until Ctrl-C or `--until`. */
export async function tailUsage(context: Context, call: Invocation): Promise<number> {
  const lines = call.read('lines', parseCount) ?? 20
  if (lines > MOST_LINES)
    throw usageError(`--lines: at most ${MOST_LINES}.`, 'Example: --lines 100', 'bad_value')
  const question = await readUsageFilter(context, call)
  const store = await context.store('read')
  if ((await context.daemon()) === null) throw gatewayDown()
  const stop = new AbortController()
  const onSignal = () => stop.abort()
  for (const signal of SIGNALS) process.once(signal, onSignal)
  try {
    await follow(context, { store, question, lines, stop: stop.signal })
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal)
  }
  return EXIT.ok
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const

async function follow(
  context: Context,
  tail: {
    readonly store: Store
    readonly question: UsageQuestion
    readonly lines: number
    readonly stop: AbortSignal
  },
): Promise<void> {
  const { store, question, stop } = tail
  // The end of what is written comes first: a row that arrives meanwhile is then read twice, never missed.
  let lastId = await newestWritten(store)
  const page = await store.listUsage({ ...question, limit: Math.max(1, tail.lines) })
  const first = tail.lines === 0 ? [] : page.rows.toReversed()
  const known = new Set(first.map((row) => row.requestId))
  const show = startPrinting(context, first)
  let version: number | null = null
  let checkedMs = context.terminal.nowMs()
  let isUp = true
  while (!stop.aborted) {
    // Moves with every commit of the gateway: without one there is nothing to read.
    const now = await store.dataVersion()
    if (now !== version) {
      version = now
      for await (const row of rowsAfter(store, lastId)) {
        lastId = row.requestId
        if (matches(row, question) && !known.delete(row.requestId)) show(row)
      }
    }
    if (question.untilMs !== undefined && context.terminal.nowMs() >= question.untilMs) return
    if (context.terminal.nowMs() - checkedMs >= DAEMON_MS) {
      checkedMs = context.terminal.nowMs()
      isUp = await tellGateway(context, isUp)
    }
    await sleep(POLL_MS, undefined, { signal: stop }).catch(() => {})
  }
}

/** The id of the row written last; before the first one, an id that is before them all. */
async function newestWritten(store: Store): Promise<string> {
  const { rows } = await store.listUsage({ limit: 1 })
  let lastId = rows[0]?.requestId ?? idFloor('request', 0)
  if (rows.length > 0) for await (const row of rowsAfter(store, lastId)) lastId = row.requestId
  return lastId
}

/** All rows written after this one, in that order. */
async function* rowsAfter(store: Store, requestId: string): AsyncGenerator<UsageRow> {
  for (let lastId = requestId; ; ) {
    const rows = await store.usageAfter(lastId, PAGE_ROWS)
    yield* rows
    if (rows.length < PAGE_ROWS) return
    lastId = rows[rows.length - 1].requestId
  }
}

/** Prints the first rows; the answer prints one more. */
function startPrinting(context: Context, first: readonly UsageRow[]): (row: UsageRow) => void {
  const { print } = context
  if (!print.json && !print.quiet) {
    return print.growingTable(usageColumns(context.calendar()), first)
  }
  const show = (row: UsageRow) =>
    print.json ? print.record(usageJson(row)) : print.out(row.requestId)
  for (const row of first) show(row)
  return show
}

/** The same choice as the store makes for a list. */
function matches(row: UsageRow, question: UsageQuestion): boolean {
  const { httpStatus, minCostMicro, rerouted } = question
  const isWanted = <T>(wanted: T | undefined, value: T | null) =>
    wanted === undefined || wanted === value
  return (
    isWanted(question.userId, row.userId) &&
    isWanted(question.keyId, row.keyId) &&
    isWanted(question.accountId, row.accountId) &&
    (question.model === undefined || matchesModel([question.model], row.model)) &&
    isWanted(question.stream, row.stream) &&
    (httpStatus === undefined || matchesStatus(httpStatus, row.httpStatus)) &&
    (minCostMicro === undefined || row.costMicro >= minCostMicro) &&
    (rerouted === undefined || row.attempts.length > 1 === rerouted) &&
    row.createdAtMs >= (question.sinceMs ?? 0) &&
    row.createdAtMs < (question.untilMs ?? Number.POSITIVE_INFINITY)
  )
}

function matchesStatus(wanted: string, httpStatus: number): boolean {
  return wanted.endsWith('xx')
    ? Math.floor(httpStatus / 100) === Number(wanted[0])
    : httpStatus === Number(wanted)
}

/** Says once when the gateway stops, and once when it is back. */
async function tellGateway(context: Context, wasUp: boolean): Promise<boolean> {
  const isUp = (await context.daemon()) !== null
  if (isUp !== wasUp) context.print.note(isUp ? 'The gateway is back.' : 'The gateway has stopped.')
  return isUp
}

function gatewayDown(): CliError {
  return new CliError({
    code: 'daemon_down',
    message: 'The gateway does not run: there is nothing to follow.',
    hint: 'What it did before: ccgate usage list. Start it: ccgate serve',
    exitCode: EXIT.daemon,
  })
}
