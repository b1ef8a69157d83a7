// A finished request for people: who asked, what it cost and why, how it ended.
import { maskKey } from '../access/key.ts'
import type { DisconnectPolicy, HoldStep } from '../core/model.ts'
import { formatUsdFull } from '../core/money.ts'
import { firstTokenOf, modelText, statusText } from '../core/outcome.ts'
import { safeText } from '../core/text.ts'
import type { UsageRow } from '../store/store.ts'
import { formatCount, formatMs } from './format.ts'
import { type Clock, labelled } from './labelled.ts'
import { costText, priceTexts } from './receipt-text.ts'
import { isWorthTelling, routingLines } from './routing-text.ts'
import { attemptText, endLines, shortOutcome } from './usage-end-text.ts'

/** What people call the APIs that records name. */
const API_NAMES: Readonly<Record<string, string>> = {
  anthropic: 'messages',
  'openai-chat': 'chat completions',
  'openai-responses': 'responses',
}

/** What a receipt is shown with: whose clock, and the `on_disconnect` that is in force for its key now. */
export interface ShownWith extends Clock {
  readonly onDisconnect: DisconnectPolicy
}

/** The lines of `usage show`; the first is the heading. Words of clients and upstream are made safe. */
export function usageLines(row: UsageRow, shown: ShownWith): readonly string[] {
  return [
    ...identityLines(row, shown),
    ...moneyLines(row, shown),
    ...labelled('Attempts', attemptTexts(row)),
    ...labelled('Routing', routingTexts(row)),
    ...endLines(row, shown.onDisconnect),
  ].map(safeText)
}

/** Who asked for what, when, and who answered. */
function identityLines(row: UsageRow, { calendar, nowMs }: Clock): readonly string[] {
  const status = `${statusText(row)}${row.status === 'rejected' ? ' rejected' : ''}`
  const stamp = calendar.stamp(row.createdAtMs, nowMs)
  const seconds = calendar.second(row.createdAtMs).slice(-3)
  const account = accountText(row)
  const upstream = row.upstreamRequestId === null ? '' : `   Upstream id  ${row.upstreamRequestId}`
  const firstMs = firstTokenOf(row)
  const times = [
    ...(firstMs === null ? [] : [`first token ${formatMs(firstMs)}`]),
    `total ${formatMs(row.durationMs)}`,
    // A retry that joined waited for the other's answer: that is no time of the gateway.
    ...(row.joinedRequestId === null ? gatewayTexts(row) : []),
  ]
  return [
    `${row.requestId}    ${[status, ...(row.stream ? ['streamed'] : []), `${stamp}${seconds}`].join(' · ')}`,
    ...labelled('Key', [
      `${row.userName}/${row.keyName} (${maskKey(row.keyLast4)})     API  ${API_NAMES[row.dialect] ?? row.dialect}     Model  ${modelsText(row)}`,
    ]),
    ...labelled('Account', account === '' ? [] : [`${account}${upstream}`]),
    ...labelled('Time', [times.join(' · ')]),
  ]
}

/** How long the request stood in line for accounts, and the gateway's own time until the first try left. */
function gatewayTexts({ gatewayUs, trail }: UsageRow): readonly string[] {
  const lineMs = trail.reduce((sum, { waitedMs }) => sum + waitedMs, 0)
  const own = `gateway ${(gatewayUs / 1000).toFixed(1)} ms`
  return lineMs < 1 ? [own] : [`in line ${formatMs(lineMs)}`, own]
}

/** Tokens, the arithmetic of the cost, and what became of the hold and the balance. */
function moneyLines(row: UsageRow, { calendar, nowMs }: Clock): readonly string[] {
  const { tokens, receipt } = row
  const balance =
    row.balanceAfterMicro === null ? '' : ` · balance after ${formatUsdFull(row.balanceAfterMicro)}`
  const billing = `reserved ${formatUsdFull(row.holdMicro)}, charged ${formatUsdFull(row.costMicro)}${balance}`
  const prices =
    receipt === null ? [] : [`${receipt.priceVersion}, per million tokens`, ...priceTexts(receipt)]
  return [
    ...labelled('Tokens', [
      `input ${formatCount(tokens.input)} · cache write 5m ${formatCount(tokens.cacheWrite5m)} · 1h ${formatCount(tokens.cacheWrite1h)} · cache read ${formatCount(tokens.cacheRead)} · output ${formatCount(tokens.output)}`,
    ]),
    ...labelled('Cost', [costText(receipt, row.costMicro)]),
    ...labelled('Prices', prices),
    ...labelled('Billing', row.holdMicro > 0 ? [billing] : []),
    ...labelled('Hold', row.holdSteps.map(stepText)),
    ...row.refunds.flatMap(({ amountMicro, createdAtMs, id, note }) => {
      const parts = [formatUsdFull(amountMicro), calendar.stamp(createdAtMs, nowMs), id]
      return labelled('Refund', [[...parts, ...(note === null ? [] : [note])].join(' · ')])
    }),
  ]
}

/** `opened with $0.08 at 3 ms`. */
function stepText({ kind, amountMicro, afterMs, thinRiskMicro }: HoldStep): string {
  const to = kind === 'opened' ? 'with' : kind === 'refused' ? 'to extend to' : 'to'
  const step = `${kind} ${to} ${formatUsdFull(amountMicro)} at ${formatMs(afterMs)}`
  return thinRiskMicro === undefined
    ? step
    : `${step}, thin: ${formatUsdFull(thinRiskMicro)} more was possible if the cache had been cold`
}

/** One line per try; a single one that did not fail and cost what the request cost is not worth one. */
function attemptTexts(row: UsageRow): readonly string[] {
  const listMicro = row.receipt?.listCostMicro ?? row.costMicro
  const [only] = row.attempts
  const isPlain = row.attempts.length === 1 && (only.listCostMicro ?? listMicro) === listMicro
  const isFailed = row.attempts.some(({ outcome }) => outcome !== 'ok' && outcome !== 'abandoned')
  if (isPlain && !isFailed && listMicro === row.costMicro) return []
  return row.attempts.map((attempt) => attemptText(row, attempt))
}

/** Why it went where it went; one account that was there alone explains itself. */
function routingTexts({ trail, accountNames }: UsageRow): readonly string[] {
  if (!isWorthTelling(trail)) return []
  return routingLines(trail, (id) => accountNames[id] ?? id)
}

function modelsText(row: UsageRow): string {
  return row.responseModel === null || row.responseModel === row.model
    ? modelText(row)
    : `${row.model} (answered by ${row.responseModel})`
}

/** `main, after spare answered 529`. */
function accountText(row: UsageRow): string {
  const name = (id: string) => row.accountNames[id] ?? id
  const failures = row.attempts
    .slice(0, -1)
    .map(({ accountId, httpStatus, outcome }) =>
      httpStatus === null
        ? `${name(accountId)}: ${shortOutcome(outcome)}`
        : `${name(accountId)} answered ${httpStatus}`,
    )
  const earlier = [...new Set(failures)].map((text) => {
    const times = failures.filter((one) => one === text).length
    return times === 1 ? text : `${text} ${times === 2 ? 'twice' : `${times} times`}`
  })
  const last =
    row.accountName ??
    (row.attempts.length > 0 ? name(row.attempts[row.attempts.length - 1].accountId) : '')
  return earlier.length === 0 ? last : `${last}, after ${earlier.join(', ')}`
}
