import { maskKey } from '../../access/key.ts'
import { parseMoney } from '../../core/amount.ts'
import { formatUsdExact, type Micro } from '../../core/money.ts'
import { firstTokenOf, modelText, outcomeOf, statusText, wasKilled } from '../../core/outcome.ts'
import { safeText } from '../../core/text.ts'
import type { Receipt, ReceiptLine } from '../../core/usage.ts'
import type { PendingUsage, UsageFilter, UsageRow } from '../../store/store.ts'
import { type Context, expectFound } from '../context.ts'
import { CliError, EXIT, usageError } from '../errors.ts'
import { formatAgo, formatCount, formatMs } from '../format.ts'
import { accept, type Invocation } from '../invocation.ts'
import { notePage, pageRequest } from '../page.ts'
import type { Column } from '../print.ts'
import { listJson, pendingJson, usageJson } from '../records.ts'
import { readTime } from './keys.ts'

export async function showUsage(context: Context, call: Invocation): Promise<void> {
  const { print } = context
  const usage = await findUsage(context, call.arg(0))
  if (call.flag('raw')) return print.document(usage)
  if (usage.kind === 'pending') {
    return print.json ? print.document(pendingJson(usage)) : showPending(context, usage)
  }
  if (print.json) return print.document(usageJson(usage))
  if (print.quiet) return print.out(String(usage.costMicro))
  for (const line of usageLines(context, usage)) print.out(line)
}

/** By `ccr_…`, a unique prefix of it, or Anthropic's `req_…`. */
async function findUsage(context: Context, ref: string): Promise<UsageRow | PendingUsage> {
  const store = await context.store('read')
  if (ref.startsWith('req_')) {
    const row = await store.findUsageByUpstreamId(ref)
    if (row !== null) return row
  } else {
    const exact = await store.getUsage(ref)
    if (exact !== null) return exact
    if (/^ccr_[0-9a-z]{8,}$/.test(ref)) {
      const ids = await store.findUsageIds(ref)
      if (ids.length > 1) {
        throw usageError(
          `"${ref}" means more than one request.`,
          `Say which: ${ids.slice(0, 5).join(', ')}`,
          'ambiguous',
        )
      }
      const only = ids.length === 1 ? await store.getUsage(ids[0]) : null
      if (only !== null) return only
    }
  }
  throw new CliError({
    code: 'request_not_found',
    message: `There is no request "${ref}".`,
    hint: 'Ids look like ccr_… and are in the X-CC-Request-Id header. The latest: ccgate usage list',
    exitCode: EXIT.notFound,
  })
}

function showPending(context: Context, pending: PendingUsage): void {
  const { print, nowMs } = context
  const { hold } = pending
  print.out(
    `${hold.requestId}    still running${hold.stream ? ' · streamed' : ''} · began ${formatAgo(hold.openedAtMs, nowMs)}`,
  )
  print.out(`Key        ${pending.keyName}     Model  ${safeText(hold.model)}`)
  print.out(`Reserved   ${formatUsdExact(hold.amountMicro)}`)
}

