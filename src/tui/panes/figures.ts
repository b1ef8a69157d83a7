import { formatUsdSmall } from '../../core/money.ts'
import { sparkline } from '../../core/spark.ts'
import type { Model } from '../facts.ts'
import { formatCount, formatMs, formatShare, formatTokens } from '../format.ts'
import { BLANK, cell, chart, type Line, line, type Part, span } from '../lines.ts'
import { tokensIn } from '../traffic.ts'
import type { View } from '../view.ts'

/** Rates and today on the usual screen: five lines. */
export function figures({ model, columns }: View): Line[] {
  const { rates, today } = model
  const minutes = columns >= 110 ? 60 : 30
  const ms = (values: readonly number[] | null | undefined, i: number, unit: number) =>
    cell(values ? formatMs(values[i] / unit) : '–', 6)
  return [
    line(
      ...figure('Requests/min', rates ? formatCount(rates.requestsPerMinute) : '–', 7),
      spark(rates?.requests, minutes),
      `  peak ${rates ? formatCount(Math.max(...rates.requests.slice(-minutes))) : '–'}   (${minutes} min)`,
    ),
    line(
      ...figure('Errors', formatShare(rates?.errorShare ?? null), 7),
      spark(rates?.errors, minutes),
      '  ',
      span(statusCounts(model, 2), 'warn'),
    ),
    line(
      ...figure('Overhead', '', 0),
      `p50 ${ms(rates?.gatewayUs, 0, 1000)}  p99 ${ms(rates?.gatewayUs, 2, 1000)}   `,
      span('First token', 'bold'),
      ` p50 ${ms(rates?.firstByteMs, 0, 1)}    `,
      span('In flight', 'bold'),
      ` ${rates?.inFlight ?? '–'}`,
    ),
    line(
      ...figure('Today', '', 0),
      today === null
        ? '–'
        : `${formatUsdSmall(today.costMicro)}   ${formatCount(today.requests)} req   in ${formatTokens(tokensIn(today))}  out ${formatTokens(today.tokens.output)}   cache hit ${wholeShare(today.cacheHit)}`,
    ),
    BLANK,
  ]
}

/** Rates, spend and today on a big screen: six lines. */
export function wideFigures({ model }: View): Line[] {
  const { rates, today } = model
  const ms = (values: readonly number[] | null | undefined, i: number, unit: number) =>
    cell(values ? formatMs(values[i] / unit) : '–', 6)
  const peak = rates ? formatCount(rates.peak) : '–'
  return [
    line(
      ...figure('Requests/min', rates ? formatCount(rates.requestsPerMinute) : '–', 7),
      ' ',
      spark(rates?.requests, 60),
      `   peak ${peak}   last 60 min`,
    ),
    line(
      ...figure('Errors', formatShare(rates?.errorShare ?? null), 7),
      ' ',
      spark(rates?.errors, 60),
      '   ',
      span(statusCounts(model, 5), 'warn'),
    ),
    line(
      ...figure('Spend/hour', rates ? formatUsdSmall(rates.spendLastHourMicro) : '–', 9),
      ' ',
      spark(rates?.spendMicro, 60),
      `   today ${today === null ? '–' : formatUsdSmall(today.costMicro)}`,
    ),
    BLANK,
    line(
      span(' Overhead', 'bold'),
      `  p50 ${ms(rates?.gatewayUs, 0, 1000)}  p95 ${ms(rates?.gatewayUs, 1, 1000)}  p99 ${ms(rates?.gatewayUs, 2, 1000)} │ `,
      span('First token', 'bold'),
      `  p50 ${ms(rates?.firstByteMs, 0, 1)}  p99 ${ms(rates?.firstByteMs, 2, 1)} │ `,
      span('In flight', 'bold'),
      ` ${rates?.inFlight ?? '–'}   streams ${rates?.streaming ?? '–'}`,
    ),
    line(
      span(' Today', 'bold'),
      today === null
        ? '     –'
        : `     ${formatCount(today.requests)} requests · in ${formatTokens(today.tokens.input)} · out ${formatTokens(today.tokens.output)} · cache write ${formatTokens(today.tokens.cacheWrite5m + today.tokens.cacheWrite1h)} · cache read ${formatTokens(today.tokens.cacheRead)} (hit ${wholeShare(today.cacheHit)})`,
    ),
  ]
}

function figure(label: string, value: string, width: number): Part[] {
  const pad = width === 0 ? 11 : 19 - width
  return [
    span(` ${cell(label, pad)}`, 'bold'),
    width === 0 ? '' : cell(value, width, 'right'),
    width === 0 ? '' : '  ',
  ]
}

function spark(values: readonly number[] | undefined, minutes: number) {
  return chart(
    values === undefined ? ' '.repeat(minutes) : sparkline(values.slice(-minutes)),
    'accent',
  )
}

function statusCounts({ rates }: Model, limit: number): string {
  if (rates === null) return ''
  const failed = rates.statuses.slice(0, limit).map(([label, count]) => `${label}×${count}`)
  const refused = rates.refused === 0 ? [] : [`refused ${formatCount(rates.refused)}`]
  return [...failed, ...refused].join('  ')
}

function wholeShare(share: number | null): string {
  return share === null ? '–' : `${Math.floor(share * 100)}%`
}
