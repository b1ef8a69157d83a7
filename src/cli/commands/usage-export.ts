import { resolve } from 'node:path'
import { windowOf } from '../../core/calendar.ts'
import { formatUsdExact, type Micro } from '../../core/money.ts'
import type { Store, UsageRow, UsageSummaryRow } from '../../store/store.ts'
import type { Context } from '../context.ts'
import { CliError, EXIT, usageError } from '../errors.ts'
import { type Target, writeExport } from '../export-file.ts'
import {
  DAY_FORM,
  type ExportFormat,
  REQUEST_FORM,
  type RowForm,
  rowWriter,
} from '../export-rows.ts'
import { type Calendar, formatBytes, formatCount, formatMs } from '../format.ts'
import type { Invocation } from '../invocation.ts'
import { createProgress } from '../progress.ts'
import {
  DETAIL_FILTERS,
  noMatchText,
  readUsageFilter,
  type UsageQuestion,
} from '../usage-filter.ts'
import { orderRows } from '../usage-report.ts'
import { readCalendar } from './usage-summary.ts'

/** Rows read and written at a time: what an export needs in memory. */
const PAGE_ROWS = 500
const FORMATS: readonly ExportFormat[] = ['csv', 'json', 'ndjson']
const MONTH_BY = ['month'] as const
const DAY_BY = ['day', 'key'] as const

/** Rows that come piece by piece, and what they count for. */
interface Source<T> {
  readonly form: RowForm<T>
  readonly pages: AsyncIterable<readonly T[]>
  readonly requestsOf: (row: T) => number
}

interface Counts {
  rows: number
  requests: number
  costMicro: Micro
}

/** `ccgate usage export`: requests, oldest first, or sums by day, in constant memory. */
export async function exportUsage(context: Context, call: Invocation): Promise<void> {
  const detail = readChoice(call, 'detail', ['request', 'day'] as const) ?? 'request'
  const target = readTarget(context, call)
  const format = readChoice(call, 'format', FORMATS) ?? formatOf(context, target)
  const gzip = readGzip(context, call, target)
  const calendar = readCalendar(context, call)
  const question = await readUsageFilter(context, call, calendar)
  const store = await context.store('read')
  if (detail === 'day') refuseDetailFilters(call)
  const job = { context, call, format, gzip, target, question }
  if (detail === 'day') {
    const pages = dayPages(store, question, calendar)
    await run(job, { form: DAY_FORM, pages, requestsOf: (row) => row.requests })
  } else {
    const pages = requestPages(store, question)
    await run(job, { form: REQUEST_FORM, pages, requestsOf: () => 1 })
  }
}

interface Job {
  readonly context: Context
  readonly call: Invocation
  readonly format: ExportFormat
  readonly gzip: boolean
  readonly target: Target
  readonly question: UsageQuestion
}

async function run<T extends { readonly costMicro: Micro }>(
  job: Job,
  source: Source<T>,
): Promise<void> {
  const { context, target } = job
  const beganMs = context.terminal.nowMs()
  const counts: Counts = { rows: 0, requests: 0, costMicro: 0 }
  const stop = new AbortController()
  const onSignal = (signal: NodeJS.Signals) => stop.abort(signal)
  for (const signal of SIGNALS) process.once(signal, onSignal)
  let bytes: number | null
  try {
    bytes = await writeExport(await piecesOf(job, source, counts), target, {
      gzip: job.gzip,
      signal: stop.signal,
    })
  } catch (error) {
    throw stop.signal.aborted ? stopped(stop.signal.reason, target) : error
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal)
  }
  report(job, counts, { bytes, tookMs: context.terminal.nowMs() - beganMs })
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const

/** The text of the export, a page at a time, while progress is told and sums are kept. */
async function piecesOf<T extends { readonly costMicro: Micro }>(
  { context, format, question }: Job,
  { form, pages, requestsOf }: Source<T>,
  counts: Counts,
): Promise<AsyncIterable<string>> {
  const writer = rowWriter(format, form)
  const isTold = !context.print.quiet && !context.print.json
  const store = await context.store('read')
  const total = isTold ? (await store.listUsage({ ...question, limit: 1 })).total : 0
  const progress = createProgress(context, { verb: 'Exporting', total, unit: 'requests' })
  let bytes = 0
  return (async function* () {
    try {
      if (writer.head !== '') yield writer.head
      for await (const page of pages) {
        let text = ''
        for (const row of page) {
          text += writer.row(row, counts.rows)
          counts.rows += 1
          counts.requests += requestsOf(row)
          counts.costMicro += row.costMicro
        }
        bytes += text.length
        if (text !== '') yield text
        progress.update(counts.requests, bytes)
      }
      if (writer.tail !== '') yield writer.tail
    } finally {
      progress.end()
    }
  })()
}

async function* requestPages(
  store: Pick<Store, 'exportUsage'>,
  question: UsageQuestion,
): AsyncGenerator<readonly UsageRow[]> {
  let afterId: string | null = null
  for (;;) {
    const page: Awaited<ReturnType<Store['exportUsage']>> = await store.exportUsage(question, {
      limit: PAGE_ROWS,
      afterId,
    })
    yield page.rows
    if (!page.hasMore) return
    afterId = page.rows[page.rows.length - 1].requestId
  }
}

