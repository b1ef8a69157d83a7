import { setTimeout as sleep } from 'node:timers/promises'
import type { Micro } from '../../core/money.ts'
import { parseDuration } from '../../core/quantity.ts'
import type { Store } from '../../store/store.ts'
import { SCREENS, type Screen } from '../../tui/keys.ts'
import { modelOf } from '../../tui/model.ts'
import { statusBlock } from '../../tui/plain.ts'
import { Source } from '../../tui/source.ts'
import type { Context } from '../context.ts'
import { EXIT, usageError } from '../errors.ts'
import type { Invocation } from '../invocation.ts'
import { columnsOf, wantsColor } from '../print.ts'
import type { Terminal } from '../terminal.ts'
import { ccgateVersion } from '../version.ts'

/** `ccgate monitor`: the live screens, or plain text where there is no screen. */
export async function monitor(context: Context, call: Invocation): Promise<number> {
  const { terminal, globals } = context
  if (globals.json) {
    throw usageError('The monitor is for people.', 'For scripts: ccgate status --json')
  }
  const isReadOnly = call.flag('read-only')
  const isOnce = call.flag('once')
  const isPlain = isOnce || call.flag('plain') || !hasScreen(terminal)
  const screen = screenOf(call)
  if (isPlain && screen !== FIRST_SCREEN) throw noPlainScreen(screen)
  const options = {
    screen,
    refreshMs: refreshOf(call),
    isReadOnly,
    isPlain,
    isOnce,
  }
  const store = await context.store(isReadOnly || isPlain ? 'read' : 'write')
  const { timeZone, billing } = (await context.config()).config
  const { lowBalanceMicro } = billing
  const end = await showMonitor(context, { ...options, store, lowBalanceMicro, timeZone })
  if (end !== null) {
    terminal.stdout.write(
      end.isServing ? 'monitor closed, gateway still serving\n' : 'monitor closed\n',
    )
  }
  return EXIT.ok
}

/** What is to be shown, and how. */
export interface MonitorOptions {
  readonly store: Store
  /** Balances below it are marked, where a user has no figure of their own; null: none are. */
  readonly lowBalanceMicro: Micro | null
  /** Of the config. */
  readonly timeZone: string
  /** Default: the overview. */
  readonly screen?: Screen
  /** Default: 1,000. */
  readonly refreshMs?: number
  /** No keys that change something. */
  readonly isReadOnly?: boolean
  /** Blocks of text instead of a screen, as where there is no screen. */
  readonly isPlain?: boolean
  /** One block, then the end. */
  readonly isOnce?: boolean
}

/**
 * Shows the store until q, Ctrl-C, SIGTERM or SIGHUP; the terminal is as before when it resolves. The
 * answer is what was last seen of the gateway, null when there is no screen to say it on.
 */
export async function showMonitor(
  { terminal, globals, ...context }: Pick<Context, 'terminal' | 'globals' | 'calendar'>,
  { store, lowBalanceMicro, timeZone, ...options }: MonitorOptions,
): Promise<{ readonly isServing: boolean } | null> {
  const clock = () => terminal.nowMs()
  const source = new Source(store, clock, { lowBalanceMicro, timeZone })
  const view = { refreshMs: options.refreshMs ?? REFRESH_MS, zone: context.calendar().zone }
  if (options.isPlain || !hasScreen(terminal)) {
    await printBlocks(source, terminal, { ...view, isOnce: options.isOnce ?? false })
    return null
  }
  // React decides by this while it is loaded; in development it would print warnings into the screen.
  process.env.NODE_ENV = 'production'
  const firstLook = source.read()
  // It is awaited once the screen's code is loaded; until then a failure must not count as unhandled.
  firstLook.catch(() => {})
  const { runTui } = await import('../../tui/run.tsx')
  return runTui({
    ...view,
    source,
    store,
    firstLook,
    clock,
    screen: options.screen ?? FIRST_SCREEN,
    isReadOnly: options.isReadOnly ?? false,
    hasColour: wantsColor(terminal.stdout, globals.color, terminal.place.env),
    actor: `tui:${terminal.userName}`,
    version: ccgateVersion(),
    stdin: terminal.stdin,
    stdout: terminal.stdout,
  })
}

const FIRST_SCREEN: Screen = 'overview'
const REFRESH_MS = 1_000

/** The full screen needs keys, a terminal, and one that can move its cursor. */
function hasScreen({ stdin, stdout, place }: Terminal): boolean {
  return stdin.isTTY === true && stdout.isTTY === true && place.env.TERM !== 'dumb'
}

async function printBlocks(
  source: Source,
  { stdout, nowMs: clock }: Terminal,
  { zone, refreshMs, isOnce }: { zone: string; refreshMs: number; isOnce: boolean },
): Promise<void> {
  const stop = new AbortController()
  const onSignal = () => stop.abort()
  // `ccgate monitor --plain | head` ends when head does.
  stdout.on('error', onSignal)
  for (const signal of SIGNALS) process.once(signal, onSignal)
  try {
    while (!stop.signal.aborted) {
      const nowMs = clock()
      stdout.write(
        statusBlock(modelOf(await source.read(), nowMs), {
          nowMs,
          zone,
          columns: columnsOf(stdout),
        }),
      )
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
  if (name === null) return FIRST_SCREEN
  const found = SCREENS.find(({ id }, i) => id === name.toLowerCase() || String(i + 1) === name)
  if (found !== undefined) return found.id
  const names = SCREENS.map(({ id }) => id).join(' or ')
  throw usageError(`--screen: there is no screen "${name}".`, `Use ${names}.`, 'bad_value')
}

/** Plain text is the overview; what the other screens show is told by commands. */
function noPlainScreen(screen: Screen): Error {
  return usageError(
    `--screen ${screen} needs the full screen; as plain text there is the overview.`,
    `Leave --screen out, or: ccgate ${screen} list`,
    'bad_value',
  )
}

function refreshOf(call: Invocation): number {
  const refreshMs = call.read('refresh', parseDuration) ?? REFRESH_MS
  if (refreshMs >= 250 && refreshMs <= 60_000) return refreshMs
  throw usageError('--refresh: too fast or too slow.', 'Use 250ms to 60s.', 'bad_value')
}