function usageLines(context: Context, row: UsageRow): readonly string[] {
  const { print, nowMs } = context
  const status = `${statusText(row)}${row.status === 'rejected' ? ' rejected' : ''}`
  const stamp = context.calendar().stamp(row.createdAtMs, nowMs)
  const seconds = context.calendar().second(row.createdAtMs).slice(-3)
  const lines = [
    `${row.requestId}    ${[status, ...(row.stream ? ['streamed'] : []), `${stamp}${seconds}`].join(' · ')}`,
    `Key        ${row.userName}/${row.keyName} (${maskKey(row.keyLast4)})     API  ${row.dialect === 'anthropic' ? 'messages' : row.dialect}     Model  ${modelsText(row)}`,
  ]
  const account = accountText(row)
  const upstream = row.upstreamRequestId === null ? '' : `   Upstream id  ${row.upstreamRequestId}`
  if (account !== '') lines.push(`Account    ${account}${upstream}`)
  const firstMs = firstTokenOf(row)
  const begin = firstMs === null ? '' : `first token ${formatMs(firstMs)} · `
  lines.push(
    `Time       ${begin}total ${formatMs(row.durationMs)} · gateway ${(row.gatewayUs / 1000).toFixed(1)} ms`,
  )
  const { tokens } = row
  lines.push(
    `Tokens     input ${formatCount(tokens.input)} · cache write 5m ${formatCount(tokens.cacheWrite5m)} · 1h ${formatCount(tokens.cacheWrite1h)} · cache read ${formatCount(tokens.cacheRead)} · output ${formatCount(tokens.output)}`,
  )
  lines.push(`Cost       ${costText(row)}`)
  if (wasKilled(row))
    lines.push('Error      the gateway died while this ran; closed at its next start')
  else if (row.errorCode !== null) lines.push(`Error      ${row.errorCode}`)
  if (row.source !== 'exact' && row.source !== 'none')
    lines.push(`Figures    ${row.source}: the answer was cut before upstream's last count`)
  if (row.anomalies > 0) lines.push(`Anomalies  ${row.anomalies} figures of upstream were unusable`)
  if (row.holdMicro > 0) {
    const balance =
      row.balanceAfterMicro === null
        ? ''
        : ` · balance after ${formatUsdExact(row.balanceAfterMicro)}`
    lines.push(
      `Billing    reserved ${formatUsdExact(row.holdMicro)}, charged ${formatUsdExact(row.costMicro)}${balance}`,
    )
  }
  if (row.clientIp !== null)
    lines.push(
      `Client     ${row.clientIp}${row.clientAgent === null ? '' : ` · ${row.clientAgent}`}`,
    )
  // Everything above may hold words of clients and upstream; our own colours come last.
  const [first, ...rest] = lines.map(safeText)
  return [print.style('heading', first), ...rest]
}

function modelsText(row: UsageRow): string {
  return row.responseModel === null || row.responseModel === row.model
    ? modelText(row)
    : `${row.model} (answered by ${row.responseModel})`
}

/** `main, after spare answered 529`. */
function accountText(row: UsageRow): string {
  const name = (id: string) => row.accountNames[id] ?? id
  const earlier = row.attempts
    .slice(0, -1)
    .map(
      (attempt) =>
        `${name(attempt.accountId)} ${attempt.httpStatus === null ? attempt.outcome : `answered ${attempt.httpStatus}`}`,
    )
  const last =
    row.accountName ??
    (row.attempts.length > 0 ? name(row.attempts[row.attempts.length - 1].accountId) : '')
  return earlier.length === 0 ? last : `${last}, after ${earlier.join(', ')}`
}

/** `input $0.023712 + output $0.005655 = $0.029367`: the receipt's own arithmetic. */
function costText(row: UsageRow): string {
  if (row.receipt === null) return formatUsdExact(row.costMicro)
  return `${receiptTerms(row.receipt).join(' + ') || 'nothing'} = ${formatUsdExact(row.costMicro)}`
}

function receiptTerms(receipt: Receipt): readonly string[] {
  const priced = receipt.lines.filter((line) => line.note !== 'declined_before_output')
  const byRatio = Map.groupBy(priced, (line) => (line.ratio ?? receipt.ratio).join('/'))
  const terms = [...byRatio].flatMap(([ratio, lines]) => {
    const plain = classTerms(lines)
    const [numerator, denominator] = ratio.split('/')
    if (numerator === denominator || plain.length === 0) return plain
    return [`(${plain.join(' + ')}) × ${ratio}`]
  })
  return receipt.feesMicro > 0 ? [...terms, `fees ${formatUsdExact(receipt.feesMicro)}`] : terms
}

const CLASSES = [
  ['input', 'input'],
  ['cacheWrite5m', 'cache write 5m'],
  ['cacheWrite1h', 'cache write 1h'],
  ['cacheRead', 'cache read'],
  ['output', 'output'],
] as const

function classTerms(lines: readonly ReceiptLine[]): readonly string[] {
  return CLASSES.flatMap(([name, label]) => {
    // Sums of tokens x rate in millionths of a micro-dollar, so that nothing is rounded here.
    let parts = 0n
    for (const line of lines) parts += BigInt(line.tokens[name]) * BigInt(line.rates[name])
    return parts > 0n ? [`${label} ${exactDollars(parts)}`] : []
  })
}

/** Millionths of a micro-dollar with as many decimals as they need, six at least. */
function exactDollars(parts: bigint): string {
  const text = parts.toString().padStart(13, '0')
  const decimals = text.slice(-12)
  const extra = decimals.slice(6).replace(/0+$/, '')
  return `$${formatCount(Number(text.slice(0, -12)))}.${decimals.slice(0, 6)}${extra}`
}