/** A month at a time: however far back the sums go, one month of them is in memory. */
async function* dayPages(
  store: Pick<Store, 'summarizeUsage'>,
  question: UsageQuestion,
  calendar: Calendar,
): AsyncGenerator<readonly UsageSummaryRow[]> {
  const timeZone = calendar.zone
  const { userId, keyId, accountId, model } = question
  const whose = { userId, keyId, accountId, model, timeZone }
  const { sinceMs = 0, untilMs = Number.MAX_SAFE_INTEGER } = question
  const given = { sinceMs: question.sinceMs, untilMs: question.untilMs }
  const months = await store.summarizeUsage({ ...whose, ...given, by: MONTH_BY })
  for (const { group } of orderRows(months, MONTH_BY)) {
    const [year, month] = group[0].split('-').map(Number)
    const window = windowOf('month', calendar.instant({ year, month, day: 1 }), timeZone)
    const rows = await store.summarizeUsage({
      ...whose,
      by: DAY_BY,
      sinceMs: Math.max(sinceMs, window.sinceMs),
      untilMs: Math.min(untilMs, window.untilMs),
    })
    yield orderRows(rows, DAY_BY)
  }
}

/** What was made: the result where it is a file, a remark where the rows themselves are on stdout. */
function report(
  { context, call, format, target, question }: Job,
  counts: Counts,
  end: { readonly bytes: number | null; readonly tookMs: number },
): void {
  const { print } = context
  const requests = counts.requests === 1 ? 'request' : 'requests'
  const sums = `${formatCount(counts.requests)} ${requests}, ${formatUsdExact(counts.costMicro)}`
  if (target.kind === 'stdout') print.note(`Wrote ${sums}.`)
  else if (print.json) {
    print.document({
      object: 'usage_export',
      file: target.path,
      format,
      rows: counts.rows,
      requests: counts.requests,
      cost_micro: counts.costMicro,
      bytes: end.bytes,
      duration_ms: end.tookMs,
    })
  } else if (print.quiet) print.out(target.path)
  else {
    const size = formatBytes(end.bytes ?? 0)
    print.out(`Wrote ${target.name}: ${sums} (${size} in ${formatMs(end.tookMs)}).`)
  }
  if (counts.rows === 0) print.note(noMatchText(context, call, question))
}

function stopped(signal: unknown, target: Target): CliError {
  const left = target.kind === 'file' ? `${target.name} was not written.` : 'The rest is missing.'
  return new CliError({
    code: 'interrupted',
    message: `Interrupted. ${left}`,
    hint: '',
    exitCode: signal === 'SIGTERM' ? EXIT.terminated : EXIT.interrupted,
  })
}

function readTarget({ terminal }: Context, call: Invocation): Target {
  const name = call.text('output') ?? '-'
  if (name === '') throw usageError('--output: a file name is missing.', 'Example: -o nov.csv')
  if (name !== '-') {
    const path = resolve(terminal.place.cwd, name)
    return { kind: 'file', path, name, force: call.flag('force') }
  }
  if (call.flag('gzip') && terminal.stdout.isTTY) {
    throw usageError(
      '--gzip: a terminal cannot show that.',
      'Write it to a file: --gzip -o usage.csv.gz',
      'bad_value',
    )
  }
  return { kind: 'stdout', stream: terminal.stdout }
}

/** A file's ending says what it holds; on stdout `--json` asks for rows as JSON. */
function formatOf({ print }: Context, target: Target): ExportFormat {
  if (target.kind === 'stdout') return print.json ? 'json' : 'csv'
  const ending = /\.(\w+)(\.gz)?$/.exec(target.name.toLowerCase())?.[1]
  return FORMATS.find((format) => format === ending) ?? 'csv'
}

function readGzip({ print }: Context, call: Invocation, target: Target): boolean {
  const isAsked = call.flag('gzip')
  if (target.kind === 'stdout') return isAsked
  const isNamed = target.name.toLowerCase().endsWith('.gz')
  if (isAsked && !isNamed)
    print.warn(`${target.name} will be compressed, and its name does not end with .gz.`)
  return isAsked || isNamed
}

function readChoice<T extends string>(
  call: Invocation,
  name: string,
  choices: readonly T[],
): T | null {
  const text = call.text(name)
  if (text === null) return null
  const known = choices.find((choice) => choice === text)
  if (known !== undefined) return known
  throw usageError(
    `--${name}: "${text}" is not possible.`,
    `Use ${choices.slice(0, -1).join(', ')} or ${choices[choices.length - 1]}.`,
    'bad_value',
  )
}

/** Sums by day know users, keys, accounts and models, nothing else of a request. */
function refuseDetailFilters(call: Invocation): void {
  const wrong = DETAIL_FILTERS.find((name) => call.text(name) !== null || call.flag(name))
  if (wrong === undefined) return
  throw usageError(
    `--detail day cannot be filtered by --${wrong}.`,
    'Leave it out, or export requests: --detail request',
    'bad_value',
  )
}
