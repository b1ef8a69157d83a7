import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import type { Config } from '../../config/config.ts'
import { defaultConfig } from '../../config/config.ts'
import { formatUsd } from '../../core/money.ts'
import { type Parsed, parseCount, parseDuration } from '../../core/quantity.ts'
import { ListenError } from '../../daemon/listen-at.ts'
import type { Daemon } from '../../daemon/serve.ts'
import { startDaemon } from '../../daemon/serve.ts'
import { createLog } from '../../observe/log.ts'
import type { Scenario } from '../../sandbox/fault-board.ts'
import type { Sandbox } from '../../sandbox/sandbox.ts'
import { startSandbox } from '../../sandbox/sandbox.ts'
import type { Store } from '../../store/store.ts'
import type { Context } from '../context.ts'
import { CliError, EXIT, usageError } from '../errors.ts'
import { countOf, formatSpan } from '../format.ts'
import type { Invocation } from '../invocation.ts'
import { untilSignal } from '../signals.ts'
import { ccgateVersion, PACKAGE_ROOT } from '../version.ts'
import { furnish } from './demo-data.ts'
import { DEMO_MODEL, firstRequest, printLine } from './demo-request.ts'
import { startTraffic } from './demo-traffic.ts'
import { parsePort, scenarioOf } from './sandbox.ts'

const FIRST_PORT = 8787
const CREDIT_MICRO = 5_000_000
/** With these the very first request meets a sick account and is rerouted, so that there is something to see. */
const SEEDS: Partial<Record<Scenario, number>> = { busy: 7, flaky: 8 }
/** What each scenario does to the simulated accounts. */
const SCENARIO_TEXTS: Readonly<Record<Scenario, string>> = {
  ok: 'everything works',
  busy: 'rate limits and overload now and then',
  flaky: 'errors and broken streams now and then',
  down: 'every account fails',
  slow: 'answers come late and slowly',
  broke: 'the user has no credit',
}
const SIGNALS = ['SIGINT', 'SIGTERM'] as const

