// `npm run bench`: the gateway, nginx and a bare proxy side by side, in turn, in one run.

import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Bodies, buildBodies } from './bodies.ts'
import {
  CASES,
  type Case,
  type Measured,
  type MemoryResult,
  measure,
  measureMemory,
  type Timing,
} from './cases.ts'
import { type Figures, goals, type StartupFigures, type StoreFigures } from './goals.ts'
import { BOTH_CORES, killChildren, pinSelf, run, startScript } from './process.ts'
import { caseTable, goalsTable, memoryTable } from './report.ts'
import { median } from './samples.ts'
import { type CaseSummary, summarize } from './summary.ts'
import {
  type Available,
  bare,
  ccgate,
  direct,
  type GatewayWorld,
  gateway,
  gatewayWorld,
  nginx,
  placement,
  TARGETS,
  type Target,
  type TargetName,
} from './targets.ts'

const HELP = `Usage: npm run bench [-- OPTIONS]

  --only NAMES   comma-separated: ${CASES.map((one) => one.name).join(' ')}
                 memory startup store; a beginning is enough (small, streams)
  --seconds N    length of a measured window (default 2; 0.6 with --quick)
  --rounds N     windows per case and target (default 4; 1 with --quick)
  --quick        everything once and short, within 90 s: for a look, not for verdicts
  --json FILE    also write every figure as JSON
  --help         this text
`

interface Options {
  readonly only: readonly string[]
  readonly rounds: number
  readonly quick: boolean
  readonly timing: Timing
  readonly json: string | null
  /** After this many milliseconds no further window begins. */
  readonly budgetMs: number
}

function readOptions(args: readonly string[]): Options | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string', multiple: true },
      seconds: { type: 'string' },
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return null
  const quick = values.quick
  const seconds = positive('--seconds', values.seconds, quick ? 0.6 : 2)
  const rounds = Math.ceil(positive('--rounds', values.rounds, quick ? 1 : 4))
  const only = (values.only ?? []).flatMap((list) => list.split(',')).filter((name) => name !== '')
  const parts = [...CASES.map((one) => one.name), 'memory', 'startup', 'store']
  const wrong = only.find((name) => !parts.some((part) => part.startsWith(name)))
  if (wrong !== undefined) throw new Error(`--only ${wrong}: there is no such case`)
  const asked = values.seconds !== undefined || values.rounds !== undefined
  const neededMs = CASES.length * rounds * TARGETS.length * (seconds + 2) * 1000
  const usualMs = (quick ? 80 : 560) * 1000
  return {
    only,
    rounds,
    quick,
    timing: { windowMs: seconds * 1000, warmupMs: quick ? 250 : 400, deltas: quick ? 50 : 100 },
    json: values.json ?? null,
    budgetMs: asked ? Math.max(usualMs, neededMs) : usualMs,
  }
}

function positive(name: string, text: string | undefined, usual: number): number {
  const value = text === undefined ? usual : Number(text)
  if (!(value > 0 && value <= 1000)) throw new Error(`${name} must be a number above 0, up to 1000`)
  return value
}

const say = (text: string) => process.stdout.write(`${text}\n`)
const note = (text: string) => process.stderr.write(`${text}\n`)

/** Everything a part of the run needs. */
interface Bench {
  readonly options: Options
  readonly bodies: Bodies
  readonly upstreamPort: number
  readonly startedMs: number
  readonly problems: string[]
}

const wanted = (options: Options, part: string): boolean =>
  options.only.length === 0 || options.only.some((name) => part.startsWith(name))

const timeIsUp = (bench: Bench): boolean =>
  performance.now() - bench.startedMs > bench.options.budgetMs

