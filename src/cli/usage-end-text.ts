// How a request and each of its tries ended, in words.
import type { OutcomeKind } from '../core/attempt-outcome.ts'
import { disconnectPolicyText } from '../core/disconnect-policy.ts'
import type { Attempt, DisconnectPolicy } from '../core/model.ts'
import { formatUsdFull } from '../core/money.ts'
import { isOutOfMoney, outcomeOf, wasKilled } from '../core/outcome.ts'
import type { UsageRow } from '../store/store.ts'
import { formatMs } from './format.ts'
import { labelled } from './labelled.ts'

const OUTCOMES: Readonly<Record<Exclude<OutcomeKind, 'ok'>, string>> = {
  client_fault: 'the request itself is at fault',
  rate_limited: 'rate limited',
  overloaded: 'overloaded',
  server_error: 'upstream failed',
  unreachable: 'no connection',
  unauthorized: 'the key of the account is not accepted',
  out_of_credit: 'the account has no credit upstream',
  forbidden: 'this account has no such model, or may not do that',
  disabled_upstream: 'the account is disabled upstream',
  abandoned: 'stopped by the gateway',
}

/** `overloaded`, `no connection`: what the outcome of a try means. */
export function shortOutcome(outcome: string): string {
  return Object.hasOwn(OUTCOMES, outcome) ? OUTCOMES[outcome as keyof typeof OUTCOMES] : outcome
}

/** `spare answered 529 (overloaded: overloaded_error) in 210 ms · upstream id req_1 · our list cost $0.00`. */
export function attemptText(row: UsageRow, attempt: Attempt): string {
  const name = row.accountNames[attempt.accountId] ?? attempt.accountId
  const did = { ok: '', abandoned: ' was asked' }[attempt.outcome] ?? ' failed'
  const answer = attempt.httpStatus === null ? did : ` answered ${attempt.httpStatus}`
  const meaning = attempt.outcome === 'ok' ? '' : ` (${meaningOf(row, attempt)})`
  const isFailed = attempt.outcome !== 'ok' && attempt.upstreamRequestId !== null
  const upstream = isFailed ? ` · upstream id ${attempt.upstreamRequestId}` : ''
  const cost =
    // Records of the first schema did not keep it.
    attempt.listCostMicro === undefined
      ? ''
      : ` · our list cost ${formatUsdFull(attempt.listCostMicro)}`
  return `${name}${answer}${meaning} in ${formatMs(attempt.durationMs)}${upstream}${cost}`
}

function meaningOf(row: UsageRow, { outcome, reason }: Attempt): string {
  if (outcome !== 'abandoned') {
    // Its status stands before it already.
    const detail = (reason ?? '').replace(/^\d{3} /, '').replace(/^no connection \((.*)\)$/, '$1')
    return detail === '' ? shortOutcome(outcome) : `${shortOutcome(outcome)}: ${detail}`
  }
  if (isOutOfMoney(row.errorCode)) return 'stopped: the money for it was used up'
  return outcomeOf(row) === 'left' ? 'stopped: the client had left' : shortOutcome(outcome)
}

/** How it ended, where that is not plain, and for whom. `policyNow`: that of the key as it is now. */
export function endLines(row: UsageRow, policyNow: DisconnectPolicy): readonly string[] {
  return [
    ...labelled('Error', errorTexts(row)),
    ...labelled('Left', row.onDisconnect === null ? [] : [leftText(row, policyNow)]),
    ...labelled('Joined', row.joinedRequestId === null ? [] : [joinedText(row.joinedRequestId)]),
    ...labelled(
      'Figures',
      row.source === 'exact' || row.source === 'none'
        ? []
        : [`${row.source}: the answer was cut before upstream's last count`],
    ),
    ...labelled(
      'Anomalies',
      row.anomalies === 0 ? [] : [`${row.anomalies} figures of upstream were unusable`],
    ),
    ...labelled(
      'Client',
      row.clientIp === null
        ? []
        : [`${row.clientIp}${row.clientAgent === null ? '' : ` · ${row.clientAgent}`}`],
    ),
  ]
}

/** Where the bill of a retry is that got another request's answer. */
export function joinedText(requestId: string): string {
  return `the answer and the bill are those of ${requestId}`
}

/** Codes whose words alone would not say enough; the code itself is in `docs/errors.md` and `docs/api.md`. */
const ERROR_WORDS: Readonly<Record<string, string>> = {
  insufficient_credit: 'not enough credit',
  key_spend_limit: 'the spend limit of the key was reached',
  key_rpm_exceeded: 'more requests per minute than the key may make',
  key_concurrency_exceeded: 'more requests at a time than the key may have',
  key_burn_rate_exceeded: 'the key spent more within a minute than it may',
  account_rpm_exceeded: 'no account that was asked had room',
  account_cap_reached: 'the accounts were at their cap',
  no_healthy_account: 'no account was healthy',
  bound_account_unavailable: 'the account that it is bound to could not serve',
  no_accounts_configured: 'there was no account',
  model_not_allowed: 'the key may not use that model',
  model_not_found: 'there is no such model',
  upstream_error: 'upstream failed, and no account that was tried could serve',
  upstream_timeout: 'upstream did not begin to answer in time',
  upstream_interrupted: 'the answer broke off upstream',
  internal_error: 'a fault in the gateway; its log says more',
  draining: 'the gateway was restarting',
  user_suspended: 'the user is suspended',
}
const UNPAID_WORDS: Readonly<Record<string, string>> = {
  insufficient_credit: 'the credit ended during the answer; what was delivered is charged',
  key_spend_limit:
    'the spend limit of the key was reached during the answer; what was delivered is charged',
}

function errorTexts(row: UsageRow): readonly string[] {
  const { errorCode } = row
  if (wasKilled(row)) return ['the gateway died while this ran; closed at its next start']
  if (errorCode === null) return []
  // After early pings a stream may end before anything of an answer was delivered.
  const hasDelivered = row.status === 'interrupted' && row.source !== 'none'
  const words = hasDelivered ? { ...ERROR_WORDS, ...UNPAID_WORDS } : ERROR_WORDS
  const text = Object.hasOwn(words, errorCode) ? words[errorCode] : errorCode.replaceAll('_', ' ')
  return [`${text} (${errorCode})`]
}

/** Only the kind of the policy is recorded; how far it went is that of today, and said to be. */
function leftText({ onDisconnect, status }: UsageRow, policyNow: DisconnectPolicy): string {
  if (onDisconnect === 'cancel') return 'the client left; the answer was cancelled upstream'
  if (status === 'complete') return 'the client left; the answer was read to its end'
  if (onDisconnect === 'finish')
    return 'the client left; the answer was read on for as long as it came'
  if (policyNow.kind !== 'finish_up_to')
    return 'the client left; the answer was read on for a while'
  const { ms, tokens } = policyNow
  const limits = [
    ...(ms === null ? [] : [`for ${formatMs(ms)}`]),
    ...(tokens === null ? [] : [`for ${tokens} tokens`]),
  ].join(' or ')
  return `the client left; the answer was read on ${limits} (on_disconnect is ${disconnectPolicyText(policyNow)})`
}
