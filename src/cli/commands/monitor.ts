import { setTimeout as sleep } from 'node:timers/promises'
import { parseDuration } from '../../core/quantity.ts'
import type { Store } from '../../store/store.ts'
import { SCREENS, type Screen } from '../../tui/keys.ts'
import { modelOf } from '../../tui/model.ts'
import { statusBlock } from '../../tui/plain.ts'
import { Source } from '../../tui/source.ts'
import type { Context } from '../context.ts'
import { EXIT, usageError } from '../errors.ts'
import type { Invocation } from '../invocation.ts'
import type { Terminal } from '../terminal.ts'
import { ccgateVersion } from '../version.ts'

/** `ccgate monitor`: the live screens, or plain text where there is no screen. */
export async function monitor(context: Context, call: Invocation): Promise<number> {
  const { terminal, globals } = context
  if (globals.json) {
    throw usageError('The monitor is for people.', 'For scripts: ccgate status --json')
  }
  const isReadOnly = call.flag('read-only')
  const options = {
    screen: screenOf(call),
    refreshMs: refreshOf(call),
    isReadOnly,
    isPlain: call.flag('plain') || call.flag('once') || !hasScreen(terminal),
    isOnce: call.flag('once'),
    hasColour:
      globals.color === 'always' || (globals.color === 'auto' && !terminal.place.env.NO_COLOR),
    zone: context.calendar().zone,
  }
  const store = await context.store(isReadOnly || options.isPlain ? 'read' : 'write')
  await runMonitor(store, terminal, options)
  return EXIT.ok
}

/** How the monitor is to be shown. */
export interface MonitorOptions {
  readonly screen: Screen
  readonly refreshMs: number
  readonly isReadOnly: boolean
  /** Blocks of text instead of a screen. */
  readonly isPlain: boolean
  /** One block, then the end. */
  readonly isOnce: boolean
  readonly hasColour: boolean
  /** IANA time zone of the times shown. */
  readonly zone: string
}

/** What `ccgate monitor` shows without any option; `ccgate demo --monitor` starts from this. */
export const MONITOR_DEFAULTS = {
  screen: 'overview',
  refreshMs: 1_000,
  isReadOnly: false,
  isPlain: false,
  isOnce: false,
  hasColour: true,
  zone: 'UTC',
} as const satisfies MonitorOptions

/** Shows the store until q, Ctrl-C, SIGTERM or SIGHUP; the terminal is as before when it resolves. */
export async function runMonitor(
  store: Store,
  terminal: Terminal,
  options: MonitorOptions,
): Promise<void> {
  const clock = () => terminal.nowMs()
  const source = new Source(store, clock)
  if (options.isPlain) return printBlocks(source, terminal, options)
  // React decides by this while it is loaded; in development it would print warnings into the screen.
  process.env.NODE_ENV = 'production'
  const firstLook = source.read()
  // It is awaited once the screen's code is loaded; until then a failure must not count as unhandled.
  firstLook.catch(() => {})
  const { runTui } = await import('../../tui/run.tsx')
  const { isServing } = await runTui({
    ...options,
    source,
    store,
    firstLook,
    clock,
    actor: `tui:${terminal.userName}`,
    version: ccgateVersion(),
    stdin: terminal.stdin,
    stdout: terminal.stdout,
  })
  terminal.stdout.write(isServing ? 'monitor closed, gateway still serving\n' : 'monitor closed\n')
}

/** Whether the full screen can be shown: it needs keys, a terminal, and one that can move its cursor. */
export function hasScreen({ stdin, stdout, place }: Terminal): boolean {
  return stdin.isTTY === true && stdout.isTTY === true && place.env.TERM !== 'dumb'
}

async function printBlocks(
  source: Source,
  { stdout, nowMs: clock }: Terminal,
  { zone, refreshMs, isOnce }: MonitorOptions,
): Promise<void> {
  const stop = new AbortController()
  const onSignal = () => stop.abort()
  // `ccgate monitor --plain | head` ends when head does.
  stdout.on('error', onSignal)
  for (const signal of SIGNALS) process.once(signal, onSignal)
  try {
    while (!stop.signal.aborted) {
      const nowMs = clock()
      stdout.write(statusBlock(modelOf(await source.read(), nowMs), { nowMs, zone }))
      if (isOnce) break
      stdout.write('\n')
      await sleep(refreshMs, undefined, { signal: stop.signal }).catch(() => {})
    }
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal)
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

function screenOf(call: Invocation): Screen {
  const name = call.text('screen')
  if (name === null) return MONITOR_DEFAULTS.screen
  const found = SCREENS.find(({ id }, i) => id === name.toLowerCase() || String(i + 1) === name)
  if (found !== undefined) return found.id
  const names = SCREENS.map(({ id }) => id).join(' or ')
  throw usageError(`--screen: there is no screen "${name}".`, `Use ${names}.`, 'bad_value')
}

function refreshOf(call: Invocation): number {
  const refreshMs = call.read('refresh', parseDuration) ?? MONITOR_DEFAULTS.refreshMs
  if (refreshMs >= 250 && refreshMs <= 60_000) return refreshMs
  throw usageError('--refresh: too fast or too slow.', 'Use 250ms to 60s.', 'bad_value')
}
