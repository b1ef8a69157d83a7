// The goals of the first stage, as ratios within one run. Pure: from figures to verdicts.

import type { MemoryResult } from './cases.ts'
import type { CaseSummary } from './summary.ts'
import type { TargetName } from './targets.ts'

/** Figures of `bench/store.ts`. */
export interface StoreFigures {
  readonly p16_ratio: number
  readonly p17_us: number
  readonly hold_p50_ms: number
  readonly hold_p99_ms: number
}

/** Medians of whole processes, milliseconds. */
export interface StartupFigures {
  readonly versionMs: number
  readonly keysCreateMs: number
}

/** Everything a run measured; what is missing was not asked for or not there. */
export interface Figures {
  readonly cases: readonly CaseSummary[]
  readonly memory: Partial<Record<TargetName, MemoryResult>>
  readonly startup: StartupFigures | null
  readonly store: StoreFigures | null
}

/** One row of the goals table. */
export interface GoalRow {
  readonly id: string
  readonly what: string
  readonly goal: string
  readonly measured: string
  readonly verdict: 'met' | 'missed' | 'not measured'
}

interface Limit {
  readonly value: number | null | undefined
  readonly limit: number
  readonly atLeast?: boolean
  readonly unit: string
  readonly digits?: number
}

const known = (value: number | null | undefined): value is number =>
  value !== null && value !== undefined && Number.isFinite(value)

const holds = ({ value, limit, atLeast }: Limit): boolean =>
  known(value) && (atLeast === true ? value >= limit : value <= limit)

const show = ({ value, unit, digits }: Limit): string =>
  known(value) ? `${value.toFixed(digits ?? 2)}${unit}` : '-'

function row(id: string, what: string, limits: readonly Limit[]): GoalRow {
  const measured = limits.every(({ value }) => known(value))
  const goal = limits.map((l) => `${l.atLeast === true ? '>=' : '<='} ${l.limit}${l.unit}`)
  return {
    id,
    what,
    goal: goal.join(', '),
    measured: limits.map(show).join(', '),
    verdict: measured ? (limits.every(holds) ? 'met' : 'missed') : 'not measured',
  }
}

/** Verdicts on P1 to P19 (column "first"), the hold's delay and the start of processes. */
export function goals(figures: Figures): readonly GoalRow[] {
  const find = (name: string) => figures.cases.find((one) => one.name === name)?.targets
  const cpu = (name: string) => {
    const targets = find(name)
    return ratio(targets?.ccgate?.cpuMicros, targets?.nginx?.cpuMicros)
  }
  const chatCost = (name: string) =>
    ratio(find(`chat-${name}`)?.ccgate?.cpuMicros, find(name)?.ccgate?.cpuMicros)
  const open = find('open-500')
  const memory = figures.memory.ccgate
  const times = (value: number | null, limit: number): Limit[] => [{ value, limit, unit: ' x' }]
  const { startup, store } = figures
  return [
    row('P1', 'CPU per small request at 64 connections, vs nginx', times(cpu('small-64'), 5)),
    row(
      'P4',
      "added p50 at 500 requests/s, vs nginx's",
      times(ratio(open?.ccgate?.addedP50Ms, open?.nginx?.addedP50Ms), 2.5),
    ),
    row('P7', 'CPU per event, 200 paced streams, vs nginx', times(cpu('streams-200'), 2.6)),
    row('P8', 'CPU per event, streams at full speed, vs nginx', times(cpu('full-speed'), 4.5)),
    row('P11', 'memory with 1,000 open streams, fresh process', [
      { value: memory?.streamsMb, limit: 220, unit: ' MB', digits: 0 },
      { value: memory?.kbPerStream, limit: 80, unit: ' kB each', digits: 0 },
    ]),
    row('P12', 'memory at start, idle', [
      { value: memory?.idleMb, limit: 130, unit: ' MB', digits: 0 },
    ]),
    row('P13', 'CPU per 30 KB turn, vs nginx', times(cpu('agent-30k'), 8)),
    row('P14', 'CPU per 1 MB body, vs nginx', times(cpu('text-1m'), 14)),
    row('P16', 'durable ledger rows/s, vs one transaction per request', [
      { value: store?.p16_ratio, limit: 8, atLeast: true, unit: ' x' },
    ]),
    row('P17', "ledger's share of CPU per request", [
      { value: store?.p17_us, limit: 15, unit: ' µs' },
    ]),
    row('P19', 'CPU per event, chat completions vs messages: full speed, paced', [
      { value: chatCost('full-speed'), limit: 2.5, unit: ' x' },
      { value: chatCost('streams-200'), limit: 1.4, unit: ' x' },
    ]),
    row('D4', 'hold acknowledged at 1,000/s, p50 and p99', [
      { value: store?.hold_p50_ms, limit: 2, unit: ' ms' },
      { value: store?.hold_p99_ms, limit: 15, unit: ' ms' },
    ]),
    row('-', 'ccgate --version, whole process', [
      { value: startup?.versionMs, limit: 120, unit: ' ms', digits: 0 },
    ]),
    row('-', 'ccgate keys create, whole process', [
      { value: startup?.keysCreateMs, limit: 250, unit: ' ms', digits: 0 },
    ]),
  ]
}

/** Quotient of two figures, or null where either is missing or the divisor is not above 0. */
export function ratio(
  value: number | null | undefined,
  yardstick: number | null | undefined,
): number | null {
  return known(value) && known(yardstick) && yardstick > 0 ? value / yardstick : null
}