async function startup(world: GatewayWorld, runs: number): Promise<StartupFigures> {
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

async function memory(bench: Bench, name: TargetName, available: Available) {
  if (available.kind === 'absent') return null
  const target = await available.start()
  try {
    const openMs = bench.options.quick ? 2400 : 5000
    const restMs = bench.options.quick ? 700 : 1500
    return await measureMemory(target, bench.bodies, { streams: 1000, restMs, openMs })
  } catch (error) {
    bench.problems.push(`memory of ${name}: ${String(error)}`)
    return null
  } finally {
    await target.stop()
  }
}

/** One case: rounds of every target in turn, so that a noisy minute hits all of them. */
async function runCase(bench: Bench, which: Case, targets: readonly Target[]) {
  const { options } = bench
  const rounds: Partial<Record<TargetName, Measured[]>> = {}
  for (let round = 0; round < options.rounds && !timeIsUp(bench); round++) {
    for (const target of targets) {
      // The floor has no CPU of its own to find the lowest of.
      if (target.name === 'direct' && round % 2 === 1) continue
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

async function store(bench: Bench): Promise<StoreFigures | null> {
  const file = join(import.meta.dirname, 'store.ts')
  if (!existsSync(file)) {
    note('bench/store.ts is not there: P16 and P17 are skipped')
    return null
  }
  const args = [file, '--json', ...(bench.options.quick ? ['--quick'] : [])]
  const limitMs = bench.options.quick ? 25_000 : 120_000
  const done = await run({ program: process.execPath, args, cores: BOTH_CORES, limitMs })
  const last = done.stdout
    .trim()
    .split('\n')
    .findLast((text) => text.startsWith('{'))
  if (done.code !== 0 || last === undefined) {
    bench.problems.push(`bench/store.ts: exit ${done.code}\n${done.stderr.slice(-1000)}`)
    return null
  }
  say(
    done.stdout
      .trim()
      .split('\n')
      .filter((text) => text !== last)
      .join('\n'),
  )
  return JSON.parse(last) as StoreFigures // our own script wrote it; the goals check each number
}

async function ledgerCheck(bench: Bench, world: GatewayWorld): Promise<void> {
  const done = await ccgate(['db', 'check', '-c', world.config], {
    env: world.env,
    cores: BOTH_CORES,
  })
  if (done.code === 0) say('ledger check after the run: clean')
  else bench.problems.push(`ccgate db check: exit ${done.code}\n${done.stdout}${done.stderr}`)
}

async function main(options: Options): Promise<number> {
  const startedMs = performance.now()
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
  setTimeout(() => {
    note('the bench takes far too long: stopped')
    process.exit(1)
  }, options.budgetMs + 40_000).unref()

  pinSelf()
  const upstream = await startScript(new URL('./upstream.ts', import.meta.url), [], '1')
  const bodies = buildBodies()
  const problems: string[] = []
  const bench: Bench = { options, bodies, upstreamPort: upstream.port, startedMs, problems }
  const model = cpus()[0]?.model ?? 'unknown CPU'
  say(`node ${process.versions.node}, ${model}, ${placement()}`)
  say(
    `${options.rounds} rounds of ${options.timing.windowMs / 1000} s: lowest CPU, median latency\n`,
  )

  const made = await gatewayWorld(upstream.port, tempDir).catch((error: unknown) => {
    problems.push(`ccgate: ${String(error)}`)
    return { kind: 'absent' as const, why: 'ccgate could not be set up: its columns are skipped' }
  })
  const world = made.kind === 'ready' ? made.world : null
  const available: Record<TargetName, Available> = {
    direct: direct(upstream.port),
    nginx: nginx(upstream.port, tempDir),
    bare: bare(upstream.port),
    ccgate: made.kind === 'ready' ? gateway(made.world) : made,
  }
  for (const name of TARGETS) {
    const one = available[name]
    if (one.kind === 'absent') note(one.why)
  }

  let started: StartupFigures | null = null
  if (world !== null && wanted(options, 'startup')) {
    started = await startup(world, options.quick ? 3 : 9).catch((error: unknown) => {
      problems.push(String(error))
      return null
    })
  }
  const memories: Partial<Record<TargetName, MemoryResult>> = {}
  if (wanted(options, 'memory')) {
    for (const name of TARGETS) {
      if (name === 'direct') continue
      const result = await memory(bench, name, available[name]).catch((error: unknown) => {
        problems.push(String(error))
        return null
      })
      if (result !== null) memories[name] = result
    }
    say(`${memoryTable(memories)}\n`)
  }

  const cases: CaseSummary[] = []
  const chosen = CASES.filter((one) => wanted(options, one.name))
  if (chosen.length > 0) {
    const targets: Target[] = []
    for (const name of TARGETS) {
      const one = available[name]
      if (one.kind === 'absent') continue
      const target = await one.start().catch((error: unknown) => {
        problems.push(String(error))
        return null
      })
      if (target !== null) targets.push(target)
    }
    for (const which of chosen) {
      if (timeIsUp(bench)) {
        problems.push(`time was up before ${which.name}`)
        continue
      }
      const summary = await runCase(bench, which, targets)
      cases.push(summary)
      say(`${caseTable(summary)}\n`)
    }
    for (const target of targets) await target.stop()
    if (world !== null && !options.quick) await ledgerCheck(bench, world)
  }
  await upstream.stop()

  const stored = wanted(options, 'store') ? await store(bench) : null
  const figures: Figures = { cases, memory: memories, startup: started, store: stored }
  const rows = goals(figures)
  say(`\n${goalsTable(rows)}`)
  for (const problem of problems) say(`! ${problem}`)
  say(`\ntook ${Math.round((performance.now() - startedMs) / 1000)} s`)
  if (options.json !== null) {
    const all = { at: new Date().toISOString(), node: process.versions.node, cpu: model, options }
    writeFileSync(
      options.json,
      `${JSON.stringify({ ...all, ...figures, goals: rows, problems })}\n`,
    )
  }
  return problems.length === 0 ? 0 : 1
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
