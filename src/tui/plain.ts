import { accountNote, formatLeft } from '../core/account-state.ts'
import { formatUsdSmall } from '../core/money.ts'
import { sparkline } from '../core/spark.ts'
import { keepWhole, safeText, wrapText } from '../core/text.ts'
import type { Model } from './facts.ts'
import {
  formatAgo,
  formatCount,
  formatMs,
  formatShare,
  formatTime,
  formatUptime,
} from './format.ts'

/** Columns before the facts. */
const LABEL_WIDTH = 12

/** One block of plain text, broken between words at `columns`: `ccgate monitor --once`, and what a monitor without a terminal prints. */
export function statusBlock(
  model: Model,
  {
    nowMs,
    zone,
    columns = Number.POSITIVE_INFINITY,
  }: { readonly nowMs: number; readonly zone: string; readonly columns?: number },
): string {
  const rows: [label: string, text: string][] = [
    ['Accounts', accountsText(model, nowMs)],
    ['Traffic', trafficText(model)],
    ['Today', todayText(model)],
  ]
  if (model.warnings.length > 0) {
    const texts = model.warnings.map(({ text, command }) =>
      command === null ? text : `${text}: ${command}`,
    )
    for (const [i, text] of texts.entries()) rows.push([i === 0 ? 'Attention' : '', text])
  }
  const lines = [
    daemonText(model, nowMs, zone),
    ...rows.map(([label, text]) => label.padEnd(LABEL_WIDTH) + text),
  ]
  return lines
    .flatMap((line) => wrapText(keepWhole(safeText(line).trimEnd()), columns, LABEL_WIDTH))
    .map((line) => `${line}\n`)
    .join('')
}

function daemonText({ daemon: { kind, boot } }: Model, nowMs: number, zone: string): string {
  if (kind === 'loading') return '– the database was not read yet'
  if (boot === null) return '✕ the gateway has never run on this database. Start it: ccgate serve'
  if (kind === 'down') {
    const ago = formatAgo(nowMs - boot.heartbeatAtMs)
    const seen = `last seen ${ago === 'now' ? 'just now' : `${ago} ago`}, ${formatTime(boot.heartbeatAtMs, zone)}`
    return `✕ gateway down   ${seen}, pid ${boot.pid}. Start it: ccgate serve`
  }
  const glyph = kind === 'serving' ? '●' : '◐'
  const up = formatUptime(nowMs - boot.startedAtMs)
  return `${glyph} ${kind}   ${boot.publicUrl}   up ${up}   ${boot.version}   pid ${boot.pid}`
}

function accountsText({ states, accounts, daemon }: Model, nowMs: number): string {
  if (accounts.length === 0) return 'none yet. Add one: ccgate accounts add main'
  const parts = states.map(({ word, count }) => {
    if (word === 'healthy' || word === 'full' || word === 'disabled') return `${count} ${word}`
    const named = accounts
      .filter((account) => account.state.word === word)
      .map(({ name, state }) => {
        const left =
          state.exact === 'half_open'
            ? 'retry due'
            : state.untilMs === null
              ? accountNote(state, nowMs)
              : formatLeft(state.untilMs - nowMs)
        return `${name}, ${left}`
      })
    return `${count} ${word} (${named.slice(0, 3).join('; ')}${named.length > 3 ? '; …' : ''})`
  })
  return `${parts.join(' · ')}${daemon.kind === 'down' ? '   (as stored)' : ''}`
}

function trafficText({ rates, daemon }: Model): string {
  if (rates === null) return '–'
  if (daemon.kind === 'down') return 'none while the gateway is down'
  const first = rates.firstByteMs === null ? '–' : formatMs(rates.firstByteMs[0])
  return [
    `${formatCount(rates.requestsPerMinute)} req/min ${sparkline(rates.requests.slice(-30))}`,
    `${formatShare(rates.errorShare)} errors`,
    ...(rates.refused === 0 ? [] : [`${formatCount(rates.refused)} refused`]),
    `${rates.inFlight} in flight`,
    `p50 first token ${first}`,
  ].join(' · ')
}

function todayText({ today }: Model): string {
  if (today === null) return '–'
  const hit = today.cacheHit === null ? '' : ` · cache hit ${Math.floor(today.cacheHit * 100)}%`
  return `${formatCount(today.requests)} requests · ${formatUsdSmall(today.costMicro)}${hit}`
}