export async function listUsage(context: Context, call: Invocation): Promise<void> {
  const { print, nowMs } = context
  const request = pageRequest(call)
  const httpStatus = call.text('status') ?? undefined
  if (httpStatus !== undefined && !/^[1-5](\d\d|xx)$/.test(httpStatus)) {
    throw usageError(
      `--status: "${httpStatus}" is not possible.`,
      'Example: 429 or 2xx',
      'bad_value',
    )
  }
  const minCost = call.text('min-cost')
  const store = await context.store('read')
  const id = async <T extends { readonly id: string }>(
    what: 'user' | 'key' | 'account',
    find: (ref: string) => Promise<import('../../store/store.ts').Found<T>>,
  ) => {
    const ref = call.text(what)
    return ref === null ? undefined : expectFound(await find(ref), what, ref).id
  }
  const filter: UsageFilter = {
    sinceMs: readTime(context, call, 'since', 'past') ?? undefined,
    untilMs: readTime(context, call, 'until', 'past') ?? undefined,
    userId: await id('user', (ref) => store.findUser(ref)),
    keyId: await id('key', (ref) => store.findKey(ref)),
    accountId: await id('account', (ref) => store.findAccount(ref)),
    model: call.text('model') ?? undefined,
    httpStatus,
    stream: call.flag('stream') || undefined,
    minCostMicro: minCost === null ? undefined : accept(parseMoney(minCost), '--min-cost'),
    rerouted: call.flag('rerouted') || undefined,
    limit: request.limit,
    afterId: request.after ?? undefined,
  }
  const page = await store.listUsage(filter)
  const nextAfter = page.hasMore ? (page.rows.at(-1)?.requestId ?? null) : null
  if (print.json)
    return print.document(listJson(page.rows.map(usageJson), { hasMore: page.hasMore, nextAfter }))
  if (print.quiet) return print.outAll(page.rows.map((row) => row.requestId))
  if (page.rows.length === 0) {
    const filters = ['user', 'key', 'account', 'model', 'status'].flatMap((name) =>
      call.text(name) === null ? [] : [`${name}=${call.text(name)}`],
    )
    const since =
      filter.sinceMs === undefined
        ? ''
        : ` since ${context.calendar().stamp(filter.sinceMs, nowMs)}`
    return print.note(
      `No requests${since} match.${filters.length > 0 ? ` Check filters: ${filters.join(' ')}.` : ''}`,
    )
  }
  print.table(usageColumns(context), page.rows)
  notePage(context, { shown: page.rows.length, total: page.total, nextAfter })
}

const ROLES = { ok: 'ok', left: 'warn', refused: 'warn', failed: 'bad' } as const

function usageColumns(context: Context): readonly Column<UsageRow>[] {
  const calendar = context.calendar()
  const tokens = (row: UsageRow, count: number) => (row.receipt === null ? '–' : formatCount(count))
  const allInput = (row: UsageRow) =>
    row.tokens.input + row.tokens.cacheRead + row.tokens.cacheWrite5m + row.tokens.cacheWrite1h
  const cost = (micro: Micro) => formatUsdExact(micro)
  return [
    {
      header: calendar.zone === 'UTC' ? 'TIME (UTC)' : 'TIME',
      cell: (row) => calendar.second(row.createdAtMs),
    },
    {
      header: 'STATUS',
      cell: (row) => `${statusText(row)}${row.attempts.length > 1 ? ' ↻' : ''}`,
      role: (row) => ROLES[outcomeOf(row)],
    },
    { header: 'KEY', cell: (row) => `${row.userName}/${row.keyName}`, dropOrder: 2, mayCut: true },
    { header: 'MODEL', cell: modelText, dropOrder: 3, mayCut: true },
    { header: 'ACCOUNT', cell: (row) => row.accountName ?? '–', dropOrder: 4, mayCut: true },
    { header: 'IN', cell: (row) => tokens(row, allInput(row)), align: 'right', dropOrder: 5 },
    { header: 'OUT', cell: (row) => tokens(row, row.tokens.output), align: 'right', dropOrder: 5 },
    { header: 'COST', cell: (row) => cost(row.costMicro), align: 'right' },
    { header: 'ID', cell: (row) => row.requestId, dropOrder: 1 },
  ]
}