/** `ccgate demo`: gateway, simulated upstream, key and credit, in one process and one temporary folder. */
export async function demo(context: Context, call: Invocation): Promise<number> {
  const scenario = scenarioOf(call)
  const wantedPort = call.read('port', parsePort)
  const trafficPerMinute = call.read('traffic', parseRate)
  const endAfterMs = call.read('for', parseDuration)
  const keep = call.text('keep')
  const folder =
    keep === null ? mkdtempSync(join(tmpdir(), 'ccgate-demo-')) : await keptFolder(resolve(keep))
  const remove = () => {
    // The store's threads may still write while the process is on its way out.
    if (keep === null) rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
  let isBuilt = false
  const tidy = () => {
    remove()
    if (keep === null) return
    if (isBuilt) context.print.note(`Kept in ${folder}`)
    // The next try with this folder must find it empty.
    else
      for (const name of readdirSync(folder))
        rmSync(join(folder, name), { recursive: true, force: true })
  }
  // `demo --once | head -2` closes our stdout, which ends the process at once.
  process.once('exit', remove)
  // Until there is something to stop, a signal leaves at once, but not its folder behind.
  const leave = (signal: NodeJS.Signals) => {
    tidy()
    process.exit(signal === 'SIGINT' ? EXIT.interrupted : EXIT.terminated)
  }
  for (const signal of SIGNALS) process.on(signal, leave)
  let hasRun = false
  try {
    const house = await build(context, { folder, scenario, wantedPort })
    isBuilt = true
    try {
      if (wantedPort === null && !house.daemon.address.endsWith(`:${FIRST_PORT}`)) {
        context.print.note(
          `Port ${FIRST_PORT} is in use; this demo listens on ${house.daemon.address}.`,
        )
      }
      announce(context, house, scenario)
      const first = await firstRequest(context, {
        url: house.daemon.url,
        key: house.key,
        store: house.store,
      })
      if (call.flag('once')) return first.isOk ? EXIT.ok : EXIT.upstream
      explain(context, house, {
        requestId: first.requestId,
        isKept: keep !== null,
        trafficPerMinute,
        endAfterMs,
      })
      const ended = call.flag('monitor') ? null : untilSignal(endAfterMs)
      // The monitor ends with a signal, too; a time limit sends it one.
      const timer =
        ended === null && endAfterMs !== null
          ? setTimeout(() => process.kill(process.pid, 'SIGTERM'), endAfterMs)
          : undefined
      const traffic =
        trafficPerMinute === null
          ? null
          : startTraffic(house.daemon.url, house.key, trafficPerMinute)
      if (ended === null) {
        const { showMonitor } = await import('./monitor.ts')
        const shown = showMonitor(context, {
          store: house.store,
          lowBalanceMicro: defaultConfig().billing.lowBalanceMicro,
          timeZone: defaultConfig().timeZone,
          isReadOnly: false,
        })
        for (const signal of SIGNALS) process.off(signal, leave)
        await shown
        clearTimeout(timer)
      } else {
        for (const signal of SIGNALS) process.off(signal, leave)
        await ended
      }
      await traffic?.stop()
      hasRun = true
      return EXIT.ok
    } finally {
      await house.close()
    }
  } finally {
    for (const signal of SIGNALS) process.off(signal, leave)
    tidy()
    process.off('exit', remove)
    if (hasRun && keep === null) context.print.note('Stopped; the demo data is deleted.')
  }
}

interface House {
  readonly sandbox: Sandbox
  readonly daemon: Daemon
  /** A second connection, as commands have. */
  readonly store: Store
  readonly key: string
  readonly databaseFile: string
  readonly creditMicro: number
  readonly close: () => Promise<void>
}

async function build(
  context: Context,
  want: { folder: string; scenario: Scenario; wantedPort: number | null },
): Promise<House> {
  const sandbox = await startSandbox({
    scenario: want.scenario,
    latencyMs: [20, 60],
    tokenRate: 80,
    seed: SEEDS[want.scenario] ?? 1,
  })
  const databaseFile = join(want.folder, 'ccgate.db')
  const creditMicro = want.scenario === 'broke' ? 0 : CREDIT_MICRO
  const furnished = await furnish({
    folder: want.folder,
    databaseFile,
    sandbox,
    creditMicro,
    by: context.by(),
    makeId: context.makeId,
  })
  const lines: string[] = []
  const log = createLog({
    level: 'warn',
    format: 'text',
    // The demo's own lines tell the story; the log speaks up with --verbose, or when something breaks.
    write: (line) =>
      context.globals.verbose ? context.terminal.stderr.write(line) : lines.push(line),
  })
  const daemon = await listenSomewhere(want.wantedPort, async (port) => {
    const store = await furnished.openForDaemon()
    const config = demoConfig(databaseFile, port)
    return startDaemon({
      config,
      store,
      install: furnished.install,
      log,
      version: ccgateVersion(),
      demo: true,
    }).catch(async (error: unknown) => {
      await store.close()
      throw error
    })
  }).catch(async (error: unknown) => {
    await furnished.store.close()
    await sandbox.close()
    throw error
  })
  return {
    sandbox,
    daemon,
    store: furnished.store,
    key: furnished.key,
    databaseFile,
    creditMicro,
    async close() {
      daemon.cut()
      await daemon.stop(0)
      await furnished.store.close()
      await sandbox.close()
    },
  }
}

/** The wanted port, or the first free one from 8787 on. */
async function listenSomewhere(
  wanted: number | null,
  start: (port: number) => Promise<Daemon>,
): Promise<Daemon> {
  for (let port = wanted ?? FIRST_PORT; ; port++) {
    try {
      return await start(port)
    } catch (error) {
      const isTaken = error instanceof ListenError && error.code === 'EADDRINUSE'
      if (!isTaken) throw error
      if (wanted !== null || port >= FIRST_PORT + 100) {
        throw new CliError({
          code: 'port_in_use',
          message: `Port ${port} is in use.`,
          hint: 'Leave --port out: the demo then takes the next free one.',
          exitCode: EXIT.failure,
        })
      }
    }
  }
}

function demoConfig(databaseFile: string, port: number): Config {
  const base = defaultConfig()
  return {
    ...base,
    listen: { kind: 'tcp', host: '127.0.0.1', port },
    publicUrl: `http://127.0.0.1:${port}`,
    store: { ...base.store, path: databaseFile },
  }
}

async function keptFolder(folder: string): Promise<string> {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  if ((await readdir(folder)).length > 0) {
    throw usageError(
      `--keep: ${folder} is not empty.`,
      'Name a new folder: ccgate demo --keep ./demo',
      'bad_value',
    )
  }
  return folder
}

/** Requests per minute. */
function parseRate(text: string): Parsed<number> {
  if (/^-|^0+$/.test(text.trim())) return { kind: 'bad', problem: `"${text}" must be above 0` }
  return parseCount(text)
}

function announce(context: Context, house: House, scenario: Scenario): void {
  const { print } = context
  if (print.json) {
    printLine(print, {
      object: 'demo_ready',
      base_url: house.daemon.url,
      api_key: house.key,
      database: house.databaseFile,
    })
    return
  }
  if (print.quiet) {
    print.out(house.key)
    return
  }
  const count = house.sandbox.accounts.length
  print.out(`Simulated upstream   ${house.sandbox.url}   (${count} accounts, no internet used)`)
  if (scenario !== 'ok') print.out(`Scenario             ${scenario}: ${SCENARIO_TEXTS[scenario]}`)
  print.out(`Gateway              ${house.daemon.url}`)
  print.out(
    `Test key             ${house.key.slice(0, 12)}…${house.key.slice(-4)} with ${formatUsd(house.creditMicro)}`,
  )
  print.out()
}

function explain(
  context: Context,
  house: House,
  first: {
    readonly requestId: string
    readonly isKept: boolean
    readonly trafficPerMinute: number | null
    readonly endAfterMs: number | null
  },
): void {
  const { print, terminal } = context
  if (print.json || print.quiet) return
  const ccgate = commandName(terminal.place.cwd)
  const db = `--db ${house.databaseFile}`
  const body = `{"model":"${DEMO_MODEL}","max_tokens":256,"stream":true,"messages":[{"role":"user","content":"Tell me a haiku."}]}`
  print.outAll([
    '',
    'Try it yourself',
    `  curl -N ${house.daemon.url}/v1/messages -H "x-api-key: ${house.key}" -H "anthropic-version: 2023-06-01" -d '${body}'`,
    ...(house.creditMicro === 0 ? [`  ${ccgate} credit grant demo 5 ${db}`] : []),
    `  ${ccgate} usage show ${first.requestId} ${db}`,
    `  ${ccgate} monitor ${db}`,
    ...(first.trafficPerMinute === null
      ? []
      : [
          `Traffic: about ${countOf(first.trafficPerMinute, 'request')} per minute, until it stops.`,
        ]),
    ...(first.endAfterMs === null
      ? []
      : [`It stops by itself after ${formatSpan(first.endAfterMs)}.`]),
    first.isKept
      ? 'Ctrl-C stops the demo; its data stays.'
      : `Ctrl-C stops and deletes the demo data. Keep it with: ${ccgate} demo --keep ./demo`,
  ])
}

/** What to type here for `ccgate`: a checkout has none in PATH. */
function commandName(cwd: string): string {
  if (!existsSync(join(PACKAGE_ROOT, 'src'))) return 'ccgate'
  return `node ${relative(cwd, join(PACKAGE_ROOT, 'bin', 'ccgate.js'))}`
}
