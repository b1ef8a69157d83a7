// The parts of a run: start-up, memory, cases, ledger.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Bodies } from './bodies.ts'
import { type Case, type Measured, measure, measureMemory } from './cases.ts'
import type { StartupFigures, StoreFigures } from './goals.ts'
import type { Options } from './options.ts'
import { BOTH_CORES, run } from './process.ts'
import { median } from './samples.ts'
import { summarize } from './summary.ts'
import {
  type Available,
  ccgate,
  type GatewayWorld,
  type Target,
  type TargetName,
} from './targets.ts'

/** A line of the report, and a line beside it. */
export const say = (text: string): unknown => process.stdout.write(`${text}\n`)
export const note = (text: string): unknown => process.stderr.write(`${text}\n`)

/** Everything a part of the run needs. */
export interface Bench {
  readonly options: Options
  readonly bodies: Bodies
  readonly upstreamPort: number
  readonly startedMs: number
  readonly problems: string[]
}

/** True when no further window should begin. */
export const timeIsUp = (bench: Bench): boolean =>
  performance.now() - bench.startedMs > bench.options.budgetMs

/** Medians of `ccgate --version` and `ccgate keys create` as whole processes. */
export async function measureStartup(world: GatewayWorld, runs: number): Promise<StartupFigures> {
  const version: number[] = []
  const create: number[] = []
  const timed = async (args: readonly string[], into: number[]) => {
    const done = await ccgate(args, { env: world.env, cores: BOTH_CORES })
    if (done.code !== 0) throw new Error(`ccgate ${args[0]}: exit ${done.code}\n${done.stderr}`)
    into.push(done.tookMs)
  }
  const limits = ['--rpm', 'none', '--concurrency', 'none', '-q', '-y', '-c', world.config]
  for (let i = 0; i < runs; i++) {
    await timed(['--version'], version)
    await timed(['keys', 'create', `bench/start-${i}`, ...limits], create)
  }
  return { versionMs: median(version), keysCreateMs: median(create) }
}

/** Memory of a fresh process of one target, or null when it is absent or failed. */
export async function freshMemory(bench: Bench, available: Available) {
  if (available.kind === 'absent') return null
  const target = await available.start()
  try {
    const openMs = bench.options.quick ? 2400 : 5000
    const restMs = bench.options.quick ? 700 : 1500
    return await measureMemory(target, bench.bodies, { streams: 1000, restMs, openMs })
  } finally {
    await target.stop()
  }
}

/** One case: rounds of every target in turn, so that a noisy minute hits all of them. */
export async function runCase(bench: Bench, which: Case, targets: readonly Target[]) {
  const { options } = bench
  const rounds: Partial<Record<TargetName, Measured[]>> = {}
  for (let round = 0; round < options.rounds && !timeIsUp(bench); round++) {
    for (const target of targets) {
      // The floor has no CPU of its own to find the lowest of.
      if (target.name === 'direct' && round % 2 === 1) continue
      if (which.ownPath !== undefined && target.name !== 'ccgate') continue
      // Compilers and pools get more time before their first window.
      const extraMs = round === 0 && !options.quick ? 800 : 0
      const timing = { ...options.timing, warmupMs: options.timing.warmupMs + extraMs }
      const measured = await measure(which, target, bench.bodies, timing, bench.upstreamPort)
      const list = rounds[target.name] ?? []
      list.push(measured)
      rounds[target.name] = list
    }
  }
  const summary = summarize(which, rounds)
  for (const target of targets) {
    const failed = summary.targets[target.name]?.failed ?? 0
    if (failed > 0) bench.problems.push(`${which.name}, ${target.name}: ${failed} failed`)
  }
  return summary
}

/** Figures of `bench/store.ts`, whose own report is printed; null when it is not there. */
export async function storeFigures(bench: Bench): Promise<StoreFigures | null> {
  const file = join(import.meta.dirname, 'store.ts')
  if (!existsSync(file)) {
    note('bench/store.ts is not there: P16 and P17 are skipped')
    return null
  }
  const secondsPerRound = bench.options.quick ? '0.5' : '2'
  const args = [file, secondsPerRound, '--json']
  const limitMs = bench.options.quick ? 25_000 : 120_000
  const done = await run({ program: process.execPath, args, cores: BOTH_CORES, limitMs })
  const last = done.stdout
    .trim()
    .split('\n')
    .findLast((text) => text.startsWith('{'))
  say(
    done.stdout
      .split('\n')
      .filter((text) => text !== last)
      .join('\n')
      .trim(),
  )
  if (done.code !== 0) throw new Error(`exit ${done.code}\n${done.stderr.slice(-1000)}`)
  if (last === undefined) throw new Error('it printed no line of JSON')
  return JSON.parse(last) as StoreFigures // our own script wrote it; the goals check each number
}

/** Does the money of all those requests add up? */
export async function ledgerCheck(bench: Bench, world: GatewayWorld): Promise<void> {
  const done = await ccgate(['db', 'check', '-c', world.config], {
    env: world.env,
    cores: BOTH_CORES,
  })
  if (done.code === 0) say('ledger check after the run: clean')
  else bench.problems.push(`ccgate db check: exit ${done.code}\n${done.stdout}${done.stderr}`)
}
