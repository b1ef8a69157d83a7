// `npm run bench`: the gateway, nginx and a bare proxy side by side, in turn, in one run.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { buildBodies } from './bodies.ts'
import { CASES, type MemoryResult } from './cases.ts'
import { type Figures, goals } from './goals.ts'
import { HELP, type Options, readOptions, wanted } from './options.ts'
import {
  type Bench,
  freshMemory,
  ledgerCheck,
  measureStartup,
  note,
  runCase,
  say,
  storeFigures,
  timeIsUp,
} from './parts.ts'
import { killChildren, LOAD_CORE, pinSelf, startScript } from './process.ts'
import { caseTable, goalsTable, memoryTable } from './report.ts'
import type { CaseSummary } from './summary.ts'
import {
  type Available,
  bare,
  direct,
  gateway,
  gatewayWorld,
  nginx,
  placement,
  TARGETS,
  type Target,
  type TargetName,
} from './targets.ts'

/** How long after its budget a run is ended by force. */
const GRACE_MS = 40_000

/** A folder for this run; it and all children go when the process does. */
function makeTempDir(): string {
  // On the project's own disk: where temporary folders live in memory, an fsync costs nothing.
  const benchDir = join(import.meta.dirname, '..', '.bench')
  mkdirSync(benchDir, { recursive: true })
  const tempDir = mkdtempSync(join(benchDir, 'run-'))
  process.on('exit', () => {
    killChildren()
    rmSync(tempDir, { recursive: true, force: true })
  })
  process.on('SIGINT', () => process.exit(130))
  process.on('SIGTERM', () => process.exit(143))
  return tempDir
}

type Availability = Readonly<Record<TargetName, Available>>

/** Does one thing; a failure becomes a line under the report, and the run goes on. */
async function attempt<T>(bench: Bench, what: string, work: () => Promise<T>): Promise<T | null> {
  try {
    return await work()
  } catch (error) {
    bench.problems.push(`${what}: ${error instanceof Error ? error.message : String(error)}`)
    return null
  }
}

async function allMemory(bench: Bench, available: Availability) {
  const results: Partial<Record<TargetName, MemoryResult>> = {}
  for (const name of TARGETS) {
    if (name === 'direct') continue
    const what = `memory of ${name}`
    const result = await attempt(bench, what, () => freshMemory(bench, available[name]))
    if (result !== null) results[name] = result
  }
  say(`${memoryTable(results)}\n`)
  return results
}

async function allCases(bench: Bench, available: Availability): Promise<readonly CaseSummary[]> {
  const chosen = CASES.filter((one) => wanted(bench.options, one.name))
  if (chosen.length === 0) return []
  const targets: Target[] = []
  for (const name of TARGETS) {
    const one = available[name]
    if (one.kind === 'absent') continue
    const target = await attempt(bench, name, one.start)
    if (target !== null) targets.push(target)
  }
  const summaries: CaseSummary[] = []
  for (const which of chosen) {
    if (timeIsUp(bench)) {
      bench.problems.push(`time was up before ${which.name}`)
      continue
    }
    const summary = await attempt(bench, which.name, () => runCase(bench, which, targets))
    if (summary === null) continue
    summaries.push(summary)
    say(`${caseTable(summary)}\n`)
  }
  for (const target of targets) await target.stop()
  return summaries
}

async function main(options: Options): Promise<number> {
  const tempDir = makeTempDir()
  setTimeout(() => {
    note('the bench takes far too long: stopped')
    process.exit(1)
  }, options.budgetMs + GRACE_MS).unref()
  pinSelf()
  const upstream = await startScript(new URL('./upstream.ts', import.meta.url), [], LOAD_CORE)
  const bench: Bench = {
    options,
    bodies: buildBodies(),
    upstreamPort: upstream.port,
    startedMs: performance.now(),
    problems: [],
  }
  const cpu = cpus()[0]?.model ?? 'unknown CPU'
  say(`node ${process.versions.node}, ${cpu}, ${placement()}`)
  say(`${options.rounds} x ${options.timing.windowMs / 1000} s: lowest CPU, median latency\n`)

  const made = (await attempt(bench, 'ccgate', () => gatewayWorld(upstream.port, tempDir))) ?? {
    kind: 'absent',
    why: 'ccgate could not be set up: its columns are skipped',
  }
  const world = made.kind === 'ready' ? made.world : null
  const available: Availability = {
    direct: direct(upstream.port),
    nginx: nginx(upstream.port, tempDir),
    bare: bare(upstream.port),
    ccgate: made.kind === 'ready' ? gateway(made.world) : made,
  }
  for (const one of Object.values(available)) if (one.kind === 'absent') note(one.why)

  const startup =
    world !== null && wanted(options, 'startup')
      ? await attempt(bench, 'startup', () => measureStartup(world, options.quick ? 3 : 9))
      : null
  const memory = wanted(options, 'memory') ? await allMemory(bench, available) : {}
  const cases = await allCases(bench, available)
  if (world !== null && cases.length > 0 && !options.quick) await ledgerCheck(bench, world)
  await upstream.stop()
  const store = wanted(options, 'store')
    ? await attempt(bench, 'bench/store.ts', () => storeFigures(bench))
    : null

  const figures: Figures = { cases, memory, startup, store }
  const rows = goals(figures)
  say(`\n${goalsTable(rows)}`)
  for (const problem of bench.problems) say(`! ${problem}`)
  say(`\ntook ${Math.round((performance.now() - bench.startedMs) / 1000)} s`)
  if (options.json !== null) {
    const { problems } = bench
    const run = { at: new Date().toISOString(), node: process.versions.node, cpu, options }
    const all = { ...run, ...figures, goals: rows, problems }
    writeFileSync(options.json, `${JSON.stringify(all, null, 2)}\n`)
  }
  return bench.problems.length === 0 ? 0 : 1
}

let options: Options | null
try {
  options = readOptions(process.argv.slice(2))
} catch (error) {
  note(error instanceof Error ? error.message : String(error))
  note('See: npm run bench -- --help')
  process.exit(2)
}
if (options === null) process.stdout.write(HELP)
else process.exit(await main(options))
