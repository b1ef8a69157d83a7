// Plain tables for people.

import type { MemoryResult } from './cases.ts'
import { type GoalRow, ratio } from './goals.ts'
import type { CaseSummary, TargetSummary } from './summary.ts'
import { TARGETS, type TargetName } from './targets.ts'

type Row = readonly [label: string, pick: (t: TargetSummary) => number | null, digits: number]

const LABEL = 22
const CELL = 10

const number = (value: number | null | undefined, digits: number): string =>
  value === null || value === undefined || !Number.isFinite(value)
    ? '-'
    : value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })

const line = (label: string, cells: readonly string[]): string =>
  `  ${label.padEnd(LABEL)}${cells.map((cell) => cell.padStart(CELL)).join('')}`

/** The one that is held against the yardsticks: the gateway, or the bare proxy while there is none. */
const subjectOf = (names: readonly TargetName[]): TargetName | null =>
  names.includes('ccgate') ? 'ccgate' : names.includes('bare') ? 'bare' : null

function rowsOf(one: CaseSummary): readonly Row[] {
  const unit = one.per === 'event' ? 'event' : 'request'
  const latency = { closed: '', open: '', paced: 'gap ', full_speed: 'stream ' }[one.kind]
  const rows: Row[] = [
    [`${unit}s/s`, (t) => t.rate, 0],
    [`  seen by upstream`, (t) => t.upstreamRate, 0],
    [`${latency}p50 ms`, (t) => t.p50Ms, 3],
    [`${latency}p99 ms`, (t) => t.p99Ms, 3],
    [`added p50 ms`, (t) => t.addedP50Ms, 3],
    [`added p99 ms`, (t) => t.addedP99Ms, 3],
    [`CPU µs/${unit}`, (t) => t.cpuMicros, 2],
    [`CPU % of the core`, (t) => (t.cpuShare === null ? null : t.cpuShare * 100), 0],
    [`memory MB`, (t) => t.memoryMb, 0],
  ]
  if (one.kind === 'open') rows.push([`generator late ms`, (t) => t.latenessP50Ms, 3])
  if (one.kind === 'paced') {
    rows.push([`first event p50 ms`, (t) => t.firstByteP50Ms, 1])
    rows.push([`pace kept %`, (t) => (t.paceKept === null ? null : t.paceKept * 100), 1])
  }
  return rows
}

/** Table of one case: a column for each target, then the ratios. */
export function caseTable(one: CaseSummary): string {
  const names = TARGETS.filter((name) => one.targets[name] !== undefined)
  const subject = subjectOf(names)
  const yardsticks = (['nginx', 'bare'] as const).filter(
    (name) => name !== subject && names.includes(name),
  )
  const lines = [one.title]
  const titles = subject === null ? [] : yardsticks.map((name) => `x ${name}`)
  lines.push(line('', [...names, ...titles]))
  for (const [label, pick, digits] of rowsOf(one)) {
    const value = (name: TargetName) => {
      const target = one.targets[name]
      return target === undefined ? null : pick(target)
    }
    const cells = names.map((name) => number(value(name), digits))
    const against = titles.map((_, i) =>
      number(subject === null ? null : ratio(value(subject), value(yardsticks[i] ?? 'nginx')), 2),
    )
    lines.push(line(label, [...cells, ...against]))
  }
  for (const name of names) {
    const { failed, reason } = one.targets[name] ?? { failed: 0, reason: '' }
    if (failed > 0) lines.push(`  ! ${name}: ${failed} failed: ${reason}`)
  }
  return lines.join('\n')
}

/** Table of memory: fresh processes, idle and with open streams. */
export function memoryTable(memory: Partial<Record<TargetName, MemoryResult>>): string {
  const names = TARGETS.filter((name) => memory[name] !== undefined)
  const subject = subjectOf(names)
  const yardsticks = (['nginx', 'bare'] as const).filter(
    (name) => name !== subject && names.includes(name),
  )
  const streams = memory[names[0] ?? 'bare']?.streams ?? 0
  const rows: readonly (readonly [string, (m: MemoryResult) => number])[] = [
    ['idle at start MB', (m) => m.idleMb],
    [`${streams.toLocaleString('en')} open streams MB`, (m) => m.streamsMb],
    ['kB per stream', (m) => m.kbPerStream],
  ]
  const lines = ['memory of a fresh process']
  lines.push(line('', [...names, ...yardsticks.map((name) => `x ${name}`)]))
  for (const [label, pick] of rows) {
    const value = (name: TargetName | null) => {
      const result = name === null ? undefined : memory[name]
      return result === undefined ? null : pick(result)
    }
    const cells = names.map((name) => number(value(name), 0))
    const against = yardsticks.map((name) => number(ratio(value(subject), value(name)), 2))
    lines.push(line(label, [...cells, ...against]))
  }
  for (const name of names) {
    const failed = memory[name]?.failed ?? 0
    if (failed > 0) lines.push(`  ! ${name}: ${failed} streams failed or came short`)
  }
  return lines.join('\n')
}

/** Table of goals with their verdicts. */
export function goalsTable(rows: readonly GoalRow[]): string {
  const all: readonly GoalRow[] = rows
  const header = { id: '', what: 'goal (first stage)', goal: 'limit', measured: 'measured' }
  const width = (pick: (row: GoalRow) => string, title: string) =>
    Math.max(title.length, ...all.map((row) => pick(row).length)) + 2
  const widths = {
    what: width((row) => row.what, header.what),
    goal: width((row) => row.goal, header.goal),
    measured: width((row) => row.measured, header.measured),
  }
  const print = (row: {
    id: string
    what: string
    goal: string
    measured: string
    verdict: string
  }) =>
    `  ${row.id.padEnd(5)}${row.what.padEnd(widths.what)}${row.goal.padEnd(widths.goal)}` +
    `${row.measured.padEnd(widths.measured)}${row.verdict}`
  return ['goals', print({ ...header, verdict: 'verdict' }), ...all.map(print)].join('\n')
}
