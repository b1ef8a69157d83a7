// From rounds to one figure each: lowest CPU, median latency and rate, highest memory.

import type { Case, Measured } from './cases.ts'
import { median } from './samples.ts'
import { TARGETS, type TargetName } from './targets.ts'

/** One target in one case. Latencies of paced streams are gaps between events. */
export interface TargetSummary {
  readonly rounds: number
  readonly failed: number
  readonly reason: string
  /** Requests, or events, per second. */
  readonly rate: number
  readonly upstreamRate: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Less the direct path's; null for the direct path itself. */
  readonly addedP50Ms: number | null
  readonly addedP99Ms: number | null
  readonly cpuMicros: number | null
  readonly cpuShare: number | null
  readonly memoryMb: number | null
  /** Lateness of the generator itself, open loop only. */
  readonly latenessP50Ms: number | null
  /** Share of the pace that streams kept, paced streams only. */
  readonly paceKept: number | null
  readonly firstByteP50Ms: number | null
}

/** One case with every target that was there. */
export interface CaseSummary {
  readonly name: string
  readonly title: string
  readonly kind: Case['kind']
  readonly per: Case['per']
  readonly targets: Partial<Record<TargetName, TargetSummary>>
}

const present = (values: readonly (number | null | undefined)[]): number[] =>
  values.filter((value) => value !== null && value !== undefined)

const lowest = (values: readonly (number | null)[]): number | null =>
  present(values).length === 0 ? null : Math.min(...present(values))

const middle = (values: readonly (number | null | undefined)[]): number | null =>
  present(values).length === 0 ? null : median(present(values))

function summarizeTarget(
  which: Case,
  rounds: readonly Measured[],
  floor: TargetSummary | null,
): TargetSummary {
  const p50Ms = median(rounds.map((r) => r.streams?.gapP50Ms ?? r.load.p50Ms))
  const p99Ms = median(rounds.map((r) => r.streams?.gapP99Ms ?? r.load.p99Ms))
  const rates = rounds.map((r) => (which.per === 'event' ? r.load.eventRate : r.load.rate))
  return {
    rounds: rounds.length,
    failed: rounds.reduce((sum, r) => sum + r.load.failed, 0),
    reason: rounds.map((r) => r.load.reason).find((reason) => reason !== '') ?? '',
    rate: median(rates),
    upstreamRate: median(rounds.map((r) => r.upstreamRate)),
    p50Ms,
    p99Ms,
    addedP50Ms: floor === null ? null : p50Ms - floor.p50Ms,
    addedP99Ms: floor === null ? null : p99Ms - floor.p99Ms,
    cpuMicros: lowest(rounds.map((r) => r.cpuMicros)),
    cpuShare: middle(rounds.map((r) => r.cpuShare)),
    memoryMb: rounds.reduce<number | null>(
      (most, r) => (r.memoryMb === null ? most : Math.max(most ?? 0, r.memoryMb)),
      null,
    ),
    latenessP50Ms: middle(rounds.map((r) => r.open?.latenessP50Ms)),
    paceKept: middle(rounds.map((r) => r.streams?.paceKept)),
    firstByteP50Ms: middle(rounds.map((r) => r.streams?.firstByteP50Ms)),
  }
}

/** Sums up one case; targets without a round are left out. */
export function summarize(
  which: Case,
  rounds: Readonly<Partial<Record<TargetName, readonly Measured[]>>>,
): CaseSummary {
  const targets: Partial<Record<TargetName, TargetSummary>> = {}
  for (const name of TARGETS) {
    const own = rounds[name] ?? []
    if (own.length === 0) continue
    targets[name] = summarizeTarget(which, own, targets.direct ?? null)
  }
  return { name: which.name, title: which.title, kind: which.kind, per: which.per, targets }
}
