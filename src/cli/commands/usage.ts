import { maskKey } from '../../access/key.ts'
import type { Attempt, HoldStep } from '../../core/model.ts'
import { formatUsdExact, formatUsdFull } from '../../core/money.ts'
import { firstTokenOf, modelText, statusText, wasKilled } from '../../core/outcome.ts'
import { safeText } from '../../core/text.ts'
import type { PendingUsage, UsageRow } from '../../store/store.ts'
import type { Context } from '../context.ts'
import { CliError, EXIT, usageError } from '../errors.ts'
import { formatAgo, formatCount, formatMs } from '../format.ts'
import type { Invocation } from '../invocation.ts'
import { costText, priceTexts } from '../receipt-text.ts'
import { routingLines } from '../routing-text.ts'
import { pendingJson, usageJson } from '../usage-json.ts'

/** `ccgate usage show`: the receipt of one request. */
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
  const lines = [
    ...identityLines(context, row),
    ...moneyLines(context, row),
    ...attemptLines(row),
    ...choiceLines(row),
    ...endLines(row),
  ]
  // All of it may hold words of clients and upstream; our own colours come last.
  const [first, ...rest] = lines.map(safeText)
  return [context.print.style('heading', first), ...rest]
}

/** Who asked for what, when, and who answered. */
function identityLines(context: Context, row: UsageRow): readonly string[] {
  const status = `${statusText(row)}${row.status === 'rejected' ? ' rejected' : ''}`
  const stamp = context.calendar().stamp(row.createdAtMs, context.nowMs)
  const seconds = context.calendar().second(row.createdAtMs).slice(-3)
  const account = accountText(row)
  const upstream = row.upstreamRequestId === null ? '' : `   Upstream id  ${row.upstreamRequestId}`
  const firstMs = firstTokenOf(row)
  const begin = firstMs === null ? '' : `first token ${formatMs(firstMs)} · `
  return [
    `${row.requestId}    ${[status, ...(row.stream ? ['streamed'] : []), `${stamp}${seconds}`].join(' · ')}`,
    `Key        ${row.userName}/${row.keyName} (${maskKey(row.keyLast4)})     API  ${row.dialect === 'anthropic' ? 'messages' : row.dialect}     Model  ${modelsText(row)}`,
    ...(account === '' ? [] : [`Account    ${account}${upstream}`]),
    `Time       ${begin}total ${formatMs(row.durationMs)} · gateway ${(row.gatewayUs / 1000).toFixed(1)} ms`,
  ]
}

/** Tokens, the arithmetic of the cost, and what became of the hold and the balance. */
function moneyLines(context: Context, row: UsageRow): readonly string[] {
  const { tokens, receipt } = row
  const lines = [
    `Tokens     input ${formatCount(tokens.input)} · cache write 5m ${formatCount(tokens.cacheWrite5m)} · 1h ${formatCount(tokens.cacheWrite1h)} · cache read ${formatCount(tokens.cacheRead)} · output ${formatCount(tokens.output)}`,
    `Cost       ${costText(receipt, row.costMicro)}`,
  ]
  if (receipt !== null) {
    lines.push(`Prices     ${receipt.priceVersion}, per million tokens`)
    for (const text of priceTexts(receipt)) lines.push(`           ${text}`)
  }
  if (row.holdMicro > 0) {
    const balance =
      row.balanceAfterMicro === null
        ? ''
        : ` · balance after ${formatUsdExact(row.balanceAfterMicro)}`
    lines.push(
      `Billing    reserved ${formatUsdExact(row.holdMicro)}, charged ${formatUsdExact(row.costMicro)}${balance}`,
    )
  }
  if (row.holdSteps.length > 0) lines.push(`Hold       ${row.holdSteps.map(stepText).join(' · ')}`)
  for (const refund of row.refunds) {
    const note = refund.note === null ? '' : ` · ${refund.note}`
    const stamp = context.calendar().stamp(refund.createdAtMs, context.nowMs)
    lines.push(`Refund     ${formatUsdExact(refund.amountMicro)} · ${stamp} · ${refund.id}${note}`)
  }
  return lines
}

/** `opened $0.080000 at 3 ms`. */
function stepText({ kind, amountMicro, afterMs }: HoldStep): string {
  const to = kind === 'opened' ? 'with' : kind === 'refused' ? 'to extend to' : 'to'
  return `${kind} ${to} ${formatUsdExact(amountMicro)} at ${formatMs(afterMs)}`
}

/** One line per try; a single one that went well and cost what the request cost is not worth one. */
function attemptLines(row: UsageRow): readonly string[] {
  const listMicro = row.receipt?.listCostMicro ?? row.costMicro
  const [only] = row.attempts
  const isPlain = row.attempts.length === 1 && (only.listCostMicro ?? listMicro) === listMicro
  if (row.attempts.length === 0 || (isPlain && listMicro === row.costMicro)) return []
  return row.attempts.map(
    (attempt, i) => `${i === 0 ? 'Attempts   ' : '           '}${attemptText(row, attempt)}`,
  )
}

/** Why it went where it went; one account that was there alone explains itself. */
function choiceLines(row: UsageRow): readonly string[] {
  const { trail } = row
  if (trail.every(({ candidates, others }) => candidates.length + others < 2)) return []
  const lines = routingLines(trail, (id) => row.accountNames[id] ?? id)
  return lines.map((line, i) => `${i === 0 ? 'Routing    ' : '           '}${line}`)
}

/** `spare answered 529 (overloaded) in 210 ms · our list cost $0.00`. */
function attemptText(row: UsageRow, attempt: Attempt): string {
  const name = row.accountNames[attempt.accountId] ?? attempt.accountId
  const answer = attempt.httpStatus === null ? '' : ` answered ${attempt.httpStatus}`
  const cost =
    // Records of the first schema did not keep it.
    attempt.listCostMicro === undefined
      ? ''
      : ` · our list cost ${attempt.listCostMicro === 0 ? '$0.00' : formatUsdFull(attempt.listCostMicro)}`
  return `${name}${answer} (${attempt.outcome}) in ${formatMs(attempt.durationMs)}${cost}`
}

/** How it ended, where that is not plain, and for whom. */
function endLines(row: UsageRow): readonly string[] {
  const lines: string[] = []
  if (wasKilled(row))
    lines.push('Error      the gateway died while this ran; closed at its next start')
  else if (row.errorCode !== null) lines.push(`Error      ${row.errorCode}`)
  if (row.onDisconnect !== null)
    lines.push(`Left       the client went away; on_disconnect ${row.onDisconnect} applied`)
  if (row.joinedRequestId !== null)
    lines.push(`Joined     the answer and the bill are those of ${row.joinedRequestId}`)
  if (row.source !== 'exact' && row.source !== 'none')
    lines.push(`Figures    ${row.source}: the answer was cut before upstream's last count`)
  if (row.anomalies > 0) lines.push(`Anomalies  ${row.anomalies} figures of upstream were unusable`)
  if (row.clientIp !== null)
    lines.push(
      `Client     ${row.clientIp}${row.clientAgent === null ? '' : ` · ${row.clientAgent}`}`,
    )
  return lines
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
