import { formatUsd, formatUsdExact, formatUsdSmall } from '../../core/money.ts'
import { cutText, safeText, textWidth } from '../../core/text.ts'
import type { Model, ProblemView } from '../facts.ts'
import { formatCount, formatTime, formatTokens, zoneName } from '../format.ts'
import { BLANK, beside, cell, type Line, line, span } from '../lines.ts'
import type { View } from '../view.ts'

/** Top keys beside recent problems: a heading and `rows` rows. */
export function keysAndProblems(view: View, rows: number): Line[] {
  const { model, columns, zone } = view
  if (hasNoRequests(model)) return noRequests(model)
  const label = 18 + Math.min(12, columns - 80)
  const at = label + 30
  const head = beside(
    line(
      span(
        ` ${cell('TOP KEYS (1 h)', label)}${cell('REQ', 5, 'right')}${cell('SPEND', 10, 'right')}${cell('BALANCE', 10, 'right')}`,
        'bold',
      ),
    ),
    line(span(model.problems.length > 0 ? 'RECENT PROBLEMS' : '', 'bold')),
    at,
  )
  const body = Array.from({ length: rows }, (_, i) => {
    const problem = model.problems[i]
    const right =
      problem === undefined
        ? BLANK
        : line(
            span(`${formatTime(problem.atMs, zone)} `, 'dim'),
            span(cell(problem.status, 3), problem.recovered ? 'warn' : 'bad'),
            ` ${cell(withReason(problem, columns - at - 13), columns - at - 13)}`,
          )
    return beside(keyLine(model, i, { label, requests: 5, spend: 10, balance: 10 }), right, at)
  })
  return [head, ...body]
}

/** Who and why: the code where there is room for all of it, else a word or two, for which the name gives way. */
function withReason({ what, errorCode }: ProblemView, width: number): string {
  if (errorCode === null) return what
  const full = `${what} ${errorCode}`
  if (textWidth(full) <= width) return full
  const reason = SHORT_REASONS[errorCode] ?? errorCode.replaceAll('_', ' ')
  const room = Math.max(LEAST_NAME, width - textWidth(reason) - 1)
  return `${cutText(what, room, 'middle')} ${reason}`
}

/** So much of a name is kept in any case. */
const LEAST_NAME = 8

const SHORT_REASONS: Readonly<Record<string, string>> = {
  insufficient_credit: 'no credit',
  key_spend_limit: 'spend limit',
  key_rpm_exceeded: 'rate limit',
  key_concurrency_exceeded: 'parallel',
  key_burn_rate_exceeded: 'burn limit',
  account_rpm_exceeded: 'all limited',
  account_cap_reached: 'all capped',
  no_healthy_account: 'no account',
  bound_account_unavailable: 'no account',
  no_accounts_configured: 'no account',
  model_not_allowed: 'not allowed',
  model_not_found: 'no model',
  rate_limit_error: 'rate limit',
  rate_limited: 'rate limit',
  invalid_request_error: 'invalid',
  overloaded_error: 'overloaded',
  upstream_error: 'upstream',
  upstream_timeout: 'time-out',
  upstream_interrupted: 'broke off',
  internal_error: 'our fault',
}

function keyLine(
  { keys }: Model,
  index: number,
  widths: { label: number; requests: number; spend: number; balance: number },
): Line {
  const key = keys[index]
  if (key === undefined) return BLANK
  const { isLow } = key
  const balance = key.balanceMicro === null ? '–' : formatUsd(key.balanceMicro)
  return line(
    ` ${cell(key.label, widths.label)}`,
    cell(formatCount(key.requests), widths.requests, 'right'),
    cell(formatUsdSmall(key.costMicro), widths.spend, 'right'),
    span(
      cell(balance, widths.balance, 'right') + (isLow ? ' !' : '  '),
      isLow ? 'warn' : undefined,
    ),
  )
}

/** Nothing happened within the hour. */
export function hasNoRequests({ keys, problems, latest, daemon }: Model): boolean {
  return daemon.kind !== 'loading' && keys.length + problems.length + latest.length === 0
}

