import { formatUsd, formatUsdExact, formatUsdSmall } from '../../core/money.ts'
import { safeText, textWidth } from '../../core/text.ts'
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
        ` ${cell('TOP KEYS (1 h)', label)}${cell('REQ', 5, 'right')}${cell('SPEND', 9, 'right')}${cell('BALANCE', 10, 'right')}`,
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
            ` ${cell(withCode(problem, columns - at - 13), columns - at - 13)}`,
          )
    return beside(keyLine(model, i, { label, requests: 5, spend: 9, balance: 10 }), right, at)
  })
  return [head, ...body]
}

/** The error's code stands behind it where there is room for all of it. */
function withCode({ what, errorCode }: ProblemView, width: number): string {
  const full = errorCode === null ? what : `${what} ${errorCode}`
  return textWidth(full) <= width ? full : what
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