/** How to make the first request. */
export function noRequests({ daemon, today }: Model): Line[] {
  const url = daemon.boot?.publicUrl ?? ''
  const since = today !== null && today.requests > 0 ? 'in the last hour' : 'yet'
  return [
    line(` No requests ${since}. Try one (the key is made by: ccgate keys create USER):`),
    line(` curl ${safeText(url)}/v1/messages -H "x-api-key: cc_user_…" -d \\`),
    line(`   '{"model":"claude-haiku-4-5","max_tokens":64,`),
    line(`     "messages":[{"role":"user","content":"Hi"}]}'`),
  ]
}

/** Top keys beside models: a heading and `rows` rows. */
export function keysAndModels({ model, columns }: View, rows: number): Line[] {
  const at = 58
  const nameWidth = Math.min(columns - at - 38, 32)
  const head = beside(
    line(
      span(
        ` ${cell('TOP KEYS (1 h)', 23)}${cell('REQ', 5, 'right')}${cell('SPEND', 10, 'right')}${cell('BALANCE', 11, 'right')}`,
        'bold',
      ),
    ),
    line(
      span('│', 'dim'),
      span(
        ` ${cell('MODELS (1 h)', nameWidth)}${cell('REQ', 7, 'right')}${cell('IN→OUT', 15, 'right')}${cell('SPEND', 11, 'right')}`,
        'bold',
      ),
    ),
    at,
  )
  const body = Array.from({ length: rows }, (_, i) => {
    const each = model.models[i]
    const right =
      each === undefined
        ? line(span('│', 'dim'))
        : line(
            span('│', 'dim'),
            ` ${cell(each.name, nameWidth)}${cell(formatCount(each.requests), 7, 'right')}${cell(`${formatTokens(each.tokensIn)}→${formatTokens(each.tokensOut)}`, 15, 'right')}${cell(formatUsdSmall(each.costMicro), 11, 'right')}`,
          )
    return beside(keyLine(model, i, { label: 23, requests: 5, spend: 10, balance: 11 }), right, at)
  })
  return [head, ...body]
}

/** Columns of the newest requests; names get what a wider screen adds. */
function latestWidths(columns: number) {
  return { status: 11, key: 18 + Math.min(20, columns - 120), model: 19, account: 9, tokens: 13 }
}

/** The titles of the newest requests. */
export function latestHead({ columns, zone, nowMs }: View): Line {
  const width = latestWidths(columns)
  const middle = `${cell('IN→OUT', width.tokens)} ${cell('TTFT', 7, 'right')}`
  return line(
    span(
      ` ${cell(zoneName(nowMs, zone), 8)}  ${cell('STATUS', width.status)} ${cell('KEY', width.key)}${cell('MODEL', width.model)} ${cell('ACCOUNT', width.account)}${middle}  ${cell('COST', 10)}  ID`,
      'dim',
    ),
  )
}

/** The newest requests, those still running included. */
export function latest({ model, zone, columns }: View, rows: number): Line[] {
  const width = latestWidths(columns)
  return model.latest.slice(0, Math.max(0, rows)).map((row) => {
    const tokens =
      row.tokensIn === null
        ? ''
        : `${formatTokens(row.tokensIn)}→${formatTokens(row.tokensOut ?? 0)}${row.costMicro === null ? '…' : ''}${row.cacheRead ? ' c' : ''}`
    // A running request has no first byte noted yet; an answer in one piece never has one of its own.
    const none = row.costMicro === null ? '' : '–'
    const first = row.firstTokenMs === null ? none : `${(row.firstTokenMs / 1000).toFixed(2)} s`
    const middle =
      row.errorCode === null
        ? `${cell(tokens, width.tokens)} ${cell(first, 7, 'right')}`
        : cell(row.errorCode, width.tokens + 8)
    const cost = row.costMicro === null ? '…' : formatUsdExact(row.costMicro)
    return line(
      span(` ${formatTime(row.atMs, zone)}  `, 'dim'),
      span(
        cell(row.status, width.status),
        row.isError ? 'bad' : row.reroutedFrom === null ? 'ok' : 'warn',
      ),
      ` ${cell(row.key, width.key)}${cell(row.model, width.model)} ${cell(row.account ?? '–', width.account)}${middle}  ${cell(cost, 10)}  `,
      span(cell(`${row.requestId.slice(0, 12)}…`, 13), 'dim'),
      row.reroutedFrom === null ? '' : ` ↻${cell(row.reroutedFrom, 8)}`,
    )
  })
}
